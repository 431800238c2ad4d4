//! What a test has used that stands in no log: passwords, addresses, cookies, tokens, tickets, the secrets of settings, and the
//! codes and links of letters, of authenticators, of programs without a browser and of providers.
//!
//! Each test is a process of its own, so what was used in it is the test's. The harness notes what goes by it; a test says
//! [`keep_secret`] or [`keep_code`] of what it makes up or reads from a page.

use crate::client::Answer;
use mailbox::Letter;
use protocol::routes::page;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use url::Url;

/// Shorter ones stand in a log by chance.
const LONG_ENOUGH: usize = 8;
/// An authenticator's digits: looked for as a word of their own, as they are part of many a time and id.
const DIGITS: usize = 6;
/// What a person chooses is longer; what a test has refused may be an ordinary word.
const PASSWORD: usize = 12;
/// What an address leads on with; a shorter one names a thing.
const IN_AN_ADDRESS: usize = 16;
/// Nobody types more than this.
const TYPED: usize = 40;
/// Longer answers are what people keep here, which has no secrets of the door.
const ANSWER_BYTES: usize = 8 * 1024;

/// What is secret of what a client sends …
const ASKED: [&str; 7] = [
    "code",
    "code_verifier",
    "challenge",
    "binding",
    "refresh_token",
    "device_code",
    "ticket",
];
/// … and of what it is answered. A problem's `code` is none.
const ANSWERED: [&str; 7] = [
    "access_token",
    "refresh_token",
    "challenge",
    "binding",
    "device_code",
    "user_code",
    "ticket",
];

static USED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// No log may hold it from now on.
pub fn keep_secret(secret: &str) {
    let is_digits = secret.len() >= DIGITS && secret.bytes().all(|byte| byte.is_ascii_digit());
    // what a test makes up to be wrong, as `00000000`, and ids have too
    let mut signs = secret.chars().filter(|c| c.is_alphanumeric());
    let is_one_sign = signs.next().is_none_or(|first| signs.all(|sign| sign == first));
    if !is_one_sign && (secret.len() >= LONG_ENOUGH || is_digits) {
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(secret.to_owned());
    }
}

/// As [`keep_secret`], in every spelling in which somebody may type it: `7KM2-QX9T` is `7KM2QX9T` and `7km2 qx9t`.
pub fn keep_code(code: &str) {
    if code.len() > TYPED {
        return keep_secret(code);
    }
    for apart in ["-", " ", ""] {
        let spelled = code.replace(['-', ' '], apart);
        keep_secret(&spelled.to_lowercase());
        keep_secret(&spelled.to_uppercase());
        keep_secret(&spelled);
    }
}

/// A field that is sent under this name.
pub(crate) fn keep_field(name: &str, value: &str) {
    match name {
        "password" if value.len() >= PASSWORD => keep_secret(value),
        "email" if value.contains('@') => keep_secret(value),
        "state" if value.len() >= IN_AN_ADDRESS => keep_secret(value),
        _ if ASKED.contains(&name) => keep_code(value),
        _ => {}
    }
}

/// The fields of what is sent at the door.
pub(crate) fn keep_fields(sent: &impl Serialize) {
    let sent = serde_json::to_value(sent).unwrap_or_default();
    for (name, value) in sent.as_object().into_iter().flatten() {
        value.as_str().iter().for_each(|value| keep_field(name, value));
    }
}

/// What an answer gives out, and where it leads with it.
pub(crate) fn keep_answer(answer: &Answer) {
    if let Ok(on) = Url::options()
        .base_url(Url::parse("http://here.example").ok().as_ref())
        .parse(&answer.location())
    {
        keep_address(&on, &["code", "state", "t"]);
    }
    let is_json = answer
        .header("content-type")
        .is_some_and(|kind| kind.contains("json"));
    if is_json && answer.body.len() <= ANSWER_BYTES {
        keep_answered(&serde_json::from_slice(&answer.body).unwrap_or_default());
    }
}

fn keep_answered(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(value) if ANSWERED.contains(&name.as_str()) => keep_code(value),
                    _ => keep_answered(value),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(keep_answered),
        _ => {}
    }
}

fn keep_address(address: &Url, names: &[&str]) {
    for (name, value) in address.query_pairs() {
        if names.contains(&name.as_ref()) && value.len() >= IN_AN_ADDRESS {
            keep_secret(&value);
        }
    }
}

