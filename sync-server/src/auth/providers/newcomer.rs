//! Somebody new whose provider does not vouch for their address: the code of a letter proves it, typed in the browser that came.
//!
//! **Invariant:** until that code is typed nothing is made and nothing is linked. What waits is the identity as the provider gave
//! it, sealed in the browser that brought it, and the code is good for that one alone. What is answered does not tell whether the
//! address is known.

use super::super::audit_events::{self, Event};
use super::super::by_letter::{CODE_CHARS, is_right, refuse};
use super::super::cookies::NEWCOMER;
use super::super::finish::{Entry, named};
use super::super::tries::{Cause, Whose};
use super::super::verification_tokens::{self as tokens, NewSignIn, Purpose};
use super::super::{Auth, Visit, codes, cookies, seal, users};
use super::{Identity, flow};
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use anyhow::Context as _;
use axum_extra::extract::cookie::Cookie;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use protocol::Code;
use protocol::auth::Email;
use protocol::routes::page;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a code works (ASVS 6.5.5).
const WORKS: Duration = mail::SIGN_IN_GOOD_FOR;
/// How long the provider's word is believed: letters may be slow, and then another one is asked for.
const KEPT: Duration = Duration::hours(1);
/// Characters of a name, and of an address that a page or a picture has: all of it has to fit into one cookie (4,096 bytes).
const NAME: usize = 100;
const ADDRESS: usize = 512;
/// Characters of the cookie's value, which leave room for its name and its attributes.
const COOKIE: usize = 3_800;
/// What the cookie is sealed for.
const PLACE: &str = "newcomer";

/// What the browser holds meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    provider: String,
    subject: String,
    email: Email,
    name: Option<String>,
    avatar_url: Option<String>,
    next: String,
    stays: bool,
    /// In Unix seconds.
    until: i64,
}

impl Newcomer {
    pub(super) fn new(
        provider: &str,
        identity: &Identity,
        email: &Email,
        (next, stays): (String, bool),
    ) -> Self {
        let name = identity.name.as_deref().map(|name| named(name, "", NAME));
        let is_short = |address: &String| address.len() <= ADDRESS;
        Self {
            provider: provider.to_owned(),
            subject: identity.subject.clone(),
            email: email.clone(),
            name,
            avatar_url: identity.avatar_url.clone().filter(is_short),
            next: Some(next)
                .filter(is_short)
                .unwrap_or_else(|| page::HOME.to_owned()),
            stays,
            until: (OffsetDateTime::now_utc() + KEPT).unix_timestamp(),
        }
    }

    /// Once the code was typed.
    fn proven(self) -> Identity {
        Identity {
            subject: self.subject,
            email: Some(self.email),
            is_email_verified: true,
            name: self.name,
            avatar_url: self.avatar_url,
            // No room for it in a cookie; the next sign-in brings another.
            token: None,
        }
    }
}

/// Sends the letter behind the answer. The cookie binds its code to this browser and to this identity.
pub(super) async fn ask(auth: &Auth, newcomer: Newcomer, visit: &Visit) -> Result<Cookie<'static>> {
    newcomer.email.must_be_fit()?;
    let text = serde_json::to_vec(&newcomer).context("keeping a newcomer")?;
    let sealed = URL_SAFE_NO_PAD.encode(seal::seal(&auth.keys, PLACE, b"", &text));
    if sealed.len() > COOKIE {
        return Err(Code::ProviderUnverified.into());
    }
    send_behind(auth, newcomer, cookies::digest(&sealed), visit).await?;
    Ok(cookies::set(NEWCOMER, sealed, Some(KEPT.whole_seconds())))
}

/// One more letter, since the first may be lost. The code of before is worthless while there are tries at the new one.
pub async fn again(auth: &Auth, headers: &HeaderMap, visit: &Visit) -> Result<()> {
    let (newcomer, binding_hash) = auth.newcomer(headers).ok_or(Code::StateMismatch)?;
    send_behind(auth, newcomer, binding_hash, visit).await
}

