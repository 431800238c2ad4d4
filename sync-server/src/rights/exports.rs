//! Stored: `exports`, copies of everything that people asked for, until their day is over.
//!
//! **Invariant:** only the try that has the lease makes one ready; a file whose row does not say so is nobody's.

use super::Export;
use crate::database::{Pool, Transaction};
use protocol::UserId;
use uuid::Uuid;

/// How long a worker may give no sign of life.
const LEASE_SECONDS: f64 = 60.0;
/// How often one is tried.
pub const TRIES: i16 = 5;

/// False: one is being made already.
pub async fn ask(db: &mut Transaction, id: Uuid, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into exports (id, user_id) values ($1, $2)
         on conflict (user_id) where ready_at is null and failed_at is null do nothing",
        id,
        user.0
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// The newest one that is being made or can be fetched.
pub async fn newest(pool: &Pool, user: UserId) -> sqlx::Result<Option<Export>> {
    let row = sqlx::query!(
        "select id, bytes, expires from exports
          where user_id = $1 and failed_at is null and (ready_at is null or expires > now())
          order by created_at desc limit 1",
        user.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| match row.expires {
        Some(expires) => Export::Ready {
            id: row.id,
            bytes: row.bytes.unwrap_or_default().unsigned_abs(),
            expires,
        },
        None => Export::Waiting,
    }))
}

/// One that this worker makes.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub id: Uuid,
    pub user: UserId,
    pub attempt: i16,
}

pub async fn claim(pool: &Pool) -> sqlx::Result<Option<Claim>> {
    let row = sqlx::query!(
        "update exports set attempts = attempts + 1, lease_until = now() + make_interval(secs => $1)
          where id = (select id from exports
                       where ready_at is null and failed_at is null and coalesce(lease_until, '-infinity') < now()
                       order by created_at
                       limit 1
                         for update skip locked)
        returning id, user_id, attempts",
        LEASE_SECONDS
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Claim {
        id: row.id,
        user: UserId(row.user_id),
        attempt: row.attempts,
    }))
}

/// False: somebody else makes it now, or its user is gone.
pub async fn renew(pool: &Pool, claim: &Claim) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update exports set lease_until = now() + make_interval(secs => $3)
          where id = $1 and attempts = $2 and ready_at is null and failed_at is null",
        claim.id,
        claim.attempt,
        LEASE_SECONDS
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// It can be fetched for so many hours, and takes the place of those before. False: as for [`renew`].
pub async fn ready(db: &mut Transaction, claim: &Claim, bytes: u64, hours: i32) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update exports set ready_at = now(), bytes = $3, expires = now() + make_interval(hours => $4)
          where id = $1 and attempts = $2 and ready_at is null and failed_at is null",
        claim.id,
        claim.attempt,
        i64::try_from(bytes).unwrap_or(i64::MAX),
        hours
    )
    .execute(&mut *db)
    .await?;
    if outcome.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update exports set expires = now() where user_id = $1 and id <> $2 and expires > now()",
        claim.user.0,
        claim.id
    )
    .execute(db)
    .await?;
    Ok(true)
}

/// Another try, after a pause.
pub async fn let_go(pool: &Pool, claim: &Claim, seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "update exports set lease_until = now() + make_interval(secs => $3)
          where id = $1 and attempts = $2 and ready_at is null",
        claim.id,
        claim.attempt,
        seconds
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// It is given up. False: as for [`renew`].
pub async fn fail(db: &mut Transaction, claim: &Claim) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update exports set failed_at = now()
          where id = $1 and attempts = $2 and ready_at is null and failed_at is null",
        claim.id,
        claim.attempt
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Which try made the archive, where it is this user's and can be fetched.
pub async fn fetchable(pool: &Pool, user: UserId, id: Uuid) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!(
        "select attempts from exports
          where id = $1 and user_id = $2 and ready_at is not null and expires > now()",
        id,
        user.0
    )
    .fetch_optional(pool)
    .await
}

/// Those whose files are still wanted, each with its newest try.
pub async fn wanted(pool: &Pool, ids: &[Uuid]) -> sqlx::Result<Vec<(Uuid, i16)>> {
    let rows = sqlx::query!(
        "select id, attempts from exports
          where id = any($1) and failed_at is null and (ready_at is null or expires > now())",
        ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.attempts)).collect())
}

/// Forgets those whose day is over.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!("delete from exports where expires < now() or failed_at < now() - interval '1 day'")
        .execute(pool)
        .await?;
    Ok(())
}
