//! Stored: `passkeys`, the public halves of the keys that people's devices hold for them.

use crate::database::{Pool, Transaction};
use protocol::UserId;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;
use webauthn_rs::prelude::{CredentialID, Passkey};

/// One as its owner sees it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: Uuid,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub last_used: Option<OffsetDateTime>,
}

/// The oldest first.
pub async fn list(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        "select id, name, created_at, last_used from passkeys where user_id = $1 order by id",
        user.0
    )
    .fetch_all(pool)
    .await
}

/// What their holders call them.
pub async fn credential_ids(pool: &Pool, user: UserId) -> sqlx::Result<Vec<CredentialID>> {
    sqlx::query_scalar!("select credential_id from passkeys where user_id = $1", user.0)
        .fetch_all(pool)
        .await
}

/// The caller holds the user.
pub async fn count(db: &mut Transaction, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from passkeys where user_id = $1"#,
        user.0
    )
    .fetch_one(db)
    .await
}

/// False: somebody has this very key already.
pub async fn insert(
    db: &mut Transaction,
    user: UserId,
    id: Uuid,
    name: &str,
    passkey: &Passkey,
) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "insert into passkeys (user_id, id, credential_id, name, credential) values ($1, $2, $3, $4, $5)
         on conflict (credential_id) do nothing",
        user.0,
        id,
        passkey.cred_id().as_slice(),
        name,
        Json(passkey) as _
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// The one that answers; nobody else uses it until the transaction ends. `None`: this user has no such one.
pub async fn hold(
    db: &mut Transaction,
    user: UserId,
    credential_id: &[u8],
) -> sqlx::Result<Option<(Uuid, Passkey)>> {
    let row = sqlx::query!(
        r#"select id, credential as "credential: Json<Passkey>" from passkeys
            where user_id = $1 and credential_id = $2
              for update"#,
        user.0,
        credential_id
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.id, row.credential.0)))
}

/// It was used just now, and is as it says it is.
pub async fn note_use(db: &mut Transaction, user: UserId, id: Uuid, passkey: &Passkey) -> sqlx::Result<()> {
    sqlx::query!(
        "update passkeys set credential = $3, last_used = now() where user_id = $1 and id = $2",
        user.0,
        id,
        Json(passkey) as _
    )
    .execute(db)
    .await?;
    Ok(())
}

/// False: this user has no such one.
pub async fn rename(db: &mut Transaction, user: UserId, id: Uuid, name: &str) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update passkeys set name = $3 where user_id = $1 and id = $2",
        user.0,
        id,
        name
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Gives the name that it had. `None`: this user has no such one.
pub async fn remove(db: &mut Transaction, user: UserId, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "delete from passkeys where user_id = $1 and id = $2 returning name",
        user.0,
        id
    )
    .fetch_optional(db)
    .await
}

/// Those added after a moment are gone.
pub async fn forget_since(db: &mut Transaction, user: UserId, since: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from passkeys where user_id = $1 and created_at >= $2",
        user.0,
        since
    )
    .execute(db)
    .await?;
    Ok(())
}
