//! What only this installation can write and check (HMAC-SHA-256, RFC 2104), and what only it can read
//! (XChaCha20-Poly1305).

use crate::app::Keys;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The first byte of everything sealed: which key and cipher.
const VERSION: u8 = 1;
/// Long enough to be drawn by chance.
const NONCE: usize = 24;

/// A hash over the parts, one after the other, ready to be finished or checked.
pub fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Hides a secret that has to be read again. It opens only in its own place (table and column) and row.
pub fn seal(keys: &Keys, place: &str, row: &[u8], secret: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    let hidden = cipher(keys, place)
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: secret,
                aad: row,
            },
        )
        .unwrap_or_else(|_| unreachable!("a secret is far shorter than the cipher's limit"));
    [&[VERSION][..], &nonce, &hidden].concat()
}

/// `None`: it was sealed elsewhere, for another row, or changed since.
pub fn open(keys: &Keys, place: &str, row: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = sealed.split_first()?;
    let (nonce, hidden) = rest.split_first_chunk::<NONCE>()?;
    if *version != VERSION {
        return None;
    }
    let payload = Payload {
        msg: hidden,
        aad: row,
    };
    cipher(keys, place).decrypt(&XNonce::from(*nonce), payload).ok()
}

fn cipher(keys: &Keys, place: &str) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(keys.derive("sealed", place.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_own_place_and_row_only() {
        let keys = Keys::from_master(vec![7; 32]);
        let sealed = seal(&keys, "table.column", b"row", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(
            open(&keys, "table.column", b"row", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&keys, "table.other", b"row", &sealed), None);
        assert_eq!(open(&keys, "table.column", b"other", &sealed), None);
        let others = Keys::from_master(vec![8; 32]);
        assert_eq!(open(&others, "table.column", b"row", &sealed), None);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(open(&keys, "table.column", b"row", &changed), None, "{place}");
        }
        assert_eq!(open(&keys, "table.column", b"row", b""), None);
    }
}
