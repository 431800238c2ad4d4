//! Writing the server's rows. Each function is one transaction: the rows and the cursor that vouches for them.

use super::{Result, reads, rows};
use crate::ranges::Ranges;
use crate::replica::{Applied, Verdict, Whole, judge_page, judge_read};
use crate::store::reads::Stretch;
use crate::tails::Tail;
use protocol::sync::{
    Bootstrap, Change, Cursor, Histories, History, Ord, Session, SessionsBefore, SessionsPage, SyncPage,
};
use protocol::{SessionId, UnixMillis, UserId};
use rusqlite::{Connection, params};

/// A fresh start: every row is replaced.
pub fn bootstrap(connection: &mut Connection, user: UserId, bootstrap: &Bootstrap) -> Result<()> {
    let transaction = connection.transaction()?;
    let is_same_history =
        reads::cursor(&transaction)?.is_some_and(|cursor| cursor.epoch == bootstrap.as_of.epoch);
    let whole = reads::whole(&transaction)?.begin(bootstrap, is_same_history);
    transaction.execute_batch(
        "delete from messages; delete from message_ranges; delete from runs; delete from sessions;
         delete from sync_state;",
    )?;
    let Cursor { epoch, seq } = bootstrap.as_of;
    transaction.execute(
        "insert into sync_state (id, user_id, epoch, cursor, whole, head, list_more)
         values (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            user.to_string(),
            epoch.to_string(),
            seq,
            whole.seq,
            whole.head,
            bootstrap.more.map(|more| more.to_string())
        ],
    )?;
    for session in &bootstrap.sessions {
        rows::put_session(&transaction, session)?;
    }
    for history in &bootstrap.histories {
        put_history(&transaction, history)?;
    }
    Ok(transaction.commit()?)
}

/// A page of changes: applied where it begins at the cursor.
pub fn page(connection: &mut Connection, page: &SyncPage) -> Result<Applied> {
    let transaction = connection.transaction()?;
    let verdict = judge_page(reads::cursor(&transaction)?, page);
    let mut applied = Applied::nothing(verdict);
    if verdict != Verdict::Applied {
        return Ok(applied);
    }
    for change in &page.changes {
        put_change(&transaction, change, &mut applied)?;
    }
    let whole = reads::whole(&transaction)?.after(page);
    transaction.execute("update sync_state set cursor = ?1", [page.to.seq])?;
    put_whole(&transaction, whole)?;
    transaction.commit()?;
    Ok(applied)
}

fn put_change(connection: &Connection, change: &Change, applied: &mut Applied) -> Result<()> {
    match change {
        Change::Session(session) => applied.list |= rows::put_session(connection, session)?,
        Change::Message(message) => {
            rows::put_stub(connection, message.session)?;
            if rows::put_message(connection, message)? {
                add_range(connection, message.session, message.ord, message.ord)?;
                applied.sessions.insert(message.session);
            }
        }
        Change::SessionGone { id, seq } => {
            remove_session(connection, *id, *seq)?;
            applied.list = true;
            applied.sessions.insert(*id);
        }
    }
    Ok(())
}

/// Keeps the row as a tombstone, so that no late read brings it back; everything in it goes.
fn remove_session(connection: &Connection, id: SessionId, seq: i64) -> Result<()> {
    let id = id.to_string();
    connection.execute(
        "insert into sessions (id, seq, gone) values (?1, ?2, 1)
         on conflict (id) do update set seq = excluded.seq, gone = 1, title = '', preview = '', running = 0",
        params![id, seq],
    )?;
    for table in ["messages", "message_ranges", "runs", "openings"] {
        connection.execute(&format!("delete from {table} where session_id = ?1"), [&id])?;
    }
    Ok(())
}

/// A stretch of one session: applied where it was not read before the cursor.
pub fn history(connection: &mut Connection, history: &History) -> Result<Applied> {
    let transaction = connection.transaction()?;
    let verdict = judge_read(reads::cursor(&transaction)?, history.as_of);
    let mut applied = Applied::nothing(verdict);
    if verdict == Verdict::Applied && !reads::is_gone(&transaction, history.session)? {
        put_history(&transaction, history)?;
        applied.sessions.insert(history.session);
        transaction.commit()?;
    }
    Ok(applied)
}

/// Stretches of many sessions, read at one moment: applied where that was not before the cursor.
pub fn histories(connection: &mut Connection, read: &Histories) -> Result<Applied> {
    let transaction = connection.transaction()?;
    let verdict = judge_read(reads::cursor(&transaction)?, read.as_of);
    let mut applied = Applied::nothing(verdict);
    if verdict == Verdict::Applied {
        for history in &read.histories {
            if !reads::is_gone(&transaction, history.session)? {
                put_history(&transaction, history)?;
                applied.sessions.insert(history.session);
            }
        }
        transaction.commit()?;
    }
    Ok(applied)
}

fn put_history(connection: &Connection, history: &History) -> Result<()> {
    if !history.messages.is_empty() {
        rows::put_stub(connection, history.session)?;
    }
    for message in &history.messages {
        rows::put_message(connection, message)?;
    }
    if history.lo <= history.hi {
        add_range(connection, history.session, history.lo, history.hi)?;
    }
    Ok(())
}

