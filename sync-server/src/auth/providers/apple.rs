//! What Apple does otherwise than OpenID Connect says: a client secret that is a token, signed for each request; answers
//! as a posted form; a person's name in that form, unsigned and only the first time; and a token that it wants back once its
//! person is gone.

use super::super::finish::named;
use anyhow::{Context as _, bail};
use http::{Request, Response, StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openidconnect::ClientSecret;
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

pub const ISSUER: &str = "https://appleid.apple.com";
/// Seconds that a client secret is good for. Apple would take half a year.
const LIFETIME: i64 = 300;

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
