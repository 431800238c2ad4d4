//! What is being written: in the outbox's file, since it is as precious, and so that a text is a draft or a letter and never both.

use super::{Result, rows};
use protocol::mutation::Op;
use protocol::{SessionId, UserId};
use rusqlite::{Connection, params};

/// Nobody comes back to more; what was touched longest ago goes.
const KEPT: i64 = 200;

/// What is written in a session, or in the pane that would begin one.
pub type Draft = (Option<SessionId>, String);

pub fn load(connection: &Connection, user: UserId) -> Result<Vec<Draft>> {
    let mut statement = connection.prepare("select session, text from drafts where user_id = ?1")?;
    let drafts = statement.query_map([user.to_string()], |row| {
        let session: String = row.get("session")?;
        let session = match session.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_unreadable| rows::wrong("a session's id"))?),
        };
        Ok((session, row.get("text")?))
    })?;
    Ok(drafts.collect::<rusqlite::Result<_>>()?)
}

/// An empty text is no draft.
pub fn keep(connection: &mut Connection, user: UserId, drafts: &[Draft]) -> Result<()> {
    let transaction = connection.transaction()?;
    for (session, text) in drafts {
        let session = key(*session);
        transaction.execute(
            "delete from drafts where user_id = ?1 and session = ?2",
            params![user.to_string(), session],
        )?;
        if !text.is_empty() {
            transaction.execute(
                "insert into drafts (n, user_id, session, text)
                 values ((select coalesce(max(n), 0) + 1 from drafts), ?1, ?2, ?3)",
                params![user.to_string(), session, text],
            )?;
        }
    }
    transaction.execute(
        "delete from drafts where n not in (select n from drafts order by n desc limit ?1)",
        [KEPT],
    )?;
    Ok(transaction.commit()?)
}

/// What was sent is no draft any more; nor is what was being written in a session that is deleted.
pub fn settle(connection: &Connection, user: UserId, op: &Op) -> Result<()> {
    match op {
        Op::MessageCreate { session, content, .. } => connection.execute(
            "delete from drafts where user_id = ?1 and session in (?2, '') and text = ?3",
            params![user.to_string(), session.to_string(), content],
        )?,
        Op::SessionDelete { session } => connection.execute(
            "delete from drafts where user_id = ?1 and session = ?2",
            params![user.to_string(), session.to_string()],
        )?,
        Op::SessionCreate { .. }
        | Op::SessionRename { .. }
        | Op::SessionArchive { .. }
        | Op::MessageAnswer { .. } => 0,
    };
    Ok(())
}

fn key(session: Option<SessionId>) -> String {
    session.map(|session| session.to_string()).unwrap_or_default()
}
