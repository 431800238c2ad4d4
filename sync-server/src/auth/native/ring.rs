//! The keys that access tokens are signed with: which one signs now, which are believed, and which others are told of.
//!
//! **Invariant:** a key is told of long before it signs, and believed until the last token that it signed has ended.

use crate::app::Keys;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

/// How long a fresh key is told of before it signs: twice as long as others may keep the list of keys.
pub const WAITS: Duration = Duration::minutes(10);
/// How long a key is believed once the next one signs: as long as a token lives, and two clocks differ.
const RETIRES: Duration = Duration::minutes(12);
/// Where the first keys of other secrets stand: before every key of the newest.
pub const OTHERS_FIRST: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_sub(Duration::SECOND);

pub struct Key {
    /// As tokens name it (`kid`).
    pub id: String,
    pub public: [u8; 32],
    pub encoding: EncodingKey,
    pub decoding: DecodingKey,
    pub active_from: OffsetDateTime,
    pub is_revoked: bool,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl Key {
    /// The one that follows from the server's secret, and signs until there is another.
    pub fn first(keys: &Keys, is_revoked: bool) -> anyhow::Result<Self> {
        let seed = keys.derive("access token", b"ed25519");
        Self::from_seed(&seed, OffsetDateTime::UNIX_EPOCH, is_revoked)
    }

    /// Those that follow from the other secrets. They sign nothing, and what they signed is renewed.
    pub fn firsts_of_others(keys: &Keys) -> impl Iterator<Item = anyhow::Result<Self>> {
        let seeds = keys.derive_each("access token", b"ed25519").skip(1);
        seeds.map(|seed| Self::from_seed(&seed, OTHERS_FIRST, true))
    }

    pub fn from_seed(seed: &[u8; 32], active_from: OffsetDateTime, is_revoked: bool) -> anyhow::Result<Self> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        let private = key.to_pkcs8_der().context("writing the signing key as PKCS#8")?;
        let hash = Sha256::digest(public);
        Ok(Self {
            id: URL_SAFE_NO_PAD.encode(hash.get(..9).unwrap_or_default()),
            public,
            encoding: EncodingKey::from_ed_der(private.as_bytes()),
            decoding: DecodingKey::from_ed_der(&public),
            active_from,
            is_revoked,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Told of, and signs nothing yet.
    Pending,
    /// Signs.
    Active,
    /// Signs nothing any more; what it signed is believed.
    Retiring,
    /// What it signed has ended.
    Retired,
    /// Nothing that it signed is believed.
    Revoked,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    const fn is_told_of(self) -> bool {
        matches!(self, Self::Pending | Self::Active | Self::Retiring)
    }
}

/// All keys, the newest first.
#[derive(Debug)]
pub struct Ring(Vec<Key>);

impl Ring {
    pub fn of(mut keys: Vec<Key>) -> Self {
        keys.sort_by(|a, b| b.active_from.cmp(&a.active_from).then_with(|| a.id.cmp(&b.id)));
        Self(keys)
    }

    pub fn states(&self, now: OffsetDateTime) -> impl Iterator<Item = (&Key, State)> {
        // since when the next newer one signs
        let mut successor: Option<OffsetDateTime> = None;
        self.0.iter().map(move |key| {
            if key.is_revoked {
                return (key, State::Revoked);
            }
            if key.active_from > now {
                return (key, State::Pending);
            }
            let state = match successor {
                None => State::Active,
                Some(since) if now - since <= RETIRES => State::Retiring,
                Some(_) => State::Retired,
            };
            successor = Some(key.active_from);
            (key, state)
        })
    }

    /// The key that signs now. Where the only one was revoked, one that was to wait does not wait.
    pub fn signing(&self, now: OffsetDateTime) -> Option<&Key> {
        let with = |wanted: State| self.states(now).filter(move |(_, state)| *state == wanted);
        with(State::Active)
            .next()
            .or_else(|| with(State::Pending).last())
            .map(|(key, _)| key)
    }

    /// The key that a token names, and how it stands.
    pub fn find(&self, id: &str, now: OffsetDateTime) -> Option<(&Key, State)> {
        self.states(now).find(|(key, _)| key.id == id)
    }

    /// Those that others are told of.
    pub fn told(&self, now: OffsetDateTime) -> impl Iterator<Item = &Key> {
        self.states(now)
            .filter(|(_, state)| state.is_told_of())
            .map(|(key, _)| key)
    }

    /// Whether both hold the same keys in the same state.
    pub fn is_same(&self, other: &Self) -> bool {
        let marks = |ring: &Self| -> Vec<(String, bool)> {
            ring.0
                .iter()
                .map(|key| (key.id.clone(), key.is_revoked))
                .collect()
        };
        marks(self) == marks(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, minute: i64, is_revoked: bool) -> Key {
        Key::from_seed(&[seed; 32], at(minute), is_revoked).unwrap()
    }

    fn at(minute: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::minutes(minute)
    }

    fn states(ring: &Ring, minute: i64) -> Vec<State> {
        ring.states(at(minute)).map(|(_, state)| state).collect()
    }

    #[test]
    fn a_key_waits_signs_retires_and_is_over() {
        use State::{Active, Pending, Retired, Retiring};
        let ring = Ring::of(vec![key(1, 0, false), key(2, 100, false)]);
        assert_eq!(states(&ring, 99), [Pending, Active]);
        assert_eq!(states(&ring, 100), [Active, Retiring]);
        assert_eq!(states(&ring, 112), [Active, Retiring]);
        assert_eq!(states(&ring, 113), [Active, Retired]);
        assert_eq!(ring.told(at(99)).count(), 2);
        assert_eq!(ring.told(at(113)).count(), 1);
    }

    #[test]
    fn a_revoked_key_is_believed_no_more_and_the_one_before_signs_again() {
        let ring = Ring::of(vec![key(1, 0, false), key(2, 100, true)]);
        assert_eq!(states(&ring, 500), [State::Revoked, State::Active]);
        assert_eq!(ring.signing(at(500)).unwrap().active_from, at(0));
    }

    #[test]
    fn there_is_always_one_that_signs_unless_all_are_revoked() {
        let ring = Ring::of(vec![key(1, 0, true), key(2, 100, false)]);
        assert_eq!(ring.signing(at(50)).unwrap().active_from, at(100));
        assert!(Ring::of(vec![key(1, 0, true)]).signing(at(50)).is_none());
    }
}
