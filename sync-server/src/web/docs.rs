//! The API as a document for programs (OpenAPI 3.1, made from the handlers) and as a page for people.

mod refusals;

use crate::web::assets::Manifest;
use anyhow::Context as _;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use http::header;
use protocol::routes;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// Both are made once, at start: they do not change while the server runs. `cookie` is the one that signs a browser in.
pub fn router(mut document: OpenApi, cookie: &str, manifest: &Manifest) -> anyhow::Result<Router> {
    refusals::complete(&mut document, cookie);
    let json: Arc<str> = document
        .to_pretty_json()
        .context("writing the OpenAPI document")?
        .into();
    let page: Arc<str> = draw(&document, manifest).context("drawing the API page")?.into();
    let for_programs = async move || ([(header::CONTENT_TYPE, "application/json")], json.to_string());
    let for_people = async move || Html(page.to_string());
    Ok(Router::new()
        .route(routes::OPENAPI, get(for_programs))
        .route(routes::API_DOCS, get(for_people)))
}

fn draw(document: &OpenApi, manifest: &Manifest) -> anyhow::Result<String> {
    let mut templates = minijinja::Environment::new();
    templates.add_template("api.html", include_str!("../../pages/api.html"))?;
    let doc: minijinja::Value = serde_json::from_value(serde_json::to_value(document)?)?;
    let context = minijinja::context! { doc, style => manifest.style.clone(), openapi => routes::OPENAPI };
    Ok(templates.get_template("api.html")?.render(context)?)
}
