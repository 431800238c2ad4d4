//! What holds a passkey: a phone or a security key and the browser before it, as WebAuthn level 3 has them, which can lie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_cbor_2::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// One passkey. What it says of itself is open: a test lets it lie.
#[derive(Clone, Debug)]
pub struct PasskeyHolder {
    /// Of the page that its browser thinks to be at.
    pub origin: String,
    /// The name that it believes to sign for.
    pub site: String,
    /// Whether it has seen that it is its owner.
    pub has_seen_owner: bool,
    /// How often it has signed; zero: it does not count.
    pub counter: u32,
    /// Whose it says it is; set where it is made.
    pub owner: Vec<u8>,
    id: Vec<u8>,
    key: SigningKey,
}

/// User present.
const UP: u8 = 1;
/// User verified.
const UV: u8 = 1 << 2;
/// A new key is told.
const AT: u8 = 1 << 6;

impl PasskeyHolder {
    /// Honest, at this origin.
    pub fn at(origin: &str) -> Self {
        let host = url::Url::parse(origin)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_else(|| panic!("{origin} is no origin"));
        Self {
            origin: origin.to_owned(),
            site: host,
            has_seen_owner: true,
            counter: 1,
            owner: Vec::new(),
            id: rand::random::<[u8; 32]>().to_vec(),
            key: SigningKey::from_slice(&rand::random::<[u8; 32]>())
                .unwrap_or_else(|error| panic!("one key in 2^32 is none: {error}")),
        }
    }

    /// The same, but for a lie.
    #[must_use]
    pub fn but(&self, lie: impl FnOnce(&mut Self)) -> Self {
        let mut other = self.clone();
        lie(&mut other);
        other
    }

    /// The answer of `navigator.credentials.create`.
    pub fn make(&mut self, options: &Value) -> Value {
        self.owner = bytes(text(options, "/user/id"));
        let client = self.client_data("webauthn.create", options);
        let mut data = self.authenticator_data(AT);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap_or_default().to_be_bytes());
        data.extend(&self.id);
        data.extend(cbor(&self.public_key()));
        let object = Cbor::Map(BTreeMap::from([
            (Cbor::Text("fmt".to_owned()), Cbor::Text("none".to_owned())),
            (Cbor::Text("attStmt".to_owned()), Cbor::Map(BTreeMap::new())),
            (Cbor::Text("authData".to_owned()), Cbor::Bytes(data)),
        ]));
        self.credential(json!({
            "clientDataJSON": written(client.as_bytes()),
            "attestationObject": written(&cbor(&object)),
            "transports": ["internal", "of a later standard"],
        }))
    }

    /// The answer of `navigator.credentials.get`.
    pub fn answer(&self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(0);
        let signed = [data.as_slice(), Sha256::digest(client.as_bytes()).as_slice()].concat();
        let signature: DerSignature = self.key.sign(&signed);
        self.credential(json!({
            "clientDataJSON": written(client.as_bytes()),
            "authenticatorData": written(&data),
            "signature": written(signature.as_bytes()),
            "userHandle": written(&self.owner),
        }))
    }

    fn credential(&self, response: Value) -> Value {
        json!({
            "id": written(&self.id),
            "rawId": written(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": true}},
            "response": response,
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({
            "type": kind,
            "challenge": text(options, "/challenge"),
            "origin": self.origin,
            "crossOrigin": false,
        })
        .to_string()
    }

    fn authenticator_data(&self, more: u8) -> Vec<u8> {
        let seen = if self.has_seen_owner { UV } else { 0 };
        let mut data = Sha256::digest(self.site.as_bytes()).to_vec();
        data.push(UP | seen | more);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// As COSE writes a key of ES256 (RFC 9053 §7.1).
    fn public_key(&self) -> Cbor {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes().get(1..).unwrap_or_default().split_at(32);
        let number = |number: i8| Cbor::Integer(number.into());
        Cbor::Map(BTreeMap::from([
            (number(1), number(2)),
            (number(3), number(-7)),
            (number(-1), number(1)),
            (number(-2), Cbor::Bytes(x.to_vec())),
            (number(-3), Cbor::Bytes(y.to_vec())),
        ]))
    }
}

fn cbor(value: &Cbor) -> Vec<u8> {
    serde_cbor_2::to_vec(value).unwrap_or_else(|error| panic!("writing {value:?}: {error}"))
}

fn written(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD
        .decode(text)
        .unwrap_or_else(|error| panic!("{text} is no base64url: {error}"))
}

fn text<'a>(options: &'a Value, place: &str) -> &'a str {
    options
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {place} in {options}"))
}
