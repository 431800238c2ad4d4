//! What keeps an account safe, for its owner: how things stand, showing that it is still them, a new password.
//!
//! **Invariant:** nothing here is changed by a browser whose person has not shown who they are within ten minutes: every such
//! change is made in the transaction that [`change`] begins.

use super::audit_events::{self, Event};
use super::tries::Whose;
use super::{
    Auth, Caller, SESSION, Visit, cookies, devices, native, passkey, password, second_step, users,
    verification_tokens,
};
use crate::database::Transaction;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use axum_extra::extract::cookie::Cookie;
use protocol::auth::Password;
use protocol::routes::page;
use protocol::{Code, Problem};
use time::{Duration, OffsetDateTime};

/// How long a proof of who somebody is holds.
const FRESH: Duration = Duration::minutes(10);

/// How an account stands.
#[derive(Clone, Debug)]
pub struct Safety {
    pub has_password: bool,
    /// Recovery codes that are left; `None`: there is no second step.
    pub codes_left: Option<i64>,
    /// The oldest first; `None`: this site has none.
    pub passkeys: Option<Vec<passkey::Kept>>,
    pub is_fresh: bool,
    /// Devices that are signed in besides this one.
    pub others: usize,
    /// The newest first.
    pub events: Vec<audit_events::Noted>,
}

pub async fn look(auth: &Auth, caller: &Caller) -> Result<Safety> {
    let (has_password, codes_left, passkeys, is_fresh, devices, events) = tokio::try_join!(
        async { Result::Ok(users::password_of(&auth.pool, caller.user).await?.is_some()) },
        second_step::codes_left(auth, caller),
        async { Ok(passkey::list(&auth.pool, caller.user).await?) },
        is_fresh(auth, caller),
        async { Ok(devices::list(&auth.pool, caller.user, caller.device).await?) },
        async { Ok(audit_events::of_user(&auth.pool, caller.user).await?) },
    )?;
    Ok(Safety {
        has_password,
        codes_left,
        passkeys: passkey::offers(auth).then_some(passkeys),
        is_fresh,
        others: devices.iter().filter(|device| !device.is_this).count(),
        events,
    })
}

async fn is_fresh(auth: &Auth, caller: &Caller) -> Result<bool> {
    let since = OffsetDateTime::now_utc() - FRESH;
    Ok(devices::is_proven_since(&auth.pool, caller.device, caller.cookie, since).await?)
}

pub async fn must_be_fresh(auth: &Auth, caller: &Caller) -> Result<()> {
    if is_fresh(auth, caller).await? {
        Ok(())
    } else {
        Err(Code::ProofRequired.into())
    }
}

/// A transaction in which the caller changes how they sign in. It holds the user from its beginning, and only then looks
/// whether this device is still signed in and the proof still fresh: a request that was on its way while the owner signed
/// everybody out changes nothing afterwards, and nobody signs in meanwhile by what is being changed.
pub async fn change(auth: &Auth, caller: &Caller) -> Result<Transaction> {
    let mut tx = auth.pool.begin().await?;
    if !users::hold(&mut tx, caller.user).await? {
        return Err(Code::AccountDisabled.into());
    }
    let since = OffsetDateTime::now_utc() - FRESH;
    match devices::proof(&mut tx, caller.device, caller.cookie, since).await? {
        Some(true) => Ok(tx),
        Some(false) => Err(Code::ProofRequired.into()),
        None => Err(Code::SessionRevoked.into()),
    }
}

/// Everything that the account has is asked for: the password where there is one, a code where there is a second step. A
/// passkey does without either (`passkey::entering::prove`). Gives the browser's new cookie.
pub async fn prove(
    auth: &Auth,
    caller: &Caller,
    typed: (Password, &str),
    visit: &Visit,
) -> Result<Cookie<'static>> {
    // not by the account: strangers who try its password would keep its owner from changing it
    let (limits, whos) = (&auth.0.limits, [Who::Device(caller.device.0)]);
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::Password, &whos, whose, visit).await?;
    let stored = users::password_of(&auth.pool, caller.user).await?;
    let has_second_step = second_step::codes_left(auth, caller).await?.is_some();
    if stored.is_none() && !has_second_step {
        let detail =
            "Your account has no password. Please sign out and in again, and come back within ten minutes.";
        return Err(Problem::new(Code::ProofRequired).detail(detail).into());
    }
    if stored.is_some() && !auth.0.hasher.compare(typed.0, stored).await?.is_match() {
        let problem = Problem::new(Code::InvalidCredentials)
            .field("password")
            .detail("That is not your password. Please try again.");
        return Err(refused(auth, caller, visit, problem).await);
    }
    let account = auth.account_key(&caller.email);
    let by_account = [Who::Account(account.as_str())];
    let mut proven = None;
    if has_second_step {
        auth.take(Class::SecondStep, &by_account, whose, visit).await?;
        proven = auth.compare_code(caller.user, typed.1).await?;
        if proven.is_none() {
            return Err(wrong_code(auth, caller, visit).await);
        }
    }
    let mut tx = auth.pool.begin().await?;
    if let Some(proven) = &proven
        && !proven.use_up(auth, &mut tx, &caller.email, visit).await?
    {
        drop(tx);
        return Err(wrong_code(auth, caller, visit).await);
    }
    let cookie = note_proof(&mut tx, caller).await?;
    let event = Event::by_its_owner(caller, "prove");
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_changed(&[caller.device]);
    auth.letters_wait();
    limits.give_back(Class::Password, &whos).await;
    if proven.is_some() {
        limits.give_back(Class::SecondStep, &by_account).await;
    }
    Ok(cookie)
}

