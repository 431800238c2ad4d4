//! What is being written in this browser, for each session by itself.
//!
//! Storage may be full or forbidden: then nothing is kept, and nothing else happens.

use super::kept::storage;
use protocol::SessionId;

fn key(session: Option<SessionId>) -> String {
    session.map_or_else(|| "draft".to_owned(), |session| format!("draft {session}"))
}

/// What was being written; `None`: in the pane for a new session.
pub fn read(session: Option<SessionId>) -> String {
    storage()
        .and_then(|storage| storage.get_item(&key(session)).ok()?)
        .unwrap_or_default()
}

pub fn keep(session: Option<SessionId>, text: &str) {
    let Some(storage) = storage() else { return };
    let _ = if text.is_empty() {
        storage.remove_item(&key(session))
    } else {
        storage.set_item(&key(session), text)
    };
}

/// What was sent is no draft any more.
pub fn settle(session: SessionId, text: &str) {
    for place in [Some(session), None] {
        if read(place) == text {
            keep(place, "");
        }
    }
}

/// After signing out nothing that was written stays behind.
pub fn forget() {
    let Some(storage) = storage() else { return };
    let count = storage.length().unwrap_or_default();
    let keys: Vec<String> = (0..count).filter_map(|index| storage.key(index).ok()?).collect();
    for key in keys.iter().filter(|key| key.starts_with("draft")) {
        let _ = storage.remove_item(key);
    }
}
