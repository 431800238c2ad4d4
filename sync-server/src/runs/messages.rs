//! The reply's message: it begins to stream, and it is finished once, by whoever holds its run.

use crate::database::{Pool, Transaction};
use crate::sessions::{MessageRow, SessionRow};
use protocol::mutation::preview_of;
use protocol::run::Status;
use protocol::sync::{Change, Cursor, Message, Seq};
use protocol::{MessageId, RunId, UserId};

/// A queued message turns to streaming.
pub async fn begin(
    connection: &mut Transaction,
    user: UserId,
    id: MessageId,
    seq: Seq,
) -> Result<Message, sqlx::Error> {
    let row = sqlx::query_as!(
        MessageRow,
        r#"update conversations set status = 1, seq = $3
           where user_id = $1 and id = $2
           returning id, agent_session_id, seq, ord, parent_id, role, status, run_id, content, metadata, created_at,
                     deleted_at is not null as "is_deleted!""#,
        user.0,
        id.0,
        seq,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// How a run ends.
pub struct Ending<'a> {
    pub user: UserId,
    pub run: RunId,
    pub attempt: u32,
    /// The status that the run must still have.
    pub from: Status,
    /// What it ends as, unless somebody asked it to stop before.
    pub status: Status,
    pub text: &'a str,
    pub metadata: serde_json::Value,
    /// Only if the worker gave no sign of life: somebody else finishes it.
    pub only_if_lost: bool,
}

/// What a finished run changed.
pub struct Finished {
    pub head: Cursor,
    pub changes: Vec<Change>,
    /// Of the message.
    pub seq: Seq,
    /// What it ended as.
    pub status: Status,
    /// The session has another run that waits.
    pub has_more: bool,
}

/// Numbers a finish takes: the message and the session.
pub const NUMBERS: i64 = 2;

/// The end of a run, in one statement: message, run and session together, fenced by the attempt. Who was told that the
/// run stops finds it stopped, however it would have ended. `None`: the run is not this attempt's any more, or its
/// session is gone, and nothing was changed.
#[expect(clippy::too_many_lines, reason = "one statement, and what it changed")]
pub async fn finish(pool: &Pool, ending: &Ending<'_>) -> Result<Option<Finished>, sqlx::Error> {
    let row = sqlx::query!(
        r#"with head as (
               update sync_heads set head_seq = head_seq + 2
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), run as (
               update runs r
               set status = case when r.cancel_requested then $10::smallint else $5::smallint end,
                   owner_node = null, lease_until = null, ck_text = null
               from head
               where r.user_id = $1 and r.run_id = $2 and r.attempt = $3 and r.status = $4
                 and (not $9 or r.lease_until < now())
               returning r.message_id, r.status
           ), reply as (
               update conversations m
               set content = $6, status = run.status, seq = head.head_seq - 1,
                   metadata = case when run.status = $5 then $7 else '{}'::jsonb end
               from head, run
               where m.user_id = $1 and m.id = run.message_id
               returning m.*
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, live_runs = s.live_runs - 1, last_active = now(),
                   preview = case when $8 <> '' then $8 else s.preview end
               from head, reply
               where s.user_id = $1 and s.id = reply.agent_session_id and s.deleted_at is null
               returning s.*
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!",
                  m.id as "message_id!", m.ord as "ord!", m.parent_id, m.created_at as "message_created_at!",
                  m.status as "status!", m.metadata as "metadata!",
                  s.id as "id!", s.title as "title!", s.title_seq as "title_seq!", s.archived as "archived!",
                  s.last_ord as "last_ord!", s.preview as "preview!", s.live_runs as "live_runs!",
                  s.last_active as "last_active!", s.created_at as "created_at!"
           from head left join reply m on true left join session s on true
           where sync_require(m.id is not null and s.id is not null, 'run')"#,
        ending.user.0,
        ending.run.0,
        i32::try_from(ending.attempt).unwrap_or(i32::MAX),
        ending.from.number(),
        ending.status.number(),
        ending.text,
        ending.metadata,
        preview_of(ending.text),
        ending.only_if_lost,
        Status::Cancelled.number(),
    )
    .fetch_one(pool)
    .await;
    let row = match row {
        Ok(row) => row,
        Err(error) if is_fenced(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let head = Cursor {
        epoch: row.epoch,
        seq: row.head_seq,
    };
    let message = MessageRow {
        id: row.message_id,
        agent_session_id: row.id,
        seq: head.seq - 1,
        ord: row.ord,
        parent_id: row.parent_id,
        role: "assistant".to_owned(),
        status: row.status,
        run_id: Some(ending.run.0),
        content: ending.text.to_owned(),
        metadata: row.metadata,
        created_at: row.message_created_at,
        is_deleted: false,
    };
    let session = SessionRow {
        id: row.id,
        seq: head.seq,
        title: row.title,
        title_seq: row.title_seq,
        archived: row.archived,
        last_ord: row.last_ord,
        preview: row.preview,
        live_runs: row.live_runs,
        last_active: row.last_active,
        created_at: row.created_at,
    };
    Ok(Some(Finished {
        head,
        seq: head.seq - 1,
        status: Status::from_number(row.status).unwrap_or(ending.status),
        has_more: session.live_runs > 0,
        changes: vec![Change::Message(message.into()), Change::Session(session.into())],
    }))
}

/// `sync_require` did not hold.
fn is_fenced(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "CM001")
}