/// The proof holds for this browser from now on, by a cookie that nobody can have copied before. Every node is told after the
/// commit to read the device's row again.
pub(super) async fn note_proof(db: &mut Transaction, caller: &Caller) -> Result<Cookie<'static>> {
    let secret = cookies::fresh_secret();
    let hash = cookies::digest_text(&secret);
    let proven = devices::note_proof(db, caller.device, caller.cookie, &hash).await?;
    let proven = proven.ok_or_else(|| Problem::new(Code::SessionRevoked))?;
    let left = proven.absolute_expires - OffsetDateTime::now_utc();
    let seconds = proven.stays.then_some(left.whole_seconds());
    Ok(cookies::set(SESSION, secret, seconds))
}

async fn refused(auth: &Auth, caller: &Caller, visit: &Visit, problem: Problem) -> crate::error::Error {
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "prove",
        refusal: Some("did not match"),
        method: "itself",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    problem.into()
}

async fn wrong_code(auth: &Auth, caller: &Caller, visit: &Visit) -> crate::error::Error {
    let refusal = refused(auth, caller, visit, second_step::wrong_code()).await;
    let told = second_step::tell_of_wrong(auth, caller.user, &caller.email, visit).await;
    told.err().unwrap_or(refusal)
}

/// Sets the password and signs every other device out.
pub async fn change_password(auth: &Auth, caller: &Caller, new: Password, visit: &Visit) -> Result<()> {
    must_be_fresh(auth, caller).await?;
    let whos = [Who::Device(caller.device.0)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::Password, &whos, whose, visit).await?;
    let about = password::about(&caller.email, caller.name.as_deref());
    let hash = auth.0.hasher.choose(new, about).await?;
    let mut tx = change(auth, caller).await?;
    if !users::set_password(&mut tx, caller.user, &hash).await? {
        return Err(Code::AccountDisabled.into());
    }
    verification_tokens::void_all(&mut tx, &caller.email.key()).await?;
    native::void_codes(&mut tx, caller.user).await?;
    second_step::void_challenges(&mut tx, caller.user).await?;
    let signed_out = devices::revoke_others(&mut tx, caller.user, caller.device, "password changed").await?;
    let letter = Letter::PasswordChanged {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::FORGOT),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    let event = Event::by_its_owner(caller, "password");
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(caller.user, &signed_out);
    auth.letters_wait();
    Ok(())
}

/// Lets somebody ask for a copy of everything: with a fresh proof, a few times a day. Gives the transaction back where they may.
pub async fn allow_export(
    auth: &Auth,
    mut tx: Transaction,
    caller: &Caller,
    visit: &Visit,
) -> Result<Transaction> {
    must_be_fresh(auth, caller).await?;
    let account = auth.account_key(&caller.email);
    let whos = [Who::Account(&account)];
    if let Err(limited) = auth.0.limits.take(Class::Export, &whos).await {
        // the note takes a connection of its own
        drop(tx);
        let whose = Whose::User(caller.user, Some(caller.device));
        auth.note_limited(Class::Export, &whos, whose, &limited, visit)
            .await;
        return Err(limited.into());
    }
    let event = Event::by_its_owner(caller, "export");
    audit_events::note(&mut tx, event, visit).await?;
    Ok(tx)
}

/// Lets somebody fetch it, who is who they were within ten minutes: it is all that they have.
pub async fn may_fetch_export(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<()> {
    must_be_fresh(auth, caller).await?;
    let event = Event::by_its_owner(caller, "export_fetched");
    Ok(audit_events::note(&auth.pool, event, visit).await?)
}
