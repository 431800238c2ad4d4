//! Sessions as they are read: a page of the list in one query, and one by its id.

use crate::database::Pool;
use crate::error::Result;
use protocol::sync::{Cursor, Epoch, Seq, Session, SessionsBefore, SessionsPage};
use protocol::{Code, SessionId, UserId};
use sqlx::PgExecutor;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A session's row, as every query here and in `sync` selects it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub id: Uuid,
    pub seq: i64,
    pub title: String,
    pub title_seq: i64,
    pub archived: bool,
    pub last_ord: i64,
    pub preview: String,
    pub live_runs: i32,
    pub last_active: OffsetDateTime,
    pub created_at: OffsetDateTime,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: SessionId(row.id),
            seq: row.seq,
            title: row.title,
            title_seq: row.title_seq,
            archived: row.archived,
            last_ord: row.last_ord,
            preview: row.preview,
            running: row.live_runs > 0,
            last_active: millis(row.last_active),
            created_at: millis(row.created_at),
        }
    }
}

pub(super) fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

/// The place after which a page begins; later than everything when none is named.
fn place(before: Option<SessionsBefore>) -> (OffsetDateTime, Uuid) {
    let end = OffsetDateTime::new_utc(
        Date::from_ordinal_date(9999, 1).unwrap_or(Date::MAX),
        time::Time::MIDNIGHT,
    );
    match before {
        Some(before) => (
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(before.last_active) * 1_000).unwrap_or(end),
            before.id.0,
        ),
        None => (end, Uuid::max()),
    }
}

/// One page of the list, newest first, with the head it was read at: one query.
pub async fn list(
    pool: &Pool,
    user: UserId,
    archived: bool,
    before: Option<SessionsBefore>,
    limit: usize,
) -> Result<SessionsPage> {
    let (at, id) = place(before);
    let rows = sqlx::query!(
        r#"with h as materialized (select epoch, head_seq from sync_heads where user_id = $1)
           select h.epoch as "epoch!", h.head_seq as "head_seq!",
                  s.id, s.seq, s.title, s.title_seq, s.archived, s.last_ord, s.preview, s.live_runs,
                  s.last_active, s.created_at
           from agent_sessions s, h
           where s.user_id = $1 and s.archived = $2 and s.deleted_at is null and (s.last_active, s.id) < ($3, $4)
           order by s.last_active desc, s.id desc
           limit $5"#,
        user.0,
        archived,
        at,
        id,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(pool)
    .await?;
    let as_of = match rows.first() {
        Some(row) => cursor(row.epoch, row.head_seq),
        None => head(pool, user).await?,
    };
    let is_full = rows.len() >= limit;
    let more = rows.last().filter(|_| is_full).map(|row| SessionsBefore {
        last_active: micros(row.last_active),
        id: SessionId(row.id),
    });
    let sessions = rows
        .into_iter()
        .map(|row| Session {
            id: SessionId(row.id),
            seq: row.seq,
            title: row.title,
            title_seq: row.title_seq,
            archived: row.archived,
            last_ord: row.last_ord,
            preview: row.preview,
            running: row.live_runs > 0,
            last_active: millis(row.last_active),
            created_at: millis(row.created_at),
        })
        .collect();
    Ok(SessionsPage {
        as_of,
        sessions,
        more,
    })
}

/// The newest sessions, archived or not, and where each list goes on.
pub async fn newest(
    executor: impl PgExecutor<'_>,
    user: UserId,
    limit: usize,
) -> Result<(Vec<Session>, Option<SessionsBefore>)> {
    let rows = sqlx::query_as!(
        SessionRow,
        r#"select s.id as "id!", s.seq as "seq!", s.title as "title!", s.title_seq as "title_seq!",
                  s.archived as "archived!", s.last_ord as "last_ord!", s.preview as "preview!",
                  s.live_runs as "live_runs!", s.last_active as "last_active!", s.created_at as "created_at!"
           from (values (false), (true)) side (archived), lateral (
               select * from agent_sessions a
               where a.user_id = $1 and a.archived = side.archived and a.deleted_at is null
               order by a.last_active desc, a.id desc
               limit $2
           ) s
           order by s.last_active desc, s.id desc
           limit $2"#,
        user.0,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(executor)
    .await?;
    let more = rows
        .last()
        .filter(|_| rows.len() >= limit)
        .map(|row| SessionsBefore {
            last_active: micros(row.last_active),
            id: SessionId(row.id),
        });
    Ok((rows.into_iter().map(Session::from).collect(), more))
}

/// One session; `not_found` where it is deleted or somebody else's.
pub async fn session(executor: impl PgExecutor<'_>, user: UserId, id: SessionId) -> Result<Session> {
    let row = sqlx::query_as!(
        SessionRow,
        "select id, seq, title, title_seq, archived, last_ord, preview, live_runs, last_active, created_at
         from agent_sessions
         where user_id = $1 and id = $2 and deleted_at is null",
        user.0,
        id.0,
    )
    .fetch_optional(executor)
    .await?;
    row.map(Session::from).ok_or_else(|| Code::NotFound.into())
}

/// A page of all sessions after this one, in an order that nothing changes.
pub async fn after(pool: &Pool, user: UserId, last: SessionId, limit: i64) -> Result<Vec<Session>> {
    let rows = sqlx::query_as!(
        SessionRow,
        "select id, seq, title, title_seq, archived, last_ord, preview, live_runs, last_active, created_at
         from agent_sessions
         where user_id = $1 and id > $2 and deleted_at is null
         order by id
         limit $3",
        user.0,
        last.0,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// Where the user's changes stand.
pub(super) async fn head(executor: impl PgExecutor<'_>, user: UserId) -> Result<Cursor> {
    let row = sqlx::query!(
        "select epoch, head_seq from sync_heads where user_id = $1",
        user.0
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| cursor(row.epoch, row.head_seq))
        .ok_or_else(|| Code::NotFound.into())
}

const fn cursor(epoch: Epoch, seq: Seq) -> Cursor {
    Cursor { epoch, seq }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_key_is_as_exact_as_the_database_sorts() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap();
        let before = SessionsBefore {
            last_active: micros(at),
            id: SessionId::fresh(),
        };
        assert_eq!(place(Some(before)), (at, before.id.0));
        assert!(place(None).0 > at);
    }

    #[test]
    fn a_page_key_from_nowhere_is_no_panic() {
        let before = SessionsBefore {
            last_active: i64::MAX,
            id: SessionId::fresh(),
        };
        assert_eq!(place(Some(before)).1, before.id.0);
    }
}
