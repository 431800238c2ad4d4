//! The small protocol of `/ws/{session_id}`: one session, plain frames, for scripts and simple clients.
//! It runs over the same machinery as `/ws`; credentials come in the `Authorization` header or the cookie, never in the URL.

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
    /// Once, on connect: the newest messages, oldest first.
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
