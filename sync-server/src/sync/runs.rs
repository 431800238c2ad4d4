//! The run of a message: what is known of it, and one that begins later than its message.

use super::heads;
use super::push::Stamp;
use crate::database::Transaction;
use crate::error::Result;
use protocol::sync::{Ord, Seq};
use protocol::{MessageId, RunId, SessionId};

/// What is known of the message.
pub struct Prompt {
    pub role: String,
    pub is_deleted: bool,
    pub session_is_deleted: bool,
    /// Its answer, made or being made.
    pub run: Option<RunId>,
    pub reply: Option<MessageId>,
    pub reply_seq: Option<Seq>,
}

pub async fn find(
    connection: &mut Transaction,
    stamp: &Stamp,
    session: SessionId,
    message: MessageId,
) -> Result<Option<Prompt>> {
    let row = sqlx::query!(
        r#"select m.role, m.deleted_at is not null as "is_deleted!", s.deleted_at is not null as "session_is_deleted!",
                  r.run_id as "run_id?", r.message_id as "message_id?", a.seq as "reply_seq?"
           from conversations m
                join agent_sessions s on s.user_id = m.user_id and s.id = m.agent_session_id
                left join runs r on r.user_id = m.user_id and r.session_id = m.agent_session_id and r.prompt_id = m.id
                left join conversations a on a.user_id = r.user_id and a.id = r.message_id
           where m.user_id = $1 and m.id = $2 and m.agent_session_id = $3"#,
        stamp.user.0,
        message.0,
        session.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Prompt {
        role: row.role,
        is_deleted: row.is_deleted,
        session_is_deleted: row.session_is_deleted,
        run: row.run_id.map(RunId),
        reply: row.message_id.map(MessageId),
        reply_seq: row.reply_seq,
    }))
}

/// The place of an answer and the run that will fill it: two numbers, one place. Gives the place.
pub async fn insert(
    lock: &mut heads::Lock,
    stamp: &Stamp,
    session: SessionId,
    message: MessageId,
    (run, reply): (RunId, MessageId),
) -> Result<Ord> {
    let seq = lock.alloc(stamp.user, 2).await?;
    let ord = sqlx::query_scalar!(
        "update agent_sessions
         set seq = $3, last_ord = last_ord + 1, live_runs = live_runs + 1, archived = false, last_active = now()
         where user_id = $1 and id = $2
         returning last_ord",
        stamp.user.0,
        session.0,
        seq + 1,
    )
    .fetch_one(lock.connection())
    .await?;
    sqlx::query!(
        "insert into conversations
             (user_id, id, agent_session_id, seq, created_seq, ord, parent_id, role, status, run_id, content)
         values ($1, $2, $3, $4, $4, $5, $6, 'assistant', 0, $7, '')",
        stamp.user.0,
        reply.0,
        session.0,
        seq,
        ord,
        message.0,
        run.0,
    )
    .execute(lock.connection())
    .await?;
    sqlx::query!(
        "insert into runs (user_id, run_id, session_id, message_id, prompt_id, attempt, status)
         values ($1, $2, $3, $4, $5, 0, 0)",
        stamp.user.0,
        run.0,
        session.0,
        reply.0,
        message.0,
    )
    .execute(lock.connection())
    .await?;
    Ok(ord)
}
