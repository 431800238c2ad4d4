//! The work that a server asks for before an account is made, where many are made at once: a number that makes the SHA-256 of
//! `challenge:number` begin with so many zero bits.

use sha2::{Digest as _, Sha256};

/// Nobody is asked for more; what wants more is no server of ours.
const MOST: u64 = 24;

/// `None`: more is asked for than this does, or there is none among as many as anybody tries.
pub fn solve(challenge: &str, bits: u64) -> Option<String> {
    if bits > MOST {
        return None;
    }
    let begun = Sha256::new_with_prefix(format!("{challenge}:"));
    (0..=u32::MAX).map(|number| number.to_string()).find(|number| {
        let hash = begun.clone().chain_update(number).finalize();
        let first = hash.first_chunk().copied().map_or(0, u32::from_be_bytes);
        u64::from(first.leading_zeros()) >= bits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_the_first_that_is_right() {
        let found = solve("challenge", 10).unwrap();
        let hash = |number: &str| Sha256::digest(format!("challenge:{number}"));
        let zeros = |number: &str| {
            hash(number)
                .first_chunk()
                .copied()
                .map_or(0, u32::from_be_bytes)
                .leading_zeros()
        };
        assert!(zeros(&found) >= 10);
        let number: u64 = found.parse().unwrap();
        assert!((0..number).all(|number| zeros(&number.to_string()) < 10));
        assert_eq!(solve("challenge", 0).as_deref(), Some("0"));
        assert_eq!(solve("challenge", 25), None);
    }
}
