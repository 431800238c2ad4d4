//! The documents name only what is there.

use crate::tree::{self, Source};
use protocol::Code;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::mutation::Op;
use protocol::session_socket::{Answer, Ask};
use serde::de::DeserializeOwned;

/// Said by the desktop's core to its page, and by no server.
const LOCAL: [Code; 4] = [
    Code::Offline,
    Code::DiskFull,
    Code::KeychainUnavailable,
    Code::OutboxNotEmpty,
];

const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "docs/asvs.md", "docs/attacks.md"];

/// Those that name functions, and how many at least.
const NAMING: [(&str, usize); 3] = [
    ("ARCHITECTURE.md", 30),
    ("docs/asvs.md", 100),
    ("docs/attacks.md", 100),
];

/// Every attack that was ever given a name, by its letter; numbers that are missing were never given out. Whoever takes one out
/// of the document takes it out here, and sees that they do.
const ATTACKS: [(&str, &[u8]); 6] = [
    ("A", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
    ("B", &[1, 2, 3, 4, 5, 6, 8, 10]),
    ("C", &[1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 15, 16]),
    ("D", &[1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 15, 16]),
    ("E", &[1, 2, 4, 5, 6, 7]),
    ("F", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 21]),
];

/// Against these there is nothing to test, and the row says why.
const UNTRIED: [&str; 1] = ["D16"];

/// What is written between backticks and looks like a path of this repository.
fn named_paths(text: &str) -> Vec<String> {
    let inline = text
        .split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2));
    inline
        .map(|said| said.split(&[':', '#'][..]).next().unwrap_or(said))
        .filter(|said| looks_like_a_path(said))
        .map(|said| said.trim_end_matches('/').to_owned())
        .collect()
}

fn looks_like_a_path(said: &str) -> bool {
    let plain = said
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let has_ending = [
        ".rs", ".toml", ".md", ".sql", ".css", ".js", ".json", ".yml", ".sh",
    ]
    .iter()
    .any(|ending| said.ends_with(ending));
    let is_outside = said.starts_with('/') || said.starts_with("./") || said.starts_with("..");
    // a media type or a fraction also has a slash; a path of ours begins with a folder that is there
    let begins_here = said
        .split_once('/')
        .is_some_and(|(folder, _)| harness::root().join(folder).is_dir());
    plain && !is_outside && (begins_here || (has_ending && said.contains('/')))
}

/// `path/to/file.rs::name`, as the walkthroughs name where a step happens.
fn named_items(text: &str) -> Vec<(String, String)> {
    let said = text.split('`').skip(1).step_by(2);
    said.filter_map(|said| said.split_once(".rs::"))
        .map(|(file, name)| (format!("{file}.rs"), name.to_owned()))
        .collect()
}

fn missing_items(sources: &[Source]) -> Vec<String> {
    let declares = |code: &str, name: &str| {
        code.lines().any(|line| {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.any(|word| matches!(word, "fn" | "struct" | "enum" | "type" | "const"))
                && words.next() == Some(name)
        })
    };
    sources
        .iter()
        .flat_map(|source| {
            named_items(&source.text)
                .into_iter()
                .map(|item| (&source.path, item))
        })
        .filter(|(_, (file, name))| {
            let code = std::fs::read_to_string(harness::root().join(file)).unwrap_or_default();
            !declares(&code, name)
        })
        .map(|(document, (file, name))| format!("{document}: names `{file}::{name}`, which is not there"))
        .collect()
}

fn faults(sources: &[Source]) -> Vec<String> {
    let made = |path: &str| path.starts_with("ui/dist") || path.starts_with("target");
    sources
        .iter()
        .flat_map(|source| {
            named_paths(&source.text)
                .into_iter()
                .filter(|path| !made(path) && !harness::root().join(path).exists())
                .map(|path| format!("{}: names `{path}`, which is not there", source.path))
        })
        .collect()
}

