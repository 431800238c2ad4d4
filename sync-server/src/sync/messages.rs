//! Writing messages: a person's text and, with it, the place of its answer and the run that fills it, in one statement.

use super::push::{Applied, Stamp};
use crate::database::{Pool, Transaction};
use crate::sessions::SessionRow;
use protocol::mutation::{OpResult, preview_of, title_from};
use protocol::run::Status;
use protocol::sync::{Change, Cursor, Digest, Message, Role, Session};
use protocol::{MessageId, RunId, SessionId, UserId};
use uuid::Uuid;

/// How long a run may go without a sign of life from its worker. Renewed well before.
pub const LEASE_SECONDS: f64 = 15.0;

/// A message as its sender wrote it.
pub struct Written<'a> {
    pub id: MessageId,
    pub session: SessionId,
    pub parent: Option<MessageId>,
    pub content: &'a str,
}

/// The reply to come. `node`: who makes it, if the session is not already busy.
pub struct Reply {
    pub run: RunId,
    pub message: MessageId,
    pub node: Option<Uuid>,
}

/// Stores a message without an answer.
#[expect(clippy::too_many_lines, reason = "one statement, and what it changed")]
pub async fn create(pool: &Pool, stamp: &Stamp, written: &Written<'_>) -> Result<Applied, sqlx::Error> {
    let row = sqlx::query!(
        r#"with head as (
               update sync_heads set head_seq = head_seq + 2
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, last_ord = s.last_ord + 1, archived = false, preview = $6, last_active = now(),
                   title = case when s.title = '' and not s.title_by_user then $7 else s.title end
               from head
               where s.user_id = $1 and s.id = $2 and s.deleted_at is null
               returning s.*
           ), message as (
               insert into conversations
                   (user_id, id, agent_session_id, seq, created_seq, ord, parent_id, role, status, content)
               select $1, $3, s.id, head_seq - 1, head_seq - 1, s.last_ord, $4, 'user', 2, $5 from head, session s
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $8, $9, $10,
                      jsonb_build_object('result', 'applied', 'seq', head_seq, 'ord', s.last_ord), head_seq
               from head, session s
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!", s.title as "title!", s.title_seq as "title_seq!",
                  s.last_ord as "last_ord!", s.preview as "preview!", s.live_runs as "live_runs!",
                  s.last_active as "last_active!", s.created_at as "created_at!"
           from head left join session s on true
           where sync_require(s.id is not null, 'session')"#,
        stamp.user.0,
        written.session.0,
        written.id.0,
        written.parent.map(|parent| parent.0),
        written.content,
        preview_of(written.content),
        title_from(written.content),
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
    )
    .fetch_one(pool)
    .await?;
    let head = Cursor {
        epoch: row.epoch,
        seq: row.head_seq,
    };
    let session = Session::from(SessionRow {
        id: written.session.0,
        seq: head.seq,
        title: row.title,
        title_seq: row.title_seq,
        archived: false,
        last_ord: row.last_ord,
        preview: row.preview,
        live_runs: row.live_runs,
        last_active: row.last_active,
        created_at: row.created_at,
    });
    let message = written.message(&session, head.seq - 1, row.last_ord);
    let changes = vec![Change::Message(message), Change::Session(session)];
    let mut applied = Applied::plain(head, 2, changes);
    applied.ord = Some(row.last_ord);
    Ok(applied)
}

/// Stores a message, the place of its answer, and the run: three numbers, two places, one commit. Where this node makes
/// replies and the session has none under way, the run is this node's from the start.
#[expect(clippy::too_many_lines, reason = "one statement, and what it changed")]
pub async fn create_with_reply(
    pool: &Pool,
    stamp: &Stamp,
    written: &Written<'_>,
    reply: &Reply,
) -> Result<Applied, sqlx::Error> {
    let row = sqlx::query!(
        r#"with head as (
               update sync_heads set head_seq = head_seq + 3
               where user_id = $1 and set_config('lock_timeout', '2s', true) <> ''
               returning epoch, head_seq
           ), session as (
               update agent_sessions s
               set seq = head.head_seq, last_ord = s.last_ord + 2, archived = false, preview = $6, last_active = now(),
                   live_runs = s.live_runs + 1,
                   title = case when s.title = '' and not s.title_by_user then $7 else s.title end
               from head
               where s.user_id = $1 and s.id = $2 and s.deleted_at is null
               returning s.*, case when s.live_runs = 1 and $13::uuid is not null then 1 else 0 end as state
           ), message as (
               insert into conversations
                   (user_id, id, agent_session_id, seq, created_seq, ord, parent_id, role, status, run_id, content)
               select $1, m.id, s.id, head_seq - m.back, head_seq - m.back, s.last_ord - m.back + 1, m.parent, m.role,
                      m.status, m.run, m.content
               from head, session s, lateral (values
                   ($3::uuid, 2, $4::uuid, 'user', 2, null::uuid, $5),
                   ($11::uuid, 1, $3::uuid, 'assistant', s.state, $12::uuid, '')
               ) m (id, back, parent, role, status, run, content)
           ), run as (
               insert into runs
                   (user_id, run_id, session_id, message_id, prompt_id, attempt, status, owner_node, lease_until)
               select $1, $12, s.id, $11, $3, s.state, s.state,
                      case when s.state = 1 then $13::uuid::text end,
                      case when s.state = 1 then now() + make_interval(secs => $14) end
               from session s
           ), ledger as (
               insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
               select $1, $8, $9, $10,
                      jsonb_build_object('result', 'applied', 'seq', head_seq, 'ord', s.last_ord - 1,
                                         'run', $12::uuid, 'reply', $11::uuid),
                      head_seq
               from head, session s
           )
           select head.epoch as "epoch!", head.head_seq as "head_seq!", s.title as "title!", s.title_seq as "title_seq!",
                  s.last_ord as "last_ord!", s.preview as "preview!", s.live_runs as "live_runs!", s.state as "state!",
                  s.last_active as "last_active!", s.created_at as "created_at!"
           from head left join session s on true
           where sync_require(s.id is not null, 'session')"#,
        stamp.user.0,
        written.session.0,
        written.id.0,
        written.parent.map(|parent| parent.0),
        written.content,
        preview_of(written.content),
        title_from(written.content),
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
        reply.message.0,
        reply.run.0,
        reply.node,
        LEASE_SECONDS,
    )
    .fetch_one(pool)
    .await?;
    let head = Cursor {
        epoch: row.epoch,
        seq: row.head_seq,
    };
    let session = Session::from(SessionRow {
        id: written.session.0,
        seq: head.seq,
        title: row.title,
        title_seq: row.title_seq,
        archived: false,
        last_ord: row.last_ord,
        preview: row.preview,
        live_runs: row.live_runs,
        last_active: row.last_active,
        created_at: row.created_at,
    });
    let is_begun = row.state == 1;
    let prompt = written.message(&session, head.seq - 2, row.last_ord - 1);
    let answer = reply.placeholder(&prompt, is_begun);
    let changes = vec![
        Change::Message(prompt),
        Change::Message(answer),
        Change::Session(session),
    ];
    let mut applied = Applied::plain(head, 3, changes);
    applied.ord = Some(row.last_ord - 1);
    applied.run = Some((reply.run, reply.message));
    applied.is_begun = is_begun;
    Ok(applied)
}

