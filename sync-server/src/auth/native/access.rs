//! Access tokens of native clients (RFC 9068): signed JWTs of ten minutes, checked strictly and without I/O.
//!
//! **Invariant:** one algorithm, and every claim that says what a token is for is required.

use super::ring::{Key, Ring, State};
use crate::app::App;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation, errors::ErrorKind};
use protocol::{Code, DeviceId, Problem, UserId};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};
use time::OffsetDateTime;
use uuid::Uuid;

/// Keeps access tokens apart from every other JWT (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";
/// The resource that the tokens are for.
const AUDIENCE: &str = "compymac-api";
/// Seconds a token lives; a few more or less, so that a fleet does not come back in one second.
const LIFETIME: i64 = 600;
const JITTER: i64 = 30;
/// Seconds that two clocks may differ.
const LEEWAY: u64 = 30;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: DeviceId,
    r#gen: i64,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: Uuid,
}

/// What a sound token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    pub user: UserId,
    pub device: DeviceId,
    pub generation: i64,
    /// Unix seconds.
    pub expires_at: i64,
}

pub struct Signer {
    issuer: String,
    validation: Validation,
    ring: RwLock<Arc<Ring>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?})", self.ring())
    }
}

impl Signer {
    /// Knows the first key alone, until it is told of others.
    pub fn new(app: &App) -> anyhow::Result<Self> {
        let first = Key::first(&app.keys, false)?;
        Ok(Self::with(Ring::of(vec![first]), app.config.origin()))
    }

    fn with(ring: Ring, issuer: String) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        Self {
            issuer,
            validation,
            ring: RwLock::new(Arc::new(ring)),
        }
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these keys are the ones. Whether any of them is new or was revoked.
    pub fn take_up(&self, ring: Ring) -> bool {
        let mut held = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = !held.is_same(&ring);
        *held = Arc::new(ring);
        is_news
    }

    /// Whether the key that a token names was heard of.
    pub fn knows_key_of(&self, token: &str, now: OffsetDateTime) -> bool {
        named_key(token).is_none_or(|id| self.ring().find(&id, now).is_some())
    }

    /// A token for this generation of a device, and the seconds it lives.
    pub fn sign(
        &self,
        user: UserId,
        device: DeviceId,
        generation: i64,
        now: OffsetDateTime,
    ) -> anyhow::Result<(String, u32)> {
        let lifetime = LIFETIME + rand::random_range(-JITTER..=JITTER);
        let ring = self.ring();
        let key = ring
            .signing(now)
            .context("every key that signs access tokens is revoked")?;
        let now = now.unix_timestamp();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.id.clone());
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: device,
            r#gen: generation,
            exp: now + lifetime,
            nbf: now,
            iat: now,
            jti: Uuid::new_v4(),
        };
        let token =
            jsonwebtoken::encode(&header, &claims, &key.encoding).context("signing an access token")?;
        Ok((token, u32::try_from(lifetime).unwrap_or_default()))
    }

    /// Only `token_expired` tells a client to renew; anything else about a token is one refusal.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Proof, Problem> {
        let ring = self.ring();
        let named = named_key(token).and_then(|id| ring.find(&id, now));
        let key = match named {
            None => return Err(Problem::new(Code::SignInRequired)),
            // the client renews, and gets one that another key has signed
            Some((_, State::Revoked | State::Retired)) => return Err(Problem::new(Code::TokenExpired)),
            // another node's clock may be a little ahead
            Some((key, State::Pending | State::Active | State::Retiring)) => key,
        };
        let data =
            jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation).map_err(|error| {
                Problem::new(if *error.kind() == ErrorKind::ExpiredSignature {
                    Code::TokenExpired
                } else {
                    Code::SignInRequired
                })
            })?;
        let claims = data.claims;
        let is_ours = data.header.typ.as_deref() == Some(TYPE)
            && claims.iat <= now.unix_timestamp() + LEEWAY.cast_signed();
        if !is_ours {
            return Err(Problem::new(Code::SignInRequired));
        }
        Ok(Proof {
            user: claims.sub,
            device: claims.sid,
            generation: claims.r#gen,
            expires_at: claims.exp,
        })
    }

    /// The public halves (RFC 7517, RFC 8037), for whoever wants to check our tokens.
    pub fn key_set(&self, now: OffsetDateTime) -> serde_json::Value {
        let ring = self.ring();
        let keys = ring.told(now).map(|key| {
            serde_json::json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": key.id,
                "x": URL_SAFE_NO_PAD.encode(key.public),
            })
        });
        serde_json::json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

