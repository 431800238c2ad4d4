//! The native app's way in through the system browser: OAuth 2.1 with PAR (RFC 9126), PKCE S256 (RFC 7636) and
//! `iss` in the answer (RFC 9207). The server is the authorization server; providers are behind it.

use serde::{Deserialize, Serialize};

/// The one public client.
pub const CLIENT_ID: &str = "compymac-desktop";
/// Where the browser hands the code back to the app.
pub const REDIRECT_DEEP_LINK: &str = "compymac://auth/callback";

/// How the reference to a pushed request begins (RFC 9126 §2.2). What begins otherwise no client opens.
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// The header that carries a proof of possession (RFC 9449 §4.1) …
pub const DPOP: &str = "dpop";
/// … and the one that carries what the next proof has to name (§8).
pub const DPOP_NONCE: &str = "dpop-nonce";

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
    /// The thumbprint of the key that redeems the code (RFC 9449 §10), 43 characters. Without it, any key may, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushedAnswer {
    /// [`REQUEST_URI`] and what the server calls it.
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
    /// As of [`PushedRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
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

/// Where everything is (RFC 8414), for clients that are told nothing but the server's address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServerMetadata {
    /// What the server calls itself. The addresses in proofs begin with it.
    pub issuer: String,
    #[serde(default)]
    pub authorization_endpoint: String,
    #[serde(default)]
    pub token_endpoint: String,
    #[serde(default)]
    pub pushed_authorization_request_endpoint: String,
    #[serde(default)]
    pub device_authorization_endpoint: String,
    #[serde(default)]
    pub jwks_uri: String,
    #[serde(default)]
    pub response_types_supported: Vec<String>,
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub dpop_signing_alg_values_supported: Vec<String>,
}

/// RFC 6749 §5.2. Only `invalid_grant` signs a client out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenError {
    pub error: String,
    #[serde(default)]
    pub error_description: Option<String>,
}
