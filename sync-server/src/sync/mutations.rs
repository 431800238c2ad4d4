//! The ledger: what became of each mutation, so that a repeat gets the answer of the first time.

use super::push::Stamp;
use crate::database::{Pool, Transaction};
use protocol::UserId;
use protocol::mutation::OpResult;
use protocol::sync::Seq;

/// What is remembered of a mutation id.
pub struct Remembered {
    pub request: Vec<u8>,
    pub outcome: serde_json::Value,
}

pub async fn find(connection: &mut Transaction, stamp: &Stamp) -> Result<Option<Remembered>, sqlx::Error> {
    sqlx::query_as!(
        Remembered,
        "select request, outcome from mutations where user_id = $1 and mutation_id = $2",
        stamp.user.0,
        stamp.mutation.0,
    )
    .fetch_optional(connection)
    .await
}

/// Remembers an outcome that moved nothing: a refusal for good, or a repeat that the ledger had forgotten.
pub async fn remember(
    connection: &mut Transaction,
    stamp: &Stamp,
    result: &OpResult,
    seq: Seq,
) -> Result<(), sqlx::Error> {
    let outcome = serde_json::to_value(result).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "insert into mutations (user_id, mutation_id, device_id, request, outcome, seq)
         values ($1, $2, $3, $4, $5, $6)",
        stamp.user.0,
        stamp.mutation.0,
        stamp.device.map(|device| device.0),
        &stamp.request[..],
        outcome,
        seq,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets outcomes that are older than so many days, at most `rows` of them. How many it were.
pub async fn forget(pool: &Pool, days: i32, rows: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from mutations where (user_id, mutation_id) in (
             select user_id, mutation_id from mutations
             where created_at < now() - make_interval(days => $1)
             order by created_at limit $2 for update skip locked
         )",
        days,
        rows,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Removes so many of a user's outcomes.
pub async fn forget_of(pool: &Pool, user: UserId, limit: i64) -> Result<u64, sqlx::Error> {
    let outcome = sqlx::query!(
        "delete from mutations
         where user_id = $1
           and mutation_id = any(array(select mutation_id from mutations where user_id = $1 limit $2))",
        user.0,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected())
}
