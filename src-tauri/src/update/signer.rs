//! Signs as the release does, for tests: minisign's files in base64, by a key that is made from a number.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey};

/// Minisign's name for what it signs as it is.
const KIND: &[u8] = b"Ed";

pub struct Signer {
    key: SigningKey,
    number: [u8; 8],
}

impl Signer {
    pub fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[number; 32]),
            // One number for all: that another key is used has to be seen by more than its number.
            number: [7; 8],
        }
    }

    pub fn key(&self) -> String {
        let key = [KIND, &self.number, self.key.verifying_key().as_bytes()].concat();
        BASE64_STANDARD.encode(format!(
            "untrusted comment: a key\n{}\n",
            BASE64_STANDARD.encode(key)
        ))
    }

    pub fn sign(&self, content: &[u8]) -> String {
        let comment = "timestamp:1\tfile:it\tversion:1.2.0";
        let signature: Signature = self.key.sign(content);
        let signature = signature.to_bytes();
        let all: Signature = self.key.sign(&[&signature[..], comment.as_bytes()].concat());
        BASE64_STANDARD.encode(format!(
            "untrusted comment: a signature\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64_STANDARD.encode([KIND, &self.number, &signature].concat()),
            BASE64_STANDARD.encode(all.to_bytes()),
        ))
    }
}