async fn send_behind(auth: &Auth, newcomer: Newcomer, binding_hash: [u8; 32], visit: &Visit) -> Result<()> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Letter, &whos, Whose::Unknown, visit).await?;
    let (later, visit) = (auth.clone(), visit.clone());
    auth.behind_the_answer("a letter to somebody new", async move {
        send(&later, &newcomer, binding_hash, &visit).await
    });
    Ok(())
}

/// To whoever has the address: the code, or word that somebody tried. In both cases there is a row, so that typing codes is the same.
async fn send(auth: &Auth, newcomer: &Newcomer, binding_hash: [u8; 32], visit: &Visit) -> Result<()> {
    let account = format!("newcomer:{}", auth.account_key(&newcomer.email));
    let (whos, whose) = ([Who::Account(&account)], Whose::Email(&newcomer.email));
    if auth.take(Class::Letter, &whos, whose, visit).await.is_err()
        || !auth.may_write_to(&newcomer.email, Cause::Other).await
    {
        return Ok(());
    }
    let known = users::known(&auth.pool, &newcomer.email).await?;
    let mut tx = auth.pool.begin().await?;
    let holder = match known {
        Some(known) => users::read(&mut tx, known.user).await?,
        None => None,
    };
    // to the address as it is kept, where somebody signed up with it: what the provider names may only read like it
    let email = holder.as_ref().map_or(&newcomer.email, |holder| &holder.email);
    let owner = holder.as_ref().filter(|holder| holder.is_verified);
    let owner = owner.map(|owner| owner.id);
    let (id, code) = (Uuid::now_v7(), codes::fresh(CODE_CHARS));
    let new = NewSignIn {
        id,
        purpose: Purpose::Newcomer,
        identifier: &newcomer.email.key(),
        user: owner,
        // no link acts
        link_hash: cookies::digest(&cookies::fresh_secret()),
        code_hash: auth.code_hash(id, &code),
        binding_hash,
        expires: OffsetDateTime::now_utc() + WORKS,
    };
    tokens::insert_sign_in(&mut tx, &new).await?;
    let letter = newcomer.letter(auth, owner.is_none().then_some(code), visit)?;
    // nobody writes to whom an operator has locked
    if holder.as_ref().is_none_or(|holder| !holder.is_disabled) {
        mail::put(&mut tx, holder.as_ref().map(|holder| holder.id), email, &letter).await?;
    }
    let event = Event {
        user: owner,
        device: None,
        name: "sign_in",
        refusal: Some("address not confirmed"),
        method: &newcomer.provider,
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

impl Newcomer {
    /// `code`: `None` where the address is somebody's already.
    fn letter(&self, auth: &Auth, code: Option<String>, visit: &Visit) -> Result<Letter> {
        let provider = auth.0.providers.name(&self.provider).to_owned();
        let when = auth.now_and_where(visit)?;
        Ok(match code {
            Some(code) => Letter::ProviderCode {
                provider,
                when,
                link: auth.config.link(page::NEWCOMER),
                code,
            },
            None => Letter::ProviderKnown {
                provider,
                when,
                link: auth.config.link(page::SECURITY),
            },
        })
    }
}

/// What the page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub email: String,
    /// What people call the provider.
    pub provider: String,
    pub next: String,
    pub stays: bool,
}

/// Who waits in this browser; changes nothing.
pub fn waiting(auth: &Auth, headers: &HeaderMap) -> Option<Waiting> {
    auth.newcomer(headers).map(|(newcomer, _)| Waiting {
        email: newcomer.email.to_string(),
        provider: auth.0.providers.name(&newcomer.provider).to_owned(),
        next: newcomer.next,
        stays: newcomer.stays,
    })
}

/// The code, typed into the browser that came. What follows is what follows where the provider vouches for the address.
pub async fn enter(
    auth: &Auth,
    (typed, stays): (&str, bool),
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Entry> {
    let (newcomer, binding_hash) = auth.newcomer(headers).ok_or(Code::StateMismatch)?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let provider = newcomer.provider.clone();
    let email = newcomer.email.key();
    let window = tokens::of_window(&auth.pool, Purpose::Newcomer, &email, &binding_hash).await?;
    let to_try = window.as_ref().filter(|asked| asked.has_tries);
    let (Some(code), Some(asked)) = (codes::normal(typed, CODE_CHARS), to_try) else {
        return Err(refuse(auth, window, &provider, visit).await);
    };
    // as of a letter to sign in by
    let account = format!("newcomer:{}", auth.account_key(&newcomer.email));
    let (by_account, whose) = ([Who::Account(&account)], Whose::Email(&newcomer.email));
    auth.take(Class::CodeTry, &by_account, whose, visit).await?;
    let code_hash = auth.code_hash(asked.id, &code);
    if !tokens::try_code(&auth.pool, asked.id, &code_hash).await?
        || !use_up(auth, asked.id, &code_hash).await?
    {
        return Err(refuse(auth, window, &provider, visit).await);
    }
    let tx = auth.pool.begin().await?;
    let identity = newcomer.proven();
    let method = format!("{provider}, code");
    let entered = flow::admit(auth, tx, (&provider, &identity), (&method, stays), visit).await;
    if is_right(&entered) {
        for whos in [&whos, &by_account] {
            auth.0.limits.give_back(Class::CodeTry, whos).await;
        }
    }
    entered
}

/// In a transaction of its own: who the user is, if there will be one, is not known yet, and nobody who holds a user waits for this
/// row meanwhile. False: it was used up already.
async fn use_up(auth: &Auth, id: Uuid, code_hash: &[u8]) -> Result<bool> {
    let mut tx = auth.pool.begin().await?;
    let used = tokens::consume_code(&mut tx, id, code_hash).await?;
    tx.commit().await?;
    Ok(used.is_some())
}

impl Auth {
    /// Who waits in this browser, with the hash that their codes are bound to.
    fn newcomer(&self, headers: &HeaderMap) -> Option<(Newcomer, [u8; 32])> {
        let text = cookies::read(headers, NEWCOMER)?;
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let opened = seal::open(&self.keys, PLACE, b"", &sealed)?;
        let newcomer: Newcomer = serde_json::from_slice(&opened).ok()?;
        let is_in_time = OffsetDateTime::now_utc().unix_timestamp() < newcomer.until;
        (is_in_time && self.0.providers.find(&newcomer.provider).is_ok())
            .then(|| (newcomer, cookies::digest(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Keys;

    #[test]
    fn the_longest_newcomer_fits_into_a_cookie() {
        let identity = Identity {
            subject: "s".repeat(255),
            email: None,
            is_email_verified: false,
            name: Some("\u{1f980}".repeat(2000)),
            avatar_url: Some(format!("https://a.example/{}", "a".repeat(ADDRESS - 18))),
            token: None,
        };
        let email = Email::parse(&format!("{}@{}.example", "a".repeat(64), "b".repeat(60))).unwrap();
        let next = |chars: usize| format!("/oauth/authorize?{}", "a".repeat(chars));
        let newcomer = Newcomer::new("google", &identity, &email, (next(490), true));
        assert_eq!(newcomer.next, next(490));
        assert!(newcomer.avatar_url.is_some());
        let text = serde_json::to_vec(&newcomer).unwrap();
        let keys = Keys::from_masters(vec![vec![7; 32]]);
        let sealed = URL_SAFE_NO_PAD.encode(seal::seal(&keys, PLACE, b"", &text));
        assert!(sealed.len() <= COOKIE, "{}", sealed.len());
        let cookie = cookies::set(NEWCOMER, sealed, Some(KEPT.whole_seconds()));
        assert!(cookie.to_string().len() < 4096, "{}", cookie.to_string().len());
        let afar = Newcomer::new("google", &identity, &email, (next(2000), true));
        assert_eq!(afar.next, page::HOME);
    }
}
