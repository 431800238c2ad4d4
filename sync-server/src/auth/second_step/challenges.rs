//! Stored: `challenges`, sign-ins whose first step was proven and whose second is awaited, or that wait for an answer
//! whether the account is kept.
//!
//! **Invariant:** a try is counted by the statement that reads the row, before anybody looks at the code.

use super::super::devices::stored_email;
use crate::database::{Pool, Transaction};
use protocol::UserId;
use protocol::auth::{Client, Email};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// Codes that one challenge lets somebody try.
const TRIES: i16 = 5;

#[derive(Debug)]
pub struct NewChallenge<'a> {
    pub secret_hash: [u8; 32],
    pub user: UserId,
    pub method: &'a str,
    pub client: &'a Client,
    /// The key that the first step was proven with, which has to prove the second.
    pub dpop_jkt: Option<&'a str>,
    /// What is linked once the second step is proven too.
    pub link: Option<serde_json::Value>,
    /// All steps are proven: what is awaited is whether the account is kept.
    pub is_to_keep: bool,
    /// As [`Challenge::stays`].
    pub stays: bool,
    pub expires: OffsetDateTime,
}

pub async fn insert(db: &mut Transaction, new: &NewChallenge<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into challenges (secret_hash, user_id, method, client, link, is_to_keep, expires, dpop_jkt, stays)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &new.secret_hash,
        new.user.0,
        new.method,
        Json(new.client) as _,
        new.link,
        new.is_to_keep,
        new.expires,
        new.dpop_jkt,
        new.stays
    )
    .execute(db)
    .await?;
    Ok(())
}

#[derive(Debug)]
pub struct Challenge {
    pub user: UserId,
    pub email: Email,
    pub method: String,
    pub client: Client,
    pub dpop_jkt: Option<String>,
    pub link: Option<serde_json::Value>,
    /// The browser was asked to stay signed in beyond its window.
    pub stays: bool,
}

struct ChallengeRow {
    user_id: Uuid,
    email: String,
    method: String,
    client: Json<Client>,
    link: Option<serde_json::Value>,
    dpop_jkt: Option<String>,
    stays: bool,
}

impl TryFrom<ChallengeRow> for Challenge {
    type Error = sqlx::Error;

    fn try_from(row: ChallengeRow) -> sqlx::Result<Self> {
        Ok(Self {
            user: UserId(row.user_id),
            email: stored_email(&row.email)?,
            method: row.method,
            client: row.client.0,
            dpop_jkt: row.dpop_jkt,
            link: row.link,
            stays: row.stays,
        })
    }
}

/// Whose second step is awaited; counts nothing. `None`: as for [`take_try`].
pub async fn whose(pool: &Pool, secret_hash: &[u8]) -> sqlx::Result<Option<Email>> {
    let email = sqlx::query_scalar!(
        "select u.email from challenges c join users u on u.id = c.user_id
          where c.secret_hash = $1 and not c.is_to_keep
            and c.consumed_at is null and c.attempts < $2 and c.expires > now()",
        secret_hash,
        TRIES
    )
    .fetch_optional(pool)
    .await?;
    email.map(|email| stored_email(&email)).transpose()
}

/// Counts a try. `None`: there are none left, it is used, too old, or made up.
pub async fn take_try(pool: &Pool, secret_hash: &[u8]) -> sqlx::Result<Option<Challenge>> {
    let row = sqlx::query_as!(
        ChallengeRow,
        r#"update challenges c set attempts = attempts + 1
             from users u
            where c.secret_hash = $1 and not c.is_to_keep
              and c.consumed_at is null and c.attempts < $2 and c.expires > now()
              and u.id = c.user_id
        returning c.user_id, u.email, c.method, c.client as "client: Json<Client>", c.link, c.dpop_jkt, c.stays"#,
        secret_hash,
        TRIES
    )
    .fetch_optional(pool)
    .await?;
    row.map(Challenge::try_from).transpose()
}

/// Uses it up. False: somebody was quicker.
pub async fn consume(db: &mut Transaction, secret_hash: &[u8]) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update challenges set consumed_at = now() where secret_hash = $1 and consumed_at is null",
        secret_hash
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// An account that may be kept by whoever holds this, and when it goes otherwise. `None`: as for [`take_try`].
pub async fn to_keep(pool: &Pool, secret_hash: &[u8]) -> sqlx::Result<Option<(Email, OffsetDateTime)>> {
    let row = sqlx::query!(
        "select u.email, d.due
           from challenges c join users u on u.id = c.user_id join deletions d on d.user_id = c.user_id
          where c.secret_hash = $1 and c.is_to_keep and c.consumed_at is null and c.expires > now()
            and d.begun_at is null",
        secret_hash
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((stored_email(&row.email)?, row.due)))
}

/// Whose account that is, before it is held. `None`: it was made up.
pub async fn who_leaves(pool: &Pool, secret_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "select user_id from challenges where secret_hash = $1 and is_to_keep",
        secret_hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(user.map(UserId))
}

/// Uses it up: its owner keeps the account.
pub async fn consume_to_keep(db: &mut Transaction, secret_hash: &[u8]) -> sqlx::Result<Option<Challenge>> {
    let row = sqlx::query_as!(
        ChallengeRow,
        r#"update challenges c set consumed_at = now()
             from users u
            where c.secret_hash = $1 and c.is_to_keep and c.consumed_at is null and c.expires > now()
              and u.id = c.user_id
        returning c.user_id, u.email, c.method, c.client as "client: Json<Client>", c.link, c.dpop_jkt, c.stays"#,
        secret_hash
    )
    .fetch_optional(db)
    .await?;
    row.map(Challenge::try_from).transpose()
}

/// What was begun with a first step that no longer holds ends.
pub async fn void_all(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "update challenges set consumed_at = now() where user_id = $1 and consumed_at is null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!("delete from challenges where expires < now() - interval '1 day'")
        .execute(pool)
        .await?;
    Ok(())
}
