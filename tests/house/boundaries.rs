//! What may be said only in one place: SQL, the environment, Tauri's names, styles.

use crate::rust_text::code;
use crate::tree::{self, Source};

/// Stored nouns, as the tables or the words call them: the files that may hold SQL are named after them.
const STORED: &[&str] = &[
    "accounts",
    "agent_sessions",
    "audit_events",
    "challenges",
    "deletions",
    "device_codes",
    "devices",
    "drafts",
    "email_changes",
    "exports",
    "heads",
    "leases",
    "letter_choices",
    "messages",
    "mutations",
    "oauth_codes",
    "outbox",
    "passkeys",
    "provider_tokens",
    "recovery_codes",
    "runs",
    "second_factors",
    "signing_keys",
    "suppressions",
    "users",
    "verification_tokens",
];

fn lines_with<'a>(
    source: &'a Source,
    has: impl Fn(&str) -> bool + 'a,
    what: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let code = code(&source.text);
    let numbers: Vec<usize> = code
        .lines()
        .enumerate()
        .filter(|(_, line)| has(line))
        .map(|(number, _)| number + 1)
        .collect();
    numbers
        .into_iter()
        .map(move |number| format!("{}:{number}: {what}", source.path))
}

fn sql(sources: &[Source]) -> Vec<String> {
    let is_sql = |line: &str| {
        [
            "query!(",
            "query_as!(",
            "query_scalar!(",
            "query_file!(",
            "query_unchecked!(",
        ]
        .iter()
        .any(|macro_name| line.contains(macro_name))
    };
    sources
        .iter()
        .filter(|source| source.path.starts_with("sync-server/") && !STORED.contains(&source.stem()))
        .flat_map(|source| lines_with(source, is_sql, "SQL lives in files named after stored nouns"))
        .collect()
}

/// A connection that is not reached through the two types keeps statements that a pooler loses.
fn connections(sources: &[Source]) -> Vec<String> {
    let names = |line: &str| {
        ["PgPool", "PgConnection", "sqlx::Transaction"]
            .iter()
            .any(|name| line.contains(name))
    };
    sources
        .iter()
        .filter(|source| {
            source.path.starts_with("sync-server/") && !source.path.starts_with("sync-server/src/database")
        })
        .flat_map(|source| lines_with(source, names, "connections live in database.rs"))
        .collect()
}

/// A client that is made elsewhere would follow redirects, and whatever a name leads to.
fn callers(sources: &[Source]) -> Vec<String> {
    let makes = |line: &str| line.contains("Client::builder(") || line.contains("reqwest::Client::new(");
    sources
        .iter()
        .filter(|source| {
            source.path.starts_with("sync-server/") && source.path != "sync-server/src/app/calls.rs"
        })
        .flat_map(|source| lines_with(source, makes, "the server calls others by app/calls.rs"))
        .collect()
}

fn environment(sources: &[Source]) -> Vec<String> {
    let reads = |line: &str| line.contains("env::var") || line.contains("env::vars");
    let may = |path: &str| {
        path.ends_with("/config.rs")
            || path.ends_with("build.rs")
            || path.starts_with("xtask/")
            || path.starts_with("tests/")
    };
    sources
        .iter()
        .filter(|source| !may(&source.path))
        .flat_map(|source| lines_with(source, reads, "only config.rs reads the environment"))
        .collect()
}

fn tauri(sources: &[Source]) -> Vec<String> {
    let rooms = ["ui/", "protocol/", "sync-client/", "sync-server/"];
    sources
        .iter()
        .filter(|source| rooms.iter().any(|room| source.path.starts_with(room)))
        .filter(|source| source.path != "ui/src/backend/desktop.rs")
        .flat_map(|source| {
            let names = |line: &str| line.to_lowercase().contains("tauri");
            lines_with(
                source,
                names,
                "Tauri's names live in ui/src/backend/desktop.rs and src-tauri",
            )
        })
        .collect()
}

fn styles(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.path.starts_with("ui/"))
        .flat_map(|source| {
            let inline = |line: &str| line.starts_with("style=") || line.contains(" style=");
            lines_with(
                source,
                inline,
                "styles are classes: the page's policy blocks inline ones",
            )
        })
        .collect()
}

#[test]
fn sql_is_written_only_where_a_stored_noun_lives() {
    tree::assert_none("SQL", &sql(&tree::rust()));
}

#[test]
fn only_one_file_knows_the_databases_connections() {
    tree::assert_none("connections", &connections(&tree::rust()));
}

#[test]
fn the_server_calls_others_from_one_file() {
    tree::assert_none("calls", &callers(&tree::rust()));
}

#[test]
fn only_the_settings_read_the_environment() {
    tree::assert_none("environment", &environment(&tree::rust()));
}

#[test]
fn tauri_is_named_only_in_the_shell_and_one_file_of_the_page() {
    tree::assert_none("Tauri", &tauri(&tree::rust()));
}

#[test]
fn no_element_carries_its_own_style() {
    tree::assert_none("styles", &styles(&tree::rust()));
}

#[test]
fn each_boundary_can_be_seen_crossed() {
    let at = |path: &str, text: &str| [Source::sample(path, text)];
    let query = "let row = sqlx::query_as!(Row, \"select 1\");";
    assert_eq!(sql(&at("sync-server/src/auth/password.rs", query)).len(), 1);
    assert!(sql(&at("sync-server/src/auth/users.rs", query)).is_empty());
    let bare = "async fn read(pool: &PgPool) {}";
    assert_eq!(connections(&at("sync-server/src/auth/users.rs", bare)).len(), 1);
    assert!(connections(&at("sync-server/src/database.rs", bare)).is_empty());
    let call = "let http = reqwest::Client::builder().build();";
    assert_eq!(callers(&at("sync-server/src/auth/password.rs", call)).len(), 1);
    assert!(callers(&at("sync-server/src/app/calls.rs", call)).is_empty());
    let read = "let home = std::env::var(\"HOME\");";
    assert_eq!(environment(&at("sync-server/src/app.rs", read)).len(), 1);
    assert!(environment(&at("sync-server/src/config.rs", read)).is_empty());
    let call = "#[wasm_bindgen(js_namespace = __TAURI__)] fn invoke();";
    assert_eq!(tauri(&at("ui/src/app.rs", call)).len(), 1);
    assert!(tauri(&at("ui/src/backend/desktop.rs", call)).is_empty());
    assert_eq!(styles(&at("ui/src/app.rs", "html! { <p style={x}/> }")).len(), 1);
    assert!(styles(&at("ui/src/app.rs", "let style = 1; // a style=x")).is_empty());
}
