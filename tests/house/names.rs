//! Names that say nothing, or the wrong word, are refused: drawers, prefixes, and words with two meanings.

use crate::rust_text::code;
use crate::tree::{self, Source};

const DRAWERS: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "shared", "manager", "service", "mod",
];
/// Prefixes that a verb does better without.
const PREFIXES: &[&str] = &["get_", "do_", "handle_", "process_"];
/// Words of which the project has another: sign in, sign out.
const OTHER_WORDS: &[&str] = &["login", "logout", "Login", "Logout"];

fn drawers(sources: &[Source]) -> Vec<String> {
    let is_drawer = |name: &str| {
        DRAWERS.contains(&name) || name.starts_with("new_") || name.ends_with("_v2") || name == "common"
    };
    sources
        .iter()
        .filter(|source| {
            source
                .path
                .split('/')
                .any(|part| is_drawer(part.split('.').next().unwrap_or(part)))
        })
        .map(|source| format!("{}: a name that says nothing about what is inside", source.path))
        .collect()
}

fn words(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        for (number, line) in code(&source.text).lines().enumerate() {
            let mut say = |what: &str| faults.push(format!("{}:{}: {what}", source.path, number + 1));
            if PREFIXES
                .iter()
                .any(|prefix| line.contains(&format!("fn {prefix}")))
            {
                say("a function's name begins with get_, do_, handle_ or process_");
            }
            if OTHER_WORDS.iter().any(|word| line.contains(word)) {
                say("say sign in and sign out");
            }
            if line.contains("pub use") && line.contains("::*") {
                say("a wildcard re-export hides where a name lives");
            }
            let squeezed: String = line.split_whitespace().collect();
            if squeezed.contains("Result<") && squeezed.contains(",String>") && !squeezed.contains("Map<") {
                say("an error is a type, not a String");
            }
        }
    }
    faults
}

#[test]
fn no_file_is_a_drawer() {
    tree::assert_none("names say what is inside", &drawers(&tree::rust()));
}

#[test]
fn one_word_means_one_thing() {
    tree::assert_none("words", &words(&tree::rust()));
}

#[test]
fn a_drawer_and_a_wrong_word_are_seen() {
    let paths = [
        "a/utils.rs",
        "a/shared/x.rs",
        "a/mod.rs",
        "a/sync_v2.rs",
        "a/new_auth.rs",
    ];
    let samples: Vec<Source> = paths.iter().map(|path| Source::sample(path, "")).collect();
    assert_eq!(drawers(&samples).len(), paths.len());
    assert!(drawers(&[Source::sample("a/letters.rs", "")]).is_empty());
    let text = "fn get_user() {}\nlet login = 1;\npub use crate::x::*;\nfn f() -> Result<(), String> {}";
    assert_eq!(words(&[Source::sample("a.rs", text)]).len(), 4);
    assert!(
        words(&[Source::sample(
            "a.rs",
            "// the login of old\nlet text = \"login\";"
        )])
        .is_empty()
    );
}
