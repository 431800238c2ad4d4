//! What an endpoint may refuse besides its own reasons, written into the document by rule and not into each handler.

use crate::web::operations::is_of_operations;
use http::StatusCode;
use protocol::routes;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, RefOr, Response};

const PROBLEM: &str = "#/components/schemas/Problem";
const PROBLEM_JSON: &str = "application/problem+json";
/// The two ways to be signed in.
const TOKEN: &str = "access_token";
const COOKIE: &str = "browser_session";

pub fn complete(document: &mut OpenApi, cookie: &str) {
    for (path, item) in &mut document.paths.paths {
        for (is_read, operation) in operations(item) {
            let refusals = refusals(path, is_read, operation);
            operation.responses.responses.values_mut().for_each(as_problem);
            for status in refusals {
                say(operation, status);
            }
            if needs_sign_in(path) {
                let ways = [TOKEN, COOKIE].map(|way| SecurityRequirement::new::<_, _, &str>(way, []));
                operation.security = Some(ways.to_vec());
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme(
        COOKIE,
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie))),
    );
}

/// Each with whether it only reads.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let writes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    let reads = item.get.iter_mut().map(|operation| (true, operation));
    reads.chain(writes.into_iter().flatten().map(|operation| (false, operation)))
}

fn refusals(path: &str, is_read: bool, operation: &Operation) -> Vec<StatusCode> {
    let mut refusals = Vec::new();
    let parameters = operation.parameters.iter().flatten();
    let (mut is_named, mut is_asked) = (false, false);
    for parameter in parameters {
        is_named |= parameter.parameter_in == ParameterIn::Path;
        is_asked = true;
    }
    if is_named {
        refusals.push(StatusCode::NOT_FOUND);
    }
    if is_asked {
        refusals.push(StatusCode::BAD_REQUEST);
    }
    if operation.request_body.is_some() {
        refusals.extend([
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ]);
    }
    if needs_sign_in(path) {
        refusals.push(StatusCode::UNAUTHORIZED);
    }
    if !is_read {
        // from another site, or a form without its token
        refusals.push(StatusCode::FORBIDDEN);
    }
    if !is_of_operations(path) {
        refusals.extend([StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
    }
    refusals
}

/// The doors themselves do not.
fn needs_sign_in(path: &str) -> bool {
    let is_door = path.starts_with("/api/v1/auth/") && path != routes::SIGN_OUT;
    ["/api/v1/", "/ws", "/settings/"]
        .iter()
        .any(|room| path.starts_with(room))
        && !is_door
}

/// Besides what the handler says of it itself, or of all of its kind.
fn say(operation: &mut Operation, status: StatusCode) {
    let is_form = operation
        .request_body
        .iter()
        .any(|body| body.content.contains_key("application/x-www-form-urlencoded"));
    let responses = &mut operation.responses.responses;
    let kind = format!("{}XX", status.as_u16() / 100);
    if responses.contains_key(&kind) {
        return;
    }
    let said = responses
        .entry(status.as_str().to_owned())
        .or_insert_with(|| RefOr::T(Response::new(status.canonical_reason().unwrap_or_default())));
    let RefOr::T(said) = said else { return };
    said.content
        .entry(PROBLEM_JSON.to_owned())
        .or_insert_with(|| Content::new(Some(Ref::new(PROBLEM))));
    // Whoever sends a form without its token is most often a person before a page that is too old.
    if is_form && status == StatusCode::FORBIDDEN {
        said.content
            .entry("text/html".to_owned())
            .or_insert_with(|| Content::new(None::<Ref>));
    }
}

/// The macro takes every body for `application/json`; problems have a type of their own (RFC 9457 §3).
fn as_problem(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem =
        |content: &Content| matches!(&content.schema, Some(RefOr::Ref(to)) if to.ref_location == PROBLEM);
    if response.content.get("application/json").is_some_and(is_problem)
        && let Some(problem) = response.content.shift_remove("application/json")
    {
        response.content.insert(PROBLEM_JSON.to_owned(), problem);
    }
}
