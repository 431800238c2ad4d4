//! A session as a file for somebody to keep: Markdown, a web page that can be printed, or data.
//!
//! **Invariant:** no I/O. What was written is text: nothing in it runs, and nothing is fetched when the file is opened.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::UnixMillis;
use protocol::run::Status;
use protocol::sync::Role;
use protocol::view::{MessageView, Transcript};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// How the page looks, on the screen and on paper.
const STYLE: &str = include_str!("export/page.css");

/// A file's name is kept to what every system takes.
const NAME_CHARS: usize = 80;

const MISSING: &str = "Earlier messages were not on this computer when this was written.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Markdown,
    Page,
    Data,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Markdown, Self::Page, Self::Data];

    pub const fn ending(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Page => "html",
            Self::Data => "json",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::Markdown => "Markdown (.md)",
            Self::Page => "Web page (.html)",
            Self::Data => "Data (.json)",
        }
    }

    pub fn of(ending: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.ending().eq_ignore_ascii_case(ending))
    }

    pub fn write(self, transcript: &Transcript) -> String {
        match self {
            Self::Markdown => markdown(transcript),
            Self::Page => page(transcript),
            Self::Data => data(transcript),
        }
    }
}

/// A file's name for it, without an ending.
pub fn name(transcript: &Transcript) -> String {
    let is_taken_everywhere = |c: char| !c.is_control() && !r#"/\:*?"<>|"#.contains(c);
    let name: String = title(transcript)
        .chars()
        .map(|c| if is_taken_everywhere(c) { c } else { ' ' })
        .take(NAME_CHARS)
        .collect();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() {
        "Session".to_owned()
    } else {
        name.to_owned()
    }
}

fn title(transcript: &Transcript) -> &str {
    match transcript.session.title.as_str() {
        "" => "New session",
        title => title,
    }
}

const fn who(role: Role) -> &'static str {
    match role {
        Role::User => "You",
        Role::Assistant => "CompyMac",
        Role::System => "System",
    }
}

/// What its text alone does not tell.
fn standing(message: &MessageView) -> Option<String> {
    match message.status {
        Status::Complete => None,
        Status::Queued | Status::Streaming => Some("This reply was still being written.".to_owned()),
        Status::Cancelled => Some("Stopped.".to_owned()),
        Status::Interrupted => Some("Cut off.".to_owned()),
        Status::Failed => Some(format!(
            "Failed: {}",
            message.error.as_deref().unwrap_or("no reason was given")
        )),
    }
}

fn moment(at: UnixMillis) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at / 1000).ok()
}

fn for_people(at: UnixMillis) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let text = moment(at).and_then(|at| at.format(format).ok());
    text.unwrap_or_default()
}

fn for_programs(at: UnixMillis) -> String {
    let text = moment(at).and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

fn markdown(transcript: &Transcript) -> String {
    let mut text = format!(
        "# {}\n\nBegun {}\n",
        one_line(title(transcript)),
        for_people(transcript.session.created_at)
    );
    if transcript.has_earlier {
        let _ = write!(text, "\n*{MISSING}*\n");
    }
    for message in &transcript.messages {
        let _ = write!(
            text,
            "\n---\n\n**{}**, {}\n\n{}\n",
            who(message.role),
            for_people(message.created_at),
            message.content.trim_end()
        );
        if let Some(standing) = standing(message) {
            let _ = write!(text, "\n*{}*\n", one_line(&standing));
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn data(transcript: &Transcript) -> String {
    let messages = transcript.messages.iter().map(|message| {
        json!({
            "id": message.id,
            "role": message.role,
            "status": message.status,
            "created_at": for_programs(message.created_at),
            "content": message.content,
            "error": message.error,
        })
    });
    let whole = json!({
        "format": "compymac.session",
        "version": 1,
        "id": transcript.session.id,
        "title": transcript.session.title,
        "created_at": for_programs(transcript.session.created_at),
        "is_whole": !transcript.has_earlier,
        "messages": messages.collect::<Vec<_>>(),
    });
    format!("{whole:#}\n")
}

/// What the page may: nothing runs, nothing is fetched, and its one style is known by its hash.
pub fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")
}

/// One file, and whole by itself.
pub fn page(transcript: &Transcript) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1 dir=\"auto\">{title}</h1>\n<p class=\"about\">Begun {begun}</p>\n",
        policy = policy(),
        title = escaped(title(transcript)),
        begun = for_people(transcript.session.created_at),
    );
    if transcript.has_earlier {
        let _ = writeln!(text, "<p class=\"about\">{MISSING}</p>");
    }
    for message in &transcript.messages {
        let class = if message.role == Role::User {
            "user"
        } else {
            "reply"
        };
        let _ = write!(
            text,
            "<article class=\"{class}\">\n<h2>{} <time datetime=\"{}\">{}</time></h2>\n<div dir=\"auto\">{}</div>\n",
            who(message.role),
            for_programs(message.created_at),
            for_people(message.created_at),
            if message.role == Role::User {
                format!("<p class=\"plain\">{}</p>", escaped(&message.content))
            } else {
                drawn(&message.content)
            },
        );
        if let Some(standing) = standing(message) {
            let _ = writeln!(text, "<p class=\"about\">{}</p>", escaped(&standing));
        }
        text.push_str("</article>\n");
    }
    text.push_str("</body>\n</html>\n");
    text
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// As in the window: markup of its own is shown as the text it is, pictures are links, and only some links are links.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only markup, links and pictures are looked at"
)]
fn drawn(content: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(content, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(
            Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }
            | Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            },
        ) => Event::Start(Tag::Link {
            link_type,
            dest_url: allowed(dest_url),
            title,
            id,
        }),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    });
    let mut text = String::new();
    html::push_html(&mut text, events);
    text
}

