//! Signing in by a letter: its link signs in the browser that opens it, its code the window that asked for it.
//!
//! **Invariant:** a click signs in only the browser that clicked, and a code only the window it is typed in: nobody who waits
//! elsewhere is let in by somebody else's click. What is answered does not tell whether an address is known.

use super::audit_events::{self, Event};
use super::cookies::LETTER;
use super::finish::{Entrance, Entry, Step, finish_sign_in};
use super::tries::{Cause, Whose, is_worthless};
use super::verification_tokens::{self as tokens, AskedBy, Candidate, Linked, NewSignIn, Purpose};
use super::{Auth, Visit, codes, cookies, devices, next, password, seal, users};
use crate::database::Transaction;
use crate::error::{Error, Result};
use crate::limits::{Class, Who};
use crate::mail::{self, Letter};
use axum_extra::extract::cookie::Cookie;
use hmac::Mac as _;
use http::HeaderMap;
use protocol::auth::{Client, Email};
use protocol::routes::page;
use protocol::{Code, Problem, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long link and code work (ASVS 6.5.5).
const WORKS: Duration = mail::SIGN_IN_GOOD_FOR;
/// 40 bits, which five tries do not find.
pub(super) const CODE_CHARS: usize = 8;
/// How somebody comes who presses the link, as the audit names it.
const BY_LINK: &str = "letter, link";

/// Sends the letter, if there is anybody to send it to; that is done behind the answer. The cookie binds its code to this
/// browser, and there its link leads on to `next` too. Asked for twice it is bound as before: the second may write no letter.
pub async fn ask_for_letter(
    auth: &Auth,
    email: Email,
    next: &str,
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Cookie<'static>> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::Letter, &whos, Whose::Unknown, visit).await?;
    let secret = auth.secret_for("letter binding", headers, &email.key());
    let binding = next::binding(secret, next);
    let binding_hash = cookies::digest(&binding);
    let (later, visit) = (auth.clone(), visit.clone());
    auth.behind_the_answer("a letter to sign in by", async move {
        send(&later, &email, binding_hash, &visit).await
    });
    Ok(cookies::set(LETTER, binding, Some(WORKS.whole_seconds())))
}

async fn send(auth: &Auth, email: &Email, binding_hash: [u8; 32], visit: &Visit) -> Result<()> {
    let account = format!("sign-in:{}", auth.account_key(email));
    let (whos, whose) = ([Who::Account(&account)], Whose::Email(email));
    if auth.take(Class::Letter, &whos, whose, visit).await.is_err() {
        return Ok(());
    }
    let known = users::known(&auth.pool, email).await?;
    let may_be_written_to = known.is_some() && auth.may_write_to(email, Cause::Other).await;
    let mut tx = auth.pool.begin().await?;
    let user = match known.filter(|_| may_be_written_to) {
        Some(known) => users::read(&mut tx, known.user).await?,
        None => None,
    };
    let user = user.filter(|user| !user.is_disabled);
    let (id, secret) = (Uuid::now_v7(), cookies::fresh_secret());
    let code = auth.letter_code(id, &secret);
    let new = NewSignIn {
        id,
        purpose: Purpose::SignIn,
        identifier: &email.key(),
        user: user.as_ref().map(|user| user.id),
        link_hash: cookies::digest(&secret),
        code_hash: auth.code_hash(id, &code),
        binding_hash,
        expires: OffsetDateTime::now_utc() + WORKS,
    };
    tokens::insert_sign_in(&mut tx, &new).await?;
    // for nobody: a row that no letter goes with, so that typing codes costs the same
    let Some(user) = user else {
        tx.commit().await?;
        return Ok(());
    };
    let link = auth.config.link(&format!("{}?id={id}&t={secret}", page::LETTER));
    let when = auth.now_and_where(visit)?;
    let letter = Letter::SignIn { when, link, code };
    mail::put(&mut tx, Some(user.id), &user.email, &letter).await?;
    let event = Event {
        user: Some(user.id),
        device: None,
        name: "letter",
        refusal: None,
        method: "itself",
    };
    audit_events::note(&mut tx, event, visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

/// What the page of the link shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterLook {
    /// The address, its local part hidden: the link may have been opened by a stranger.
    pub email: String,
    /// Where its reader was going in the browser that asked for the letter. `None`: this is another.
    pub next: Option<String>,
}

/// Looks at a link and changes nothing. `None`: it is used, too old or made up.
pub async fn letter_look(
    auth: &Auth,
    id: &str,
    secret: &str,
    headers: &HeaderMap,
) -> Result<Option<LetterLook>> {
    Ok(linked(auth, id, secret).await?.map(|(_, linked)| LetterLook {
        email: password::masked(&linked.email),
        next: linked.binding_in(headers, LETTER).map(next::next_in),
    }))
}

/// The code that the letter holds too, written as there, for the window that asked for it. `None`: as [`letter_look`].
pub async fn letter_code(auth: &Auth, id: &str, secret: &str) -> Result<Option<String>> {
    Ok(linked(auth, id, secret)
        .await?
        .map(|(id, _)| mail::spaced(auth.letter_code(id, secret))))
}

async fn linked(auth: &Auth, id: &str, secret: &str) -> Result<Option<(Uuid, Linked)>> {
    let Ok(id) = Uuid::parse_str(id) else {
        return Ok(None);
    };
    let linked = tokens::by_link(&auth.pool, Purpose::SignIn, id, &cookies::digest(secret)).await?;
    Ok(linked.map(|linked| (id, linked)))
}

/// The button on the link's page: signs in the browser that pressed it, and no other.
/// `stays`: beyond its window.
pub async fn enter_by_link(auth: &Auth, link: (&str, &str), stays: bool, visit: &Visit) -> Result<Entry> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let entered = follow(auth, link, stays, visit).await;
    if is_right(&entered) {
        auth.0.limits.give_back(Class::CodeTry, &whos).await;
    } else if is_worthless(&entered) {
        auth.note_worthless(("sign_in", BY_LINK), link, visit).await;
    }
    entered
}

async fn follow(auth: &Auth, (id, secret): (&str, &str), stays: bool, visit: &Visit) -> Result<Entry> {
    let gone = || Problem::new(Code::InvalidOrExpiredLink);
    let (id, linked) = linked(auth, id, secret).await?.ok_or_else(gone)?;
    let user = linked.user_id.map(UserId).ok_or_else(gone)?;
    let mut tx = auth.pool.begin().await?;
    users::hold(&mut tx, user).await?;
    let candidate = tokens::consume_link(&mut tx, Purpose::SignIn, id, &cookies::digest(secret))
        .await?
        .ok_or_else(gone)?;
    let by = By {
        method: BY_LINK,
        stays,
    };
    enter(auth, tx, candidate, by, visit).await
}

/// The code, typed into the window that asked for the letter.
pub async fn enter_by_code(
    auth: &Auth,
    email: &Email,
    (typed, stays): (&str, bool),
    headers: &HeaderMap,
    visit: &Visit,
) -> Result<Entry> {
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::CodeTry, &whos, Whose::Unknown, visit).await?;
    let binding = cookies::read(headers, LETTER).unwrap_or_default();
    let binding_hash = cookies::digest(binding);
    let window = tokens::of_window(&auth.pool, Purpose::SignIn, &email.key(), &binding_hash).await?;
    let to_try = window.as_ref().filter(|asked| asked.has_tries);
    let (Some(code), Some(asked)) = (codes::normal(typed, CODE_CHARS), to_try) else {
        return Err(refuse(auth, window, "letter", visit).await);
    };
    // known here or not, and each with a letter of its own: whoever types anything without one takes no try from its reader
    let account = format!("sign-in:{}", auth.account_key(email));
    let by_account = [Who::Account(&account)];
    auth.take(Class::CodeTry, &by_account, Whose::Email(email), visit)
        .await?;
    let code_hash = auth.code_hash(asked.id, &code);
    let user = asked.user_id.map(UserId);
    let (true, Some(user)) = (tokens::try_code(&auth.pool, asked.id, &code_hash).await?, user) else {
        return Err(refuse(auth, window, "letter", visit).await);
    };
    let mut tx = auth.pool.begin().await?;
    users::hold(&mut tx, user).await?;
    let Some(candidate) = tokens::consume_code(&mut tx, asked.id, &code_hash).await? else {
        drop(tx);
        return Err(refuse(auth, window, "letter", visit).await);
    };
    let by = By {
        method: "letter, code",
        stays,
    };
    let entered = enter(auth, tx, candidate, by, visit).await;
    if is_right(&entered) {
        for whos in [&whos, &by_account] {
            auth.0.limits.give_back(Class::CodeTry, whos).await;
        }
    }
    entered
}

