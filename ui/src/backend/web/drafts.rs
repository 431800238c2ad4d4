//! What is being written in this browser, for each person and session by itself.
//!
//! Storage may be full or forbidden: then nothing is kept, and nothing else happens.

use super::kept::storage;
use protocol::{SessionId, UserId};

fn key(user: UserId, session: Option<SessionId>) -> String {
    session.map_or_else(
        || format!("draft {user}"),
        |session| format!("draft {user} {session}"),
    )
}

/// What was being written; `None`: in the pane for a new session.
pub fn read(user: UserId, session: Option<SessionId>) -> String {
    storage()
        .and_then(|storage| storage.get_item(&key(user, session)).ok()?)
        .unwrap_or_default()
}

pub fn keep(user: UserId, session: Option<SessionId>, text: &str) {
    let Some(storage) = storage() else { return };
    let _ = if text.is_empty() {
        storage.remove_item(&key(user, session))
    } else {
        storage.set_item(&key(user, session), text)
    };
}

/// What was sent is no draft any more.
pub fn settle(user: UserId, session: SessionId, text: &str) {
    for place in [Some(session), None] {
        if read(user, place) == text {
            keep(user, place, "");
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
