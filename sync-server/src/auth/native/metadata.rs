//! What this authorization server says of itself (RFC 8414): for clients that know its address and nothing else, and for
//! those that reach it under another than its own.

use super::super::Auth;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use protocol::oauth::ServerMetadata;
use protocol::routes;

/// Where everything is, and what may be asked for.
#[utoipa::path(get, path = routes::OAUTH_METADATA, tag = "Native app", responses((status = 200, body = ServerMetadata)))]
pub async fn read_metadata(State(auth): State<Auth>) -> impl IntoResponse {
    let link = |path| auth.config.link(path);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let metadata = ServerMetadata {
        issuer: auth.config.origin(),
        authorization_endpoint: link(routes::AUTHORIZE),
        token_endpoint: link(routes::TOKEN),
        pushed_authorization_request_endpoint: link(routes::PAR),
        device_authorization_endpoint: link(routes::DEVICE_AUTHORIZATION),
        jwks_uri: link(routes::JWKS),
        response_types_supported: words(&["code"]),
        grant_types_supported: words(&[
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ]),
        code_challenge_methods_supported: words(&["S256"]),
        token_endpoint_auth_methods_supported: words(&["none"]),
        require_pushed_authorization_requests: true,
        authorization_response_iss_parameter_supported: true,
        dpop_signing_alg_values_supported: words(&["ES256", "EdDSA"]),
    };
    (
        [(header::CACHE_CONTROL, "public, max-age=300")],
        axum::Json(metadata),
    )
}
