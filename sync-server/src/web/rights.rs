//! What the security page lets people ask for of their account as a whole, and where the letters and sign-ins about it lead.

use crate::asked::{Asked, Id};
use crate::auth::{self, Answered, Visit};
use crate::error::{Error, Result};
use crate::rights::{self, Export as Made};
use crate::web::door::{Link, let_in};
use crate::web::pages::{Pages, signed_in, to_the_door};
use crate::web::security::refused;
use crate::web::sent::{Posted, Sent, link};
use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use protocol::auth::Email;
use protocol::routes::page;
use protocol::{Code, Problem};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tower_http::services::ServeFile;
use ui::page::{Change, EmailLink, EmailUndo, Export, Keep, Notice, Rights, Told};
use uuid::Uuid;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::FORM_LEAVE, post(leave))
        .route(page::KEEP, get(ask_to_keep).post(keep))
        .route(page::FORM_EXPORT, post(ask_for_export))
        .route(page::EXPORT, get(fetch_export))
        .route(page::FORM_EMAIL, post(ask_for_email))
        .route(page::FORM_EMAIL_STOP, post(stop_email))
        .route(page::EMAIL_LINK, get(look_at_email).post(answer_email))
        .route(page::EMAIL_UNDO, get(look_at_undo).post(undo_email))
        .with_state(pages)
}

/// How what somebody asked for stands, for the security page.
pub async fn standing(pages: &Pages, caller: &auth::Caller) -> Result<Rights> {
    let export = match rights::export_of(&pages.rights, caller).await? {
        None => Export::None,
        Some(Made::Waiting) => Export::Waiting,
        Some(Made::Ready { id, bytes, expires }) => Export::Ready {
            path: page::with_id(page::EXPORT, id),
            size: in_words(bytes),
            until: auth::in_words(expires)?,
        },
    };
    let pending = auth::pending_email_change(&pages.auth().pool, caller.user).await?;
    let change = match pending {
        None => None,
        Some(pending) => Some(Change {
            new: pending.new_email,
            has_old_agreed: pending.has_old_agreed,
            has_new_agreed: pending.has_new_agreed,
            until: auth::in_words(pending.expires)?,
        }),
    };
    Ok(Rights { export, change })
}

/// Bytes as people say them.
fn in_words(bytes: u64) -> String {
    const KB: u64 = 1000;
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(KB)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes.div_ceil(KB * KB)),
        _ => format!("{} GB", bytes.div_ceil(KB * KB * KB)),
    }
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    email: String,
}

