//! What an operator may do about the keys that sign access tokens.

use super::{Operator, conflict};
use crate::auth::audit_events::{self, Act};
use crate::auth::native::following::{CHANNEL, PLACE, read};
use crate::auth::native::ring::{Key, OTHERS_FIRST, State, WAITS};
use crate::auth::native::signing_keys;
use crate::auth::seal;
use crate::database::Transaction;
use crate::error::Result;
use protocol::{Code, Problem};
use time::{Duration, OffsetDateTime};

/// A key, its private half aside.
#[derive(Clone, Debug)]
pub struct KeyLook {
    pub id: String,
    pub state: &'static str,
    pub active_from: OffsetDateTime,
    pub origin: &'static str,
}

impl Operator {
    /// The newest first.
    pub async fn keys(&self) -> Result<Vec<KeyLook>> {
        let now = OffsetDateTime::now_utc();
        let kept = signing_keys::all(&self.auth.pool).await?;
        let (ring, unread) = read(&self.auth.keys, &kept)?;
        let look = |id: &str, state, active_from| KeyLook {
            id: id.to_owned(),
            state,
            active_from,
            origin: if active_from == OTHERS_FIRST {
                "COMPYMAC_OTHER_SECRETS"
            } else if active_from == OffsetDateTime::UNIX_EPOCH {
                "COMPYMAC_SECRET"
            } else {
                "drawn"
            },
        };
        let mut looks: Vec<KeyLook> = ring
            .states(now)
            .map(|(key, state)| look(&key.id, state.name(), key.active_from))
            .collect();
        let unread = kept.iter().filter(|kept| unread.contains(&kept.id));
        looks.extend(unread.map(|kept| look(&kept.id, "sealed by another secret", kept.active_from)));
        Ok(looks)
    }

    /// A fresh key, that is told of now and signs once everybody has heard of it.
    pub async fn rotate_key(&self) -> Result<KeyLook> {
        let waiting = self.keys().await?;
        if let Some(waiting) = waiting.iter().find(|key| key.state == State::Pending.name()) {
            return Err(conflict(format!("A fresh key, {}, waits already.", waiting.id)).into());
        }
        let mut tx = self.auth.pool.begin().await?;
        let id = self.add_key(&mut tx, WAITS).await?;
        self.note_key(&mut tx, "key_made", &id).await?;
        tx.commit().await?;
        self.tell_of_keys();
        let made = self.keys().await?.into_iter().find(|key| key.id == id);
        Ok(made.ok_or(Code::NotFound)?)
    }

    /// Nothing that it signed is believed any more. Where no other signs, a fresh one does at once: its id.
    pub async fn revoke_key(&self, id: &str) -> Result<Option<String>> {
        let keys = self.keys().await?;
        let unknown = || Problem::new(Code::NotFound).detail(format!("There is no key {id}."));
        let key = keys.iter().find(|key| key.id == id).ok_or_else(unknown)?;
        let mut tx = self.auth.pool.begin().await?;
        let is_first = key.active_from == OffsetDateTime::UNIX_EPOCH;
        let is_revoked = if is_first {
            signing_keys::revoke_first(&mut tx, id).await?
        } else {
            signing_keys::revoke(&mut tx, id).await?
        };
        if !is_revoked {
            return Err(conflict(format!("{id} is revoked already.")).into());
        }
        self.note_key(&mut tx, "key_revoked", id).await?;
        // the newest of those that are left signs on
        let can_sign = |key: &KeyLook| key.id != id && ["active", "retiring", "retired"].contains(&key.state);
        let fresh = if keys.iter().any(can_sign) {
            None
        } else {
            let fresh = self.add_key(&mut tx, Duration::ZERO).await?;
            self.note_key(&mut tx, "key_made", &fresh).await?;
            Some(fresh)
        };
        tx.commit().await?;
        self.tell_of_keys();
        Ok(fresh)
    }

    async fn add_key(&self, db: &mut Transaction, waits: Duration) -> Result<String> {
        let seed: [u8; 32] = rand::random();
        let id = Key::from_seed(&seed, OffsetDateTime::UNIX_EPOCH, false)?.id;
        let sealed = seal::seal(&self.auth.keys, PLACE, id.as_bytes(), &seed);
        signing_keys::insert(db, &id, &sealed, waits.as_seconds_f64()).await?;
        Ok(id)
    }

    async fn note_key(&self, db: &mut Transaction, name: &str, id: &str) -> Result<()> {
        let act = Act {
            operator: self.name()?,
            user: None,
            device: None,
            name,
            reason: Some(id),
        };
        Ok(audit_events::note_act(db, act).await?)
    }

    fn tell_of_keys(&self) {
        self.auth.wire().publish(self.auth.key(CHANNEL), []);
    }
}
