//! Signing up, in and out: what a client sends and gets. Values check themselves once, here.

use crate::{Code, DeviceId, Problem, UnixMillis, UserId, limits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An e-mail address that can be written to: trimmed, one `@`, a domain with a dot or `localhost`, no spaces or
/// control characters, at most 254 bytes. Kept as written; compared by [`Email::key`].
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "email"))]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        let refuse = || Problem::new(Code::InvalidEmail).field("email");
        let is_unfit = |c: char| c.is_control() || c.is_whitespace();
        if text.len() > limits::EMAIL_BYTES || text.chars().any(is_unfit) {
            return Err(refuse());
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(refuse)?;
        let local_is_sound = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && !local.chars().any(|c| "@<>(),;:\\\"[]".contains(c));
        let domain_is_sound = !domain.is_empty()
            && (domain.contains('.') || domain == "localhost")
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
        if local_is_sound && domain_is_sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(refuse())
        }
    }

    /// Before an account takes it up. Signs that read as letters, and become those in lower case as the kelvin does, are
    /// refused then: such an address would read like another's. One that was taken up before is an address all the same.
    pub fn must_be_fit(&self) -> Result<(), Problem> {
        if self.0.chars().any(|c| ('\u{2100}'..='\u{214f}').contains(&c)) {
            return Err(Problem::new(Code::InvalidEmail).field("email"));
        }
        Ok(())
    }

    /// The form that is unique: lower case throughout, since no provider in use tells local parts apart by case.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = Problem;
    fn try_from(text: String) -> Result<Self, Problem> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hides the local part, since logs are read by people it does not concern.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Email(…@{})",
            self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
        )
    }
}

/// A password as typed: any characters, never trimmed or cut. Its length is checked where one is chosen
/// ([`Password::chosen`]); when signing in, any text up to the ceiling is only compared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "password"))]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    pub fn typed(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Checks the length rule for a new password: 12 to 256 characters.
    pub fn chosen(self) -> Result<Self, Problem> {
        let count = self.0.chars().count();
        let weak = |why: String| Problem::new(Code::WeakPassword).field("password").detail(why);
        if count < *limits::PASSWORD_CHARS.start() {
            return Err(weak(format!(
                "Please use at least {} characters. A few unrelated words make a good password.",
                limits::PASSWORD_CHARS.start()
            )));
        }
        if count > *limits::PASSWORD_CHARS.end() {
            return Err(weak(format!(
                "Please use at most {} characters.",
                limits::PASSWORD_CHARS.end()
            ))
            .limit(*limits::PASSWORD_CHARS.end() as u64));
        }
        Ok(self)
    }

    /// The text itself, for hashing only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Who asks to be signed in: a browser gets a cookie, a native client gets tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Client {
    #[default]
    Browser,
    Native {
        /// What the person calls this computer, at most 100 characters.
        name: String,
        /// `linux`, `macos` or `windows`.
        os: String,
        version: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUp {
    pub email: Email,
    pub password: Password,
    #[serde(default)]
    pub name: Option<String>,
    /// Where the problem `work_required` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

/// Work that was done before a sign-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Work {
    /// As the problem gave it, for this address and ten minutes.
    pub challenge: String,
    /// A number in decimal digits: SHA-256 of `challenge:answer` begins with as many zero bits as the problem's `limit` says.
    pub answer: String,
}

/// Always the same answer, whether the address was known or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUpStarted {
    /// Proves, with the mailed code, that the one who confirms is the one who signed up. A browser gets it as a cookie too.
    pub binding: String,
}

/// Confirms an address with the mailed code, from the window that signed up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verify {
    pub email: Email,
    /// Eight characters, Crockford base 32, as mailed; spaces, dashes and case are ignored.
    pub code: String,
    /// As [`SignUpStarted`] gave it; a browser may leave it to its cookie.
    #[serde(default)]
    pub binding: Option<String>,
    #[serde(default)]
    pub client: Client,
    /// Of a browser: to stay signed in beyond its window, for up to thirty days. Otherwise the cookie ends with the window, and is
    /// worth nothing after twelve hours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stay: bool,
}

