//! What a person writes: into the outbox first, then out by itself.

use super::Device;
use crate::http::Call;
use crate::outbox::{Plan, UNDO_MILLIS};
use crate::view;
use protocol::mutation::{Op, RunMode};
use protocol::sync::Role;
use protocol::view::Push;
use protocol::{Code, MessageId, MutationId, Problem, RunId, SessionId, routes};
use std::collections::BTreeSet;

impl Device {
    /// A new session, here at once.
    pub async fn create(&self) -> Result<SessionId, Problem> {
        let id = SessionId::fresh();
        let title = String::new();
        self.write(Op::SessionCreate { id, title }, 0).await?;
        Ok(id)
    }

    pub async fn send(&self, session: SessionId, text: &str) -> Result<MessageId, Problem> {
        let id = MessageId::fresh();
        self.send_as(id, session, text).await?;
        Ok(id)
    }

    /// The same by the sender's own id. With the same text it is the same message, however often; with another it is refused, and so is
    /// an id that is another message's.
    pub async fn send_as(&self, id: MessageId, session: SessionId, text: &str) -> Result<(), Problem> {
        if id.0.get_version_num() != 7 {
            return Err(Problem::new(Code::Invalid).field("message"));
        }
        let here = self.core.store.message(id).await;
        // The outbox takes it even where the cache cannot be read: the server knows what was said.
        if let Ok(Some(here)) = self.core.readable(here).await {
            let is_same = here.session == session && here.role == Role::User && here.content == text;
            return if is_same {
                Ok(())
            } else {
                Err(Problem::new(Code::MutationReuse))
            };
        }
        let op = Op::MessageCreate {
            id,
            session,
            parent: None,
            content: text.to_owned(),
            run: RunMode::Auto,
        };
        self.write(op, 0).await?;
        Ok(())
    }

    /// Asks for the answer to a message that was stored without one.
    pub async fn answer(&self, session: SessionId, message: MessageId) -> Result<(), Problem> {
        self.write(Op::MessageAnswer { session, message }, 0).await?;
        Ok(())
    }

    pub async fn rename(&self, session: SessionId, title: &str) -> Result<(), Problem> {
        let outbox = self.core.outbox();
        let kept = self.core.store.session(session).await;
        let kept = self.core.readable(kept).await?;
        let row = view::row(session, kept.as_ref(), &outbox).ok_or_else(|| Problem::new(Code::NotFound))?;
        let op = Op::SessionRename {
            session,
            title: title.trim().to_owned(),
            base: row.title_seq,
        };
        self.write(op, 0).await?;
        Ok(())
    }

    pub async fn archive(&self, session: SessionId, archived: bool) -> Result<(), Problem> {
        self.write(Op::SessionArchive { session, archived }, 0).await?;
        Ok(())
    }

    /// Hidden at once, sent after ten seconds; until then `undo` takes it back.
    pub async fn delete(&self, session: SessionId) -> Result<MutationId, Problem> {
        self.write(Op::SessionDelete { session }, UNDO_MILLIS).await
    }

    /// Takes back what has not gone out: a deletion, a waiting or refused message.
    pub async fn undo(&self, mutation: MutationId) -> Result<(), Problem> {
        let before = self.core.outbox();
        let ((), plan) = self
            .core
            .plan(move |outbox| Ok(((), outbox.undo(mutation)?)))
            .await?;
        let lane = before.entry(mutation).map(|entry| entry.mutation.op.session());
        self.written(&plan, lane);
        Ok(())
    }

    /// Sends what was refused once more; a message of a deleted session into a new one.
    pub async fn retry(&self, mutation: MutationId) -> Result<(), Problem> {
        let before = self.core.outbox();
        let now = self.core.clock.now();
        let ((), plan) = self
            .core
            .plan(move |outbox| {
                let plan = outbox.retry(mutation, SessionId::fresh(), MessageId::fresh(), now)?;
                Ok(((), plan))
            })
            .await?;
        let lane = before.entry(mutation).map(|entry| entry.mutation.op.session());
        self.written(&plan, lane);
        Ok(())
    }

    /// Stops a reply; what was said so far is kept.
    pub async fn stop(&self, run: RunId) -> Result<(), Problem> {
        let user = self.core.person()?;
        let path = routes::run_cancel(run);
        Ok(self
            .core
            .ask::<Option<serde_json::Value>>(user, Call::post(&path))
            .await
            .map(drop)?)
    }

    async fn write(&self, op: Op, delay: i64) -> Result<MutationId, Problem> {
        let session = op.session();
        let is_gone = self.core.store.is_gone(session).await;
        // The outbox takes it even where the cache cannot be read: the server knows what is gone.
        if self.core.readable(is_gone).await.unwrap_or(false) {
            return Err(Problem::new(Code::SessionDeleted));
        }
        let id = MutationId::fresh();
        let now = self.core.clock.now();
        let not_before = if delay == 0 { 0 } else { now + delay };
        let ((), plan) = self
            .core
            .plan(move |outbox| Ok(((), outbox.enqueue(id, op, not_before, now)?)))
            .await?;
        self.written(&plan, Some(session));
        Ok(id)
    }

    fn written(&self, plan: &Plan, lane: Option<SessionId>) {
        let touched: BTreeSet<SessionId> = plan
            .put
            .iter()
            .map(|entry| entry.mutation.op.session())
            .chain(lane)
            .collect();
        self.core.push(Push::List);
        for session in touched {
            self.core.push(Push::Transcript { session });
        }
        self.core.upload.notify_one();
    }
}
