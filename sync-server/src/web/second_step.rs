//! The page of a sign-in's second step.

use crate::asked::Asked;
use crate::auth::{self, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::web::door::{let_in, status_of};
use crate::web::pages::Pages;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use protocol::auth::SecondStep as Ask;
use protocol::routes::page;
use protocol::{Code, Problem};
use serde::Deserialize;
use ui::page::{Failed, Notice, SecondStep};

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
    csrf: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

async fn prove(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let auth = pages.auth();
    auth.check_csrf(&headers, &fields.csrf)?;
    let ask = Ask {
        challenge: auth::awaited_step(&headers).unwrap_or_default().to_owned(),
        code: fields.code,
    };
    let entered = auth::second_step(auth, &ask, &headers, &visit).await;
    match let_in(entered, &fields.next) {
        Ok(response) => Ok(response),
        Err(Error::Told(problem)) => draw(&pages, &headers, fields.next, Some(*problem)).await,
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
        return Ok(over(pages, headers, problem).await);
    }
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let notice = |csrf| Notice::SecondStep(SecondStep { csrf, next, problem });
    Ok(pages.draw_notice(headers, status, "One more step", notice).await)
}

/// There is no code that would help now.
async fn over(pages: &Pages, headers: &HeaderMap, problem: Option<Problem>) -> Response {
    let problem = problem
        .filter(|problem| problem.code != Code::InvalidCredentials)
        .unwrap_or_else(auth::second_step_is_over);
    let status = status_of(&problem);
    let way_on = Some((page::SIGN_IN.to_owned(), "Go to sign in".to_owned()));
    let notice = |_csrf| Notice::Failed(Failed { problem, way_on });
    pages
        .draw_notice(headers, status, "Please start again", notice)
        .await
}
