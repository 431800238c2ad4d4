//! The same provider as Microsoft is one: a door for many directories, keys that are of one alone, and addresses that nobody
//! has proven.

use super::tokens::{KEY_NAME, key, put};
use super::{Desk, Fault, Visitor, authorize, token};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// An organisation's directory …
pub(crate) const WORK: &str = "11111111-2222-4333-8444-555555555555";
/// … another one's …
pub(crate) const OTHER: &str = "66666666-7777-4888-8999-aaaaaaaaaaaa";
/// … and that of all personal accounts, as it is at Microsoft.
pub(crate) const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
pub(super) const PERSONAL_KEY_NAME: &str = "key-for-personal-accounts";

pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route(
            "/microsoft/{tenant}/v2.0/.well-known/openid-configuration",
            get(discovery),
        )
        .route("/microsoft/{tenant}/keys", get(keys))
        .route("/microsoft/{tenant}/authorize", get(authorize))
        .route("/microsoft/{tenant}/token", post(token))
}

pub(super) fn is_its(path: &str) -> bool {
    path.starts_with("/microsoft/")
}

pub(super) fn issuer_of(url: &str, directory: &str) -> String {
    format!("{url}/microsoft/{directory}/v2.0")
}

async fn discovery(State(desk): State<Arc<Desk>>, Path(tenant): Path<String>) -> axum::Json<Value> {
    let fault = desk.lock().fault;
    let tokens = match fault {
        Fault::TokensByAnotherName => desk.url.replace("127.0.0.1", "localhost"),
        _ => desk.url.clone(),
    };
    let base = format!("{}/microsoft", desk.url);
    let directory = match tenant.as_str() {
        "common" | "organizations" => "{tenantid}",
        "consumers" => PERSONAL,
        one => one,
    };
    axum::Json(json!({
        "issuer": format!("{base}/{directory}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/authorize"),
        "token_endpoint": format!("{tokens}/microsoft/{tenant}/token"),
        "jwks_uri": format!("{base}/{tenant}/keys"),
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "tenant_region_scope": null,
        "cloud_instance_name": "microsoftonline.com",
    }))
}

/// One that signs for every directory, and one for personal accounts alone.
async fn keys(State(desk): State<Arc<Desk>>) -> Response {
    if desk.lock().fault == Fault::RedirectingKeys {
        return Redirect::temporary(&format!("{}/moved/jwks", desk.url)).into_response();
    }
    let base = format!("{}/microsoft", desk.url);
    let (mut all, mut personal) = (key(KEY_NAME), key(PERSONAL_KEY_NAME));
    put(
        &mut all,
        "issuer",
        Some(format!("{base}/{{tenantid}}/v2.0").into()),
    );
    put(
        &mut personal,
        "issuer",
        Some(format!("{base}/{PERSONAL}/v2.0").into()),
    );
    axum::Json(json!({"keys": [all, personal]})).into_response()
}

/// What is claimed besides what everybody claims. `sub` is another one at every program.
pub(super) fn claim(claims: &mut Value, visitor: &Visitor, base: &str) {
    let issuer = issuer_of(base, &visitor.directory);
    let object = format!("00000000-0000-4000-8000-{:0>12}", visitor.subject);
    for (name, value) in [
        ("iss", Some(issuer.into())),
        ("sub", Some(format!("pairwise-{}", visitor.subject).into())),
        ("tid", Some(visitor.directory.clone().into())),
        ("oid", Some(object.into())),
        ("name", Some(visitor.name.clone().into())),
        ("xms_edov", visitor.owns_domain.clone()),
    ] {
        put(claims, name, value);
    }
}
