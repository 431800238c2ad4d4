//! The one door: whatever the way in, here a second step is asked for, whether an account that is to go is kept, and a device made, noted and told about.
//!
//! **Invariant:** nothing else inserts into `sessions`.

use super::audit_events::{self, Event};
use super::devices::{self, NewDevice};
use super::native::dpop::Thumbprint;
use super::native::refresh;
use super::providers::PendingLink;
use super::users::{self, User};
use super::{Auth, SESSION, Visit, cookies};
use super::{deletion, second_step};
use crate::database::Transaction;
use crate::error::{Error, Result};
use crate::mail::{self, Letter};
use anyhow::Context as _;
use axum::Json;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use protocol::auth::{Client, Me, SignedIn, Tokens};
use protocol::{Code, DeviceId, Problem, UserId};
use time::OffsetDateTime;
use time::macros::format_description;

/// A browser may rest this long …
pub(super) const BROWSER_IDLE_SECONDS: i64 = 7 * 24 * 3600;
/// … and stays signed in this long at most, where its person wants that …
const BROWSER_SECONDS: i64 = 30 * 24 * 3600;
/// … and otherwise for as long as its window is open, or this long.
const BRIEF_SECONDS: i64 = 12 * 3600;
/// A native client may rest this long …
pub(super) const NATIVE_IDLE_SECONDS: i64 = 30 * 24 * 3600;
/// … and stays signed in this long at most.
const NATIVE_SECONDS: i64 = 180 * 24 * 3600;

/// Somebody proven, about to become a device.
#[derive(Clone, Debug)]
pub struct Entrance {
    pub user: UserId,
    /// How they proved themselves, for the audit.
    pub method: String,
    pub client: Client,
    /// An identity at a provider that this very sign-in proves to be the user's.
    pub link: Option<PendingLink>,
    pub step: Step,
    /// Of a browser: beyond its window.
    pub stays: bool,
    /// The key that a program has shown to hold: its tokens are renewed with that alone.
    pub key: Option<Thumbprint>,
}

/// How far the proof goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A password, a letter, a provider: who has a second step is asked for it.
    First,
    /// Both are proven, here, by a passkey, or by the browser that let an app in.
    Second,
}

/// What the client gets: the answer and, for a browser, its cookies.
#[derive(Clone, Debug)]
pub struct Entry {
    pub signed_in: SignedIn,
    pub cookies: Vec<Cookie<'static>>,
}

impl IntoResponse for Entry {
    fn into_response(self) -> Response {
        let jar = self.cookies.into_iter().fold(CookieJar::new(), CookieJar::add);
        (jar, Json(self.signed_in)).into_response()
    }
}

/// What became of a sign-in, in a transaction that is not saved yet. That is committed either way: the first step may have
/// used something up.
#[derive(Debug)]
#[must_use = "the other nodes are told by `announce`, after the commit"]
pub enum Admission {
    In(Box<Admitted>),
    /// A second step is asked for, and this is what the client holds for it.
    Asked(String),
    /// The account is to be deleted. A browser is asked whether it is kept.
    Leaving(Box<Problem>),
}

#[derive(Debug)]
pub struct Admitted {
    device: DeviceId,
    entry: Entry,
    user: UserId,
    replaced: Option<DeviceId>,
}

impl Admission {
    pub fn device(&self) -> Option<DeviceId> {
        match self {
            Self::In(admitted) => Some(admitted.device),
            Self::Asked(_) | Self::Leaving(_) => None,
        }
    }

    /// Call after the commit.
    pub fn announce(self, auth: &Auth) -> Result<Entry> {
        auth.letters_wait();
        match self {
            Self::In(admitted) => {
                if let Some(replaced) = admitted.replaced {
                    auth.announce_signed_out(admitted.user, &[replaced]);
                }
                Ok(admitted.entry)
            }
            Self::Asked(secret) => Err(Problem::new(Code::SecondStepRequired).challenge(secret).into()),
            Self::Leaving(problem) => Err(Error::Told(problem)),
        }
    }
}