/// A page of the list: applied where it was not read before the cursor.
pub fn sessions_page(connection: &mut Connection, page: &SessionsPage) -> Result<Applied> {
    let transaction = connection.transaction()?;
    let verdict = judge_read(reads::cursor(&transaction)?, page.as_of);
    let mut applied = Applied::nothing(verdict);
    if verdict == Verdict::Applied {
        for session in &page.sessions {
            applied.list |= rows::put_session(&transaction, session)?;
        }
        transaction.commit()?;
    }
    Ok(applied)
}

/// Both lists have been read from this key to their ends, last at `as_of`. A fresh start meanwhile has left another key:
/// that list is still to be read.
pub fn finish_list(connection: &mut Connection, from: SessionsBefore, as_of: Cursor) -> Result<()> {
    let transaction = connection.transaction()?;
    let finished = transaction.execute(
        "update sync_state set list_more = null where list_more = ?1",
        [from.to_string()],
    )?;
    if finished > 0
        && let Some(cursor) = reads::cursor(&transaction)?
    {
        let whole = reads::whole(&transaction)?.listed(as_of.seq, cursor.seq);
        put_whole(&transaction, whole)?;
    }
    Ok(transaction.commit()?)
}

fn put_whole(connection: &Connection, whole: Whole) -> Result<()> {
    connection.execute(
        "update sync_state set whole = ?1, head = ?2",
        [whole.seq, whole.head],
    )?;
    Ok(())
}

/// One row, read no earlier than `as_of`: applied where it is this user's, and was not read before the cursor.
pub fn one_session(
    connection: &mut Connection,
    user: UserId,
    as_of: Cursor,
    session: &Session,
) -> Result<Verdict> {
    let transaction = connection.transaction()?;
    if reads::owner(&transaction)? != Some(user) {
        return Ok(Verdict::Gap);
    }
    let verdict = judge_read(reads::cursor(&transaction)?, as_of);
    if verdict == Verdict::Applied {
        rows::put_session(&transaction, session)?;
        transaction.commit()?;
    }
    Ok(verdict)
}

/// Forgets a stretch and all that stands in it, so that it is loaded afresh.
pub fn drop_stretch(connection: &mut Connection, stretch: Stretch) -> Result<()> {
    let transaction = connection.transaction()?;
    let id = stretch.session.to_string();
    transaction.execute(
        "delete from messages where session_id = ?1 and ord between ?2 and ?3",
        params![id, stretch.lo, stretch.hi],
    )?;
    transaction.execute(
        "delete from message_ranges where session_id = ?1 and lo <= ?3 and hi >= ?2",
        params![id, stretch.lo, stretch.hi],
    )?;
    Ok(transaction.commit()?)
}

/// These sessions were compared with the server's.
pub fn mark_verified(connection: &mut Connection, sessions: &[SessionId], now: UnixMillis) -> Result<()> {
    let transaction = connection.transaction()?;
    for session in sessions {
        transaction
            .prepare_cached("update sessions set verified_at = ?2 where id = ?1")?
            .execute(params![session.to_string(), now])?;
    }
    Ok(transaction.commit()?)
}

fn add_range(connection: &Connection, session: SessionId, lo: Ord, hi: Ord) -> Result<()> {
    let id = session.to_string();
    let touching: Vec<(Ord, Ord)> = connection
        .prepare_cached(
            "select lo, hi from message_ranges where session_id = ?1 and lo <= ?3 + 1 and hi >= ?2 - 1",
        )?
        .query_map(params![id, lo, hi], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if touching.iter().any(|&(from, to)| from <= lo && hi <= to) {
        return Ok(());
    }
    let mut drop =
        connection.prepare_cached("delete from message_ranges where session_id = ?1 and lo = ?2")?;
    for (from, _) in &touching {
        drop.execute(params![id, from])?;
    }
    let merged = Ranges::from_stretches(touching.into_iter().chain([(lo, hi)]));
    let mut put =
        connection.prepare_cached("insert into message_ranges (session_id, lo, hi) values (?1, ?2, ?3)")?;
    for (lo, hi) in merged.stretches() {
        put.execute(params![id, lo, hi])?;
    }
    Ok(())
}

/// The text so far of replies being made.
pub fn save_tails(connection: &mut Connection, tails: &[Tail]) -> Result<()> {
    let transaction = connection.transaction()?;
    for tail in tails {
        let Some(at) = tail.at else { continue };
        transaction
            .prepare_cached(
                "insert into runs (run_id, message_id, session_id, attempt, idx, body)
                 select ?1, ?2, ?3, ?4, ?5, ?6
                  where not exists (select 1 from messages where id = ?2 and status >= 2)
                 on conflict (run_id) do update
                    set attempt = excluded.attempt, idx = excluded.idx, body = excluded.body",
            )?
            .execute(params![
                tail.run.to_string(),
                tail.message.to_string(),
                tail.session.to_string(),
                at.attempt,
                i64::try_from(at.idx).unwrap_or(i64::MAX),
                tail.text,
            ])?;
    }
    Ok(transaction.commit()?)
}
