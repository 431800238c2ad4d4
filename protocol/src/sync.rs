//! The change feed: rows carry a `seq`, a device has a cursor, and a page is the range between two cursors.

use crate::run::Status;
use crate::{MessageId, RunId, SessionId, UnixMillis};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A change number of one user: dense from 1, given out under the user's head lock, so that whoever sees N sees all before it.
pub type Seq = i64;
/// A message's place in its session: 1..n without holes.
pub type Ord = i64;
/// Changes when the server's history was rewritten (a restore): every cursor of an earlier epoch is void.
pub type Epoch = Uuid;

/// Where a device stands: everything up to `seq` of `epoch` is applied. Opaque on the wire: base64url of `1|epoch|seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    pub epoch: Epoch,
    pub seq: Seq,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("1|{}|{}", self.epoch, self.seq)))
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = "this is not a cursor that this server gave out";
        if text.len() > 128 {
            return Err(refuse);
        }
        let plain = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(refuse)?;
        let mut parts = plain.split('|');
        match (
            parts.next(),
            parts.next().map(Uuid::parse_str),
            parts.next().map(str::parse::<Seq>),
            parts.next(),
        ) {
            (Some("1"), Some(Ok(epoch)), Some(Ok(seq)), None) if seq >= 0 => Ok(Self { epoch, seq }),
            _ => Err(refuse),
        }
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Why a cursor cannot be continued from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The server was restored to an earlier point.
    Epoch,
    /// What lies between was purged.
    Floor,
    /// The cursor is newer than the head.
    Ahead,
    /// A fresh start is cheaper.
    TooFar,
}

/// An agent session as devices keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub id: SessionId,
    pub seq: Seq,
    pub title: String,
    /// The seq of the last rename; a rename names the one it was based on.
    pub title_seq: Seq,
    pub archived: bool,
    pub last_ord: Ord,
    /// The beginning of its last message, at most 120 characters, one line.
    pub preview: String,
    /// Whether a reply is being made right now.
    pub running: bool,
    pub last_active: UnixMillis,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
    System,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// A message as devices keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    pub id: MessageId,
    pub session: SessionId,
    pub seq: Seq,
    pub ord: Ord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
    pub role: Role,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Empty while queued or streaming: the text so far is the run's.
    pub content: String,
    /// Tool calls, tokens used, `error` of a failed run.
    #[serde(default)]
    pub metadata: serde_json::Value,
    pub created_at: UnixMillis,
    /// A tombstone keeps its place in the order, without content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// One row in its newest state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "k", content = "v", rename_all = "snake_case")]
pub enum Change {
    Session(Session),
    Message(Message),
    /// A deleted session; its messages go with it.
    SessionGone {
        id: SessionId,
        seq: Seq,
    },
}

impl Change {
    pub const fn seq(&self) -> Seq {
        match self {
            Self::Session(session) => session.seq,
            Self::Message(message) => message.seq,
            Self::SessionGone { seq, .. } => *seq,
        }
    }
}

/// `GET /api/v1/sync`: the changes in `(from, to]`, by seq. Applies only where `from` equals the device's cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncPage {
    pub from: Cursor,
    pub to: Cursor,
    pub head: Seq,
    pub more: bool,
    pub changes: Vec<Change>,
}

/// `GET /api/v1/bootstrap`: where a device begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bootstrap {
    /// The device's cursor from here on.
    pub as_of: Cursor,
    /// The newest sessions, archived ones too.
    pub sessions: Vec<Session>,
    /// The last messages of the newest of them, each with the range that it fills.
    pub histories: Vec<History>,
    /// Where the list goes on; `None` when it is whole.
    pub more: Option<SessionsBefore>,
}

/// A contiguous stretch of one session's messages, `lo..=hi` by ord. Empty: `lo = 1, hi = 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    pub session: SessionId,
    /// Apply only where the epoch is the device's and the seq is not older than its cursor.
    pub as_of: Cursor,
    pub lo: Ord,
    pub hi: Ord,
    /// By ord, ascending.
    pub messages: Vec<Message>,
}

/// `POST /api/v1/histories`: sessions whose newest messages are wanted, the most wanted first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoriesAsk {
    pub sessions: Vec<SessionId>,
}

/// The newest messages of each session, in the order asked. A session that is not here has none, is not there, or found
/// no more room: then those after it did not either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Histories {
    /// That of each of them: one snapshot.
    pub as_of: Cursor,
    pub histories: Vec<History>,
}

/// `GET /api/v1/sessions`: one page, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionsPage {
    pub as_of: Cursor,
    pub sessions: Vec<Session>,
    pub more: Option<SessionsBefore>,
}

/// The key of the last row of a list page: the next page holds what is older. Opaque on the wire: `{micros}~{uuid}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionsBefore {
    /// Microseconds since the epoch, as exact as the database sorts.
    pub last_active: i64,
    pub id: SessionId,
}

impl fmt::Display for SessionsBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.last_active, self.id)
    }
}

impl From<SessionsBefore> for String {
    fn from(before: SessionsBefore) -> Self {
        before.to_string()
    }
}

impl std::str::FromStr for SessionsBefore {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = "this is not a page key that this server gave out";
        let (last_active, id) = text.split_once('~').ok_or(refuse)?;
        match (last_active.parse(), id.parse()) {
            (Ok(last_active), Ok(id)) => Ok(Self { last_active, id }),
            _ => Err(refuse),
        }
    }
}

impl TryFrom<String> for SessionsBefore {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// `POST /api/v1/verify`: what a device believes, to be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyAsk {
    pub cursor: Cursor,
    pub sessions: Vec<Digest>,
}

/// A stretch of a session's messages in one number each way. `xor` is of [`row_hash`] over its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Digest {
    pub id: SessionId,
    pub lo: Ord,
    pub hi: Ord,
    pub count: i64,
    /// Hexadecimal, 16 digits: JSON numbers do not hold 64 bits.
    pub xor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerifyAnswer {
    /// The sessions to be loaded again.
    pub differ: Vec<SessionId>,
    /// The sessions that were deleted: there is nothing to load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<SessionId>,
}

/// A 64-bit hash of one row's identity and version: FNV-1a over the id's 16 bytes and the seq's 8, little endian.
pub fn row_hash(id: MessageId, seq: Seq) -> u64 {
    let bytes = id.0.into_bytes().into_iter().chain(seq.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_written(seq in 0..i64::MAX, epoch in any::<u128>()) {
            let cursor = Cursor { epoch: Uuid::from_u128(epoch), seq };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn any_other_text_is_refused_and_never_panics(text in ".{0,200}") {
            let _ = text.parse::<Cursor>();
            let _ = text.parse::<SessionsBefore>();
        }
    }

    #[test]
    fn a_negative_or_foreign_cursor_is_refused() {
        for plain in [
            "1|00000000-0000-0000-0000-000000000000|-1",
            "2|00000000-0000-0000-0000-000000000000|1",
            "1|x|1",
            "",
        ] {
            assert!(
                URL_SAFE_NO_PAD.encode(plain).parse::<Cursor>().is_err(),
                "{plain}"
            );
        }
    }
}
