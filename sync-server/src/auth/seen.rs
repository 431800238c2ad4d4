//! What this node knows of devices without asking: proven credentials, and where each device stands, for 15 seconds.
//! A sign-out anywhere is heard through Redis and forgets the device at once; without Redis the 15 seconds decide, and within
//! them too what the device has open is closed.

use super::devices::{self, Standing};
use super::finish::BROWSER_IDLE_SECONDS;
use super::native::access::Proof;
use super::{Auth, cookies};
use crate::error::Result;
use moka::sync::Cache;
use protocol::{Code, DeviceId, Problem, UserId};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How long a device's standing is believed.
const BELIEVED: Duration = Duration::from_secs(15);
/// How often this node looks for sign-outs that it was not told of. With the look itself it stays within the time above, so that
/// nothing that a device has open outlives it by more.
const LOOKED_FOR: Duration = Duration::from_secs(10);
/// How far it looks back beyond the look before: a sign-out has the time at which its transaction began, and is seen once that is done.
const OVERLAP: Duration = Duration::from_mins(1);
/// How often the times of last use are written, all in one statement.
const WRITTEN: Duration = Duration::from_secs(30);

pub struct Seen {
    /// By the hash of the credential. A token's signature is checked once, not at every request.
    proofs: Cache<[u8; 32], Proof>,
    standings: Cache<DeviceId, Arc<Standing>>,
    /// Counts how often all proofs were forgotten, so that one that was checked before is not kept after it.
    proofs_forgotten: AtomicU64,
    /// Counts sign-outs heard, so that a standing read before one is not kept after it.
    signed_out: AtomicU64,
    active: Mutex<HashSet<DeviceId>>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seen({} devices)", self.standings.entry_count())
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            proofs: Cache::builder()
                .max_capacity(100_000)
                .time_to_live(Duration::from_mins(11))
                .build(),
            standings: Cache::builder()
                .max_capacity(100_000)
                .time_to_live(BELIEVED)
                .build(),
            proofs_forgotten: AtomicU64::new(0),
            signed_out: AtomicU64::new(0),
            active: Mutex::default(),
        }
    }
}

impl Seen {
    /// Every credential is looked at afresh.
    pub fn forget_proofs(&self) {
        self.proofs_forgotten.fetch_add(1, Ordering::SeqCst);
        self.proofs.invalidate_all();
    }

    fn forget(&self, device: DeviceId) {
        self.signed_out.fetch_add(1, Ordering::SeqCst);
        self.standings.invalidate(&device);
    }

    fn keep(&self, standing: &Arc<Standing>, signed_out_before: u64) {
        self.standings.insert(standing.device, standing.clone());
        // A sign-out heard since the row was read may be of this device.
        if self.signed_out.load(Ordering::SeqCst) != signed_out_before {
            self.standings.invalidate(&standing.device);
        }
    }
}

/// A cookie never passes for a token, nor the other way round.
fn digest(kind: u8, credential: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update([kind])
        .chain_update(credential.as_bytes())
        .finalize()
        .into()
}

impl Auth {
    /// Where a device stands, from memory or the database. `None`: there is no such device.
    pub(super) async fn standing(&self, device: DeviceId) -> Result<Option<Arc<Standing>>> {
        match self.0.seen.standings.get(&device) {
            Some(standing) => Ok(Some(standing)),
            None => self.read_standing(device).await,
        }
    }

    async fn read_standing(&self, device: DeviceId) -> Result<Option<Arc<Standing>>> {
        let before = self.0.seen.signed_out.load(Ordering::SeqCst);
        let Some(standing) = devices::standing(&self.pool, device).await? else {
            return Ok(None);
        };
        Ok(Some(self.keep_standing(standing, before)))
    }

    fn keep_standing(&self, standing: Standing, signed_out_before: u64) -> Arc<Standing> {
        let standing = Arc::new(standing);
        self.0.seen.keep(&standing, signed_out_before);
        standing
    }

    /// The device is used just now.
    pub fn note_use(&self, device: DeviceId) {
        let mut active = self.0.seen.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.insert(device);
    }

    /// With the number of the cookie that was shown, which may be the one of before a fresh proof. The first use of the new one
    /// ends that: nothing is done by the proof while the other opens anything.
    pub(super) async fn standing_by_cookie(&self, cookie: &str) -> Result<(Arc<Standing>, i64)> {
        let (mut standing, mut shown) = self.standing_behind(cookie).await?;
        if standing.former.is_some() && shown == standing.generation {
            if devices::end_former(&self.pool, standing.device, shown).await? {
                self.announce_replaced(&standing, shown);
            }
            self.forget(standing.device);
            // it may have been replaced itself meanwhile, as one that nobody had used
            (standing, shown) = self.read_behind(cookie).await?;
        }
        self.note_use(standing.device);
        Ok((standing, shown))
    }

    async fn standing_behind(&self, cookie: &str) -> Result<(Arc<Standing>, i64)> {
        // a browser that proved itself again has another cookie since, and its generation says so
        if let Some(proof) = self.0.seen.proofs.get(&digest(b'c', cookie))
            && let Some(standing) = self.standing(proof.device).await?
            && (standing.generation == proof.generation || standing.former == Some(proof.generation))
        {
            return Ok((standing, proof.generation));
        }
        self.read_behind(cookie).await
    }

