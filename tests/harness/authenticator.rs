//! An authenticator app: what a person's phone shows for one account.

use crate::hush;
use totp_rs::{Builder, Secret, Totp};

pub struct Authenticator(Totp);

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticator")
    }
}

impl Authenticator {
    /// Set up with the text that the page shows for typing.
    pub fn told(secret: &str) -> Self {
        hush::keep_code(secret);
        let secret =
            Secret::try_from_base32(secret).unwrap_or_else(|error| panic!("{secret} is no secret: {error}"));
        let totp = Builder::new().with_secret(secret.as_bytes().to_vec()).build();
        Self(totp.unwrap_or_else(|error| panic!("an app cannot take that: {error}")))
    }

    /// The six digits that it shows now. Right for 30 seconds at least.
    pub fn code(&self) -> String {
        shown(self.0.generate_current().to_string())
    }

    /// The six digits that it showed before these.
    pub fn code_before(&self) -> String {
        let now = u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default();
        shown(self.0.generate(now - 30).to_string())
    }

    /// What it was told.
    pub fn secret_in_hex(&self) -> String {
        use std::fmt::Write as _;
        let bytes = self.0.secret().as_bytes();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Six digits that are wrong now and around now.
    pub fn wrong_code(&self) -> String {
        let now = u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default();
        let right: Vec<String> = (0..6)
            .map(|step| self.0.generate(now - 60 + 30 * step).to_string())
            .collect();
        [
            "000000", "111111", "222222", "333333", "444444", "555555", "666666",
        ]
        .into_iter()
        .map(str::to_owned)
        .find(|code| !right.contains(code))
        .unwrap_or_else(|| panic!("seven codes in six steps"))
    }
}

/// Which is told to nobody but the server.
fn shown(code: String) -> String {
    hush::keep_secret(&code);
    code
}
