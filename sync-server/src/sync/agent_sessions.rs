//! Writing sessions: made, renamed, archived, deleted. Each but the last is one statement, so one round trip and one
//! commit; it locks the head first and undoes itself where its session is not as it must be (`push` then finds out why).

use super::heads;
use super::push::{Applied, Stamp};
use crate::database::{Pool, Transaction};
use crate::error::Result;
use crate::sessions::SessionRow;
use protocol::mutation::CurrentTitle;
use protocol::sync::{Change, Cursor, Seq};
use protocol::{Code, RunId, SessionId, UserId};
use sqlx::PgExecutor;
use std::path::Path;
use time::OffsetDateTime;
use uuid::Uuid;

/// A session with the head that its write moved.
struct Moved {
    epoch: Uuid,
    head_seq: i64,
    id: Uuid,
    title: String,
    title_seq: i64,
    archived: bool,
    last_ord: i64,
    preview: String,
    live_runs: i32,
    last_active: OffsetDateTime,
    created_at: OffsetDateTime,
}

impl Moved {
    fn applied(self) -> Applied {
        let head = Cursor {
            epoch: self.epoch,
            seq: self.head_seq,
        };
        let session = SessionRow {
            id: self.id,
            seq: self.head_seq,
            title: self.title,
            title_seq: self.title_seq,
            archived: self.archived,
            last_ord: self.last_ord,
            preview: self.preview,
            live_runs: self.live_runs,
            last_active: self.last_active,
            created_at: self.created_at,
        };
        Applied::plain(head, 1, vec![Change::Session(session.into())])
    }
}

pub async fn create(
    pool: &Pool,
    stamp: &Stamp,
    id: SessionId,
    title: &str,
    workspace: &Path,
) -> Result<Applied, sqlx::Error> {
    let moved = sqlx::query_as!(
        Moved,
        r#"with head as (
               update sync_heads set head_seq = head_seq + 1
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), session as (
               insert into agent_sessions
                   (user_id, id, seq, created_seq, title, title_by_user, title_seq, workspace_path)
               select $1, $2, head_seq, head_seq, $3::text, $3::text <> '',
                      case when $3::text <> '' then head_seq else 0 end, $4
               from head
               returning *
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $5, $6, $7, jsonb_build_object('result', 'applied', 'seq', head_seq), head_seq from head
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!", s.id as "id!", s.title as "title!",
                  s.title_seq as "title_seq!", s.archived as "archived!", s.last_ord as "last_ord!",
                  s.preview as "preview!", s.live_runs as "live_runs!", s.last_active as "last_active!",
                  s.created_at as "created_at!"
           from head, session s"#,
        stamp.user.0,
        id.0,
        title,
        workspace.to_string_lossy().into_owned(),
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
    )
    .fetch_one(pool)
    .await?;
    Ok(moved.applied())
}

/// Undone where a person's newer title stands.
pub async fn rename(
    pool: &Pool,
    stamp: &Stamp,
    id: SessionId,
    title: &str,
    base: Seq,
) -> Result<Applied, sqlx::Error> {
    let moved = sqlx::query_as!(
        Moved,
        r#"with head as (
               update sync_heads set head_seq = head_seq + 1
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, title = $3, title_by_user = true, title_seq = head.head_seq
               from head
               where s.user_id = $1 and s.id = $2 and s.deleted_at is null
                 and not (s.title_by_user and s.title_seq > $4)
               returning s.*
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $5, $6, $7, jsonb_build_object('result', 'applied', 'seq', head_seq), head_seq from head
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!", s.id as "id!", s.title as "title!",
                  s.title_seq as "title_seq!", s.archived as "archived!", s.last_ord as "last_ord!",
                  s.preview as "preview!", s.live_runs as "live_runs!", s.last_active as "last_active!",
                  s.created_at as "created_at!"
           from head left join session s on true
           where sync_require(s.id is not null, 'session')"#,
        stamp.user.0,
        id.0,
        title,
        base,
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
    )
    .fetch_one(pool)
    .await?;
    Ok(moved.applied())
}

pub async fn archive(
    pool: &Pool,
    stamp: &Stamp,
    id: SessionId,
    archived: bool,
) -> Result<Applied, sqlx::Error> {
    let moved = sqlx::query_as!(
        Moved,
        r#"with head as (
               update sync_heads set head_seq = head_seq + 1
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, archived = $3
               from head
               where s.user_id = $1 and s.id = $2 and s.deleted_at is null
               returning s.*
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $4, $5, $6, jsonb_build_object('result', 'applied', 'seq', head_seq), head_seq from head
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!", s.id as "id!", s.title as "title!",
                  s.title_seq as "title_seq!", s.archived as "archived!", s.last_ord as "last_ord!",
                  s.preview as "preview!", s.live_runs as "live_runs!", s.last_active as "last_active!",
                  s.created_at as "created_at!"
           from head left join session s on true
           where sync_require(s.id is not null, 'session')"#,
        stamp.user.0,
        id.0,
        archived,
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
    )
    .fetch_one(pool)
    .await?;
    Ok(moved.applied())
}

