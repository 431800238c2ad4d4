//! The second step of a sign-in: whoever has one is asked for it, whatever the first step was.
//!
//! **Invariant:** between the two steps there is no device. What the client holds then is good for five tries at one code.

mod app_code;
pub(super) mod challenges;
mod recovery_codes;
mod second_factors;
pub(super) mod turning;

pub use challenges::{purge as purge_challenges, void_all as void_challenges};
pub use second_factors::{Sealed, is_on, purge as purge_begun, reseal, sealed_after, unmarked_after};

use super::audit_events::{self, Event};
use super::cookies::STEP;
use super::finish::{Entrance, Entry, Step, finish_sign_in, plain};
use super::native::dpop::{self, Thumbprint};
use super::next::by_way_of;
use super::tries::Whose;
use super::{Auth, Caller, Visit, codes, cookies, deletion, seal, users};
use crate::body::Json;
use crate::database::{Pool, Transaction};
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::CookieJar;
use challenges::{Challenge, NewChallenge};
use http::HeaderMap;
use protocol::auth::{Email, Password, SecondStep, SignedIn};
use protocol::routes::page;
use protocol::{Code, Problem, UserId, routes};
use second_factors::Factor;
use time::{Duration, OffsetDateTime};

/// How long the second step may take.
const WAITS: Duration = Duration::minutes(10);
/// Characters of a recovery code: four to find it by, ten (50 bits) that are hashed as a password is.
const RECOVERY_CHARS: usize = 14;
const SELECTOR_CHARS: usize = 4;
/// Wrong codes in a row that their owner is told of: as many as one sign-in lets anybody try. Who mistypes stops before.
const ROW: i16 = 5;
/// Where the shared secret is sealed for.
pub const PLACE: &str = "second_factors.secret";