/// Attacks without a row, rows of no attack or of one twice, and rows that name no test.
fn untold(document: &str) -> Vec<String> {
    let rows: Vec<Vec<&str>> = document
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && cells.get(1).is_some_and(|id| is_attack(id)))
        .collect();
    let all = ATTACKS
        .iter()
        .flat_map(|(letter, numbers)| numbers.iter().map(move |number| format!("{letter}{number}")));
    let told: Vec<&str> = rows.iter().filter_map(|cells| cells.get(1).copied()).collect();
    let mut faults = Vec::new();
    let mut known = Vec::new();
    for id in all {
        match told.iter().filter(|told| **told == id).count() {
            1 => {}
            count => faults.push(format!("{id} has {count} rows")),
        }
        known.push(id);
    }
    for cells in &rows {
        let [_, id, attack, holds, test, _] = cells.as_slice() else {
            continue;
        };
        if !known.iter().any(|known| known == id) {
            faults.push(format!("{id} is no attack"));
        }
        if attack.is_empty() || holds.is_empty() {
            faults.push(format!("{id} is not told"));
        }
        let is_tried = !named_items(test).is_empty();
        if is_tried == UNTRIED.contains(id) {
            faults.push(format!("{id} is tried: {is_tried}"));
        }
    }
    faults
}

/// A letter and a number.
fn is_attack(id: &str) -> bool {
    let mut letters = id.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_uppercase())
        && !letters.as_str().is_empty()
        && letters.all(|c| c.is_ascii_digit())
}

#[test]
fn every_attack_has_a_row_with_a_test_of_it() {
    let document = std::fs::read_to_string(harness::root().join("docs/attacks.md")).expect("the attacks");
    tree::assert_none("docs/attacks.md", &untold(&document));
}

#[test]
fn an_attack_that_nobody_tries_is_seen() {
    let row = |id: &str, test: &str| format!("| {id} | somebody does it | it holds | {test} |\n");
    let test = "`tests/house/documents.rs::untold`";
    let mut whole = String::new();
    for (letter, numbers) in ATTACKS {
        for number in numbers {
            let id = format!("{letter}{number}");
            let named = if UNTRIED.contains(&id.as_str()) {
                "none"
            } else {
                test
            };
            whole.push_str(&row(&id, named));
        }
    }
    assert_eq!(untold(&whole), Vec::<String>::new());
    for broken in [
        whole.replace(&row("F12", test), ""),
        whole.replace(&row("F12", test), &row("F12", "it is clear")),
        whole.replace(&row("F12", test), &row("F19", test)),
        format!("{whole}{}", row("A1", test)),
    ] {
        assert!(!untold(&broken).is_empty(), "{broken}");
    }
}

#[test]
fn every_path_named_in_the_documents_exists() {
    let documents: Vec<Source> = tree::files(&["md"])
        .into_iter()
        .filter(|source| DOCUMENTS.contains(&source.path.as_str()))
        .collect();
    assert_eq!(documents.len(), DOCUMENTS.len(), "{DOCUMENTS:?} lie at the root");
    tree::assert_none("paths in documents", &faults(&documents));
}

#[test]
fn every_function_named_in_the_documents_exists() {
    let all = tree::files(&["md"]);
    for (path, least) in NAMING {
        let document = all.iter().find(|source| source.path == path);
        let document = document.unwrap_or_else(|| panic!("{path} is there"));
        let named = named_items(&document.text).len();
        assert!(named > least, "{path} names {named} functions");
        tree::assert_none(
            "functions in documents",
            &missing_items(std::slice::from_ref(document)),
        );
    }
}

#[test]
fn a_function_that_is_not_there_is_seen() {
    let text = "See `tests/house/documents.rs::missing_items` and `tests/house/documents.rs::gone`, `protocol::routes`.";
    assert_eq!(missing_items(&[Source::sample("ARCHITECTURE.md", text)]).len(), 1);
}

#[test]
fn a_path_that_is_not_there_is_seen() {
    let text = "See `protocol/src/lib.rs` and `protocol/src/gone.rs:12`, `application/json`, `/healthz`.\n```\n`x/y.rs`\n```";
    assert_eq!(faults(&[Source::sample("README.md", text)]).len(), 1);
}

