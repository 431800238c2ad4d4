//! GitHub's own way: plain OAuth 2, and the person by its API.

use super::{Authorize, Desk, TokenAsk, knows_secret, redeem};
use crate::hush;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;

/// In the access token: whose it is.
const PREFIX: &str = "gho_of_";

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/login/oauth/authorize", get(authorize))
        .route("/login/oauth/access_token", post(access_token))
        .route("/api/user", get(user))
        .route("/api/user/emails", get(emails))
}

async fn authorize(
    desk: State<Arc<Desk>>,
    ask: Query<Authorize>,
    uri: axum::extract::OriginalUri,
) -> Response {
    super::authorize(desk, ask, uri).await
}

pub(super) fn is_its(path: &str) -> bool {
    path.starts_with("/login/oauth/")
}

/// What it calls itself in its answers.
pub(super) fn issuer(url: &str) -> String {
    format!("{url}/login/oauth")
}

/// Errors come with status 200, as GitHub's do.
async fn access_token(
    State(desk): State<Arc<Desk>>,
    headers: http::HeaderMap,
    Form(ask): Form<TokenAsk>,
) -> Response {
    desk.lock().asked.tokens += 1;
    let given = if knows_secret(&headers, &ask, &desk.url) {
        redeem(&desk, &ask)
    } else {
        None
    };
    match given {
        Some(given) => {
            let token = format!("{PREFIX}{}", given.visitor.subject);
            hush::keep_secret(&token);
            axum::Json(json!({
                "access_token": token,
                "token_type": "bearer",
                "scope": "read:user,user:email",
            }))
            .into_response()
        }
        None => axum::Json(json!({"error": "bad_verification_code"})).into_response(),
    }
}

/// As GitHub, only for programs that name themselves and present a token.
fn subject(headers: &http::HeaderMap) -> Option<String> {
    headers.get("user-agent")?;
    let token = headers.get("authorization")?.to_str().ok()?;
    let (_, token) = token.split_once(' ')?;
    token.strip_prefix(PREFIX).map(str::to_owned)
}

async fn user(State(desk): State<Arc<Desk>>, headers: http::HeaderMap) -> Response {
    let Some(subject) = subject(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let visitor = desk.lock().visitor.clone();
    let id: u64 = subject.parse().unwrap_or_default();
    axum::Json(json!({
        "id": id, "login": visitor.handle, "name": visitor.name, "email": null,
        "avatar_url": format!("{}/avatar.png", desk.url),
    }))
    .into_response()
}

async fn emails(State(desk): State<Arc<Desk>>, headers: http::HeaderMap) -> Response {
    if subject(&headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let visitor = desk.lock().visitor.clone();
    let mut addresses = vec![
        json!({"email": "12345+ana@users.noreply.github.com", "primary": false, "verified": true, "visibility": null}),
    ];
    for email in visitor.besides {
        addresses.push(json!({"email": email, "primary": false, "verified": true, "visibility": null}));
    }
    addresses.push(
        json!({"email": visitor.email, "primary": true, "verified": visitor.is_verified.unwrap_or(false), "visibility": "private"}),
    );
    axum::Json(addresses).into_response()
}
