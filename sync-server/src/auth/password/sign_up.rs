//! Signing up: one answer whoever asks, and a letter to the one who reads that mailbox.
//!
//! **Invariant:** a password chosen here is nobody's until the mailbox is proven by the letter of this very sign-up.

use super::super::audit_events::{self, Event};
use super::super::tries::{Cause, Whose};
use super::super::users::{self, Holder};
use super::super::verification_tokens::{self as tokens, NewToken};
use super::super::{Auth, FLOW, Visit, codes, cookies, next};
use crate::body::Json;
use crate::database::Transaction;
use crate::error::Result;
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use http::{HeaderMap, StatusCode};
use protocol::auth::{Email, Resend, SignUp, SignUpStarted};
use protocol::{Code, Problem, UserId, limits, routes};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a letter's link and code work.
const LETTER: Duration = mail::VERIFY_GOOD_FOR;
/// Typed characters of a code: 40 bits, which five tries do not find. Crockford's alphabet has no look-alikes.
pub(super) const CODE_CHARS: usize = 8;

/// A sign-up begun: the answer, and the cookie that binds the letter to this browser.
#[derive(Clone, Debug)]
pub struct Begun {
    pub answer: SignUpStarted,
    pub cookie: Cookie<'static>,
}

/// Signs up. Answers 202 whether or not the address is known; what differs is the letter.
#[utoipa::path(post, path = routes::SIGN_UP, tag = "Signing in", request_body = SignUp,
    responses((status = 202, body = SignUpStarted), (status = 403, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn post_sign_up(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(ask): Json<SignUp>,
) -> Result<Response> {
    auth.must_not_be_foreign(&headers)?;
    let begun = sign_up(&auth, ask, routes::page::HOME, &headers, &visit).await?;
    let jar = CookieJar::new().add(begun.cookie);
    Ok((StatusCode::ACCEPTED, jar, axum::Json(begun.answer)).into_response())
}

/// `next`: where the letter's link leads in this browser, as its code does from the page.
pub async fn sign_up(
    auth: &Auth,
    ask: SignUp,
    next: &str,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Begun> {
    let name = named(ask.name)?;
    ask.email.must_be_fit()?;
    let password = ask.password.chosen()?;
    let prefix = visit.prefix();
    let account = auth.account_key(&ask.email);
    let whos = [Who::Address(&prefix), Who::Account(&account)];
    let whose = Whose::Email(&ask.email);
    auth.must_have_worked(&ask.email, ask.work.as_ref(), &prefix)
        .await?;
    auth.take(Class::SignUp, &whos, whose, visit).await?;
    // with another password it is another sign-up: whoever chose it before at this computer is bound to nothing of this one
    let of_this = [ask.email.key().as_str(), password.expose()].join("\0");
    let secret = auth.secret_for("sign-up binding", headers, &of_this);
    let binding = next::binding(secret, next);
    // The slow part, and the same for everybody.
    let about = super::about(&ask.email, name.as_deref());
    let hash = auth.0.hasher.choose(password, about).await?;

    let may_write = auth.may_write_to(&ask.email, Cause::Other).await;
    let mut tx = auth.pool.begin().await?;
    let holder = users::find_or_make(&mut tx, &ask.email).await?;
    let sign_up = SigningUp {
        user: holder.user,
        email: &ask.email,
        binding_hash: cookies::digest(&binding),
        hash: &hash,
        name: name.as_deref(),
    };
    sign_up.write(auth, &mut tx, &holder, may_write).await?;
    let event = Event {
        user: Some(holder.user),
        device: None,
        name: "sign_up",
        refusal: holder.is_verified.then_some("known"),
        method: "password",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(Begun {
        answer: SignUpStarted {
            binding: binding.clone(),
        },
        cookie: cookies::set(FLOW, binding, Some(LETTER.whole_seconds())),
    })
}

/// What somebody wants to be called, if anything.
fn named(typed: Option<String>) -> Result<Option<String>> {
    let name = typed
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    if name
        .as_ref()
        .is_some_and(|name| name.chars().count() > limits::NAME_CHARS || name.chars().any(char::is_control))
    {
        return Err(Problem::new(Code::Invalid)
            .field("name")
            .detail("Please use a shorter name, on one line.")
            .limit(limits::NAME_CHARS as u64)
            .into());
    }
    Ok(name)
}

struct SigningUp<'a> {
    user: UserId,
    email: &'a Email,
    binding_hash: [u8; 32],
    hash: &'a str,
    name: Option<&'a str>,
}

impl SigningUp<'_> {
    /// The letter with the row that it is checked against, unless this very sign-up was sent a moment ago, as by a button that was
    /// pressed twice. What became of the account since changes nothing about that.
    async fn write(&self, auth: &Auth, db: &mut Transaction, holder: &Holder, may_write: bool) -> Result<()> {
        if tokens::is_on_its_way(db, &self.email.key(), &self.binding_hash).await? {
            return Ok(());
        }
        let letter = if holder.is_verified {
            self.pretend(auth, db).await?
        } else {
            self.begin(auth, db).await?
        };
        // nobody writes to whom an operator has locked
        if may_write && !holder.is_disabled {
            // to the address as it is kept: what was typed may only read like it
            mail::put(db, Some(holder.user), &holder.email, &letter).await?;
        }
        Ok(())
    }

    async fn begin(&self, auth: &Auth, db: &mut Transaction) -> Result<Letter> {
        let id = Uuid::now_v7();
        let fresh = Fresh::new(auth, id);
        self.store(db, id, &fresh).await?;
        Ok(fresh.letter(auth, id))
    }

    /// A row that no letter goes with: typing codes for a known address counts tries like any other, and signing in with the
    /// password chosen here is answered alike. Nothing confirms it, since the address is confirmed.
    async fn pretend(&self, auth: &Auth, db: &mut Transaction) -> Result<Letter> {
        let id = Uuid::now_v7();
        let fresh = Fresh::new(auth, id);
        self.store(db, id, &fresh).await?;
        Ok(Letter::AlreadyHaveAccount {
            link: auth.config.link(routes::page::SIGN_IN),
        })
    }

    async fn store(&self, db: &mut Transaction, id: Uuid, fresh: &Fresh) -> Result<()> {
        let new = NewToken {
            id,
            identifier: &self.email.key(),
            user: self.user,
            link_hash: cookies::digest(&fresh.secret),
            code_hash: fresh.code_hash,
            binding_hash: self.binding_hash,
            candidate_hash: self.hash,
            candidate_name: self.name,
            expires: OffsetDateTime::now_utc() + LETTER,
        };
        Ok(tokens::insert(db, &new).await?)
    }
}

/// A link's secret and a code, as only the letter holds them.
struct Fresh {
    secret: String,
    code: String,
    code_hash: [u8; 32],
}

impl Fresh {
    fn new(auth: &Auth, id: Uuid) -> Self {
        let code = codes::fresh(CODE_CHARS);
        Self {
            secret: cookies::fresh_secret(),
            code_hash: auth.code_hash(id, &code),
            code,
        }
    }

    fn letter(self, auth: &Auth, id: Uuid) -> Letter {
        let path = routes::page::VERIFY;
        Letter::Verify {
            link: auth.config.link(&format!("{path}?id={id}&t={}", self.secret)),
            code: self.code,
        }
    }
}

/// Asks for the letter again. Always 202; at most one a minute and three an hour for an address.
#[utoipa::path(post, path = routes::RESEND, tag = "Signing in", request_body = Resend,
    responses((status = 202), (status = 429, body = Problem)))]
