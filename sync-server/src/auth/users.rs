//! Stored: `users`, and the head that each user's changes are numbered from.

use super::devices::stored_email;
use super::email_change;
use crate::database::{Pool, Transaction};
use protocol::UserId;
use protocol::auth::Email;
use time::OffsetDateTime;
use uuid::Uuid;

/// What signing in with a password has to know.
#[derive(Debug)]
pub struct Known {
    pub user: UserId,
    pub is_verified: bool,
    /// The hash to compare with. `None`: there is none, or nobody has proven the address yet.
    pub hash: Option<String>,
}

pub async fn known(pool: &Pool, email: &Email) -> sqlx::Result<Option<Known>> {
    let row = sqlx::query!(
        r#"select id, email_verified is not null as "is_verified!",
                  case when email_verified is not null then password_hash end as hash
             from users where email_key = $1"#,
        email.key()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Known {
        user: UserId(row.id),
        is_verified: row.is_verified,
        hash: row.hash,
    }))
}

/// The hash of a user's password; `None`: they have none.
pub async fn password_of(pool: &Pool, user: UserId) -> sqlx::Result<Option<String>> {
    let hash = sqlx::query_scalar!("select password_hash from users where id = $1", user.0)
        .fetch_optional(pool)
        .await?;
    Ok(hash.flatten())
}

/// Whether the password is still the one with this hash; it stays so until the transaction ends.
pub async fn still_has(db: &mut Transaction, user: UserId, hash: &str) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "select id from users where id = $1 and password_hash = $2 for share",
        user.0,
        hash
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// A user as signing in finds them.
#[derive(Debug)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub name: Option<String>,
    pub is_verified: bool,
    pub is_disabled: bool,
}

/// Stays so until the transaction ends: whoever locks the user waits for it, and finds the device that it made.
pub async fn read(db: &mut Transaction, user: UserId) -> sqlx::Result<Option<User>> {
    let row = sqlx::query!(
        r#"select id, email, name, email_verified is not null as "is_verified!",
                  disabled_at is not null as "is_disabled!"
             from users where id = $1 for share"#,
        user.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(User {
        id: UserId(row.id),
        email: stored_email(&row.email)?,
        name: row.name,
        is_verified: row.is_verified,
        is_disabled: row.is_disabled,
    }))
}

/// Who has an address.
#[derive(Debug)]
pub struct Holder {
    pub user: UserId,
    /// As it is kept, which is where letters go.
    pub email: Email,
    pub is_verified: bool,
    pub is_disabled: bool,
}

/// The user with this address, made without a way in if there is none. The row stays locked until the transaction ends.
pub async fn find_or_make(db: &mut Transaction, email: &Email) -> sqlx::Result<Holder> {
    let row = sqlx::query!(
        r#"insert into users (id, email, email_key) values ($1, $2, $3)
           on conflict (email_key) do update set updated_at = now()
           returning id, email, email_verified is not null as "is_verified!",
                     disabled_at is not null as "is_disabled!""#,
        Uuid::now_v7(),
        email.as_str(),
        email.key()
    )
    .fetch_one(&mut *db)
    .await?;
    make_head(db, UserId(row.id)).await?;
    Ok(Holder {
        user: UserId(row.id),
        email: stored_email(&row.email)?,
        is_verified: row.is_verified,
        is_disabled: row.is_disabled,
    })
}

async fn make_head(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sync_heads (user_id) values ($1) on conflict do nothing",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whatever was added while nobody had proven the mailbox is nobody's: no way in, and no second step that only its adder could
/// take; its recovery codes go with it. Before it is proven.
async fn forget_unproven(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "with unproven as (select from users where id = $1 and email_verified is null),
              keys as (delete from passkeys where user_id = $1 and exists (select from unproven)),
              identities as (delete from accounts where user_id = $1 and exists (select from unproven))
         delete from second_factors where user_id = $1 and exists (select from unproven)",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The mailbox is proven: what its prover chose becomes the user's, and whatever was unproven is gone, as is another address that
/// waits. False: it was proven already, and nothing changes.
pub async fn verify(
    db: &mut Transaction,
    user: UserId,
    password_hash: Option<&str>,
    name: Option<&str>,
) -> sqlx::Result<bool> {
    forget_unproven(&mut *db, user).await?;
    let outcome = sqlx::query!(
        "update users
            set email_verified = now(), password_hash = $2, name = $3, updated_at = now()
          where id = $1 and email_verified is null",
        user.0,
        password_hash,
        name
    )
    .execute(&mut *db)
    .await?;
    void_if_done(db, user, outcome.rows_affected()).await
}

/// By the link of a letter, which proves the mailbox too, or by the user who is in: whoever asked for another address meanwhile, and
/// knew the password of before, does not get it. False: the user may not sign in.
pub async fn set_password(db: &mut Transaction, user: UserId, hash: &str) -> sqlx::Result<bool> {
    forget_unproven(&mut *db, user).await?;
    let outcome = sqlx::query!(
        "update users
            set password_hash = $2, email_verified = coalesce(email_verified, now()), updated_at = now()
          where id = $1 and disabled_at is null",
        user.0,
        hash
    )
    .execute(&mut *db)
    .await?;
    void_if_done(db, user, outcome.rows_affected()).await
}

/// Ends another address that waits, where the user's row was changed. After it and not before: whoever answers a letter about that
/// address holds the user first too, and in the other order the two would wait for each other.
async fn void_if_done(db: &mut Transaction, user: UserId, changed: u64) -> sqlx::Result<bool> {
    let is_done = changed > 0;
    if is_done {
        email_change::void_pending(db, user).await?;
    }
    Ok(is_done)
}

/// Keeps a hash made with today's parameters, if the password is still the one it was made from.
pub async fn rehash(pool: &Pool, user: UserId, old: &str, new: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set password_hash = $3 where id = $1 and password_hash = $2",
        user.0,
        old,
        new
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Until the transaction ends, nobody else changes how this user signs in, and nobody signs in as them. Before any other lock of
/// theirs is taken. False: they may not sign in; who is locked is held all the same.
pub async fn hold(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let is_open = sqlx::query_scalar!(
        r#"select disabled_at is null as "is_open!" from users where id = $1 for no key update"#,
        user.0
    )
    .fetch_optional(db)
    .await?;
    Ok(is_open == Some(true))
}

/// Whether the user has any way to sign in of their own, besides letters.
pub async fn has_way_in(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select (exists (select from users where id = $1 and password_hash is not null)
                   or exists (select from accounts where user_id = $1)
                   or exists (select from passkeys where user_id = $1)) as "has_way_in!""#,
        user.0
    )
    .fetch_one(db)
    .await
}

/// A user as whoever runs the server finds them.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: Uuid,
    pub email: String,
    pub name: Option<String>,
    pub is_verified: bool,
    pub locked_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// Users a list holds at most.
pub const LISTED: usize = 200;

/// In the order of their addresses, those after `after`.
pub async fn list(pool: &Pool, after: &str) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select id, email, name, email_verified is not null as "is_verified!", disabled_at as locked_at, created_at
             from users where email_key > $1 order by email_key limit 200"#,
        after
    )
    .fetch_all(pool)
    .await
}

