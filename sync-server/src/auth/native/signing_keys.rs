//! Stored: `signing_keys`, what signs access tokens after the first key, which follows from the server's secret.

use crate::database::{Pool, Transaction};
use time::OffsetDateTime;

/// A key as it lies there.
#[derive(Debug)]
pub struct Kept {
    pub id: String,
    /// The private half; `None`: it follows from the server's secret.
    pub sealed: Option<Vec<u8>>,
    pub active_from: OffsetDateTime,
    pub revoked_at: Option<OffsetDateTime>,
}

/// The newest first. Few: one for each rotation of the last year.
pub async fn all(pool: &Pool) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        "select id, sealed, active_from, revoked_at from signing_keys order by active_from desc, id limit 1000"
    )
    .fetch_all(pool)
    .await
}

/// Keeps a fresh key that signs from so many seconds on.
pub async fn insert(db: &mut Transaction, id: &str, sealed: &[u8], waits_seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into signing_keys (id, sealed, active_from) values ($1, $2, now() + make_interval(secs => $3))",
        id,
        sealed,
        waits_seconds
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The same key, sealed anew.
pub async fn reseal(pool: &Pool, id: &str, old: &[u8], new: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "update signing_keys set sealed = $3 where id = $1 and sealed = $2",
        id,
        old,
        new
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// From now on nothing that it signed is believed. False: it was revoked already.
pub async fn revoke(db: &mut Transaction, id: &str) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update signing_keys set revoked_at = now() where id = $1 and revoked_at is null",
        id
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// As [`revoke`], of the key that follows from the secret and has had no row yet.
pub async fn revoke_first(db: &mut Transaction, id: &str) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into signing_keys (id, active_from, revoked_at) values ($1, to_timestamp(0), now()) on conflict do nothing",
        id
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}
