//! Whether a password stands in lists of stolen ones, asked without telling it: five characters of its hash go out, all
//! hashes that begin so come back (haveibeenpwned.com/API/v3#PwnedPasswords).
//!
//! **Invariant:** what cannot be asked in time hinders nobody. What a guesser tries first is refused without this, by the
//! list that [`super::must_be_strong`] has with it.

use crate::app::calls;
use crate::config::BreachList;
use protocol::auth::Password;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;
use std::time::Duration;
use url::Url;

const WITHIN: Duration = Duration::from_millis(1_500);
/// Characters of the hash that are told.
const TOLD: usize = 5;
/// An answer has some thousand lines of forty characters.
const ANSWER_BYTES: usize = 1024 * 1024;

/// `None`: nobody is asked.
#[derive(Clone, Debug)]
pub struct Breached(Option<(reqwest::Client, Url)>);

impl Breached {
    pub fn new(list: &BreachList) -> anyhow::Result<Self> {
        let with_client = |list: Url| anyhow::Ok((calls::client(&[&list])?, list));
        Ok(Self(list.0.clone().map(with_client).transpose()?))
    }

    #[cfg(test)]
    pub const fn off() -> Self {
        Self(None)
    }

    pub async fn holds(&self, password: &Password) -> bool {
        let Some((http, list)) = &self.0 else {
            return false;
        };
        let hash = hash(password);
        let (told, kept) = hash.split_at(TOLD);
        let asked = tokio::time::timeout(WITHIN, ask(http, list, told)).await;
        let outcome = match asked {
            Ok(Ok(lines)) => Ok(is_in(&lines, kept)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("no answer in time".to_owned()),
        };
        let result = match &outcome {
            Ok(true) => "found",
            Ok(false) => "clean",
            Err(_) => "failed",
        };
        metrics::counter!("breached_password_checks_total", "result" => result).increment(1);
        outcome.unwrap_or_else(|error| {
            tracing::warn!(error, "the list of stolen passwords could not be asked");
            false
        })
    }
}

async fn ask(http: &reqwest::Client, list: &Url, told: &str) -> anyhow::Result<String> {
    let address = list.join(told)?;
    // an answer is filled up, so that its length tells nobody which hashes it has
    let request = http.get(address).header("Add-Padding", "true");
    let sent = request.send().await.and_then(reqwest::Response::error_for_status);
    let mut response = sent.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        anyhow::ensure!(
            body.len() + chunk.len() <= ANSWER_BYTES,
            "an answer above the bound"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(body)?)
}

fn hash(password: &Password) -> String {
    let digest = Sha1::digest(password.expose().as_bytes());
    digest.iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Lines of `REST:COUNT`; those that fill up have a count of 0.
fn is_in(lines: &str, kept: &str) -> bool {
    lines.lines().any(|line| {
        let found = line.trim().split_once(':');
        found.is_some_and(|(rest, count)| rest.eq_ignore_ascii_case(kept) && count.trim() != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_lists() {
        let hash = hash(&Password::typed("password"));
        assert_eq!(hash, "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
    }

    #[test]
    fn a_line_is_found_and_what_fills_up_is_not() {
        let lines =
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3303003\r\n00000000000000000000000000000000000:0\r\nnoise";
        assert!(is_in(lines, "1E4C9B93F3F0682250B6CF8331B7EE68FD8"));
        assert!(!is_in(lines, "00000000000000000000000000000000000"));
        assert!(!is_in(lines, "noise") && !is_in("", "1E4C9B93F3F0682250B6CF8331B7EE68FD8"));
    }
}