#[test]
fn the_protocol_s_document_lists_every_code_with_its_status_and_sentence() {
    let document = std::fs::read_to_string(harness::root().join("docs/protocol.md")).expect("the document");
    for code in Code::ALL.iter().filter(|code| !LOCAL.contains(code)) {
        let row = format!("| `{code}` | {} | {} |", code.status(), code.title());
        assert!(document.contains(&row), "{row}");
    }
}

fn protocol_s_document() -> String {
    std::fs::read_to_string(harness::root().join("docs/protocol.md")).expect("the document")
}

/// Every kind that a reader of these takes, as it says itself when it is shown one of none.
fn kinds<T: DeserializeOwned>(tag: &str) -> Vec<String> {
    let refused = serde_json::from_value::<T>(serde_json::json!({ tag: "of no kind" }));
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    // "unknown variant `of no kind`, expected one of `a`, `b`"
    let kinds: Vec<String> = said.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(!kinds.is_empty(), "{said}");
    kinds
}

/// What the document says of frames and operations, and what there is: each kind in one of its examples, each operation in its
/// table's row.
fn unsaid(document: &str) -> Vec<String> {
    let mut wanted = Vec::new();
    for kind in [kinds::<ClientFrame>("t"), kinds::<ServerFrame>("t")].concat() {
        wanted.push(format!("{{\"t\": \"{kind}\""));
    }
    for kind in [kinds::<Ask>("type"), kinds::<Answer>("type")].concat() {
        wanted.push(format!("{{\"type\": \"{kind}\""));
    }
    for kind in kinds::<Op>("op") {
        wanted.push(format!("| `{kind}` | `"));
    }
    wanted.retain(|wanted| !document.contains(wanted));
    wanted
}

/// The close codes, as the protocol's crate names them.
fn close_codes(source: &str) -> Vec<u16> {
    let codes = source.lines().filter_map(|line| {
        let (_, value) = line.trim().strip_prefix("pub const ")?.split_once(": u16 = ")?;
        value.strip_suffix(';')?.parse().ok()
    });
    codes.collect()
}

#[test]
fn the_protocol_s_document_says_every_kind_of_frame_and_operation() {
    tree::assert_none("not in docs/protocol.md", &unsaid(&protocol_s_document()));
}

#[test]
fn the_protocol_s_document_has_a_row_for_every_close_code_and_for_no_other() {
    let source = std::fs::read_to_string(harness::root().join("protocol/src/frame.rs")).expect("the frames");
    let mut codes = close_codes(&source);
    assert!(codes.len() > 10, "{codes:?}");
    let document = protocol_s_document();
    let rows = document.lines().filter_map(|line| {
        let (code, _) = line.strip_prefix("| ")?.split_once(' ')?;
        code.parse::<u16>()
            .ok()
            .filter(|code| (4000..5000).contains(code))
    });
    let mut rows: Vec<u16> = rows.collect();
    codes.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, codes);
}

/// The examples without ellipses are frames: a reader takes them.
#[test]
fn the_protocol_s_frames_read_as_they_are_written() {
    let document = protocol_s_document();
    let mut read = 0;
    // between backticks, or in a block of its own
    let said = document
        .split('`')
        .map(|said| said.strip_prefix("json").unwrap_or(said).trim());
    for example in said.filter(|said| said.starts_with("{\"t\":") && !said.contains('…')) {
        let is_frame = serde_json::from_str::<ServerFrame>(example).is_ok()
            || serde_json::from_str::<ClientFrame>(example).is_ok();
        assert!(is_frame, "{example}");
        read += 1;
    }
    assert!(read >= 7, "{read} examples");
}

#[test]
fn a_kind_that_no_document_says_is_seen() {
    assert!(unsaid("").contains(&"{\"t\": \"run.attach\"".to_owned()));
    assert!(unsaid("").contains(&"{\"type\": \"history\"".to_owned()));
    assert!(unsaid("").contains(&"| `message.answer` | `".to_owned()));
    assert_eq!(
        close_codes("    pub const DRAIN: u16 = 4000;\n    /// 41xx"),
        [4000]
    );
}