/// Asks for the confirmation letter again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resend {
    pub email: Email,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignIn {
    pub email: Email,
    pub password: Password,
    /// As [`SignUpStarted`] gave it; a browser may leave it to its cookie. Only with it is anybody told that their address waits
    /// to be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    #[serde(default)]
    pub client: Client,
    /// Of a browser: to stay signed in beyond its window, for up to thirty days. Otherwise the cookie ends with the window, and is
    /// worth nothing after twelve hours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stay: bool,
}

/// The second step of a sign-in whose first was proven.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecondStep {
    /// As the problem `second_step_required` gave it: five tries, ten minutes.
    pub challenge: String,
    /// Six digits from the authenticator app, or a recovery code; spaces, dashes and case are ignored.
    pub code: String,
}

/// What a browser asks its passkeys with. Answered by the form that it was asked for, within five minutes and once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasskeyOptions {
    /// Goes back with the answer.
    pub ceremony: String,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` (WebAuthn level 3 §5.1.8).
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub options: serde_json::Value,
}

impl fmt::Debug for SecondStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecondStep(…)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedIn {
    pub me: Me,
    /// For a native client only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// What a native client holds. Never sent to a browser, never shown to a page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token expires.
    pub expires_in: u32,
    pub refresh_token: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens(expires_in: {})", self.expires_in)
    }
}

/// The person and the device behind the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    pub user: UserId,
    pub device: DeviceId,
    pub email: Email,
    #[serde(default)]
    pub name: Option<String>,
}

/// One signed-in client, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub os: String,
    pub version: String,
    /// Roughly where it signed in, in words; none where the server does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// True for the one that asks.
    pub is_this: bool,
    pub created_at: UnixMillis,
    pub last_active: UnixMillis,
}

/// A way in through somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provider {
    /// Short name in routes: `google`, `github`, …
    pub id: String,
    /// For a button: "Continue with {name}".
    pub name: String,
}

/// One use, 30 seconds, bound to the device: lets a browser's socket prove who it is in its first frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    pub ticket: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_that_read_as_letters_are_for_addresses_that_have_them() {
        let kelvin = Email::parse("mi\u{212a}e@example.org").unwrap();
        assert_eq!(kelvin.key(), "mike@example.org");
        assert!(kelvin.must_be_fit().is_err());
        assert!(Email::parse("mike@example.org").unwrap().must_be_fit().is_ok());
    }

    #[test]
    fn an_address_is_kept_as_written_and_compared_in_lower_case() {
        let email = Email::parse(" Ana.Ruiz@Example.org ").unwrap();
        assert_eq!(email.as_str(), "Ana.Ruiz@Example.org");
        assert_eq!(email.key(), "ana.ruiz@example.org");
    }

    #[test]
    fn what_cannot_be_written_to_is_refused() {
        for text in [
            "",
            "a",
            "a@",
            "@b.c",
            "a b@c.d",
            "a@b",
            "a@b..c",
            "a@-b.c",
            "a\n@b.c",
            "a@b.c\r\nBcc: x@y.z",
            "<a@b.c>",
            "a..b@c.d",
        ] {
            assert_eq!(
                Email::parse(text).unwrap_err().code,
                Code::InvalidEmail,
                "{text:?}"
            );
        }
        assert!(Email::parse(&format!("a@{}.org", "b".repeat(300))).is_err());
    }

    #[test]
    fn a_chosen_password_has_twelve_to_256_characters_of_any_kind() {
        assert!(Password::typed("short").chosen().is_err());
        assert!(Password::typed("é".repeat(12)).chosen().is_ok());
        assert!(Password::typed("x".repeat(256)).chosen().is_ok());
        assert_eq!(
            Password::typed("x".repeat(257)).chosen().unwrap_err().limit,
            Some(256)
        );
    }

    #[test]
    fn secrets_do_not_show_in_logs() {
        assert!(!format!("{:?}", Password::typed("correct horse")).contains("horse"));
        assert!(!format!("{:?}", Email::parse("ana@example.org").unwrap()).contains("ana"));
    }
}
