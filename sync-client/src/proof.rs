//! The key that a sign-in here is bound to (ES256), and the proofs that it is held (RFC 9449): a refresh token that was
//! copied without it is worth nothing.
//!
//! **Invariant:** the secret half goes to the store of the credential and nowhere else, and no proof is sent twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt;
use url::Url;

/// Made anew for each sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProofKey(SigningKey);

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(…)")
    }
}

/// What a stored key cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no key by P-256")]
pub struct NoKey;

impl TryFrom<String> for ProofKey {
    type Error = NoKey;
    fn try_from(text: String) -> Result<Self, NoKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_not_base64url| NoKey)?;
        let key = SigningKey::from_slice(&bytes).map_err(|_out_of_range| NoKey)?;
        Ok(Self(key))
    }
}

impl From<ProofKey> for String {
    fn from(key: ProofKey) -> Self {
        URL_SAFE_NO_PAD.encode(key.0.to_bytes())
    }
}

/// What one proof is for. Time and chance are the caller's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Where the request goes, as the server calls it. Always a POST.
    pub address: &'a Url,
    /// Unix seconds.
    pub at: i64,
    /// As the server gave it; with it, it does not look at the time.
    pub nonce: Option<&'a str>,
    pub chance: [u8; 16],
}

impl ProofKey {
    pub fn fresh() -> Self {
        loop {
            // one in four thousand millions is no key
            if let Ok(key) = SigningKey::from_slice(&rand::random::<[u8; 32]>()) {
                return Self(key);
            }
        }
    }

    /// Both coordinates, in base64url.
    fn coordinates(&self) -> (String, String) {
        let point = self.0.verifying_key().to_sec1_point(false);
        let (x, y) = point
            .as_bytes()
            .get(1..)
            .and_then(|both| both.split_at_checked(32))
            .unwrap_or_default();
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }

    /// What the server knows it by (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// For the header `DPoP` of one request.
    pub(crate) fn proof(&self, asked: Asked<'_>) -> String {
        let (x, y) = self.coordinates();
        let head = json!({
            "typ": "dpop+jwt",
            "alg": "ES256",
            "jwk": { "kty": "EC", "crv": "P-256", "x": x, "y": y },
        });
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(asked.chance),
            "htm": "POST",
            "htu": asked.address.as_str(),
            "iat": asked.at,
        });
        if let (Some(nonce), Some(claims)) = (asked.nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let signature: Signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Verifier as _;

    fn part(proof: &str, place: usize) -> Value {
        let part = proof.split('.').nth(place).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_key_is_kept_as_text_and_shows_in_no_log() {
        let key = ProofKey::fresh();
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<ProofKey>(&text).unwrap(), key);
        assert!(!format!("{key:?}").contains(text.trim_matches('"')));
        assert_ne!(ProofKey::fresh(), key);
        for text in ["\"\"", "\"AAAA\"", "\"no key\""] {
            assert!(serde_json::from_str::<ProofKey>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proof_says_what_it_is_for_and_is_signed() {
        let key = ProofKey::fresh();
        let address = Url::parse("https://c.example/oauth/token").unwrap();
        let asked = Asked {
            address: &address,
            at: 7,
            nonce: None,
            chance: [1; 16],
        };
        let proof = key.proof(asked);
        let (head, claims) = (part(&proof, 0), part(&proof, 1));
        assert_eq!(
            (head["typ"].as_str(), head["alg"].as_str()),
            (Some("dpop+jwt"), Some("ES256"))
        );
        assert_eq!(head["jwk"].as_object().unwrap().len(), 4, "the public half alone");
        assert_eq!(
            claims,
            json!({"jti": "AQEBAQEBAQEBAQEBAQEBAQ", "htm": "POST", "htu": "https://c.example/oauth/token", "iat": 7})
        );
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert!(
            key.0
                .verifying_key()
                .verify(signed.as_bytes(), &signature)
                .is_ok()
        );
        let with_nonce = key.proof(Asked {
            nonce: Some("n"),
            ..asked
        });
        assert_eq!(part(&with_nonce, 1)["nonce"], "n");
    }
}
