//! The native app's way in through the system browser: OAuth 2.1 with PAR (RFC 9126), PKCE S256 (RFC 7636) and
//! `iss` in the answer (RFC 9207). The server is the authorization server; providers are behind it.

use serde::{Deserialize, Serialize};

/// The one public client.
pub const CLIENT_ID: &str = "compymac-desktop";
/// Where the browser hands the code back to the app.
pub const REDIRECT_DEEP_LINK: &str = "compymac://auth/callback";

/// `POST /oauth/par`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushedRequest {
    pub client_id: String,
    /// base64url(SHA-256(verifier)), 43 characters.
    pub code_challenge: String,
    /// Must be `S256`.
    pub code_challenge_method: String,
    /// 32 random bytes, base64url; comes back with the code.
    pub state: String,
    /// [`REDIRECT_DEEP_LINK`] or `http://127.0.0.1:{port}/cb`.
    pub redirect_uri: String,
    pub device: crate::auth::Client,
    /// Goes straight to this provider.
    #[serde(default)]
    pub provider: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushedAnswer {
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u32,
}

/// `POST /oauth/device_authorization`, as a form (RFC 8628 §3.1): where no browser can be opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCodeAsk {
    pub client_id: String,
    /// The computer's name, as the person will be asked about it.
    pub name: String,
    pub os: String,
    pub version: String,
}

/// RFC 8628 §3.2. There is no `verification_uri_complete`: a link with the code in it would be one to trick people with.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceCodeAnswer {
    pub device_code: String,
    /// Typed by the person, in either case, with or without its dash.
    pub user_code: String,
    pub verification_uri: String,
    /// Seconds.
    pub expires_in: u32,
    /// Seconds between two questions at the token endpoint.
    pub interval: u32,
}

impl std::fmt::Debug for DeviceCodeAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceCodeAnswer(…)")
    }
}

/// `POST /oauth/token`, as a form (RFC 6749 §4.1.3 and §6). Answers [`crate::auth::SignedIn`] or [`TokenError`].
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub enum Grant {
    AuthorizationCode {
        code: String,
        code_verifier: String,
        redirect_uri: String,
        client_id: String,
    },
    RefreshToken {
        refresh_token: String,
        client_id: String,
    },
    /// RFC 8628 §3.4: asked again until the person has answered.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode { device_code: String, client_id: String },
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AuthorizationCode { .. } => "Grant::AuthorizationCode(…)",
            Self::RefreshToken { .. } => "Grant::RefreshToken(…)",
            Self::DeviceCode { .. } => "Grant::DeviceCode(…)",
        })
    }
}

/// RFC 6749 §5.2. Only `invalid_grant` signs a client out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenError {
    pub error: String,
    #[serde(default)]
    pub error_description: Option<String>,
}
