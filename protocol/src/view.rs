//! What the page shows: the cache's rows with the outbox laid over them, made by the desktop's core or in the browser.

use crate::auth::{Device, Me, Provider};
use crate::run::Status;
use crate::sync::Role;
use crate::{MessageId, MutationId, Problem, RunId, SessionId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Rows of the list that a page is given at first. It asks for more where somebody scrolls, or looks for words.
pub const LIST_ROWS: usize = 200;

/// Everything the first paint needs. The server writes it into the page; the desktop's core answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    pub body: Body,
    /// Hidden field of every form; empty on the desktop.
    pub csrf: String,
    pub providers: Vec<Provider>,
    /// `None`: nobody is signed in.
    pub me: Option<Me>,
    /// Newest first; of the archived ones if the page is theirs.
    pub list: Vec<SessionRow>,
    /// The session that the page shows.
    pub open: Option<Transcript>,
    /// The settings page's; empty elsewhere.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// What went wrong with the form that led here.
    pub problem: Option<Problem>,
    /// A form's own values, to be shown again: the e-mail, a message's text.
    pub typed: Typed,
    /// The server's address, for the sign-in page's small print.
    pub server: String,
    pub version: String,
    pub connection: Connection,
    /// The time when this was made: pages drawn on the server and again in the browser agree on "2 min ago".
    pub now: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Browser,
    Desktop,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub text: String,
    /// Where to go after signing in; a path of this site only.
    #[serde(default)]
    pub next: String,
    /// Whether the box was ticked that keeps a browser signed in.
    #[serde(default)]
    pub stays: bool,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: SessionId,
    pub title: String,
    pub title_seq: i64,
    pub preview: String,
    pub archived: bool,
    pub running: bool,
    /// Mutations of this session that the server has not accepted yet.
    pub waiting: u32,
    /// How many messages the server has of it.
    pub messages: i64,
    /// All of it stays on this computer, however little room there is. Only the desktop keeps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    pub last_active: UnixMillis,
    pub created_at: UnixMillis,
}

/// A session opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    pub session: SessionRow,
    pub state: TranscriptState,
    /// By ord; messages still on their way come last.
    pub messages: Vec<MessageView>,
    /// There are older messages to be loaded.
    pub has_earlier: bool,
    /// The last message, where the server keeps it without an answer: somebody may ask for one.
    #[serde(default)]
    pub unanswered: Option<MessageId>,
}

/// The last of a session's newest messages, if it is a person's: a reply has its place as soon as one is asked for.
pub fn unanswered(newest: &[crate::sync::Message]) -> Option<MessageId> {
    let last = newest.iter().rfind(|message| !message.deleted)?;
    (last.role == Role::User).then_some(last.id)
}

/// "Nothing here" is said only when the server has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptState {
    Ready,
    Loading,
    /// Offline, and never loaded on this computer.
    NotHere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    pub id: MessageId,
    pub role: Role,
    pub content: String,
    pub status: Status,
    pub delivery: Delivery,
    /// The run that makes it, while it is being made.
    pub run: Option<RunId>,
    /// Of a failed run: what went wrong, in plain words.
    pub error: Option<String>,
    pub created_at: UnixMillis,
}

/// Where a message of one's own is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// On the server.
    Sent,
    /// In the outbox; goes out by itself. `mutation` cancels it.
    Waiting { mutation: MutationId },
    /// Refused for good; kept with its text until the person decides.
    NotSent { mutation: MutationId, problem: Problem },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    Connecting,
    Online,
    /// `since`: when this device was last in step with the server, if ever.
    Offline {
        since: Option<UnixMillis>,
    },
    /// The server wants a new sign-in; reading and writing go on here.
    SignedOut,
    /// Nothing comes and goes until what is in the way is gone. Reading goes on here.
    Stopped {
        by: Obstacle,
    },
}

/// What keeps a device from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// What comes cannot be written down here.
    Disk,
    /// The server wants nothing of this build of the app any more.
    Unwanted,
    /// The server sends the device back to the beginning again and again.
    Resets,
}

/// What happened, for the page. It asks again for what it shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    Connection {
        connection: Connection,
    },
    /// The list, or a session in it, changed.
    List,
    /// The messages of this session changed.
    Transcript {
        session: SessionId,
    },
    /// A reply grew. `offset` is in bytes; a page that has another length asks for the transcript again.
    Tail {
        session: SessionId,
        message: MessageId,
        offset: u64,
        text: String,
    },
    /// A rename, an archiving or a deletion was not taken by the server, and what stands is in the list; or what is
    /// written, or was loaded, cannot be kept here.
    Refused {
        problem: Problem,
    },
    /// Signed in or out.
    Me {
        me: Option<Me>,
    },
    /// A sign-in begun in the system browser failed.
    SignInFailed {
        problem: Problem,
    },
    /// A link asked for this session.
    Open {
        session: SessionId,
    },
    /// A link brought this to begin a session with. It is shown, and sent by nobody but whoever reads it.
    Prompt {
        text: String,
    },
}

/// A QR code: dark squares of length one in a square of this side, four of it margin all around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub side: usize,
    /// As SVG's `d`.
    pub path: String,
}

/// The row as the server has it, nothing waiting.
impl From<crate::sync::Session> for SessionRow {
    fn from(session: crate::sync::Session) -> Self {
        Self {
            id: session.id,
            title: session.title,
            title_seq: session.title_seq,
            preview: session.preview,
            archived: session.archived,
            running: session.running,
            waiting: 0,
            messages: session.last_ord,
            kept: false,
            last_active: session.last_active,
            created_at: session.created_at,
        }
    }
}

/// The message as the server has it.
impl From<crate::sync::Message> for MessageView {
    fn from(message: crate::sync::Message) -> Self {
        Self {
            error: message
                .metadata
                .get("error")
                .and_then(|error| error.as_str())
                .map(str::to_owned),
            id: message.id,
            role: message.role,
            content: message.content,
            status: message.status,
            delivery: Delivery::Sent,
            run: message.run.filter(|_| !message.status.is_terminal()),
            created_at: message.created_at,
        }
    }
}
