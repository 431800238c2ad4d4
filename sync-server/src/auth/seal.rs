//! Keyed hashes (HMAC-SHA-256, RFC 2104): what only this installation can write and check.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A hash over the parts, one after the other, ready to be finished or checked.
pub fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    for part in parts {
        mac.update(part);
    }
    mac
}
