//! Turning the second step on and off, by somebody who has just shown who they are.
//!
//! **Invariant:** it is on only after a code of the app was right, so that nobody shuts themselves out.

use super::super::audit_events::{self, Event};
use super::super::safety::{self, must_be_fresh};
use super::super::tries::Whose;
use super::super::{Auth, Caller, Visit, codes, devices, native, seal};
use super::{PLACE, RECOVERY_CHARS, SELECTOR_CHARS, app_code, recovery_codes, second_factors, wrong_code};
use crate::database::Transaction;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use protocol::auth::Password;
use protocol::routes::page;
use protocol::{Code, Problem};
use time::OffsetDateTime;

/// Recovery codes that are given at once.
const CODES: usize = 10;

/// What the authenticator app is told.
#[derive(Clone, PartialEq, Eq)]
pub struct ToTell {
    /// For the picture.
    pub link: String,
    /// For typing.
    pub secret: String,
}

impl std::fmt::Debug for ToTell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToTell(…)")
    }
}

/// Begins afresh each time: what was told before is worthless.
pub async fn begin(auth: &Auth, caller: &Caller) -> Result<ToTell> {
    must_be_fresh(auth, caller).await?;
    let secret = app_code::fresh();
    let sealed = seal::seal(&auth.keys, PLACE, caller.user.0.as_bytes(), &secret);
    if !second_factors::begin(&auth.pool, caller.user, &sealed).await? {
        return Err(Problem::new(Code::Conflict)
            .detail("Your account has a second step already. Turn it off first to set up another app.")
            .into());
    }
    let (link, secret) = app_code::to_tell(&secret, &caller.email)?;
    Ok(ToTell { link, secret })
}

/// The same again, for a page whose code was wrong. `None`: nothing was begun.
pub async fn begun(auth: &Auth, caller: &Caller) -> Result<Option<ToTell>> {
    must_be_fresh(auth, caller).await?;
    let factor = second_factors::read(&auth.pool, caller.user).await?;
    let Some(factor) = factor.filter(|factor| !factor.is_on) else {
        return Ok(None);
    };
    let opened = auth.opened(caller.user, &factor.sealed)?;
    let Ok(secret) = app_code::Secret::try_from(opened) else {
        return Ok(None);
    };
    let (link, secret) = app_code::to_tell(&secret, &caller.email)?;
    Ok(Some(ToTell { link, secret }))
}

/// Gives the recovery codes, which are shown once.
pub async fn turn_on(auth: &Auth, caller: &Caller, typed: &str, visit: &Visit) -> Result<Vec<String>> {
    must_be_fresh(auth, caller).await?;
    let account = auth.account_key(&caller.email);
    let whos = [Who::Account(&account)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::SecondStep, &whos, whose, visit).await?;
    let factor = second_factors::read(&auth.pool, caller.user).await?;
    let factor = factor
        .filter(|factor| !factor.is_on)
        .ok_or_else(|| Problem::new(Code::Conflict))?;
    let secret = auth.opened(caller.user, &factor.sealed)?;
    let digits = app_code::digits(typed).ok_or_else(wrong_code)?;
    let step = app_code::step_of(&secret, &digits, OffsetDateTime::now_utc())?.ok_or_else(wrong_code)?;
    let fresh = Codes::new(auth).await?;
    let mut tx = safety::change(auth, caller).await?;
    if !second_factors::turn_on(&mut tx, caller.user, &factor.sealed, step).await? {
        return Err(Code::Conflict.into());
    }
    let codes = fresh.keep(&mut tx, caller).await?;
    // whoever is in by the first step alone, and what they may have begun
    let signed_out = devices::revoke_others(&mut tx, caller.user, caller.device, "second step").await?;
    native::void_codes(&mut tx, caller.user).await?;
    super::void_challenges(&mut tx, caller.user).await?;
    let event = Event::by_its_owner(caller, "second_step_on");
    audit_events::note(&mut tx, event, visit).await?;
    let letter = Letter::SecondStepOn {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    tx.commit().await?;
    auth.letters_wait();
    auth.announce_signed_out(caller.user, &signed_out);
    auth.0.limits.give_back(Class::SecondStep, &whos).await;
    Ok(codes)
}

/// The codes that were given before are worthless.
pub async fn fresh_codes(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<Vec<String>> {
    must_be_fresh(auth, caller).await?;
    let whos = [Who::Device(caller.device.0)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::Password, &whos, whose, visit).await?;
    let fresh = Codes::new(auth).await?;
    let mut tx = safety::change(auth, caller).await?;
    if !second_factors::hold(&mut tx, caller.user).await? {
        return Err(Code::Conflict.into());
    }
    let codes = fresh.keep(&mut tx, caller).await?;
    let event = Event::by_its_owner(caller, "recovery_codes");
    audit_events::note(&mut tx, event, visit).await?;
    let letter = Letter::RecoveryCodesMade {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(codes)
}

pub async fn turn_off(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<()> {
    let mut tx = safety::change(auth, caller).await?;
    if !super::forget(&mut tx, caller.user).await? {
        return Ok(());
    }
    let event = Event::by_its_owner(caller, "second_step_off");
    audit_events::note(&mut tx, event, visit).await?;
    let letter = Letter::SecondStepOff {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &letter).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

/// Ten codes and their hashes, made before the transaction that keeps them: hashing takes its time.
struct Codes {
    shown: Vec<String>,
    selectors: Vec<String>,
    hashes: Vec<String>,
}

impl Codes {
    async fn new(auth: &Auth) -> Result<Self> {
        let mut fresh = Self {
            shown: Vec::with_capacity(CODES),
            selectors: Vec::with_capacity(CODES),
            hashes: Vec::with_capacity(CODES),
        };
        while fresh.shown.len() < CODES {
            let code = codes::fresh(RECOVERY_CHARS);
            let (selector, rest) = code.split_at(SELECTOR_CHARS);
            if fresh.selectors.iter().any(|taken| taken == selector) {
                continue;
            }
            fresh
                .hashes
                .push(auth.0.hasher.hash(Password::typed(rest)).await?);
            let (first, second) = rest.split_at(rest.len() / 2);
            fresh.shown.push(format!("{selector}-{first}-{second}"));
            fresh.selectors.push(selector.to_owned());
        }
        Ok(fresh)
    }

    async fn keep(self, db: &mut Transaction, caller: &Caller) -> Result<Vec<String>> {
        recovery_codes::replace(db, caller.user, &self.selectors, &self.hashes).await?;
        Ok(self.shown)
    }
}
