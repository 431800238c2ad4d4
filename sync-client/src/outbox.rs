//! What people wrote here and the server has not accepted yet.
//!
//! Every operation is a plan: it looks, and returns a [`Plan`] of rows to put and to drop. The body first writes the
//! plan where it lasts (the desktop: `outbox.db`), then hands it to [`Outbox::apply`]; so nothing is shown as waiting,
//! and no byte is sent, before it is safe.
//! **Invariant:** nothing but an accepted or discarded mutation removes a row; ids and bodies of rows that may have
//! reached the server never change.

mod entry;
mod plans;

#[cfg(test)]
mod tests;

pub use entry::{Entry, Plan, Report, Standing};

#[cfg(feature = "native")]
use protocol::mutation::Batch;
use protocol::sync::{Epoch, Seq};
use protocol::{MutationId, SessionId, UnixMillis, limits};
use std::collections::{BTreeMap, BTreeSet};

/// How long a deletion waits for "undo".
pub const UNDO_MILLIS: i64 = 10_000;
/// A prompt older than this when it first goes out is stored, and answered only when a person asks for it.
pub const STALE_PROMPT_MILLIS: i64 = 600_000;
/// How long acked mutations are kept after their acceptance, to be sent again after a restore of the server.
pub const JOURNAL_MILLIS: i64 = 14 * 86_400_000;
/// How often the server may say of one mutation that its session is not there. After a restore the session comes back
/// with whichever device made it; the lane's back-off makes these about half an hour.
pub const NOT_FOUND_TRIES: u32 = 60;
/// Bytes of text in one batch.
const BATCH_TEXT: usize = 256 * 1024;

/// What the server has not accepted, by what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Messages that go out by themselves.
    pub messages: u64,
    /// Whatever else does.
    pub changes: u64,
    /// Messages that a person has to decide on.
    pub refused: u64,
}

/// The queue in memory, by order of writing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    entries: BTreeMap<i64, Entry>,
    last: i64,
    /// The history of the server that the device stands in; `None` before the first page.
    epoch: Option<Epoch>,
}

impl Outbox {
    /// From kept rows. What was on its way when the program ended is queued again, with the same id.
    pub fn load(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::load_after(entries, 0)
    }

    /// The same where rows of others were numbered too: new ones come after `last`.
    pub fn load_after(entries: impl IntoIterator<Item = Entry>, last: i64) -> Self {
        let mut outbox = Self {
            last,
            ..Self::default()
        };
        for mut entry in entries {
            if entry.standing == Standing::Inflight {
                entry.standing = Standing::Queued;
            }
            outbox.last = outbox.last.max(entry.n);
            outbox.entries.insert(entry.n, entry);
        }
        outbox
    }

    /// The device stands in this history now; what is said of another is not believed. True: it stood elsewhere, so that
    /// all that was accepted is to be sent again.
    pub fn enter(&mut self, epoch: Epoch) -> bool {
        self.epoch.replace(epoch) != Some(epoch)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn entry(&self, mutation: MutationId) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.mutation.id == mutation)
    }

    /// The rows of one session, in order.
    pub fn lane(&self, session: SessionId) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .filter(move |entry| entry.mutation.op.session() == session)
    }

    /// What the server has not accepted: waiting or refused.
    pub fn waiting(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| !matches!(entry.standing, Standing::Acked { .. }))
            .count()
    }

    pub fn unsent(&self) -> Unsent {
        let mut unsent = Unsent::default();
        for entry in self.entries.values() {
            match entry.standing {
                Standing::Dead { .. } if entry.is_message() => unsent.refused += 1,
                Standing::Acked { .. } | Standing::Dead { .. } => {}
                Standing::Queued | Standing::Inflight if entry.is_message() => unsent.messages += 1,
                Standing::Queued | Standing::Inflight => unsent.changes += 1,
            }
        }
        unsent
    }

    /// Whether something is open that the server could not take because this session was not there.
    pub fn waits_for(&self, session: SessionId) -> bool {
        self.lane(session)
            .any(|entry| entry.is_open() && entry.not_found > 0)
    }

    /// Makes a plan real.
    pub fn apply(&mut self, plan: &Plan) {
        for n in &plan.drop {
            self.entries.remove(n);
        }
        for entry in &plan.put {
            self.last = self.last.max(entry.n);
            self.entries.insert(entry.n, entry.clone());
        }
    }

    /// A batch came back, and what became of it could not be written down. On the disk its rows are on their way, and so
    /// sent again after the next start; here they are sent again without waiting for one, under the same ids.
    #[cfg(feature = "native")]
    pub fn release(&mut self, batch: &Batch) {
        let is_of_it = |entry: &Entry| batch.ops.iter().any(|mutation| mutation.id == entry.mutation.id);
        for entry in self.entries.values_mut() {
            if entry.standing == Standing::Inflight && is_of_it(entry) {
                entry.standing = Standing::Queued;
            }
        }
    }

    /// Forgets accepted rows whose effect is in the server's rows that are here, which are whole up to this. They stay
    /// on disk as the journal.
    pub fn settle(&mut self, whole: Seq) {
        self.entries
            .retain(|_, entry| !matches!(entry.standing, Standing::Acked { seq } if seq <= whole));
    }

    /// The sessions whose next row may go out.
    pub fn due_lanes(&self, now: UnixMillis) -> BTreeSet<SessionId> {
        let mut seen = BTreeSet::new();
        let mut due = BTreeSet::new();
        for entry in self.entries.values() {
            let session = entry.mutation.op.session();
            if entry.is_to_be_sent() && seen.insert(session) && entry.is_due(now) {
                due.insert(session);
            }
        }
        due
    }

    /// When the next delayed row may go out.
    pub fn next_due(&self, now: UnixMillis) -> Option<UnixMillis> {
        let delayed = self
            .entries
            .values()
            .filter(|entry| entry.is_to_be_sent() && !entry.is_due(now));
        delayed.map(|entry| entry.not_before).min()
    }

    /// The next batch of a lane, oldest first: at most 50 ops and 256 KiB, and never two renames, since the second
    /// one's base is known only when the first is answered.
    fn next_batch(&self, session: SessionId, most: usize, now: UnixMillis) -> Vec<&Entry> {
        let mut batch = Vec::new();
        let (mut bytes, mut renames) = (0, 0);
        for entry in self.lane(session).filter(|entry| entry.is_to_be_sent()) {
            bytes += entry.text_bytes();
            renames += usize::from(entry.is_rename());
            let is_full =
                batch.len() >= most.min(limits::BATCH_OPS) || (bytes > BATCH_TEXT && !batch.is_empty());
            if is_full || !entry.is_due(now) || renames > 1 {
                break;
            }
            batch.push(entry);
        }
        batch
    }
}
