//! Stored: `device_codes`, what a program without a browser waits for.

use crate::database::{Pool, Transaction};
use protocol::auth::Client;
use protocol::{DeviceId, UserId};
use sqlx::types::Json;

/// Seconds that a code waits for its person, and between two questions of the program.
pub const WAITS: i32 = 600;
pub const PAUSE: i32 = 5;

#[derive(Debug)]
pub struct NewDeviceCode<'a> {
    pub device_hash: [u8; 32],
    pub user_hash: [u8; 32],
    pub client: &'a Client,
    pub asked_from: &'a str,
    /// The key that has to take it up.
    pub dpop_jkt: Option<&'a str>,
}

/// `false`: one of the codes is taken.
pub async fn insert(pool: &Pool, new: &NewDeviceCode<'_>) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "insert into device_codes (device_code_hash, user_code_hash, client, asked_from, pause, expires, dpop_jkt)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), $7)
         on conflict do nothing",
        &new.device_hash,
        &new.user_hash,
        Json(new.client) as _,
        new.asked_from,
        PAUSE,
        f64::from(WAITS),
        new.dpop_jkt,
    )
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// What the person is asked about.
#[derive(Debug)]
pub struct Claimed {
    pub client: Json<Client>,
    pub asked_from: String,
    pub seconds_ago: i64,
}

/// The first browser that looks is the only one that may answer.
pub async fn claim(
    pool: &Pool,
    user_hash: &[u8],
    user: UserId,
    browser: DeviceId,
) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"update device_codes set claimed_by = $3, user_id = $2
            where user_code_hash = $1 and expires > now() and is_allowed is null
              and (claimed_by is null or claimed_by = $3)
        returning client as "client: Json<Client>", asked_from,
                  extract(epoch from now() - created_at)::bigint as "seconds_ago!""#,
        user_hash,
        user.0,
        browser.0,
    )
    .fetch_optional(pool)
    .await
}

/// The answer of the browser that looked. `None`: there is nothing for it to answer.
pub async fn decide(
    db: &mut Transaction,
    user_hash: &[u8],
    browser: DeviceId,
    is_allowed: bool,
) -> sqlx::Result<Option<Json<Client>>> {
    sqlx::query_scalar!(
        r#"update device_codes set is_allowed = $3
            where user_code_hash = $1 and claimed_by = $2 and expires > now() and is_allowed is null
        returning client as "client: Json<Client>""#,
        user_hash,
        browser.0,
        is_allowed,
    )
    .fetch_optional(db)
    .await
}

/// What the person answered.
#[derive(Debug)]
pub struct Answered {
    pub client: Json<Client>,
    pub is_allowed: bool,
}

/// The answer that this browser has given already, as long as the code would live.
pub async fn answered(
    db: &mut Transaction,
    user_hash: &[u8],
    browser: DeviceId,
) -> sqlx::Result<Option<Answered>> {
    sqlx::query_as!(
        Answered,
        r#"select client as "client: Json<Client>", is_allowed as "is_allowed!" from device_codes
            where user_code_hash = $1 and claimed_by = $2 and expires > now() and is_allowed is not null"#,
        user_hash,
        browser.0,
    )
    .fetch_optional(db)
    .await
}

/// How a code stands when its program asks. The row stays locked.
#[derive(Debug)]
pub struct Asked {
    pub is_live: bool,
    pub is_too_soon: bool,
    pub is_allowed: Option<bool>,
    /// Whether the browser that allowed it is still signed in.
    pub is_vouched_for: bool,
    pub user_id: Option<uuid::Uuid>,
    pub client: Json<Client>,
    pub dpop_jkt: Option<String>,
}

/// Who has looked at it in a browser; nobody else does after them.
pub async fn whose(pool: &Pool, device_hash: &[u8]) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        "select user_id from device_codes where device_code_hash = $1",
        device_hash,
    )
    .fetch_optional(pool)
    .await?;
    Ok(user.flatten().map(UserId))
}

/// After whoever looked at it is held.
pub async fn ask(db: &mut Transaction, device_hash: &[u8]) -> sqlx::Result<Option<Asked>> {
    sqlx::query_as!(
        Asked,
        r#"select expires > now() as "is_live!",
                  coalesce(polled_at > now() - make_interval(secs => pause), false) as "is_too_soon!",
                  is_allowed,
                  exists (select 1 from sessions s where s.id = claimed_by and s.revoked_at is null) as "is_vouched_for!",
                  user_id, client as "client: Json<Client>", dpop_jkt
             from device_codes where device_code_hash = $1 for update"#,
        device_hash,
    )
    .fetch_optional(db)
    .await
}

/// It was asked just now. Who asks too soon waits five seconds longer from then on (RFC 8628 §3.5).
pub async fn asked(db: &mut Transaction, device_hash: &[u8], is_too_soon: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update device_codes set polled_at = now(), pause = pause + $2 where device_code_hash = $1",
        device_hash,
        if is_too_soon { PAUSE } else { 0 },
    )
    .execute(db)
    .await?;
    Ok(())
}

/// It has had its one use: no program's code leads to it any more. What was answered stays for whoever answered.
pub async fn use_up(db: &mut Transaction, device_hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "update device_codes set device_code_hash = sha256(uuid_send(gen_random_uuid())) where device_code_hash = $1",
        device_hash
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What this user has looked at or allowed, and no program has taken up, is worthless from now on.
pub async fn void_all(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("delete from device_codes where user_id = $1", user.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets what ended an hour ago; until then its program is told that it was too slow.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!("delete from device_codes where expires < now() - interval '1 hour'")
        .execute(pool)
        .await?;
    Ok(())
}
