//! Reading the cache: by index, and without bodies where none are shown.

use super::{Result, rows};
use crate::ranges::missing;
use crate::replica::Whole;
use crate::tails::Tail;
use protocol::run::At;
use protocol::sync::{Cursor, Digest, Message, Ord, Session, SessionsBefore, row_hash};
use protocol::{MessageId, SessionId, UnixMillis, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;

/// A session's newest messages.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub session: Option<Session>,
    /// By ord; the newest stretch without holes, as many as were asked for.
    pub messages: Vec<Message>,
    /// The newest stretch that is here.
    pub newest: Option<(Ord, Ord)>,
}

impl Page {
    /// What must be loaded before the newest `want` are here; see [`missing`].
    pub fn missing(&self, want: Ord) -> Option<Option<Ord>> {
        missing(
            self.newest,
            self.session.as_ref().map_or(0, |session| session.last_ord),
            want,
        )
    }
}

/// A session of which something is not here, and its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub session: SessionId,
    pub last_active: UnixMillis,
    /// How many messages it has.
    pub last_ord: Ord,
}

/// A stretch of a session that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub session: SessionId,
    pub lo: Ord,
    pub hi: Ord,
}

/// Which sessions are to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub before: UnixMillis,
    pub now: UnixMillis,
}

pub fn cursor(connection: &Connection) -> Result<Option<Cursor>> {
    let read = |row: &Row<'_>| {
        Ok(Cursor {
            epoch: rows::parsed(row, "epoch")?,
            seq: row.get("cursor")?,
        })
    };
    Ok(connection
        .prepare_cached("select epoch, cursor from sync_state")?
        .query_row([], read)
        .optional()?)
}

pub fn whole(connection: &Connection) -> Result<Whole> {
    let read = |row: &Row<'_>| {
        Ok(Whole {
            seq: row.get("whole")?,
            head: row.get("head")?,
            is_listed: row.get("is_listed")?,
        })
    };
    let mut statement =
        connection.prepare_cached("select whole, head, list_more is null as is_listed from sync_state")?;
    Ok(statement.query_row([], read).optional()?.unwrap_or_default())
}

pub fn owner(connection: &Connection) -> Result<Option<UserId>> {
    let read = |row: &Row<'_>| rows::parsed(row, "user_id");
    Ok(connection
        .query_row("select user_id from sync_state", [], read)
        .optional()?)
}

pub fn list_more(connection: &Connection) -> Result<Option<SessionsBefore>> {
    let more: Option<Option<String>> = connection
        .query_row("select list_more from sync_state", [], |row| row.get(0))
        .optional()?;
    Ok(more.flatten().and_then(|text| text.parse().ok()))
}

pub fn sessions(
    connection: &Connection,
    archived: bool,
    others: &BTreeSet<SessionId>,
    most: usize,
) -> Result<Vec<Session>> {
    // Of one moment: what is among the newest is not looked up as another.
    let connection = &*connection.unchecked_transaction()?;
    let limit = i64::try_from(most.saturating_add(others.len())).unwrap_or(i64::MAX);
    let mut sessions: Vec<Session> = connection
        .prepare_cached(&format!(
            "select {} from sessions where gone = 0 and archived = ?1 and seq > 0
              order by last_active desc, id desc limit ?2",
            rows::SESSION
        ))?
        .query_map(params![archived, limit], rows::session)?
        .collect::<rusqlite::Result<_>>()?;
    let mut missing = others.clone();
    for session in &sessions {
        missing.remove(&session.id);
    }
    for id in missing {
        sessions.extend(session(connection, id)?);
    }
    Ok(sessions)
}

pub fn session(connection: &Connection, id: SessionId) -> Result<Option<Session>> {
    let sql = format!(
        "select {} from sessions where id = ?1 and gone = 0 and seq > 0",
        rows::SESSION
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([id.to_string()], rows::session).optional()?)
}

pub fn is_gone(connection: &Connection, id: SessionId) -> Result<bool> {
    let mut statement = connection.prepare_cached("select gone from sessions where id = ?1")?;
    let gone = statement
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    Ok(gone.unwrap_or(false))
}

