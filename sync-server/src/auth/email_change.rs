//! Another e-mail address for an account: asked for with a fresh proof, agreed to by both mailboxes, and taken back by the
//! old one for a week.
//!
//! **Invariant:** until both have agreed the old address rules; and what is answered does not tell whether the new one
//! has an account here.

mod email_changes;

pub use email_changes::{pending as pending_email_change, purge, void_pending, whose};

use super::audit_events::{self, Event};
use super::devices::stored_email;
use super::finish::in_words;
use super::password::masked;
use super::providers::unlink_since;
use super::safety::{self, must_be_fresh};
use super::tries::{Cause, Whose, is_worthless};
use super::{
    Auth, Caller, Visit, cookies, devices, native, passkey, second_step, users, verification_tokens,
};
use crate::database::Transaction;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use email_changes::{Linked, NewChange};
use protocol::auth::Email;
use protocol::routes::page;
use protocol::{Code, DeviceId, Problem, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long the letters to both addresses can be answered.
const LETTERS: Duration = mail::EMAIL_GOOD_FOR;
/// How long the old address may take the change back.
const UNDO: Duration = Duration::days(7);

fn gone() -> Problem {
    Problem::new(Code::InvalidOrExpiredLink)
}

/// Writes to both addresses. Says the same whoever has the new one.
pub async fn ask_for_email(auth: &Auth, caller: &Caller, new: &Email, visit: &Visit) -> Result<()> {
    must_be_fresh(auth, caller).await?;
    new.must_be_fit()?;
    if new.key() == caller.email.key() {
        return Err(Problem::new(Code::Invalid)
            .field("email")
            .detail("That is the address that your account has already.")
            .into());
    }
    let prefix = visit.prefix();
    let account = format!("email:{}", auth.account_key(&caller.email));
    let whos = [Who::Address(&prefix), Who::Account(&account)];
    let whose = Whose::User(caller.user, Some(caller.device));
    auth.take(Class::Letter, &whos, whose, visit).await?;
    let has_enough = has_enough(auth, new).await;
    let is_taken = users::known(&auth.pool, new)
        .await?
        .is_some_and(|known| known.is_verified);

    let (id, old_secret, new_secret) = (Uuid::now_v7(), cookies::fresh_secret(), cookies::fresh_secret());
    let link = |secret: &str| {
        auth.config
            .link(&format!("{}?id={id}&t={secret}", page::EMAIL_LINK))
    };
    let mut tx = safety::change(auth, caller).await?;
    let change = NewChange {
        id,
        user: caller.user,
        old: caller.email.as_str(),
        new: new.as_str(),
        new_key: &new.key(),
        old_hash: cookies::digest(&old_secret),
        new_hash: cookies::digest(&new_secret),
        expires: OffsetDateTime::now_utc() + LETTERS,
    };
    email_changes::insert(&mut tx, &change).await?;
    let to_old = Letter::EmailOld {
        new: new.to_string(),
        when: auth.now_and_where(visit)?,
        link: link(&old_secret),
    };
    mail::put(&mut tx, Some(caller.user), &caller.email, &to_old).await?;
    if !has_enough {
        let to_new = if is_taken {
            Letter::AlreadyHaveAccount {
                link: auth.config.link(page::SIGN_IN),
            }
        } else {
            let link = link(&new_secret);
            Letter::EmailNew { link }
        };
        mail::put(&mut tx, Some(caller.user), new, &to_new).await?;
    }
    note(&mut tx, caller.user, Some(caller.device), "email_asked", visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

/// Whoever reads the new mailbox gets no more letters than by any other door.
async fn has_enough(auth: &Auth, new: &Email) -> bool {
    let target = format!("email:{}", auth.account_key(new));
    let taken = auth.0.limits.take(Class::Letter, &[Who::Account(&target)]).await;
    taken.is_err() || !auth.may_write_to(new, Cause::Other).await
}

async fn note(
    tx: &mut Transaction,
    user: UserId,
    device: Option<DeviceId>,
    name: &str,
    visit: &Visit,
) -> Result<()> {
    let event = Event {
        user: Some(user),
        device,
        name,
        refusal: None,
        method: if device.is_some() { "itself" } else { "link" },
    };
    Ok(audit_events::note(tx, event, visit).await?)
}

/// Calls off what does not hold yet. That is always allowed: it leaves everything as it is.
pub async fn stop_email_change(auth: &Auth, caller: &Caller, visit: &Visit) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    if void_pending(&mut tx, caller.user).await? {
        note(&mut tx, caller.user, Some(caller.device), "email_stopped", visit).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What the page of a link shows.
#[derive(Clone, Debug)]
pub struct EmailLook {
    pub new: String,
    pub is_old: bool,
}

/// Looks at a link and changes nothing. `None`: it is answered for good, too old or made up.
pub async fn email_look(auth: &Auth, (id, secret): (&str, &str)) -> Result<Option<EmailLook>> {
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let linked = email_changes::by_link(&auth.pool, id, &cookies::digest(secret)).await?;
    Ok(linked.map(|linked| EmailLook {
        new: linked.new_email,
        is_old: linked.is_old,
    }))
}

/// What became of a change by an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The other address is still to answer.
    Half,
    Changed,
    Refused,
}

/// The buttons on the link's page.
pub async fn answer_email(auth: &Auth, link: (&str, &str), agrees: bool, visit: &Visit) -> Result<Answered> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let (answered, name) = if agrees {
        (agree(auth, link, visit).await, "email_agreed")
    } else {
        (refuse(auth, link, visit).await, "email_stopped")
    };
    if is_worthless(&answered) {
        auth.note_worthless((name, "link"), link, visit).await;
    } else if answered.is_ok() {
        auth.0.limits.give_back(Class::CodeTry, &whos).await;
    }
    answered
}

async fn refuse(auth: &Auth, (id, secret): (&str, &str), visit: &Visit) -> Result<Answered> {
    let id = Uuid::parse_str(id).map_err(|_not_an_id| gone())?;
    let mut tx = auth.pool.begin().await?;
    let user = email_changes::refuse(&mut tx, id, &cookies::digest(secret))
        .await?
        .ok_or_else(gone)?;
    note(&mut tx, user, None, "email_stopped", visit).await?;
    tx.commit().await?;
    Ok(Answered::Refused)
}

async fn agree(auth: &Auth, (id, secret): (&str, &str), visit: &Visit) -> Result<Answered> {
    let id = Uuid::parse_str(id).map_err(|_not_an_id| gone())?;
    let hash = cookies::digest(secret);
    let found = email_changes::by_link(&auth.pool, id, &hash).await?;
    let user = UserId(found.ok_or_else(gone)?.user_id);
    let mut tx = auth.pool.begin().await?;
    // the user first of all, as whoever changes how they sign in does
    if !users::hold(&mut tx, user).await? {
        return Err(gone().into());
    }
    let linked = email_changes::agree(&mut tx, id, &hash).await?.ok_or_else(gone)?;
    note(&mut tx, user, None, "email_agreed", visit).await?;
    if !linked.is_agreed {
        tx.commit().await?;
        return Ok(Answered::Half);
    }
    change(auth, &mut tx, id, &linked, visit).await?;
    let devices = devices::ids(&mut tx, user).await?;
    tx.commit().await?;
    auth.announce_changed(&devices);
    auth.letters_wait();
    Ok(Answered::Changed)
}

/// Both have agreed. Whoever only signed up with the address, and never proved it, gives way.
async fn change(auth: &Auth, tx: &mut Transaction, id: Uuid, linked: &Linked, visit: &Visit) -> Result<()> {
    let user = UserId(linked.user_id);
    let (old, new) = (stored_email(&linked.old_email)?, stored_email(&linked.new_email)?);
    let is_open = users::read(&mut *tx, user)
        .await?
        .is_some_and(|user| !user.is_disabled);
    if !is_open {
        return Err(gone().into());
    }
    users::remove_unproven(&mut *tx, &new.key()).await?;
    if !users::set_email(&mut *tx, user, &new).await? {
        return Err(taken().into());
    }
    verification_tokens::void_all(&mut *tx, &old.key()).await?;
    verification_tokens::void_all(&mut *tx, &new.key()).await?;
    let secret = cookies::fresh_secret();
    email_changes::complete(&mut *tx, id, &cookies::digest(&secret)).await?;
    let to_old = Letter::EmailChanged {
        new: new.to_string(),
        when: auth.now_and_where(visit)?,
        until: in_words(OffsetDateTime::now_utc() + UNDO)?,
        link: auth
            .config
            .link(&format!("{}?id={id}&t={secret}", page::EMAIL_UNDO)),
    };
    mail::put(&mut *tx, Some(user), &old, &to_old).await?;
    let to_new = Letter::EmailWelcome {
        old: old.to_string(),
        link: auth.config.link(page::SECURITY),
    };
    mail::put(&mut *tx, Some(user), &new, &to_new).await?;
    note(tx, user, None, "email_changed", visit).await
}

/// Somebody proved the address as theirs meanwhile.
fn taken() -> Problem {
    gone().detail("That address cannot be used any more, so nothing was changed.")
}

/// The address that comes back by a link, its local part hidden. `None`: it is used, too old or made up.
pub async fn undo_look(auth: &Auth, (id, secret): (&str, &str)) -> Result<Option<String>> {
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let since = OffsetDateTime::now_utc() - UNDO;
    let former = email_changes::to_undo(&auth.pool, id, &cookies::digest(secret), since).await?;
    Ok(former.map(|former| masked(&former.old_email)))
}

/// Gives the account its former address back, and takes it out of whoever's hands it was in: nobody stays in, no password
/// opens it, and what was linked or added since is gone. A second step stays, as after every letter.
pub async fn undo_email(auth: &Auth, link: (&str, &str), visit: &Visit) -> Result<()> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let undone = undo(auth, link, visit).await;
    if is_worthless(&undone) {
        auth.note_worthless(("email_undone", "link"), link, visit).await;
    } else if undone.is_ok() {
        auth.0.limits.give_back(Class::CodeTry, &whos).await;
    }
    undone
}

async fn undo(auth: &Auth, (id, secret): (&str, &str), visit: &Visit) -> Result<()> {
    let id = Uuid::parse_str(id).map_err(|_not_an_id| gone())?;
    let since = OffsetDateTime::now_utc() - UNDO;
    let hash = cookies::digest(secret);
    let former = email_changes::to_undo(&auth.pool, id, &hash, since).await?;
    let user = UserId(former.ok_or_else(gone)?.user_id);
    let mut tx = auth.pool.begin().await?;
    // the user first of all, as whoever changes how they sign in does; whoever is locked meanwhile may take it back too
    users::hold(&mut tx, user).await?;
    let linked = email_changes::undo(&mut tx, id, &hash, since)
        .await?
        .ok_or_else(gone)?;
    let current = users::read(&mut tx, user).await?.ok_or_else(gone)?;
    let old = stored_email(&linked.old_email)?;
    users::remove_unproven(&mut tx, &old.key()).await?;
    if !users::set_email(&mut tx, user, &old).await? {
        return Err(taken().into());
    }
    users::put_password_away(&mut tx, user).await?;
    unlink_since(&mut tx, user, linked.created_at).await?;
    passkey::forget_since(&mut tx, user, linked.created_at).await?;
    verification_tokens::void_all(&mut tx, &current.email.key()).await?;
    verification_tokens::void_all(&mut tx, &old.key()).await?;
    native::void_codes(&mut tx, user).await?;
    second_step::void_challenges(&mut tx, user).await?;
    let signed_out = devices::revoke_all(&mut tx, user, "address taken back").await?;
    for to in [&old, &current.email] {
        let letter = Letter::EmailUndone {
            old: old.to_string(),
            when: auth.now_and_where(visit)?,
            link: auth.config.link(page::FORGOT),
        };
        mail::put(&mut tx, Some(user), to, &letter).await?;
    }
    note(&mut tx, user, None, "email_undone", visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    auth.letters_wait();
    Ok(())
}