pub async fn finish_sign_in(
    auth: &Auth,
    db: &mut Transaction,
    entrance: Entrance,
    visit: &Visit,
) -> Result<Admission> {
    let user = users::read(&mut *db, entrance.user)
        .await?
        .ok_or_else(|| Problem::new(Code::InvalidCredentials))?;
    if let Some(code) = refusal(&user) {
        note_refusal(auth, &entrance, code, visit);
        return Err(code.into());
    }
    if let Some(awaited) = awaited(db, &entrance).await? {
        return Ok(awaited);
    }
    if let Some(link) = &entrance.link {
        let when = auth.now_and_where(visit)?;
        link.link(auth, &mut *db, user.id, when).await?;
    }
    let replaced = devices::revoke_by_cookie(&mut *db, visit.session_cookie.as_deref()).await?;
    let is_first = devices::is_first(&mut *db, user.id).await?;
    let device = DeviceId::fresh();
    let me = Me {
        user: user.id,
        device,
        email: user.email.clone(),
        name: user.name.clone(),
    };
    let (new, entry) = match &entrance.client {
        Client::Browser => browser(auth, me, entrance.stays, visit),
        Client::Native { name, os, version } => native(auth, me, name, os, version)?,
    };
    let new = NewDevice {
        dpop_jkt: entrance
            .key
            .filter(|_| new.refresh_salt.is_some())
            .map(|key| key.to_string()),
        place: auth.places.of(visit.address),
        ..new
    };
    devices::insert(&mut *db, user.id, &new).await?;
    let event = Event {
        user: Some(user.id),
        device: Some(device),
        name: "sign_in",
        refusal: None,
        method: &entrance.method,
    };
    audit_events::note(&mut *db, event, visit).await?;
    if !is_first && replaced.is_none_or(|(owner, _)| owner != user.id) {
        let letter = Letter::NewDevice {
            device: new.name.clone(),
            when: auth.now_and_where(visit)?,
            link: auth.config.link(protocol::routes::page::SETTINGS),
        };
        mail::put(&mut *db, Some(user.id), &user.email, &letter).await?;
    }
    Ok(Admission::In(Box::new(Admitted {
        device,
        entry,
        user: replaced.map_or(user.id, |(owner, _)| owner),
        replaced: replaced.map(|(_, device)| device),
    })))
}

/// Why somebody proven is not let in all the same.
const fn refusal(user: &User) -> Option<Code> {
    if user.is_disabled {
        Some(Code::AccountDisabled)
    } else if !user.is_verified {
        Some(Code::EmailUnverified)
    } else {
        None
    }
}

/// Whether the door has noted it already, or there is nothing to note since it goes on.
pub const fn is_noted(problem: &Problem) -> bool {
    matches!(
        problem.code,
        Code::AccountDisabled | Code::EmailUnverified | Code::SecondStepRequired
    )
}

/// Behind the answer: the transaction that holds a connection is undone first.
fn note_refusal(auth: &Auth, entrance: &Entrance, code: Code, visit: &Visit) {
    let (pool, user, method) = (auth.pool.clone(), entrance.user, entrance.method.clone());
    let (reason, visit) = (code.to_string(), visit.clone());
    auth.tasks.spawn(async move {
        let event = Event {
            user: Some(user),
            device: None,
            name: "sign_in",
            refusal: Some(&reason),
            method: &method,
        };
        audit_events::note_refusal(&pool, event, &visit).await;
    });
}

/// What a sign-in still waits for: the second step, or whether an account that is to be deleted is kept.
async fn awaited(db: &mut Transaction, entrance: &Entrance) -> Result<Option<Admission>> {
    if entrance.step == Step::First && second_step::is_on(&mut *db, entrance.user).await? {
        return Ok(Some(Admission::Asked(
            second_step::begin(db, entrance, false).await?,
        )));
    }
    if let Some(leaving) = deletion::leaving(&mut *db, entrance.user).await? {
        let may_keep = !leaving.is_begun && matches!(entrance.client, Client::Browser);
        let challenge = if may_keep {
            Some(second_step::begin(db, entrance, true).await?)
        } else {
            None
        };
        let problem = deletion::refusal(leaving, challenge)?;
        return Ok(Some(Admission::Leaving(Box::new(problem))));
    }
    Ok(None)
}

