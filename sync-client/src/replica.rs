//! The server's rows in memory: what a browser's page keeps, and the model of what the desktop keeps on disk.
//!
//! **Invariant:** a row changes only to a newer `seq`; a deleted session never comes back; the cursor moves only by a
//! page that begins at it. Applying anything twice, or late, changes nothing.

use crate::outbox::Outbox;
use crate::ranges::{Ranges, missing};
use crate::tails::Tails;
use crate::view::{self, Rows};
use protocol::SessionId;
use protocol::sync::{
    Bootstrap, Change, Cursor, History, Message, Ord, Seq, Session, SessionsPage, SyncPage,
};
use protocol::view::{SessionRow, Transcript, TranscriptState};
use std::collections::{BTreeMap, BTreeSet};

/// What became of something handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    /// It ends at or before the cursor: nothing new in it.
    Old,
    /// It does not begin at the cursor, or was read before it: ask again.
    Gap,
}

/// What changed, for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub verdict: Verdict,
    /// The list, or a row in it.
    pub list: bool,
    /// Sessions whose messages changed.
    pub sessions: BTreeSet<SessionId>,
}

impl Applied {
    pub const fn nothing(verdict: Verdict) -> Self {
        Self {
            verdict,
            list: false,
            sessions: BTreeSet::new(),
        }
    }
}

/// Whether a page may be applied at this cursor (the change feed's rule).
pub fn judge_page(cursor: Option<Cursor>, page: &SyncPage) -> Verdict {
    match cursor {
        Some(cursor) if cursor == page.from && page.to.epoch == cursor.epoch => Verdict::Applied,
        Some(cursor) if cursor.epoch == page.to.epoch && page.to.seq <= cursor.seq => Verdict::Old,
        Some(_) | None => Verdict::Gap,
    }
}

/// Whether rows read at `as_of` may be applied (the back-fill rule): a read older than the cursor could bring back
/// what a change already took away.
pub fn judge_read(cursor: Option<Cursor>, as_of: Cursor) -> Verdict {
    match cursor {
        Some(cursor) if cursor.epoch == as_of.epoch && as_of.seq >= cursor.seq => Verdict::Applied,
        Some(_) | None => Verdict::Gap,
    }
}

/// Up to where nothing is missing. A row that changed again while pages were read stands in the last of them alone, and
/// one that moved while the list was read may be in none of the list's pages: until the change that moved it is here, a
/// cursor that has passed the row's earlier change does not vouch for the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Every session with a change up to here is here, as it was then or newer, with its changed messages.
    pub seq: Seq,
    /// The newest head that anything was read at.
    pub head: Seq,
    /// Whether the list has been read to its end since the fresh start.
    pub is_listed: bool,
}

impl Whole {
    /// A fresh start. Of what has been let go of already in the same history nothing is laid over the rows again, although
    /// its row may come with the list only.
    #[must_use]
    pub fn begin(self, bootstrap: &Bootstrap, is_same_history: bool) -> Self {
        let is_listed = bootstrap.more.is_none();
        let head = bootstrap.as_of.seq;
        let seq = if is_listed {
            head
        } else if is_same_history {
            // Never as far as the fresh start itself, which is whole only once the list has been read.
            self.seq.min(head - 1)
        } else {
            0
        };
        Self { seq, head, is_listed }
    }

    /// This page was applied.
    #[must_use]
    pub fn after(self, page: &SyncPage) -> Self {
        let head = self.head.max(page.head);
        self.reached(head, page.to.seq)
    }

    /// The last page of the list was read at this head.
    #[must_use]
    pub fn listed(self, as_of: Seq, cursor: Seq) -> Self {
        let head = self.head.max(as_of);
        Self {
            is_listed: true,
            ..self
        }
        .reached(head, cursor)
    }

    const fn reached(self, head: Seq, cursor: Seq) -> Self {
        let is_whole = self.is_listed && cursor >= head;
        let seq = if is_whole { cursor } else { self.seq };
        Self { seq, head, ..self }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// `None`: a stub; its messages came before its row.
    row: Option<Session>,
    gone: Option<Seq>,
    messages: BTreeMap<Ord, Message>,
    ranges: Ranges,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replica {
    cursor: Option<Cursor>,
    whole: Whole,
    sessions: BTreeMap<SessionId, Kept>,
}

impl Replica {
    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// See [`Whole::seq`].
    pub const fn whole(&self) -> Seq {
        self.whole.seq
    }

    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)?.row.as_ref()
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter_map(|kept| kept.row.as_ref())
    }

    pub fn messages(&self, id: SessionId) -> impl Iterator<Item = &Message> {
        self.sessions
            .get(&id)
            .into_iter()
            .flat_map(|kept| kept.messages.values())
    }