pub async fn post_resend(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(ask): Json<Resend>,
) -> Result<StatusCode> {
    auth.must_not_be_foreign(&headers)?;
    resend(&auth, &ask, &headers, &visit).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sends nothing, and says the same, for addresses without a sign-up and for those that had enough letters. That is done behind the
/// answer: how long it takes tells nothing.
pub async fn resend(auth: &Auth, ask: &Resend, headers: &HeaderMap, visit: &Visit) -> Result<()> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Letter, &whos, Whose::Unknown, visit).await?;
    let binding = cookies::digest(cookies::read(headers, FLOW).unwrap_or_default());
    let (later, email, visit) = (auth.clone(), ask.email.clone(), visit.clone());
    auth.behind_the_answer("another letter to confirm by", async move {
        send_again(&later, &email, &binding, &visit).await
    });
    Ok(())
}

async fn send_again(auth: &Auth, email: &Email, binding: &[u8; 32], visit: &Visit) -> Result<()> {
    let account = auth.account_key(email);
    let (whos, whose) = ([Who::Account(&account)], Whose::Email(email));
    if auth.take(Class::Letter, &whos, whose, visit).await.is_err() {
        return Ok(());
    }
    let Some(known) = users::known(&auth.pool, email).await? else {
        return Ok(());
    };
    let (mut tx, user) = (auth.pool.begin().await?, known.user);
    // the user first of all, as whoever confirms it does; nobody writes to whom an operator has locked
    if !users::hold(&mut tx, user).await? {
        return Ok(());
    }
    let found = tokens::to_resend(&mut tx, user, &email.key(), binding).await?;
    let Some((id, email)) = found else {
        return Ok(());
    };
    if !auth.may_write_to(&email, Cause::Other).await {
        return Ok(());
    }
    let fresh = Fresh::new(auth, id);
    let expires = OffsetDateTime::now_utc() + LETTER;
    tokens::refresh(
        &mut tx,
        id,
        &cookies::digest(&fresh.secret),
        &fresh.code_hash,
        expires,
    )
    .await?;
    mail::put(&mut tx, Some(user), &email, &fresh.letter(auth, id)).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}
