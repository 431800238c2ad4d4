//! Giving up messages where room ends: of whole sessions, the one that was opened longest ago first, slice by slice.
//!
//! **Invariant:** what goes becomes a known gap in the same transaction, like what was never loaded. A session's row in
//! the list stays, and a session that there is a reason to keep loses nothing.

use super::quota::{Held, Reasons};
use super::{Result, reads, rows};
use protocol::SessionId;
use protocol::sync::Ord;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Messages given up in one transaction: with their words in the index some 20 ms, so that no write waits longer.
const SLICE: Ord = 500;

/// What one slice gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    pub session: SessionId,
    /// Nothing of it is here any more.
    pub is_whole: bool,
}

pub fn held(connection: &Connection) -> Result<Held> {
    let pages = reads::number(connection, "pragma page_count")?;
    let free = reads::number(connection, "pragma freelist_count")?;
    // SQLCipher answers this one by a text.
    let size = reads::number(
        connection,
        "select cast(page_size as integer) from pragma_page_size",
    )?;
    Ok(Held {
        bytes: pages.saturating_sub(free) * size,
        messages: reads::message_count(connection)?,
    })
}

/// A person opened this session: it is the last to be given up.
pub fn open(connection: &mut Connection, session: SessionId) -> Result<()> {
    connection.execute(
        "insert into openings (session_id, n) values (?1, (select coalesce(max(n), 0) + 1 from openings))
         on conflict (session_id) do update set n = excluded.n",
        [session.to_string()],
    )?;
    Ok(())
}

/// One slice of the session that is wanted least; `None`: nothing may go.
pub fn give_up(connection: &mut Connection, reasons: &Reasons) -> Result<Option<GivenUp>> {
    let transaction = connection.transaction()?;
    let Some(session) = least_wanted(&transaction, reasons)? else {
        return Ok(None);
    };
    let id = session.to_string();
    let oldest: Option<(Ord, Ord)> = transaction
        .prepare_cached("select lo, hi from message_ranges where session_id = ?1 order by lo limit 1")?
        .query_row([&id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((lo, hi)) = oldest else { return Ok(None) };
    let last = hi.min(lo + SLICE - 1);
    transaction
        .prepare_cached("delete from messages where session_id = ?1 and ord between ?2 and ?3")?
        .execute(params![id, lo, last])?;
    transaction
        .prepare_cached("delete from message_ranges where session_id = ?1 and lo = ?2")?
        .execute(params![id, lo])?;
    if last < hi {
        transaction
            .prepare_cached("insert into message_ranges (session_id, lo, hi) values (?1, ?2, ?3)")?
            .execute(params![id, last + 1, hi])?;
    }
    let is_whole = !transaction
        .prepare_cached("select 1 from message_ranges where session_id = ?1")?
        .exists([&id])?;
    transaction.commit()?;
    Ok(Some(GivenUp { session, is_whole }))
}

/// What was never opened goes first, the oldest of that first: the opposite of how it was loaded.
fn least_wanted(connection: &Connection, reasons: &Reasons) -> Result<Option<SessionId>> {
    let mut statement = connection.prepare_cached(
        "select s.id from sessions as s left join openings as o on o.session_id = s.id
          where s.gone = 0 and s.seq > 0 and s.running = 0
            and exists (select 1 from message_ranges as r where r.session_id = s.id)
          order by coalesce(o.n, 0), s.last_active, s.id",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let session: SessionId = rows::parsed(row, "id")?;
        if !reasons.keeps(session) {
            return Ok(Some(session));
        }
    }
    Ok(None)
}
