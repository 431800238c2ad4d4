//! The outbox's rows: written before anything is shown or sent, dropped only when accepted or discarded.

use super::{Result, drafts, rows};
use crate::outbox::{Entry, Plan, Standing};
use protocol::mutation::{Mutation, Op};
use protocol::sync::Seq;
use protocol::{UnixMillis, UserId};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Accepted rows that are kept whatever the clock says: one that jumped must not empty the journal.
const LEAST: i64 = 200;

const COLUMNS: &str = "n, body, state, attempts, not_found, not_before, ack_seq, error, created_at";

/// What the outbox holds for a user.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub entries: Vec<Entry>,
    /// The newest row's number, whoever wrote it.
    pub last: i64,
}

/// Open and refused rows, and accepted ones whose effect may not be in the rows that are here, whole up to this.
pub fn load(connection: &Connection, user: UserId, whole: Seq) -> Result<Kept> {
    let sql = format!(
        "select {COLUMNS} from outbox where user_id = ?1 and (state <> 'acked' or ack_seq > ?2) order by n"
    );
    let mut statement = connection.prepare(&sql)?;
    let entries = statement.query_map(params![user.to_string(), whole], entry)?;
    Ok(Kept {
        entries: entries.collect::<rusqlite::Result<_>>()?,
        last: connection.query_row("select coalesce(max(seq), 0) from sqlite_sequence", [], |row| {
            row.get(0)
        })?,
    })
}

pub fn journal(connection: &Connection, user: UserId) -> Result<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from outbox where user_id = ?1 and state = 'acked' order by n");
    let mut statement = connection.prepare(&sql)?;
    let entries = statement.query_map([user.to_string()], entry)?;
    Ok(entries.collect::<rusqlite::Result<_>>()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let json = |error: serde_json::Error| rows::wrong(&error.to_string());
    let body: String = row.get("body")?;
    let mutation: Mutation = serde_json::from_str(&body).map_err(json)?;
    let state: String = row.get("state")?;
    let standing = match state.as_str() {
        "queued" => Standing::Queued,
        "inflight" => Standing::Inflight,
        "acked" => Standing::Acked {
            seq: row.get("ack_seq")?,
        },
        _dead => {
            let error: String = row.get("error")?;
            Standing::Dead {
                problem: serde_json::from_str(&error).map_err(json)?,
            }
        }
    };
    Ok(Entry {
        n: row.get("n")?,
        mutation,
        standing,
        attempts: row.get("attempts")?,
        not_found: row.get("not_found")?,
        not_before: row.get("not_before")?,
        created_at: row.get("created_at")?,
    })
}

pub fn keep(connection: &mut Connection, user: UserId, plan: &Plan, now: UnixMillis) -> Result<()> {
    let transaction = connection.transaction()?;
    for n in &plan.drop {
        transaction.execute(
            "delete from outbox where n = ?1 and user_id = ?2",
            params![n, user.to_string()],
        )?;
    }
    for entry in &plan.put {
        put(&transaction, user, entry, now)?;
        // Together with what it becomes, so that no crash leaves it as both.
        let settles = match entry.standing {
            Standing::Queued => entry.attempts == 0 && matches!(entry.mutation.op, Op::MessageCreate { .. }),
            Standing::Acked { .. } => matches!(entry.mutation.op, Op::SessionDelete { .. }),
            Standing::Inflight | Standing::Dead { .. } => false,
        };
        if settles {
            drafts::settle(&transaction, user, &entry.mutation.op)?;
        }
    }
    Ok(transaction.commit()?)
}

fn put(connection: &Connection, user: UserId, entry: &Entry, now: UnixMillis) -> Result<()> {
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let body = serde_json::to_value(&entry.mutation).map_err(json)?;
    let kind = body
        .get("op")
        .and_then(|op| op.as_str())
        .unwrap_or_default()
        .to_owned();
    let (state, ack_seq, error) = match &entry.standing {
        Standing::Queued => ("queued", None, None),
        Standing::Inflight => ("inflight", None, None),
        Standing::Acked { seq } => ("acked", Some(*seq), None),
        Standing::Dead { problem } => ("dead", None, Some(serde_json::to_string(problem).map_err(json)?)),
    };
    connection
        .prepare_cached(
            "insert into outbox (n, user_id, mutation_id, lane, kind, body, op_version, state, attempts, not_found,
                                 not_before, ack_seq, acked_at, error, created_at)
             values (:n, :user_id, :mutation_id, :lane, :kind, :body, :op_version, :state, :attempts, :not_found,
                     :not_before, :ack_seq, :acked_at, :error, :created_at)
             on conflict (n) do update
                set mutation_id = excluded.mutation_id, body = excluded.body, state = excluded.state,
                    attempts = excluded.attempts, not_found = excluded.not_found, not_before = excluded.not_before,
                    ack_seq = excluded.ack_seq, acked_at = excluded.acked_at, error = excluded.error",
        )?
        .execute(named_params! {
            ":n": entry.n,
            ":user_id": user.to_string(),
            ":mutation_id": entry.mutation.id.to_string(),
            ":lane": entry.mutation.op.session().to_string(),
            ":kind": kind,
            ":body": body.to_string(),
            ":op_version": entry.mutation.v,
            ":state": state,
            ":attempts": entry.attempts,
            ":not_found": entry.not_found,
            ":not_before": entry.not_before,
            ":ack_seq": ack_seq,
            ":acked_at": ack_seq.map(|_| now),
            ":error": error,
            ":created_at": entry.created_at,
        })?;
    Ok(())
}

pub fn prune(connection: &mut Connection, before: UnixMillis) -> Result<()> {
    connection.execute(
        "delete from outbox
          where state = 'acked' and acked_at < ?1
            and n not in (select n from outbox where state = 'acked' order by n desc limit ?2)",
        [before, LEAST],
    )?;
    Ok(())
}

/// Whether nothing in the file is only here, whosever it is: what was accepted before is at the server, and in no need of being sent
/// again.
pub fn holds_nothing_own(connection: &Connection, since: UnixMillis) -> Result<bool> {
    let sql = "select not exists (select 1 from outbox where state <> 'acked' or acked_at is null or acked_at >= ?1)
                  and not exists (select 1 from drafts)
                  and not exists (select 1 from kept)";
    Ok(connection.query_row(sql, [since], |row| row.get(0))?)
}

/// The note of the epoch that a user's rows were last read in.
pub fn epoch_key(user: UserId) -> String {
    format!("epoch {user}")
}

pub fn drop_all(connection: &mut Connection, user: UserId) -> Result<()> {
    connection.execute("delete from outbox where user_id = ?1", [user.to_string()])?;
    connection.execute("delete from drafts where user_id = ?1", [user.to_string()])?;
    connection.execute("delete from kept where user_id = ?1", [user.to_string()])?;
    connection.execute("delete from device where key = ?1", [epoch_key(user)])?;
    // The write-ahead log may still hold the deleted rows' text.
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(())
}

pub fn note<T: DeserializeOwned>(connection: &mut Connection, key: &str) -> Result<Option<T>> {
    let text: Option<String> = connection
        .query_row("select value from device where key = ?1", [key], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub fn write_note<T: Serialize>(connection: &mut Connection, key: &str, value: Option<&T>) -> Result<()> {
    let Some(value) = value else {
        connection.execute("delete from device where key = ?1", [key])?;
        return Ok(());
    };
    let text = serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.execute(
        "insert into device (key, value) values (?1, ?2) on conflict (key) do update set value = excluded.value",
        params![key, text],
    )?;
    Ok(())
}
