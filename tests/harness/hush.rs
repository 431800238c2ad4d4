//! What a test has used that stands in no log: passwords, addresses, cookies, tokens, and the codes and links of letters.
//!
//! Each test is a process of its own, so what was used in it is the test's.

use mailbox::Letter;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Shorter ones stand in a log by chance.
const LONG_ENOUGH: usize = 8;

static USED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// No log may hold it from now on.
pub fn keep_secret(secret: &str) {
    if secret.len() >= LONG_ENOUGH {
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(secret.to_owned());
    }
}

/// The first line of the logs that tells a secret, and the secret.
pub fn told(logs: &str, letters: &[Letter]) -> Option<(String, String)> {
    for letter in letters {
        letter.code.iter().for_each(|code| keep_secret(code));
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
}
