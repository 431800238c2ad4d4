//! Stored: `oauth_codes`, what the browser hands to the app: one use, 60 seconds.

use crate::database::{Pool, Transaction};
use protocol::auth::Client;
use protocol::{DeviceId, UserId};
use sqlx::types::Json;
use uuid::Uuid;

/// A code about to be handed over.
#[derive(Debug)]
pub struct NewCode<'a> {
    pub hash: [u8; 32],
    pub user: UserId,
    /// The browser that lets the app in.
    pub authorized_by: DeviceId,
    pub challenge: &'a str,
    pub redirect_uri: &'a str,
    pub client: &'a Client,
    /// The key that has to redeem it.
    pub dpop_jkt: Option<&'a str>,
}

pub async fn insert(pool: &Pool, new: &NewCode<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into oauth_codes (code_hash, user_id, code_challenge, redirect_uri, client, expires, authorized_by,
                                  dpop_jkt)
         values ($1, $2, $3, $4, $5, now() + interval '60 seconds', $6, $7)",
        &new.hash,
        new.user.0,
        new.challenge,
        new.redirect_uri,
        Json(new.client) as _,
        new.authorized_by.0,
        new.dpop_jkt
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What a code stands for, read by the statement that uses it up.
#[derive(Debug)]
pub struct Consumed {
    pub user_id: Uuid,
    pub code_challenge: String,
    pub redirect_uri: String,
    pub client: Json<Client>,
    pub is_live: bool,
    /// Whether the browser that let the app in is still signed in.
    pub is_vouched_for: bool,
    pub dpop_jkt: Option<String>,
}

/// Who is signed in by a code, used or not.
pub async fn whose(pool: &Pool, hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!("select user_id from oauth_codes where code_hash = $1", hash)
        .fetch_optional(pool)
        .await?;
    Ok(user.map(UserId))
}

/// After the user is held, as everything that is used up for one.
pub async fn consume(db: &mut Transaction, hash: &[u8]) -> sqlx::Result<Option<Consumed>> {
    sqlx::query_as!(
        Consumed,
        r#"update oauth_codes set consumed_at = now()
            where code_hash = $1 and consumed_at is null
        returning user_id, code_challenge, redirect_uri, client as "client: Json<Client>",
                  expires > now() as "is_live!",
                  (authorized_by is null
                   or exists (select from sessions s where s.id = authorized_by and s.revoked_at is null))
                  as "is_vouched_for!", dpop_jkt"#,
        hash
    )
    .fetch_optional(db)
    .await
}

/// Remembers what the code was redeemed for.
pub async fn redeemed(db: &mut Transaction, hash: &[u8], device: DeviceId) -> sqlx::Result<()> {
    sqlx::query!(
        "update oauth_codes set device_id = $2 where code_hash = $1",
        hash,
        device.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The device that a used code was redeemed for.
pub async fn redeemed_for(db: &mut Transaction, hash: &[u8]) -> sqlx::Result<Option<(UserId, DeviceId)>> {
    let row = sqlx::query!(
        r#"select user_id, device_id as "device_id!" from oauth_codes
            where code_hash = $1 and consumed_at is not null and device_id is not null"#,
        hash
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (UserId(row.user_id), DeviceId(row.device_id))))
}

/// What this user's browsers have handed out and no app has taken up is worthless from now on.
pub async fn void_all(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from oauth_codes where user_id = $1 and consumed_at is null",
        user.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets codes of the day before yesterday; until then a replay is recognised.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!("delete from oauth_codes where expires < now() - interval '2 days'")
        .execute(pool)
        .await?;
    Ok(())
}
