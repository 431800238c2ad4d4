//! Stored: `deletions`, accounts whose owners want them gone, until nothing of them is left.
//!
//! **Invariant:** the row goes last. What has begun is taken up again after a crash, and is not taken back.

use crate::database::{Pool, Transaction};
use protocol::UserId;
use time::OffsetDateTime;

/// How long one node has for one account before another takes over. Renewed while it works.
const LEASE_SECONDS: f64 = 120.0;

/// Shuts out whoever is about to sign in, until this transaction ends; those who were quicker are found signed in.
pub async fn lock(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("select id from users where id = $1 for update", user.0)
        .fetch_optional(db)
        .await?;
    Ok(())
}

/// From now on the account is about to go. Asked for again, the first date stands, which is given back.
pub async fn schedule(
    db: &mut Transaction,
    user: UserId,
    due: OffsetDateTime,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "insert into deletions (user_id, due) values ($1, $2)
         on conflict (user_id) do update set due = deletions.due
         returning due",
        user.0,
        due
    )
    .fetch_one(db)
    .await
}

/// An account that is to go.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    pub due: OffsetDateTime,
    /// It is too late to keep it.
    pub is_begun: bool,
}

/// Waits for whoever is just asking for it, so that nobody slips in beside.
pub async fn leaving(db: &mut Transaction, user: UserId) -> sqlx::Result<Option<Leaving>> {
    sqlx::query!("select id from users where id = $1 for share", user.0)
        .fetch_optional(&mut *db)
        .await?;
    sqlx::query_as!(
        Leaving,
        r#"select due, begun_at is not null as "is_begun!" from deletions where user_id = $1"#,
        user.0
    )
    .fetch_optional(db)
    .await
}

/// The account is kept. False: there is nothing to take back, or it is too late.
pub async fn cancel(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "delete from deletions where user_id = $1 and begun_at is null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// One account whose time has come, for this node to remove.
pub async fn claim(pool: &Pool) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "update deletions
            set begun_at = coalesce(begun_at, now()), lease_until = now() + make_interval(secs => $1)
          where user_id = (select user_id from deletions
                            where due <= now() and coalesce(lease_until, '-infinity') < now()
                            order by due
                            limit 1
                              for update skip locked)
        returning user_id",
        LEASE_SECONDS
    )
    .fetch_optional(pool)
    .await?;
    Ok(user.map(UserId))
}

/// It takes longer: nobody else begins meanwhile.
pub async fn renew(pool: &Pool, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "update deletions set lease_until = now() + make_interval(secs => $2) where user_id = $1",
        user.0,
        LEASE_SECONDS
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The user's row, and with it whatever hangs from it; letters to the address, and tokens for it.
pub async fn remove_rows(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from email_outbox o using users u
          where u.id = $1 and lower(o.recipient) = u.email_key",
        user.0
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "delete from verification_tokens t using users u where u.id = $1 and t.identifier = u.email_key",
        user.0
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!("delete from users where id = $1", user.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Nothing is left but this row.
pub async fn finish(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("delete from deletions where user_id = $1", user.0)
        .execute(db)
        .await?;
    Ok(())
}
