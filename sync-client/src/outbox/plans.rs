//! The plans: writing, sending, answering, undoing, trying again.

use super::{Entry, NOT_FOUND_TRIES, Outbox, Plan, Report, STALE_PROMPT_MILLIS, Standing};
use crate::engine::Failure;
use protocol::mutation::{Batch, BatchAnswer, CurrentTitle, Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::sync::Seq;
use protocol::{Code, MessageId, MutationId, Problem, SessionId, UnixMillis};

impl Outbox {
    /// Writes an op at the end of its lane. A row that cannot have been sent yet and says the same kind of thing is
    /// replaced: two renames become one. A message that is here is there already, whatever became of it; with another text it is
    /// another, which needs an id of its own.
    pub fn enqueue(
        &self,
        id: MutationId,
        op: Op,
        not_before: UnixMillis,
        now: UnixMillis,
    ) -> Result<Plan, Problem> {
        op.check()?;
        if let Some(here) = self.by_the_id_of(&op) {
            return if message_of(here) == message_of(&op) {
                Ok(Plan::default())
            } else {
                Err(Problem::new(Code::MutationReuse))
            };
        }
        if self
            .lane(op.session())
            .any(|entry| entry.is_open() && matches!(entry.mutation.op, Op::SessionDelete { .. }))
        {
            return Err(Problem::new(Code::Gone));
        }
        let entry = Entry {
            n: self.last + 1,
            mutation: Mutation {
                id,
                v: OP_VERSION,
                op,
            },
            standing: Standing::Queued,
            attempts: 0,
            not_found: 0,
            not_before,
            created_at: now,
        };
        let replaced = self
            .lane(entry.mutation.op.session())
            .filter(|old| old.is_to_be_sent() && old.attempts == 0);
        let drop = replaced
            .filter(|old| says_the_same_kind(&old.mutation.op, &entry.mutation.op))
            .map(|old| old.n)
            .collect();
        Ok(Plan {
            put: vec![entry],
            drop,
            ..Plan::default()
        })
    }

    /// What is here by the id of this message, if it is one.
    fn by_the_id_of(&self, op: &Op) -> Option<&Op> {
        let (id, ..) = message_of(op)?;
        let mut ops = self.entries.values().map(|entry| &entry.mutation.op);
        ops.find(|op| message_of(op).is_some_and(|(other, ..)| other == id))
    }

    /// The next batch of a lane, marked as on its way. `None`: nothing to send. A prompt that waited long goes out as
    /// `manual`, so that a laptop that wakes does not start ten runs.
    pub fn dispatch(&self, session: SessionId, most: usize, now: UnixMillis) -> Option<(Batch, Plan)> {
        let mut plan = Plan::default();
        for entry in self.next_batch(session, most, now) {
            let mut entry = entry.clone();
            let is_stale = now.saturating_sub(entry.created_at) > STALE_PROMPT_MILLIS;
            if let Op::MessageCreate { run, .. } = &mut entry.mutation.op
                && entry.attempts == 0
                && is_stale
            {
                *run = RunMode::Manual;
            }
            entry.standing = Standing::Inflight;
            entry.attempts += 1;
            plan.put.push(entry);
        }
        let ops: Vec<Mutation> = plan.put.iter().map(|entry| entry.mutation.clone()).collect();
        (!ops.is_empty()).then_some((Batch { ops }, plan))
    }

    /// The batch was answered: each op by its own outcome. Ops without one are queued again, and so are all where the
    /// answer is of another history: the server may have lost since what it accepted then. `is_gone`: the session is
    /// known here to be deleted, so that nobody brings it back.
    pub fn answered(&self, batch: &Batch, answer: &BatchAnswer, is_gone: bool) -> Plan {
        let mut plan = Plan::default();
        let mut refused_creation = None;
        let is_believed = self.epoch.is_none_or(|epoch| epoch == answer.epoch);
        let results: &[_] = if is_believed { &answer.results } else { &[] };
        for mutation in &batch.ops {
            let Some(entry) = self.entry(mutation.id) else {
                continue;
            };
            let result = results.iter().find(|outcome| outcome.id == mutation.id);
            match result.map(|outcome| &outcome.result) {
                Some(OpResult::Applied { seq, .. }) => self.accept(entry, *seq, &mut plan),
                Some(OpResult::Refused { problem, .. }) if is_for_later(problem) => {
                    plan.again = true;
                    plan.put.push(with(entry, Standing::Queued));
                }
                Some(OpResult::Refused { problem, .. }) if !is_gone && may_come(entry, problem) => {
                    plan.again = true;
                    let mut entry = with(entry, Standing::Queued);
                    entry.not_found += 1;
                    plan.put.push(entry);
                }
                Some(OpResult::Refused { problem, current }) => {
                    if entry.is_creation() {
                        refused_creation = Some(problem.clone());
                    }
                    refuse(entry, problem, current.as_ref(), &mut plan);
                }
                Some(OpResult::Skipped) => plan.put.push(with(entry, Standing::Queued)),
                None => {
                    plan.again = true;
                    plan.put.push(with(entry, Standing::Queued));
                }
            }
        }
        if let (Some(problem), Some(first)) = (refused_creation, batch.ops.first()) {
            self.refuse_rest(first.op.session(), &problem, &mut plan);
        }
        plan
    }

    /// The whole batch failed.
    pub fn failed(&self, batch: &Batch, failure: &Failure) -> Plan {
        let mut plan = Plan::default();
        let is_alone = batch.ops.len() == 1;
        for entry in batch.ops.iter().filter_map(|mutation| self.entry(mutation.id)) {
            match failure {
                Failure::Refused(problem) if is_alone => {
                    refuse(entry, problem, None, &mut plan);
                    if entry.is_creation() {
                        self.refuse_rest(entry.mutation.op.session(), problem, &mut plan);
                    }
                }
                Failure::NotSent | Failure::Unauthorized => {
                    let mut entry = with(entry, Standing::Queued);
                    entry.attempts = entry.attempts.saturating_sub(1);
                    plan.put.push(entry);
                }
                Failure::Refused(_) | Failure::Cut | Failure::Later { .. } | Failure::Reset(_) => {
                    plan.put.push(with(entry, Standing::Queued));
                }
            }
        }
        plan
    }

    /// Takes back what has not gone out: a deletion within its ten seconds, a message that waits, one that was refused.
    pub fn undo(&self, mutation: MutationId) -> Result<Plan, Problem> {
        let entry = self
            .entry(mutation)
            .ok_or_else(|| Problem::new(Code::Gone).detail("This has already been sent."))?;
        let is_message = entry.is_message();
        let is_free = match entry.standing {
            Standing::Dead { .. } => true,
            Standing::Queued => entry.attempts == 0 || is_message,
            Standing::Inflight | Standing::Acked { .. } => false,
        };
        if !is_free {
            return Err(Problem::new(Code::Conflict).detail("This is on its way already."));
        }
        Ok(Plan {
            drop: vec![entry.n],
            ..Plan::default()
        })
    }

    /// Sends a refused message once more, under fresh mutation ids, since the outcome of the old one stands. If its
    /// session was deleted, it goes into a new one: `fresh_session` with `fresh_message`.
    pub fn retry(
        &self,
        mutation: MutationId,
        fresh_session: SessionId,
        fresh_message: MessageId,
        now: UnixMillis,
    ) -> Result<Plan, Problem> {
        let entry = self.entry(mutation).ok_or_else(|| Problem::new(Code::NotFound))?;
        let Standing::Dead { problem } = &entry.standing else {
            return Err(Problem::new(Code::Conflict).detail("This is on its way already."));
        };
        if matches!(problem.code, Code::SessionDeleted | Code::Gone | Code::NotFound) && entry.is_message() {
            return Ok(self.moved_to_new_session(entry, fresh_session, fresh_message, now));
        }
        let mut plan = Plan::default();
        let lane = entry.mutation.op.session();
        let again = self.lane(lane).filter(|other| {
            let is_needed = other.is_creation() && matches!(other.standing, Standing::Dead { .. });
            other.n == entry.n || is_needed
        });
        for old in again {
            let mut fresh = with(old, Standing::Queued);
            fresh.mutation.id = MutationId::fresh();
            fresh.attempts = 0;
            fresh.not_found = 0;
            plan.put.push(fresh);
        }
        Ok(plan)
    }

    fn moved_to_new_session(
        &self,
        entry: &Entry,
        fresh_session: SessionId,
        fresh_message: MessageId,
        now: UnixMillis,
    ) -> Plan {
        let create = Op::SessionCreate {
            id: fresh_session,
            title: String::new(),
        };
        let mut ops = vec![create];
        if let Op::MessageCreate { content, run, .. } = &entry.mutation.op {
            ops.push(Op::MessageCreate {
                id: fresh_message,
                session: fresh_session,
                parent: None,
                content: content.clone(),
                run: *run,
            });
        }
        let put = ops.into_iter().zip(self.last + 1..).map(|(op, n)| Entry {
            n,
            mutation: Mutation {
                id: MutationId::fresh(),
                v: OP_VERSION,
                op,
            },
            standing: Standing::Queued,
            attempts: 0,
            not_found: 0,
            not_before: 0,
            created_at: now,
        });
        Plan {
            put: put.collect(),
            drop: vec![entry.n],
            ..Plan::default()
        }
    }

    /// The server was restored to an earlier point: what it had accepted is sent again, under the same ids.
    pub fn requeue(&self, journal: impl IntoIterator<Item = Entry>) -> Plan {
        let acked = self.entries.values().cloned().chain(journal);
        let put = acked.filter(|entry| matches!(entry.standing, Standing::Acked { .. }));
        let put = put.map(|entry| Entry {
            not_found: 0,
            ..with(&entry, Standing::Queued)
        });
        Plan {
            put: put.collect(),
            ..Plan::default()
        }
    }

    /// Accepted. A later rename of the same session was based on the title before this one; now it is based on this.
    fn accept(&self, entry: &Entry, seq: Seq, plan: &mut Plan) {
        plan.put.push(with(entry, Standing::Acked { seq }));
        if !entry.is_rename() {
            return;
        }
        let later = self
            .lane(entry.mutation.op.session())
            .filter(|other| other.n > entry.n && other.is_open() && other.attempts == 0);
        for other in later {
            let mut other = other.clone();
            if let Op::SessionRename { base, .. } = &mut other.mutation.op {
                *base = seq;
                plan.put.push(other);
            }
        }
    }

    /// Without its session nothing in the lane can be accepted: what is still open shares the fate of its creation.
    fn refuse_rest(&self, session: SessionId, problem: &Problem, plan: &mut Plan) {
        let done: Vec<i64> = plan
            .put
            .iter()
            .filter(|entry| !entry.is_open())
            .map(|entry| entry.n)
            .collect();
        plan.put.retain(|entry| !entry.is_open());
        for entry in self.lane(session).filter(|entry| entry.is_open()) {
            if !done.contains(&entry.n) && !plan.drop.contains(&entry.n) {
                refuse(entry, problem, None, plan);
            }
        }
    }
}

/// What makes a message the one that it is; whether it is answered at once does not.
fn message_of(op: &Op) -> Option<(MessageId, SessionId, Option<MessageId>, &str)> {
    let Op::MessageCreate {
        id,
        session,
        parent,
        content,
        run: _,
    } = op
    else {
        return None;
    };
    Some((*id, *session, *parent, content.as_str()))
}

fn with(entry: &Entry, standing: Standing) -> Entry {
    Entry {
        standing,
        ..entry.clone()
    }
}

/// A message, and the session that it needs, are kept with the reason; any other refused change is dropped and told,
/// except where it was about something that is gone anyway.
fn refuse(entry: &Entry, problem: &Problem, current: Option<&CurrentTitle>, plan: &mut Plan) {
    if entry.is_message() || entry.is_creation() {
        let problem = problem.clone();
        plan.put.push(with(entry, Standing::Dead { problem }));
        return;
    }
    plan.drop.push(entry.n);
    if !matches!(problem.code, Code::Gone | Code::SessionDeleted | Code::NotFound) {
        plan.reports.push(Report {
            op: entry.mutation.op.clone(),
            problem: problem.clone(),
            current: current.cloned(),
        });
    }
}

/// After a restore of the server, a session that another device made comes back only with that device.
fn may_come(entry: &Entry, problem: &Problem) -> bool {
    problem.code == Code::NotFound && !entry.is_creation() && entry.not_found < NOT_FOUND_TRIES
}

/// The server's trouble, not the op's.
const fn is_for_later(problem: &Problem) -> bool {
    problem.status >= 500 || matches!(problem.status, 401 | 408 | 429)
}

fn says_the_same_kind(old: &Op, new: &Op) -> bool {
    match (old, new) {
        (Op::SessionRename { .. }, Op::SessionRename { .. })
        | (Op::SessionArchive { .. }, Op::SessionArchive { .. }) => true,
        (Op::MessageAnswer { message: old, .. }, Op::MessageAnswer { message: new, .. }) => old == new,
        _others => false,
    }
}
