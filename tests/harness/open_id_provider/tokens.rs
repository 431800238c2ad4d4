//! ID tokens and whatever else is signed, sound and broken, and the key set that the sound ones are checked with.

use super::{CLIENT, Desk, Fault, Given, microsoft};
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Signs nothing but the tokens of tests on loopback.
const SIGNING_KEY: &[u8] = include_bytes!("signing_key.der");
const MODULUS: &str = include_str!("modulus.txt");
pub(super) const KEY_NAME: &str = "key-of-the-tests";

pub(super) async fn key_set(desk: State<Arc<Desk>>) -> Response {
    let fault = {
        let mut now = desk.lock();
        now.asked.keys += 1;
        now.fault
    };
    if fault == Fault::RedirectingKeys {
        return Redirect::temporary(&format!("{}/moved/jwks", desk.url)).into_response();
    }
    moved_key_set(desk).await.into_response()
}

pub(super) async fn moved_key_set(State(desk): State<Arc<Desk>>) -> axum::Json<Value> {
    axum::Json(json!({"keys": [key(&desk.lock().key_name)]}))
}

/// The one key, under a name.
pub(super) fn key(name: &str) -> Value {
    json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": MODULUS.trim(), "e": "AQAB"})
}

/// Whether a client secret is one that Apple would take: signed by the key of the settings, for this issuer, for minutes.
pub(super) fn is_apple_secret(secret: &str, issuer: &str) -> bool {
    let Ok(key) = DecodingKey::from_ec_pem(include_bytes!("apple_public_key.pem")) else {
        return false;
    };
    let mut wanted = Validation::new(Algorithm::ES256);
    wanted.set_audience(&[issuer]);
    wanted.set_issuer(&["TEAM"]);
    wanted.sub = Some(CLIENT.to_owned());
    let is_named = decode_header(secret).is_ok_and(|header| header.kid.as_deref() == Some("KEY"));
    let lives = |claims: &Value| {
        let at = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
        at("exp") - at("iat") <= 600
    };
    is_named && decode::<Value>(secret, &key, &wanted).is_ok_and(|token| lives(&token.claims))
}

pub(super) fn id_token(issuer: &str, given: &Given, fault: Fault, key_name: &str) -> String {
    spoilt(claims(issuer, given), fault, key_name)
}

/// Claims as a token, in whatever way it is broken just now.
pub(super) fn spoilt(mut claims: Value, fault: Fault, key_name: &str) -> String {
    spoil(&mut claims, fault);
    let key = EncodingKey::from_rsa_der(SIGNING_KEY);
    match fault {
        Fault::Unsigned => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!(
                "{}.{}.",
                part(&json!({"alg": "none", "typ": "JWT"})),
                part(&claims)
            )
        }
        Fault::KeyedWithPublicKey => {
            let public = URL_SAFE_NO_PAD.decode(MODULUS.trim()).unwrap_or_default();
            signed(
                Algorithm::HS256,
                key_name,
                &claims,
                &EncodingKey::from_secret(&public),
            )
        }
        Fault::KeyOfAnotherDirectory => signed(Algorithm::RS256, microsoft::PERSONAL_KEY_NAME, &claims, &key),
        Fault::UnknownKey => signed(Algorithm::RS256, "another-key", &claims, &key),
        Fault::BrokenSignature => {
            let token = signed(Algorithm::RS256, key_name, &claims, &key);
            let (head, _) = token.rsplit_once('.').unwrap_or((&token, ""));
            format!("{head}.{}", URL_SAFE_NO_PAD.encode([7; 256]))
        }
        _ => signed(Algorithm::RS256, key_name, &claims, &key),
    }
}

fn claims(issuer: &str, given: &Given) -> Value {
    let (visitor, now) = (&given.visitor, now());
    let mut claims = json!({
        "iss": issuer,
        "aud": CLIENT,
        "sub": visitor.subject,
        "iat": now,
        "exp": now + 300,
        "email": visitor.email,
    });
    put(&mut claims, "nonce", given.nonce.clone().map(Value::from));
    if given.is_microsofts {
        microsoft::claim(&mut claims, visitor, issuer);
        return claims;
    }
    let is_verified = visitor.is_verified.map(|truth| {
        if given.is_apples {
            Value::from(truth.to_string())
        } else {
            Value::from(truth)
        }
    });
    put(&mut claims, "email_verified", is_verified);
    if !given.is_apples {
        put(&mut claims, "name", Some(visitor.name.clone().into()));
    }
    claims
}

/// What a lying provider says otherwise, well signed.
fn spoil(claims: &mut Value, fault: Fault) {
    match fault {
        Fault::WrongIssuer => put(claims, "iss", Some("https://accounts.elsewhere.example".into())),
        Fault::WrongAudience => put(claims, "aud", Some("another-program".into())),
        Fault::TwoAudiences => put(claims, "aud", Some(json!([CLIENT, "another-program"]))),
        Fault::WrongNonce => put(claims, "nonce", Some("another-nonce".into())),
        Fault::MissingNonce => put(claims, "nonce", None),
        Fault::OtherDirectory => put(claims, "tid", Some(microsoft::OTHER.into())),
        Fault::NoDirectory => put(claims, "tid", None),
        Fault::CrookedDirectory => {
            let way_out = format!("{}/../..", microsoft::WORK);
            put(claims, "tid", Some(way_out.into()));
        }
        Fault::NoObject => put(claims, "oid", None),
        Fault::Expired => {
            put(claims, "iat", Some((now() - 7200).into()));
            put(claims, "exp", Some((now() - 3600).into()));
        }
        Fault::FromTheFuture => {
            put(claims, "iat", Some((now() + 3600).into()));
            put(claims, "exp", Some((now() + 7200).into()));
        }
        _ => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "a token says when it was made")]
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}

pub(super) fn put(claims: &mut Value, name: &str, value: Option<Value>) {
    if let Some(claims) = claims.as_object_mut() {
        match value {
            Some(value) => claims.insert(name.to_owned(), value),
            None => claims.remove(name),
        };
    }
}

fn signed(algorithm: Algorithm, key_name: &str, claims: &Value, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(key_name.to_owned());
    encode(&header, claims, key).unwrap_or_else(|error| panic!("signing an ID token: {error}"))
}
