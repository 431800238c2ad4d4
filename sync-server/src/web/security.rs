//! The page on which people protect their account, and the forms on it.

use crate::asked::Asked;
use crate::auth::{self, Caller, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::web::door::status_of;
use crate::web::pages::{Hints, Pages, signed_in};
use crate::web::passkeys::shown;
use crate::web::rights;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use http::{HeaderMap, StatusCode};
use protocol::auth::Password;
use protocol::routes::page;
use protocol::{Code, Problem};
use qrcode::{Color, QrCode};
use serde::Deserialize;
use std::fmt::Write as _;
use ui::page::{Accounts, Connected, Event, Notice, Picture, Prove, Security, SetUp};
use uuid::Uuid;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::SECURITY, get(look))
        .route(page::PROVE, get(ask_for_proof).post(prove))
        .route(page::FORM_PASSWORD, post(change_password))
        .route(page::SECOND_STEP_BEGIN, post(begin))
        .route(page::FORM_SECOND_STEP_ON, post(turn_on))
        .route(page::FORM_SECOND_STEP_OFF, post(turn_off))
        .route(page::FORM_RECOVERY_CODES, post(fresh_codes))
        .route(page::FORM_SIGN_OUT_OTHERS, post(sign_out_others))
        .route(page::FORM_UNLINK, post(disconnect))
        .with_state(pages)
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
}

/// A form of somebody who is signed in; others are sent to the door.
pub async fn sent(
    pages: &Pages,
    headers: &HeaderMap,
    csrf: &str,
) -> Result<std::result::Result<Caller, Response>> {
    pages.auth().check_csrf(headers, csrf)?;
    signed_in(pages, headers, page::SECURITY).await
}

async fn look(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(hints): Asked<Hints>,
) -> Result<Response> {
    match signed_in(&pages, &headers, page::SECURITY).await? {
        Ok(caller) => {
            let problem = hints.problem.map(Problem::new);
            draw(&pages, &headers, &caller, problem, None).await
        }
        Err(door) => Ok(door),
    }
}

pub async fn draw(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    problem: Option<Problem>,
    done: Option<&str>,
) -> Result<Response> {
    let safety = auth::safety_of(pages.auth(), caller).await?;
    let rights = rights::standing(pages, caller).await?;
    let accounts = accounts(pages, caller).await?;
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let events = safety.events.into_iter().map(|noted| {
        Ok(Event {
            when: auth::in_words(noted.at)?,
            name: noted.name,
            is_done: noted.is_done,
            reason: noted.reason.unwrap_or_default(),
            prefix: noted.prefix.unwrap_or_default(),
            is_by_operator: noted.is_by_operator,
            times: noted.times,
        })
    });
    let security = Security {
        csrf: String::new(),
        email: caller.email.to_string(),
        has_password: safety.has_password,
        wants_tips: auth::wants_tips(pages.auth(), caller).await?,
        codes_left: safety.codes_left,
        passkeys: safety.passkeys.map(shown).transpose()?,
        is_fresh: safety.is_fresh,
        others: safety.others,
        accounts,
        rights,
        events: events.collect::<Result<_>>()?,
        problem,
        done: done.map(str::to_owned),
    };
    let notice = |csrf| Notice::Security(Box::new(Security { csrf, ..security }));
    Ok(pages.draw_notice(headers, status, "Security", notice).await)
}

/// What is connected, and what could be.
async fn accounts(pages: &Pages, caller: &Caller) -> Result<Accounts> {
    let connected = auth::connected(pages.auth(), caller).await?;
    let mut others = auth::providers(pages.auth());
    others.retain(|other| connected.iter().all(|one| one.provider != other.id));
    let connected = connected.into_iter().map(|one| Connected {
        id: one.id.to_string(),
        name: one.name,
        email: one.email.unwrap_or_default(),
    });
    Ok(Accounts {
        connected: connected.collect(),
        others,
    })
}

/// What was refused is told where it was asked for; who has to show first who they are is led there.
pub async fn refused(pages: &Pages, headers: &HeaderMap, caller: &Caller, error: Error) -> Result<Response> {
    match error {
        Error::Told(problem) if problem.code == Code::ProofRequired => {
            Ok(Redirect::to(page::PROVE).into_response())
        }
        // signed out meanwhile: nothing of the account is shown any more
        Error::Told(problem) if problem.status == 401 => Err(Error::Told(problem)),
        Error::Told(problem) => draw(pages, headers, caller, Some(*problem), None).await,
        error @ Error::Kept(_) => Err(error),
    }
}

async fn ask_for_proof(State(pages): State<Pages>, headers: HeaderMap) -> Result<Response> {
    match signed_in(&pages, &headers, page::SECURITY).await? {
        Ok(caller) => draw_proof(&pages, &headers, &caller, None).await,
        Err(door) => Ok(door),
    }
}

