//! What Apple does otherwise than OpenID Connect says: a client secret that is a token, signed for each request; answers
//! as a posted form; a person's name in that form, unsigned and only the first time; a token that it wants back once its
//! person is gone; and notices of what its people do there.

use super::super::finish::named;
use super::oidc::{AHEAD, Metadata};
use anyhow::{Context as _, bail};
use http::{Request, Response, StatusCode, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use openidconnect::{ClientId, ClientSecret, JsonWebKey as _};
use protocol::auth::Email;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::{Url, form_urlencoded};

pub const ISSUER: &str = "https://appleid.apple.com";
/// Seconds that a client secret is good for. Apple would take half a year.
const LIFETIME: i64 = 300;
/// Seconds that a notice is believed for: it may come late, where this server was away.
pub const FRESH: i64 = 12 * 3600;

/// What Apple's developer pages give out.
#[derive(Deserialize)]
pub struct Setting {
    team_id: String,
    key_id: String,
    /// The text of the `.p8` file.
    private_key: String,
}

pub struct Key {
    setting: Setting,
    client_id: String,
    audience: String,
    encoding: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    aud: &'a str,
    sub: &'a str,
}

impl Key {
    pub fn new(setting: Setting, client_id: &str, issuer: &str) -> anyhow::Result<Self> {
        let encoding = EncodingKey::from_ec_pem(setting.private_key.as_bytes())
            .context("private_key must be the text of the .p8 file that Apple gave out")?;
        Ok(Self {
            setting,
            client_id: client_id.to_owned(),
            audience: issuer.to_owned(),
            encoding,
        })
    }

    /// Good for one request, and a few minutes.
    pub fn secret(&self, now: i64) -> anyhow::Result<ClientSecret> {
        let header = Header {
            kid: Some(self.setting.key_id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        let claims = Claims {
            iss: &self.setting.team_id,
            iat: now,
            exp: now + LIFETIME,
            aud: &self.audience,
            sub: &self.client_id,
        };
        let secret =
            jsonwebtoken::encode(&header, &claims, &self.encoding).context("signing a client secret")?;
        Ok(ClientSecret::new(secret))
    }

    /// Asks for a refresh token to be worth nothing any more.
    pub fn revocation(&self, address: &Url, token: &str, now: i64) -> anyhow::Result<Request<Vec<u8>>> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.secret(now)?.secret())
            .append_pair("token", token)
            .append_pair("token_type_hint", "refresh_token")
            .finish();
        Request::post(address.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .context("asking for a token to be revoked")
    }
}

/// Whether a token is worth nothing any more: by this, or since its person took it back at Apple. Anything else may be otherwise
/// the next time.
pub fn must_be_revoked(answer: &Response<Vec<u8>>) -> anyhow::Result<()> {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(default)]
        error: String,
    }
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let Refusal { error } = serde_json::from_slice(answer.body()).unwrap_or_default();
    // one of the words of RFC 6749 and RFC 7009, and no more of what was said than that
    let error = [
        "invalid_grant",
        "invalid_token",
        "invalid_client",
        "invalid_request",
    ]
    .into_iter()
    .find(|known| *known == error)
    .unwrap_or("something else");
    if status == StatusCode::BAD_REQUEST && matches!(error, "invalid_grant" | "invalid_token") {
        return Ok(());
    }
    bail!("the revocation endpoint answered {status}, {error}")
}

/// What Apple tells of its own accord of somebody who came by it.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Told once more, it has the same.
    pub id: String,
    /// When it was written.
    pub at: OffsetDateTime,
    pub subject: String,
    pub news: News,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// They took back there what they had let this server know, or are nobody there any more.
    Gone,
    /// Apple's relay brings no letters to this address …
    LettersOff(Email),
    /// … or does so again.
    LettersOn(Email),
    /// Nothing that is known here.
    Other,
}

/// Why a notice is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    #[error("no key of the issuer's has signed it")]
    Unsigned,
    #[error("it does not say what it must: {0}")]
    Crooked(#[from] jsonwebtoken::errors::Error),
    #[error("it is of another time")]
    Late,
}

