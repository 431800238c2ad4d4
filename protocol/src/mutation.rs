//! Writes: each idempotent by a client-made id, each with one outcome, however often it is sent.

use crate::sync::{Epoch, Ord, Seq};
use crate::{Code, MessageId, MutationId, Problem, RunId, SessionId, limits};
use serde::{Deserialize, Serialize};

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mutation {
    /// The same id with the same content is the same write; with other content it is refused.
    #[serde(rename = "m")]
    pub id: MutationId,
    /// The version of the op's shape; the server takes every version up to its own.
    pub v: u16,
    #[serde(flatten)]
    pub op: Op,
}

/// The version of [`Op`]'s shapes that this build writes.
pub const OP_VERSION: u16 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "op", content = "body")]
pub enum Op {
    #[serde(rename = "session.create")]
    SessionCreate { id: SessionId, title: String },
    #[serde(rename = "session.rename")]
    SessionRename {
        session: SessionId,
        title: String,
        /// The `title_seq` that the person saw. A newer human title wins: the outcome is `superseded`.
        base: Seq,
    },
    #[serde(rename = "session.archive")]
    SessionArchive { session: SessionId, archived: bool },
    #[serde(rename = "session.delete")]
    SessionDelete { session: SessionId },
    #[serde(rename = "message.create")]
    MessageCreate {
        id: MessageId,
        session: SessionId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<MessageId>,
        content: String,
        run: RunMode,
    },
    /// Asks for the answer to a message that was stored without one. One that has its answer keeps it.
    #[serde(rename = "message.answer")]
    MessageAnswer { session: SessionId, message: MessageId },
}

/// Whether a message is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    Auto,
    /// Stored only, until [`Op::MessageAnswer`] asks: a laptop that wakes with old prompts does not start ten runs.
    Manual,
}

impl Op {
    /// The session it is about: ops of one session are kept in order.
    pub const fn session(&self) -> SessionId {
        match self {
            Self::SessionCreate { id, .. } => *id,
            Self::SessionRename { session, .. }
            | Self::SessionArchive { session, .. }
            | Self::SessionDelete { session }
            | Self::MessageCreate { session, .. }
            | Self::MessageAnswer { session, .. } => *session,
        }
    }

    /// The bounds that both ends keep.
    pub fn check(&self) -> Result<(), Problem> {
        match self {
            Self::SessionCreate { title, .. } => check_title(title, true),
            Self::SessionRename { title, .. } => check_title(title, false),
            Self::MessageCreate { content, .. } => check_content(content),
            Self::SessionArchive { .. } | Self::SessionDelete { .. } | Self::MessageAnswer { .. } => Ok(()),
        }
    }
}

/// An empty title is allowed at creation: the first message names the session.
fn check_title(title: &str, may_be_empty: bool) -> Result<(), Problem> {
    let refuse = |why: String| Err(Problem::new(Code::Invalid).field("title").detail(why));
    if title.chars().count() > limits::TITLE_CHARS {
        return refuse(format!(
            "Please use at most {} characters for a title.",
            limits::TITLE_CHARS
        ));
    }
    if title.chars().any(char::is_control) {
        return refuse("A title is one line of text.".to_owned());
    }
    if !may_be_empty && title.trim().is_empty() {
        return refuse("Please give it a title.".to_owned());
    }
    Ok(())
}

fn check_content(content: &str) -> Result<(), Problem> {
    if content.len() > limits::MESSAGE_BYTES {
        return Err(Problem::new(Code::TooLarge)
            .field("content")
            .detail(format!(
                "A message can hold {} KiB of text; this one is larger. Please send it in parts.",
                limits::MESSAGE_BYTES / 1024
            ))
            .limit(limits::MESSAGE_BYTES as u64));
    }
    if content.trim().is_empty() {
        return Err(Problem::new(Code::Invalid)
            .field("content")
            .detail("Please write something first."));
    }
    if content.contains('\0') {
        return Err(Problem::new(Code::Invalid)
            .field("content")
            .detail("The text holds a character (NUL) that cannot be kept."));
    }
    Ok(())
}

