//! What only this installation can write and check (HMAC-SHA-256, RFC 2104), and what only it can read
//! (XChaCha20-Poly1305).

use crate::app::Keys;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The first byte of everything sealed: which form and cipher. Of the first form, no secret is named.
const UNNAMED: u8 = 1;
const NAMED: u8 = 2;
/// Long enough to be drawn by chance.
const NONCE: usize = 24;
/// Bytes that name the secret which sealed: it can be told without trying, and says nothing of it.
const NAME: usize = 4;

/// The name of a secret among those of an installation.
pub type Name = [u8; NAME];

/// A hash over the parts, one after the other, ready to be finished or checked.
pub fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    for part in parts {
        mac.update(part);
    }
    mac
}

/// What shows later that this installation wrote the parts.
pub fn stamp(keys: &Keys, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    keyed(&keys.derive(purpose, b""), parts)
        .finalize()
        .into_bytes()
        .into()
}

/// Whether a [`stamp`] is of this installation and these parts, by whichever of its secrets.
pub fn is_stamped(keys: &Keys, purpose: &str, parts: &[&[u8]], stamp: &[u8]) -> bool {
    let is_ours = |key: [u8; 32]| keyed(&key, parts).verify_slice(stamp).is_ok();
    keys.derive_each(purpose, b"").any(is_ours)
}

/// Hides a secret that has to be read again. It opens only in its own place (table and column) and row.
pub fn seal(keys: &Keys, place: &str, row: &[u8], secret: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    let hidden = cipher(&keys.derive(PURPOSE, place.as_bytes()))
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: secret,
                aad: row,
            },
        )
        .unwrap_or_else(|_| unreachable!("a secret is far shorter than the cipher's limit"));
    [&newest_mark(keys)[..], &nonce, &hidden].concat()
}

/// `None`: it was sealed elsewhere, for another row, by a secret that is not among ours, or changed since.
pub fn open(keys: &Keys, place: &str, row: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (form, rest) = sealed.split_first()?;
    let (name, rest) = match *form {
        UNNAMED => (None, rest),
        NAMED => rest
            .split_first_chunk::<NAME>()
            .map(|(name, rest)| (Some(name), rest))?,
        _ => return None,
    };
    let (nonce, hidden) = rest.split_first_chunk::<NONCE>()?;
    names(keys)
        .zip(keys.derive_each(PURPOSE, place.as_bytes()))
        .filter(|(own, _)| name.is_none_or(|name| name == own))
        .find_map(|(_, key)| {
            let payload = Payload {
                msg: hidden,
                aad: row,
            };
            cipher(&key).decrypt(&XNonce::from(*nonce), payload).ok()
        })
}

/// Sealed anew by the newest secret. `None`: it cannot be opened.
pub fn renewed(keys: &Keys, place: &str, row: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    open(keys, place, row, sealed).map(|secret| seal(keys, place, row, &secret))
}

/// The secrets' names, the newest first.
pub fn names(keys: &Keys) -> impl Iterator<Item = Name> {
    keys.derive_each("sealed by", b"")
        .map(|key| key.first_chunk().copied().unwrap_or_default())
}

/// What all begins with that the newest secret seals. Where there is but one, it has no name: nodes of the version before,
/// which knew of none, read what is sealed too.
pub fn newest_mark(keys: &Keys) -> Vec<u8> {
    if !keys.has_others() {
        return vec![UNNAMED];
    }
    let newest = names(keys).next().unwrap_or_default();
    [&[NAMED][..], &newest].concat()
}

const PURPOSE: &str = "sealed";

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_own_place_and_row_only() {
        let keys = Keys::from_masters(vec![vec![7; 32]]);
        let sealed = seal(&keys, "table.column", b"row", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(
            open(&keys, "table.column", b"row", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&keys, "table.other", b"row", &sealed), None);
        assert_eq!(open(&keys, "table.column", b"other", &sealed), None);
        let others = Keys::from_masters(vec![vec![8; 32]]);
        assert_eq!(open(&others, "table.column", b"row", &sealed), None);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(open(&keys, "table.column", b"row", &changed), None, "{place}");
        }
        assert_eq!(open(&keys, "table.column", b"row", b""), None);
    }
    #[test]
    fn what_another_secret_sealed_opens_and_is_sealed_anew_until_that_one_is_gone() {
        let (old, new) = (vec![7; 32], vec![8; 32]);
        let before = Keys::from_masters(vec![old.clone()]);
        let both = Keys::from_masters(vec![new.clone(), old]);
        let after = Keys::from_masters(vec![new]);
        let sealed = seal(&before, "t.c", b"row", b"secret");
        assert!(sealed.starts_with(&[UNNAMED]), "one secret needs no name");
        assert_eq!(
            open(&both, "t.c", b"row", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&after, "t.c", b"row", &sealed), None);
        let anew = renewed(&both, "t.c", b"row", &sealed).unwrap();
        assert!(anew.starts_with(&newest_mark(&both)));
        assert_eq!(
            open(&after, "t.c", b"row", &anew).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&before, "t.c", b"row", &anew), None);
    }

    #[test]
    fn what_names_no_secret_is_tried_with_all_and_what_names_one_with_that() {
        let (first, second) = (vec![7; 32], vec![8; 32]);
        let both = Keys::from_masters(vec![second.clone(), first.clone()]);
        let unnamed = seal(&Keys::from_masters(vec![first.clone()]), "t.c", b"row", b"secret");
        assert_eq!(
            open(&both, "t.c", b"row", &unnamed).as_deref(),
            Some(&b"secret"[..])
        );
        let mut named = seal(&both, "t.c", b"row", b"secret");
        let swapped = Keys::from_masters(vec![first, second]);
        assert_eq!(
            open(&swapped, "t.c", b"row", &named).as_deref(),
            Some(&b"secret"[..])
        );
        if let Some(name) = named.get_mut(1..=NAME) {
            name.copy_from_slice(&names(&swapped).next().unwrap());
        }
        assert_eq!(open(&both, "t.c", b"row", &named), None, "under another's name");
    }
}
