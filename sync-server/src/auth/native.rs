//! The native app's way in and its tokens: a small OAuth 2.1 authorization server with one public client.

pub(super) mod access;
pub(super) mod authorize;
mod device_codes;
pub(super) mod device_flow;
pub(super) mod dpop;
pub(super) mod following;
pub(super) mod grants;
pub(super) mod metadata;
mod oauth_codes;
pub(super) mod refresh;
pub(super) mod ring;
pub(super) mod signing_keys;

use crate::database::{Pool, Transaction};
use protocol::UserId;

/// What this user's browsers have handed out or allowed, and nothing has taken up, is worthless from now on.
pub async fn void_codes(db: &mut Transaction, user: UserId) -> sqlx::Result<()> {
    oauth_codes::void_all(db, user).await?;
    device_codes::void_all(db, user).await
}

pub async fn purge_codes(pool: &Pool) -> sqlx::Result<()> {
    oauth_codes::purge(pool).await?;
    device_codes::purge(pool).await
}