/// Whom a letter went to, its code, and what its links open.
pub(crate) fn keep_letter(letter: &Letter) {
    letter.to.iter().for_each(|address| keep_secret(address));
    if let Some(code) = &letter.code {
        keep_secret(code);
        // as it stands in the letter
        let (first, last) = code.split_at(code.len() / 2);
        keep_code(&format!("{first}-{last}"));
    }
    let words = letter
        .text
        .split(|c: char| c.is_whitespace() || "<>\"".contains(c));
    for link in words.filter_map(|word| Url::parse(word.trim_end_matches(['.', ',', ')', ';'])).ok()) {
        keep_address(&link, &["t"]);
        let turns_off = page::LETTERS_LINK.replace("{token}", "");
        link.path()
            .strip_prefix(&turns_off)
            .iter()
            .for_each(|token| keep_secret(token));
    }
}

/// What a server's settings hold that only it may know.
pub(crate) fn keep_setting(name: &str, value: &str) {
    match name {
        "COMPYMAC_SECRET" | "COMPYMAC_OTHER_SECRETS" => value.split(',').for_each(keep_secret),
        "PROVIDERS" => {
            let providers: Value = serde_json::from_str(value).unwrap_or_default();
            for provider in providers.as_array().into_iter().flatten() {
                let secret = |name: &str| provider.get(name).and_then(Value::as_str).unwrap_or_default();
                keep_secret(secret("client_secret"));
                // of a key each line: one that is broken at its ends is no `-----BEGIN …`
                let key = secret("private_key").lines();
                key.filter(|line| !line.starts_with('-')).for_each(keep_secret);
            }
        }
        _ => {}
    }
}

/// The first line of the logs that tells a secret, and the secret.
pub fn told(logs: &str, letters: &[Letter]) -> Option<(String, String)> {
    letters.iter().for_each(keep_letter);
    let used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let secret = used.iter().find(|secret| holds(logs, secret))?;
    let line = logs.lines().find(|line| holds(line, secret));
    Some((line.unwrap_or_default().to_owned(), secret.clone()))
}

fn holds(text: &str, secret: &str) -> bool {
    if secret.len() >= LONG_ENOUGH {
        return text.contains(secret);
    }
    let joins = |c: char| c.is_alphanumeric() || "_.:-/".contains(c);
    text.match_indices(secret).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text
            .get(at + secret.len()..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn line_of(logs: &str) -> Option<String> {
        told(logs, &[]).map(|(line, _)| line)
    }

    #[test]
    fn a_secret_in_a_log_is_seen() {
        keep_secret("plum-harbor-anchor");
        keep_secret("short");
        assert_eq!(line_of("all is well, in short"), None);
        assert_eq!(
            line_of("one\ntwo plum-harbor-anchor\n").as_deref(),
            Some("two plum-harbor-anchor")
        );
    }

    #[test]
    fn a_code_in_a_log_is_seen_in_every_spelling() {
        keep_code("7KM2-QX9T");
        for spelled in ["7KM2-QX9T", "7KM2QX9T", "7km2 qx9t", "7km2qx9t"] {
            assert!(line_of(&format!("code={spelled}")).is_some(), "{spelled}");
        }
        keep_code("0000-0000");
        assert_eq!(line_of("of 00000000-0000-0000"), None);
        keep_secret("271828");
        assert_eq!(line_of("at 03:04:05.271828Z, id a271828, 127.0.0.1:271828"), None);
        assert!(line_of("the code \"271828\" was wrong").is_some());
    }

    #[test]
    fn what_is_sent_answered_and_set_is_kept_secret() {
        keep_field("password", "password");
        keep_field("email", "not an address");
        assert_eq!(line_of("class=password, not an address"), None);
        keep_fields(&serde_json::json!({"code_verifier": "of-the-app-alone", "name": "Laptop of Ana"}));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().expect("a kind"));
        let home = "/auth/google/callback?code=given-by-the-provider&problem=provider_cancelled";
        headers.insert("location", home.parse().expect("an address"));
        keep_answer(&Answer {
            status: 200,
            headers,
            body: br#"{"code": "invalid_credentials", "me": [{"ticket": "opens-one-socket"}]}"#.to_vec(),
        });
        keep_setting(
            "PROVIDERS",
            r#"[{"client_secret": "kept-by-us", "private_key": "-----BEGIN\nMIGHAgEA\n"}]"#,
        );
        for line in [
            "verifier of-the-app-alone",
            "back with given-by-the-provider",
            "ticket opens-one-socket",
            "client kept-by-us",
            "key MIGHAgEA",
        ] {
            assert_eq!(line_of(line).as_deref(), Some(line));
        }
        assert_eq!(
            line_of("Laptop of Ana: invalid_credentials, provider_cancelled"),
            None
        );
    }
}
