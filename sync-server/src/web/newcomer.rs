//! The page where somebody new types the code that proves an address for which their provider does not vouch.

use crate::auth::{self, Newcomer};
use crate::error::{Error, Result};
use crate::web::door::let_in;
use crate::web::pages::Pages;
use crate::web::sent::Posted;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use protocol::routes::page;
use protocol::{Code, Problem};
use serde::Deserialize;
use ui::page::{Newcomer as Page, Notice};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::NEWCOMER, get(look).post(answer))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    code: String,
    /// `again`: for another letter.
    #[serde(default)]
    answer: String,
    /// A box that was ticked: to stay signed in beyond the window.
    #[serde(default)]
    stay: String,
}

/// Nobody waits in this browser: it is another one, or it took too long.
fn begin_again() -> Response {
    auth::back_to_sign_in(Code::StateMismatch.into(), "")
}

async fn look(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    match auth::newcomer(pages.auth(), &headers) {
        Some(waiting) => draw(&pages, &headers, waiting, None).await,
        None => begin_again(),
    }
}

async fn answer(posted: Posted<Fields>) -> Result<Response> {
    let (pages, headers, fields) = (&posted.pages, &posted.headers, &posted.fields);
    let auth = pages.auth();
    let Some(mut waiting) = auth::newcomer(auth, headers) else {
        return Ok(begin_again());
    };
    if fields.answer == "again" {
        return match auth::newcomer_again(auth, headers, &posted.visit).await {
            Ok(()) => Ok(draw(pages, headers, waiting, None).await),
            Err(Error::Told(problem)) => Ok(draw(pages, headers, waiting, Some(*problem)).await),
            Err(error) => Err(error),
        };
    }
    waiting.stays = !fields.stay.is_empty();
    let code = (fields.code.as_str(), waiting.stays);
    let entered = auth::enter_as_newcomer(auth, code, headers, &posted.visit).await;
    match let_in(entered, &waiting.next) {
        Ok(response) => Ok(response),
        // somebody else has proven the address meanwhile, and signs in as they do
        Err(Error::Told(problem)) if problem.code == Code::LinkRequired => {
            Ok(auth::back_to_sign_in(Error::Told(problem), &waiting.next))
        }
        Err(Error::Told(problem)) => Ok(draw(pages, headers, waiting, Some(*problem)).await),
        Err(error) => Err(error),
    }
}

/// The same whether or not there is an account with the address.
async fn draw(pages: &Pages, headers: &HeaderMap, waiting: Newcomer, problem: Option<Problem>) -> Response {
    let notice = |csrf, problem| {
        Notice::Newcomer(Page {
            csrf,
            email: waiting.email,
            provider: waiting.provider,
            next: waiting.next,
            stays: waiting.stays,
            problem,
        })
    };
    pages.draw_form(headers, "Check your mail", problem, notice).await
}
