//! Proofs that a program holds its key (RFC 9449), looked at with every request that gives tokens. What a device's refresh
//! token is bound to is the key's thumbprint (RFC 7638).
//!
//! **Invariant:** no clock but this server's decides: a proof is fresh by its own time where the clocks agree, and by our
//! nonce where they do not.

use super::super::{Auth, seal};
use crate::app::Keys;
use crate::error::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use protocol::oauth::DPOP;
use protocol::{Code, Problem};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use url::Url;

/// Keeps proofs apart from every other JWT (RFC 9449 §4.2).
const TYPE: &str = "dpop+jwt";
/// Seconds that a proof's own time may be from ours, before and after, while nothing more is asked for.
const WINDOW: i64 = 60;
/// Seconds that a nonce is taken for …
const NONCE: i64 = 300;
/// … and by which another node's clock may be ahead.
const LEEWAY: i64 = 30;
/// Seconds that a used proof is remembered: no proof is fresh for longer.
const REMEMBERED: u64 = 330;
/// A proof by P-256 has some 450 characters.
const PROOF_BYTES: usize = 2048;
const ID_BYTES: usize = 128;
/// What a key must not come with: its secret half, by any kind's name (RFC 7518 §6).
const SECRETS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Which key it is (RFC 7638, SHA-256, base64url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// `None`: this is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether whoever has to hold this key has shown it. Nobody has to where none is named.
pub fn is_shown(wanted: Option<&str>, shown: Option<&Thumbprint>) -> bool {
    let Some(wanted) = wanted else { return true };
    shown.is_some_and(|shown| shown.0.as_bytes().ct_eq(wanted.as_bytes()).into())
}

/// A proof that is sound and fresh, and may have been used before.
#[derive(Debug)]
pub struct Proof {
    key: Thumbprint,
    id: String,
}

#[derive(Deserialize)]
struct Head {
    typ: String,
    alg: String,
    jwk: serde_json::Map<String, serde_json::Value>,
    /// Whoever marks something as critical wants it understood (RFC 7515 §4.1.11); we know of nothing.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    nonce: Option<String>,
}

/// What is said of a proof that shows nothing. For whoever writes a client.
struct Unsound(&'static str);

impl From<Unsound> for Problem {
    fn from(Unsound(why): Unsound) -> Self {
        Self::new(Code::InvalidDpopProof).detail(why)
    }
}

/// Another key than the one that the sign-in was begun with, or none.
pub fn another_key() -> Problem {
    Unsound("This has to be proven with the key that the sign-in was begun with.").into()
}

impl Auth {
    /// Reads the proof that came with a request to this address, if one did. Asks nobody, and uses nothing up.
    pub(in crate::auth) fn proof(&self, headers: &HeaderMap, path: &str) -> Result<Option<Proof>, Problem> {
        let mut sent = headers.get_all(DPOP).iter();
        let Some(proof) = sent.next() else {
            return Ok(None);
        };
        let read = match (proof.to_str(), sent.next()) {
            (Ok(proof), None) => {
                let now = OffsetDateTime::now_utc().unix_timestamp();
                read(proof, &self.config.link(path), &self.keys, now)
            }
            _ => Err(Unsound("There must be one proof.").into()),
        };
        if let Err(problem) = &read {
            let result = if problem.code == Code::UseDpopNonce {
                "nonce"
            } else {
                "refused"
            };
            metrics::counter!("dpop_proofs_total", "result" => result).increment(1);
        }
        read.map(Some)
    }

    /// Each proof is good for one request. Where Redis is away nobody remembers, and proofs are taken all the same: for a
    /// minute a copy would do too, beside a token that is good once.
    pub(in crate::auth) async fn use_up(&self, proof: Option<Proof>) -> Result<Option<Thumbprint>, Problem> {
        let Some(Proof { key, id }) = proof else {
            return Ok(None);
        };
        let first = self
            .is_first("dpop", &format!("{}.{id}", key.0), REMEMBERED)
            .await;
        let result = match &first {
            Ok(true) => "taken",
            Ok(false) => "replayed",
            Err(_) => "unremembered",
        };
        metrics::counter!("dpop_proofs_total", "result" => result).increment(1);
        match first {
            Ok(false) => Err(Unsound("This proof was used before: each request needs its own.").into()),
            Ok(true) => Ok(Some(key)),
            Err(error) => {
                tracing::warn!(error = %error, "redis away: a proof is taken that may have been used before");
                Ok(Some(key))
            }
        }
    }
}

fn read(proof: &str, address: &str, keys: &Keys, now: i64) -> Result<Proof, Problem> {
    let (key, claims) = checked(proof)?;
    if claims.htm != "POST" || !is_address(&claims.htu, address) {
        return Err(
            Unsound("The proof was made for another request: htm and htu must be this one's.").into(),
        );
    }
    if claims.jti.is_empty() || claims.jti.len() > ID_BYTES {
        return Err(Unsound("jti must be 1 to 128 bytes.").into());
    }
    let is_fresh = match &claims.nonce {
        Some(nonce) => is_nonce(nonce, keys, now),
        None => claims.iat.abs_diff(now) <= WINDOW.unsigned_abs(),
    };
    if !is_fresh {
        return Err(Problem::new(Code::UseDpopNonce).challenge(nonce(keys, now)));
    }
    Ok(Proof { key, id: claims.jti })
}

/// The signature by the very key that the proof brings along.
fn checked(proof: &str) -> Result<(Thumbprint, Claims), Unsound> {
    const UNREADABLE: Unsound = Unsound("This is no proof of type dpop+jwt.");
    let head = proof
        .split('.')
        .next()
        .filter(|_| proof.len() <= PROOF_BYTES)
        .ok_or(UNREADABLE)?;
    let head = URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_not_base64url| UNREADABLE)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_other_shape| UNREADABLE)?;
    if head.typ != TYPE || head.crit.is_some() {
        return Err(UNREADABLE);
    }
    if SECRETS.iter().any(|name| head.jwk.contains_key(*name)) {
        return Err(Unsound(
            "jwk holds the secret half of the key, which is known now: make another.",
        ));
    }
    let (algorithm, decoding, key) = public_key(&head)?;
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let data = jsonwebtoken::decode::<Claims>(proof, &decoding, &validation)
        .map_err(|_of_another_key| Unsound("The proof's claims or its signature are not as they must be."))?;
    Ok((key, data.claims))
}

