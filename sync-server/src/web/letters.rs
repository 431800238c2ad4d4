//! The page that a letter's link leads to, on which letters are turned off and on again, and the form for that in the settings.

use crate::asked::Id;
use crate::auth::{self, Visit};
use crate::body::Raw;
use crate::error::Result;
use crate::web::pages::Pages;
use crate::web::sent::Sent;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use protocol::routes::page;
use serde::Deserialize;
use ui::page::{Letters, Notice};

/// Bytes that a mail program's own button sends at most: a few words.
const BODY: usize = 4096;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::LETTERS_LINK, get(look).post(act))
        .route(page::FORM_LETTERS, post(choose))
        .with_state(pages)
}

async fn look(State(pages): State<Pages>, Id(token): Id<String>, headers: HeaderMap) -> Result<Response> {
    let wish = auth::look_at_wish(pages.auth(), &token).await?;
    Ok(show(&pages, &headers, token, wish.wants_tips, false).await)
}

/// The page's button, or a mail program's, which brings no cookie and a body of either form's kind (RFC 8058 §3.2). The link
/// itself is the proof, and it can do nothing else. What does not say that tips are wanted turns them off.
async fn act(
    State(pages): State<Pages>,
    Id(token): Id<String>,
    headers: HeaderMap,
    visit: Visit,
    Raw(body): Raw<BODY>,
) -> Result<Response> {
    let tips = url::form_urlencoded::parse(&body).any(|(name, value)| name == "tips" && value == "on");
    let wish = auth::look_at_wish(pages.auth(), &token).await?;
    auth::choose_by_link(pages.auth(), wish, tips, &visit).await?;
    Ok(show(&pages, &headers, token, tips, true).await)
}

async fn show(
    pages: &Pages,
    headers: &HeaderMap,
    token: String,
    wants_tips: bool,
    is_done: bool,
) -> Response {
    let notice = |csrf| {
        Notice::Letters(Letters {
            csrf,
            action: page::LETTERS_LINK.replace("{token}", &token),
            wants_tips,
            is_done,
        })
    };
    pages
        .draw_notice(headers, StatusCode::OK, "Letters", notice)
        .await
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    tips: String,
}

async fn choose(sent: Sent<Wanted>) -> Result<Response> {
    let tips = sent.fields.tips == "on";
    let outcome = auth::choose_letters(sent.pages.auth(), &sent.caller, tips, &sent.visit).await;
    let done = if tips {
        "You get tips by letter again."
    } else {
        "You get no more tips by letter."
    };
    sent.told(outcome, done).await
}
