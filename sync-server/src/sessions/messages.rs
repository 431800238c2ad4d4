//! Messages as they are read: pages of one session's history, contiguous by `ord`.

use super::agent_sessions::{head, millis, session};
use crate::database::{Pool, Reader};
use crate::error::Result;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use protocol::run::Status;
use protocol::sync::{Cursor, Histories, History, Message, Ord, Role};
use protocol::{Code, MessageId, RunId, SessionId, UserId, limits};
use sqlx::PgExecutor;
use std::collections::{HashMap, VecDeque};
use time::OffsetDateTime;
use uuid::Uuid;

/// Text of one page, in bytes: a page of huge messages ends early instead of filling memory.
const PAGE_BYTES: i64 = 2 * 1024 * 1024;

/// A message's row, as every query here and in `sync` selects it.
#[derive(Clone, Debug)]
pub struct MessageRow {
    pub id: Uuid,
    pub agent_session_id: Uuid,
    pub seq: i64,
    pub ord: i64,
    pub parent_id: Option<Uuid>,
    pub role: String,
    pub status: i16,
    pub run_id: Option<Uuid>,
    pub content: String,
    pub metadata: serde_json::Value,
    pub created_at: OffsetDateTime,
    pub is_deleted: bool,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            id: MessageId(row.id),
            session: SessionId(row.agent_session_id),
            seq: row.seq,
            ord: row.ord,
            parent: row.parent_id.map(MessageId),
            role: role(&row.role),
            status: Status::from_number(row.status).unwrap_or(Status::Interrupted),
            run: row.run_id.map(RunId),
            content: row.content,
            metadata: row.metadata,
            created_at: millis(row.created_at),
            deleted: row.is_deleted,
        }
    }
}

/// The column holds one of the three.
fn role(text: &str) -> Role {
    [Role::User, Role::Assistant]
        .into_iter()
        .find(|role| role.as_str() == text)
        .unwrap_or(Role::System)
}

/// A message's row, and the head that it was read at.
struct Placed {
    epoch: Uuid,
    head_seq: i64,
    id: Uuid,
    agent_session_id: Uuid,
    seq: i64,
    ord: i64,
    parent_id: Option<Uuid>,
    role: String,
    status: i16,
    run_id: Option<Uuid>,
    content: String,
    metadata: serde_json::Value,
    created_at: OffsetDateTime,
    is_deleted: bool,
}

impl Placed {
    const fn as_of(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            seq: self.head_seq,
        }
    }
}

impl From<Placed> for Message {
    fn from(row: Placed) -> Self {
        MessageRow {
            id: row.id,
            agent_session_id: row.agent_session_id,
            seq: row.seq,
            ord: row.ord,
            parent_id: row.parent_id,
            role: row.role,
            status: row.status,
            run_id: row.run_id,
            content: row.content,
            metadata: row.metadata,
            created_at: row.created_at,
            is_deleted: row.is_deleted,
        }
        .into()
    }
}

/// Newest first. The head is looked up once and kept: PostgreSQL takes it for cheap enough to be looked up for each row. The
/// limit is written out: where it comes as a value, PostgreSQL makes a plan anew for each page.
macro_rules! newest_first {
    ($executor:expr, $user:expr, $session:expr, $before:expr, $limit:tt) => {
        sqlx::query_as!(
            Placed,
            r#"with h as materialized (select epoch, head_seq from sync_heads where user_id = $1)
               select h.epoch as "epoch!", h.head_seq as "head_seq!",
                      m.id, m.agent_session_id, m.seq, m.ord, m.parent_id, m.role, m.status, m.run_id, m.content,
                      m.metadata, m.created_at, m.deleted_at is not null as "is_deleted!"
               from conversations m, h
               where m.user_id = $1 and m.agent_session_id = $2 and m.ord < $3
               order by m.ord desc limit "#
                + $limit,
            $user,
            $session,
            $before,
        )
        .fetch($executor)
    };
}

/// A session's messages before this place, newest first: somewhat more than `limit`.
fn newest_first<'e>(
    executor: impl PgExecutor<'e> + 'e,
    user: UserId,
    id: SessionId,
    before: Ord,
    limit: usize,
) -> BoxStream<'e, sqlx::Result<Placed>> {
    if limit <= 20 {
        newest_first!(executor, user.0, id.0, before, "20")
    } else {
        newest_first!(executor, user.0, id.0, before, "100")
    }
}

