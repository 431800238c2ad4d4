//! The pages of a forgotten password: asking for the letter, and choosing a new one by its link.

use crate::asked::Asked;
use crate::auth;
use crate::error::{Error, Result};
use crate::web::door::Link;
use crate::web::pages::Pages;
use crate::web::sent::{Posted, link};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use protocol::auth::{Email, Password};
use protocol::routes::page;
use protocol::{Code, Problem};
use serde::Deserialize;
use ui::page::{Forgot, NewPassword, Notice};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::FORGOT, get(ask).post(send))
        .route(page::RESET, get(look).post(choose))
        .with_state(pages)
}

async fn ask(State(pages): State<Pages>, headers: HeaderMap, Asked(who): Asked<Who>) -> Response {
    let who = Who {
        email: String::new(),
        ..who
    };
    draw_forgot(&pages, &headers, who, false, None).await
}

#[derive(Deserialize)]
struct Who {
    #[serde(default)]
    email: String,
    /// Where they were going, for the ways back to sign in.
    #[serde(default)]
    next: String,
}

/// Says the same for every address.
async fn send(posted: Posted<Who>) -> Result<Response> {
    let (pages, headers, visit) = (&posted.pages, &posted.headers, &posted.visit);
    let who = posted.fields;
    let asked = async { auth::forgot(pages.auth(), Email::parse(&who.email)?, visit).await };
    match asked.await {
        Ok(()) => Ok(draw_forgot(pages, headers, who, true, None).await),
        Err(Error::Told(problem)) => Ok(draw_forgot(pages, headers, who, false, Some(*problem)).await),
        Err(error) => Err(error),
    }
}

async fn draw_forgot(
    pages: &Pages,
    headers: &HeaderMap,
    who: Who,
    is_sent: bool,
    problem: Option<Problem>,
) -> Response {
    let notice = |csrf, problem| {
        Notice::Forgot(Forgot {
            csrf,
            email: who.email,
            next: auth::safe_next(&who.next),
            is_sent,
            problem,
        })
    };
    pages
        .draw_form(headers, "Forgotten password", problem, notice)
        .await
}

/// Reads only, as every link of a letter.
async fn look(State(pages): State<Pages>, headers: HeaderMap, Asked(link): Asked<Link>) -> Result<Response> {
    draw_new_password(&pages, &headers, (&link.id, &link.t), None).await
}

#[derive(Deserialize)]
struct Chosen {
    token: String,
    #[serde(default)]
    password: String,
}

async fn choose(posted: Posted<Chosen>) -> Result<Response> {
    let (pages, headers) = (&posted.pages, &posted.headers);
    let link = link(&posted.fields.token);
    let password = Password::typed(posted.fields.password);
    match auth::reset(pages.auth(), link, password, &posted.visit).await {
        Ok(()) => {
            let notice = |_csrf| Notice::PasswordChanged;
            Ok(pages
                .draw_notice(headers, StatusCode::OK, "Password changed", notice)
                .await)
        }
        Err(Error::Told(problem)) if problem.code != Code::InvalidOrExpiredLink => {
            draw_new_password(pages, headers, link, Some(*problem)).await
        }
        Err(Error::Told(_)) => Ok(pages.draw_dead_link(headers).await),
        Err(error) => Err(error),
    }
}

async fn draw_new_password(
    pages: &Pages,
    headers: &HeaderMap,
    (id, secret): (&str, &str),
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(email) = auth::reset_look(pages.auth(), id, secret).await? else {
        return Ok(pages.draw_dead_link(headers).await);
    };
    let notice = |csrf, problem| {
        Notice::NewPassword(NewPassword {
            csrf,
            token: format!("{id}~{secret}"),
            email,
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Choose a new password", problem, notice)
        .await)
}
