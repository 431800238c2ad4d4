//! The heads: where each user's changes stand, the lock that orders them, and the rows that changed since.

use crate::database::{Pool, Transaction};
use crate::error::Result;
use crate::sessions::{MessageRow, SessionRow};
use protocol::run::Status;
use protocol::sync::{Change, Cursor, Seq};
use protocol::{SessionId, UserId};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

/// Text of one page, in bytes.
const PAGE_BYTES: i64 = 2 * 1024 * 1024;

/// A transaction that holds its user's head. Everything that it writes is numbered from `alloc`.
#[derive(Debug)]
pub struct Lock {
    pub transaction: Transaction,
    pub head: Cursor,
}

/// Takes the user's head for the few writes that need more than one statement, with bounds on how long it may be held.
pub async fn lock(pool: &Pool, user: UserId) -> Result<Option<Lock>> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query!(
        "select epoch, head_seq from sync_heads
         where user_id = $1
           and set_config('lock_timeout', '2s', true) <> ''
           and set_config('statement_timeout', '5s', true) <> ''
           and set_config('idle_in_transaction_session_timeout', '5s', true) <> ''
         for update",
        user.0,
    )
    .fetch_optional(&mut transaction)
    .await?;
    Ok(row.map(|row| Lock {
        transaction,
        head: Cursor {
            epoch: row.epoch,
            seq: row.head_seq,
        },
    }))
}

impl Lock {
    pub fn connection(&mut self) -> &mut Transaction {
        &mut self.transaction
    }

    /// Whoever stands below begins afresh from now on.
    pub async fn raise_floor(&mut self, user: UserId, floor: Seq) -> Result<()> {
        sqlx::query!(
            "update sync_heads set floor_seq = greatest(floor_seq, $2) where user_id = $1",
            user.0,
            floor,
        )
        .execute(&mut self.transaction)
        .await?;
        Ok(())
    }

    /// Gives out `count` numbers; `head` is the last of them.
    pub async fn alloc(&mut self, user: UserId, count: i64) -> Result<Seq> {
        let first = sqlx::query_scalar!("select sync_alloc($1, $2)", user.0, count)
            .fetch_one(&mut self.transaction)
            .await?;
        let first = first.unwrap_or(self.head.seq + 1);
        self.head.seq = first + count - 1;
        Ok(first)
    }
}

/// A user's head and how far back the feed goes.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub head: Cursor,
    pub floor: Seq,
}

pub async fn standing(executor: impl PgExecutor<'_>, user: UserId) -> Result<Option<Standing>> {
    let row = sqlx::query!(
        "select epoch, head_seq, floor_seq from sync_heads where user_id = $1",
        user.0
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| Standing {
        head: Cursor {
            epoch: row.epoch,
            seq: row.head_seq,
        },
        floor: row.floor_seq,
    }))
}

/// The heads of many users.
pub async fn of(pool: &Pool, users: &[UserId]) -> Result<Vec<(UserId, Cursor)>, sqlx::Error> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
    let rows = sqlx::query!(
        "select user_id, epoch, head_seq from sync_heads where user_id = any($1)",
        &ids
    )
    .fetch_all(pool)
    .await?;
    let heads = rows.into_iter().map(|row| {
        let head = Cursor {
            epoch: row.epoch,
            seq: row.head_seq,
        };
        (UserId(row.user_id), head)
    });
    Ok(heads.collect())
}

/// The head and the rows with a number above `since`, by number, all from one snapshot.
pub struct Since {
    pub standing: Standing,
    pub changes: Vec<Change>,
    /// More rows may follow the last.
    pub is_cut: bool,
}

