//! Searching the cache by its indexes. Reads only.

use super::{Result, reads, rows};
use crate::search::{Candidates, HITS, Query, TITLES, segmented};
use protocol::SessionId;
use protocol::search::Hit;
use protocol::sync::Session;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Row, params};
use std::cmp::Reverse;

/// Messages that are weighed against each other, those that came here last: a word that is everywhere would have every
/// message weighed, 0.7 s for 200,000 of them. Twenty times what is shown.
const RANKED: usize = 1_000;

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

/// Of messages that fit as well, the newest first. One more than is shown tells that there are more.
fn hits(connection: &Connection, query: &Query, asked: &str) -> Result<Vec<(SessionId, Hit)>> {
    // Without the sign the index of words would be asked anew for each message of the session.
    let of_session = match query.session() {
        Some(_) => "and +rowid in (select rowid from messages where session_id = ?4)",
        None => "and ?4 is null",
    };
    let mut statement = connection.prepare_cached(&format!(
        "select m.session_id, m.id, m.ord, m.role, m.created_at, m.content, best.score
           from (select rowid, score
                   from (select rowid, bm25(messages_fts) as score from messages_fts
                          where messages_fts match ?1 {of_session} order by rowid desc limit ?2)
                  order by score limit ?3) as best
                join messages as m on m.rowid = best.rowid"
    ))?;
    let session = query.session().map(|session| session.to_string());
    let asked = params![asked, as_limit(RANKED), as_limit(HITS + 1), session];
    let mut hits: Vec<(f64, SessionId, Hit)> = statement
        .query_map(asked, |row| {
            let session = rows::parsed(row, "session_id")?;
            Ok((row.get("score")?, session, hit(row, query)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    hits.sort_by(|(score, _, hit), (other_score, _, other)| {
        let newest_first = Reverse(hit.created_at).cmp(&Reverse(other.created_at));
        score.total_cmp(other_score).then(newest_first)
    });
    Ok(hits.into_iter().map(|(_, session, hit)| (session, hit)).collect())
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
