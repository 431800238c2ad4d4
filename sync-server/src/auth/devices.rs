//! Stored: `sessions`, the signed-in clients.

use super::Kind;
use crate::database::{Pool, Transaction};
use protocol::auth::{Device, Email};
use protocol::{DeviceId, UserId};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// All that a request needs to know of the device behind it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub user: UserId,
    pub device: DeviceId,
    pub email: Email,
    pub name: Option<String>,
    pub kind: Kind,
    pub generation: i64,
    pub is_generation_seen: bool,
    /// Of a browser after a fresh proof: the number of its cookie of before, until the new one was used for the first time.
    pub former: Option<i64>,
    /// Unix seconds.
    pub expires_at: i64,
    pub is_signed_out: bool,
    pub is_user_disabled: bool,
}

struct StandingRow {
    id: Uuid,
    user_id: Uuid,
    email: String,
    name: Option<String>,
    kind: i16,
    generation: i64,
    is_generation_seen: bool,
    former: Option<i64>,
    /// The number of what was shown.
    shown: i64,
    expires: OffsetDateTime,
    is_signed_out: bool,
    is_user_disabled: bool,
}

impl TryFrom<StandingRow> for Standing {
    type Error = sqlx::Error;

    fn try_from(row: StandingRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user: UserId(row.user_id),
            device: DeviceId(row.id),
            email: stored_email(&row.email)?,
            name: row.name,
            kind: if row.kind == 0 {
                Kind::Browser
            } else {
                Kind::Native
            },
            generation: row.generation,
            is_generation_seen: row.is_generation_seen,
            former: row.former,
            expires_at: row.expires.unix_timestamp(),
            is_signed_out: row.is_signed_out,
            is_user_disabled: row.is_user_disabled,
        })
    }
}

/// Rows hold only what was once parsed; anything else is a damaged row.
pub fn stored_email(text: &str) -> Result<Email, sqlx::Error> {
    Email::parse(text).map_err(|problem| sqlx::Error::Decode(Box::new(problem)))
}

pub async fn standing(pool: &Pool, device: DeviceId) -> sqlx::Result<Option<Standing>> {
    let row = sqlx::query_as!(
        StandingRow,
        r#"select s.id, s.user_id, u.email, u.name, s.kind, s.gen as generation,
                  s.gen_seen_at is not null as "is_generation_seen!", s.former_gen as former,
                  s.gen as shown,
                  least(s.expires, s.absolute_expires) as "expires!",
                  s.revoked_at is not null as "is_signed_out!",
                  u.disabled_at is not null as "is_user_disabled!"
             from sessions s join users u on u.id = s.user_id
            where s.id = $1"#,
        device.0
    )
    .fetch_optional(pool)
    .await?;
    row.map(Standing::try_from).transpose()
}

