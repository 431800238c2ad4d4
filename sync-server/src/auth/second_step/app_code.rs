//! The six digits of an authenticator app (TOTP, RFC 6238): SHA-1, 30 seconds, as every such app has them.

use anyhow::Context as _;
use protocol::auth::Email;
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};

const SECONDS: u64 = 30;

/// A secret of 160 bits, as RFC 4226 recommends.
pub type Secret = [u8; 20];

pub fn fresh() -> Secret {
    rand::random()
}

fn totp(secret: &[u8], email: Option<&Email>) -> anyhow::Result<Totp> {
    let mut builder = Builder::new().with_secret(secret.to_vec()).with_skew(0);
    if let Some(email) = email {
        builder = builder
            .with_account_name(email.as_str())
            .with_issuer(Some("CompyMac"));
    }
    builder.build().context("a second step's secret")
}

/// What the app is told: as a link, which a picture holds, and as text to be typed.
pub fn to_tell(secret: &Secret, email: &Email) -> anyhow::Result<(String, String)> {
    let totp = totp(secret, Some(email))?;
    let link = totp.to_url().context("a second step's link")?;
    Ok((link, totp.secret().to_base32()))
}

/// A code as typed, or `None` where it is something else. A recovery code may hold six digits among its letters.
pub fn digits(typed: &str) -> Option<String> {
    if typed.len() > 32 {
        return None;
    }
    let plain: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    (plain.len() == 6 && plain.bytes().all(|byte| byte.is_ascii_digit())).then_some(plain)
}

/// The time step whose code this is: the present one, or the one before, since typing takes time.
pub fn step_of(secret: &[u8], digits: &str, at: OffsetDateTime) -> anyhow::Result<Option<i64>> {
    let totp = totp(secret, None)?;
    let now = u64::try_from(at.unix_timestamp()).context("a time before 1970")?;
    let step = totp
        .check(digits, now)
        .or_else(|| totp.check(digits, now.saturating_sub(SECONDS)));
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, SHA-1, the last six digits.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890";
        for (at, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
        ] {
            let at = OffsetDateTime::from_unix_timestamp(at).unwrap();
            assert_eq!(
                step_of(secret, digits, at).unwrap(),
                Some(at.unix_timestamp() / 30)
            );
        }
    }

    #[test]
    fn a_code_is_taken_in_its_own_step_and_in_the_next() {
        let secret = b"12345678901234567890";
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        assert_eq!(step_of(secret, "287082", at(59)).unwrap(), Some(1));
        assert_eq!(step_of(secret, "287082", at(89)).unwrap(), Some(1));
        assert_eq!(step_of(secret, "287082", at(90)).unwrap(), None);
        assert_eq!(step_of(secret, "287082", at(29)).unwrap(), None);
        for other in ["", "28708", "2870820", "abcdef", "２８７０８２"] {
            assert_eq!(step_of(secret, other, at(59)).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn six_digits_are_read_as_people_type_them_and_a_recovery_code_is_not_six_digits() {
        for typed in ["287082", " 287 082", "287-082"] {
            assert_eq!(digits(typed).as_deref(), Some("287082"), "{typed}");
        }
        for typed in ["A2B8-C7D0E-8F2GH", "28708", "2870821", "２８７０８２", ""] {
            assert_eq!(digits(typed), None, "{typed}");
        }
    }

    #[test]
    fn the_app_is_told_whose_account_it_is() {
        let email = Email::parse("ana+x@example.org").unwrap();
        let (link, text) = to_tell(b"12345678901234567890", &email).unwrap();
        assert_eq!(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let url = url::Url::parse(&link).unwrap();
        assert_eq!((url.scheme(), url.host_str()), ("otpauth", Some("totp")));
        let has = |name: &str, value: &str| url.query_pairs().any(|(n, v)| n == name && v == value);
        assert!(has("secret", &text) && has("issuer", "CompyMac"), "{link}");
    }
}
