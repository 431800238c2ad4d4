//! The page on which people protect their account, and the forms on it.

use crate::asked::Asked;
use crate::auth::{self, Caller};
use crate::error::{Error, Result};
use crate::web::pages::{Hints, Pages, signed_in};
use crate::web::passkeys::shown;
use crate::web::rights;
use crate::web::sent::Sent;
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
use serde::Deserialize;
use std::mem::take;
use ui::page::{Accounts, Connected, Event, Notice, Prove, Security, SetUp, picture};
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
    password: String,
    #[serde(default)]
    code: String,
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
        problem: None,
        done: done.map(str::to_owned),
    };
    let notice = |csrf, problem| {
        Notice::Security(Box::new(Security {
            csrf,
            problem,
            ..security
        }))
    };
    Ok(pages.draw_form(headers, "Security", problem, notice).await)
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
    let notice = |csrf, problem| {
        Notice::Prove(Prove {
            csrf,
            has_password: safety.has_password,
            has_second_step: safety.codes_left.is_some(),
            has_passkey: safety.passkeys.is_some_and(|passkeys| !passkeys.is_empty()),
            problem,
        })
    };
    Ok(pages.draw_form(headers, "Is it you?", problem, notice).await)
}

async fn prove(mut sent: Sent<Fields>) -> Result<Response> {
    let password = Password::typed(take(&mut sent.fields.password));
    let Sent {
        pages,
        headers,
        visit,
        caller,
        fields,
    } = sent;
    let proven = auth::prove(pages.auth(), &caller, (password, &fields.code), &visit).await;
    show_proven(&pages, &headers, &caller, proven).await
}

/// Back to the page by the cookie that a proof gave, or another try.
pub async fn show_proven(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    proven: Result<Cookie<'static>>,
) -> Result<Response> {
    match proven {
        Ok(cookie) => Ok((CookieJar::new().add(cookie), Redirect::to(page::SECURITY)).into_response()),
        Err(Error::Told(problem)) => draw_proof(pages, headers, caller, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

async fn change_password(mut sent: Sent<Fields>) -> Result<Response> {
    let password = Password::typed(take(&mut sent.fields.password));
    let outcome = auth::change_password(sent.pages.auth(), &sent.caller, password, &sent.visit).await;
    let done = "Your password is changed. Every other device was signed out.";
    sent.told(outcome, done).await
}

async fn begin(sent: Sent<Fields>) -> Result<Response> {
    match auth::begin_second_step(sent.pages.auth(), &sent.caller).await {
        Ok(to_tell) => draw_set_up(&sent.pages, &sent.headers, to_tell, None).await,
        Err(error) => sent.refused(error).await,
    }
}

async fn draw_set_up(
    pages: &Pages,
    headers: &HeaderMap,
    to_tell: auth::ToTell,
    problem: Option<Problem>,
) -> Result<Response> {
    let picture = picture(&to_tell.link).map_err(anyhow::Error::from)?;
    let notice = |csrf, problem| {
        Notice::SetUp(SetUp {
            csrf,
            picture,
            secret: to_tell.secret,
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Set up the second step", problem, notice)
        .await)
}

async fn turn_on(sent: Sent<Fields>) -> Result<Response> {
    let (auth, headers) = (sent.pages.auth(), &sent.headers);
    match auth::turn_second_step_on(auth, &sent.caller, &sent.fields.code, &sent.visit).await {
        Ok(codes) => Ok(draw_codes(&sent.pages, headers, codes).await),
        Err(Error::Told(problem)) if matches!(problem.code, Code::InvalidCredentials | Code::RateLimited) => {
            match auth::begun_second_step(auth, &sent.caller).await {
                Ok(Some(to_tell)) => draw_set_up(&sent.pages, headers, to_tell, Some(*problem)).await,
                Ok(None) => draw(&sent.pages, headers, &sent.caller, Some(*problem), None).await,
                Err(error) => sent.refused(error).await,
            }
        }
        Err(error) => sent.refused(error).await,
    }
}

async fn draw_codes(pages: &Pages, headers: &HeaderMap, codes: Vec<String>) -> Response {
    let notice = |_csrf| Notice::RecoveryCodes(codes);
    pages
        .draw_notice(headers, StatusCode::OK, "Your recovery codes", notice)
        .await
}

async fn fresh_codes(sent: Sent<Fields>) -> Result<Response> {
    match auth::fresh_codes(sent.pages.auth(), &sent.caller, &sent.visit).await {
        Ok(codes) => Ok(draw_codes(&sent.pages, &sent.headers, codes).await),
        Err(error) => sent.refused(error).await,
    }
}

async fn turn_off(sent: Sent<Fields>) -> Result<Response> {
    let outcome = auth::turn_second_step_off(sent.pages.auth(), &sent.caller, &sent.visit).await;
    sent.told(outcome, "The second step is off.").await
}

async fn sign_out_others(sent: Sent<Fields>) -> Result<Response> {
    let outcome = auth::sign_out_others(sent.pages.auth(), &sent.caller, &sent.visit).await;
    sent.told(outcome, "Every other device is signed out.").await
}

#[derive(Deserialize)]
struct Which {
    account: Uuid,
}

async fn disconnect(sent: Sent<Which>) -> Result<Response> {
    let account = sent.fields.account;
    let outcome = auth::disconnect(sent.pages.auth(), &sent.caller, account, &sent.visit).await;
    sent.told(outcome, "It is taken away, and signs you in no more.")
        .await
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
