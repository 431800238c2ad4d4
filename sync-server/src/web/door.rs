//! The door without WebAssembly: signing up, in and out, confirming an address, and letting the app in.

use crate::asked::Asked;
use crate::auth::{self, Entry};
use crate::error::{Error, Result};
use crate::web::leaving::lead_on;
use crate::web::pages::{Pages, Said, signed_in};
use crate::web::sent::{Posted, link};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use http::{HeaderMap, StatusCode, header};
use protocol::auth::{Client, Email, Password, Provider, Resend, SignIn, SignUp, Verify, Work as Done};
use protocol::routes::{self, page};
use protocol::view::Typed;
use protocol::{Code, Problem};
use serde::Deserialize;
use serde::de::IgnoredAny;
use ui::page::{Authorize, Authorized, Failed, Notice, ToProvider, VerifyLink, Whence, Work};

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::FORM_SIGN_IN, post(sign_in))
        .route(page::FORM_SIGN_UP, post(sign_up))
        .route(page::FORM_SIGN_OUT, post(sign_out))
        .route(page::FORM_CHECK_MAIL, post(check_mail))
        .route(page::FORM_RESEND, post(resend))
        .route(page::VERIFY, get(look_at_link).post(confirm_link))
        .route(routes::AUTHORIZE, get(ask_to_authorize).post(authorize))
        .with_state(pages)
}

/// The fields of every form at the door; each form has some of them.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
    /// A box that was ticked: to stay signed in beyond the window.
    #[serde(default)]
    stay: String,
    /// Of the page that asks for work: what was typed before, and the work.
    #[serde(default)]
    folded: String,
    #[serde(default)]
    challenge: String,
    #[serde(default)]
    answer: String,
}

impl Fields {
    fn typed_now(self) -> (Self, Password) {
        let password = Password::typed(self.password.as_str());
        (self, password)
    }

    fn work(&self) -> Option<Done> {
        (!self.answer.is_empty()).then(|| Done {
            challenge: self.challenge.clone(),
            answer: self.answer.clone(),
        })
    }

    fn stays(&self) -> bool {
        !self.stay.is_empty()
    }

    /// What is shown again: never the password.
    fn typed(&self) -> Typed {
        Typed {
            email: self.email.clone(),
            next: auth::safe_next(&self.next),
            stays: self.stays(),
            ..Typed::default()
        }
    }
}

/// A refusal on the page that it is about; anything else goes on.
pub async fn refused(
    pages: &Pages,
    headers: &HeaderMap,
    path: &str,
    typed: Typed,
    error: Error,
) -> Result<Response> {
    let problem = match error {
        Error::Told(problem) if problem.code != Code::CsrfFailed => *problem,
        Error::Told(_) | Error::Kept(_) => return Err(error),
    };
    let said = Said {
        problem: Some(problem),
        typed,
    };
    Ok(pages.draw(headers, path, pages.boot(None, said)).await)
}

/// In, and on to where the person was going; where something more is wanted, to its page first.
pub fn let_in(entered: Result<Entry>, next: &str) -> Result<Response> {
    match entered {
        Ok(entry) => {
            let jar = entry.cookies.into_iter().fold(CookieJar::new(), CookieJar::add);
            Ok((jar, Redirect::to(&auth::safe_next(next))).into_response())
        }
        Err(Error::Told(problem)) => match auth::goes_on(&problem, next) {
            Some(response) => Ok(response),
            None => Err(Error::Told(problem)),
        },
        Err(error) => Err(error),
    }
}

async fn sign_in(posted: Posted<Fields>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields,
    } = posted;
    let auth = pages.auth();
    let entered = async {
        let email = Email::parse(&fields.email)?;
        let password = Password::typed(fields.password.as_str());
        auth::sign_in(
            auth,
            SignIn {
                email,
                password,
                binding: None,
                client: Client::Browser,
                stay: fields.stays(),
            },
            &headers,
            &visit,
        )
        .await
    };
    match let_in(entered.await, &fields.next) {
        Ok(response) => Ok(response),
        // the letter is on its way, and its code is typed there
        Err(Error::Told(problem)) if problem.code == Code::EmailUnverified => {
            refused(
                &pages,
                &headers,
                page::CHECK_MAIL,
                fields.typed(),
                Error::Told(problem),
            )
            .await
        }
        Err(error) => refused(&pages, &headers, page::SIGN_IN, fields.typed(), error).await,
    }
}

