//! Counting tries at the door: a refusal for too many of them is noted too, the first of each key in a while. And of those that
//! were counted, the links that open nothing.
//!
//! **Invariant:** whoever tries without end writes one line into the log for each try that they have, and one that there are no more.

use super::audit_events::{self, Event};
use super::verification_tokens as tokens;
use super::{Auth, Visit, cookies, email_change, users};
use crate::error::{Error, Result};
use crate::limits::{Class, Limited, Who};
use protocol::auth::Email;
use protocol::{Code, DeviceId, UserId};
use uuid::Uuid;

/// Whose door it is, as far as it is known before anything is proven.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    Unknown,
    Email(&'a Email),
    User(UserId, Option<DeviceId>),
}

/// Whether this is the answer to a link or a code that opens nothing.
pub(super) fn is_worthless<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Told(problem)) if problem.code == Code::InvalidOrExpiredLink)
}

/// What a letter that anybody can cause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Counted by itself: letters of other kinds do not use up the way back in.
    Reset,
    Other,
}

impl Auth {
    /// Counts one try for each of `whos`, all or none.
    pub(super) async fn take(
        &self,
        class: Class,
        whos: &[Who<'_>],
        whose: Whose<'_>,
        visit: &Visit,
    ) -> Result<()> {
        let Err(limited) = self.0.limits.take(class, whos).await else {
            return Ok(());
        };
        self.note_limited(class, whos, whose, &limited, visit).await;
        Err(limited.into())
    }

    /// Whether one more letter that anybody can cause may go to an address. Who asked for it hears the same either way; what a
    /// person did to their own account is always told. To be asked only where a letter would go: else whoever makes up
    /// addresses would use up everybody's.
    pub(super) async fn may_write_to(&self, email: &Email, kind: Cause) -> bool {
        let account = match kind {
            Cause::Reset => format!("reset:{}", self.account_key(email)),
            Cause::Other => self.account_key(email),
        };
        let whos = [Who::Account(&account), Who::Everyone];
        let Err(limited) = self.0.limits.take(Class::Mail, &whos).await else {
            return true;
        };
        if limited.is_news_of == Some(1) {
            tracing::error!("LETTERS_AN_HOUR is reached: letters that anybody can cause are not sent");
        }
        false
    }

    /// Notes a refusal that is news.
    pub(super) async fn note_limited(
        &self,
        class: Class,
        whos: &[Who<'_>],
        whose: Whose<'_>,
        limited: &Limited,
        visit: &Visit,
    ) {
        let Some(who) = limited.is_news_of.and_then(|place| whos.get(place)) else {
            return;
        };
        // an address that is refused says nothing about the account that it tried last
        let (user, device) = match (who, whose) {
            (Who::Address(_), _) | (_, Whose::Unknown) => (None, None),
            (Who::Everyone, _) => (None, None),
            (Who::Account(_) | Who::Device(_), Whose::User(user, device)) => (Some(user), device),
            (Who::Account(_) | Who::Device(_), Whose::Email(email)) => {
                // where it cannot be read now, the note goes without
                (users::find(&self.pool, email).await.ok().flatten(), None)
            }
        };
        let event = Event {
            user,
            device,
            name: tried(class, whose),
            refusal: Some("too often"),
            method: class.name(),
        };
        audit_events::note_refusal(&self.pool, event, visit).await;
    }

    /// Notes that a letter's link was pressed which opens nothing, as its reader's where it was a link once. For where the try was
    /// counted, and no transaction is open.
    pub(super) async fn note_worthless(
        &self,
        (name, method): (&str, &str),
        (id, secret): (&str, &str),
        visit: &Visit,
    ) {
        let event = Event {
            user: self.reader_of(id, secret).await,
            device: None,
            name,
            refusal: Some("not valid"),
            method,
        };
        audit_events::note_refusal(&self.pool, event, visit).await;
    }

    /// Whose account a letter's link is about, whatever became of it. Where that cannot be read now, the note goes without.
    async fn reader_of(&self, id: &str, secret: &str) -> Option<UserId> {
        let (id, link_hash) = (Uuid::parse_str(id).ok()?, cookies::digest(secret));
        if let Ok(Some(user)) = tokens::whose(&self.pool, id, &link_hash).await {
            return Some(user);
        }
        let change = email_change::whose(&self.pool, id, &link_hash).await;
        change.ok().flatten()
    }
}

/// What was tried, as the audit names it.
const fn tried(class: Class, whose: Whose<'_>) -> &'static str {
    match (class, whose) {
        (
            Class::Password | Class::SecondStep | Class::Passkey | Class::PasskeyTry,
            Whose::User(_, Some(_)),
        ) => "prove",
        (
            Class::Password
            | Class::SecondStep
            | Class::Passkey
            | Class::PasskeyTry
            | Class::CodeTry
            | Class::ProviderReturn,
            _,
        ) => "sign_in",
        (Class::SignUp | Class::FreeSignUp, _) => "sign_up",
        (Class::Letter, Whose::User(_, Some(_))) => "email_asked",
        (Class::Letter | Class::Mail, _) => "letter",
        (Class::OAuthStart | Class::DeviceCode | Class::DeviceCodeTry, _) => "authorize",
        (Class::Token, _) => "refresh",
        (Class::Export, _) => "export",
        (Class::Request | Class::Socket, _) => "request",
    }
}
