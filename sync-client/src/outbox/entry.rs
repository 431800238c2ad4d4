//! One row of the outbox, and what a plan does to the rows.

use protocol::mutation::{CurrentTitle, Mutation, Op};
use protocol::sync::Seq;
use protocol::{Problem, UnixMillis};

/// How a mutation stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Queued,
    Inflight,
    /// Accepted; its effect is in each row that has this `seq` or a newer one.
    Acked {
        seq: Seq,
    },
    /// Refused for good. Kept until a person decides.
    Dead {
        problem: Problem,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The order of writing.
    pub n: i64,
    pub mutation: Mutation,
    pub standing: Standing,
    /// How often it may have reached the server.
    pub attempts: u32,
    /// How often the server has said that what it is about is not there.
    pub not_found: u32,
    /// Not to be sent before this time.
    pub not_before: UnixMillis,
    pub created_at: UnixMillis,
}

impl Entry {
    /// Still to be sent, or being sent.
    pub const fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Queued | Standing::Inflight)
    }

    /// Whether a row that is here, of this `seq`, says it already.
    pub const fn is_in(&self, row: Seq) -> bool {
        matches!(self.standing, Standing::Acked { seq } if seq <= row)
    }

    pub(super) const fn is_to_be_sent(&self) -> bool {
        matches!(self.standing, Standing::Queued)
    }

    /// Whether it may go out now. A clock that was set back must not hold a row for years: nothing waits longer than
    /// an undo lasts.
    pub(super) const fn is_due(&self, now: UnixMillis) -> bool {
        self.not_before <= now || self.not_before > now.saturating_add(super::UNDO_MILLIS)
    }

    pub(super) const fn is_rename(&self) -> bool {
        matches!(self.mutation.op, Op::SessionRename { .. })
    }

    pub(super) const fn is_creation(&self) -> bool {
        matches!(self.mutation.op, Op::SessionCreate { .. })
    }

    pub(super) const fn is_message(&self) -> bool {
        matches!(self.mutation.op, Op::MessageCreate { .. })
    }

    pub(super) const fn text_bytes(&self) -> usize {
        match &self.mutation.op {
            Op::MessageCreate { content, .. } => content.len(),
            Op::SessionCreate { title, .. } | Op::SessionRename { title, .. } => title.len(),
            Op::SessionArchive { .. } | Op::SessionDelete { .. } | Op::MessageAnswer { .. } => 0,
        }
    }
}

/// Rows to put and rows to drop, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub put: Vec<Entry>,
    pub drop: Vec<i64>,
    /// What a person has to be told of once the plan is real.
    pub reports: Vec<Report>,
    /// The server wants some of it again, later.
    pub again: bool,
}

impl Plan {
    pub const fn is_empty(&self) -> bool {
        self.put.is_empty() && self.drop.is_empty()
    }
}

/// A change that the server refused and that has no text of its own to keep: it is dropped and told.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub op: Op,
    pub problem: Problem,
    /// With a superseded rename: the title that stands.
    pub current: Option<CurrentTitle>,
}