fn browser(auth: &Auth, me: Me, stays: bool, visit: &Visit) -> (NewDevice, Entry) {
    let secret = cookies::fresh_secret();
    let (idle_seconds, absolute_seconds) = if stays {
        (BROWSER_IDLE_SECONDS, BROWSER_SECONDS)
    } else {
        (BRIEF_SECONDS, BRIEF_SECONDS)
    };
    let (name, os) = visit.browser();
    let new = NewDevice {
        id: me.device,
        session_token: cookies::digest_text(&secret),
        name,
        os,
        version: String::new(),
        place: None,
        refresh_salt: None,
        dpop_jkt: None,
        stays,
        idle_seconds,
        absolute_seconds,
    };
    let known = auth.known_cookie(&me.email);
    let entry = Entry {
        signed_in: SignedIn { me, tokens: None },
        cookies: vec![
            known,
            cookies::set(SESSION, secret, stays.then_some(absolute_seconds)),
            cookies::clear(cookies::FLOW),
            cookies::clear(cookies::STEP),
            cookies::clear(cookies::LETTER),
            cookies::clear(cookies::KEEP),
            cookies::clear(cookies::PASSKEY),
            cookies::clear(cookies::NEWCOMER),
        ],
    };
    (new, entry)
}

fn native(auth: &Auth, me: Me, name: &str, os: &str, version: &str) -> Result<(NewDevice, Entry)> {
    let salt: [u8; 32] = rand::random();
    let key = refresh::device_key(&auth.keys, &salt);
    let tokens = auth.tokens_for(me.user, me.device, 1, &key)?;
    let new = NewDevice {
        id: me.device,
        session_token: format!("native:{}", me.device),
        name: named(name, "A computer", 100),
        os: named(os, "", 16),
        version: named(version, "", 32),
        place: None,
        refresh_salt: Some(salt.to_vec()),
        dpop_jkt: None,
        stays: true,
        idle_seconds: NATIVE_IDLE_SECONDS,
        absolute_seconds: NATIVE_SECONDS,
    };
    let entry = Entry {
        signed_in: SignedIn {
            me,
            tokens: Some(tokens),
        },
        cookies: Vec::new(),
    };
    Ok((new, entry))
}

impl Auth {
    /// The pair of tokens of one generation.
    pub(super) fn tokens_for(
        &self,
        user: UserId,
        device: DeviceId,
        generation: i64,
        key: &[u8; 32],
    ) -> Result<Tokens> {
        let now = OffsetDateTime::now_utc();
        let (access_token, expires_in) = self.0.signer.sign(user, device, generation, now)?;
        Ok(Tokens {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in,
            refresh_token: refresh::write(key, device, generation),
        })
    }
}

/// A client as it may be shown and stored: what it calls itself is anybody's word.
pub(super) fn plain(client: &Client) -> Client {
    match client {
        Client::Browser => Client::Browser,
        Client::Native { name, os, version } => Client::Native {
            name: named(name, "A computer", 100),
            os: named(os, "", 16),
            version: named(version, "", 32),
        },
    }
}

/// Marks that turn the direction of what follows (Unicode Bidirectional Algorithm, UAX #9 §2): a name could make the words
/// beside it read otherwise.
const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a client calls itself: one line, bounded, never empty where something must be shown.
pub(super) fn named(text: &str, otherwise: &str, chars: usize) -> String {
    let line: String = text
        .chars()
        .filter(|c| !c.is_control() && !turns_direction(*c))
        .take(chars)
        .collect::<String>();
    let line = line.trim();
    if line.is_empty() {
        otherwise.to_owned()
    } else {
        line.to_owned()
    }
}

impl Auth {
    /// For a letter: now, and roughly from where somebody asks, where that is known.
    pub(super) fn now_and_where(&self, visit: &Visit) -> Result<String> {
        let now = in_words(OffsetDateTime::now_utc())?;
        Ok(match self.places.of(visit.address) {
            Some(place) => format!("{now}, from {place}"),
            None => now,
        })
    }

    /// For a question: the network that somebody asks from, and roughly where that is, where that is known.
    pub(super) fn whence(&self, visit: &Visit) -> String {
        let network = visit.prefix();
        match self.places.of(visit.address) {
            Some(place) => format!("{place} ({network})"),
            None => network,
        }
    }
}

pub fn in_words(at: OffsetDateTime) -> Result<String> {
    let format = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    Ok(at.format(format).context("writing a time")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computers_name_is_one_bounded_line() {
        assert_eq!(named(" Ana's\nLaptop ", "A computer", 100), "Ana'sLaptop");
        assert_eq!(named("\u{7}", "A computer", 100), "A computer");
        assert_eq!(named("a\u{202e}b\u{2066}c", "", 100), "abc");
        assert_eq!(named(&"x".repeat(500), "", 100).len(), 100);
    }

    #[test]
    fn a_time_is_said_in_words() {
        assert_eq!(
            in_words(OffsetDateTime::UNIX_EPOCH).unwrap(),
            "1 January 1970, 00:00 UTC"
        );
    }
}
