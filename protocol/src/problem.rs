//! A refusal that a person can be told about (RFC 9457), by HTTP and by IPC alike.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Content type of a problem (RFC 9457 §3).
pub const CONTENT_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $status:literal, $title:literal; )*) => {
        /// What went wrong, for a program. Stable: clients act on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $( $(#[$doc])* $name, )* }

        impl Code {
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 { match self { $( Self::$name => $status, )* } }
            /// One plain sentence for a person: what happened and what to do next.
            pub const fn title(self) -> &'static str { match self { $( Self::$name => $title, )* } }
        }
    };
}

codes! {
    /// The body or a field is not what the route takes; `detail` names it.
    BadRequest = 400, "That request could not be read. Please check it and try again.";
    /// A field's value is refused; `field` and `detail` say which and why.
    Invalid = 422, "One of the fields needs another value.";
    InvalidEmail = 422, "That does not look like an e-mail address. Please check it.";
    WeakPassword = 422, "That password is too easy to guess. Please choose a longer or less common one.";
    /// E-mail and password do not match. Never says which.
    InvalidCredentials = 401, "That e-mail and password do not match. Please try again.";
    /// Right password, but the address was never confirmed.
    EmailUnverified = 403, "Please confirm your e-mail address first. We sent you a letter with a link and a code.";
    /// Right password, but an operator closed the account.
    AccountDisabled = 403, "This account is closed. Please write to whoever runs this server.";
    /// All was right, but the account is to be deleted; `detail` says when. Its owner keeps it in a browser.
    AccountLeaving = 403, "This account is about to be deleted. To keep it, sign in with your browser.";
    /// The first step was proven, and this account wants a second; `challenge` goes back with the code.
    SecondStepRequired = 401, "One more step: please give the code from your authenticator app, or a recovery code.";
    /// What is asked for needs a proof of who asks that is no older than ten minutes.
    ProofRequired = 403, "Please show that it is you first.";
    /// No passkey of an account here answered as it must; never says which of the two.
    PasskeyRefused = 401, "That passkey did not work here. Please try again, or sign in another way.";
    /// Without it its owner could not sign in but by letter.
    LastWayIn = 409, "This is your only way to sign in. Please choose a password first, or connect another service.";
    /// Many sign up just now: the sign-up comes again with the work that `challenge` and `limit` (zero bits) ask for.
    WorkRequired = 403, "Many accounts are being made just now, so this computer has to do a little work first.";
    InvalidOrExpiredLink = 410, "This link or code is no longer valid. Please ask for a new one.";
    /// No credential came with the request.
    SignInRequired = 401, "Please sign in to go on.";
    SessionExpired = 401, "You have been away for a long time. Please sign in again.";
    SessionRevoked = 401, "This device was signed out. Please sign in again.";
    /// The access token is too old; a native client refreshes it silently.
    TokenExpired = 401, "Your access has to be renewed. The app does this by itself.";
    CsrfFailed = 403, "This form is too old or came from elsewhere. Please reload the page and try again.";
    OriginDenied = 403, "This request came from another site, so it was refused.";
    NotFound = 404, "This is not here. It may have been deleted, or it belongs to somebody else.";
    MethodNotAllowed = 405, "This address does not take that kind of request.";
    Conflict = 409, "Something changed meanwhile. Please reload and try again.";
    /// A cursor that cannot be continued from; `reason` says why. The client starts afresh.
    Reset = 409, "This device has to load its sessions afresh. It does so by itself.";
    TooLarge = 413, "That is too large.";
    UnsupportedMediaType = 415, "This address takes another kind of content.";
    /// The same mutation id came with another body.
    MutationReuse = 422, "This change was already sent with other content.";
    /// The target session was deleted; the text is kept on the device.
    SessionDeleted = 410, "That session was deleted on another device.";
    /// Somebody renamed it meanwhile; `current` has their title.
    Superseded = 409, "The title was changed on another device meanwhile.";
    Gone = 410, "This was deleted.";
    RateLimited = 429, "That was a bit much at once. Please wait a moment and try again.";
    /// A provider refused, was cancelled or did not answer as it must.
    ProviderFailed = 502, "The sign-in service did not confirm who you are. Please try again.";
    ProviderCancelled = 400, "Sign-in was cancelled. Nothing was changed.";
    /// The provider does not vouch for the address, so it proves nothing here.
    ProviderUnverified = 403, "The sign-in service named no e-mail address that reaches you. Please sign up with your e-mail address and a password instead.";
    /// A proof of possession that shows nothing (RFC 9449); `detail` says why, for whoever writes a client.
    InvalidDpopProof = 400, "This app could not show that it is the one it says. Please try again.";
    /// The proof's time is far from the server's; made again with the nonce in `challenge`, it is taken.
    UseDpopNonce = 400, "This app's clock and ours do not agree. The app tries again by itself.";
    StateMismatch = 400, "This sign-in was started elsewhere or is too old. Please start again.";
    /// An account with this address exists; signing in to it links the provider.
    LinkRequired = 409, "There is already an account with this e-mail address. Please sign in the way you did before.";
    /// The identity at the provider is somebody else's here.
    IdentityInUse = 409, "That account at the sign-in service already signs somebody in here. Sign in with it instead.";
    /// Hashing or another bounded resource is full; nobody is signed out by this.
    Busy = 503, "We are very busy right now. Please try again in a moment.";
    Unavailable = 503, "Part of the service is away right now. Your work is kept; please try again in a moment.";
    Internal = 500, "Something went wrong on our side. Please try again; if it stays, tell us the number below.";
    // Refusals of the local half, by IPC only.
    Offline = 503, "You are offline. This needs a connection.";
    DiskFull = 507, "Your disk is full, so this could not be saved. Free some space and try again; reading still works.";
    KeychainUnavailable = 503, "This computer offers no place for secrets. Choose how to keep you signed in.";
    OutboxNotEmpty = 409, "Some messages have not been sent yet. Signing out deletes them from this computer.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_value(self).ok();
        f.write_str(text.as_ref().and_then(|v| v.as_str()).unwrap_or("internal"))
    }
}

/// A refusal as it crosses the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `about:blank`-style reference to the code's page in the docs.
    #[serde(rename = "type", default)]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: Code,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field of the request that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Seconds until a retry makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The bound that was passed, in the unit that `detail` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// With [`Code::Reset`]: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<crate::sync::ResetReason>,
    /// With [`Code::SecondStepRequired`]: what the second step is for. With [`Code::UseDpopNonce`]: the nonce. With
    /// [`Code::WorkRequired`]: what is to be worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    pub fn new(code: Code) -> Self {
        Self {
            kind: format!("/problems/{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: None,
            field: None,
            retry_after: None,
            limit: None,
            reason: None,
            challenge: None,
            request_id: None,
        }
    }

    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.detail = Some(text.into());
        self
    }

    #[must_use]
    pub fn field(mut self, name: &str) -> Self {
        self.field = Some(name.to_owned());
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub fn challenge(mut self, secret: String) -> Self {
        self.challenge = Some(secret);
        self
    }

    #[must_use]
    pub fn reset(reason: crate::sync::ResetReason) -> Self {
        let mut problem = Self::new(Code::Reset);
        problem.reason = Some(reason);
        problem
    }

    /// What to show a person: the detail where there is one, else the title.
    pub fn sentence(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.title)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.sentence())
    }
}

impl std::error::Error for Problem {}
