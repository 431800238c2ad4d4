//! Stored: `provider_tokens`, what a provider gave that is taken back there once its identity is nobody's here any more.
//!
//! **Invariant:** a token is sealed before it is kept anywhere. Whatever removes an identity leaves its token behind, by the
//! table's own rule.

use super::super::seal;
use crate::app::Keys;
use crate::database::{Pool, Transaction};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

const PLACE: &str = "provider_tokens.token";
/// How long one node has for one token before another takes over: far longer than a provider may take to answer.
const LEASE_SECONDS: f64 = 120.0;

/// A token as it may be kept, here and wherever it waits before: sealed, under an id of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    id: Uuid,
    sealed: Vec<u8>,
}

impl Held {
    pub fn new(keys: &Keys, token: &str) -> Self {
        let id = Uuid::now_v7();
        Self {
            sealed: seal::seal(keys, PLACE, id.as_bytes(), token.as_bytes()),
            id,
        }
    }
}

/// Keeps the token of an identity that is somebody's, in place of the one of before: one is enough to take all back.
pub async fn keep(db: &mut Transaction, provider: &str, subject: &str, held: &Held) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into provider_tokens (id, account_id, provider, token)
         select $1::uuid, id, provider, $4::bytea from accounts
          where provider = $2 and provider_account_id = $3
         on conflict (account_id) do update set id = excluded.id, token = excluded.token",
        held.id,
        provider,
        subject,
        held.sealed
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The provider itself says that the token of this identity is worthless: nothing is left to be taken back.
pub async fn drop_of(db: &mut Transaction, provider: &str, subject: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from provider_tokens
          where account_id = (select id from accounts where provider = $1 and provider_account_id = $2)",
        provider,
        subject
    )
    .execute(db)
    .await?;
    Ok(())
}

/// One to be taken back, by this node.
#[derive(Debug)]
pub struct Due {
    pub id: Uuid,
    pub provider: String,
    token: Vec<u8>,
    /// This one too.
    pub tries: i16,
    pub begun_at: OffsetDateTime,
}

impl Due {
    /// `None`: no secret of the settings opens it.
    pub fn open(&self, keys: &Keys) -> Option<String> {
        let token = seal::open(keys, PLACE, self.id.as_bytes(), &self.token)?;
        String::from_utf8(token).ok()
    }
}

pub async fn claim(pool: &Pool) -> sqlx::Result<Option<Due>> {
    sqlx::query_as!(
        Due,
        r#"update provider_tokens
              set tries = tries + 1, begun_at = coalesce(begun_at, now()),
                  not_before = now() + make_interval(secs => $1)
            where id = (select id from provider_tokens
                         where account_id is null and not_before <= now()
                         order by not_before
                         limit 1
                           for update skip locked)
        returning id, provider, token, tries, begun_at as "begun_at!""#,
        LEASE_SECONDS
    )
    .fetch_optional(pool)
    .await
}

/// It was not taken back, and is tried again after so many seconds.
pub async fn put_off(pool: &Pool, id: Uuid, seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "update provider_tokens set not_before = now() + make_interval(secs => $2) where id = $1",
        id,
        seconds
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Nothing more is to be done about it.
pub async fn remove(pool: &Pool, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from provider_tokens where id = $1", id)
        .execute(pool)
        .await?;
    Ok(())
}

/// A token as it lies there.
#[derive(Debug)]
pub struct Sealed {
    pub id: Uuid,
    pub token: Vec<u8>,
}

impl Sealed {
    /// Where it opens: the place, and the row there.
    pub fn place(&self) -> (&'static str, &[u8]) {
        (PLACE, self.id.as_bytes())
    }
}

/// The next so many after this one.
pub async fn sealed_after(pool: &Pool, id: Uuid) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as!(
        Sealed,
        "select id, token from provider_tokens where id > $1 order by id limit 500",
        id
    )
    .fetch_all(pool)
    .await
}

/// The next so many after this one that do not begin with this mark.
pub async fn unmarked_after(pool: &Pool, id: Uuid, mark: &[u8]) -> sqlx::Result<Vec<Sealed>> {
    sqlx::query_as!(
        Sealed,
        "select id, token from provider_tokens
          where id > $1 and substring(token from 1 for length($2::bytea)) <> $2
          order by id limit 500",
        id,
        mark
    )
    .fetch_all(pool)
    .await
}

/// The same token, sealed anew.
pub async fn reseal(pool: &Pool, id: Uuid, old: &[u8], new: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "update provider_tokens set token = $3 where id = $1 and token = $2",
        id,
        old,
        new
    )
    .execute(pool)
    .await?;
    Ok(())
}