    /// The stretches of a session's messages that are here.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn stretches(&self, id: SessionId) -> &[(Ord, Ord)] {
        let kept = self.sessions.get(&id);
        kept.map_or(&[][..], |kept| kept.ranges.stretches())
    }

    /// How many messages are here, also those whose session's row is still to come.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn held(&self) -> usize {
        self.sessions.values().map(|kept| kept.messages.len()).sum()
    }

    /// Gives up a session's messages, as a body with a quota does.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn give_up(&mut self, id: SessionId) {
        if let Some(kept) = self.sessions.get_mut(&id) {
            kept.messages.clear();
            kept.ranges = Ranges::default();
        }
    }

    /// The messages of a stretch go, as in a device that lets whatever comes take their place.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn make_way(&mut self, id: SessionId, lo: Ord, hi: Ord) {
        if let Some(kept) = self.sessions.get_mut(&id) {
            kept.messages.retain(|ord, _| !(lo..=hi).contains(ord));
        }
    }

    /// Whether the session was deleted.
    pub fn is_gone(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|kept| kept.gone.is_some())
    }

    /// A pull's or a push's page.
    pub fn apply_page(&mut self, page: &SyncPage) -> Applied {
        let verdict = judge_page(self.cursor, page);
        let mut applied = Applied::nothing(verdict);
        if verdict == Verdict::Applied {
            for change in &page.changes {
                self.apply_change(change, &mut applied);
            }
            self.cursor = Some(page.to);
            self.whole = self.whole.after(page);
        }
        applied
    }

    /// A stretch of one session's messages.
    pub fn apply_history(&mut self, history: &History) -> Applied {
        let verdict = judge_read(self.cursor, history.as_of);
        let mut applied = Applied::nothing(verdict);
        if verdict == Verdict::Applied && !self.is_gone(history.session) {
            let kept = self.sessions.entry(history.session).or_default();
            for message in &history.messages {
                kept.take(message);
            }
            kept.ranges.add(history.lo, history.hi);
            applied.sessions.insert(history.session);
        }
        applied
    }

    /// A page of the list.
    pub fn apply_sessions(&mut self, page: &SessionsPage) -> Applied {
        let verdict = judge_read(self.cursor, page.as_of);
        let mut applied = Applied::nothing(verdict);
        if verdict == Verdict::Applied {
            for session in &page.sessions {
                applied.list |= self.take_session(session);
            }
        }
        applied
    }

    /// The list has been read to its end, last at `as_of`.
    pub fn finish_list(&mut self, as_of: Cursor) {
        if let Some(cursor) = self.cursor {
            self.whole = self.whole.listed(as_of.seq, cursor.seq);
        }
    }

    /// A fresh start: everything else is forgotten.
    pub fn apply_bootstrap(&mut self, bootstrap: &Bootstrap) -> Applied {
        let mut before = BTreeSet::new();
        before.extend(self.sessions.keys().copied());
        let is_same_history = self
            .cursor
            .is_some_and(|cursor| cursor.epoch == bootstrap.as_of.epoch);
        *self = Self {
            cursor: Some(bootstrap.as_of),
            whole: self.whole.begin(bootstrap, is_same_history),
            sessions: BTreeMap::new(),
        };
        for session in &bootstrap.sessions {
            self.take_session(session);
        }
        for history in &bootstrap.histories {
            self.apply_history(history);
        }
        let sessions = self.sessions.keys().copied().chain(before).collect();
        Applied {
            verdict: Verdict::Applied,
            list: true,
            sessions,
        }
    }

    fn apply_change(&mut self, change: &Change, applied: &mut Applied) {
        match change {
            Change::Session(session) => applied.list |= self.take_session(session),
            Change::Message(message) => {
                let kept = self.sessions.entry(message.session).or_default();
                if kept.gone.is_none() && kept.take(message) {
                    kept.ranges.add(message.ord, message.ord);
                    applied.sessions.insert(message.session);
                }
            }
            Change::SessionGone { id, seq } => {
                let gone = Kept {
                    gone: Some(*seq),
                    ..Kept::default()
                };
                self.sessions.insert(*id, gone);
                applied.list = true;
                applied.sessions.insert(*id);
            }
        }
    }

    fn take_session(&mut self, session: &Session) -> bool {
        let kept = self.sessions.entry(session.id).or_default();
        let is_newer = kept.row.as_ref().is_none_or(|row| row.seq < session.seq);
        if is_newer && kept.gone.is_none() {
            kept.row = Some(session.clone());
            return true;
        }
        false
    }

    /// The list with the outbox laid over it.
    pub fn list(&self, outbox: &Outbox, archived: bool, most: usize) -> Vec<SessionRow> {
        view::list(self.sessions(), outbox, archived, most)
    }

    /// What must be loaded before the newest `want` messages are here; see [`missing`].
    pub fn missing(&self, id: SessionId, want: Ord) -> Option<Option<Ord>> {
        let kept = self.sessions.get(&id)?;
        let last_ord = kept.row.as_ref()?.last_ord;
        missing(kept.ranges.newest(), last_ord, want)
    }

    /// The newest `limit` messages of a session, with the tails and the outbox laid over them. `absent` is said where
    /// the rows are not here: `Loading` online, `NotHere` offline.
    pub fn transcript(
        &self,
        id: SessionId,
        limit: usize,
        absent: TranscriptState,
        tails: &Tails,
        outbox: &Outbox,
    ) -> Option<Transcript> {
        let empty = Kept::default();
        let kept = self.sessions.get(&id).unwrap_or(&empty);
        let (lo, hi) = kept.ranges.newest().unwrap_or((1, 0));
        let mut messages: Vec<Message> = kept
            .messages
            .range(lo..=hi.max(lo))
            .rev()
            .take(limit)
            .map(|(_, message)| message.clone())
            .collect();
        messages.reverse();
        let last_ord = kept.row.as_ref().map_or(0, |row| row.last_ord);
        let first = messages.first().map(|message| message.ord);
        let is_here = hi >= last_ord;
        let rows = Rows {
            session: kept.row.as_ref(),
            messages: &messages,
            has_earlier: first.is_some_and(|ord| ord > 1),
            state: if is_here || !messages.is_empty() {
                TranscriptState::Ready
            } else {
                absent
            },
        };
        view::transcript(id, &rows, tails, outbox)
    }
}

impl Kept {
    /// Keeps a message that is newer than what is here.
    fn take(&mut self, message: &Message) -> bool {
        let is_newer = self
            .messages
            .get(&message.ord)
            .is_none_or(|kept| kept.seq < message.seq);
        if is_newer {
            self.messages.insert(message.ord, message.clone());
        }
        is_newer
    }
}
