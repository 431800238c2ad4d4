//! The same provider as Apple takes back what it gave: from whoever shows the secret that is signed for the moment, and from
//! nobody else.

use super::{CLIENT, Desk, Fault, refuse, tokens};
use crate::hush::keep_secret;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::Deserialize;
use std::sync::Arc;

/// Where, as Apple has it.
pub(super) const PATH: &str = "/auth/revoke";

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new().route(PATH, post(revoke))
}

/// A refresh token, another one each time. No log may hold it.
pub(super) fn give(desk: &Desk) -> String {
    let token = format!("kept-for-later-{:032x}", rand::random::<u128>());
    keep_secret(&token);
    desk.lock().kept.push(token.clone());
    token
}

#[derive(Debug, Deserialize)]
struct Ask {
    client_id: String,
    client_secret: String,
    token: String,
    token_type_hint: Option<String>,
}

async fn revoke(State(desk): State<Arc<Desk>>, Form(ask): Form<Ask>) -> Response {
    let mut now = desk.lock();
    now.asked.revocations += 1;
    match now.fault {
        Fault::RefusedRevocations => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fault::ForgottenTokens => return refuse("invalid_grant"),
        _ => {}
    }
    if ask.client_id != CLIENT || !tokens::is_apple_secret(&ask.client_secret, &desk.url) {
        return refuse("invalid_client");
    }
    if ask.token_type_hint.as_deref() != Some("refresh_token") || !now.kept.contains(&ask.token) {
        return refuse("invalid_request");
    }
    now.revoked.push(ask.token);
    StatusCode::OK.into_response()
}
