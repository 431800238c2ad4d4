//! What a person does on the page.

use super::{FIRST_LOAD, Tab, Want};
use crate::engine::Moment;
use crate::outbox::{Plan, UNDO_MILLIS};
use crate::view::{CONTEXT, WINDOW};
use protocol::frame::ClientFrame;
use protocol::mutation::{Op, RunMode};
use protocol::sync::Ord;
use protocol::view::Push;
use protocol::{Code, MessageId, MutationId, Problem, RunId, SessionId, UnixMillis};

impl Tab {
    /// A new session, here at once.
    pub fn create(&mut self, now: Moment) -> Result<(SessionId, Vec<Want>), Problem> {
        let id = SessionId::fresh();
        let title = String::new();
        let (_, wants) = self.write(Op::SessionCreate { id, title }, 0, now)?;
        Ok((id, wants))
    }

    pub fn send(
        &mut self,
        session: SessionId,
        text: &str,
        now: Moment,
    ) -> Result<(MessageId, Vec<Want>), Problem> {
        let id = MessageId::fresh();
        let op = Op::MessageCreate {
            id,
            session,
            parent: None,
            content: text.to_owned(),
            run: RunMode::Auto,
        };
        let (_, wants) = self.write(op, 0, now)?;
        Ok((id, wants))
    }

    /// Asks for the answer to a message that was stored without one.
    pub fn answer(
        &mut self,
        session: SessionId,
        message: MessageId,
        now: Moment,
    ) -> Result<Vec<Want>, Problem> {
        Ok(self.write(Op::MessageAnswer { session, message }, 0, now)?.1)
    }

    pub fn rename(&mut self, session: SessionId, title: &str, now: Moment) -> Result<Vec<Want>, Problem> {
        let row = crate::view::row(session, self.replica.session(session), &self.outbox)
            .ok_or_else(|| Problem::new(Code::NotFound))?;
        let op = Op::SessionRename {
            session,
            title: title.trim().to_owned(),
            base: row.title_seq,
        };
        Ok(self.write(op, 0, now)?.1)
    }

    pub fn archive(&mut self, session: SessionId, archived: bool, now: Moment) -> Result<Vec<Want>, Problem> {
        Ok(self.write(Op::SessionArchive { session, archived }, 0, now)?.1)
    }

    /// Hidden at once, sent after ten seconds.
    pub fn delete(&mut self, session: SessionId, now: Moment) -> Result<(MutationId, Vec<Want>), Problem> {
        self.write(Op::SessionDelete { session }, now.at + UNDO_MILLIS, now)
    }

    /// Takes back what has not gone out: a deletion, a waiting or refused message.
    pub fn undo(&mut self, mutation: MutationId, now: Moment) -> Result<Vec<Want>, Problem> {
        let session = self.lane_of(mutation);
        let plan = self.outbox.undo(mutation)?;
        Ok(self.commit(&plan, session, now))
    }

    /// Sends a refused message once more.
    pub fn retry(&mut self, mutation: MutationId, now: Moment) -> Result<Vec<Want>, Problem> {
        let session = self.lane_of(mutation);
        let plan = self
            .outbox
            .retry(mutation, SessionId::fresh(), MessageId::fresh(), now.at)?;
        Ok(self.commit(&plan, session, now))
    }

    /// Asks for a run to be stopped, over the socket; without one, the body posts to [`protocol::routes::run_cancel`].
    pub fn stop(&self, run: RunId) -> Vec<Want> {
        vec![Want::Send(ClientFrame::Cancel { run })]
    }

    /// The page shows this session: its newest messages are loaded if they are not here.
    pub fn open(&mut self, session: SessionId) -> Vec<Want> {
        self.windows.entry(session).or_insert(WINDOW);
        let mut wants = Vec::new();
        self.load_missing(session, FIRST_LOAD, &mut wants);
        wants
    }

    /// The page wants the messages before those it shows.
    pub fn earlier(&mut self, session: SessionId) -> Vec<Want> {
        let window = self.windows.entry(session).or_insert(WINDOW);
        *window += WINDOW;
        let want = Ord::try_from(*window).unwrap_or(Ord::MAX);
        let mut wants = vec![Want::Push(Push::Transcript { session })];
        self.load_missing(session, want, &mut wants);
        wants
    }

    /// The page looks for one message: from there on everything is shown.
    pub fn reach(&mut self, session: SessionId, message: MessageId) -> Vec<Want> {
        let mut wants = self.open(session);
        let found = self.replica.messages(session).find(|kept| kept.id == message);
        let last = self.replica.session(session).map_or(0, |row| row.last_ord);
        if let Some(want) = found.map(|kept| last - kept.ord + 1) {
            let window = usize::try_from(want).unwrap_or(WINDOW) + CONTEXT;
            let shown = self.windows.entry(session).or_insert(WINDOW);
            *shown = (*shown).max(window);
            self.load_missing(session, want, &mut wants);
        }
        wants
    }

    fn lane_of(&self, mutation: MutationId) -> Option<SessionId> {
        self.outbox
            .entry(mutation)
            .map(|entry| entry.mutation.op.session())
    }

    fn write(
        &mut self,
        op: Op,
        not_before: UnixMillis,
        now: Moment,
    ) -> Result<(MutationId, Vec<Want>), Problem> {
        let session = op.session();
        if self.replica.is_gone(session) {
            return Err(Problem::new(Code::SessionDeleted));
        }
        let id = MutationId::fresh();
        let plan = self.outbox.enqueue(id, op, not_before, now.at)?;
        Ok((id, self.commit(&plan, Some(session), now)))
    }

    /// In memory a plan is real at once.
    fn commit(&mut self, plan: &Plan, session: Option<SessionId>, now: Moment) -> Vec<Want> {
        self.make_real(plan);
        let mut wants = vec![Want::Push(Push::List)];
        let written = plan.put.iter().map(|entry| entry.mutation.op.session());
        let touched: std::collections::BTreeSet<SessionId> = written.chain(session).collect();
        wants.extend(
            touched
                .into_iter()
                .map(|session| Want::Push(Push::Transcript { session })),
        );
        self.upload(now, &mut wants);
        self.arm(now, &mut wants);
        wants
    }
}
