//! A forgotten password: a letter's link lets its reader choose a new one, and signs out everybody who was in.
//!
//! **Invariant:** a password is set only by the statement's own use of an unused link; nobody is signed in by it, and what
//! is answered does not tell whether an address is known.

use super::super::audit_events::{self, Event};
use super::super::tries::{Cause, Whose, is_worthless};
use super::super::verification_tokens::{self as tokens, Linked, NewReset};
use super::super::{Auth, Visit, cookies, devices, native, second_step, users};
use super::verify::masked;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use protocol::auth::{Email, Password};
use protocol::routes::page;
use protocol::{Code, Problem, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a letter's link works.
const LETTER: Duration = mail::RESET_GOOD_FOR;

/// Sends the letter, if there is anybody to send it to. That is done behind the answer: how long it takes tells nothing.
pub async fn forgot(auth: &Auth, email: Email, visit: &Visit) -> Result<()> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Letter, &whos, Whose::Unknown, visit).await?;
    let (later, visit) = (auth.clone(), visit.clone());
    auth.behind_the_answer("a letter for a forgotten password", async move {
        send_letter(&later, &email, &visit).await
    });
    Ok(())
}

async fn send_letter(auth: &Auth, email: &Email, visit: &Visit) -> Result<()> {
    // of its own kind: letters that a stranger asks for to sign in by do not use these up
    let account = format!("reset:{}", auth.account_key(email));
    let (whos, whose) = ([Who::Account(&account)], Whose::Email(email));
    let is_enough = auth.take(Class::Letter, &whos, whose, visit).await;
    let known = users::known(&auth.pool, email).await?;
    let (Ok(()), Some(known)) = (is_enough, known) else {
        return Ok(());
    };
    if !auth.may_write_to(email, Cause::Reset).await {
        return Ok(());
    }
    let mut tx = auth.pool.begin().await?;
    // the user before the letters that went before; nobody writes to whom an operator has locked
    if !users::hold(&mut tx, known.user).await? {
        return Ok(());
    }
    // to the address that is kept, however this one was spelled
    let Some(user) = users::read(&mut tx, known.user).await? else {
        return Ok(());
    };
    let (id, secret) = (Uuid::now_v7(), cookies::fresh_secret());
    let new = NewReset {
        id,
        identifier: &user.email.key(),
        user: user.id,
        link_hash: cookies::digest(&secret),
        expires: OffsetDateTime::now_utc() + LETTER,
    };
    tokens::insert_reset(&mut tx, &new).await?;
    let link = auth.config.link(&format!("{}?id={id}&t={secret}", page::RESET));
    let when = auth.now_and_where(visit)?;
    let letter = Letter::Reset { when, link };
    mail::put(&mut tx, Some(user.id), &user.email, &letter).await?;
    let event = Event {
        user: Some(user.id),
        device: None,
        name: "forgot",
        refusal: None,
        method: "link",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

/// The address that a link is for, its local part hidden. `None`: it is used, too old or made up. Changes nothing.
pub async fn reset_look(auth: &Auth, id: &str, secret: &str) -> Result<Option<String>> {
    Ok(linked(auth, id, secret)
        .await?
        .map(|(_, linked)| masked(&linked.email)))
}

async fn linked(auth: &Auth, id: &str, secret: &str) -> Result<Option<(Uuid, Linked)>> {
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let linked = tokens::reset_by_link(&auth.pool, id, &cookies::digest(secret)).await?;
    Ok(linked.map(|linked| (id, linked)))
}

/// Sets the password. One that is too weak leaves the link as it is.
pub async fn reset(auth: &Auth, link: (&str, &str), password: Password, visit: &Visit) -> Result<()> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let chosen = choose(auth, link, password, visit).await;
    if is_worthless(&chosen) {
        auth.note_worthless(("reset", "link"), link, visit).await;
    }
    chosen
}

async fn choose(auth: &Auth, (id, secret): (&str, &str), password: Password, visit: &Visit) -> Result<()> {
    let gone = || Problem::new(Code::InvalidOrExpiredLink);
    let (id, linked) = linked(auth, id, secret).await?.ok_or_else(gone)?;
    let user = linked.user_id.map(UserId).ok_or_else(gone)?;
    let email = Email::parse(&linked.email)?;
    let about = super::about(&email, None);
    let hash = auth.0.hasher.choose(password, about).await?;

    let mut tx = auth.pool.begin().await?;
    // the user first of all, as whoever changes how they sign in does
    if !users::hold(&mut tx, user).await?
        || !tokens::consume_reset(&mut tx, id, &cookies::digest(secret)).await?
    {
        return Err(gone().into());
    }
    if !users::set_password(&mut tx, user, &hash).await? {
        return Err(gone().into());
    }
    // whatever somebody else may have begun or be in with
    tokens::void_all(&mut tx, &email.key()).await?;
    native::void_codes(&mut tx, user).await?;
    second_step::void_challenges(&mut tx, user).await?;
    let signed_out = devices::revoke_all(&mut tx, user, "password reset").await?;
    let letter = Letter::PasswordChanged {
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::FORGOT),
    };
    mail::put(&mut tx, Some(user), &email, &letter).await?;
    let event = Event {
        user: Some(user),
        device: None,
        name: "reset",
        refusal: None,
        method: "link",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    auth.letters_wait();
    Ok(())
}
