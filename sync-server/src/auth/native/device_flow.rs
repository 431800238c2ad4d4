//! Signing in where no browser can be opened (RFC 8628): the program shows a code, and a person types it into a browser
//! in which they are signed in.
//!
//! **Invariant:** the browser that looked at a code first is the only one that may answer it, and the page says where the
//! question comes from. No link carries the code.

use super::super::audit_events::{self, Event};
use super::super::finish::{Entrance, Step, finish_sign_in};
use super::super::tries::Whose;
use super::super::{Auth, Caller, Kind, Visit, cookies, users};
use super::authorize::{names_a_key, tidy};
use super::device_codes::{self, Claimed, NewDeviceCode, PAUSE, WAITS};
use super::dpop;
use super::grants::{Granted, Refusal, Shown};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::limits::{Class, Who};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use protocol::auth::Client;
use protocol::oauth::{CLIENT_ID, DeviceCodeAnswer, DeviceCodeAsk, TokenError};
use protocol::routes::{self, page};
use protocol::{Code, Problem, UserId};
use rand::seq::IndexedRandom as _;

/// Consonants that nobody mistakes for one another, and that make no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const HALF: usize = 4;
/// Draws until both codes are free; the second is needed once in thousands of millions.
const DRAWS: usize = 3;

fn fresh_user_code() -> String {
    let mut rng = rand::rng();
    let mut half = || -> String {
        let drawn = (0..HALF).filter_map(|_| LETTERS.choose(&mut rng));
        drawn.map(|letter| char::from(*letter)).collect()
    };
    format!("{}-{}", half(), half())
}

/// What was typed, as it was meant: letters alone, in capitals. `None`: no such code can be.
fn meant(typed: &str) -> Option<String> {
    let letters: String = typed
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .take(2 * HALF + 1)
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let is_code = letters.len() == 2 * HALF && letters.bytes().all(|letter| LETTERS.contains(&letter));
    is_code.then_some(letters)
}

/// Begins: two codes, one for the program and one for its person.
#[utoipa::path(post, path = routes::DEVICE_AUTHORIZATION, tag = "Native app",
    request_body(content = DeviceCodeAsk, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = DeviceCodeAnswer), (status = 400, body = TokenError), (status = 429, body = Problem)))]
pub async fn post_device_authorization(
    State(auth): State<Auth>,
    visit: Visit,
    Form(ask): Form<DeviceCodeAsk>,
) -> Result<Response, Refusal> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::DeviceCode, &whos, Whose::Unknown, &visit)
        .await?;
    if ask.client_id != CLIENT_ID {
        let why = "This server knows no such app.".to_owned();
        return Err(Refusal::InvalidRequest("invalid_client", why));
    }
    if !names_a_key(ask.dpop_jkt.as_deref()) {
        let why = "dpop_jkt must be the base64url SHA-256 thumbprint of the key.".to_owned();
        return Err(Refusal::InvalidRequest("invalid_request", why));
    }
    let client = tidy(Client::Native {
        name: ask.name,
        os: ask.os,
        version: ask.version,
    })?;
    let answer = begin(&auth, &client, ask.dpop_jkt.as_deref(), &visit).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

async fn begin(
    auth: &Auth,
    client: &Client,
    dpop_jkt: Option<&str>,
    visit: &Visit,
) -> Result<DeviceCodeAnswer> {
    for _ in 0..DRAWS {
        let (device_code, user_code) = (cookies::fresh_secret(), fresh_user_code());
        let new = NewDeviceCode {
            device_hash: cookies::digest(&device_code),
            user_hash: cookies::digest(&user_code.replace('-', "")),
            client,
            asked_from: &auth.whence(visit),
            dpop_jkt,
        };
        if device_codes::insert(&auth.pool, &new).await? {
            return Ok(DeviceCodeAnswer {
                device_code,
                user_code,
                verification_uri: auth.config.link(page::DEVICE_CODE),
                expires_in: WAITS.unsigned_abs(),
                interval: PAUSE.unsigned_abs(),
            });
        }
    }
    Err(Problem::new(Code::Busy).retry_after(1).into())
}

/// What the page asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub device: String,
    /// The network that the program asked from.
    pub asked_from: String,
    pub minutes_ago: i64,
}

/// Looks a typed code up, for this browser alone from now on.
pub async fn look_at_device_code(
    auth: &Auth,
    typed: &str,
    caller: &Caller,
    visit: &Visit,
) -> Result<Waiting> {
    if caller.kind != Kind::Browser {
        return Err(Code::SignInRequired.into());
    }
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix), Who::Device(caller.device.0)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::DeviceCodeTry, &whos, whose, visit).await?;
    let Some(claimed) = claim(auth, typed, caller).await? else {
        return Err(mistyped(auth, caller, visit).await);
    };
    auth.0.limits.give_back(Class::DeviceCodeTry, &whos).await;
    Ok(Waiting {
        device: named(&claimed.client),
        asked_from: claimed.asked_from,
        minutes_ago: claimed.seconds_ago / 60,
    })
}

async fn claim(auth: &Auth, typed: &str, caller: &Caller) -> Result<Option<Claimed>> {
    let Some(code) = meant(typed) else {
        return Ok(None);
    };
    let hash = cookies::digest(&code);
    Ok(device_codes::claim(&auth.pool, &hash, caller.user, caller.device).await?)
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub device: String,
    pub is_allowed: bool,
    /// It was answered so before, and nothing is changed by answering again.
    pub is_again: bool,
}

