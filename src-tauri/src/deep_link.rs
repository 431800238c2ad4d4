//! Reads the links that the system hands to this program. Anybody may make one: whatever is not exactly one of ours
//! is dropped.
//!
//! **Invariant:** no I/O; a link never carries a token, only a one-use code that is worth nothing without the verifier.

use protocol::SessionId;
use protocol::limits::{DEEP_LINK_BYTES, LINKED_PROMPT_CHARS};
use std::fmt;
use url::form_urlencoded;

/// The scheme people see.
pub const SCHEME: &str = "compymac";
/// And the reverse-domain one beside it (RFC 8252 §7.1).
const SCHEMES: [&str; 2] = [SCHEME, "app.compymac.desktop"];

#[derive(Debug, PartialEq, Eq)]
pub enum Link {
    /// The browser came home from signing in.
    Callback(Callback),
    Session(SessionId),
    /// What a session may begin with, once somebody has read it and sends it.
    New(String),
}

/// The answer of the authorization server (RFC 6749 §4.1.2, RFC 9207).
#[derive(PartialEq, Eq)]
pub struct Callback {
    pub state: String,
    pub issuer: String,
    pub answer: Answer,
}

#[derive(PartialEq, Eq)]
pub enum Answer {
    Code(String),
    Refused(String),
}

/// A code is worth a sign-in for a minute: logs do not get it.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(…)")
    }
}

/// `None` for everything that is not exactly `…://auth/callback?code&state&iss`, `…://session/<uuid>` or `…://new?prompt`.
pub fn parse(text: &str) -> Option<Link> {
    let (scheme, rest) = text.split_once("://")?;
    if !SCHEMES.contains(&scheme) {
        return None;
    }
    if let Some(query) = rest.strip_prefix("new?") {
        return prompt(query).map(Link::New);
    }
    if !is_plain(text) {
        return None;
    }
    if let Some(query) = rest.strip_prefix("auth/callback?") {
        return callback(query).map(Link::Callback);
    }
    let id = rest.strip_prefix("session/")?;
    // Hyphenated only: `Uuid` would also take braces and a URN.
    let id = (id.len() == 36).then_some(id)?;
    id.parse().ok().map(Link::Session)
}

