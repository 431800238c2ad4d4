//! What somebody who helps needs to know of this app and this computer, as a text to be pasted.
//!
//! **Invariant:** no secret, no person's address or name, no message's text. The log holds none by intention; what looks like
//! one is taken out all the same.

use crate::error::Result;
use crate::log;
use protocol::ipc::Storage;
use protocol::view::{Connection, Obstacle};
use std::fmt::Write as _;
use std::path::Path;

/// So many lines of the log tell what happened last.
const LINES: usize = 100;

/// A quoted text longer than this is somebody's words rather than a name.
const QUOTED: usize = 40;

/// The shortest mixture of letters and digits that may be a key.
const KEY: usize = 20;

/// What the report is about.
#[derive(Debug)]
pub struct Known<'a> {
    pub server: &'a str,
    pub connection: Connection,
    /// The newest change that is here.
    pub change: Option<i64>,
    pub storage: &'a Storage,
    pub is_safe: bool,
    pub logs: &'a Path,
    /// Words that must not be in it: the person's name and address, their folder, their computer's name.
    pub private: &'a [String],
}

pub fn report(known: &Known<'_>) -> Result<String> {
    let mut text = String::new();
    let storage = known.storage;
    let lines = [
        ("CompyMac", env!("CARGO_PKG_VERSION").to_owned()),
        ("System", system()),
        ("Web view", web_view(known.is_safe)),
        ("Server", known.server.to_owned()),
        ("Connection", connection(known.connection)),
        (
            "In step up to change",
            known
                .change
                .map_or_else(|| "none yet".to_owned(), |seq| seq.to_string()),
        ),
        (
            "Kept here",
            format!(
                "{} sessions, {} messages, {} bytes",
                storage.sessions, storage.messages, storage.cache_bytes
            ),
        ),
        ("That copy is", storage.protection.clone()),
        (
            "Kept aside",
            storage.aside.as_ref().map_or_else(
                || "nothing".to_owned(),
                |aside| format!("{} files, {} bytes", aside.files, aside.bytes),
            ),
        ),
        ("Waiting to send", storage.waiting.to_string()),
        ("Sign-in kept in", format!("{:?}", storage.secrets)),
    ];
    for (what, is) in lines {
        let _ = writeln!(text, "{what}: {is}");
    }
    let _ = writeln!(text, "\nThe log's last lines:");
    for line in log::last_lines(known.logs, LINES)? {
        let _ = writeln!(text, "{}", scrub(&line, known.private));
    }
    Ok(text)
}

fn system() -> String {
    let kind = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    // Where there is no such file, the kind has to do.
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || kind.clone(),
        |name| format!("{kind}, {}", name.trim_matches('"')),
    )
}

fn web_view(is_safe: bool) -> String {
    let version = tauri::webview_version().unwrap_or_else(|error| format!("unknown ({error})"));
    let safe = if is_safe {
        ", without the graphics card"
    } else {
        ""
    };
    format!("{version}{safe}")
}

fn connection(connection: Connection) -> String {
    match connection {
        Connection::Connecting => "connecting".to_owned(),
        Connection::Online => "online".to_owned(),
        Connection::SignedOut => "signed out".to_owned(),
        Connection::Stopped { by: Obstacle::Disk } => "stopped: what comes cannot be written here".to_owned(),
        Connection::Stopped {
            by: Obstacle::Unwanted,
        } => "stopped: the server does not want this build".to_owned(),
        Connection::Stopped { by: Obstacle::Resets } => "stopped: sent back too often".to_owned(),
        Connection::Offline { since: None } => "offline".to_owned(),
        Connection::Offline { since: Some(since) } => {
            let at = time::OffsetDateTime::from_unix_timestamp(since / 1000).ok();
            let at = at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
            format!("offline, last in step {}", at.unwrap_or_default())
        }
    }
}

/// A line of the log without what nobody else is to read.
fn scrub(line: &str, private: &[String]) -> String {
    let mut line = line.to_owned();
    for word in private.iter().filter(|word| word.chars().count() > 2) {
        line = line.replace(word.as_str(), "(private)");
    }
    let line = without_long_quotes(&line);
    let mut is_bearer = false;
    let words = line.split(' ').map(|word| {
        let was_bearer = std::mem::replace(&mut is_bearer, word.to_ascii_lowercase().ends_with("bearer"));
        if was_bearer {
            "(key)".to_owned()
        } else {
            without_keys(&without_address(&without_query(word)))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn without_long_quotes(line: &str) -> String {
    let mut parts = line.split('"');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut is_inside = true;
    for part in parts {
        text.push('"');
        let is_long = is_inside && part.chars().count() > QUOTED;
        text.push_str(if is_long { "…" } else { part });
        is_inside = !is_inside;
    }
    text
}

/// Of an address on the web, what follows its `?` or `#`; of a link into an app, all that follows its scheme.
fn without_query(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    if !scheme.ends_with("http") && !scheme.ends_with("https") {
        return format!("{scheme}://…");
    }
    match rest.find(['?', '#']) {
        Some(at) => format!("{scheme}://{}…", rest.get(..at).unwrap_or_default()),
        None => word.to_owned(),
    }
}

fn without_address(word: &str) -> String {
    match word.split_once('@') {
        Some((before, after)) if !before.is_empty() && after.contains('.') => "(address)".to_owned(),
        Some(_) | None => word.to_owned(),
    }
}

/// Runs of letters and digits that are too long and too mixed for a word; ids are no keys.
fn without_keys(word: &str) -> String {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut text = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_key(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        text.push_str(if is_key(run) { "(key)" } else { run });
        let mut others = after.chars();
        text.extend(others.next());
        rest = others.as_str();
    }
    text
}

fn is_key(run: &str) -> bool {
    let has = |is: fn(&char) -> bool| run.chars().any(|c| is(&c));
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    let is_time = run.get(4..5) == Some("-") && run.get(10..11) == Some("T");
    run.starts_with("cmr_")
        || run.starts_with("eyJ")
        || (run.len() >= KEY && is_mixed && !is_time && run.parse::<protocol::SessionId>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_private_is_left_of_a_line() {
        let private = ["Ana Ruiz".to_owned(), "/home/ana".to_owned()];
        for (line, wanted) in [
            (
                "WARN desktop: signed in as ana@example.org now",
                "WARN desktop: signed in as (address) now",
            ),
            ("token=eyJhbGciOi.eyJzdWIi.abc", "token=(key).(key).abc"),
            ("kept cmr_0a", "kept (key)"),
            ("authorization: Bearer abc", "authorization: Bearer (key)"),
            ("x k=Zm9vYmFyYmF6cXV1eDEyMzQ1", "x k=(key)"),
            ("at /home/ana/x by Ana Ruiz", "at (private)/x by (private)"),
            (
                "opened url=https://a.org/b?code=1&state=2",
                "opened url=https://a.org/b…",
            ),
            ("link compymac://auth/callback?code=1", "link compymac://…"),
            (
                "text=\"this is what somebody wrote to an agent, at length\" n=3",
                "text=\"…\" n=3",
            ),
        ] {
            assert_eq!(scrub(line, &private), wanted);
        }
    }

    #[test]
    fn what_helps_stays() {
        for line in [
            "2026-11-26T23:10:11.123456Z  INFO sync_client::engine::turns: moved to=Live seq=42",
            "session 0192f3a1-7c1e-7d30-a1b2-0123456789ab was opened",
            "the_page_process_was_terminated reason=\"crashed\"",
            "server=http://127.0.0.1:8080/ is_safe=false",
        ] {
            assert_eq!(scrub(line, &[]), line);
        }
    }
}
