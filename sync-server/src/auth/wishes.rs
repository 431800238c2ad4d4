//! Letters that can be turned off: whether somebody wants them, and the link in each that says so.
//!
//! **Invariant:** the link does this alone and for its own account: whoever holds it learns no address and gets in nowhere.
//! Letters about safety ask nobody here.

mod letter_choices;

use super::audit_events::{self, Event};
use super::{Auth, Caller, Visit, seal};
use crate::database::Transaction;
use crate::error::Result;
use crate::mail::{self, Letter};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::routes::page;
use protocol::{Code, UserId};
use uuid::Uuid;

/// What stamps of links are for.
const WISHES: &str = "letter wishes";

/// What a link finds.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    user: UserId,
    pub wants_tips: bool,
}

pub async fn wants_tips(auth: &Auth, caller: &Caller) -> Result<bool> {
    Ok(letter_choices::wants_tips(&auth.pool, caller.user)
        .await?
        .unwrap_or(false))
}

/// By somebody who is signed in.
pub async fn choose_letters(auth: &Auth, caller: &Caller, tips: bool, visit: &Visit) -> Result<()> {
    let event = Event {
        device: Some(caller.device),
        ..event(caller.user, tips, "itself")
    };
    choose(auth, event, caller.user, tips, visit).await
}

/// Changes nothing: whoever looks after somebody's mail follows each link.
pub async fn look_at_wish(auth: &Auth, token: &str) -> Result<Wish> {
    let user = auth.user_of_wish(token).ok_or(Code::NotFound)?;
    let wants_tips = letter_choices::wants_tips(&auth.pool, user).await?;
    Ok(Wish {
        user,
        wants_tips: wants_tips.ok_or(Code::NotFound)?,
    })
}

/// By a letter's link, from wherever it is opened.
pub async fn choose_by_link(auth: &Auth, wish: Wish, tips: bool, visit: &Visit) -> Result<()> {
    if wish.wants_tips == tips {
        return Ok(());
    }
    choose(auth, event(wish.user, tips, "link"), wish.user, tips, visit).await
}

const fn event(user: UserId, tips: bool, method: &'static str) -> Event<'static> {
    Event {
        user: Some(user),
        device: None,
        name: if tips { "tips_on" } else { "tips_off" },
        refusal: None,
        method,
    }
}

async fn choose(auth: &Auth, event: Event<'_>, user: UserId, tips: bool, visit: &Visit) -> Result<()> {
    let mut tx = auth.pool.begin().await?;
    if !letter_choices::choose_tips(&mut tx, user, tips).await? {
        return Err(Code::NotFound.into());
    }
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    Ok(())
}

/// Tells those who joined and have not begun how to. Each is told once.
pub async fn send_tips(auth: &Auth) -> anyhow::Result<()> {
    loop {
        let mut tx = auth.pool.begin().await?;
        let count = write_some(auth, &mut tx).await?;
        tx.commit().await?;
        if count == 0 {
            return Ok(());
        }
        auth.letters_wait();
    }
}

async fn write_some(auth: &Auth, tx: &mut Transaction) -> anyhow::Result<usize> {
    let newcomers = letter_choices::take_newcomers(tx).await?;
    for (user, email) in &newcomers {
        let Some(email) = email else { continue };
        let letter = Letter::GettingStarted {
            link: auth.config.link(page::HOME),
            stop: auth.link_of_wish(*user),
        };
        mail::put(tx, Some(*user), email, &letter).await?;
    }
    Ok(newcomers.len())
}

impl Auth {
    fn link_of_wish(&self, user: UserId) -> String {
        let stamp = seal::stamp(&self.keys, WISHES, &[user.0.as_bytes()]);
        let token = URL_SAFE_NO_PAD.encode([user.0.as_bytes().as_slice(), &stamp].concat());
        self.config.link(&page::LETTERS_LINK.replace("{token}", &token))
    }

    /// `None`: nobody here wrote that.
    fn user_of_wish(&self, token: &str) -> Option<UserId> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, stamp) = bytes.split_first_chunk::<16>()?;
        let is_ours = seal::is_stamped(&self.keys, WISHES, &[id], stamp);
        is_ours.then_some(UserId(Uuid::from_bytes(*id)))
    }
}