/// What was taken of a statement's rows.
struct Taken {
    as_of: Option<Cursor>,
    /// Oldest first.
    messages: VecDeque<Message>,
    /// There were no more rows.
    is_all: bool,
}

/// So many, or as many as a page may weigh.
async fn take(mut rows: BoxStream<'_, sqlx::Result<Placed>>, limit: usize) -> Result<Taken> {
    let (mut as_of, mut bytes, mut messages) = (None, 0, VecDeque::with_capacity(limit));
    let mut is_all = true;
    while let Some(row) = rows.try_next().await? {
        if messages.len() >= limit || bytes >= PAGE_BYTES {
            is_all = false;
            break;
        }
        as_of = Some(row.as_of());
        bytes += i64::try_from(row.content.len()).unwrap_or(i64::MAX);
        messages.push_front(Message::from(row));
    }
    Ok(Taken {
        as_of,
        messages,
        is_all,
    })
}

/// A page of a session's messages before `before` (the newest without it), with the head it was read at: one query. `limit` is
/// [`limits::MESSAGE_PAGE`] at most.
pub async fn history(
    pool: &Pool,
    user: UserId,
    id: SessionId,
    before: Option<Ord>,
    limit: usize,
) -> Result<History> {
    let before = before.unwrap_or(i64::MAX);
    let taken = match pool.reader().await? {
        Reader::Lent(mut lent) => {
            let rows = newest_first(lent.connection(), user, id, before, limit);
            let taken = take(rows, limit).await?;
            if taken.is_all {
                lent.give_back();
            }
            taken
        }
        Reader::Transaction(mut transaction) => {
            let rows = newest_first(&mut transaction, user, id, before, limit);
            let taken = take(rows, limit).await?;
            transaction.commit().await?;
            taken
        }
    };
    match taken.as_of {
        Some(as_of) => Ok(stretch(id, as_of, taken.messages.into())),
        None => empty(pool, user, id).await,
    }
}

/// No message on this page: of a session that is there, an empty stretch; else `not_found`.
async fn empty(pool: &Pool, user: UserId, id: SessionId) -> Result<History> {
    session(pool, user, id).await?;
    Ok(stretch(id, head(pool, user).await?, Vec::new()))
}

/// The newest messages of many sessions, with the head they were read at: one query. What is in it is a beginning of what
/// was asked, by session and from each one's newest message back, as far as count and bytes allow.
pub async fn histories(pool: &Pool, user: UserId, sessions: &[SessionId]) -> Result<Histories> {
    let ids: Vec<Uuid> = sessions.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Placed,
        r#"with h as materialized (select epoch, head_seq from sync_heads where user_id = $1)
           select h.epoch as "epoch!", h.head_seq as "head_seq!",
                  m.id, m.agent_session_id, m.seq, m.ord, m.parent_id, m.role, m.status, m.run_id, m.content,
                  m.metadata, m.created_at, m.deleted_at is not null as "is_deleted!"
           from (select wanted.nth, page.*,
                        sum(octet_length(page.content)) over newest_first as bytes, row_number() over newest_first as n
                 from (select id, min(nth) as nth from unnest($2::uuid[]) with ordinality asked (id, nth) group by id)
                          wanted,
                      lateral (
                          select * from conversations
                          where user_id = $1 and agent_session_id = wanted.id
                          order by ord desc limit $3
                      ) page
                 window newest_first as (order by wanted.nth, page.ord desc)
           ) m, h
           where m.bytes - octet_length(m.content) < $4 and m.n <= $5
           order by m.nth, m.ord"#,
        user.0,
        &ids,
        i64::try_from(limits::MESSAGE_PAGE).unwrap_or(i64::MAX),
        PAGE_BYTES,
        i64::try_from(limits::HISTORIES_MESSAGES).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await?;
    let as_of = match rows.first() {
        Some(row) => row.as_of(),
        None => head(pool, user).await?,
    };
    let messages = rows.into_iter().map(Message::from);
    let histories = stretches(as_of, messages);
    Ok(Histories { as_of, histories })
}

/// One for each run of messages of the same session.
fn stretches(as_of: Cursor, messages: impl Iterator<Item = Message>) -> Vec<History> {
    let mut by_session: Vec<(SessionId, Vec<Message>)> = Vec::new();
    for message in messages {
        match by_session.last_mut() {
            Some((session, messages)) if *session == message.session => messages.push(message),
            Some(_) | None => by_session.push((message.session, vec![message])),
        }
    }
    let stretches = by_session.into_iter();
    let histories = stretches.map(|(session, messages)| stretch(session, as_of, messages));
    histories.collect()
}

