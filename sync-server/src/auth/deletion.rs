//! An account that its owner wants gone: asked for with a fresh proof, kept for two weeks in which nobody is in, and then
//! removed by `rights`.
//!
//! **Invariant:** while an account is to go, no way in makes a device; whoever proves all the steps is asked whether it
//! is kept.

mod deletions;

pub use deletions::{claim as claim_deletion, leaving, renew as renew_deletion};

use super::audit_events::{self, Event};
use super::cookies::KEEP;
use super::finish::{Entrance, Entry, Step, finish_sign_in, in_words};
use super::next::by_way_of;
use super::safety::{self, must_be_fresh};
use super::second_step::challenges;
use super::tries::Whose;
use super::{
    Auth, Caller, Visit, cookies, devices, email_change, native, seal, second_step, users,
    verification_tokens,
};
use crate::database::Transaction;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use anyhow::Context as _;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use deletions::Leaving;
use hmac::Mac as _;
use http::HeaderMap;
use protocol::auth::{Client, Email};
use protocol::routes::page;
use protocol::{Code, DeviceId, Problem, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long an account can still be kept.
const GRACE: Duration = Duration::days(14);
/// How long the question may stand unanswered.
const WAITS: Duration = Duration::minutes(10);

/// Signs everybody out and sets the date, which is given back in words; the cookie takes the browser's own away. `typed`:
/// the address, to be sure.
pub async fn ask_to_delete(
    auth: &Auth,
    caller: &Caller,
    typed: &str,
    visit: &Visit,
) -> Result<(String, Cookie<'static>)> {
    must_be_fresh(auth, caller).await?;
    let is_own = Email::parse(typed.trim()).is_ok_and(|email| email.key() == caller.email.key());
    if !is_own {
        return Err(Problem::new(Code::Invalid)
            .field("leave")
            .detail("That is not the address of this account, so nothing was deleted. Please type it as it stands above.")
            .into());
    }
    let mut tx = safety::change(auth, caller).await?;
    let due = deletions::schedule(&mut tx, caller.user, OffsetDateTime::now_utc() + GRACE).await?;
    verification_tokens::void_all(&mut tx, &caller.email.key()).await?;
    native::void_codes(&mut tx, caller.user).await?;
    second_step::void_challenges(&mut tx, caller.user).await?;
    email_change::void_pending(&mut tx, caller.user).await?;
    let signed_out = devices::revoke_all(&mut tx, caller.user, "account leaving").await?;
    let until = in_words(due)?;
    let letter = Letter::AccountLeaving {
        until: until.clone(),
        link: auth.config.link(page::SIGN_IN),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    let event = Event::by_its_owner(caller, "leave");
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(caller.user, &signed_out);
    auth.letters_wait();
    Ok((until, cookies::clear(cookies::SESSION)))
}

/// What a sign-in is told where the account is to go. A browser is led to the question, by the challenge.
pub fn refusal(leaving: Leaving, challenge: Option<String>) -> Result<Problem> {
    let problem = Problem::new(Code::AccountLeaving);
    let detail = if leaving.is_begun {
        "This account is being deleted, as its owner asked. It cannot be kept any more.".to_owned()
    } else {
        format!(
            "This account will be deleted on {}, as its owner asked. To keep it, sign in with your browser before then.",
            in_words(leaving.due)?
        )
    };
    let problem = problem.detail(detail);
    Ok(match challenge {
        Some(challenge) => problem.challenge(challenge),
        None => problem,
    })
}

/// The browser that proved all steps goes on to the question, and from there to where it was going. `None`: there is none.
pub fn on_to_question(problem: &Problem, next: &str) -> Option<Response> {
    let challenge = problem.challenge.clone()?;
    let cookie = cookies::set(KEEP, challenge, Some(WAITS.whole_seconds()));
    let jar = CookieJar::new().add(cookie).add(cookies::clear(cookies::STEP));
    Some((jar, Redirect::to(&by_way_of(page::KEEP, next))).into_response())
}

/// An account that somebody may keep, as the question shows it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub email: String,
    pub until: String,
}

/// `None`: the question was answered, took too long, or is somebody else's.
pub async fn keep_look(auth: &Auth, headers: &HeaderMap) -> Result<Option<Kept>> {
    let secret = cookies::read(headers, KEEP).unwrap_or_default();
    let found = challenges::to_keep(&auth.pool, &cookies::digest(secret)).await?;
    let Some((email, due)) = found else {
        return Ok(None);
    };
    Ok(Some(Kept {
        email: email.to_string(),
        until: in_words(due)?,
    }))
}

/// Keeps the account and signs this browser in.
pub async fn keep(auth: &Auth, headers: &HeaderMap, visit: &Visit) -> Result<Entry> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let gone = || {
        Problem::new(Code::InvalidOrExpiredLink)
            .detail("That took too long, or was answered already. Please sign in again.")
    };
    let secret = cookies::read(headers, KEEP).unwrap_or_default();
    let secret_hash = cookies::digest(secret);
    let leaving = challenges::who_leaves(&auth.pool, &secret_hash).await?;
    let mut tx = auth.pool.begin().await?;
    deletions::lock(&mut tx, leaving.ok_or_else(gone)?).await?;
    let challenge = challenges::consume_to_keep(&mut tx, &secret_hash)
        .await?
        .ok_or_else(gone)?;
    if !deletions::cancel(&mut tx, challenge.user).await? {
        return Err(gone().into());
    }
    let link = challenge.link.map(serde_json::from_value).transpose();
    let entrance = Entrance {
        user: challenge.user,
        method: challenge.method,
        client: Client::Browser,
        link: link.context("reading what was to be linked")?,
        step: Step::Second,
        stays: challenge.stays,
        key: None,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    let letter = Letter::AccountKept {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(challenge.user), &challenge.email, &letter).await?;
    let event = Event {
        user: Some(challenge.user),
        device: admission.device(),
        name: "keep",
        refusal: None,
        method: "itself",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.0.limits.give_back(Class::CodeTry, &whos).await;
    admission.announce(auth)
}

/// Removes who somebody is here: everything but what they kept, which is gone already. What was noted at their door stays
/// as nobody's. A last letter tells them, and leaves nothing either.
pub async fn forget_user(auth: &Auth, user: UserId) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    let Some((email, signed_out)) = remove_user(auth, &mut tx, user).await? else {
        return Ok(());
    };
    // as nobody's, and after the letters that were theirs are gone
    let letter = Letter::AccountGone {
        link: auth.config.link(page::SIGN_UP),
    };
    mail::put(&mut tx, None, &email, &letter).await?;
    let event = Event {
        user: Some(user),
        device: None,
        name: "deleted",
        refusal: None,
        method: "itself",
    };
    audit_events::note(&mut tx, event, &Visit::of_the_server()).await?;
    audit_events::unname(&mut tx, user, auth.pseudonym(user)).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    auth.letters_wait();
    Ok(())
}

/// The rows of who somebody is, their address wherever it stands, and their devices, which are given back with it: their sockets
/// close where one has opened since. `None`: they are gone already.
pub async fn remove_user(
    auth: &Auth,
    db: &mut Transaction,
    user: UserId,
) -> Result<Option<(Email, Vec<DeviceId>)>> {
    deletions::lock(&mut *db, user).await?;
    let Some(known) = users::read(&mut *db, user).await? else {
        return Ok(None);
    };
    mail::suppressions::forget(&mut *db, &auth.veil(), &known.email).await?;
    let signed_out = devices::revoke_all(&mut *db, user, "account deleted").await?;
    deletions::remove_rows(db, user).await?;
    Ok(Some((known.email, signed_out)))
}

/// Nothing of them is left. What was noted while they were removed becomes nobody's too.
pub async fn deletion_is_done(auth: &Auth, user: UserId) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    audit_events::unname(&mut tx, user, auth.pseudonym(user)).await?;
    deletions::finish(&mut tx, user).await?;
    tx.commit().await?;
    Ok(())
}

impl Auth {
    /// Stands in the audit for somebody who is gone: it keeps one person's events together, and leads back to nobody for
    /// whoever has the database alone.
    pub(super) fn pseudonym(&self, user: UserId) -> Uuid {
        let key = self.keys.derive("audit pseudonym", b"");
        let hash = seal::keyed(&key, &[user.0.as_bytes()]).finalize().into_bytes();
        Uuid::from_bytes(hash.first_chunk().copied().unwrap_or_default())
    }
}