/// Proves the second step of a sign-in, which is then done.
#[utoipa::path(post, path = routes::SECOND_STEP, tag = "Signing in", request_body = SecondStep,
    responses((status = 200, body = SignedIn), (status = 401, body = Problem), (status = 410, body = Problem),
              (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn post_second_step(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(ask): Json<SecondStep>,
) -> Result<Entry> {
    second_step(&auth, &ask, &headers, &visit).await
}

pub async fn second_step(auth: &Auth, ask: &SecondStep, headers: &HeaderMap, visit: &Visit) -> Result<Entry> {
    let proof = auth.proof(headers, routes::SECOND_STEP)?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::SecondStep, &whos, Whose::Unknown, visit).await?;
    let secret_hash = cookies::digest(&ask.challenge);
    // the account's count first: a try that it refuses is none of the challenge's five
    let email = challenges::whose(&auth.pool, &secret_hash)
        .await?
        .ok_or_else(too_late)?;
    let account = auth.account_key(&email);
    let (whos, whose) = ([Who::Account(&account)], Whose::Email(&email));
    auth.take(Class::SecondStep, &whos, whose, visit).await?;
    let challenge = challenges::take_try(&auth.pool, &secret_hash).await?;
    let challenge = challenge.ok_or_else(too_late)?;
    auth.must_come_from_its_client(headers, &challenge.client)?;
    let key = auth.use_up(proof).await?;
    if !dpop::is_shown(challenge.dpop_jkt.as_deref(), key.as_ref()) {
        return Err(dpop::another_key().into());
    }
    let proven = auth.compare_code(challenge.user, &ask.code).await?;
    let Some(proven) = proven else {
        return Err(refuse(auth, &challenge, visit).await?.into());
    };
    let mut tx = auth.pool.begin().await?;
    users::hold(&mut tx, challenge.user).await?;
    if !proven.use_up(auth, &mut tx, &challenge.email, visit).await? {
        drop(tx);
        return Err(refuse(auth, &challenge, visit).await?.into());
    }
    if !challenges::consume(&mut tx, &secret_hash).await? {
        return Err(too_late().into());
    }
    let link = challenge.link.map(serde_json::from_value).transpose();
    let entrance = Entrance {
        user: challenge.user,
        method: format!("{}, {}", challenge.method, proven.name()),
        client: challenge.client,
        link: link.context("reading what was to be linked")?,
        step: Step::Second,
        stays: challenge.stays,
        key,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    tx.commit().await?;
    let whos = [Who::Address(&prefix), Who::Account(&account)];
    auth.0.limits.give_back(Class::SecondStep, &whos).await;
    admission.announce(auth)
}

/// What this browser holds between the two steps.
pub fn awaited_step(headers: &HeaderMap) -> Option<&str> {
    cookies::read(headers, STEP)
}

/// Where a browser goes on whose sign-in waits for something more. `None`: it does not.
pub fn goes_on(problem: &Problem, next: &str) -> Option<Response> {
    if problem.code == Code::SecondStepRequired {
        Some(on_to_second_step(problem, next))
    } else if problem.code == Code::AccountLeaving {
        deletion::on_to_question(problem, next)
    } else {
        None
    }
}

/// The browser that proved the first step goes on to the page of the second.
fn on_to_second_step(problem: &Problem, next: &str) -> Response {
    let challenge = problem.challenge.clone().unwrap_or_default();
    let cookie = cookies::set(STEP, challenge, Some(WAITS.whole_seconds()));
    let target = by_way_of(page::SECOND_STEP, next);
    (CookieJar::new().add(cookie), Redirect::to(&target)).into_response()
}

/// Recovery codes that are left; `None`: there is no second step.
pub async fn codes_left(auth: &Auth, caller: &Caller) -> Result<Option<i64>> {
    Ok(left(&auth.pool, caller.user).await?)
}

/// As [`codes_left`], of any user.
pub async fn left(pool: &Pool, user: UserId) -> sqlx::Result<Option<i64>> {
    let factor = second_factors::read(pool, user).await?;
    if !factor.is_some_and(|factor| factor.is_on) {
        return Ok(None);
    }
    Ok(Some(recovery_codes::left(pool, user).await?))
}

/// Turns it off whoever asks, with what was begun under it. False: there was none.
pub async fn forget(db: &mut Transaction, user: UserId) -> sqlx::Result<bool> {
    let is_forgotten = second_factors::turn_off(&mut *db, user).await?;
    challenges::void_all(db, user).await?;
    Ok(is_forgotten)
}

/// Whether the page has anything to ask for.
pub async fn is_second_step_open(auth: &Auth, challenge: &str) -> Result<bool> {
    let whose = challenges::whose(&auth.pool, &cookies::digest(challenge)).await?;
    Ok(whose.is_some())
}

pub fn too_late() -> Problem {
    Problem::new(Code::InvalidOrExpiredLink)
        .detail("This sign-in took too long, or too many codes were tried. Please start again.")
}

async fn refuse(auth: &Auth, challenge: &Challenge, visit: &Visit) -> Result<Problem> {
    let event = Event {
        user: Some(challenge.user),
        device: None,
        name: "sign_in",
        refusal: Some("wrong code"),
        method: "second step",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    tell_of_wrong(auth, challenge.user, &challenge.email, visit).await?;
    Ok(wrong_code())
}

/// After a wrong code of somebody who has shown the first step: several in a row are no slip, and whose account it is should
/// know. At most one letter a day, whoever goes on with it.
pub async fn tell_of_wrong(auth: &Auth, user: UserId, email: &Email, visit: &Visit) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    // the user's row first, as whoever turns the second step off has it first
    if !users::hold(&mut tx, user).await? {
        return Ok(());
    }
    let is_to_tell = second_factors::count_wrong(&mut tx, user, ROW).await?;
    if is_to_tell {
        let letter = Letter::SecondStepFailed {
            when: auth.now_and_where(visit)?,
            link: auth.config.link(page::SECURITY),
        };
        mail::put(&mut tx, Some(user), email, &letter).await?;
    }
    tx.commit().await?;
    if is_to_tell {
        auth.letters_wait();
    }
    Ok(())
}

pub fn wrong_code() -> Problem {
    Problem::new(Code::InvalidCredentials).field("code").detail(
        "That code is not right, or was used already. Please try the next one that your app shows, or another recovery code.",
    )
}

/// Begins what a sign-in still waits for, the second step or whether the account is kept; gives what the client has to hold.
pub async fn begin(db: &mut Transaction, entrance: &Entrance, is_to_keep: bool) -> Result<String> {
    let secret = cookies::fresh_secret();
    let link = entrance.link.as_ref().map(serde_json::to_value).transpose();
    let new = NewChallenge {
        secret_hash: cookies::digest(&secret),
        user: entrance.user,
        method: &entrance.method,
        client: &plain(&entrance.client),
        dpop_jkt: entrance.key.as_ref().map(Thumbprint::as_str),
        link: link.context("keeping what is to be linked")?,
        is_to_keep,
        stays: entrance.stays,
        expires: OffsetDateTime::now_utc() + WAITS,
    };
    challenges::insert(db, &new).await?;
    Ok(secret)
}

/// A code that is right; it is used up in the transaction of what it is for.
pub enum Proven {
    App { user: UserId, step: i64 },
    Recovery { user: UserId, selector: String },
}

impl Proven {
    const fn name(&self) -> &'static str {
        match self {
            Self::App { .. } => "authenticator app",
            Self::Recovery { .. } => "recovery code",
        }
    }

    /// False: it was used already.
    pub async fn use_up(
        &self,
        auth: &Auth,
        db: &mut Transaction,
        email: &Email,
        visit: &Visit,
    ) -> Result<bool> {
        match self {
            Self::App { user, step } => Ok(second_factors::use_step(db, *user, *step).await?),
            Self::Recovery { user, selector } => {
                // the factor's row first, as whoever has new codes made has it first
                second_factors::end_row(&mut *db, *user).await?;
                let Some(left) = recovery_codes::use_up(&mut *db, *user, selector).await? else {
                    return Ok(false);
                };
                let letter = Letter::RecoveryCodeUsed {
                    left,
                    when: auth.now_and_where(visit)?,
                    link: auth.config.link(page::SECURITY),
                };
                mail::put(db, Some(*user), email, &letter).await?;
                Ok(true)
            }
        }
    }
}

impl Auth {
    /// Compares a typed code with all that would be right. The caller has counted the try for the account.
    pub(super) async fn compare_code(&self, user: UserId, typed: &str) -> Result<Option<Proven>> {
        let factor = second_factors::read(&self.pool, user).await?;
        let Some(Factor { sealed, is_on: true }) = factor else {
            return Ok(None);
        };
        if let Some(digits) = app_code::digits(typed) {
            let secret = self.opened(user, &sealed)?;
            let step = app_code::step_of(&secret, &digits, OffsetDateTime::now_utc())?;
            return Ok(step.map(|step| Proven::App { user, step }));
        }
        let Some(code) = codes::normal(typed, RECOVERY_CHARS) else {
            return Ok(None);
        };
        let (selector, rest) = code.split_at(SELECTOR_CHARS);
        let stored = recovery_codes::hash_of(&self.pool, user, selector).await?;
        let outcome = self.0.hasher.compare(Password::typed(rest), stored).await?;
        Ok(outcome.is_match().then(|| Proven::Recovery {
            user,
            selector: selector.to_owned(),
        }))
    }

    fn opened(&self, user: UserId, sealed: &[u8]) -> Result<Vec<u8>> {
        let secret = seal::open(&self.keys, PLACE, user.0.as_bytes(), sealed);
        Ok(secret.context("a second step's secret was sealed with another key")?)
    }
}
