//! Refresh tokens: a number that only we can write down, and the rule that tells a lost answer from a thief.
//!
//! **Invariant:** no token and no hash of one is stored; the current one can be written again from the device's row.

use super::super::seal::keyed;
use crate::app::Keys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use protocol::DeviceId;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Lets scanners for leaked secrets, ours and others', know one when they see it.
const PREFIX: &str = "cmr_";
const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
const SUM_BYTES: usize = 4;
/// How long the token before the current one is honoured although the current one was used.
const GRACE: Duration = Duration::seconds(60);

/// What a token names. Its proof is checked against the device's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    pub device: DeviceId,
    pub generation: i64,
    /// What the proof covers.
    body: Vec<u8>,
    proof: Vec<u8>,
}

/// The key of one device's tokens.
pub fn device_key(keys: &Keys, salt: &[u8]) -> [u8; 32] {
    keys.derive("refresh token", salt)
}

/// As [`device_key`], and what the other secrets give: what they wrote is good until it is renewed.
pub fn device_keys(keys: &Keys, salt: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    keys.derive_each("refresh token", salt)
}

/// `cmr_` and base64url of version, device, generation, proof, checksum.
pub fn write(key: &[u8; 32], device: DeviceId, generation: i64) -> String {
    let mut bytes = body(device, generation);
    let proof = mac(key, &bytes).finalize().into_bytes();
    bytes.extend(proof.iter().take(MAC_BYTES));
    bytes.extend(checksum(&bytes));
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads what has the shape of a token. `None`: it cannot be one of ours.
pub fn read(token: &str) -> Option<Presented> {
    let encoded = token.strip_prefix(PREFIX).filter(|text| text.len() <= 128)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (rest, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
    if checksum(rest) != *sum {
        return None;
    }
    let (body, proof) = rest.split_at_checked(rest.len().checked_sub(MAC_BYTES)?)?;
    let (version, after) = body.split_first()?;
    let (device, generation) = after.split_at_checked(16)?;
    let presented = Presented {
        device: DeviceId(Uuid::from_slice(device).ok()?),
        generation: read_varint(generation)?,
        body: body.to_vec(),
        proof: proof.to_vec(),
    };
    (*version == VERSION).then_some(presented)
}

impl Presented {
    /// Whether the device's key wrote it. Takes the same time whatever differs.
    pub fn is_proven_by(&self, key: &[u8; 32]) -> bool {
        mac(key, &self.body).verify_truncated_left(&self.proof).is_ok()
    }
}

fn body(device: DeviceId, generation: i64) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(device.0.as_bytes());
    let mut left = generation.cast_unsigned();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push((left & 0x7f) as u8);
    bytes
}

/// One way only to write a number (LEB128, at most 63 bits, no padding), so that a token has one spelling.
fn read_varint(bytes: &[u8]) -> Option<i64> {
    let mut number: u64 = 0;
    let (last, before) = bytes.split_last()?;
    if bytes.len() > 9 || (*last == 0 && !before.is_empty()) || last & 0x80 != 0 {
        return None;
    }
    for byte in bytes.iter().rev() {
        number = (number << 7) | u64::from(byte & 0x7f);
    }
    if before.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    i64::try_from(number).ok()
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    keyed(key, &[body, b"refresh"])
}

/// Not a proof: it lets a scanner or a client see a token that was cut short.
fn checksum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let hash = Sha256::digest(bytes);
    let mut sum = [0; SUM_BYTES];
    for (to, from) in sum.iter_mut().zip(hash) {
        *to = from;
    }
    sum
}

/// What to do about a soundly proven token of a device that is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next generation begins.
    Renew,
    /// A lost answer or a race: the current token is given again.
    Repeat,
    /// Somebody else holds a copy: this device is signed out.
    Theft,
    /// From after a restored backup: refused, and nobody is suspected.
    FromTheFuture,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Renew => "renewed",
            Self::Repeat => "repeated",
            Self::Theft => "theft",
            Self::FromTheFuture => "from_the_future",
        }
    }
}

/// Where the device's tokens stand.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    pub current: i64,
    pub rotated_at: OffsetDateTime,
    /// Whether the current token, or an access token that came with it, was ever used.
    pub is_seen: bool,
}

impl Generation {
    pub fn judge(&self, presented: i64, now: OffsetDateTime) -> Verdict {
        if presented > self.current {
            Verdict::FromTheFuture
        } else if presented == self.current {
            Verdict::Renew
        } else if presented == self.current - 1 && (!self.is_seen || now - self.rotated_at <= GRACE) {
            Verdict::Repeat
        } else {
            Verdict::Theft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back_as_written(device in any::<u128>(), generation in 0..i64::MAX, key in any::<[u8; 32]>()) {
            let device = DeviceId(Uuid::from_u128(device));
            let presented = read(&write(&key, device, generation)).unwrap();
            prop_assert_eq!((presented.device, presented.generation), (device, generation));
            prop_assert!(presented.is_proven_by(&key));
            prop_assert!(!presented.is_proven_by(&[7; 32]));
        }

        #[test]
        fn any_other_text_is_refused_and_never_panics(text in "(cmr_)?[A-Za-z0-9_-]{0,120}") {
            prop_assert!(read(&text).is_none_or(|presented| !presented.is_proven_by(&[1; 32])));
        }

        #[test]
        fn a_changed_token_is_refused(at in 4usize..50, with in "[A-Za-z0-9_-]") {
            let token = write(&[1; 32], DeviceId(Uuid::from_u128(5)), 3);
            let mut changed = token.clone();
            let at = at.min(token.len() - 1);
            changed.replace_range(at..=at, &with);
            prop_assert!(changed == token || read(&changed).is_none_or(|other| !other.is_proven_by(&[1; 32])));
        }
    }

    fn judged(presented: i64, seconds_since: i64, is_seen: bool) -> Verdict {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let generation = Generation {
            current: 5,
            rotated_at: now - Duration::seconds(seconds_since),
            is_seen,
        };
        generation.judge(presented, now)
    }

    #[test]
    fn the_current_token_renews() {
        assert_eq!(judged(5, 0, false), Verdict::Renew);
        assert_eq!(judged(5, 1_000_000, true), Verdict::Renew);
    }

    #[test]
    fn the_one_before_is_repeated_while_its_successor_may_be_lost() {
        assert_eq!(judged(4, 60, true), Verdict::Repeat);
        assert_eq!(judged(4, 1_000_000, false), Verdict::Repeat);
    }

    #[test]
    fn an_old_token_is_theft() {
        assert_eq!(judged(4, 61, true), Verdict::Theft);
        assert_eq!(judged(3, 0, false), Verdict::Theft);
        assert_eq!(judged(0, 0, true), Verdict::Theft);
    }

    #[test]
    fn a_token_from_after_a_restored_backup_accuses_nobody() {
        assert_eq!(judged(6, 0, true), Verdict::FromTheFuture);
    }
}