async fn sign_up(posted: Posted<Fields>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields,
    } = posted;
    let auth = pages.auth();
    let (fields, password) = match auth::unfold_form(auth, &fields.folded) {
        Some((email, password)) => (Fields { email, ..fields }, password),
        None => fields.typed_now(),
    };
    let begun = async {
        let ask = SignUp {
            email: Email::parse(&fields.email)?,
            password: password.clone(),
            name: None,
            work: fields.work(),
        };
        auth::sign_up(auth, ask, &fields.next, &headers, &visit).await
    };
    match begun.await {
        Ok(begun) => {
            let drawn = check_your_mail(&pages, &headers, fields.typed()).await;
            Ok((CookieJar::new().add(begun.cookie), drawn).into_response())
        }
        Err(Error::Told(problem)) if problem.code == Code::WorkRequired => {
            Ok(ask_for_work(&pages, &headers, &fields, &password, *problem).await)
        }
        Err(error) => refused(&pages, &headers, page::SIGN_UP, fields.typed(), error).await,
    }
}

/// A letter is on its way.
async fn check_your_mail(pages: &Pages, headers: &HeaderMap, typed: Typed) -> Response {
    let said = Said { problem: None, typed };
    let boot = pages.boot(None, said);
    pages.draw(headers, page::CHECK_MAIL, boot).await
}

async fn ask_for_work(
    pages: &Pages,
    headers: &HeaderMap,
    fields: &Fields,
    password: &Password,
    problem: Problem,
) -> Response {
    let folded = auth::fold_form(pages.auth(), &fields.email, password.expose());
    let next = auth::safe_next(&fields.next);
    let notice = |csrf| {
        Notice::Work(Work {
            csrf,
            next,
            folded,
            challenge: problem.challenge.clone().unwrap_or_default(),
            bits: problem.limit.unwrap_or_default(),
            minutes: problem.retry_after.unwrap_or_default().div_ceil(60),
            problem: problem.detail.is_some().then_some(problem),
        })
    };
    pages
        .draw_notice(headers, StatusCode::FORBIDDEN, "One moment", notice)
        .await
}

async fn check_mail(posted: Posted<Fields>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields,
    } = posted;
    let auth = pages.auth();
    let entered = async {
        let email = Email::parse(&fields.email)?;
        let ask = Verify {
            email,
            code: fields.code.clone(),
            binding: None,
            client: Client::Browser,
            stay: fields.stays(),
        };
        auth::verify(auth, ask, &headers, &visit).await
    };
    match let_in(entered.await, &fields.next) {
        Ok(response) => Ok(response),
        Err(error) => refused(&pages, &headers, page::CHECK_MAIL, fields.typed(), error).await,
    }
}

async fn resend(posted: Posted<Fields>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields,
    } = posted;
    let auth = pages.auth();
    let sent = async {
        let email = Email::parse(&fields.email)?;
        auth::resend(auth, &Resend { email }, &headers, &visit).await
    };
    match sent.await {
        Ok(()) => Ok(check_your_mail(&pages, &headers, fields.typed()).await),
        Err(error) => refused(&pages, &headers, page::CHECK_MAIL, fields.typed(), error).await,
    }
}

async fn sign_out(posted: Posted<IgnoredAny>) -> Result<Response> {
    match posted.sender(page::HOME).await? {
        Ok(caller) => {
            let cookie = auth::sign_out(posted.pages.auth(), &caller, &posted.visit).await?;
            Ok((CookieJar::new().add(cookie), Redirect::to(page::SIGN_IN)).into_response())
        }
        Err(_already_out) => Ok(Redirect::to(page::SIGN_IN).into_response()),
    }
}

/// A letter's link.
#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub t: String,
}

#[derive(Deserialize)]
struct Confirmation {
    token: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    stay: String,
}

/// Reads only: mail scanners follow links, and must not confirm anything by it.
async fn look_at_link(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(link): Asked<Link>,
) -> Result<Response> {
    draw_link(&pages, &headers, (&link.id, &link.t), None).await
}

async fn confirm_link(posted: Posted<Confirmation>) -> Result<Response> {
    let Posted {
        pages,
        headers,
        visit,
        fields: confirmation,
    } = posted;
    let link = link(&confirmation.token);
    let pressed = auth::Pressed {
        password: confirmation
            .password
            .filter(|text| !text.is_empty())
            .map(Password::typed),
        stays: !confirmation.stay.is_empty(),
    };
    let look = auth::verify_link_look(pages.auth(), link.0, link.1, &headers).await?;
    let next = look.and_then(|look| look.next).unwrap_or_default();
    let entered = auth::verify_link(pages.auth(), link, pressed, &headers, &visit).await;
    match let_in(entered, &next) {
        Ok(response) => Ok(response),
        Err(Error::Told(problem)) => draw_link(&pages, &headers, link, Some(*problem)).await,
        Err(error) => Err(error),
    }
}

