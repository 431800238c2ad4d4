//! For whoever runs the server: is it alive, is it ready, what does it count.

use crate::app::App;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use protocol::{Code, Problem, routes};
use std::net::SocketAddr;
use std::time::Duration;
use utoipa::OpenApi as _;

#[derive(Clone)]
struct Operations {
    app: App,
    metrics: PrometheusHandle,
}

pub fn router(app: App, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route(routes::HEALTH, get(alive))
        .route(routes::READY, get(ready))
        .route(routes::METRICS, get(read_metrics))
        .with_state(Operations { app, metrics })
}

/// What answers whoever asks, however often: balancers, and whoever checks what this server signed.
pub fn is_of_operations(path: &str) -> bool {
    [
        routes::HEALTH,
        routes::READY,
        routes::METRICS,
        routes::JWKS,
        routes::OAUTH_METADATA,
    ]
    .contains(&path)
}

/// Folds what was measured into what is kept of it, and says whether Redis answers. Otherwise only a reading would, and where nobody reads, every request
/// of a process's life would be held.
pub async fn keep_measures_small(app: App, metrics: PrometheusHandle) {
    let mut due = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = due.tick() => {
                metrics.run_upkeep();
                let answers = tokio::time::timeout(Duration::from_secs(1), app.redis.answers()).await;
                metrics::gauge!("redis_answers").set(if matches!(answers, Ok(true)) { 1.0 } else { 0.0 });
            }
            () = app.shutdown.cancelled() => return,
        }
    }
}

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(alive, ready, read_metrics))]
struct Docs;

/// The process runs.
#[utoipa::path(get, path = routes::HEALTH, tag = "operations", responses((status = 200, body = String)))]
async fn alive() -> &'static str {
    "alive\n"
}

/// Ready means: not ending, and PostgreSQL and Redis answer within a second. A balancer sends traffic only then.
#[utoipa::path(get, path = routes::READY, tag = "operations",
    responses((status = 200, body = String), (status = 503, body = Problem)))]
async fn ready(State(operations): State<Operations>) -> Response {
    let app = &operations.app;
    let second = Duration::from_secs(1);
    let (database, redis) = tokio::join!(
        tokio::time::timeout(second, sqlx::Executor::execute(&app.pool, "select 1")),
        tokio::time::timeout(second, app.redis.answers()),
    );
    let missing: Vec<&str> = [
        (!matches!(database, Ok(Ok(_)))).then_some("PostgreSQL"),
        (!matches!(redis, Ok(true))).then_some("Redis"),
        app.ending.is_cancelled().then_some("this process is ending"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    let problem = Problem::new(Code::Unavailable)
        .detail(format!("Not ready: {}.", missing.join(", ")))
        .retry_after(2);
    crate::error::problem_response(&problem)
}

/// What is counted, in Prometheus' text. With METRICS_TOKEN set, for its bearer; else for direct loopback alone, never
/// through a proxy.
#[utoipa::path(get, path = routes::METRICS, tag = "operations",
    responses((status = 200, body = String), (status = 404, body = Problem)))]
async fn read_metrics(
    State(operations): State<Operations>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let may_read = match &operations.app.config.metrics_token {
        Some(token) => headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .is_some_and(|given| {
                subtle::ConstantTimeEq::ct_eq(given.as_bytes(), token.expose().as_bytes()).into()
            }),
        None => {
            peer.is_some_and(|axum::Extension(ConnectInfo(peer))| peer.ip().is_loopback())
                && !headers.contains_key("x-forwarded-for")
                && !headers.contains_key(header::FORWARDED)
        }
    };
    if !may_read {
        return crate::error::Error::from(Code::NotFound).into_response();
    }
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        operations.metrics.render(),
    )
        .into_response()
}
