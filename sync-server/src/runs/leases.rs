//! Runs in the database: whose they are, for how long, how far they got, and which wait for somebody.

use crate::database::Pool;
use crate::error::Result;
use crate::sync::{self, LEASE_SECONDS};
use protocol::run::{At, Status};
use protocol::sync::{Cursor, Message, Seq};
use protocol::{MessageId, RunId, SessionId, UserId};
use uuid::Uuid;

/// A run as somebody who asks for it sees it.
pub struct Found {
    pub session: SessionId,
    pub message: MessageId,
    pub status: Status,
    /// Of its message.
    pub seq: Seq,
    pub checkpoint: Option<(At, String)>,
}

pub async fn find(pool: &Pool, user: UserId, run: RunId) -> Result<Option<Found>> {
    let row = sqlx::query!(
        "select r.session_id, r.message_id, r.status, r.ck_attempt, r.ck_idx, r.ck_text, m.seq
         from runs r join conversations m on m.user_id = r.user_id and m.id = r.message_id
         where r.user_id = $1 and r.run_id = $2",
        user.0,
        run.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Found {
        session: SessionId(row.session_id),
        message: MessageId(row.message_id),
        status: Status::from_number(row.status).unwrap_or(Status::Interrupted),
        seq: row.seq,
        checkpoint: place(row.ck_attempt, row.ck_idx).zip(row.ck_text),
    }))
}

fn place(attempt: Option<i32>, idx: Option<i64>) -> Option<At> {
    Some(At {
        attempt: u32::try_from(attempt?).ok()?,
        idx: u64::try_from(idx?).ok()?,
    })
}

/// A run that is waiting or being made, for the welcome.
pub struct Listed {
    pub run: RunId,
    pub message: MessageId,
    pub session: SessionId,
}

/// Where a user's changes stand, and the runs that are not over: one query.
pub async fn standing(pool: &Pool, user: UserId) -> Result<Option<(Cursor, Vec<Listed>)>> {
    let rows = sqlx::query!(
        r#"select h.epoch, h.head_seq, r.run_id as "run_id?", r.message_id as "message_id?", r.session_id as "session_id?"
           from sync_heads h left join runs r on r.user_id = h.user_id and r.status in (0, 1)
           where h.user_id = $1
           limit 256"#,
        user.0,
    )
    .fetch_all(pool)
    .await?;
    let head = rows.first().map(|row| Cursor {
        epoch: row.epoch,
        seq: row.head_seq,
    });
    let listed = rows.into_iter().filter_map(|row| {
        Some(Listed {
            run: RunId(row.run_id?),
            message: MessageId(row.message_id?),
            session: SessionId(row.session_id?),
        })
    });
    Ok(head.map(|head| (head, listed.collect())))
}

