//! The pages on which a code is typed that a program without a browser shows.

use crate::auth::{self, Caller, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::web::door::status_of;
use crate::web::pages::{Pages, signed_in};
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
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let notice = |csrf| Notice::DeviceCodeAsk(DeviceCodeAsk { csrf, code, problem });
    pages
        .draw_notice(headers, status, "Sign in another device", notice)
        .await
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    code: String,
    /// Which of the two buttons, `yes` or `no`; nothing where the code was just typed.
    #[serde(default)]
    answer: String,
}

async fn go_on(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let auth = pages.auth();
    auth.check_csrf(&headers, &fields.csrf)?;
    let caller = match signed_in(&pages, &headers, page::DEVICE_CODE).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let drawn = match fields.answer.as_str() {
        "yes" | "no" => answer(&pages, &headers, &caller, &visit, &fields).await,
        _typed => look(&pages, &headers, &caller, &visit, &fields).await,
    };
    match drawn {
        Err(Error::Told(problem)) => Ok(draw_ask(&pages, &headers, fields.code, Some(*problem)).await),
        drawn => drawn,
    }
}

async fn look(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    visit: &Visit,
    fields: &Fields,
) -> Result<Response> {
    let waiting = auth::look_at_device_code(pages.auth(), &fields.code, caller, visit).await?;
    let notice = |csrf| {
        Notice::DeviceCodeFound(DeviceCodeFound {
            csrf,
            code: fields.code.clone(),
            device: waiting.device,
            whence: Whence {
                asked_from: waiting.asked_from,
                minutes_ago: waiting.minutes_ago,
            },
            email: caller.email.to_string(),
        })
    };
    Ok(pages
        .draw_notice(headers, StatusCode::OK, "Sign in that device?", notice)
        .await)
}

async fn answer(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    visit: &Visit,
    fields: &Fields,
) -> Result<Response> {
    let is_allowed = fields.answer == "yes";
    let device = auth::answer_device_code(pages.auth(), &fields.code, is_allowed, caller, visit).await?;
    let notice = |_csrf| Notice::DeviceCodeAnswered(DeviceCodeAnswered { device, is_allowed });
    let title = if is_allowed {
        "It is signed in"
    } else {
        "It was not signed in"
    };
    Ok(pages.draw_notice(headers, StatusCode::OK, title, notice).await)
}