impl Written<'_> {
    fn message(&self, session: &Session, seq: i64, ord: i64) -> Message {
        Message {
            id: self.id,
            session: self.session,
            seq,
            ord,
            parent: self.parent,
            role: Role::User,
            status: Status::Complete,
            run: None,
            content: self.content.to_owned(),
            metadata: serde_json::Value::Object(serde_json::Map::new()),
            created_at: session.last_active,
            deleted: false,
        }
    }
}

impl Reply {
    /// The assistant's message before it has text.
    fn placeholder(&self, prompt: &Message, is_begun: bool) -> Message {
        Message {
            id: self.message,
            seq: prompt.seq + 1,
            ord: prompt.ord + 1,
            parent: Some(prompt.id),
            role: Role::Assistant,
            status: if is_begun {
                Status::Streaming
            } else {
                Status::Queued
            },
            run: Some(self.run),
            content: String::new(),
            ..prompt.clone()
        }
    }
}

/// A message that is there already, sent again after the ledger forgot it. `None`: it is not there, or it says something else.
pub async fn find(
    connection: &mut Transaction,
    user: UserId,
    written: &Written<'_>,
) -> Result<Option<OpResult>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select m.ord, greatest(m.seq, coalesce(a.seq, 0)) as "seq!", r.run_id as "run_id?", r.message_id as "message_id?"
           from conversations m
                left join runs r on r.user_id = m.user_id and r.session_id = m.agent_session_id and r.prompt_id = m.id
                left join conversations a on a.user_id = r.user_id and a.id = r.message_id
           where m.user_id = $1 and m.id = $2 and m.agent_session_id = $3 and m.content = $4"#,
        user.0,
        written.id.0,
        written.session.0,
        written.content,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| OpResult::Applied {
        seq: row.seq,
        ord: Some(row.ord),
        run: row.run_id.map(RunId),
        reply: row.message_id.map(MessageId),
    }))
}

/// Whether a message's id is taken, whatever it says.
pub async fn is_there(
    connection: &mut Transaction,
    user: UserId,
    id: MessageId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select 1 from conversations where user_id = $1 and id = $2",
        user.0,
        id.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// One message's identity and version.
pub struct Version {
    /// Which of the stretches asked about, from 0.
    pub stretch: usize,
    pub id: MessageId,
    pub seq: i64,
}

/// The versions of the messages in the stretches that a device named. Of each at most one more than the device has:
/// that one says already that it is not the same.
pub async fn versions(
    connection: &mut Transaction,
    user: UserId,
    digests: &[Digest],
) -> Result<Vec<Version>, sqlx::Error> {
    let ids: Vec<Uuid> = digests.iter().map(|digest| digest.id.0).collect();
    let los: Vec<i64> = digests.iter().map(|digest| digest.lo).collect();
    let his: Vec<i64> = digests.iter().map(|digest| digest.hi).collect();
    let counts: Vec<i64> = digests.iter().map(|digest| digest.count).collect();
    let rows = sqlx::query!(
        r#"select wanted.nth - 1 as "stretch!", m.id, m.seq
           from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) with ordinality wanted (id, lo, hi, count, nth)
                cross join lateral (
                    select id, seq from conversations
                    where user_id = $1 and agent_session_id = wanted.id and ord between wanted.lo and wanted.hi
                    order by ord limit wanted.count + 1
                ) m"#,
        user.0,
        &ids,
        &los,
        &his,
        &counts,
    )
    .fetch_all(connection)
    .await?;
    let versions = rows.into_iter().map(|row| Version {
        stretch: usize::try_from(row.stretch).unwrap_or(usize::MAX),
        id: MessageId(row.id),
        seq: row.seq,
    });
    Ok(versions.collect())
}

/// Removes so many of a user's messages, and their runs with them.
pub async fn forget(pool: &Pool, user: UserId, limit: i64) -> Result<u64, sqlx::Error> {
    let outcome = sqlx::query!(
        "delete from conversations
         where user_id = $1 and id = any(array(select id from conversations where user_id = $1 limit $2))",
        user.0,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected())
}
