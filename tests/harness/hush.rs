//! What a test has used that stands in no log: passwords, addresses, cookies, tokens, what authenticator apps are told, codes
//! however they are written, and the links of letters.
//!
//! Each test is a process of its own, so what was used in it is the test's.

use mailbox::Letter;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Shorter ones stand in a log by chance.
const LONG_ENOUGH: usize = 8;
/// Letters and pages write a code that is kept as `7KM2QX9T` with a dash in the middle, as do programs that show one.
const HALF: usize = 4;

static USED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// No log may hold it from now on.
pub fn keep_secret(secret: &str) {
    if secret.len() >= LONG_ENOUGH {
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(secret.to_owned());
    }
}

/// As [`keep_secret`], for what people read off and type: with its dashes and without them.
pub fn keep_code(code: &str) {
    let plain = code.replace('-', "");
    if plain.len() == 2 * HALF
        && let Some((first, second)) = plain.split_at_checked(HALF)
    {
        keep_secret(&format!("{first}-{second}"));
    }
    keep_secret(code);
    keep_secret(&plain);
}

/// The first line of the logs that tells a secret, and the secret.
pub fn told(logs: &str, letters: &[Letter]) -> Option<(String, String)> {
    for letter in letters {
        letter.code.iter().for_each(|code| keep_code(code));
        let link = letter.link.as_deref().and_then(|link| url::Url::parse(link).ok());
        for (name, value) in link.iter().flat_map(url::Url::query_pairs) {
            if name == "t" {
                keep_secret(&value);
            }
        }
    }
    let used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let secret = used.iter().find(|secret| logs.contains(secret.as_str()))?;
    let line = logs.lines().find(|line| line.contains(secret.as_str()));
    Some((line.unwrap_or_default().to_owned(), secret.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_log_is_seen() {
        keep_secret("plum-harbor-anchor");
        keep_secret("short");
        assert_eq!(told("all is well, in short", &[]), None);
        let told = told("one\ntwo plum-harbor-anchor\n", &[]);
        assert_eq!(
            told.map(|(line, _)| line).as_deref(),
            Some("two plum-harbor-anchor")
        );
    }

    #[test]
    fn a_code_is_seen_however_it_is_written() {
        keep_code("7KM2QX9T");
        keep_code("BCDF-GHJK");
        keep_code("4T7W-Q2M8X-9VN3B");
        for written in [
            "7KM2QX9T",
            "7KM2-QX9T",
            "BCDFGHJK",
            "BCDF-GHJK",
            "4T7W-Q2M8X-9VN3B",
            "4T7WQ2M8X9VN3B",
        ] {
            assert!(told(&format!("typed {written}"), &[]).is_some(), "{written}");
        }
    }
}
