//! Who may use whom inside a crate: a room uses what stands to its right in its crate's line, and nothing else.

use crate::rust_text::code;
use crate::tree::{self, Source};

/// One crate's line. Rooms of one group do not know each other, unless the group is a circle of friends.
struct Line {
    sources: &'static str,
    /// From the top to the ground.
    groups: &'static [&'static [&'static str]],
    /// A group whose rooms may use each other.
    friends: &'static [&'static str],
    /// Rooms that all may use.
    everywhere: &'static [&'static str],
}

const PURE: &[&str] = &[
    "engine", "lanes", "outbox", "ranges", "replica", "search", "tab", "tails", "view",
];

/// The model of devices lies in the room that it is the model of, and is handed the disk from above.
const MODEL: &str = "tab/model";

const LINES: &[Line] = &[
    Line {
        sources: "sync-server/src/",
        groups: &[
            &["main"],
            &["router", "listen"],
            &["web", "gateway", "admin"],
            &["rights"],
            &["runs"],
            &["sync"],
            &["sessions"],
            &["auth"],
            &["limits", "hints", "asked", "body"],
            &["app"],
            &["mail"],
            &["database", "keyspace"],
            &["config", "places"],
        ],
        friends: &[],
        everywhere: &["error"],
    },
    Line {
        sources: "sync-client/src/",
        groups: &[
            &["lib"],
            &["driver", MODEL],
            &["store", "socket", "tokens"],
            &["http"],
            &["credentials", "clock"],
            &["proof", "work", "packed"],
            PURE,
            &["order"],
        ],
        friends: PURE,
        everywhere: &["error"],
    },
    Line {
        sources: "src-tauri/src/",
        groups: &[
            &["main"],
            &["lib"],
            &["rescue", "bell", "menu", "thrift", "first_paint"],
            &["update"],
            &["commands"],
            &["sign_in", "sync", "tray"],
            &[
                "window",
                "keychain",
                "deep_link",
                "registration",
                "export",
                "crash",
                "autostart",
                "clipboard",
                "diagnostics",
            ],
            &["outside", "preferences", "profiles"],
            &["log", "config"],
            &["folder"],
        ],
        friends: &[],
        everywhere: &["error"],
    },
    Line {
        sources: "ui/src/",
        groups: &[
            &["main", "lib"],
            &["start"],
            &["page"],
            &["app"],
            &["auth", "sessions", "settings"],
            &["controls"],
            &["state"],
            &["backend"],
        ],
        friends: &[],
        everywhere: &[],
    },
];

impl Line {
    fn height(&self, room: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.contains(&room))
    }

    fn faults(&self, source: &Source) -> Vec<String> {
        let Some(inner) = source.path.strip_prefix(self.sources) else {
            return Vec::new();
        };
        let first = inner.split(['/', '.']).next().unwrap_or(inner);
        let room = if inner.starts_with(MODEL) { MODEL } else { first };
        if self.everywhere.contains(&room) {
            return Vec::new();
        }
        let Some(own) = self.height(room) else {
            return vec![format!(
                "{}: the room `{room}` has no place in the line",
                source.path
            )];
        };
        uses(&source.text)
            .into_iter()
            .filter(|used| used != first && !self.everywhere.contains(&used.as_str()))
            .filter(|used| self.height(used).is_none_or(|other| other <= own))
            .filter(|used| !(self.friends.contains(&room) && self.friends.contains(&used.as_str())))
            // names at the crate's root belong to its top file
            .filter(|used| used.chars().next().is_some_and(char::is_lowercase))
            .map(|used| format!("{}: `{room}` may not use `{used}`", source.path))
            .collect()
    }
}

/// The first names after `crate::`, of plain paths and of groups.
fn uses(text: &str) -> Vec<String> {
    let code = code(text);
    let mut found: Vec<String> = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.push(word(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found.sort();
    found.dedup();
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first name of each member of a `{…}` group.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut member = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(std::mem::take(&mut member).trim())),
            _ if depth == 0 => member.push(c),
            _ => {}
        }
    }
    heads.push(word(member.trim()));
    heads
}

fn faults(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .flat_map(|source| LINES.iter().flat_map(move |line| line.faults(source)))
        .collect()
}

#[test]
fn every_room_uses_only_what_stands_to_its_right() {
    tree::assert_none("the arrows", &faults(&tree::rust()));
}

#[test]
fn an_arrow_that_points_back_is_seen() {
    let samples = [
        (
            "sync-server/src/auth/password.rs",
            "use crate::sessions::Session;",
        ),
        (
            "sync-server/src/app.rs",
            "use crate::{config::Config, hints::{Hints, x}};",
        ),
        ("sync-server/src/gateway.rs", "fn f() { crate::web::page() }"),
        ("sync-server/src/unheard_of.rs", ""),
        ("sync-client/src/engine/step.rs", "use crate::store::Cache;"),
        ("src-tauri/src/keychain.rs", "use crate::commands::boot;"),
        ("ui/src/backend/web.rs", "use crate::app::App;"),
    ];
    for (path, text) in samples {
        assert_eq!(faults(&[Source::sample(path, text)]).len(), 1, "{path}");
    }
    let sound =
        "use crate::{app::App, auth::{self, Caller}, error::Result};\n// crate::router\nuse crate::sync::x;";
    assert_eq!(
        faults(&[Source::sample("sync-server/src/sync/push.rs", sound)]),
        Vec::<String>::new()
    );
}
