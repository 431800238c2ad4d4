//! The built app: content-hashed files under `/app/`, served as they were compressed when built.

use anyhow::Context as _;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use std::path::Path;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

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

/// A name never changes its content, so a browser may keep it for good. That a file is not there may change: with the
/// next version, or in a moment on a node that has it already.
pub fn router(folder: &Path) -> Router {
    let files = ServeDir::new(folder.join("app"))
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false);
    Router::new()
        .route("/favicon.ico", get(icon))
        .nest_service("/app", files)
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            |response: &Response| {
                let is_there =
                    response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
                is_there.then_some(HeaderValue::from_static("public, max-age=31536000, immutable"))
            },
        ))
}

/// Where browsers look for a site's icon by themselves; the app's own.
async fn icon() -> ([(header::HeaderName, HeaderValue); 2], &'static [u8]) {
    let kept = HeaderValue::from_static("public, max-age=86400");
    (
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("image/x-icon")),
            (header::CACHE_CONTROL, kept),
        ],
        include_bytes!("../../../src-tauri/icons/icon.ico"),
    )
}
