//! The pages on which a code is typed that a program without a browser shows.

use crate::auth::{self, Caller};
use crate::error::{Error, Result};
use crate::web::pages::{Pages, signed_in};
use crate::web::sent::Posted;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use protocol::Problem;
use protocol::routes::page;
use serde::Deserialize;
use ui::page::{DeviceCodeAnswered, DeviceCodeAsk, DeviceCodeFound, Notice, Whence};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::DEVICE_CODE, get(ask).post(go_on))
        .with_state(pages)
}

async fn ask(State(pages): State<Pages>, headers: HeaderMap) -> Result<Response> {
    match signed_in(&pages, &headers, page::DEVICE_CODE).await? {
        Ok(_caller) => Ok(draw_ask(&pages, &headers, String::new(), None).await),
        Err(door) => Ok(door),
    }
}

async fn draw_ask(pages: &Pages, headers: &HeaderMap, code: String, problem: Option<Problem>) -> Response {
    let notice = |csrf, problem| Notice::DeviceCodeAsk(DeviceCodeAsk { csrf, code, problem });
    pages
        .draw_form(headers, "Sign in another device", problem, notice)
        .await
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    code: String,
    /// Which of the two buttons, `yes` or `no`; nothing where the code was just typed.
    #[serde(default)]
    answer: String,
}

async fn go_on(posted: Posted<Fields>) -> Result<Response> {
    let caller = match posted.sender(page::DEVICE_CODE).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let drawn = match posted.fields.answer.as_str() {
        "yes" | "no" => answer(&posted, &caller).await,
        _typed => look(&posted, &caller).await,
    };
    match drawn {
        Err(Error::Told(problem)) => {
            Ok(draw_ask(&posted.pages, &posted.headers, posted.fields.code, Some(*problem)).await)
        }
        drawn => drawn,
    }
}

async fn look(posted: &Posted<Fields>, caller: &Caller) -> Result<Response> {
    let (pages, code) = (&posted.pages, &posted.fields.code);
    let waiting = auth::look_at_device_code(pages.auth(), code, caller, &posted.visit).await?;
    let notice = |csrf| {
        Notice::DeviceCodeFound(DeviceCodeFound {
            csrf,
            code: code.clone(),
            device: waiting.device,
            whence: Whence {
                asked_from: waiting.asked_from,
                minutes_ago: waiting.minutes_ago,
            },
            email: caller.email.to_string(),
        })
    };
    Ok(pages
        .draw_notice(&posted.headers, StatusCode::OK, "Sign in that device?", notice)
        .await)
}

async fn answer(posted: &Posted<Fields>, caller: &Caller) -> Result<Response> {
    let (pages, code) = (&posted.pages, &posted.fields.code);
    let is_yes = posted.fields.answer == "yes";
    let answered = auth::answer_device_code(pages.auth(), code, is_yes, caller, &posted.visit).await?;
    let answered = DeviceCodeAnswered {
        device: answered.device,
        is_allowed: answered.is_allowed,
        is_again: answered.is_again,
    };
    let title = answered.heading();
    let notice = |_csrf| Notice::DeviceCodeAnswered(answered);
    Ok(pages
        .draw_notice(&posted.headers, StatusCode::OK, title, notice)
        .await)
}