/// By a browser's cookie of now, or that of before; with the number of the one that it is.
pub async fn standing_by_cookie(pool: &Pool, hash: &str) -> sqlx::Result<Option<(Standing, i64)>> {
    let row = sqlx::query_as!(
        StandingRow,
        r#"select s.id, s.user_id, u.email, u.name, s.kind, s.gen as generation,
                  s.gen_seen_at is not null as "is_generation_seen!", s.former_gen as former,
                  case when s.former_token = $1 then s.former_gen else s.gen end as "shown!",
                  least(s.expires, s.absolute_expires) as "expires!",
                  s.revoked_at is not null as "is_signed_out!",
                  u.disabled_at is not null as "is_user_disabled!"
             from sessions s join users u on u.id = s.user_id
            where (s.session_token = $1 or s.former_token = $1) and s.kind = 0"#,
        hash
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let shown = row.shown;
    Ok(Some((Standing::try_from(row)?, shown)))
}

/// The answer that carried this generation has arrived: whoever still shows the one before is late or a thief.
pub async fn mark_generation_seen(pool: &Pool, device: DeviceId, generation: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set gen_seen_at = now() where id = $1 and gen = $2 and gen_seen_at is null",
        device.0,
        generation
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// At most one write a minute for each device. A browser that is used may rest for as long again; one that has ended stays so.
pub async fn touch(pool: &Pool, devices: &[Uuid], browsers_rest_seconds: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions
            set last_active = now(),
                expires = case kind when 0 then least(now() + make_interval(secs => $2), absolute_expires)
                                    else expires end
          where id = any($1) and last_active < now() - interval '55 seconds'
            and revoked_at is null and least(expires, absolute_expires) > now()",
        devices,
        seconds(browsers_rest_seconds)
    )
    .execute(pool)
    .await?;
    Ok(())
}

fn seconds(seconds: i64) -> f64 {
    f64::from(i32::try_from(seconds).unwrap_or(i32::MAX))
}

/// The signed-in devices, the most recently used first.
pub async fn list(pool: &Pool, user: UserId, this: DeviceId) -> sqlx::Result<Vec<Device>> {
    let rows = sqlx::query!(
        "select id, name, os, version, place, created_at, last_active
           from sessions
          where user_id = $1 and revoked_at is null and least(expires, absolute_expires) > now()
          order by last_active desc, id
          limit 200",
        user.0
    )
    .fetch_all(pool)
    .await?;
    let devices = rows.into_iter().map(|row| Device {
        id: DeviceId(row.id),
        name: row.name,
        os: row.os,
        version: row.version,
        place: row.place,
        is_this: row.id == this.0,
        created_at: millis(row.created_at),
        last_active: millis(row.last_active),
    });
    Ok(devices.collect())
}

fn millis(at: OffsetDateTime) -> protocol::UnixMillis {
    at.unix_timestamp() * 1000 + i64::from(at.millisecond())
}

/// Whose it is, signed in or not.
pub async fn owner(db: &mut Transaction, device: DeviceId) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!("select user_id from sessions where id = $1", device.0)
        .fetch_optional(db)
        .await?;
    Ok(user.map(UserId))
}

/// Signs a device out. False: this user has no such device, or it is out already.
pub async fn revoke(
    db: &mut Transaction,
    user: UserId,
    device: DeviceId,
    reason: &str,
) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update sessions set revoked_at = now(), revoke_reason = $3
          where id = $1 and user_id = $2 and revoked_at is null",
        device.0,
        user.0,
        reason
    )
    .execute(db)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// Signs every device of a user out and names them.
pub async fn revoke_all(db: &mut Transaction, user: UserId, reason: &str) -> sqlx::Result<Vec<DeviceId>> {
    let ids = sqlx::query_scalar!(
        "update sessions set revoked_at = now(), revoke_reason = $2
          where user_id = $1 and revoked_at is null
        returning id",
        user.0,
        reason
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(DeviceId).collect())
}

/// Signs every device of a user but this one out and names them.
pub async fn revoke_others(
    db: &mut Transaction,
    user: UserId,
    this: DeviceId,
    reason: &str,
) -> sqlx::Result<Vec<DeviceId>> {
    let ids = sqlx::query_scalar!(
        "update sessions set revoked_at = now(), revoke_reason = $3
          where user_id = $1 and id <> $2 and revoked_at is null
        returning id",
        user.0,
        this.0,
        reason
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(DeviceId).collect())
}

