//! What a mail server said against a letter: as codes, since its words may name the person.

use lettre::transport::smtp::Error;
use std::error::Error as _;

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the log and the table; names nobody.
    pub words: String,
    /// Trying again would be in vain.
    pub is_final: bool,
    /// It is the address that takes no letters, whatever they say.
    pub is_of_the_address: bool,
}

impl Refusal {
    pub fn of(error: &Error) -> Self {
        let Some(status) = error.status() else {
            // of the way there, in which no address takes part
            let words = format!("{:#}", anyhow::Error::msg(error.to_string()));
            return Self {
                words,
                is_final: error.is_permanent(),
                is_of_the_address: false,
            };
        };
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        Self::said(&status.to_string(), &text, error.is_permanent())
    }

    fn said(basic: &str, text: &str, is_final: bool) -> Self {
        let enhanced = text.split_whitespace().find(|word| is_enhanced(word));
        let words = [Some(basic), enhanced]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        Self {
            is_of_the_address: is_final && is_of_the_address(basic, enhanced),
            words,
            is_final,
        }
    }

    /// The letter cannot even be written.
    pub fn ours(error: &anyhow::Error) -> Self {
        Self {
            words: format!("{error:#}"),
            is_final: true,
            is_of_the_address: false,
        }
    }
}

/// `5.1.1` (RFC 3463 §2).
fn is_enhanced(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_number = |part: Option<&str>, most: usize| {
        part.is_some_and(|part| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    is_number(parts.next(), 1)
        && is_number(parts.next(), 3)
        && is_number(parts.next(), 3)
        && parts.next().is_none()
}

/// Where the server says why, that counts: no such mailbox, no such host, moved, disabled (RFC 3463 §3.2, §3.3). What it has
/// against sender, content or policy says nothing of the address. Without a reason, what RFC 5321 §4.2.2 has for mailboxes.
fn is_of_the_address(basic: &str, enhanced: Option<&str>) -> bool {
    match enhanced {
        Some(code) => matches!(
            code,
            "5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10" | "5.2.1" | "5.4.4"
        ),
        None => matches!(basic, "550" | "551" | "553"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(basic: &str, text: &str) -> (String, bool) {
        let refusal = Refusal::said(basic, text, basic.starts_with('5'));
        (refusal.words, refusal.is_of_the_address)
    }

    #[test]
    fn an_address_is_told_from_a_letter_and_neither_is_named() {
        for (basic, text, words, is_of_the_address) in [
            ("550", "5.1.1 <ana@example.org>: no such user", "550 5.1.1", true),
            ("550", "<ana@example.org> unknown", "550", true),
            (
                "550",
                "5.7.1 we do not like you, ana@example.org",
                "550 5.7.1",
                false,
            ),
            ("554", "5.7.1 spam", "554 5.7.1", false),
            ("552", "5.2.2 mailbox full", "552 5.2.2", false),
            ("535", "5.7.8 wrong password", "535 5.7.8", false),
            ("450", "4.2.1 later", "450 4.2.1", false),
            ("451", "192.0.2.1 is slow", "451", false),
        ] {
            assert_eq!(said(basic, text), (words.to_owned(), is_of_the_address), "{text}");
        }
    }
}