/// Short, and without a space, a control character, or one that turns text around.
fn is_plain(text: &str) -> bool {
    text.len() <= DEEP_LINK_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One prompt, and nothing beside it.
fn prompt(query: &str) -> Option<String> {
    // A character takes twelve bytes at most, four of three each.
    let is_small = query.len() <= "prompt=".len() + 12 * LINKED_PROMPT_CHARS;
    if !is_small || query.contains('#') || !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let (name, text) = fields.next()?;
    let is_alone = name == "prompt" && fields.next().is_none();
    let is_fit = text.chars().count() <= LINKED_PROMPT_CHARS && text.chars().all(is_seen);
    (is_alone && is_fit && !text.trim().is_empty()).then(|| text.into_owned())
}

/// Whoever reads a prompt sees all that is in it: nothing turns its words around, hides among them, or was no text to begin with.
fn is_seen(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Tags, selectors and signs without a width that no font shows and a model reads. Those that join letters and signs are part of how
    // they are written.
    let hides = matches!(c, '\u{e0000}'..='\u{e0fff}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    !turns && !hides && c != char::REPLACEMENT_CHARACTER && (c == '\n' || !c.is_control())
}

/// The query of a sign-in's answer, by whichever way it came.
pub fn callback(query: &str) -> Option<Callback> {
    if !is_plain(query) {
        return None;
    }
    let (mut code, mut state, mut issuer, mut error) = (None, None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "code" => &mut code,
            "state" => &mut state,
            "iss" => &mut issuer,
            "error" => &mut error,
            _ => return None,
        };
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if place.replace(value.into_owned()).is_some() {
            return None;
        }
    }
    let answer = match (code, error) {
        (Some(code), None) if is_code(&code) => Answer::Code(code),
        (None, Some(error)) => Answer::Refused(error),
        _ => return None,
    };
    Some(Callback {
        state: state?,
        issuer: issuer?,
        answer,
    })
}

/// A one-use code as the server makes them: base64url, or grouped with dashes for people.
pub fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 512
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "018f0000-0000-7000-8000-000000000001";

    /// As a page would write it.
    fn beginning(prompt: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        format!("{SCHEME}://new?{}", query.append_pair("prompt", prompt).finish())
    }

    #[test]
    fn the_three_kinds_of_link_are_read_under_both_schemes() {
        for scheme in SCHEMES {
            assert_eq!(
                parse(&format!("{scheme}://new?prompt=1%2B1%20is%0A+what%3F")),
                Some(Link::New("1+1 is\n what?".to_owned()))
            );
            assert_eq!(
                parse(&format!("{scheme}://session/{ID}")),
                Some(Link::Session(ID.parse().unwrap()))
            );
            let link = format!("{scheme}://auth/callback?code=a-B_1&state=s&iss=https%3A%2F%2Fcompymac.dev");
            assert_eq!(
                parse(&link),
                Some(Link::Callback(Callback {
                    state: "s".to_owned(),
                    issuer: "https://compymac.dev".to_owned(),
                    answer: Answer::Code("a-B_1".to_owned()),
                }))
            );
        }
    }

    #[test]
    fn every_body_of_the_app_is_registered_for_both_schemes() {
        let bundles: serde_json::Value = serde_json::from_str(include_str!("../tauri.conf.json")).unwrap();
        let bundled = &bundles["plugins"]["deep-link"]["desktop"]["schemes"];
        assert_eq!(bundled, &serde_json::json!(SCHEMES));
        let entry = include_str!("../linux/compymac.desktop");
        let types: String = SCHEMES
            .map(|scheme| format!("x-scheme-handler/{scheme};"))
            .concat();
        assert!(entry.contains(&format!("\nMimeType={types}\n")));
        assert!(entry.contains("\nExec=compymac %u\n"), "the link is handed over");
    }

    #[test]
    fn a_refusal_comes_home_too() {
        let link = "compymac://auth/callback?error=access_denied&state=s&iss=https://compymac.dev";
        let Some(Link::Callback(callback)) = parse(link) else {
            panic!("not read");
        };
        assert!(matches!(callback.answer, Answer::Refused(why) if why == "access_denied"));
    }

    #[test]
    fn everything_else_is_dropped() {
        let long = format!(
            "compymac://auth/callback?code={}&state=s&iss=i",
            "a".repeat(DEEP_LINK_BYTES)
        );
        for text in [
            "",
            "compymac://evil",
            "compymac:auth/callback?code=a&state=b&iss=c",
            "COMPYMAC://session/018f0000-0000-7000-8000-000000000001",
            "evil://auth/callback?code=a&state=b&iss=c",
            "compymac://auth/callback",
            "compymac://auth/callback?",
            "compymac://auth/callback?code=a&state=b",
            "compymac://auth/callback?code=a&iss=c",
            "compymac://auth/callback?code=a&code=b&state=b&iss=c",
            "compymac://auth/callback?code=a&error=x&state=b&iss=c",
            "compymac://auth/callback?code=a&state=b&iss=c&next=/admin",
            "compymac://auth/callback/../admin?code=a&state=b&iss=c",
            "compymac://auth%2Fcallback?code=a&state=b&iss=c",
            "compymac://auth/callback?code=a%00&state=b&iss=c",
            "compymac://auth/callback?code=a%E2%80%AEb&state=b&iss=c",
            "compymac://auth/callback?code=a\u{202e}&state=b&iss=c",
            "compymac://auth/callback?code=&state=b&iss=c",
            "compymac://auth/callback?code=a b&state=b&iss=c",
            "compymac://session/018f0000-0000-7000-8000-000000000001/",
            "compymac://session/018f0000000070008000000000000001",
            "compymac://session/../settings",
            "compymac://new",
            "compymac://new?",
            "compymac://new?prompt",
            "compymac://new?prompt=",
            "compymac://new?prompt=%20%0A",
            "compymac://new/?prompt=a",
            "compymac://new?text=a",
            "compymac://new?prompt=a&prompt=b",
            "compymac://new?prompt=a&send=1",
            "compymac://new?prompt=a#b",
            "compymac://new?prompt=a b",
            "compymac://new?prompt=a\u{202e}b",
            "compymac://new?prompt=a%FFb",
            "evil://new?prompt=a",
            &long,
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_prompt_of_five_thousand_characters_is_read_and_no_longer_one() {
        for widest in ["a", "ü", "\u{1f680}"] {
            let prompt = widest.repeat(LINKED_PROMPT_CHARS);
            assert_eq!(parse(&beginning(&prompt)), Some(Link::New(prompt.clone())));
            assert_eq!(parse(&beginning(&format!("{prompt}{widest}"))), None, "{widest}");
        }
        let far_too_long = "a".repeat(12 * LINKED_PROMPT_CHARS + 1);
        assert_eq!(parse(&beginning(&far_too_long)), None);
    }

    #[test]
    fn a_prompt_holds_nothing_that_its_reader_does_not_see() {
        let directions = [
            '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}',
        ];
        let controls = ['\0', '\t', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'];
        let hidden = [
            '\u{200b}',
            '\u{2060}',
            '\u{2064}',
            '\u{206f}',
            '\u{feff}',
            '\u{e0041}',
            '\u{e0101}',
            '\u{fffd}',
        ];
        for c in directions.into_iter().chain(controls).chain(hidden) {
            assert_eq!(parse(&beginning(&format!("list{c}files"))), None, "{c:?}");
        }
        // written in any script, with marks and joined signs
        for prompt in ["مرحبا", "日本語", "e\u{301}", "👩\u{200d}🚀\u{fe0f}", "a\n\nb"] {
            assert_eq!(parse(&beginning(prompt)), Some(Link::New(prompt.to_owned())));
        }
    }

    #[test]
    fn a_code_does_not_show_in_logs() {
        let link = parse("compymac://auth/callback?code=hush&state=s&iss=i");
        assert!(!format!("{link:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(compymac://)?(auth/callback\\?|session/|new\\?prompt=)?.{0,120}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_prompt_is_read_as_it_was_written_or_not_at_all(prompt in "(\\PC|[\n\t\u{80}-\u{9f}\u{200e}\u{200f}\u{202a}-\u{202e}]){1,40}") {
            match parse(&beginning(&prompt)) {
                Some(Link::New(read)) => {
                    prop_assert!(read.chars().all(|c| c == '\n' || !c.is_control()));
                    let turns = read.contains(|c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'));
                    prop_assert!(!turns);
                    prop_assert_eq!(read, prompt);
                }
                other => prop_assert_eq!(other, None),
            }
        }

        #[test]
        fn what_is_read_holds_only_plain_characters(tail in "(code|state|iss|error|x)=[ -~\u{200b}-\u{2100}]{0,12}(&(code|state|iss)=.{0,8}){0,3}") {
            if let Some(Link::Callback(callback)) = parse(&format!("compymac://auth/callback?{tail}")) {
                prop_assert!(callback.state.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