impl Notice {
    /// Checked as an ID token is, but that it has no nonce and need not say when it ends.
    pub fn read(
        token: &str,
        metadata: &Metadata,
        client: &ClientId,
        now: OffsetDateTime,
    ) -> Result<Self, Doubt> {
        let named = jsonwebtoken::decode_header(token)?.kid.ok_or(Doubt::Unsigned)?;
        let keys = metadata.jwks().keys().iter();
        let key = keys
            .filter(|key| key.key_id().is_some_and(|id| id.as_str() == named))
            .find_map(|key| serde_json::from_value::<Jwk>(serde_json::to_value(key).ok()?).ok());
        let key = DecodingKey::from_jwk(&key.ok_or(Doubt::Unsigned)?)?;
        let mut wanted = Validation::new(Algorithm::RS256);
        wanted.set_issuer(&[metadata.issuer().as_str()]);
        wanted.set_audience(&[client.as_str()]);
        wanted.set_required_spec_claims(&["iss", "aud"]);
        let told = jsonwebtoken::decode::<Told>(token, &key, &wanted);
        let Told { iat, jti, events, .. } = told
            .map_err(|error| {
                if *error.kind() == ErrorKind::InvalidSignature {
                    Doubt::Unsigned
                } else {
                    Doubt::Crooked(error)
                }
            })?
            .claims;
        let age = now.unix_timestamp().saturating_sub(iat);
        let at = OffsetDateTime::from_unix_timestamp(iat).ok();
        let at = at
            .filter(|_| (-AHEAD..=FRESH).contains(&age))
            .ok_or(Doubt::Late)?;
        let Event { kind, sub, email } = events.event()?;
        let email = email.and_then(|email| Email::parse(&email).ok());
        let news = match (kind.as_str(), email) {
            // Apple's pages have the one word, and its server has sent the other
            ("consent-revoked" | "account-delete" | "account-deleted", _) => News::Gone,
            ("email-disabled", Some(email)) => News::LettersOff(email),
            ("email-enabled", Some(email)) => News::LettersOn(email),
            _ => News::Other,
        };
        Ok(Self {
            id: jti,
            at,
            subject: sub,
            news,
        })
    }
}

/// The claims of a notice.
#[derive(Deserialize)]
struct Told {
    /// One, and not a list of which another program is one too.
    #[serde(rename = "aud")]
    _aud: String,
    iat: i64,
    jti: String,
    events: Events,
}

/// Apple's pages show an object; what comes is the text of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Events {
    Text(String),
    Plain(Event),
}

impl Events {
    fn event(self) -> Result<Event, jsonwebtoken::errors::Error> {
        match self {
            Self::Text(text) => Ok(serde_json::from_str(&text)?),
            Self::Plain(event) => Ok(event),
        }
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    sub: String,
    email: Option<String>,
}

/// The name in the form's `user`. Its address is not looked at: nobody signed it.
pub fn name_in(user: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct User {
        name: Name,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Name {
        #[serde(default)]
        first_name: String,
        #[serde(default)]
        last_name: String,
    }
    let User { name } = serde_json::from_str(user).ok()?;
    let whole = named(&format!("{} {}", name.first_name, name.last_name), "", 255);
    Some(whole.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_an_address_is_not() {
        let user = r#"{"name":{"firstName":"Ana","lastName":"Ruiz"},"email":"victim@example.org"}"#;
        assert_eq!(name_in(user).as_deref(), Some("Ana Ruiz"));
        for noise in ["", "{}", "[]", r#"{"name":{}}"#, r#"{"name":"Ana"}"#] {
            assert_eq!(name_in(noise), None, "{noise}");
        }
    }

    #[test]
    fn a_token_is_worth_nothing_once_apple_says_so_and_not_where_it_refuses_us() {
        let is_revoked = |status: u16, body: &str| {
            let answer = Response::builder().status(status).body(body.as_bytes().to_vec());
            must_be_revoked(&answer.unwrap()).is_ok()
        };
        assert!(is_revoked(200, ""));
        assert!(is_revoked(400, r#"{"error":"invalid_grant"}"#));
        assert!(is_revoked(400, r#"{"error":"invalid_token"}"#));
        for (status, body) in [
            (400, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"invalid_request"}"#),
            (400, "invalid_grant"),
            (401, r#"{"error":"invalid_grant"}"#),
            (302, ""),
            (503, ""),
        ] {
            assert!(!is_revoked(status, body), "{status} {body}");
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let setting = Setting {
            team_id: "T".to_owned(),
            key_id: "K".to_owned(),
            private_key: "hidden-word".to_owned(),
        };
        let error = Key::new(setting, "app", ISSUER).map(drop).unwrap_err();
        let told = format!("{error:#}");
        assert!(
            told.contains("private_key") && !told.contains("hidden-word"),
            "{told}"
        );
    }
}
