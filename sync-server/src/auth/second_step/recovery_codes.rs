//! Stored: `recovery_codes`, ten codes for whoever lost their authenticator app. Each works once.

use crate::database::{Pool, Transaction};
use protocol::UserId;

/// The hash of an unused code, to be compared with.
pub async fn hash_of(pool: &Pool, user: UserId, selector: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select hash from recovery_codes where user_id = $1 and selector = $2 and used_at is null",
        user.0,
        selector
    )
    .fetch_optional(pool)
    .await
}

/// How many are left; `None`: it was used already.
pub async fn use_up(db: &mut Transaction, user: UserId, selector: &str) -> sqlx::Result<Option<i64>> {
    let outcome = sqlx::query!(
        "update recovery_codes set used_at = now()
          where user_id = $1 and selector = $2 and used_at is null",
        user.0,
        selector
    )
    .execute(&mut *db)
    .await?;
    if outcome.rows_affected() == 0 {
        return Ok(None);
    }
    let left = sqlx::query_scalar!(
        r#"select count(*) as "left!" from recovery_codes where user_id = $1 and used_at is null"#,
        user.0
    )
    .fetch_one(db)
    .await?;
    Ok(Some(left))
}

pub async fn left(pool: &Pool, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "left!" from recovery_codes where user_id = $1 and used_at is null"#,
        user.0
    )
    .fetch_one(pool)
    .await
}

/// These and no others work from now on.
pub async fn replace(
    db: &mut Transaction,
    user: UserId,
    selectors: &[String],
    hashes: &[String],
) -> sqlx::Result<()> {
    sqlx::query!("delete from recovery_codes where user_id = $1", user.0)
        .execute(&mut *db)
        .await?;
    sqlx::query!(
        "insert into recovery_codes (user_id, selector, hash)
         select $1, selector, hash from unnest($2::text[], $3::text[]) as fresh (selector, hash)",
        user.0,
        selectors,
        hashes
    )
    .execute(db)
    .await?;
    Ok(())
}