async fn draw_link(
    pages: &Pages,
    headers: &HeaderMap,
    (id, secret): (&str, &str),
    problem: Option<Problem>,
) -> Result<Response> {
    let Some(look) = auth::verify_link_look(pages.auth(), id, secret, headers).await? else {
        return Ok(pages.draw_dead_link(headers).await);
    };
    let notice = |csrf, problem| {
        Notice::VerifyLink(VerifyLink {
            csrf,
            token: format!("{id}~{secret}"),
            email: Some(look.email),
            wants_password: look.next.is_none(),
            problem,
        })
    };
    Ok(pages
        .draw_form(headers, "Confirm your address", problem, notice)
        .await)
}

#[derive(Deserialize)]
struct Request {
    request_uri: String,
}

#[derive(Deserialize)]
struct Consent {
    request_uri: String,
    /// Which of the two buttons: `yes` or `no`.
    #[serde(default)]
    answer: String,
}

/// Always asks, signed in or not: a page that opens this address must not get a code by itself (ASVS 10.7.1).
async fn ask_to_authorize(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Asked(request): Asked<Request>,
) -> Result<Response> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("request_uri", &request.request_uri)
        .finish();
    let here = format!("{}?{query}", routes::AUTHORIZE);
    let who = signed_in(&pages, &headers, &here).await?;
    let caller = who.as_ref().ok();
    let asked = auth::authorize_look(pages.auth(), &request.request_uri, caller).await?;
    match who {
        Ok(caller) => {
            let email = caller.email.to_string();
            Ok(draw_request(&pages, &headers, (asked, email), request.request_uri, None).await)
        }
        Err(door) => {
            let chosen = auth::providers(pages.auth())
                .into_iter()
                .find(|known| Some(&known.id) == asked.provider.as_ref());
            match chosen {
                Some(provider) => {
                    let other_ways = location(&door);
                    let ways = (here, other_ways);
                    Ok(draw_way(&pages, &headers, (asked, provider), ways).await)
                }
                None => Ok(door),
            }
        }
    }
}

/// The app's button "Continue with …" leads to that provider, by a press here too: no page of somebody else's that opens this
/// address signs anybody in by itself (ASVS 7.6.2).
async fn draw_way(
    pages: &Pages,
    headers: &HeaderMap,
    (asked, provider): (auth::Asked, Provider),
    (next, other_ways): (String, String),
) -> Response {
    let notice = |csrf| {
        Notice::ToProvider(ToProvider {
            csrf,
            provider,
            device: asked.device,
            next,
            other_ways,
        })
    };
    pages
        .draw_notice(headers, StatusCode::OK, "Sign in to go on", notice)
        .await
}

/// Where a redirect leads.
fn location(redirect: &Response) -> String {
    let location = redirect.headers().get(header::LOCATION);
    let location = location.and_then(|path| path.to_str().ok());
    location.unwrap_or(page::SIGN_IN).to_owned()
}

async fn draw_request(
    pages: &Pages,
    headers: &HeaderMap,
    (asked, email): (auth::Asked, String),
    request_uri: String,
    problem: Option<Problem>,
) -> Response {
    let notice = |csrf| {
        Notice::Authorize(Authorize {
            action: routes::AUTHORIZE.to_owned(),
            csrf,
            fields: vec![("request_uri".to_owned(), request_uri)],
            device: asked.device,
            whence: Whence {
                asked_from: asked.asked_from,
                minutes_ago: asked.minutes_ago,
            },
            email,
            other_account: None,
            problem,
        })
    };
    pages
        .draw_notice(headers, StatusCode::OK, "Continue to CompyMac", notice)
        .await
}

/// The button: makes the code and leads home to the app.
async fn authorize(posted: Posted<Consent>) -> Result<Response> {
    let caller = match posted.sender(page::HOME).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let Posted {
        pages,
        headers,
        visit,
        fields: consent,
    } = posted;
    let auth = pages.auth();
    if consent.answer == "no" {
        let link = auth::authorize_cancel(auth, &consent.request_uri, &caller, &visit).await?;
        return Ok(cancelled(&pages, &headers, link).await);
    }
    let handover = auth::authorize_confirm(auth, &consent.request_uri, &caller, &visit).await?;
    let link = handover.link.clone();
    let notice = |_csrf| {
        Notice::Authorized(Authorized {
            device: handover.device,
            link: handover.link,
            code: handover.code,
        })
    };
    let mut response = pages
        .draw_notice(&headers, StatusCode::OK, "You can go back to the app", notice)
        .await;
    lead_on(&mut response, &link);
    Ok(response)
}

/// The app that waits is told too.
async fn cancelled(pages: &Pages, headers: &HeaderMap, link: String) -> Response {
    let way_on = Some((link.clone(), "Back to the app".to_owned()));
    let problem = Problem::new(Code::ProviderCancelled);
    let notice = |_csrf| Notice::Failed(Failed { problem, way_on });
    let mut response = pages
        .draw_notice(headers, StatusCode::OK, "Sign-in was cancelled", notice)
        .await;
    lead_on(&mut response, &link);
    response
}