pub async fn listed(pool: &Pool, user: UserId) -> sqlx::Result<Option<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select id, email, name, email_verified is not null as "is_verified!", disabled_at as locked_at, created_at
             from users where id = $1"#,
        user.0
    )
    .fetch_optional(pool)
    .await
}

/// Gives the account another address, which somebody has proven. False: it is another account's.
pub async fn set_email(db: &mut Transaction, user: UserId, email: &Email) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update users set email = $2, email_key = $3, email_verified = now(), updated_at = now() where id = $1",
        user.0,
        email.as_str(),
        email.key()
    )
    .execute(db)
    .await;
    match outcome {
        Ok(outcome) => Ok(outcome.rows_affected() > 0),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whoever signed up with an address and never proved it has nothing that could be lost.
pub async fn remove_unproven(db: &mut Transaction, email_key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from users where email_key = $1 and email_verified is null",
        email_key
    )
    .execute(db)
    .await?;
    Ok(())
}

/// No password opens the account until its owner has chosen one by a letter.
pub async fn put_password_away(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set password_hash = null, updated_at = now() where id = $1",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A user's row as its owner may read it: all of it but the password's hash.
#[derive(Debug)]
pub struct Whole {
    pub email: String,
    pub name: Option<String>,
    pub avatar_url: Option<String>,
    pub email_verified: Option<OffsetDateTime>,
    pub has_password: bool,
    pub has_second_step: bool,
    pub created_at: OffsetDateTime,
}

pub async fn whole(pool: &Pool, user: UserId) -> sqlx::Result<Option<Whole>> {
    sqlx::query_as!(
        Whole,
        r#"select u.email, u.name, u.avatar_url, u.email_verified, u.password_hash is not null as "has_password!",
                  exists (select from second_factors f where f.user_id = u.id and f.confirmed_at is not null) as "has_second_step!",
                  u.created_at
             from users u where u.id = $1"#,
        user.0
    )
    .fetch_optional(pool)
    .await
}

pub async fn find(pool: &Pool, email: &Email) -> sqlx::Result<Option<UserId>> {
    let id = sqlx::query_scalar!("select id from users where email_key = $1", email.key())
        .fetch_optional(pool)
        .await?;
    Ok(id.map(UserId))
}

/// What hangs from a user and goes with them.
#[derive(Clone, Copy, Debug)]
pub struct Belongings {
    pub sessions: i64,
    pub messages: i64,
    pub devices: i64,
    pub passkeys: i64,
}

pub async fn belongings(db: &mut Transaction, user: UserId) -> sqlx::Result<Belongings> {
    sqlx::query_as!(
        Belongings,
        r#"select (select count(*) from agent_sessions where user_id = $1 and deleted_at is null) as "sessions!",
                  (select count(*) from conversations where user_id = $1 and deleted_at is null) as "messages!",
                  (select count(*) from sessions where user_id = $1 and revoked_at is null) as "devices!",
                  (select count(*) from passkeys where user_id = $1) as "passkeys!""#,
        user.0
    )
    .fetch_one(db)
    .await
}

/// From now on every way in refuses them. False: they were locked already.
pub async fn lock(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update users set disabled_at = now(), updated_at = now() where id = $1 and disabled_at is null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// False: they were not locked.
pub async fn unlock(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update users set disabled_at = null, updated_at = now() where id = $1 and disabled_at is not null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Forgets sign-ups that nobody confirmed within a month: somebody else's address may have been typed.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from users
          where email_verified is null and updated_at < now() - interval '30 days' and disabled_at is null
            and not exists (select from verification_tokens t where t.user_id = users.id and t.expires > now())"
    )
    .execute(pool)
    .await?;
    Ok(())
}
