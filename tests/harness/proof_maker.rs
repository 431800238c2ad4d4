//! A program that holds a key and proves it (RFC 9449): as it should, and as it should not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub struct ProofMaker {
    key: SigningKey,
    /// Seconds by which its clock is wrong.
    wrong_by: i64,
}

impl std::fmt::Debug for ProofMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProofMaker")
    }
}

impl ProofMaker {
    /// With a key of its own.
    pub fn fresh() -> Self {
        Self {
            key: SigningKey::from_slice(&rand::random::<[u8; 32]>())
                .unwrap_or_else(|error| panic!("one key in 2^32 is none: {error}")),
            wrong_by: 0,
        }
    }

    /// The same key where the clock is wrong by so many seconds.
    #[must_use]
    pub fn wrong_by(&self, seconds: i64) -> Self {
        Self {
            key: self.key.clone(),
            wrong_by: seconds,
        }
    }

    /// The public half, as a proof brings it along.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    }

    fn coordinates(&self) -> (String, String) {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes().get(1..).unwrap_or_default().split_at(32);
        (written(x), written(y))
    }

    /// The secret half.
    pub fn secret(&self) -> String {
        written(&self.key.to_bytes())
    }

    /// RFC 7638.
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        written(&Sha256::digest(canonical))
    }

    pub fn head(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()})
    }

    /// For a POST to this address, now.
    pub fn claims(&self, address: &str) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "jti": written(&rand::random::<[u8; 16]>()),
            "htm": "POST",
            "htu": address,
            "iat": now + self.wrong_by,
        })
    }

    pub fn proof(&self, address: &str) -> String {
        self.signed(&self.head(), &self.claims(address))
    }

    /// With what the server wants named.
    pub fn proof_with(&self, address: &str, nonce: &str) -> String {
        let mut claims = self.claims(address);
        if let Some(claims) = claims.as_object_mut() {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        self.signed(&self.head(), &claims)
    }

    /// Whatever it says, signed by this key.
    pub fn signed(&self, head: &Value, claims: &Value) -> String {
        let text = unsigned(head, claims);
        let signature: Signature = self.key.sign(text.as_bytes());
        format!("{text}.{}", written(&signature.to_bytes()))
    }
}

/// Head and claims as they are signed.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        written(head.to_string().as_bytes()),
        written(claims.to_string().as_bytes())
    )
}

fn written(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