/// Asks a run to stop, for good. The status it had; `None`: there is no such run.
pub async fn ask_to_stop(pool: &Pool, user: UserId, run: RunId) -> Result<Option<Status>> {
    let status = sqlx::query_scalar!(
        "update runs set cancel_requested = cancel_requested or status in (0, 1)
         where user_id = $1 and run_id = $2
         returning status",
        user.0,
        run.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(status.and_then(Status::from_number))
}

/// Keeps how far a run got. False: it is not this attempt's any more.
pub async fn checkpoint(pool: &Pool, user: UserId, run: RunId, at: At, text: &str) -> Result<bool> {
    let done = sqlx::query!(
        "update runs set ck_attempt = $3, ck_idx = $4, ck_text = $5, ck_at = now()
         where user_id = $1 and run_id = $2 and attempt = $3 and status = 1",
        user.0,
        run.0,
        i32::try_from(at.attempt).unwrap_or(i32::MAX),
        i64::try_from(at.idx).unwrap_or(i64::MAX),
        text,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What renewing found out about a run.
pub struct Renewed {
    pub run: RunId,
    pub is_cancel_requested: bool,
}

/// Renews this node's leases, all in one statement. A run that is not answered is not this node's any more.
pub async fn renew(pool: &Pool, node: Uuid, runs: &[(UserId, RunId)]) -> Result<Vec<Renewed>> {
    let (users, ids): (Vec<Uuid>, Vec<Uuid>) = runs.iter().map(|(user, run)| (user.0, run.0)).unzip();
    let rows = sqlx::query!(
        "update runs r set lease_until = now() + make_interval(secs => $4)
         from unnest($1::uuid[], $2::uuid[]) mine (user_id, run_id)
         where r.user_id = mine.user_id and r.run_id = mine.run_id and r.status = 1 and r.owner_node = $3::uuid::text
         returning r.run_id, r.cancel_requested",
        &users,
        &ids,
        node,
        LEASE_SECONDS,
    )
    .fetch_all(pool)
    .await?;
    let renewed = rows.into_iter().map(|row| Renewed {
        run: RunId(row.run_id),
        is_cancel_requested: row.cancel_requested,
    });
    Ok(renewed.collect())
}

/// A run whose worker gave no sign of life.
pub struct Lost {
    pub user: UserId,
    pub run: RunId,
    pub session: SessionId,
    pub attempt: u32,
    pub checkpoint: Option<(At, String)>,
}

pub async fn lost(pool: &Pool) -> Result<Vec<Lost>> {
    let rows = sqlx::query!(
        "select user_id, run_id, session_id, attempt, ck_attempt, ck_idx, ck_text
         from runs where status = 1 and lease_until < now()
         order by lease_until limit 100"
    )
    .fetch_all(pool)
    .await?;
    let lost = rows.into_iter().map(|row| Lost {
        user: UserId(row.user_id),
        run: RunId(row.run_id),
        session: SessionId(row.session_id),
        attempt: u32::try_from(row.attempt).unwrap_or_default(),
        checkpoint: place(row.ck_attempt, row.ck_idx).zip(row.ck_text),
    });
    Ok(lost.collect())
}

/// Sessions with a run that waits and none that is being made.
pub async fn waiting(pool: &Pool, limit: i64) -> Result<Vec<(UserId, SessionId)>> {
    let rows = sqlx::query!(
        "select user_id, session_id from runs w
         where status = 0
           and not exists (select 1 from runs b
                           where b.user_id = w.user_id and b.session_id = w.session_id and b.status = 1)
         group by user_id, session_id
         order by min(created_at)
         limit $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    let sessions = rows
        .into_iter()
        .map(|row| (UserId(row.user_id), SessionId(row.session_id)));
    Ok(sessions.collect())
}

/// A run taken from the queue.
pub struct Claim {
    pub run: RunId,
    pub reply: MessageId,
    pub attempt: u32,
    pub prompt: String,
    pub is_cancel_requested: bool,
    pub head: Cursor,
    pub message: Message,
}

/// Takes a session's next run for this node, unless one is being made. Its message turns from queued to streaming. Where
/// the session is gone there is nothing to take, and what its deletion left behind goes.
pub async fn claim(pool: &Pool, user: UserId, session: SessionId, node: Uuid) -> Result<Option<Claim>> {
    let Some(mut lock) = sync::lock(pool, user).await? else {
        return Ok(None);
    };
    let taken = sqlx::query!(
        r#"update runs r
           set status = 1, attempt = attempt + 1, owner_node = $3::uuid::text,
               lease_until = now() + make_interval(secs => $4)
           from conversations p, agent_sessions s
           where r.user_id = $1 and p.user_id = r.user_id and p.id = r.prompt_id
             and s.user_id = r.user_id and s.id = r.session_id and s.deleted_at is null
             and not exists (select 1 from runs b where b.user_id = $1 and b.session_id = $2 and b.status = 1)
             and r.run_id = (select w.run_id from runs w
                                    join conversations m on m.user_id = w.user_id and m.id = w.message_id
                             where w.user_id = $1 and w.session_id = $2 and w.status = 0
                             order by m.ord limit 1)
           returning r.run_id, r.message_id, r.attempt, r.cancel_requested, p.content as prompt"#,
        user.0,
        session.0,
        node,
        LEASE_SECONDS,
    )
    .fetch_optional(lock.connection())
    .await?;
    let Some(taken) = taken else {
        clear(lock, user, session).await?;
        return Ok(None);
    };
    let seq = lock.alloc(user, 1).await?;
    let message = super::messages::begin(lock.connection(), user, MessageId(taken.message_id), seq).await?;
    let head = lock.head;
    lock.transaction.commit().await?;
    Ok(Some(Claim {
        run: RunId(taken.run_id),
        reply: MessageId(taken.message_id),
        attempt: u32::try_from(taken.attempt).unwrap_or_default(),
        prompt: taken.prompt,
        is_cancel_requested: taken.cancel_requested,
        head,
        message,
    }))
}

/// A run without a session can neither go on nor be finished. What a deletion left of a session goes as the rest of it
/// did, runs with their messages. True: there was something.
pub async fn clear_if_gone(pool: &Pool, user: UserId, session: SessionId) -> Result<bool> {
    match sync::lock(pool, user).await? {
        Some(lock) => clear(lock, user, session).await,
        None => Ok(false),
    }
}

async fn clear(mut lock: sync::Lock, user: UserId, session: SessionId) -> Result<bool> {
    let cleared = sqlx::query!(
        "delete from conversations m using agent_sessions s
         where m.user_id = $1 and m.agent_session_id = $2
           and s.user_id = m.user_id and s.id = m.agent_session_id and s.deleted_at is not null",
        user.0,
        session.0,
    )
    .execute(lock.connection())
    .await?;
    lock.transaction.commit().await?;
    Ok(cleared.rows_affected() > 0)
}

/// The runs of a user that are not over, or began within a day: those that may have a log.
pub async fn recent(pool: &Pool, user: UserId) -> Result<Vec<RunId>> {
    let ids = sqlx::query_scalar!(
        "select run_id from runs
         where user_id = $1 and (status in (0, 1) or created_at > now() - interval '1 day')",
        user.0,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(RunId).collect())
}