/// Leaves a tombstone without text; messages and runs go with it. The runs that were being made are told apart, to be
/// stopped. The head is locked by a statement of its own: one that waits for it while a message comes in would delete
/// what there was before that message.
pub async fn delete(pool: &Pool, stamp: &Stamp, id: SessionId) -> Result<Applied> {
    let mut lock = heads::lock(pool, stamp.user).await?.ok_or(Code::NotFound)?;
    let row = sqlx::query!(
        r#"with head as (
               update sync_heads set head_seq = head_seq + 1 where user_id = $1
               returning epoch, head_seq
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, title = '', preview = '', live_runs = 0, deleted_at = now()
               from head
               where s.user_id = $1 and s.id = $2 and s.deleted_at is null
               returning s.id
           ), messages as (
               delete from conversations m using session
               where m.user_id = $1 and m.agent_session_id = session.id
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $3, $4, $5, jsonb_build_object('result', 'applied', 'seq', head_seq), head_seq from head
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!",
                  array(select r.run_id from runs r
                        where r.user_id = $1 and r.session_id = $2 and r.status in (0, 1)) as "ended!"
           from head left join session s on true
           where sync_require(s.id is not null, 'session')"#,
        stamp.user.0,
        id.0,
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
    )
    .fetch_one(lock.connection())
    .await?;
    lock.transaction.commit().await?;
    let head = Cursor {
        epoch: row.epoch,
        seq: row.head_seq,
    };
    let gone = Change::SessionGone { id, seq: head.seq };
    let mut applied = Applied::plain(head, 1, vec![gone]);
    applied.ended = row.ended.into_iter().map(RunId).collect();
    Ok(applied)
}

/// How a session stands, tombstone or not.
pub struct Found {
    pub seq: Seq,
    pub is_deleted: bool,
    /// The title, where a person chose it.
    pub by_user: Option<CurrentTitle>,
}

pub async fn find(
    executor: impl PgExecutor<'_>,
    user: UserId,
    id: SessionId,
) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select seq, title, title_seq, title_by_user, deleted_at is not null as "is_deleted!"
           from agent_sessions where user_id = $1 and id = $2"#,
        user.0,
        id.0,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| Found {
        seq: row.seq,
        is_deleted: row.is_deleted,
        by_user: row.title_by_user.then_some(CurrentTitle {
            title: row.title,
            title_seq: row.title_seq,
        }),
    }))
}

/// Those of the sessions that were deleted.
pub async fn gone(
    connection: &mut Transaction,
    user: UserId,
    ids: &[SessionId],
) -> Result<Vec<SessionId>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let gone = sqlx::query_scalar!(
        "select id from agent_sessions where user_id = $1 and id = any($2) and deleted_at is not null",
        user.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(gone.into_iter().map(SessionId).collect())
}

/// People with tombstones that are older than so many days, at most `limit` of them.
pub async fn with_tombstones(pool: &Pool, days: i32, limit: i64) -> Result<Vec<UserId>, sqlx::Error> {
    let people: Vec<Uuid> = sqlx::query_scalar!(
        "select distinct user_id from agent_sessions
         where deleted_at < now() - make_interval(days => $1) limit $2",
        days,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(people.into_iter().map(UserId).collect())
}

/// Drops the oldest of one person's tombstones that are older than so many days, at most so many. Their numbers.
pub async fn drop_tombstones(
    connection: &mut Transaction,
    user: UserId,
    days: i32,
    limit: i64,
) -> Result<Vec<Seq>, sqlx::Error> {
    sqlx::query_scalar!(
        "delete from agent_sessions
         where user_id = $1 and id = any(array(
             select id from agent_sessions
             where user_id = $1 and deleted_at < now() - make_interval(days => $2)
             order by seq limit $3))
         returning seq",
        user.0,
        days,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Removes so many of a user's sessions, tombstones too.
pub async fn forget(pool: &Pool, user: UserId, limit: i64) -> Result<u64, sqlx::Error> {
    let outcome = sqlx::query!(
        "delete from agent_sessions
         where user_id = $1 and id = any(array(select id from agent_sessions where user_id = $1 limit $2))",
        user.0,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected())
}
