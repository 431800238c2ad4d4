//! The model server: rows with their seq, a ledger of outcomes, and what it would tell an auditor.

use super::rules::{Rule, Rules};
use crate::engine::Failure;
use protocol::mutation::{Batch, BatchAnswer, Mutation, Op, OpResult, Outcome, RunMode, title_from};
use protocol::run::Status;
use protocol::sync::{
    Bootstrap, Change, Cursor, Epoch, History, Message, ResetReason, Role, Seq, Session, SessionsBefore,
    SyncPage,
};
use protocol::{Code, MessageId, MutationId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const PAGE: usize = 3;
const LISTED: usize = 2;
/// Messages in one page of a session's history.
pub const STRETCH: usize = 2;

#[derive(Clone, Debug)]
pub struct Server {
    rules: Rules,
    pub(super) epoch: Epoch,
    pub head: Seq,
    floor: Seq,
    pub sessions: BTreeMap<SessionId, Session>,
    pub gone: BTreeMap<SessionId, Seq>,
    pub messages: BTreeMap<SessionId, Vec<Message>>,
    pub ledger: BTreeMap<MutationId, OpResult>,
    /// How often each message was really written.
    pub effects: BTreeMap<MessageId, usize>,
    /// The last title that a person gave.
    pub human_titles: BTreeMap<SessionId, String>,
    /// Sessions whose writes fail, whatever they are.
    pub cursed: BTreeSet<SessionId>,
}

impl Server {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            epoch: Epoch::from_u128(7),
            head: 0,
            floor: 0,
            sessions: BTreeMap::new(),
            gone: BTreeMap::new(),
            messages: BTreeMap::new(),
            ledger: BTreeMap::new(),
            effects: BTreeMap::new(),
            human_titles: BTreeMap::new(),
            cursed: BTreeSet::new(),
        }
    }

    /// One that has been used before: more sessions than a list's page, more messages than a stretch.
    pub fn lived_in(rules: Rules) -> Self {
        let mut server = Self::new(rules);
        for messages in 1..=4 {
            let session = SessionId::fresh();
            server.create(session, "");
            for _ in 0..messages {
                let op = Op::MessageCreate {
                    id: MessageId::fresh(),
                    session,
                    parent: None,
                    content: "old words".to_owned(),
                    run: RunMode::Auto,
                };
                let _ = server.apply(&op);
            }
        }
        server
    }

    pub const fn at(&self, seq: Seq) -> Cursor {
        Cursor {
            epoch: self.epoch,
            seq,
        }
    }

    pub const fn place(&self) -> Cursor {
        self.at(self.head)
    }

    /// Everything goes back to `backup`; what was given out since belongs to another history.
    pub fn restore(&mut self, backup: &Self) {
        let epoch = Epoch::from_u128(self.epoch.as_u128() + 1);
        let cursed = std::mem::take(&mut self.cursed);
        *self = Self {
            epoch,
            cursed,
            ..backup.clone()
        };
    }

    pub const fn compact(&mut self) {
        self.floor = self.head;
    }

    const fn next(&mut self) -> Seq {
        self.head += 1;
        self.head
    }

    pub fn push(&mut self, batch: &Batch) -> BatchAnswer {
        let mut failed = false;
        let mut results = Vec::new();
        for mutation in &batch.ops {
            let result = if failed {
                OpResult::Skipped
            } else {
                self.write(mutation)
            };
            failed |= !matches!(result, OpResult::Applied { .. });
            results.push(Outcome {
                id: mutation.id,
                result,
            });
        }
        BatchAnswer {
            results,
            head: self.head,
            epoch: self.epoch,
        }
    }

    fn write(&mut self, mutation: &Mutation) -> OpResult {
        if self.rules.keep(Rule::Ledger)
            && let Some(outcome) = self.ledger.get(&mutation.id)
        {
            return outcome.clone();
        }
        let outcome = match self.apply(&mutation.op) {
            // What is not there may yet come: that outcome is nobody's last word.
            Err(Code::NotFound) => return OpResult::refused(Code::NotFound),
            Err(code) => OpResult::refused(code),
            Ok(seq) => OpResult::applied(seq),
        };
        self.ledger.insert(mutation.id, outcome.clone());
        outcome
    }

    fn apply(&mut self, op: &Op) -> Result<Seq, Code> {
        let id = op.session();
        if self.gone.contains_key(&id) {
            return Err(Code::SessionDeleted);
        }
        if let Op::SessionCreate { id, title } = op {
            return Ok(self.create(*id, title));
        }
        let mut session = self.sessions.get(&id).cloned().ok_or(Code::NotFound)?;
        match op {
            Op::SessionRename { title, base, .. } => {
                if session.title_seq > *base {
                    return Err(Code::Superseded);
                }
                session.title.clone_from(title);
                session.title_seq = self.head + 1;
                self.human_titles.insert(id, title.clone());
            }
            Op::SessionArchive { archived, .. } => session.archived = *archived,
            Op::SessionDelete { .. } => return Ok(self.delete(id)),
            Op::MessageCreate {
                id: message, content, ..
            } => {
                *self.effects.entry(*message).or_default() += 1;
                self.say(&mut session, *message, Role::User, content);
                self.say(&mut session, MessageId::fresh(), Role::Assistant, "");
                if session.title.is_empty() || !self.rules.keep(Rule::HumanTitle) {
                    session.title = title_from(content);
                }
            }
            Op::SessionCreate { .. } | Op::MessageAnswer { .. } => {}
        }
        session.seq = self.next();
        session.last_active = session.seq;
        self.sessions.insert(id, session);
        Ok(self.head)
    }

    /// One that is there already, under whatever mutation, is the same one.
    fn create(&mut self, id: SessionId, title: &str) -> Seq {
        if let Some(there) = self.sessions.get(&id) {
            return there.seq;
        }
        let seq = self.next();
        let session = Session {
            id,
            seq,
            title: title.to_owned(),
            title_seq: 0,
            archived: false,
            last_ord: 0,
            preview: String::new(),
            running: false,
            last_active: seq,
            created_at: seq,
        };
        self.sessions.insert(id, session);
        seq
    }

    fn delete(&mut self, id: SessionId) -> Seq {
        let seq = self.next();
        self.gone.insert(id, seq);
        self.sessions.remove(&id);
        self.messages.remove(&id);
        seq
    }

    fn say(&mut self, session: &mut Session, id: MessageId, role: Role, content: &str) {
        session.last_ord += if self.rules.keep(Rule::Places) { 1 } else { 2 };
        let status = match role {
            Role::User | Role::System => Status::Complete,
            Role::Assistant => Status::Queued,
        };
        let row = Message {
            id,
            session: session.id,
            seq: self.next(),
            ord: session.last_ord,
            parent: None,
            role,
            status,
            run: None,
            content: content.to_owned(),
            metadata: serde_json::Value::Null,
            created_at: 0,
            deleted: false,
        };
        self.messages.entry(session.id).or_default().push(row);
    }

    /// A reply that was being made is there: an old row moves to a new seq.
    pub fn finish(&mut self, which: usize) {
        let seq = self.head + 1;
        let mut open: Vec<&mut Message> = self
            .messages
            .values_mut()
            .flatten()
            .filter(|row| row.status == Status::Queued)
            .collect();
        let count = open.len().max(1);
        let Some(row) = open.get_mut(which % count) else {
            return;
        };
        row.seq = seq;
        row.status = Status::Complete;
        "a reply".clone_into(&mut row.content);
        let session = row.session;
        let next = if self.rules.keep(Rule::Counter) {
            seq + 1
        } else {
            seq
        };
        self.head = next;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.seq = next;
            session.last_active = next;
        }
    }

    pub fn changes(&self) -> Vec<Change> {
        let sessions = self.sessions.values().cloned().map(Change::Session);
        let messages = self.messages.values().flatten().cloned().map(Change::Message);
        let gone = self
            .gone
            .iter()
            .map(|(id, seq)| Change::SessionGone { id: *id, seq: *seq });
        let mut changes: Vec<Change> = sessions.chain(messages).chain(gone).collect();
        changes.sort_by_key(Change::seq);
        changes
    }

    pub fn pull(&self, from: Cursor) -> Result<SyncPage, Failure> {
        if from.epoch != self.epoch {
            return Err(Failure::Reset(ResetReason::Epoch));
        }
        if from.seq > self.head {
            return Err(Failure::Reset(ResetReason::Ahead));
        }
        if from.seq < self.floor {
            return Err(Failure::Reset(ResetReason::Floor));
        }
        let mut changes = self.changes();
        let is_told = |change: &Change| {
            self.rules.keep(Rule::Tombstone) || !matches!(change, Change::SessionGone { .. })
        };
        changes.retain(|change| change.seq() > from.seq && is_told(change));
        let more = changes.len() > PAGE;
        changes.truncate(PAGE);
        let last = changes.last().map_or(from.seq, Change::seq);
        Ok(SyncPage {
            from,
            to: self.at(if more { last } else { self.head }),
            head: self.head,
            more,
            changes,
        })
    }

    pub fn newest(
        &self,
        archived: Option<bool>,
        before: Option<SessionsBefore>,
    ) -> (Vec<Session>, Option<SessionsBefore>) {
        let mut rows: Vec<Session> = self.sessions.values().cloned().collect();
        rows.retain(|row| archived.is_none_or(|archived| row.archived == archived));
        rows.retain(|row| before.is_none_or(|key| (row.last_active, row.id) < (key.last_active, key.id)));
        rows.sort_by_key(|row| std::cmp::Reverse((row.last_active, row.id)));
        let more = rows.len() > LISTED;
        rows.truncate(LISTED);
        let last = rows.last().filter(|_| more);
        let key = last.map(|row| SessionsBefore {
            last_active: row.last_active,
            id: row.id,
        });
        (rows, key)
    }

    pub fn bootstrap(&self) -> Bootstrap {
        let (sessions, more) = self.newest(None, None);
        let newest = sessions.first().map(|session| session.id);
        let histories = newest
            .map(|id| self.history(id, None))
            .into_iter()
            .flatten()
            .collect();
        Bootstrap {
            as_of: self.place(),
            sessions,
            histories,
            more,
        }
    }

    pub fn history(&self, session: SessionId, before: Option<i64>) -> Option<History> {
        self.sessions.get(&session)?;
        let rows = self.rows(session).iter();
        let kept: Vec<&Message> = rows
            .filter(|row| before.is_none_or(|ord| row.ord < ord))
            .collect();
        let from = kept.len().saturating_sub(STRETCH);
        let messages: Vec<Message> = kept.into_iter().skip(from).cloned().collect();
        let lo = messages.first().map_or(1, |row| row.ord);
        let hi = messages.last().map_or(0, |row| row.ord);
        Some(History {
            session,
            as_of: self.place(),
            lo,
            hi,
            messages,
        })
    }

    pub fn rows(&self, session: SessionId) -> &[Message] {
        self.messages.get(&session).map_or(&[][..], Vec::as_slice)
    }

    /// All that anybody could tell two servers apart by, but for the ids.
    pub fn outcome(&self) -> String {
        let mut told = format!("head {}, gone {:?}", self.head, self.gone.values());
        for (id, session) in &self.sessions {
            let rows = self.rows(*id).iter();
            let said: Vec<_> = rows.map(|row| (row.ord, row.seq, &row.content)).collect();
            let Session {
                seq, title, archived, ..
            } = session;
            let _ = write!(told, "\n{seq} {title} {archived} {said:?}");
        }
        told
    }
}
