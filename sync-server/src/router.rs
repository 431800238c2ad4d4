//! Every room's routes under one roof, and the layers that all answers pass.

use crate::app::App;
use crate::rights::Rights;
use crate::web::{self, assets::Manifest, headers::Headers};
use crate::{auth, gateway, runs, sessions, sync};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
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
    description = "Accounts, sessions, the change feed and mutations. Refusals are problems (RFC 9457)."
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
    let rooms = with_refusals(rooms).layer(middleware::from_fn_with_state(pages, draw_problems));
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

/// A problem gets its request's id; where a person navigated, it becomes a page with a way on.
async fn draw_problems(
    axum::extract::State(pages): axum::extract::State<web::pages::Pages>,
    mut request: Request,
    next: Next,
) -> Response {
    let wants_page = wants_page(&request);
    // Without its query, which may hold what only its receiver should read.
    let path = request.uri().path().to_owned();
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
            crate::error::problem_response(&problem)
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