/// The devices that were signed out within this time, whoever did it, and whose they are.
pub async fn signed_out_within(pool: &Pool, within: Duration) -> sqlx::Result<Vec<(UserId, DeviceId)>> {
    let rows = sqlx::query!(
        "select user_id, id from sessions where revoked_at > now() - make_interval(secs => $1)",
        within.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    let devices = rows
        .into_iter()
        .map(|row| (UserId(row.user_id), DeviceId(row.id)));
    Ok(devices.collect())
}

/// A device as its owner may read it, signed out or not.
#[derive(Debug)]
pub struct Whole {
    pub id: Uuid,
    pub kind: i16,
    pub name: String,
    pub os: String,
    pub version: String,
    pub place: Option<String>,
    pub created_at: OffsetDateTime,
    pub last_active: OffsetDateTime,
    pub revoked_at: Option<OffsetDateTime>,
}

/// A page of all devices that are remembered, after this one.
pub async fn after(pool: &Pool, user: UserId, last: Uuid, limit: i64) -> sqlx::Result<Vec<Whole>> {
    sqlx::query_as!(
        Whole,
        "select id, kind, name, os, version, place, created_at, last_active, revoked_at
           from sessions where user_id = $1 and id > $2 order by id limit $3",
        user.0,
        last,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The user's signed-in devices.
pub async fn ids(db: &mut Transaction, user: UserId) -> sqlx::Result<Vec<DeviceId>> {
    let ids = sqlx::query_scalar!(
        "select id from sessions where user_id = $1 and revoked_at is null",
        user.0
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(DeviceId).collect())
}

/// Whether the person at this device has shown who they are since then, by signing in or again. A browser's proof goes with the
/// cookie of this number.
pub async fn is_proven_since(
    pool: &Pool,
    device: DeviceId,
    cookie: Option<i64>,
    since: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from sessions where id = $1 and proven_at > $2
                                                 and ($3::bigint is null or gen = $3)) as "is_proven!""#,
        device.0,
        since,
        cookie
    )
    .fetch_one(pool)
    .await
}

/// As [`is_proven_since`]; `None`: it is signed out, or its browser has used another cookie than this one by now.
pub async fn proof(
    db: &mut Transaction,
    device: DeviceId,
    cookie: Option<i64>,
    since: OffsetDateTime,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"select coalesce(proven_at > $2 and ($3::bigint is null or gen = $3), false) as "is_proven!" from sessions
            where id = $1 and revoked_at is null and ($3::bigint is null or gen = $3 or former_gen = $3)"#,
        device.0,
        since,
        cookie
    )
    .fetch_optional(db)
    .await
}

/// The person at this browser has shown who they are, by the cookie of this number: it gets another one, with which alone the
/// proof goes, since whoever copied the one before has shown nothing. That goes on as it was until the new one is used, as a
/// browser that never got it has no other; one that was given before and never used is dead. `None`: it is signed out already,
/// has used another cookie, or is no browser.
pub async fn note_proof(
    db: &mut Transaction,
    device: DeviceId,
    cookie: Option<i64>,
    session_token: &str,
) -> sqlx::Result<Option<Proven>> {
    sqlx::query_as!(
        Proven,
        "update sessions
            set proven_at = now(), session_token = $2, gen = gen + 1,
                former_token = case gen when $3 then session_token else former_token end, former_gen = $3
          where id = $1 and kind = 0 and revoked_at is null and (gen = $3 or former_gen = $3)
        returning absolute_expires, stays",
        device.0,
        session_token,
        cookie
    )
    .fetch_optional(db)
    .await
}

/// A browser whose person has shown who they are.
#[derive(Debug)]
pub struct Proven {
    /// When it is signed out at the latest.
    pub absolute_expires: OffsetDateTime,
    /// Its cookie outlives its window.
    pub stays: bool,
}

/// A browser has used the cookie of this number: the one before opens nothing from now on. False: that was so already, or the
/// browser has another one by now.
pub async fn end_former(pool: &Pool, device: DeviceId, cookie: i64) -> sqlx::Result<bool> {
    let outcome = sqlx::query!(
        "update sessions set former_token = null, former_gen = null
          where id = $1 and gen = $2 and former_gen is not null",
        device.0,
        cookie
    )
    .execute(pool)
    .await?;
    Ok(outcome.rows_affected() > 0)
}

/// A device about to be signed in.
#[derive(Debug)]
pub struct NewDevice {
    pub id: DeviceId,
    pub session_token: String,
    pub name: String,
    pub os: String,
    pub version: String,
    /// Roughly where, where that is known.
    pub place: Option<String>,
    /// A native client's; a browser has none.
    pub refresh_salt: Option<Vec<u8>>,
    /// The key that its refresh tokens are bound to.
    pub dpop_jkt: Option<String>,
    /// A browser's cookie outlives its window.
    pub stays: bool,
    pub idle_seconds: i64,
    pub absolute_seconds: i64,
}

