//! The small protocol of `/ws/{session_id}`: one session, plain frames, for scripts and simple clients.
//! It runs over the same machinery as `/ws`; credentials come in the `Authorization` header or the cookie, never in the URL.
//!
//! The server pings every 25 seconds with WebSocket's own ping (RFC 6455 §5.5.2), which libraries answer by themselves; a
//! client that is silent for 10 seconds after one is closed with [`close::NO_PONG`]. An access token cannot be renewed
//! here: half a minute after its end the socket is closed with [`close::TOKEN_EXPIRED`], and the client connects again with
//! a fresh one. A device that is signed out is closed with [`close::REVOKED`].
//!
//! A message over [`MESSAGE_BYTES`] is answered with [`Answer::Error`]; only a frame over [`SESSION_FRAME_BYTES`], or one
//! that is no JSON, closes the socket, with [`close::PROTOCOL`].
//!
//! [`close::NO_PONG`]: crate::frame::close::NO_PONG
//! [`close::TOKEN_EXPIRED`]: crate::frame::close::TOKEN_EXPIRED
//! [`close::REVOKED`]: crate::frame::close::REVOKED
//! [`close::PROTOCOL`]: crate::frame::close::PROTOCOL
//! [`MESSAGE_BYTES`]: crate::limits::MESSAGE_BYTES
//! [`SESSION_FRAME_BYTES`]: crate::limits::SESSION_FRAME_BYTES

use crate::sync::Role;
use crate::{MessageId, MutationId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ask {
    UserMessage {
        content: String,
        /// Makes a repeat harmless; without it every frame is a new message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mutation: Option<MutationId>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// Once, on connect: the newest messages, oldest first. Whole messages, as many as one page has
    /// ([`MESSAGE_PAGE`](crate::limits::MESSAGE_PAGE)) and as [`HISTORY_BYTES`](crate::limits::HISTORY_BYTES) hold, and at
    /// least one; what came before is read by HTTP.
    History {
        messages: Vec<Line>,
    },
    AssistantMessageDelta {
        id: MessageId,
        content: String,
    },
    AssistantMessageComplete {
        id: MessageId,
        content: String,
        status: crate::run::Status,
    },
    Error {
        code: crate::Code,
        detail: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub id: MessageId,
    pub role: Role,
    pub content: String,
}
