//! The pages of signing in by a letter: asking for it, typing its code, and its link.

use crate::asked::Asked;
use crate::auth;
use crate::error::{Error, Result};
use crate::web::door::{Link, let_in};
use crate::web::pages::Pages;
use crate::web::sent::{Posted, link};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use http::HeaderMap;
use protocol::Problem;
use protocol::auth::Email;
use protocol::routes::page;
use serde::Deserialize;
use ui::page::{LetterAsk, LetterLink, LetterSent, Notice};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::LETTER_ASK, get(ask).post(send))
        .route(page::FORM_LETTER_CODE, post(enter_by_code))
        .route(page::LETTER, get(look).post(open))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn ask(State(pages): State<Pages>, headers: HeaderMap, Asked(query): Asked<Next>) -> Response {
    let fields = Fields {
        next: auth::safe_next(&query.next),
        ..Fields::default()
    };
    draw_ask(&pages, &headers, fields, None).await
}

#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
    /// A box that was ticked: to stay signed in beyond the window.
    #[serde(default)]
    stay: String,
}

async fn draw_ask(pages: &Pages, headers: &HeaderMap, fields: Fields, problem: Option<Problem>) -> Response {
    let notice = |csrf, problem| {
        Notice::LetterAsk(LetterAsk {
            csrf,
            email: fields.email,
            next: fields.next,
            stays: !fields.stay.is_empty(),
            problem,
        })
    };
    pages
        .draw_form(headers, "Sign in by letter", problem, notice)
        .await
}

/// Says the same for every address.
async fn send(posted: Posted<Fields>) -> Result<Response> {
    let (pages, headers, visit) = (&posted.pages, &posted.headers, &posted.visit);
    let next = auth::safe_next(&posted.fields.next);
    let fields = Fields {
        next,
        ..posted.fields
    };
    // the button at the door, which only leads here
    if fields.email.is_empty() {
        return Ok(draw_ask(pages, headers, fields, None).await);
    }
    let asked = async {
        let email = Email::parse(&fields.email)?;
        auth::ask_for_letter(pages.auth(), email, &fields.next, headers, visit).await
    };
    match asked.await {
        Ok(cookie) => {
            let drawn = draw_sent(pages, headers, fields, None).await;
            Ok((CookieJar::new().add(cookie), drawn).into_response())
        }
        Err(Error::Told(problem)) => Ok(draw_ask(pages, headers, fields, Some(*problem)).await),
        Err(error) => Err(error),
    }
}

async fn draw_sent(pages: &Pages, headers: &HeaderMap, fields: Fields, problem: Option<Problem>) -> Response {
    let notice = |csrf, problem| {
        Notice::LetterSent(LetterSent {
            csrf,
            email: fields.email,
            next: fields.next,
            stays: !fields.stay.is_empty(),
            problem,
        })
    };
    pages.draw_form(headers, "Check your mail", problem, notice).await
}

async fn enter_by_code(posted: Posted<Fields>) -> Result<Response> {
    let (pages, headers, fields) = (&posted.pages, &posted.headers, &posted.fields);
    let entered = async {
        let email = Email::parse(&fields.email)?;
        let code = (fields.code.as_str(), !fields.stay.is_empty());
        auth::enter_by_code(pages.auth(), &email, code, headers, &posted.visit).await
    };
    match let_in(entered.await, &fields.next) {
        Ok(response) => Ok(response),
        Err(Error::Told(problem)) => Ok(draw_sent(pages, headers, posted.fields, Some(*problem)).await),
        Err(error) => Err(error),
    }
}

/// Reads only: mail scanners follow links, and must not sign anybody in by it.
async fn look(State(pages): State<Pages>, headers: HeaderMap, Asked(link): Asked<Link>) -> Result<Response> {
    draw_link(&pages, &headers, (&link.id, &link.t), None, None).await
}

#[derive(Deserialize)]
struct Pressed {
    token: String,
    /// Which of the two buttons: `here` or `code`.
    #[serde(default)]
    answer: String,
    #[serde(default)]
    stay: String,
}

async fn open(posted: Posted<Pressed>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields: pressed,
    } = posted;
    let auth = pages.auth();
    let link = link(&pressed.token);
    if pressed.answer == "code" {
        let code = auth::letter_code(auth, link.0, link.1).await?;
        return draw_link(&pages, &headers, link, code, None).await;
    }
    let stays = !pressed.stay.is_empty();
    let look = auth::letter_look(auth, link.0, link.1, &headers).await?;
    let next = look.and_then(|look| look.next).unwrap_or_default();
    match let_in(auth::enter_by_link(auth, link, stays, &visit).await, &next) {
        Ok(response) => Ok(response),
        Err(Error::Told(problem)) => draw_link(&pages, &headers, link, None, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

async fn draw_link(
    pages: &Pages,
    headers: &HeaderMap,
    (id, secret): (&str, &str),
    code: Option<String>,
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(look) = auth::letter_look(pages.auth(), id, secret, headers).await? else {
        return Ok(pages.draw_dead_link(headers).await);
    };
    let notice = |csrf, problem| {
        Notice::LetterLink(LetterLink {
            csrf,
            token: format!("{id}~{secret}"),
            email: look.email,
            is_same_browser: look.next.is_some(),
            code,
            problem,
        })
    };
    Ok(pages.draw_form(headers, "Sign in", problem, notice).await)
}
