//! Stored: `second_factors`, the secret that a user shares with their authenticator app.

use crate::database::{Pool, Transaction};
use protocol::UserId;

/// Whether signing in asks this user for a second step.
pub async fn is_on(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
             select from second_factors where user_id = $1 and confirmed_at is not null) as "is_on!""#,
        user.0
    )
    .fetch_one(db)
    .await
}

/// As [`is_on`], and nobody turns it off until the transaction ends.
pub async fn hold(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "select user_id from second_factors where user_id = $1 and confirmed_at is not null for update",
        user.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// Keeps a fresh secret that asks nothing of anybody yet. False: there is a second step already.
pub async fn begin(pool: &Pool, user: UserId, sealed: &[u8]) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into second_factors (user_id, secret) values ($1, $2)
         on conflict (user_id) do update set secret = $2, last_step = 0, created_at = now()
          where second_factors.confirmed_at is null",
        user.0,
        sealed
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

#[derive(Debug)]
pub struct Factor {
    pub sealed: Vec<u8>,
    pub is_on: bool,
}

pub async fn read(pool: &Pool, user: UserId) -> sqlx::Result<Option<Factor>> {
    let row = sqlx::query!(
        r#"select secret, confirmed_at is not null as "is_on!" from second_factors where user_id = $1"#,
        user.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Factor {
        sealed: row.secret,
        is_on: row.is_on,
    }))
}

/// A time step is used up, and a row of wrong codes ends. False: it was, or a newer one.
pub async fn use_step(db: &mut Transaction, user: UserId, step: i64) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update second_factors set last_step = $2, wrong_in_a_row = 0 where user_id = $1 and last_step < $2",
        user.0,
        step
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Another wrong code after the first step. True: that makes `row` of them, and a day has gone by since their owner was told of
/// such, who is to be told now.
pub async fn count_wrong(db: &mut Transaction, user: UserId, row: i16) -> sqlx::Result<bool> {
    let is_to_tell = sqlx::query_scalar!(
        r#"with counted as (
               select user_id, wrong_in_a_row + 1 >= $2
                               and (told_at is null or told_at < now() - interval '1 day') as is_to_tell
                 from second_factors where user_id = $1 and confirmed_at is not null
                  for update)
           update second_factors f
              set wrong_in_a_row = case when is_to_tell then 0 else least(wrong_in_a_row + 1, 1000) end,
                  told_at = case when is_to_tell then now() else told_at end
             from counted
            where f.user_id = counted.user_id
        returning is_to_tell as "is_to_tell!""#,
        user.0,
        i32::from(row)
    )
    .fetch_optional(db)
    .await?;
    Ok(is_to_tell.unwrap_or(false))
}

/// A code was right that is none of the app's.
pub async fn end_row(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "update second_factors set wrong_in_a_row = 0 where user_id = $1 and wrong_in_a_row > 0",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// From now on it is asked for. False: it was already, or its secret is another by now.
pub async fn turn_on(db: &mut Transaction, user: UserId, sealed: &[u8], step: i64) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update second_factors set confirmed_at = now(), last_step = $3
          where user_id = $1 and confirmed_at is null and secret = $2",
        user.0,
        sealed,
        step
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// False: there was none.
pub async fn turn_off(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!("delete from second_factors where user_id = $1", user.0)
        .execute(db)
        .await?;
    Ok(outcome.rows_affected() > 0)
}

/// A secret as it lies there, and whose it is.
#[derive(Debug)]
pub struct Sealed {
    pub user_id: uuid::Uuid,
    pub secret: Vec<u8>,
}

/// The next so many after this user's.
pub async fn sealed_after(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as!(
        Sealed,
        "select user_id, secret from second_factors where user_id > $1 order by user_id limit 500",
        user.0
    )
    .fetch_all(pool)
    .await
}

/// The next so many after this user's that do not begin with this mark.
pub async fn unmarked_after(pool: &Pool, user: UserId, mark: &[u8]) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as!(
        Sealed,
        "select user_id, secret from second_factors
          where user_id > $1 and substring(secret from 1 for length($2::bytea)) <> $2
          order by user_id limit 500",
        user.0,
        mark
    )
    .fetch_all(pool)
    .await
}

/// The same secret, sealed anew; one that was begun or turned off meanwhile stays as it is.
pub async fn reseal(pool: &Pool, user: UserId, old: &[u8], new: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "update second_factors set secret = $3 where user_id = $1 and secret = $2",
        user.0,
        old,
        new
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets what was begun the day before and never confirmed.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from second_factors where confirmed_at is null and created_at < now() - interval '1 day'"
    )
    .execute(pool)
    .await?;
    Ok(())
}