pub async fn draw_proof(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    problem: Option<Problem>,
) -> Result<Response> {
    let safety = auth::safety_of(pages.auth(), caller).await?;
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let notice = |csrf| {
        Notice::Prove(Prove {
            csrf,
            has_password: safety.has_password,
            has_second_step: safety.codes_left.is_some(),
            has_passkey: safety.passkeys.is_some_and(|passkeys| !passkeys.is_empty()),
            problem,
        })
    };
    Ok(pages.draw_notice(headers, status, "Is it you?", notice).await)
}

async fn prove(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let typed = (Password::typed(fields.password), fields.code.as_str());
    match auth::prove(pages.auth(), &caller, typed, &visit).await {
        Ok(cookie) => Ok(proven(cookie)),
        Err(Error::Told(problem)) => draw_proof(&pages, &headers, &caller, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

/// Back to the page, by the cookie that the proof gave.
pub fn proven(cookie: Cookie<'static>) -> Response {
    (CookieJar::new().add(cookie), Redirect::to(page::SECURITY)).into_response()
}

async fn change_password(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::change_password(pages.auth(), &caller, Password::typed(fields.password), &visit).await {
        Ok(()) => {
            let done = "Your password is changed. Every other device was signed out.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

async fn begin(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::begin_second_step(pages.auth(), &caller).await {
        Ok(to_tell) => draw_set_up(&pages, &headers, to_tell, None).await,
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

async fn draw_set_up(
    pages: &Pages,
    headers: &HeaderMap,
    to_tell: auth::ToTell,
    problem: Option<Problem>,
) -> Result<Response> {
    let picture = picture(&to_tell.link)?;
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let notice = |csrf| {
        Notice::SetUp(SetUp {
            csrf,
            picture,
            secret: to_tell.secret,
            problem,
        })
    };
    Ok(pages
        .draw_notice(headers, status, "Set up the second step", notice)
        .await)
}

/// A QR code as one path of squares.
fn picture(link: &str) -> anyhow::Result<Picture> {
    let code = QrCode::new(link)?;
    let side = code.width();
    let mut path = String::new();
    for (row, colors) in code.to_colors().chunks(side).enumerate() {
        for (column, color) in colors.iter().enumerate() {
            if *color == Color::Dark {
                write!(path, "M{column} {row}h1v1h-1z")?;
            }
        }
    }
    Ok(Picture { side, path })
}

async fn turn_on(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let auth = pages.auth();
    match auth::turn_second_step_on(auth, &caller, &fields.code, &visit).await {
        Ok(codes) => Ok(draw_codes(&pages, &headers, codes).await),
        Err(Error::Told(problem)) if matches!(problem.code, Code::InvalidCredentials | Code::RateLimited) => {
            match auth::begun_second_step(auth, &caller).await {
                Ok(Some(to_tell)) => draw_set_up(&pages, &headers, to_tell, Some(*problem)).await,
                Ok(None) => draw(&pages, &headers, &caller, Some(*problem), None).await,
                Err(error) => refused(&pages, &headers, &caller, error).await,
            }
        }
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

async fn draw_codes(pages: &Pages, headers: &HeaderMap, codes: Vec<String>) -> Response {
    let notice = |_csrf| Notice::RecoveryCodes(codes);
    pages
        .draw_notice(headers, StatusCode::OK, "Your recovery codes", notice)
        .await
}

async fn fresh_codes(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::fresh_codes(pages.auth(), &caller, &visit).await {
        Ok(codes) => Ok(draw_codes(&pages, &headers, codes).await),
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

async fn turn_off(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::turn_second_step_off(pages.auth(), &caller, &visit).await {
        Ok(()) => {
            let done = "The second step is off.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

async fn sign_out_others(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &fields.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::sign_out_others(pages.auth(), &caller, &visit).await {
        Ok(_) => {
            let done = "Every other device is signed out.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    csrf: String,
    account: Uuid,
}

async fn disconnect(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Form(which): Form<Which>,
) -> Result<Response> {
    let caller = match sent(&pages, &headers, &which.csrf).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match auth::disconnect(pages.auth(), &caller, which.account, &visit).await {
        Ok(()) => {
            let done = "It is taken away, and signs you in no more.";
            draw(&pages, &headers, &caller, None, Some(done)).await
        }
        Err(error) => refused(&pages, &headers, &caller, error).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_three_corners_of_its_kind() {
        let picture = picture("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ").unwrap();
        let last = picture.side - 7;
        for (column, row) in [(0, 0), (last, 0), (0, last)] {
            assert!(
                picture.path.contains(&format!("M{column} {row}h1v1h-1z")),
                "{column} {row}"
            );
        }
    }
}
