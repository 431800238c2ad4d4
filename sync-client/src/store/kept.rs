//! Which sessions are to stay on this computer: a person's wish, in the outbox's file, which no fault of the cache reaches.

use super::{Result, rows};
use protocol::{SessionId, UserId};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

pub fn load(connection: &Connection, user: UserId) -> Result<BTreeSet<SessionId>> {
    let mut statement = connection.prepare("select session from kept where user_id = ?1")?;
    let kept = statement.query_map([user.to_string()], |row| rows::parsed(row, "session"))?;
    Ok(kept.collect::<rusqlite::Result<_>>()?)
}

pub fn mark(connection: &Connection, user: UserId, session: SessionId, is_kept: bool) -> Result<()> {
    let sql = if is_kept {
        "insert into kept (user_id, session) values (?1, ?2) on conflict do nothing"
    } else {
        "delete from kept where user_id = ?1 and session = ?2"
    };
    connection.execute(sql, params![user.to_string(), session.to_string()])?;
    Ok(())
}