/// The person's answer. The browser that has given one is told which; for every other there is no such code.
pub async fn answer_device_code(
    auth: &Auth,
    typed: &str,
    is_allowed: bool,
    caller: &Caller,
    visit: &Visit,
) -> Result<Answered> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix), Who::Device(caller.device.0)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::DeviceCodeTry, &whos, whose, visit).await?;
    let Some(answered) = answer(auth, typed, is_allowed, caller, visit).await? else {
        return Err(mistyped(auth, caller, visit).await);
    };
    auth.0.limits.give_back(Class::DeviceCodeTry, &whos).await;
    Ok(answered)
}

async fn answer(
    auth: &Auth,
    typed: &str,
    is_allowed: bool,
    caller: &Caller,
    visit: &Visit,
) -> Result<Option<Answered>> {
    let Some(code) = meant(typed) else {
        return Ok(None);
    };
    let hash = cookies::digest(&code);
    let mut tx = auth.pool.begin().await?;
    let decided = device_codes::decide(&mut tx, &hash, caller.device, is_allowed).await?;
    let Some(client) = decided else {
        let before = device_codes::answered(&mut tx, &hash, caller.device).await?;
        return Ok(before.map(|before| Answered {
            device: named(&before.client),
            is_allowed: before.is_allowed,
            is_again: true,
        }));
    };
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "authorize",
        refusal: (!is_allowed).then_some("cancelled"),
        method: "device code",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    Ok(Some(Answered {
        device: named(&client),
        is_allowed,
        is_again: false,
    }))
}

fn named(client: &Client) -> String {
    match client {
        Client::Native { name, .. } => name.clone(),
        Client::Browser => String::new(),
    }
}

/// No code for this browser: that is noted, once the try was counted.
async fn mistyped(auth: &Auth, caller: &Caller, visit: &Visit) -> Error {
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "authorize",
        refusal: Some("wrong code"),
        method: "device code",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Problem::new(Code::InvalidOrExpiredLink)
        .detail("There is no such code, or it is older than ten minutes. Please compare it with the one that is shown.")
        .into()
}

fn wait(error: &'static str, why: &str) -> Refusal {
    Refusal::InvalidRequest(error, why.to_owned())
}

/// A program's code that is worth nothing to whoever shows it: that is noted, as of whoever looked at it in a browser.
async fn refuse(
    auth: &Auth,
    user: Option<UserId>,
    (why, told): (&str, &'static str),
    visit: &Visit,
) -> Refusal {
    let event = Event {
        user,
        device: None,
        name: "sign_in",
        refusal: Some(why),
        method: "device code",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Refusal::InvalidGrant(told)
}

/// The program asks whether it may come in.
pub(super) async fn redeem(auth: &Auth, device_code: &str, shown: Shown, visit: &Visit) -> Granted {
    let hash = cookies::digest(device_code);
    let whose = device_codes::whose(&auth.pool, &hash).await?;
    let mut tx = auth.pool.begin().await?;
    if let Some(user) = whose {
        users::hold(&mut tx, user).await?;
    }
    let asked = device_codes::ask(&mut tx, &hash).await?;
    let Some(asked) = asked.filter(|_| shown.client_id == CLIENT_ID) else {
        drop(tx);
        let why = ("unknown code", "This code is not known or was used already.");
        return Err(refuse(auth, whose, why, visit).await);
    };
    if !dpop::is_shown(asked.dpop_jkt.as_deref(), shown.key.as_ref()) {
        drop(tx);
        let why = ("another key", "This code was asked for with another key.");
        return Err(refuse(auth, whose, why, visit).await);
    }
    if !asked.is_live {
        return Err(wait(
            "expired_token",
            "Nobody answered within ten minutes. Please begin again.",
        ));
    }
    // who looked since then is not held: the program asks again in a moment
    let Some(is_allowed) = asked.is_allowed.filter(|_| whose.is_some()) else {
        device_codes::asked(&mut tx, &hash, asked.is_too_soon).await?;
        tx.commit().await?;
        return Err(if asked.is_too_soon {
            wait("slow_down", "Please ask less often.")
        } else {
            wait("authorization_pending", "The code has not been answered yet.")
        });
    };
    device_codes::use_up(&mut tx, &hash).await?;
    let Some(user) = asked.user_id.filter(|_| is_allowed && asked.is_vouched_for) else {
        tx.commit().await?;
        return Err(wait("access_denied", "The sign-in was refused in the browser."));
    };
    let entrance = Entrance {
        user: UserId(user),
        method: "device code".to_owned(),
        client: asked.client.0,
        link: None,
        // by the browser that let this program in
        step: Step::Second,
        stays: true,
        key: shown.key,
    };
    let admission = match finish_sign_in(auth, &mut tx, entrance, visit).await {
        Ok(admission) => admission,
        Err(Error::Told(problem)) if problem.status == 403 => {
            return Err(wait("access_denied", "This account cannot be signed in to."));
        }
        Err(error) => return Err(error.into()),
    };
    tx.commit().await?;
    Ok(admission.announce(auth)?.signed_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_was_meant() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "B-C-D-F-G-H-J-K"] {
            assert_eq!(meant(typed).as_deref(), Some("BCDFGHJK"), "{typed}");
        }
        let long = "B".repeat(1_000_000);
        for typed in ["", "BCDF", "BCDF-GHJA", "BCDF-GHJKL", "ПРСТ-ПРСТ", &long] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }

    #[test]
    fn fresh_codes_are_codes_and_no_two_alike() {
        let codes: std::collections::HashSet<String> = (0..200).map(|_| fresh_user_code()).collect();
        assert_eq!(codes.len(), 200);
        assert!(codes.iter().all(|code| meant(code).is_some()));
    }
}
