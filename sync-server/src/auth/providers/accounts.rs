//! Stored: `accounts`, who somebody is at a provider.

use crate::database::{Pool, Transaction};
use protocol::UserId;
use time::OffsetDateTime;
use uuid::Uuid;

pub async fn owner(db: &mut Transaction, provider: &str, subject: &str) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "select user_id from accounts where provider = $1 and provider_account_id = $2",
        provider,
        subject
    )
    .fetch_optional(db)
    .await?;
    Ok(user.map(UserId))
}

/// Keeps the address that the provider names today, for the settings page.
pub async fn note_email(
    db: &mut Transaction,
    provider: &str,
    subject: &str,
    email: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update accounts set email = $3
          where provider = $1 and provider_account_id = $2 and email is distinct from $3",
        provider,
        subject,
        email
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Links an identity to a user. False: it is linked already.
pub async fn insert(
    db: &mut Transaction,
    user: UserId,
    provider: &str,
    subject: &str,
    email: Option<&str>,
) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into accounts (user_id, provider, provider_account_id, email) values ($1, $2, $3, $4)
         on conflict (provider, provider_account_id) do nothing",
        user.0,
        provider,
        subject,
        email
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Keeps the picture that the provider names, where the user has none.
pub async fn note_avatar(db: &mut Transaction, user: UserId, avatar_url: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set avatar_url = $2 where id = $1 and avatar_url is null and $2::text is not null",
        user.0,
        avatar_url
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An identity as whoever runs the server sees it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub provider: String,
    pub email: Option<String>,
}

pub async fn list(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select provider, email from accounts where user_id = $1 order by provider, created_at",
        user.0
    )
    .fetch_all(pool)
    .await
}

/// What was linked after a moment is not linked any more.
pub async fn unlink_since(db: &mut Transaction, user: UserId, since: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from accounts where user_id = $1 and created_at >= $2",
        user.0,
        since
    )
    .execute(db)
    .await?;
    Ok(())
}

/// One of a user's identities is theirs no more. Its provider; `None`: there is none of that id.
pub async fn remove(db: &mut Transaction, user: UserId, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "delete from accounts where user_id = $1 and id = $2 returning provider",
        user.0,
        id
    )
    .fetch_optional(db)
    .await
}

/// An identity that its provider takes back is its user's no more, if it was theirs by then. False: it was not.
pub async fn take_back(
    db: &mut Transaction,
    user: UserId,
    provider: &str,
    subject: &str,
    then: OffsetDateTime,
) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "delete from accounts
          where user_id = $1 and provider = $2 and provider_account_id = $3 and created_at <= $4",
        user.0,
        provider,
        subject,
        then
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// An identity as its owner may read it.
#[derive(Clone, Debug)]
pub struct Linked {
    pub id: Uuid,
    pub provider: String,
    pub provider_account_id: String,
    pub email: Option<String>,
    pub created_at: OffsetDateTime,
}

pub async fn of_user(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Linked>> {
    sqlx::query_as!(
        Linked,
        "select id, provider, provider_account_id, email, created_at
         from accounts where user_id = $1 order by created_at",
        user.0
    )
    .fetch_all(pool)
    .await
}
