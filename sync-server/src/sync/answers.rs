//! Asking for the answer to a message that was stored without one: the place of the answer and the run that fills it,
//! under the head lock, once for each message.

use super::push::{Applied, Stamp, refused, repeated};
use super::{Sync, Work, heads, mutations};
use crate::error::Result;
use crate::hints::Hint;
use protocol::mutation::OpResult;
use protocol::sync::Seq;
use protocol::{Code, MessageId, RunId, SessionId};
use sqlx::PgConnection;

/// What is known of the message.
struct Prompt {
    role: String,
    is_deleted: bool,
    session_is_deleted: bool,
    /// Its answer, made or being made.
    run: Option<RunId>,
    reply: Option<MessageId>,
    reply_seq: Option<Seq>,
}

/// A message that has its answer keeps it, whoever asks again.
pub async fn ask(sync: &Sync, stamp: &Stamp, session: SessionId, message: MessageId) -> Result<OpResult> {
    let Some(mut lock) = heads::lock(&sync.pool, stamp.user).await? else {
        return Err(Code::NotFound.into());
    };
    if let Some(result) = repeated(&mut lock, stamp).await? {
        return Ok(result);
    }
    let Some(prompt) = find(lock.connection(), stamp, session, message).await? else {
        // it may come with a later batch: not remembered
        return Ok(refused(Code::NotFound));
    };
    if prompt.run.is_some() || prompt.session_is_deleted || prompt.is_deleted || prompt.role != "user" {
        let result = settled(&prompt);
        let head = lock.head.seq;
        mutations::remember(lock.connection(), stamp, &result, head).await?;
        lock.transaction.commit().await?;
        return Ok(result);
    }
    begin(sync, stamp, lock, session, message).await
}

/// There is nothing to begin.
fn settled(prompt: &Prompt) -> OpResult {
    match prompt.reply_seq {
        _ if prompt.session_is_deleted => refused(Code::SessionDeleted),
        Some(seq) => OpResult::Applied {
            seq,
            ord: None,
            run: prompt.run,
            reply: prompt.reply,
        },
        None if prompt.is_deleted => refused(Code::Gone),
        None => refused(Code::Invalid),
    }
}

async fn find(
    connection: &mut PgConnection,
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

/// Two numbers, one place, one commit; whoever makes replies takes the run up.
async fn begin(
    sync: &Sync,
    stamp: &Stamp,
    mut lock: heads::Lock,
    session: SessionId,
    message: MessageId,
) -> Result<OpResult> {
    let (run, reply) = (RunId::fresh(), MessageId::fresh());
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
    let mut applied = Applied::plain(lock.head, 2, Vec::new());
    applied.ord = Some(ord);
    applied.run = Some((run, reply));
    let result = applied.result();
    let head = lock.head.seq;
    mutations::remember(lock.connection(), stamp, &result, head).await?;
    lock.transaction.commit().await?;
    sync.tell(Work::Waiting);
    // rare enough for devices to pull it
    sync.hints().publish(stamp.user, Hint::Head(applied.head));
    Ok(result)
}
