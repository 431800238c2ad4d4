//! Leaving: to a sign-in provider, and home to the app. A page that leads on by itself, with a link for where it does not.
//!
//! **Invariant:** no form is answered with a redirect to elsewhere. Browsers apply `form-action` to redirects too, and an
//! issuer may keep its sign-in page on any origin; so the policy can name this site alone.

use crate::asked::Id;
use crate::auth;
use crate::error::Result;
use crate::web::pages::Pages;
use crate::web::sent::{Posted, Sent};
use anyhow::Context as _;
use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use http::{HeaderName, HeaderValue};
use protocol::routes::page;
use serde::Deserialize;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::PROVIDER_START, post(start))
        .route(page::FORM_LINK, post(connect))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    next: String,
    /// A box that was ticked: to stay signed in beyond the window.
    #[serde(default)]
    stay: String,
}

/// The button "Continue with …".
async fn start(Id(provider): Id<String>, posted: Posted<Start>) -> Result<Response> {
    let (auth, form) = (posted.pages.auth(), &posted.fields);
    let errand = auth::Errand::SignIn {
        next: &form.next,
        stays: !form.stay.is_empty(),
    };
    match auth::provider_start(auth, &provider, errand, &posted.headers, &posted.visit).await {
        Ok(outward) => leave(&posted.pages, &provider, outward),
        Err(error) => Ok(auth::back_to_sign_in(error, &form.next)),
    }
}

/// The button "Connect …" of somebody who is signed in.
async fn connect(Id(provider): Id<String>, sent: Sent<Start>) -> Result<Response> {
    let errand = auth::Errand::Connect(&sent.caller);
    let (auth, headers) = (sent.pages.auth(), &sent.headers);
    match auth::provider_start(auth, &provider, errand, headers, &sent.visit).await {
        Ok(outward) => leave(&sent.pages, &provider, outward),
        Err(error) => sent.refused(error).await,
    }
}

fn leave(pages: &Pages, provider: &str, (url, cookie): (String, Cookie<'static>)) -> Result<Response> {
    let page = draw(pages, provider, &url)?;
    let mut response = (CookieJar::new().add(cookie), Html(page)).into_response();
    lead_on(&mut response, &url);
    Ok(response)
}

fn draw(pages: &Pages, provider: &str, url: &str) -> anyhow::Result<String> {
    let providers = auth::providers(pages.auth());
    let known = providers.iter().find(|known| known.id == provider);
    let name = known.map_or("the sign-in service", |known| known.name.as_str());
    let context = minijinja::context! { name, url, style => pages.style() };
    minijinja::Environment::new()
        .render_named_str("leaving.html", include_str!("../../pages/leaving.html"), context)
        .context("drawing the way out to a provider")
}

/// On at once. A header, since no script stands in the page.
pub fn lead_on(response: &mut Response, link: &str) {
    if let Ok(refresh) = HeaderValue::try_from(format!("0;url={link}")) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("refresh"), refresh);
    }
}