fn allowed(address: CowStr<'_>) -> CowStr<'_> {
    if crate::outside::link(&address).is_ok() {
        address
    } else {
        CowStr::Borrowed("#")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::view::{Delivery, SessionRow, TranscriptState};
    use protocol::{MessageId, SessionId};

    fn said(role: Role, content: &str) -> MessageView {
        MessageView {
            id: MessageId::fresh(),
            role,
            content: content.to_owned(),
            status: Status::Complete,
            delivery: Delivery::Sent,
            run: None,
            error: None,
            created_at: 1_700_000_000_000,
        }
    }

    fn transcript(title: &str, messages: Vec<MessageView>) -> Transcript {
        Transcript {
            session: SessionRow {
                id: SessionId::fresh(),
                title: title.to_owned(),
                title_seq: 0,
                preview: String::new(),
                archived: false,
                running: false,
                waiting: 0,
                messages: 2,
                kept: false,
                last_active: 0,
                created_at: 1_700_000_000_000,
            },
            state: TranscriptState::Ready,
            messages,
            has_earlier: false,
            unanswered: None,
        }
    }

    #[test]
    fn everything_that_was_said_is_in_each_format() {
        let mut failed = said(Role::Assistant, "## Half\n\na *reply*");
        failed.status = Status::Failed;
        failed.error = Some("no more tokens".to_owned());
        let whole = transcript("Log book", vec![said(Role::User, "1 < 2 & 3"), failed]);
        let markdown = Format::Markdown.write(&whole);
        assert!(
            markdown.starts_with("# Log book\n\nBegun 2023-11-14 22:13 UTC\n\n---\n\n**You**, "),
            "{markdown}"
        );
        assert!(markdown.contains("1 < 2 & 3") && markdown.ends_with("*Failed: no more tokens*\n"));
        let page = Format::Page.write(&whole);
        assert!(
            page.contains("1 &lt; 2 &amp; 3") && page.contains("<em>reply</em>"),
            "{page}"
        );
        let data: serde_json::Value = serde_json::from_str(&Format::Data.write(&whole)).unwrap();
        assert_eq!(data["messages"][0]["content"], "1 < 2 & 3");
        assert_eq!(data["messages"][1]["error"], "no more tokens");
        assert_eq!(data["messages"][1]["created_at"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn nothing_in_a_page_runs_or_is_fetched() {
        let attack = "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> ![a](http://evil.org/x.png) \
                      [b](javascript:alert(1)) `<b>`\n\n<div onclick=alert(1)>\nblock\n</div>";
        let page = page(&transcript(
            "</title><script>",
            vec![said(Role::Assistant, attack), said(Role::User, attack)],
        ));
        for live in ["<script", "<img", "<div onclick", "javascript:alert(1)\""] {
            assert!(!page.contains(live), "{live} in {page}");
        }
        assert!(page.contains("<a href=\"http://evil.org/x.png\">a</a>"), "{page}");
        let policy = format!("content=\"{}\"", policy());
        assert!(page.contains(&policy) && !policy.contains("unsafe"), "{page}");
        assert_eq!(page.matches("<style").count(), 1, "the one that the policy names");
        assert!(
            page.contains(&format!("<style>{STYLE}</style>")),
            "to the last byte"
        );
    }

    #[test]
    fn a_file_is_called_what_every_system_takes() {
        for (title, wanted) in [
            ("Log book", "Log book"),
            ("../../etc/passwd", "etc passwd"),
            ("a\nb: \"c\"?", "a b c"),
            ("...", "Session"),
            ("", "New session"),
        ] {
            assert_eq!(name(&transcript(title, Vec::new())), wanted);
        }
        assert_eq!(
            name(&transcript(&"ä".repeat(300), Vec::new())).chars().count(),
            NAME_CHARS
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut part = transcript("Log book", Vec::new());
        part.has_earlier = true;
        assert!(
            Format::Markdown.write(&part).contains(MISSING) && Format::Page.write(&part).contains(MISSING)
        );
        assert!(Format::Data.write(&part).contains("\"is_whole\": false"));
    }
}