async fn leave(sent: Sent<Fields>) -> Result<Response> {
    let email = &sent.fields.email;
    match auth::ask_to_delete(sent.pages.auth(), &sent.caller, email, &sent.visit).await {
        Ok((until, cookie)) => {
            let text = format!(
                "It goes for good on {until}. Every device was signed out. To keep it, sign in before then."
            );
            let heading = "Your account will be deleted";
            let way_on = (page::SIGN_IN, "Go to sign in");
            let drawn = tell(&sent.pages, &sent.headers, heading, &text, way_on).await;
            Ok((CookieJar::new().add(cookie), drawn).into_response())
        }
        Err(error) => sent.refused(error).await,
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn ask_to_keep(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(query): Asked<Next>,
) -> Result<Response> {
    draw_keep(&pages, &headers, query.next, None).await
}

async fn draw_keep(
    pages: &Pages,
    headers: &HeaderMap,
    next: String,
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(kept) = auth::keep_look(pages.auth(), headers).await? else {
        return Ok(to_the_door(&next));
    };
    let notice = |csrf, problem| {
        Notice::Keep(Keep {
            csrf,
            next,
            email: kept.email,
            until: kept.until,
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Keep your account?", problem, notice)
        .await)
}

async fn keep(posted: Posted<Next>) -> Result<Response> {
    let (pages, headers, next) = (&posted.pages, &posted.headers, &posted.fields.next);
    let kept = auth::keep(pages.auth(), headers, &posted.visit).await;
    match let_in(kept, next) {
        Ok(response) => Ok(response),
        // the question stands, and is asked again once it may be
        Err(Error::Told(problem)) if problem.code == Code::RateLimited => {
            draw_keep(pages, headers, next.clone(), Some(*problem)).await
        }
        Err(Error::Told(problem)) => Ok(pages
            .draw_end(headers, "Please sign in again", *problem, next)
            .await),
        Err(error) => Err(error),
    }
}

async fn ask_for_export(sent: Sent<IgnoredAny>) -> Result<Response> {
    match rights::ask_for_export(&sent.pages.rights, &sent.caller, &sent.visit).await {
        Ok(()) => Ok(Redirect::to(page::SECURITY).into_response()),
        Err(error) => sent.refused(error).await,
    }
}

/// For its owner's own browser alone; others are told that it is not there.
async fn fetch_export(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Id(id): Id<Uuid>,
    request: Request,
) -> Result<Response> {
    let here = page::with_id(page::EXPORT, id);
    let caller = match signed_in(&pages, &headers, &here).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let path = match rights::fetch_export(&pages.rights, &caller, id, &visit).await {
        Ok(path) => path,
        Err(error) => return refused(&pages, &headers, &caller, error).await,
    };
    let served = ServeFile::new(path).try_call(request).await;
    let mut response = served.context("reading an archive")?.into_response();
    if response.status() == StatusCode::NOT_FOUND {
        // the row says that it is there: this node does not see the others' folder
        return Err(Code::Unavailable.into());
    }
    let attachment = HeaderValue::from_static("attachment; filename=\"compymac-data.zip\"");
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, attachment);
    Ok(response)
}

async fn ask_for_email(sent: Sent<Fields>) -> Result<Response> {
    let asked = async {
        let email = Email::parse(&sent.fields.email)?;
        auth::ask_for_email(sent.pages.auth(), &sent.caller, &email, &sent.visit).await
    };
    match asked.await {
        Ok(()) => Ok(Redirect::to(page::SECURITY).into_response()),
        Err(error) => sent.refused(error).await,
    }
}

async fn stop_email(sent: Sent<IgnoredAny>) -> Result<Response> {
    auth::stop_email_change(sent.pages.auth(), &sent.caller, &sent.visit).await?;
    sent.told(Ok(()), "Your e-mail address stays as it is.").await
}

/// Reads only: mail scanners follow links, and must not answer by it.
async fn look_at_email(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(link): Asked<Link>,
) -> Result<Response> {
    draw_email(&pages, &headers, (&link.id, &link.t), None).await
}

async fn draw_email(
    pages: &Pages,
    headers: &HeaderMap,
    (id, secret): (&str, &str),
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(look) = auth::email_look(pages.auth(), (id, secret)).await? else {
        return Ok(pages.draw_dead_link(headers).await);
    };
    let notice = |csrf, problem| {
        Notice::EmailLink(EmailLink {
            csrf,
            token: format!("{id}~{secret}"),
            new: look.new,
            is_old: look.is_old,
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Change the e-mail address?", problem, notice)
        .await)
}

#[derive(Deserialize)]
struct Pressed {
    #[serde(default)]
    token: String,
    /// Which of the two buttons: `yes` or `no`.
    #[serde(default)]
    answer: String,
}

async fn answer_email(posted: Posted<Pressed>) -> Result<Response> {
    let (pages, headers, pressed) = (&posted.pages, &posted.headers, &posted.fields);
    let link = link(&pressed.token);
    // a form that names neither button answers nothing
    let agrees = match pressed.answer.as_str() {
        "yes" => true,
        "no" => false,
        _ => return draw_email(pages, headers, link, None).await,
    };
    let (heading, text) = match auth::answer_email(pages.auth(), link, agrees, &posted.visit).await {
        Ok(Answered::Half) => (
            "Thank you",
            "Now the letter to the other address has to be answered too. Until then nothing changes.",
        ),
        Ok(Answered::Changed) => (
            "The e-mail address is changed",
            "Sign in with the new address from now on. The old one can take the change back for seven days.",
        ),
        Ok(Answered::Refused) => (
            "Nothing is changed",
            "The e-mail address stays as it is. If you did not ask for this, please change your password.",
        ),
        Err(Error::Told(problem)) => return draw_email(pages, headers, link, Some(*problem)).await,
        Err(error) => return Err(error),
    };
    let way_on = (page::SECURITY, "Go to your account");
    Ok(tell(pages, headers, heading, text, way_on).await)
}

async fn tell(
    pages: &Pages,
    headers: &HeaderMap,
    heading: &str,
    text: &str,
    (address, words): (&str, &str),
) -> Response {
    let told = Told {
        heading: heading.to_owned(),
        text: text.to_owned(),
        way_on: (address.to_owned(), words.to_owned()),
    };
    pages
        .draw_notice(headers, StatusCode::OK, heading, |_csrf| Notice::Told(told))
        .await
}

/// Reads only, as every link of a letter.
async fn look_at_undo(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(link): Asked<Link>,
) -> Result<Response> {
    draw_undo(&pages, &headers, (&link.id, &link.t), None).await
}

async fn draw_undo(
    pages: &Pages,
    headers: &HeaderMap,
    (id, secret): (&str, &str),
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(old) = auth::undo_look(pages.auth(), (id, secret)).await? else {
        return Ok(pages.draw_dead_link(headers).await);
    };
    let notice = |csrf, problem| {
        Notice::EmailUndo(EmailUndo {
            csrf,
            token: format!("{id}~{secret}"),
            old,
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Take the change back?", problem, notice)
        .await)
}

async fn undo_email(posted: Posted<Pressed>) -> Result<Response> {
    let (pages, headers) = (&posted.pages, &posted.headers);
    let link = link(&posted.fields.token);
    match auth::undo_email(pages.auth(), link, &posted.visit).await {
        Ok(()) => {
            let heading = "Your e-mail address is back";
            let text = "Every device was signed out. Please choose a new password by a letter, then sign in with it.";
            let way_on = (page::FORGOT, "Choose a new password");
            Ok(tell(pages, headers, heading, text, way_on).await)
        }
        Err(Error::Told(problem)) => draw_undo(pages, headers, link, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_as_people_say_them() {
        assert_eq!(in_words(0), "0 kB");
        assert_eq!(in_words(1_200), "2 kB");
        assert_eq!(in_words(12_000_000), "12 MB");
        assert_eq!(in_words(3_000_000_000), "3 GB");
    }
}