/// What a token says of itself, whatever that is worth.
fn named_key(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok()?.kid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> Key {
        Key::from_seed(&[seed; 32], OffsetDateTime::UNIX_EPOCH, false).unwrap()
    }

    fn signer(seed: u8) -> Signer {
        Signer::with(Ring::of(vec![key(seed)]), "https://c.example".to_owned())
    }

    /// A token with other claims or another header, soundly signed.
    fn forged(change: impl FnOnce(&mut Header, &mut serde_json::Value)) -> String {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key(1).id);
        let mut claims = serde_json::json!({
            "iss": "https://c.example", "aud": AUDIENCE, "sub": Uuid::nil(), "sid": Uuid::nil(), "gen": 1,
            "exp": now + 600, "nbf": now, "iat": now, "jti": Uuid::nil(),
        });
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &key(1).encoding).unwrap()
    }

    fn refusal(token: &str) -> Option<Code> {
        signer(1)
            .verify(token, OffsetDateTime::now_utc())
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn a_token_reads_back_as_signed() {
        let (user, device) = (UserId::fresh(), DeviceId::fresh());
        let now = OffsetDateTime::now_utc();
        let (token, seconds) = signer(1).sign(user, device, 7, now).unwrap();
        assert!((570..=630).contains(&seconds));
        let proof = signer(1).verify(&token, now).unwrap();
        assert_eq!((proof.user, proof.device, proof.generation), (user, device, 7));
        assert_eq!(refusal(&forged(|_, _| ())), None);
    }

    #[test]
    fn a_token_that_is_not_exactly_ours_is_refused() {
        for claim in ["iss", "aud", "sub", "sid", "gen", "exp", "nbf", "iat", "jti"] {
            let token = forged(|_, claims| {
                claims.as_object_mut().unwrap().remove(claim);
            });
            assert_eq!(refusal(&token), Some(Code::SignInRequired), "without {claim}");
        }
        let later = OffsetDateTime::now_utc().unix_timestamp() + 3600;
        let changes: [(&str, serde_json::Value); 5] = [
            ("iss", "https://evil.example".into()),
            ("aud", "other".into()),
            ("aud", serde_json::json!([AUDIENCE, "other"])),
            ("nbf", later.into()),
            ("iat", later.into()),
        ];
        for (claim, value) in changes {
            let token = forged(|_, claims| claims[claim] = value);
            assert_eq!(refusal(&token), Some(Code::SignInRequired), "other {claim}");
        }
        let typ = forged(|header, _| header.typ = Some("JWT".to_owned()));
        assert_eq!(refusal(&typ), Some(Code::SignInRequired));
        let kid = forged(|header, _| header.kid = Some("../../etc/passwd".to_owned()));
        assert_eq!(refusal(&kid), Some(Code::SignInRequired));
    }

    #[test]
    fn an_old_token_is_told_from_a_bad_one() {
        let token =
            forged(|_, claims| claims["exp"] = (OffsetDateTime::now_utc().unix_timestamp() - 60).into());
        assert_eq!(refusal(&token), Some(Code::TokenExpired));
    }

    #[test]
    fn another_key_or_algorithm_is_refused() {
        let (token, _) = signer(2)
            .sign(UserId::fresh(), DeviceId::fresh(), 1, OffsetDateTime::now_utc())
            .unwrap();
        assert_eq!(refusal(&token), Some(Code::SignInRequired));
        let sound = forged(|_, _| ());
        let body = sound.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        assert_eq!(refusal(&format!("{none}.{body}.")), Some(Code::SignInRequired));
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key(1).id);
        let public = jsonwebtoken::EncodingKey::from_secret(&key(1).public);
        let with_public_key = jsonwebtoken::encode(&header, &claims, &public).unwrap();
        assert_eq!(refusal(&with_public_key), Some(Code::SignInRequired));
    }

    #[test]
    fn a_token_of_a_key_before_is_believed_and_one_of_a_revoked_key_is_renewed() {
        let token = forged(|_, _| ());
        let signer = signer(1);
        let now = OffsetDateTime::now_utc();
        let fresh = |is_old_revoked| {
            let old = Key::from_seed(&[1; 32], OffsetDateTime::UNIX_EPOCH, is_old_revoked).unwrap();
            Ring::of(vec![old, Key::from_seed(&[2; 32], now, false).unwrap()])
        };
        assert!(signer.take_up(fresh(false)), "a fresh key is news");
        assert!(!signer.take_up(fresh(false)));
        assert!(signer.verify(&token, now).is_ok());
        assert_eq!(signer.key_set(now)["keys"].as_array().unwrap().len(), 2);
        assert!(signer.take_up(fresh(true)), "a revocation is news");
        assert_eq!(signer.verify(&token, now).unwrap_err().code, Code::TokenExpired);
        let (token, _) = signer.sign(UserId::fresh(), DeviceId::fresh(), 1, now).unwrap();
        assert!(signer.verify(&token, now).is_ok());
        assert_eq!(signer.key_set(now)["keys"].as_array().unwrap().len(), 1);
    }
}
