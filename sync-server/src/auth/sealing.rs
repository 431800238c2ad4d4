//! What this installation has sealed: by which of its secrets, whether it opens, and sealing it anew by the newest, so that the
//! others can be taken away.
//!
//! **Invariant:** what cannot be opened stays as it is: the secret for it may come back.

use super::native::{following, signing_keys};
use super::providers::provider_tokens;
use super::second_step::{self, Sealed};
use super::{Auth, seal};
use crate::app::Keys;
use crate::database::Pool;
use protocol::UserId;
use uuid::Uuid;

/// What lies sealed in the database.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    pub sound: usize,
    /// Whose second step no secret in the settings opens.
    pub broken: Vec<UserId>,
    /// How many tokens of providers none opens.
    pub lost: usize,
    /// How many COMPYMAC_SECRET has sealed …
    pub by_newest: usize,
    /// … and what opens and still waits for that.
    pub by_others: usize,
}

impl Sealing {
    fn count(&mut self, keys: &Keys, (place, row): (&str, &[u8]), sealed: &[u8]) -> bool {
        if seal::open(keys, place, row, sealed).is_none() {
            return false;
        }
        self.sound += 1;
        if !keys.has_others() || sealed.starts_with(&seal::newest_mark(keys)) {
            self.by_newest += 1;
        } else {
            self.by_others += 1;
        }
        true
    }
}

pub async fn look(pool: &Pool, keys: &Keys) -> sqlx::Result<Sealing> {
    let mut sealing = Sealing::default();
    for kept in signing_keys::all(pool).await? {
        if let Some(sealed) = &kept.sealed {
            // one that does not open is marked where keys are listed
            sealing.count(keys, (following::PLACE, kept.id.as_bytes()), sealed);
        }
    }
    let mut after = UserId(Uuid::nil());
    loop {
        let page = second_step::sealed_after(pool, after).await?;
        let Some(last) = page.last() else { break };
        after = UserId(last.user_id);
        for sealed in &page {
            if !sealing.count(keys, place_of(sealed), &sealed.secret) {
                sealing.broken.push(UserId(sealed.user_id));
            }
        }
    }
    let mut after = Uuid::nil();
    loop {
        let page = provider_tokens::sealed_after(pool, after).await?;
        let Some(last) = page.last() else {
            return Ok(sealing);
        };
        after = last.id;
        for sealed in &page {
            if !sealing.count(keys, sealed.place(), &sealed.token) {
                sealing.lost += 1;
            }
        }
    }
}

fn place_of(sealed: &Sealed) -> (&'static str, &[u8]) {
    (second_step::PLACE, sealed.user_id.as_bytes())
}

/// Seals anew what another secret has sealed, some hundred at a time. Wherever it is interrupted, what is done is done, and is
/// not looked at again. Each row is changed only as it was read: nodes may do this at once.
pub async fn renew(auth: &Auth) -> sqlx::Result<()> {
    let (pool, keys) = (&auth.pool, &auth.keys);
    if !keys.has_others() {
        return Ok(());
    }
    let mark = seal::newest_mark(keys);
    for kept in signing_keys::all(pool).await? {
        let Some(sealed) = kept.sealed.filter(|sealed| !sealed.starts_with(&mark)) else {
            continue;
        };
        if let Some(anew) = seal::renewed(keys, following::PLACE, kept.id.as_bytes(), &sealed) {
            signing_keys::reseal(pool, &kept.id, &sealed, &anew).await?;
        }
    }
    let mut after = UserId(Uuid::nil());
    while !auth.shutdown.is_cancelled() {
        let page = second_step::unmarked_after(pool, after, &mark).await?;
        let Some(last) = page.last() else { break };
        after = UserId(last.user_id);
        for sealed in &page {
            let (place, row) = place_of(sealed);
            if let Some(anew) = seal::renewed(keys, place, row, &sealed.secret) {
                second_step::reseal(pool, UserId(sealed.user_id), &sealed.secret, &anew).await?;
            }
        }
    }
    renew_tokens(auth, &mark).await
}

async fn renew_tokens(auth: &Auth, mark: &[u8]) -> sqlx::Result<()> {
    let (pool, keys) = (&auth.pool, &auth.keys);
    let mut after = Uuid::nil();
    while !auth.shutdown.is_cancelled() {
        let page = provider_tokens::unmarked_after(pool, after, mark).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for sealed in &page {
            let (place, row) = sealed.place();
            if let Some(anew) = seal::renewed(keys, place, row, &sealed.token) {
                provider_tokens::reseal(pool, sealed.id, &sealed.token, &anew).await?;
            }
        }
    }
    Ok(())
}