/// What was typed or clicked was right, whether or not a second step follows.
pub(super) fn is_right(entered: &Result<Entry>) -> bool {
    match entered {
        Ok(_) => true,
        Err(Error::Told(problem)) => matches!(problem.code, Code::SecondStepRequired | Code::AccountLeaving),
        Err(Error::Kept(_)) => false,
    }
}

/// `method`: by what the letter was asked for.
pub(super) async fn refuse(auth: &Auth, window: Option<AskedBy>, method: &str, visit: &Visit) -> Error {
    let event = Event {
        user: window.and_then(|asked| asked.user_id).map(UserId),
        device: None,
        name: "sign_in",
        refusal: Some("wrong code"),
        method,
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Problem::new(Code::InvalidOrExpiredLink)
        .field("code")
        .detail("That code does not match or is no longer valid. Please check it, or ask for a new letter.")
        .into()
}

/// How somebody used a letter.
struct By {
    method: &'static str,
    stays: bool,
}

/// The letter proves the mailbox. Where nobody had proven it before, whatever was chosen for the account is nobody's.
async fn enter(
    auth: &Auth,
    mut tx: Transaction,
    candidate: Candidate,
    by: By,
    visit: &Visit,
) -> Result<Entry> {
    let user = candidate
        .user_id
        .map(UserId)
        .ok_or_else(|| Problem::new(Code::InvalidOrExpiredLink))?;
    let mut signed_out = Vec::new();
    if users::verify(&mut tx, user, None, None).await? {
        tokens::void_all(&mut tx, &candidate.identifier).await?;
        signed_out = devices::revoke_all(&mut tx, user, "address confirmed").await?;
    }
    tokens::void_sign_ins(&mut tx, &candidate.identifier).await?;
    let email = Email::parse(&candidate.identifier)?;
    let entrance = Entrance {
        user,
        method: by.method.to_owned(),
        client: Client::Browser,
        link: auth.pending_link(&email, visit).await,
        step: Step::First,
        stays: by.stays,
        key: None,
    };
    let admission = finish_sign_in(auth, &mut tx, entrance, visit).await?;
    tx.commit().await?;
    auth.announce_signed_out(user, &signed_out);
    admission.announce(auth)
}

impl Auth {
    /// Follows from the link, so that its page can show it; the link does not follow from it.
    fn letter_code(&self, id: Uuid, secret: &str) -> String {
        let key = self.keys.derive("letter code", id.as_bytes());
        let hash = seal::keyed(&key, &[secret.as_bytes()]).finalize().into_bytes();
        let bits = hash.first_chunk().copied().map_or(0, u128::from_be_bytes);
        codes::from_bits(bits, CODE_CHARS)
    }
}