/// One kind of key for each algorithm, so that neither can be taken for the other.
fn public_key(head: &Head) -> Result<(Algorithm, DecodingKey, Thumbprint), Unsound> {
    let member = |name: &str| {
        let value = head.jwk.get(name).and_then(serde_json::Value::as_str);
        value.ok_or(Unsound("jwk must be a public key by P-256 or Ed25519."))
    };
    let unfit = |_error| Unsound("jwk is no point of its curve.");
    match (head.alg.as_str(), member("kty")?, member("crv")?) {
        ("ES256", "EC", "P-256") => {
            let (x, y) = (coordinate(member("x")?)?, coordinate(member("y")?)?);
            let key = DecodingKey::from_ec_components(x, y).map_err(unfit)?;
            let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            Ok((Algorithm::ES256, key, thumbprint(&canonical)))
        }
        ("EdDSA", "OKP", "Ed25519") => {
            let x = coordinate(member("x")?)?;
            let key = DecodingKey::from_ed_components(x).map_err(unfit)?;
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
            Ok((Algorithm::EdDSA, key, thumbprint(&canonical)))
        }
        _ => Err(Unsound(
            "alg must be ES256 with a key by P-256, or EdDSA with one by Ed25519.",
        )),
    }
}

/// 32 bytes in the one way to write them, so that a key has one thumbprint.
fn coordinate(text: &str) -> Result<&str, Unsound> {
    let is_one = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
    is_one
        .then_some(text)
        .ok_or(Unsound("A coordinate of jwk must be 32 bytes in base64url."))
}