/// The newest messages of several sessions, each as its own stretch, in the order of `sessions`.
pub async fn newest_of(
    executor: impl PgExecutor<'_>,
    user: UserId,
    sessions: &[SessionId],
    limit: usize,
    as_of: Cursor,
) -> Result<Vec<History>> {
    let ids: Vec<Uuid> = sessions.iter().map(|id| id.0).collect();
    // an even share of what one answer may hold
    let share = PAGE_BYTES * 4 / i64::try_from(sessions.len().max(1)).unwrap_or(1);
    let rows = sqlx::query_as!(
        MessageRow,
        r#"select m.id as "id!", m.agent_session_id as "agent_session_id!", m.seq as "seq!", m.ord as "ord!", m.parent_id,
                  m.role as "role!", m.status as "status!", m.run_id, m.content as "content!", m.metadata as "metadata!",
                  m.created_at as "created_at!", m.deleted_at is not null as "is_deleted!"
           from unnest($2::uuid[]) with ordinality wanted (id, nth), lateral (
               select *, sum(octet_length(content)) over (order by ord desc) as bytes from (
                   select * from conversations
                   where user_id = $1 and agent_session_id = wanted.id
                   order by ord desc limit $3
               ) page
           ) m
           where m.bytes - octet_length(m.content) < $4
           order by wanted.nth, m.ord"#,
        user.0,
        &ids,
        i64::try_from(limit).unwrap_or(i64::MAX),
        share,
    )
    .fetch_all(executor)
    .await?;
    let mut by_session: HashMap<SessionId, Vec<Message>> = HashMap::new();
    for row in rows {
        by_session
            .entry(SessionId(row.agent_session_id))
            .or_default()
            .push(row.into());
    }
    let histories = sessions
        .iter()
        .map(|id| stretch(*id, as_of, by_session.remove(id).unwrap_or_default()));
    Ok(histories.collect())
}

/// A page of a session's messages after this place, oldest first, ended early where its text grows large.
pub async fn after(
    pool: &Pool,
    user: UserId,
    session: SessionId,
    last: Ord,
    limit: i64,
) -> Result<Vec<Message>> {
    let rows = sqlx::query_as!(
        MessageRow,
        r#"select m.id as "id!", m.agent_session_id as "agent_session_id!", m.seq as "seq!", m.ord as "ord!", m.parent_id,
                  m.role as "role!", m.status as "status!", m.run_id, m.content as "content!", m.metadata as "metadata!",
                  m.created_at as "created_at!", m.deleted_at is not null as "is_deleted!"
           from (select *, sum(octet_length(content)) over (order by ord) as bytes from (
                     select * from conversations
                     where user_id = $1 and agent_session_id = $2 and ord > $3
                     order by ord limit $4
                 ) page
           ) m
           where m.bytes - octet_length(m.content) < $5
           order by m.ord"#,
        user.0,
        session.0,
        last,
        limit,
        PAGE_BYTES,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// One message; `not_found` where it is not there or somebody else's.
pub async fn message(pool: &Pool, user: UserId, id: MessageId) -> Result<Message> {
    let row = sqlx::query_as!(
        MessageRow,
        r#"select id, agent_session_id, seq, ord, parent_id, role, status, run_id, content, metadata, created_at,
                  deleted_at is not null as "is_deleted!"
           from conversations where user_id = $1 and id = $2"#,
        user.0,
        id.0,
    )
    .fetch_optional(pool)
    .await?;
    row.map(Message::from).ok_or_else(|| Code::NotFound.into())
}

fn stretch(session: SessionId, as_of: Cursor, messages: Vec<Message>) -> History {
    History {
        session,
        as_of,
        lo: messages.first().map_or(1, |message| message.ord),
        hi: messages.last().map_or(0, |message| message.ord),
        messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_reads_back() {
        for wanted in [Role::User, Role::Assistant, Role::System] {
            assert_eq!(role(wanted.as_str()), wanted);
        }
    }

    #[test]
    fn an_empty_stretch_claims_nothing() {
        let as_of = Cursor {
            epoch: Uuid::now_v7(),
            seq: 3,
        };
        let history = stretch(SessionId::fresh(), as_of, Vec::new());
        assert_eq!((history.lo, history.hi), (1, 0));
    }
}
