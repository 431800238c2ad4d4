//! Following the keys that sign access tokens: read at the start, each minute, when another node says so, and when a token
//! names one that was not heard of.

use super::super::{Auth, seal};
use super::ring::{Key, Ring};
use super::signing_keys::{self, Kept};
use crate::app::Keys;
use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Notify;

/// Tells all nodes that there is a fresh key, or one less.
pub const CHANNEL: &str = "signing-keys";
/// Where private halves are sealed for.
pub const PLACE: &str = "signing_keys.sealed";
/// Well under the time that a fresh key waits.
const EVERY: Duration = Duration::from_mins(1);
/// Seconds between two looks that unknown keys cause: whoever makes some up causes no more than that.
const BETWEEN: i64 = 30;

/// All keys that can be read, and the ids of those that another secret has sealed.
pub fn read(keys: &Keys, kept: &[Kept]) -> anyhow::Result<(Ring, Vec<String>)> {
    let first = Key::first(keys, false)?;
    let is_first_revoked = kept
        .iter()
        .any(|kept| kept.id == first.id && kept.revoked_at.is_some());
    let mut read = vec![Key::first(keys, is_first_revoked)?];
    for other in Key::firsts_of_others(keys) {
        read.push(other?);
    }
    let mut unread = Vec::new();
    for kept in kept {
        let Some(sealed) = &kept.sealed else { continue };
        let seed = seal::open(keys, PLACE, kept.id.as_bytes(), sealed);
        match seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok()) {
            Some(seed) => read.push(Key::from_seed(
                &seed,
                kept.active_from,
                kept.revoked_at.is_some(),
            )?),
            None => unread.push(kept.id.clone()),
        }
    }
    Ok((Ring::of(read), unread))
}

impl Auth {
    pub(in crate::auth) async fn read_signing_keys(&self) -> Result<()> {
        metrics::counter!("signing_keys_read_total").increment(1);
        let kept = signing_keys::all(&self.pool).await?;
        let (ring, unread) = read(&self.keys, &kept)?;
        if !unread.is_empty() {
            tracing::error!(
                keys = unread.join(", "),
                "signing keys that another secret has sealed"
            );
        }
        let now = OffsetDateTime::now_utc();
        let signing = ring.signing(now).map(|key| now - key.active_from);
        // the first follows from the secret and has no day of its own
        let age = signing.filter(|age| *age < now - OffsetDateTime::UNIX_EPOCH);
        metrics::gauge!("signing_key_age_seconds").set(age.unwrap_or_default().as_seconds_f64());
        if self.0.signer.take_up(ring) {
            // what was proven may rest on a key that was revoked
            self.0.seen.forget_proofs();
        }
        Ok(())
    }

    /// Before a token is checked: another node may have signed it by a key that was not heard of here.
    pub(in crate::auth) async fn look_for_key_of(&self, token: &str, now: OffsetDateTime) {
        if self.0.signer.knows_key_of(token, now) {
            return;
        }
        let now = now.unix_timestamp();
        let last = self.0.keys_looked_for.load(Ordering::Relaxed);
        let is_time = now - last >= BETWEEN
            && self
                .0
                .keys_looked_for
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_time && let Err(error) = self.read_signing_keys().await {
            tracing::warn!(error = %error.into_problem(), "signing keys could not be read");
        }
    }
}

pub fn spawn(auth: &Auth) {
    let told = Arc::new(Notify::new());
    let telling = Arc::clone(&told);
    let heard = move |_: &[u8]| telling.notify_one();
    // Until the confirmation comes, the looks of each minute have to do.
    drop(auth.wire().route(auth.key(CHANNEL), Arc::new(heard)));
    let auth = auth.clone();
    auth.clone().tasks.spawn(async move {
        loop {
            tokio::select! {
                () = auth.shutdown.cancelled() => return,
                () = told.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = auth.read_signing_keys().await {
                tracing::warn!(error = %error.into_problem(), "signing keys could not be read");
            }
        }
    });
}