pub fn page(connection: &Connection, id: SessionId, limit: usize) -> Result<Page> {
    // Of one moment: between two reads the messages may be given up.
    let connection = &*connection.unchecked_transaction()?;
    let newest: Option<(Ord, Ord)> = connection
        .prepare_cached("select lo, hi from message_ranges where session_id = ?1 order by lo desc limit 1")?
        .query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let mut messages = Vec::new();
    if let Some((lo, hi)) = newest {
        let sql = format!(
            "select {} from messages where session_id = ?1 and ord between ?2 and ?3 order by ord desc limit ?4",
            rows::MESSAGE
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        messages = connection
            .prepare_cached(&sql)?
            .query_map(params![id.to_string(), lo, hi, limit], rows::message)?
            .collect::<rusqlite::Result<_>>()?;
        messages.reverse();
    }
    Ok(Page {
        session: session(connection, id)?,
        messages,
        newest,
    })
}

pub fn to_hydrate(connection: &Connection, newest: usize) -> Result<Vec<SessionId>> {
    let mut statement = connection.prepare_cached(
        "select id from (select id, last_ord from sessions where gone = 0 and archived = 0 and seq > 0
                          order by last_active desc, id desc limit ?1) as newest
          where last_ord > 0
            and not exists (select 1 from message_ranges as r where r.session_id = newest.id and r.hi >= last_ord)",
    )?;
    let ids = statement.query_map([i64::try_from(newest).unwrap_or(i64::MAX)], |row| {
        rows::parsed(row, "id")
    })?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// The newest sessions with a gap anywhere, archived ones too, after this place of the list.
pub fn gaps(connection: &Connection, after: Option<Gap>, limit: usize) -> Result<Vec<Gap>> {
    let (last_active, id) = after.map_or((i64::MAX, String::new()), |gap| {
        (gap.last_active, gap.session.to_string())
    });
    let mut statement = connection.prepare_cached(
        "select id, last_active, last_ord from sessions as s
          where gone = 0 and seq > 0 and last_ord > 0 and (last_active, id) < (?1, ?2)
            and not exists (select 1 from message_ranges as r
                             where r.session_id = s.id and r.lo <= 1 and r.hi >= s.last_ord)
          order by last_active desc, id desc limit ?3",
    )?;
    let gaps = statement.query_map(
        params![last_active, id, i64::try_from(limit).unwrap_or(i64::MAX)],
        |row| {
            Ok(Gap {
                session: rows::parsed(row, "id")?,
                last_active: row.get("last_active")?,
                last_ord: row.get("last_ord")?,
            })
        },
    )?;
    Ok(gaps.collect::<rusqlite::Result<_>>()?)
}

/// The stretches of the next sessions that were last compared before `before` (or after `now`: a clock set back), with
/// the cursor at which all of it is true.
pub fn digests(
    connection: &Connection,
    due: Due,
    after: Option<SessionId>,
    limit: usize,
) -> Result<Option<(Cursor, Vec<Digest>)>> {
    let transaction = connection.unchecked_transaction()?;
    let Some(cursor) = cursor(&transaction)? else {
        return Ok(None);
    };
    // A cross join, for SQLite to take these sessions first: it knows of no table how large it is.
    let mut statement = transaction.prepare_cached(
        "select r.session_id, r.lo, r.hi
           from (select id from sessions
                  where gone = 0 and seq > 0 and id > ?1 and (verified_at < ?2 or verified_at > ?3)
                  order by id limit ?4) as s
                cross join message_ranges as r on r.session_id = s.id
          order by r.session_id, r.lo",
    )?;
    let after = after.map_or_else(String::new, |id| id.to_string());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let stretches: Vec<Stretch> = statement
        .query_map(params![after, due.before, due.now, limit], |row| {
            Ok(Stretch {
                session: rows::parsed(row, "session_id")?,
                lo: row.get("lo")?,
                hi: row.get("hi")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let digests = stretches.into_iter().map(|stretch| digest(&transaction, stretch));
    Ok(Some((cursor, digests.collect::<Result<_>>()?)))
}

fn digest(connection: &Connection, stretch: Stretch) -> Result<Digest> {
    let mut statement = connection
        .prepare_cached("select id, seq from messages where session_id = ?1 and ord between ?2 and ?3")?;
    let mut found = statement.query(params![stretch.session.to_string(), stretch.lo, stretch.hi])?;
    let (mut count, mut xor) = (0, 0);
    while let Some(row) = found.next()? {
        count += 1;
        xor ^= row_hash(rows::parsed(row, "id")?, row.get("seq")?);
    }
    Ok(Digest {
        id: stretch.session,
        lo: stretch.lo,
        hi: stretch.hi,
        count,
        xor: format!("{xor:016x}"),
    })
}

pub fn tails(connection: &Connection) -> Result<Vec<Tail>> {
    let read = |row: &Row<'_>| {
        let idx: i64 = row.get("idx")?;
        Ok(Tail {
            run: rows::parsed(row, "run_id")?,
            message: rows::parsed(row, "message_id")?,
            session: rows::parsed(row, "session_id")?,
            at: Some(At {
                attempt: row.get("attempt")?,
                idx: u64::try_from(idx).unwrap_or_default(),
            }),
            text: row.get("body")?,
            older: None,
            ended: None,
        })
    };
    let mut statement =
        connection.prepare_cached("select run_id, message_id, session_id, attempt, idx, body from runs")?;
    let tails = statement.query_map([], read)?;
    Ok(tails.collect::<rusqlite::Result<_>>()?)
}

/// A message that is here.
pub fn message(connection: &Connection, id: MessageId) -> Result<Option<Message>> {
    let sql = format!("select {} from messages where id = ?1", rows::MESSAGE);
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([id.to_string()], rows::message).optional()?)
}

/// The ord of a message that is here, and of the session's newest.
pub fn place(connection: &Connection, session: SessionId, message: MessageId) -> Result<Option<(Ord, Ord)>> {
    let mut statement = connection.prepare_cached(
        "select m.ord, s.last_ord from messages as m join sessions as s on s.id = m.session_id
          where m.id = ?1 and s.id = ?2",
    )?;
    let place = statement.query_row([message.to_string(), session.to_string()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    Ok(place.optional()?)
}

pub fn session_count(connection: &Connection) -> Result<u64> {
    number(
        connection,
        "select count(*) from sessions where gone = 0 and seq > 0",
    )
}

/// By the stretches, of which there are far fewer than messages.
pub fn message_count(connection: &Connection) -> Result<u64> {
    number(
        connection,
        "select coalesce(sum(hi - lo + 1), 0) from message_ranges",
    )
}

/// One that is never negative.
pub fn number(connection: &Connection, sql: &str) -> Result<u64> {
    let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(number.unsigned_abs())
}
