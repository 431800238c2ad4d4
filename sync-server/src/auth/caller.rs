//! The proven device behind a request: a handler that takes a [`Caller`] cannot be called by a stranger.

use super::devices::Standing;
use super::native::access::Proof;
use super::{Auth, cookies};
use crate::error::{Error, Result};
use crate::hints::Subscription;
use crate::limits::{Class, Who};
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};
use protocol::auth::{Email, Me};
use protocol::{Code, DeviceId, Problem, UserId};
use std::cell::Cell;
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub device: DeviceId,
    pub email: Email,
    pub name: Option<String>,
    pub kind: Kind,
    /// Unix seconds when the access token ends; `None` for a cookie.
    pub expires_at: Option<i64>,
    /// Which of its browser's cookies was shown, by its number: each fresh proof gives another. `None` for an access token.
    pub cookie: Option<i64>,
}

/// What has become of the credential that a connection was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Holds,
    /// The browser has used another cookie since, and whoever has that one comes again.
    Replaced,
    SignedOut,
}

impl Credential {
    /// For a request that is answered later than it was asked.
    pub fn must_hold(self) -> Result<(), Problem> {
        match self {
            Self::Holds => Ok(()),
            Self::Replaced => Err(Problem::new(Code::SignInRequired)),
            Self::SignedOut => Err(Problem::new(Code::SessionRevoked)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Browser,
    Native,
}

impl Caller {
    pub fn me(&self) -> Me {
        Me {
            user: self.user,
            device: self.device,
            email: self.email.clone(),
            name: self.name.clone(),
        }
    }

    /// What was heard of the credential since somebody listens.
    pub fn heard(&self, news: &Subscription) -> Credential {
        if news.is_revoked(self.device) {
            Credential::SignedOut
        } else if news.is_replaced(self.device, self.cookie) {
            Credential::Replaced
        } else {
            Credential::Holds
        }
    }

    fn standing(standing: &Standing, shown: Shown) -> Result<Self, Problem> {
        must_be_in(standing)?;
        let (expires_at, cookie) = match shown {
            Shown::Token(proof) => (Some(proof.expires_at), None),
            Shown::Cookie(number) => (None, Some(number)),
        };
        Ok(Self {
            user: standing.user,
            device: standing.device,
            email: standing.email.clone(),
            name: standing.name.clone(),
            kind: standing.kind,
            expires_at,
            cookie,
        })
    }
}

/// What a device came with.
#[derive(Clone, Copy)]
enum Shown {
    Token(Proof),
    /// By its number.
    Cookie(i64),
}

fn must_be_in(standing: &Standing) -> Result<(), Problem> {
    if standing.is_signed_out || standing.is_user_disabled {
        return Err(Problem::new(Code::SessionRevoked));
    }
    if standing.expires_at <= OffsetDateTime::now_utc().unix_timestamp() {
        return Err(Problem::new(Code::SessionExpired));
    }
    Ok(())
}

impl Auth {
    /// The caller by what the headers prove: an access token, else a browser's cookie. `None`: neither is there.
    /// Does not look at where the request was made; [`Caller`] as an extractor does. Counts it among what the device asks for.
    pub async fn caller_by_headers(&self, headers: &HeaderMap) -> Result<Option<Caller>> {
        let caller = if let Some(token) = bearer(headers) {
            self.caller_by_token(token).await?
        } else if let Some(cookie) = cookies::read(headers, cookies::SESSION) {
            let (standing, number) = self.standing_by_cookie(cookie).await?;
            Caller::standing(&standing, Shown::Cookie(number))?
        } else {
            return Ok(None);
        };
        // nobody listens where a socket asks, or a job
        let _ = IS_PROVEN.try_with(|is_proven| is_proven.set(true));
        self.limits()
            .take_here(Class::Request, Who::Device(caller.device.0))?;
        Ok(Some(caller))
    }

    /// The caller by an access token alone, as a socket renews it.
    pub async fn caller_by_token(&self, token: &str) -> Result<Caller> {
        let (standing, proof) = self.standing_by_token(token).await?;
        Ok(Caller::standing(&standing, Shown::Token(proof))?)
    }

    /// For whoever holds a connection open. Being looked at is no use of the device.
    pub async fn credential_of(&self, caller: &Caller) -> Result<Credential> {
        let standing = self.standing(caller.device).await?;
        let Some(standing) = standing.filter(|standing| must_be_in(standing).is_ok()) else {
            return Ok(Credential::SignedOut);
        };
        let holds = |number| number == standing.generation || Some(number) == standing.former;
        Ok(if caller.cookie.is_none_or(holds) {
            Credential::Holds
        } else {
            Credential::Replaced
        })
    }
}

tokio::task_local! {
    /// Whether the request that is being answered has shown a sign-in that holds.
    static IS_PROVEN: Cell<bool>;
}

/// What a request is answered, and whether a sign-in was looked at for it and holds.
pub async fn proven<F: Future>(answer: F) -> (F::Output, bool) {
    let answered = async { (answer.await, IS_PROVEN.with(Cell::get)) };
    IS_PROVEN.scope(Cell::new(false), answered).await
}

/// Whether there is something to look at by which somebody would be signed in.
pub fn shows_a_credential(headers: &HeaderMap) -> bool {
    bearer(headers).is_some() || cookies::read(headers, cookies::SESSION).is_some()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl<S> FromRequestParts<S> for Caller
where
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let auth = Auth::from_ref(state);
        if bearer(&parts.headers).is_none() && !is_safe(&parts.method) {
            auth.must_not_be_foreign(&parts.headers)?;
        }
        let caller = auth.caller_by_headers(&parts.headers).await?;
        caller.ok_or_else(|| Code::SignInRequired.into())
    }
}

/// For pages that show something to strangers too: a credential that no longer holds is nobody.
impl<S> OptionalFromRequestParts<S> for Caller
where
    Auth: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(caller) => Ok(Some(caller)),
            Err(Error::Told(problem)) if problem.status == 401 => Ok(None),
            Err(error) => Err(error),
        }
    }
}