    async fn read_behind(&self, cookie: &str) -> Result<(Arc<Standing>, i64)> {
        let before = self.0.seen.signed_out.load(Ordering::SeqCst);
        let (standing, shown) = devices::standing_by_cookie(&self.pool, &cookies::digest_text(cookie))
            .await?
            .ok_or_else(|| Problem::new(Code::SignInRequired))?;
        let proof = Proof {
            user: standing.user,
            device: standing.device,
            generation: shown,
            expires_at: i64::MAX,
        };
        self.0.seen.proofs.insert(digest(b'c', cookie), proof);
        Ok((self.keep_standing(standing, before), shown))
    }

    pub(super) async fn standing_by_token(&self, token: &str) -> Result<(Arc<Standing>, Proof)> {
        let key = digest(b't', token);
        let now = OffsetDateTime::now_utc();
        let proof = match self.0.seen.proofs.get(&key) {
            Some(proof) if proof.expires_at > now.unix_timestamp() => proof,
            _ => {
                self.look_for_key_of(token, now).await;
                let before = self.0.seen.proofs_forgotten.load(Ordering::SeqCst);
                let proof = self.0.signer.verify(token, now)?;
                self.0.seen.proofs.insert(key, proof);
                if self.0.seen.proofs_forgotten.load(Ordering::SeqCst) != before {
                    self.0.seen.proofs.invalidate(&key);
                }
                proof
            }
        };
        let unknown = || Problem::new(Code::SignInRequired);
        let mut standing = self.standing(proof.device).await?.ok_or_else(unknown)?;
        if proof.generation > standing.generation {
            // Renewed on another node a moment ago; a token from after a restored backup stays ahead and is refused.
            standing = self.read_standing(proof.device).await?.ok_or_else(unknown)?;
        }
        if proof.user != standing.user || proof.generation > standing.generation {
            return Err(unknown().into());
        }
        if proof.generation == standing.generation && !standing.is_generation_seen {
            devices::mark_generation_seen(&self.pool, proof.device, proof.generation).await?;
            self.0.seen.standings.invalidate(&proof.device);
        }
        self.note_use(proof.device);
        Ok((standing, proof))
    }

    /// This node reads the device's row again before it believes anything of it.
    pub(super) fn forget(&self, device: DeviceId) {
        self.0.seen.forget(device);
    }

    /// Tells every node to read these devices' rows again. Call after the transaction that changed something.
    pub(super) fn announce_changed(&self, devices: &[DeviceId]) {
        for device in devices {
            self.0.seen.forget(*device);
            self.wire().publish(self.key(CHANNEL), device.0.as_bytes());
        }
    }

    /// Tells every node that a browser uses another cookie: what was opened by the ones before closes.
    fn announce_replaced(&self, standing: &Standing, cookie: i64) {
        self.announce_changed(&[standing.device]);
        self.replace(standing.user, standing.device, cookie);
    }

    /// Tells every node that these devices of a user are signed out. Call after the transaction that signed them out.
    pub(super) fn announce_signed_out(&self, user: UserId, devices: &[DeviceId]) {
        for device in devices {
            self.0.seen.forget(*device);
            self.wire().publish(self.key(CHANNEL), device.0.as_bytes());
            self.revoke(user, *device);
        }
    }
}

const CHANNEL: &str = "signed-out";

/// Begins to hear of sign-outs on other nodes and to look for those that are not heard of, and to write times of last use.
pub fn spawn(auth: &Auth) {
    let listening = Arc::downgrade(&auth.0);
    let heard = move |payload: &[u8]| {
        if let (Some(parts), Ok(device)) = (listening.upgrade(), uuid::Uuid::from_slice(payload)) {
            parts.seen.forget(DeviceId(device));
        }
    };
    // Nobody waits for the confirmation: until it comes, what is believed for 15 seconds decides.
    drop(auth.wire().route(auth.key(CHANNEL), Arc::new(heard)));
    auth.tasks.spawn(look_for_signed_out(auth.clone()));
    let writing = auth.clone();
    auth.tasks.spawn(async move {
        while !writing.shutdown.is_cancelled() {
            tokio::select! {
                () = writing.shutdown.cancelled() => {}
                () = tokio::time::sleep(WRITTEN) => {}
            }
            let active = std::mem::take(
                &mut *writing
                    .0
                    .seen
                    .active
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            write_active(&writing, active).await;
        }
    });
}

/// One statement by an index of its own, however many are connected.
async fn look_for_signed_out(auth: Auth) {
    let mut looked = Instant::now();
    loop {
        tokio::select! {
            () = auth.shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOKED_FOR) => {}
        }
        let begun = Instant::now();
        let since = begun.duration_since(looked) + OVERLAP;
        match devices::signed_out_within(&auth.pool, since).await {
            Ok(found) => {
                looked = begun;
                for (user, device) in found {
                    auth.0.seen.forget(device);
                    auth.found_revoked(user, device);
                }
            }
            Err(error) => tracing::warn!(error = %error, "sign-outs could not be looked for"),
        }
    }
}

async fn write_active(auth: &Auth, active: HashSet<DeviceId>) {
    if active.is_empty() {
        return;
    }
    let ids: Vec<uuid::Uuid> = active.iter().map(|device| device.0).collect();
    if let Err(error) = devices::touch(&auth.pool, &ids, BROWSER_IDLE_SECONDS).await {
        tracing::warn!(error = %error, "times of last use were not written");
    }
}