fn thumbprint(canonical: &str) -> Thumbprint {
    Thumbprint(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
}

/// Whether an address is this one of ours, by the settings and never by what a request says of its host. Query and fragment
/// are no part of it (RFC 9449 §4.3).
fn is_address(text: &str, ours: &str) -> bool {
    let (Ok(mut named), Ok(ours)) = (Url::parse(text), Url::parse(ours)) else {
        return false;
    };
    named.set_query(None);
    named.set_fragment(None);
    named == ours
}

const NONCES: &str = "dpop nonce";

/// The time in our own hand: what carries it was made after it was handed out, whatever the maker's clock says.
fn nonce(keys: &Keys, now: i64) -> String {
    let at = now.to_be_bytes();
    let stamp = seal::stamp(keys, NONCES, &[&at]);
    URL_SAFE_NO_PAD.encode([&at[..], &stamp].concat())
}

fn is_nonce(text: &str, keys: &Keys, now: i64) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else {
        return false;
    };
    let Some((at, stamp)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let age = now.saturating_sub(i64::from_be_bytes(*at));
    (-LEEWAY..=NONCE).contains(&age) && seal::is_stamped(keys, NONCES, &[at], stamp)
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Key;
    use super::*;
    use proptest::prelude::*;

    /// The proof of RFC 9449 §4.1, and the key's thumbprint as §6.1 has it.
    const EXAMPLE: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    const ADDRESS: &str = "https://server.example.com/token";
    const MADE: i64 = 1_562_262_616;

    fn keys() -> Keys {
        Keys::from_masters(vec![vec![7; 32]])
    }

    fn refusal(proof: &str, address: &str, now: i64) -> Option<Code> {
        read(proof, address, &keys(), now)
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn the_proof_of_the_rfc_reads_as_it_says() {
        let proof = read(EXAMPLE, ADDRESS, &keys(), MADE).unwrap();
        assert_eq!(proof.key.as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(proof.id, "-BwC3ESc6acc2lTc");
    }

    #[test]
    fn a_proof_is_for_one_address_and_one_minute() {
        for address in [
            "https://server.example.com/other",
            "http://server.example.com/token",
            "https://server.example.com:444/token",
            "https://other.example.com/token",
        ] {
            assert_eq!(
                refusal(EXAMPLE, address, MADE),
                Some(Code::InvalidDpopProof),
                "{address}"
            );
        }
        for now in [MADE - 61, MADE + 61, 0, i64::MAX, i64::MIN] {
            assert_eq!(refusal(EXAMPLE, ADDRESS, now), Some(Code::UseDpopNonce), "{now}");
        }
        for now in [MADE - 60, MADE + 60] {
            assert_eq!(refusal(EXAMPLE, ADDRESS, now), None, "{now}");
        }
    }

    #[test]
    fn a_key_by_ed25519_shows_itself_too() {
        // RFC 8037 A.2 and A.3
        let head: Head = serde_json::from_value(serde_json::json!({
            "typ": TYPE, "alg": "EdDSA",
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        }))
        .unwrap();
        let (_, _, thumbprint) = public_key(&head).ok().unwrap();
        assert_eq!(thumbprint.as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");

        let key = Key::from_seed(&[1; 32], OffsetDateTime::UNIX_EPOCH, false).unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.public);
        let mut head = jsonwebtoken::Header::new(Algorithm::EdDSA);
        head.typ = Some(TYPE.to_owned());
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        head.jwk = Some(serde_json::from_value(jwk).unwrap());
        let claims = serde_json::json!({"jti": "1", "htm": "POST", "htu": ADDRESS, "iat": MADE});
        let proof = jsonwebtoken::encode(&head, &claims, &key.encoding).unwrap();
        assert_eq!(refusal(&proof, ADDRESS, MADE), None);
        let other = Key::from_seed(&[2; 32], OffsetDateTime::UNIX_EPOCH, false).unwrap();
        let proof = jsonwebtoken::encode(&head, &claims, &other.encoding).unwrap();
        assert_eq!(refusal(&proof, ADDRESS, MADE), Some(Code::InvalidDpopProof));
    }

    #[test]
    fn an_address_is_compared_as_an_address() {
        for same in [
            "https://SERVER.example.com/token",
            "HTTPS://server.example.com:443/token?a=b#c",
            "https://server.example.com/x/../token",
        ] {
            assert!(is_address(same, ADDRESS), "{same}");
        }
        for other in [
            "",
            "/token",
            "https://server.example.com/token/",
            "https://a@server.example.com/token",
        ] {
            assert!(!is_address(other, ADDRESS), "{other}");
        }
    }

    #[test]
    fn a_nonce_is_ours_and_of_the_last_minutes() {
        let now = 1_800_000_000;
        let ours = nonce(&keys(), now);
        assert!(is_nonce(&ours, &keys(), now + NONCE) && is_nonce(&ours, &keys(), now - LEEWAY));
        assert!(!is_nonce(&ours, &keys(), now + NONCE + 1) && !is_nonce(&ours, &keys(), now - LEEWAY - 1));
        assert!(!is_nonce(&ours, &Keys::from_masters(vec![vec![8; 32]]), now));
        assert!(!is_nonce("", &keys(), now) && !is_nonce("AAAA", &keys(), 0));
    }

    #[test]
    fn only_who_names_a_key_has_to_show_it() {
        let (one, other) = (thumbprint("one"), thumbprint("other"));
        assert!(
            is_shown(None, None) && is_shown(None, Some(&one)) && is_shown(Some(one.as_str()), Some(&one))
        );
        assert!(!is_shown(Some(one.as_str()), None) && !is_shown(Some(one.as_str()), Some(&other)));
    }

    proptest! {
        #[test]
        fn no_text_but_a_proof_is_one(text in "[A-Za-z0-9_.-]{0,200}") {
            prop_assert!(read(&text, ADDRESS, &keys(), MADE).is_err());
        }

        #[test]
        fn a_changed_proof_shows_nothing(at in 0usize..600, with in "[A-Za-z0-9_-]") {
            let at = at.min(EXAMPLE.len() - 1);
            let mut changed = EXAMPLE.to_owned();
            changed.replace_range(at..=at, &with);
            prop_assert!(changed == EXAMPLE || refusal(&changed, ADDRESS, MADE).is_some());
        }
    }
}
