//! The built app: content-hashed files under `/app/`, served as they were compressed when built.

use anyhow::Context as _;
use axum::Router;
use axum::response::Response;
use axum::routing::get_service;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use std::path::Path;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

const ICON: &str = "/favicon.ico";
const FILES: &str = "/app";

/// Whether a path is answered from here.
pub fn is_file(path: &str) -> bool {
    path == ICON || path.strip_prefix(FILES).is_some_and(|rest| rest.starts_with('/'))
}

/// The files' names as the bundler wrote them; a name changes with its content.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    pub script: String,
    pub wasm: String,
    pub style: String,
    pub boot: String,
    pub passkeys: String,
    pub work: String,
}

impl Manifest {
    /// Fails at start, naming the setting, rather than at the first visit.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("app/manifest.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "UI_DIST: reading {} (`cargo xtask bundle` makes it)",
                path.display()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("UI_DIST: {} is not a manifest of the page", path.display()))
    }
}

/// A name under `/app/` never changes its content, so a browser may keep it for good. The icon is where browsers look for a
/// site's by themselves.
pub fn router(folder: &Path) -> Router {
    let files = ServeDir::new(folder.join("app"))
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false);
    let icon = get_service(ServeFile::new(folder.join("favicon.ico"))).layer(kept("public, max-age=86400"));
    Router::new()
        .route(ICON, icon)
        .nest_service(FILES, files)
        .layer(kept("public, max-age=31536000, immutable"))
        .layer(written())
}

/// Style and scripts say how they are written themselves, whatever their page says of itself.
fn written() -> SetResponseHeaderLayer<impl Fn(&Response) -> Option<HeaderValue> + Clone> {
    SetResponseHeaderLayer::overriding(header::CONTENT_TYPE, |response: &Response| {
        let kind = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        let is_text = matches!(kind, "text/css" | "text/javascript" | "application/javascript");
        HeaderValue::try_from(format!("{kind}; charset=utf-8"))
            .ok()
            .filter(|_| is_text)
    })
}

/// Says how long a file may be kept. That one is not there is not kept: it may change with the next version, or in a moment on
/// a node that has it already.
fn kept(value: &'static str) -> SetResponseHeaderLayer<impl Fn(&Response) -> Option<HeaderValue> + Clone> {
    SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, move |response: &Response| {
        let is_there = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
        is_there.then_some(HeaderValue::from_static(value))
    })
}
