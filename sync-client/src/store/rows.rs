//! Rows of SQLite to the wire's types, and back.

use protocol::SessionId;
use protocol::run::Status;
use protocol::sync::{Message, Role, Session};
use rusqlite::types::Type;
use rusqlite::{Row, named_params};
use std::str::FromStr;

/// The columns that [`session`] reads.
pub const SESSION: &str =
    "id, seq, title, title_seq, archived, last_ord, preview, running, last_active, created_at";
/// The columns that [`message`] reads.
pub const MESSAGE: &str =
    "id, session_id, seq, ord, parent_id, role, status, run_id, content, metadata, created_at, deleted";

/// A text column that is one of our ids, cursors or places.
pub fn parsed<T: FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error: T::Err| wrong(&format!("{column}: {error}")))
}

fn parsed_if_there<T: FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    let text: Option<String> = row.get(column)?;
    let parse = |text: String| {
        text.parse()
            .map_err(|error: T::Err| wrong(&format!("{column}: {error}")))
    };
    text.map(parse).transpose()
}

/// A value that this build never wrote.
pub fn wrong(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, what.into())
}

pub fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: parsed(row, "id")?,
        seq: row.get("seq")?,
        title: row.get("title")?,
        title_seq: row.get("title_seq")?,
        archived: row.get("archived")?,
        last_ord: row.get("last_ord")?,
        preview: row.get("preview")?,
        running: row.get("running")?,
        last_active: row.get("last_active")?,
        created_at: row.get("created_at")?,
    })
}

pub fn role(row: &Row<'_>) -> rusqlite::Result<Role> {
    let role: String = row.get("role")?;
    [Role::User, Role::Assistant, Role::System]
        .into_iter()
        .find(|known| known.as_str() == role)
        .ok_or_else(|| wrong("role"))
}

pub fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let metadata: String = row.get("metadata")?;
    Ok(Message {
        id: parsed(row, "id")?,
        session: parsed(row, "session_id")?,
        seq: row.get("seq")?,
        ord: row.get("ord")?,
        parent: parsed_if_there(row, "parent_id")?,
        role: role(row)?,
        status: Status::from_number(row.get("status")?).ok_or_else(|| wrong("status"))?,
        run: parsed_if_there(row, "run_id")?,
        content: row.get("content")?,
        metadata: serde_json::from_str(&metadata).map_err(|error| wrong(&error.to_string()))?,
        created_at: row.get("created_at")?,
        deleted: row.get("deleted")?,
    })
}

/// Keeps a session that is newer than what is here and not gone. Says whether it did.
pub fn put_session(connection: &rusqlite::Connection, session: &Session) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "insert into sessions (id, seq, title, title_seq, archived, last_ord, preview, running, last_active, created_at)
         values (:id, :seq, :title, :title_seq, :archived, :last_ord, :preview, :running, :last_active, :created_at)
         on conflict (id) do update
            set seq = excluded.seq, title = excluded.title, title_seq = excluded.title_seq,
                archived = excluded.archived, last_ord = excluded.last_ord, preview = excluded.preview,
                running = excluded.running, last_active = excluded.last_active, created_at = excluded.created_at
          where excluded.seq > sessions.seq and sessions.gone = 0",
    )?;
    let changed = statement.execute(named_params! {
        ":id": session.id.to_string(),
        ":seq": session.seq,
        ":title": session.title,
        ":title_seq": session.title_seq,
        ":archived": session.archived,
        ":last_ord": session.last_ord,
        ":preview": session.preview,
        ":running": session.running,
        ":last_active": session.last_active,
        ":created_at": session.created_at,
    })?;
    Ok(changed > 0)
}

/// Messages need their session, even one whose row is still to come.
pub fn put_stub(connection: &rusqlite::Connection, session: SessionId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("insert into sessions (id, seq) values (?1, 0) on conflict (id) do nothing")?
        .execute([session.to_string()])?;
    Ok(())
}

/// Keeps a message that is newer than what is here, of a session that is not gone and at least a stub. Says whether it
/// did.
pub fn put_message(connection: &rusqlite::Connection, message: &Message) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "insert into messages (id, session_id, ord, seq, parent_id, role, status, run_id, content, metadata,
                               created_at, deleted)
         select :id, :session_id, :ord, :seq, :parent_id, :role, :status, :run_id, :content, :metadata,
                :created_at, :deleted
          where not exists (select 1 from sessions where id = :session_id and gone = 1)
         on conflict (id) do update
            set ord = excluded.ord, seq = excluded.seq, parent_id = excluded.parent_id, status = excluded.status,
                run_id = excluded.run_id, content = excluded.content, metadata = excluded.metadata,
                created_at = excluded.created_at, deleted = excluded.deleted
          where excluded.seq > messages.seq",
    )?;
    let changed = statement.execute(named_params! {
        ":id": message.id.to_string(),
        ":session_id": message.session.to_string(),
        ":ord": message.ord,
        ":seq": message.seq,
        ":parent_id": message.parent.map(|id| id.to_string()),
        ":role": message.role.as_str(),
        ":status": message.status.number(),
        ":run_id": message.run.map(|id| id.to_string()),
        ":content": message.content,
        ":metadata": message.metadata.to_string(),
        ":created_at": message.created_at,
        ":deleted": message.deleted,
    })?;
    if changed > 0
        && let Some(run) = message.run.filter(|_| message.status.is_terminal())
    {
        connection
            .prepare_cached("delete from runs where run_id = ?1")?
            .execute([run.to_string()])?;
    }
    Ok(changed > 0)
}
