//! One letter as it came: who it is from and for, what it says, and the link and code in it.

use mail_parser::MessageParser;
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    /// 1 for the first that came.
    pub id: usize,
    /// The envelope's sender and recipients (RFC 5321), not the header's.
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// The first link in the text.
    pub link: Option<String>,
    /// The typed code in the text: eight characters, dash left out.
    pub code: Option<String>,
    /// Everything, headers too, as it came.
    pub source: String,
}

impl Letter {
    pub(crate) fn read(id: usize, raw: &[u8], from: &str, to: Vec<String>) -> Self {
        let message = MessageParser::default().parse(raw);
        let message = message.as_ref();
        let text = message
            .and_then(|message| message.body_text(0))
            .unwrap_or_default()
            .into_owned();
        Self {
            id,
            from: from.to_owned(),
            to,
            subject: message
                .and_then(|message| message.subject())
                .unwrap_or_default()
                .to_owned(),
            link: first_link(&text),
            code: code(&text),
            html: message
                .filter(|message| {
                    message
                        .html_part(0)
                        .is_some_and(mail_parser::MessagePart::is_text_html)
                })
                .and_then(|message| message.body_html(0))
                .map(std::borrow::Cow::into_owned),
            text,
            source: String::from_utf8_lossy(raw).into_owned(),
        }
    }

    pub(crate) fn is_to(&self, address: &str) -> bool {
        self.to.iter().any(|to| to.eq_ignore_ascii_case(address))
    }
}

fn first_link(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'))
        .find(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(|word| word.trim_end_matches(['.', ',', ')', ';']).to_owned())
}

/// A word of eight Crockford characters, perhaps `ABCD-EFGH`, in capitals and with a digit or a dash: no ordinary word.
fn code(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .find_map(|word| {
            let letters: String = word.chars().filter(|c| *c != '-').collect();
            let is_code = letters.len() == 8
                && letters
                    .chars()
                    .all(|c| c.is_ascii_digit() || (c.is_ascii_uppercase() && !"ILOU".contains(c)));
            is_code.then_some(letters)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_gives_its_link_and_code() {
        let raw = b"From: a@b.c\r\nTo: ana@example.org\r\nSubject: =?utf-8?Q?Confirm_=E2=9C=93?=\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            Your code is 7KM2-QX9T.\r\nOr open https://x.example/auth/verify?t=3Dabc.\r\n";
        let letter = Letter::read(1, raw, "a@b.c", vec!["Ana@example.org".to_owned()]);
        assert_eq!(letter.subject, "Confirm ✓");
        assert_eq!(letter.code.as_deref(), Some("7KM2QX9T"));
        assert_eq!(
            letter.link.as_deref(),
            Some("https://x.example/auth/verify?t=abc")
        );
        assert!(letter.is_to("ana@EXAMPLE.org") && letter.html.is_none());
    }

    #[test]
    fn ordinary_words_are_no_code() {
        assert_eq!(code("CompyMac PASSWORD something 12345678901 unrelated"), None);
    }
}