/// `POST /api/v1/mutations`: at most 50, in order; each succeeds or fails alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Batch {
    pub ops: Vec<Mutation>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAnswer {
    /// One for each op, in order. After a failure the later ops of the same session are `skipped`.
    pub results: Vec<Outcome>,
    pub head: Seq,
    /// The history that all this is said of. A device that stands in another believes none of it, and sends it again.
    #[cfg_attr(feature = "openapi", schema(value_type = uuid::Uuid))]
    pub epoch: Epoch,
}

/// What became of a mutation. Stored, so that a replay gets the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    #[serde(rename = "m")]
    pub id: MutationId,
    #[serde(flatten)]
    pub result: OpResult,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum OpResult {
    Applied {
        /// The device sees the effect once its cursor reaches this.
        seq: Seq,
        /// With `message.create`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ord: Option<Ord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// The assistant's message that the run fills.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<MessageId>,
    },
    Refused {
        problem: Problem,
        /// With `superseded`: the title that stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<CurrentTitle>,
    },
    /// An earlier op of the same session failed; send it again.
    Skipped,
}

impl OpResult {
    /// Nothing to say but where it stands.
    pub const fn applied(seq: Seq) -> Self {
        Self::Applied {
            seq,
            ord: None,
            run: None,
            reply: None,
        }
    }

    pub fn refused(code: Code) -> Self {
        Self::Refused {
            problem: Problem::new(code),
            current: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CurrentTitle {
    pub title: String,
    pub title_seq: Seq,
}

/// A title from the first message: its first line, at most 60 characters, cut between words where one ends in time.
pub fn title_from(content: &str) -> String {
    let line = content
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    cut(&line, 60)
}

/// What a list shows of a message: one line of at most 120 characters.
pub fn preview_of(content: &str) -> String {
    let words: Vec<&str> = content.split_whitespace().take(60).collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    cut(&line, 120)
}

fn cut(line: &str, max: usize) -> String {
    if line.chars().count() <= max {
        return line.to_owned();
    }
    let head: String = line.chars().take(max - 1).collect();
    let whole_words = head.rsplit_once(' ').map_or(head.as_str(), |(words, _)| words);
    let kept = if whole_words.chars().count() > max / 2 {
        whole_words
    } else {
        head.as_str()
    };
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutation_reads_as_the_protocol_writes_it() {
        let text = r#"{"m":"018f0000-0000-7000-8000-000000000001","v":1,"op":"message.create",
            "body":{"id":"018f0000-0000-7000-8000-000000000002","session":"018f0000-0000-7000-8000-000000000003","content":"hi","run":"auto"}}"#;
        let mutation: Mutation = serde_json::from_str(text).unwrap();
        assert!(
            matches!(&mutation.op, Op::MessageCreate { content, run: RunMode::Auto, .. } if content == "hi")
        );
        let again: Mutation = serde_json::from_str(&serde_json::to_string(&mutation).unwrap()).unwrap();
        assert_eq!(again, mutation);
    }

    #[test]
    fn a_message_has_text_and_fits_256_kib() {
        let op = |content: String| Op::MessageCreate {
            id: MessageId::fresh(),
            session: SessionId::fresh(),
            parent: None,
            content,
            run: RunMode::Auto,
        };
        assert!(op("x".repeat(limits::MESSAGE_BYTES)).check().is_ok());
        let refused = op("x".repeat(limits::MESSAGE_BYTES + 1)).check().unwrap_err();
        assert_eq!((refused.status, refused.limit), (413, Some(262_144)));
        assert!(op(" \n ".to_owned()).check().is_err() && op("a\0b".to_owned()).check().is_err());
    }

    #[test]
    fn titles_are_one_short_line() {
        assert_eq!(
            title_from("\n  Fix the flaky login test\nIt fails 1 in 5"),
            "Fix the flaky login test"
        );
        let long = title_from(&"word ".repeat(40));
        assert!(long.chars().count() <= 60 && long.ends_with('…'));
        assert!(preview_of(&"漢".repeat(500)).chars().count() <= 120);
    }
}
