//! What holds of anything that a stranger may send: each function takes any text, or any bytes, and ends the program where it
//! does not.
//!
//! The targets beside give them what a fuzzer makes up; a test of the suite gives them the corpus, and much that is like it.

#[path = "../../../src-tauri/src/deep_link.rs"]
mod deep_link;

use deep_link::Link;
use protocol::frame::{ClientFrame, Encoding, ServerFrame};
use protocol::limits::LINKED_PROMPT_CHARS;
use protocol::mutation::{Batch, Op, preview_of, title_from};
use protocol::run::{At, Stand};
use protocol::session_socket;
use protocol::sync::{Cursor, SessionsBefore};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::OnceCell;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use sync_client::packed::{self, FRAME_BYTES, Unreadable};
use sync_client::search::Query;
use url::form_urlencoded;

/// What can be read can be written, and reads back as the same.
fn reads_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) -> Option<T> {
    let read: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, read);
    Some(read)
}

/// Frames of both sockets, in both directions, and the body of a write.
pub fn frames(text: &str) {
    reads_back::<ClientFrame>(text);
    reads_back::<ServerFrame>(text);
    reads_back::<session_socket::Ask>(text);
    reads_back::<session_socket::Answer>(text);
    let Some(batch) = reads_back::<Batch>(text) else {
        return;
    };
    for mutation in batch.ops {
        let _ = mutation.op.session();
        if let Op::MessageCreate { content, .. } = mutation.op {
            let (title, preview) = (title_from(&content), preview_of(&content));
            assert!(!title.contains('\n') && !preview.contains('\n'));
        }
    }
}

/// What unpacks to a text larger than this is not read as a frame too.
const READ: usize = 64 * 1024;

/// A packed frame is unpacked to no more than may be, refused, or left to whoever knows how it is packed.
pub fn packed(message: &[u8]) {
    match packed::unpack(message) {
        Ok(Some(text)) => {
            assert!(text.len() <= FRAME_BYTES, "{} bytes", text.len());
            if text.len() <= READ {
                frames(&text);
            }
        }
        Ok(None) => assert_ne!(message.first(), Some(&Encoding::ZSTD)),
        Err(Unreadable) => assert_eq!(message.first(), Some(&Encoding::ZSTD)),
    }
}

fn comes_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let again = read.to_string().parse::<T>();
        assert_eq!(again.ok(), Some(read));
    }
}

/// Places that a client hands back: in the changes, in the list, in a run, and in a run's events (`Last-Event-ID`).
pub fn cursors(text: &str) {
    comes_back::<Cursor>(text);
    comes_back::<SessionsBefore>(text);
    comes_back::<At>(text);
    comes_back::<Stand>(text);
}

/// An index as the cache's, over one text.
fn index() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .execute_batch(
            "create virtual table texts using fts5 (content, tokenize = \"unicode61 remove_diacritics 2\");
             insert into texts values ('a small text: with some words, ünd accents, 日 本 語');",
        )
        .expect("an index");
    connection
}

/// Without white space, which a line has less of than the text.
fn bare(text: &str) -> String {
    let is_seen = |c: &char| !c.is_whitespace() && *c != '\u{200b}';
    text.chars().filter(is_seen).collect()
}

/// Whatever somebody types, the index understands what is asked of it, and what is shown is the text.
pub fn searches(typed: &str) {
    thread_local! {
        static INDEX: OnceCell<Connection> = const { OnceCell::new() };
    }
    let query = Query::parse(typed);
    if let Some(pieces) = query.whole(typed) {
        let shown: String = pieces.into_iter().map(|piece| piece.text).collect();
        let shown = bare(&shown);
        let cut = shown.strip_suffix('…').unwrap_or(&shown);
        assert!(bare(typed).starts_with(cut), "{shown:?} is shown of {typed:?}");
    }
    let _ = query.snippet_of_found(typed);
    if query.is_empty() {
        return;
    }
    INDEX.with(|index_here| {
        let found = index_here
            .get_or_init(index)
            .prepare_cached("select count(*) from texts where texts match ?1")
            .and_then(|mut statement| statement.query_row([query.to_fts5()], |row| row.get::<_, i64>(0)));
        assert!(found.is_ok(), "{typed:?} asks {:?}: {found:?}", query.to_fts5());
    });
}

/// A link that is taken is one that we would write.
pub fn links(text: &str) {
    match deep_link::parse(text) {
        Some(Link::Session(id)) => {
            let ending = format!("://session/{id}");
            assert!(
                text.to_ascii_lowercase().ends_with(&ending),
                "{text} is no link to {id}"
            );
        }
        Some(Link::Callback(callback)) => {
            assert!(!callback.state.is_empty() && !callback.issuer.is_empty());
            if let deep_link::Answer::Code(code) = &callback.answer {
                assert!(deep_link::is_code(code));
            }
        }
        Some(Link::New(prompt)) => {
            assert!(prompt.chars().count() <= LINKED_PROMPT_CHARS);
            assert!(prompt.chars().all(|c| c == '\n' || !c.is_control()));
            let mut query = form_urlencoded::Serializer::new(String::new());
            let ours = format!("compymac://new?{}", query.append_pair("prompt", &prompt).finish());
            assert_eq!(deep_link::parse(&ours), Some(Link::New(prompt)), "{text}");
        }
        None => {}
    }
    let _ = deep_link::callback(text);
}