pub async fn since(pool: &Pool, user: UserId, since: Seq, limit: usize) -> Result<Option<Since>> {
    let rows = sqlx::query_as!(
        FeedRow,
        r#"select h.epoch, h.head_seq, h.floor_seq,
                  c.kind as "kind?", c.id as "id?", c.seq as "seq?", c.text as "text?", c.created_at as "created_at?",
                  c.title_seq as "title_seq?", c.archived as "archived?", c.last_ord as "last_ord?", c.preview as "preview?",
                  c.live_runs as "live_runs?", c.last_active as "last_active?",
                  c.agent_session_id as "agent_session_id?", c.ord as "ord?", c.parent_id, c.role as "role?",
                  c.status as "status?", c.run_id, c.metadata as "metadata?", c.is_deleted as "is_deleted?",
                  c.bytes as "bytes?"
           from sync_heads h left join lateral (
               select *, (sum(octet_length(text)) over (order by seq))::bigint as bytes from (
                   (select 0 as kind, id, seq, title::text as text, created_at,
                           title_seq, archived, last_ord, preview, live_runs, last_active,
                           null::uuid as agent_session_id, null::bigint as ord, null::uuid as parent_id, null::text as role,
                           null::smallint as status, null::uuid as run_id, null::jsonb as metadata,
                           deleted_at is not null as is_deleted
                    from agent_sessions where user_id = $1 and seq > $2 order by seq limit $3)
                   union all
                   (select 1, id, seq, content, created_at,
                           null, null, null, null, null, null,
                           agent_session_id, ord, parent_id, role, status, run_id, metadata, deleted_at is not null
                    from conversations where user_id = $1 and seq > $2 order by seq limit $3)
                   order by seq limit $3
               ) page
           ) c on c.bytes - octet_length(c.text) < $4
           where h.user_id = $1
           order by c.seq"#,
        user.0,
        since,
        i64::try_from(limit).unwrap_or(i64::MAX),
        PAGE_BYTES,
    )
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let standing = Standing {
        head: Cursor {
            epoch: first.epoch,
            seq: first.head_seq,
        },
        floor: first.floor_seq,
    };
    let has_many_bytes = rows.last().and_then(|row| row.bytes).unwrap_or(0) >= PAGE_BYTES;
    let changes: Vec<Change> = rows.into_iter().filter_map(FeedRow::change).collect();
    Ok(Some(Since {
        standing,
        is_cut: changes.len() >= limit || has_many_bytes,
        changes,
    }))
}

/// A session or a message: what only the other has is null.
struct FeedRow {
    epoch: Uuid,
    head_seq: i64,
    floor_seq: i64,
    kind: Option<i32>,
    id: Option<Uuid>,
    seq: Option<i64>,
    text: Option<String>,
    created_at: Option<OffsetDateTime>,
    title_seq: Option<i64>,
    archived: Option<bool>,
    last_ord: Option<i64>,
    preview: Option<String>,
    live_runs: Option<i32>,
    last_active: Option<OffsetDateTime>,
    agent_session_id: Option<Uuid>,
    ord: Option<i64>,
    parent_id: Option<Uuid>,
    role: Option<String>,
    status: Option<i16>,
    run_id: Option<Uuid>,
    metadata: Option<serde_json::Value>,
    is_deleted: Option<bool>,
    bytes: Option<i64>,
}

impl FeedRow {
    /// `None` for the one row of a user without changes.
    fn change(self) -> Option<Change> {
        let (id, seq, is_deleted) = (self.id?, self.seq?, self.is_deleted?);
        if self.kind? == 0 {
            if is_deleted {
                return Some(Change::SessionGone {
                    id: SessionId(id),
                    seq,
                });
            }
            let row = SessionRow {
                id,
                seq,
                title: self.text?,
                title_seq: self.title_seq?,
                archived: self.archived?,
                last_ord: self.last_ord?,
                preview: self.preview?,
                live_runs: self.live_runs?,
                last_active: self.last_active?,
                created_at: self.created_at?,
            };
            return Some(Change::Session(row.into()));
        }
        let row = MessageRow {
            id,
            agent_session_id: self.agent_session_id?,
            seq,
            ord: self.ord?,
            parent_id: self.parent_id,
            role: self.role?,
            status: self.status.unwrap_or(Status::Complete.number()),
            run_id: self.run_id,
            content: self.text?,
            metadata: self.metadata?,
            created_at: self.created_at?,
            is_deleted,
        };
        Some(Change::Message(row.into()))
    }
}