pub async fn insert(db: &mut Transaction, user: UserId, new: &NewDevice) -> sqlx::Result<()> {
    let now = OffsetDateTime::now_utc();
    sqlx::query!(
        "insert into sessions
            (id, user_id, kind, session_token, name, os, version, refresh_salt, gen, expires, absolute_expires,
             proven_at, dpop_jkt, place, stays)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, case when $3::smallint = 0 then now() end, $12, $13, $14)",
        new.id.0,
        user.0,
        i16::from(new.refresh_salt.is_some()),
        new.session_token,
        new.name,
        new.os,
        new.version,
        new.refresh_salt,
        i64::from(new.refresh_salt.is_some()),
        now + time::Duration::seconds(new.idle_seconds),
        now + time::Duration::seconds(new.absolute_seconds),
        new.dpop_jkt,
        new.place,
        new.stays
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether the next device is the user's first. Rows of devices outlive them by 90 days: of somebody who proved their address
/// longer ago than that, no row says nothing, and an account that slept may be entered by anybody.
pub async fn is_first(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select coalesce(email_verified > now() - interval '90 days', false)
                  and not exists (select from sessions s where s.user_id = u.id) as "is_first!"
             from users u where u.id = $1"#,
        user.0
    )
    .fetch_one(db)
    .await
}

/// The cookie that a browser signs in again with is dead afterwards, whoever's it was.
pub async fn revoke_by_cookie(
    db: &mut Transaction,
    cookie: Option<&str>,
) -> sqlx::Result<Option<(UserId, DeviceId)>> {
    let Some(cookie) = cookie else {
        return Ok(None);
    };
    let row = sqlx::query!(
        "update sessions set revoked_at = now(), revoke_reason = 'replaced'
          where (session_token = $1 or former_token = $1) and kind = 0 and revoked_at is null
        returning id, user_id",
        super::cookies::digest_text(cookie)
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (UserId(row.user_id), DeviceId(row.id))))
}

/// A native device as renewing its tokens finds it, its row locked.
#[derive(Debug)]
pub struct Renewing {
    pub user_id: Uuid,
    pub email: String,
    pub user_name: Option<String>,
    pub device_name: String,
    pub salt: Vec<u8>,
    pub generation: i64,
    pub rotated_at: OffsetDateTime,
    pub is_seen: bool,
    pub is_live: bool,
    /// The key that has to be shown; a device that signed in without one has none.
    pub dpop_jkt: Option<String>,
}

pub async fn renewing(db: &mut Transaction, device: DeviceId) -> sqlx::Result<Option<Renewing>> {
    sqlx::query_as!(
        Renewing,
        r#"select s.user_id, u.email, u.name as user_name, s.name as device_name, s.refresh_salt as "salt!",
                  s.gen as generation, s.gen_rotated_at as rotated_at, s.gen_seen_at is not null as "is_seen!",
                  (s.revoked_at is null and u.disabled_at is null
                   and least(s.expires, s.absolute_expires) > now()) as "is_live!", s.dpop_jkt
             from sessions s join users u on u.id = s.user_id
            where s.id = $1 and s.kind = 1
              for update of s"#,
        device.0
    )
    .fetch_optional(db)
    .await
}

/// The next generation begins.
pub async fn renew(db: &mut Transaction, device: DeviceId, idle_seconds: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions
            set gen = gen + 1, gen_rotated_at = now(), gen_seen_at = null, last_active = now(),
                expires = least(now() + make_interval(secs => $2), absolute_expires)
          where id = $1",
        device.0,
        seconds(idle_seconds)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets devices that ended a quarter of a year ago.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from sessions
          where least(expires, absolute_expires, coalesce(revoked_at, 'infinity')) < now() - interval '90 days'"
    )
    .execute(pool)
    .await?;
    Ok(())
}
