//! Every room's routes under one roof, and the layers that all answers pass.

use crate::app::App;
use crate::error::problem_response;
use crate::limits::{Class, Limited, Who, address};
use crate::rights::Rights;
use crate::web::{self, assets::Manifest, headers::Headers};
use crate::{auth, gateway, runs, sessions, sync};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use protocol::routes::{self, page};
use protocol::{Code, Problem};
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use utoipa::OpenApi as _;
use uuid::Uuid;

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "CompyMac",
    description = "What programs ask: accounts, sessions, the change feed and mutations. Refusals are problems (RFC 9457).\n\n\
        Not in it is what a person's browser or mail program is led to, and no program asks by itself: pages and their forms; \
        `/oauth/authorize`, where an app sends its person; `/auth/{provider}/start` and `/auth/{provider}/callback`, out to a \
        provider and back; `/letters/{token}`, which a mail \
        program posts to (RFC 8058); `/settings/security/export/{id}`, the file of a copy of everything."
))]
struct Api;

/// `gateway` holds every room below it. A process that only works shows the operator's routes and no others.
pub fn router(
    gateway: gateway::Gateway,
    rights: Rights,
    metrics: PrometheusHandle,
) -> anyhow::Result<Router> {
    let runs: runs::Runs = gateway.runs().clone();
    let sync: sync::Sync = runs.sync().clone();
    let auth: auth::Auth = sync.auth().clone();
    let app: App = App::clone(&auth);
    let headers = Headers::for_config(&app.config)?;
    let operations = web::operations::router(app.clone(), metrics);
    if !app.config.role.serves() {
        return Ok(with_headers(with_refusals(operations), headers));
    }
    let manifest = Manifest::read(&app.config.ui_dist)?;
    let mut document = Api::openapi();
    for docs in [
        auth::docs(),
        sessions::docs(),
        sync::docs(),
        runs::docs(),
        gateway::docs(),
        web::operations::docs(),
    ] {
        document.merge(docs);
    }
    let pages = web::pages::Pages::open(rights, &manifest);
    let compression = SizeAbove::new(512)
        .and(NotForContentType::new("application/wasm"))
        .and(NotForContentType::new("application/zip"));
    let rooms = Router::new()
        .merge(auth::router(auth))
        .merge(sessions::router(sync.auth().clone()))
        .merge(sync::router(sync))
        .merge(runs::router(runs))
        .merge(web::docs::router(document, auth::SESSION_COOKIE, &manifest)?)
        .merge(web::pages::router(pages.clone()))
        .merge(web::door::router(pages.clone()))
        .merge(web::forgotten::router(pages.clone()))
        .merge(web::letter::router(pages.clone()))
        .merge(web::letters::router(pages.clone()))
        .merge(web::newcomer::router(pages.clone()))
        .merge(web::device_code::router(pages.clone()))
        .merge(web::second_step::router(pages.clone()))
        .merge(web::security::router(pages.clone()))
        .merge(web::passkeys::router(pages.clone()))
        .merge(web::rights::router(pages.clone()))
        .merge(web::leaving::router(pages.clone()))
        .merge(web::forms::router(pages.clone()))
        .layer(CompressionLayer::new().compress_when(compression))
        .merge(gateway::router(gateway))
        .merge(operations)
        .merge(web::assets::router(&app.config.ui_dist));
    let rooms = with_refusals(rooms)
        .layer(middleware::from_fn_with_state(pages.clone(), limit))
        .layer(middleware::from_fn_with_state(pages, draw_problems));
    Ok(with_headers(rooms, headers))
}

/// What answers where no route does, or where one breaks.
fn with_refusals(routes: Router) -> Router {
    routes
        .fallback(async || crate::error::Error::from(Code::NotFound))
        .method_not_allowed_fallback(async || crate::error::Error::from(Code::MethodNotAllowed))
        .layer(CatchPanicLayer::custom(|_| {
            crate::error::Error::from(Code::Internal).into_response()
        }))
}

fn with_headers(routes: Router, headers: Headers) -> Router {
    routes
        .layer(middleware::from_fn_with_state(headers, web::headers::add))
        .layer(middleware::from_fn(count))
}

/// How much a network may ask for that shows no sign-in, or one that does not hold: whoever is signed in is counted by device, since
/// a whole office may be one network. What is looked at for the server's own good is never refused for it, files cost nothing
/// that were worth counting, and whoever renews a sign-in shows none by a header, and is counted there.
async fn limit(
    axum::extract::State(pages): axum::extract::State<web::pages::Pages>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let has_its_own = path == routes::TOKEN;
    if has_its_own || web::operations::is_of_operations(path) || web::assets::is_file(path) {
        return next.run(request).await;
    }
    let auth = pages.auth().clone();
    let from = auth.address_of(request.extensions(), request.headers());
    let count = || {
        let network = address::prefix(from);
        auth.limits().take_here(Class::Request, Who::Address(&network))
    };
    let refused = |limited: Limited| problem_response(&limited.problem);
    if !auth::shows_a_credential(request.headers()) {
        return match count() {
            Ok(()) => next.run(request).await,
            Err(limited) => refused(limited),
        };
    }
    let (response, is_proven) = auth::proven(next.run(request)).await;
    if is_proven {
        return response;
    }
    count().map_or_else(refused, |()| response)
}

/// A problem gets its request's id; where a person navigated, it becomes a page with a way on.
async fn draw_problems(
    axum::extract::State(pages): axum::extract::State<web::pages::Pages>,
    mut request: Request,
    next: Next,
) -> Response {
    let wants_page = wants_page(&request);
    let path = told_path(request.uri().path()).to_owned();
    let id = Uuid::now_v7().to_string();
    let value = HeaderValue::try_from(&id).ok();
    if let Some(value) = &value {
        // Ours alone: what a client wrote there would let it write into the audit.
        request.headers_mut().insert(REQUEST_ID, value.clone());
    }
    let headers = if wants_page {
        request.headers().clone()
    } else {
        http::HeaderMap::new()
    };
    let mut response = next.run(request).await;
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id);
        tracing::info!(request = problem.request_id, path, code = %problem.code, "refused");
        response = if wants_page {
            pages.problem(&headers, problem).await
        } else {
            problem_response(&problem)
        };
    }
    // nobody asks about a socket by the request that opened it, and each time that a device comes back it would be told anew
    if let Some(value) = value
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What the log may tell of an address: nothing of its query, which may hold what only its receiver should read, and nothing of
/// what a letter's link has in its path.
fn told_path(path: &str) -> &str {
    if path.starts_with(page::LETTERS_LINK.trim_end_matches("{token}")) {
        page::LETTERS_LINK
    } else {
        path
    }
}

/// A visit or a form of a browser's, rather than a program's call.
fn wants_page(request: &Request) -> bool {
    let says = |name: HeaderName, what: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains(what))
    };
    let is_visit = request.method() == Method::GET || says(header::CONTENT_TYPE, "x-www-form-urlencoded");
    is_visit && says(header::ACCEPT, "text/html")
}

/// Requests by route and status, and how long they took. Routes are the patterns, so that ids do not multiply series.
async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let status = response.status().as_u16().to_string();
    metrics::counter!("http_requests_total", "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("http_request_seconds", "route" => route).record(begun.elapsed().as_secs_f64());
    response
}
