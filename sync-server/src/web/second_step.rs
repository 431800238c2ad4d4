//! The page of a sign-in's second step.

use crate::asked::Asked;
use crate::auth;
use crate::error::{Error, Result};
use crate::web::door::let_in;
use crate::web::pages::Pages;
use crate::web::sent::Posted;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;
use protocol::auth::SecondStep as Ask;
use protocol::routes::page;
use protocol::{Code, Problem};
use serde::Deserialize;
use ui::page::{Notice, SecondStep};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::SECOND_STEP, get(look).post(prove))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn look(State(pages): State<Pages>, headers: HeaderMap, Asked(query): Asked<Next>) -> Result<Response> {
    draw(&pages, &headers, query.next, None).await
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

async fn prove(posted: Posted<Fields>) -> Result<Response> {
    let (pages, headers, fields) = (&posted.pages, &posted.headers, posted.fields);
    let ask = Ask {
        challenge: auth::awaited_step(headers).unwrap_or_default().to_owned(),
        code: fields.code,
    };
    let entered = auth::second_step(pages.auth(), &ask, headers, &posted.visit).await;
    match let_in(entered, &fields.next) {
        Ok(response) => Ok(response),
        Err(Error::Told(problem)) => draw(pages, headers, fields.next, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

async fn draw(
    pages: &Pages,
    headers: &HeaderMap,
    next: String,
    problem: Option<Problem>,
) -> Result<Response> {
    let is_open = match auth::awaited_step(headers) {
        Some(challenge) => auth::is_second_step_open(pages.auth(), challenge).await?,
        None => false,
    };
    if !is_open {
        // there is no code that would help now
        let problem = problem
            .filter(|problem| problem.code != Code::InvalidCredentials)
            .unwrap_or_else(auth::second_step_is_over);
        return Ok(pages
            .draw_end(headers, "Please start again", problem, &next)
            .await);
    }
    let next = auth::safe_next(&next);
    let notice = |csrf, problem| Notice::SecondStep(SecondStep { csrf, next, problem });
    Ok(pages.draw_form(headers, "One more step", problem, notice).await)
}
