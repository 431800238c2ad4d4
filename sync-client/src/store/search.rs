//! Searching the cache by its indexes. Reads only.

use super::{Result, reads, rows};
use crate::search::{Candidates, Query, TITLES, segmented};
use protocol::SessionId;
use protocol::search::Hit;
use protocol::sync::Session;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Row, params};

/// Where more messages fit than this, their words tell nothing of which is the best, and the newest are told of; and weighing
/// them would take 0.7 s for 200,000. As many as one session by itself tells of, ten times what all of them do.
const WEIGHED: usize = 500;

/// What the schema asks of every connection to the cache.
pub fn teach(connection: &Connection) -> Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("segmented", 1, flags, |context| {
        Ok(segmented(context.get_raw(0).as_str()?).into_owned())
    })?;
    Ok(())
}

/// The best messages, the newest of the sessions whose titles fit, and the rows of all these sessions and of `others`.
pub fn search(connection: &Connection, query: &Query, others: &[SessionId]) -> Result<Candidates> {
    if query.is_empty() {
        return Ok(Candidates::default());
    }
    let snapshot = connection.unchecked_transaction()?;
    let asked = query.to_fts5();
    let hits = hits(&snapshot, query, &asked)?;
    let titled = match query.session() {
        Some(_) => Vec::new(),
        None => titled(&snapshot, &asked)?,
    };
    let mut candidates = Candidates {
        titled: titled.iter().map(|session| session.id).collect(),
        sessions: titled.into_iter().map(|session| (session.id, session)).collect(),
        hits,
    };
    let ids = candidates.hits.iter().map(|(id, _)| id).chain(others);
    for id in ids {
        if !candidates.sessions.contains_key(id)
            && let Some(session) = reads::session(&snapshot, *id)?
        {
            candidates.sessions.insert(*id, session);
        }
    }
    Ok(candidates)
}

/// The best first, of those that fit as well the newest; one more than is shown tells that there are more.
fn hits(connection: &Connection, query: &Query, asked: &str) -> Result<Vec<(SessionId, Hit)>> {
    // Without the sign the index of words would be asked anew for each message of the session.
    let fitting = match query.session() {
        Some(_) => "messages_fts match ?1 and +rowid in (select rowid from messages where session_id = ?2)",
        None => "messages_fts match ?1 and ?2 is null",
    };
    let session = query.session().map(|session| session.to_string());
    let (weighed, shown) = (as_limit(WEIGHED), as_limit(query.most() + 1));
    let are_too_many: bool = connection
        .prepare_cached(&format!(
            "select count(*) > ?3 from (select 1 from messages_fts where {fitting} limit ?3 + 1)"
        ))?
        .query_row(params![asked, session, weighed], |row| row.get(0))?;
    let best = if are_too_many {
        // Rows are numbered as they come: the last to come are new, and a first sync begins with the newest.
        format!(
            "select m.rowid as n, 0.0 as score
               from (select * from (select rowid from messages_fts where {fitting} order by rowid desc limit ?3)
                     union
                     select * from (select rowid from messages_fts where {fitting} order by rowid limit ?3)) as ends
                    join messages as m on m.rowid = ends.rowid
              order by m.created_at desc limit ?4"
        )
    } else {
        format!(
            "select m.rowid as n, score
               from (select rowid, bm25(messages_fts) as score from messages_fts where {fitting} limit ?3) as few
                    join messages as m on m.rowid = few.rowid
              order by score, m.created_at desc limit ?4"
        )
    };
    let mut statement = connection.prepare_cached(&format!(
        "select m.session_id, m.id, m.ord, m.role, m.created_at, m.content
           from ({best}) as best join messages as m on m.rowid = best.n
          order by best.score, m.created_at desc"
    ))?;
    let hits = statement.query_map(params![asked, session, weighed, shown], |row| {
        Ok((rows::parsed(row, "session_id")?, hit(row, query)?))
    })?;
    Ok(hits.collect::<rusqlite::Result<_>>()?)
}

fn hit(row: &Row<'_>, query: &Query) -> rusqlite::Result<Hit> {
    Ok(Hit {
        message: rows::parsed(row, "id")?,
        ord: Some(row.get("ord")?),
        role: rows::role(row)?,
        snippet: query.snippet_of_found(&row.get::<_, String>("content")?),
        created_at: row.get("created_at")?,
    })
}

fn titled(connection: &Connection, asked: &str) -> Result<Vec<Session>> {
    let mut statement = connection.prepare_cached(&format!(
        "select {} from sessions where rowid in (select rowid from sessions_fts where sessions_fts match ?1)
          order by last_active desc, id desc limit ?2",
        rows::SESSION
    ))?;
    let sessions = statement.query_map(params![asked, as_limit(TITLES + 1)], rows::session)?;
    Ok(sessions.collect::<rusqlite::Result<_>>()?)
}

fn as_limit(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}
