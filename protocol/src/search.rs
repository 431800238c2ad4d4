//! What a search on a device finds: sessions, and in them messages, with what fits marked as data.
//!
//! Made by the device's own half, which looks only at what is here; it crosses a border between core and page alone.

use crate::sync::{Ord, Role};
use crate::{MessageId, SessionId, UnixMillis};
use serde::{Deserialize, Serialize};

/// The best first: sessions whose titles fit, then those with the message that fits best.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub sessions: Vec<FoundSession>,
    /// More fits than is told here.
    pub has_more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSession {
    pub id: SessionId,
    /// Empty where it has none yet.
    pub title: Vec<Piece>,
    /// The title itself fits, whatever is said inside.
    pub is_titled_so: bool,
    pub archived: bool,
    pub last_active: UnixMillis,
    pub hits: Vec<Hit>,
}

/// One message that holds every word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub message: MessageId,
    /// Its place in the session; `None`: it waits here to be sent.
    pub ord: Option<Ord>,
    pub role: Role,
    /// Around what fits, on one line.
    pub snippet: Vec<Piece>,
    pub created_at: UnixMillis,
}

/// A stretch of text that fits, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub text: String,
    pub is_hit: bool,
}

impl Found {
    /// Titles and messages, as a person counts them.
    pub fn count(&self) -> usize {
        let of = |session: &FoundSession| usize::from(session.is_titled_so) + session.hits.len();
        self.sessions.iter().map(of).sum()
    }
}
