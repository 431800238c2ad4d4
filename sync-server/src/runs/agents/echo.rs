//! The echo agent: says back what it was told, token by token. Directives at the start of a message bring every state of
//! a reply about at will: `/slow 50ms`, `/long 200kb`, `/fail`, `/fail truncated`, `/fail some words`, `/rtl`, `/markdown`.

use super::Event;
use protocol::limits::MESSAGE_BYTES;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause before a token.
const SLOWEST: Duration = Duration::from_secs(5);
/// The longest token, in characters: a word; longer words come in pieces.
const TOKEN_CHARS: usize = 24;
/// The longest text that `/long` makes. The reply's own bound is the caller's.
const LONGEST: usize = MESSAGE_BYTES - 1024;

const RTL: &str = "صدى: هذا رد من اليمين إلى اليسار، مع كلمة English في الوسط ورقم 42. وهنا سطر ثانٍ:\n\
    שלום, זו שורה בעברית עם (סוגריים) ועוד מספר 7.";

const MARKDOWN: &str = "# A heading\n\nA paragraph with **bold**, *italic* and `code`.\n\n\
    ## A list\n\n- first\n- second, with a [link](https://example.org/)\n  - nested\n\n1. one\n2. two\n\n\
    ```rust\nfn main() {\n    let greeting = \"hello\";\n    assert_eq!(greeting.len(), 5);\n}\n```\n\n\
    > A quotation.\n\nThe end.";

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Script {
    pause: Duration,
    text: String,
    failure: Option<String>,
}

#[derive(Debug)]
pub struct Echo {
    pause: Duration,
    /// When the next token is due, once somebody waits for it.
    due: Option<Instant>,
    tokens: VecDeque<String>,
    failure: Option<String>,
}

impl Echo {
    pub fn answering(prompt: &str) -> Self {
        let script = read(prompt);
        Self {
            pause: script.pause,
            due: None,
            tokens: tokens(&script.text),
            failure: script.failure,
        }
    }

    /// What comes next, after its pause. Safe to drop while waiting: the pause goes on, and nothing is taken before its end.
    pub async fn next(&mut self) -> Event {
        if !self.pause.is_zero() && !self.tokens.is_empty() {
            let due = *self.due.get_or_insert_with(|| Instant::now() + self.pause);
            tokio::time::sleep_until(due).await;
            self.due = None;
        }
        match (self.tokens.pop_front(), self.failure.take()) {
            (Some(token), failure) => {
                self.failure = failure;
                Event::Text(token)
            }
            (None, Some(why)) => Event::Failed(why),
            (None, None) => Event::Done,
        }
    }
}

/// Takes the directives off the front; what is no directive is the text.
fn read(prompt: &str) -> Script {
    let mut pause = Duration::ZERO;
    let mut text: Option<String> = None;
    let mut failure = None;
    let mut rest = prompt.trim_start();
    while let Some(command) = rest.strip_prefix('/') {
        let (name, after) = word(command);
        let (argument, beyond) = word(after);
        match name {
            "slow" => {
                let given = duration(argument);
                pause = given.unwrap_or(Duration::from_millis(50)).min(SLOWEST);
                rest = if given.is_some() { beyond } else { after };
            }
            "long" => {
                let given = size(argument);
                text = Some(long(given.unwrap_or(16 * 1024).min(LONGEST)));
                rest = if given.is_some() { beyond } else { after };
            }
            "rtl" => (text, rest) = (Some(RTL.to_owned()), after),
            "markdown" => (text, rest) = (Some(MARKDOWN.to_owned()), after),
            "fail" => {
                failure = Some(reason(after));
                rest = "";
            }
            _ => break,
        }
    }
    let text = match (text, &failure) {
        (Some(text), _) => text,
        (None, Some(_)) => "Echo: this reply stops in the".to_owned(),
        (None, None) => format!("Echo: {rest}"),
    };
    Script { pause, text, failure }
}

fn reason(words: &str) -> String {
    match words.trim() {
        "" => "The agent could not go on. Please try again.".to_owned(),
        "truncated" => "The reply ended before it was whole. Please try again.".to_owned(),
        words => words.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    (first, rest.trim_start())
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

fn size(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = match text.strip_suffix("kb") {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix('b')?, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// Numbered lines, so that a missing piece is seen.
fn long(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 64);
    let mut line = 0;
    while text.len() < bytes {
        line += 1;
        text.push_str("Line ");
        text.push_str(&line.to_string());
        text.push_str(" of a long reply, so that scrolling and joining can be seen.\n");
    }
    text.truncate(bytes);
    text
}

/// Words with the space after them; a long word in pieces. Joined, they are the text.
fn tokens(text: &str) -> VecDeque<String> {
    let mut tokens = VecDeque::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let mut piece = String::new();
        for (nth, c) in word.chars().enumerate() {
            if nth > 0 && nth % TOKEN_CHARS == 0 {
                tokens.push_back(std::mem::take(&mut piece));
            }
            piece.push(c);
        }
        tokens.push_back(piece);
    }
    tokens
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names the arm it means")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_directive_is_said_back() {
        let plain = |text: &str| read(text).text;
        assert_eq!(plain("hello there"), "Echo: hello there");
        assert_eq!(plain("/unknown thing"), "Echo: /unknown thing");
        assert_eq!(plain("a /slow in the middle"), "Echo: a /slow in the middle");
    }

    #[test]
    fn directives_are_taken_off_and_add_up() {
        let script = read("/slow 20ms /slow 70ms hello");
        assert_eq!(
            (script.pause, script.text.as_str()),
            (Duration::from_millis(70), "Echo: hello")
        );
        let script = read("/slow hello");
        assert_eq!(
            (script.pause, script.text.as_str()),
            (Duration::from_millis(50), "Echo: hello")
        );
        assert_eq!(read("/slow 10ms /long 200kb").text.len(), 200 * 1024);
        assert!(read("/rtl").text.contains('ש') && read("/markdown").text.contains("```rust"));
    }

    #[test]
    fn a_failure_says_why_in_the_words_given() {
        assert_eq!(
            read("/fail out of paper").failure.as_deref(),
            Some("out of paper")
        );
        assert!(
            read("/fail truncated")
                .failure
                .unwrap()
                .contains("before it was whole")
        );
        assert!(!read("/fail").text.is_empty());
    }

    #[test]
    fn everything_has_a_bound() {
        assert_eq!(read("/slow 9999s x").pause, SLOWEST);
        assert_eq!(read("/long 99999999kb").text.len(), LONGEST);
        assert!(read("/long 99999999999999999999kb x").text.len() <= LONGEST);
    }

    proptest! {
        #[test]
        fn the_tokens_joined_are_the_text(text in ".{0,300}") {
            let joined: String = tokens(&text).into_iter().collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn any_message_can_be_read(text in "(/slow|/long|/fail|/rtl|/markdown|[0-9a-zé ]|kb|ms){0,12}") {
            prop_assert!(read(&text).text.len() <= MESSAGE_BYTES + 64);
        }
    }

    #[tokio::test]
    async fn an_answer_ends_exactly_once() {
        let mut echo = Echo::answering("/fail now");
        let mut said = String::new();
        let end = loop {
            match echo.next().await {
                Event::Text(text) => said.push_str(&text),
                end => break end,
            }
        };
        assert!(said.starts_with("Echo: "));
        assert_eq!(end, Event::Failed("now".to_owned()));
        assert_eq!(echo.next().await, Event::Done);
    }
}
