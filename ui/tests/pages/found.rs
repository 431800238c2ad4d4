//! What a search found, as it is drawn.

use crate::fixture::NOW;
use protocol::search::{Found, FoundSession, Hit, Piece};
use protocol::sync::Role;
use protocol::view::Body;
use protocol::{MessageId, SessionId};
use ui::sessions::search::results::{groups, summary};
use yew::prelude::*;

#[derive(Clone, PartialEq, Properties)]
struct DrawnProps {
    found: Found,
}

#[component]
fn Drawn(props: &DrawnProps) -> Html {
    groups(&props.found, 1, NOW, &Callback::noop())
}

async fn drawn(found: Found) -> String {
    yew::ServerRenderer::<Drawn>::with_props(move || DrawnProps { found })
        .hydratable(false)
        .render()
        .await
}

fn piece(text: &str, is_hit: bool) -> Piece {
    Piece {
        text: text.to_owned(),
        is_hit,
    }
}

fn found() -> Found {
    let hit = |ord, snippet| Hit {
        message: MessageId::fresh(),
        ord,
        role: Role::User,
        snippet,
        created_at: NOW - 60_000,
    };
    let session = |title, is_titled_so, archived, hits| FoundSession {
        id: SessionId::fresh(),
        title,
        is_titled_so,
        archived,
        last_active: NOW,
        hits,
    };
    let hostile = vec![piece("<b>sea</b>", true), piece(" & wind", false)];
    Found {
        sessions: vec![
            session(vec![piece("Sea", true)], true, true, vec![]),
            session(
                vec![],
                false,
                false,
                vec![hit(Some(7), hostile), hit(None, vec![])],
            ),
        ],
        has_more: false,
    }
}

#[tokio::test]
async fn what_was_found_stands_by_session_with_its_marks_and_is_never_markup() {
    let page = drawn(found()).await;
    assert_eq!(page.matches("role=\"group\"").count(), 2);
    assert_eq!(page.matches("role=\"option\"").count(), found().count());
    assert!(page.contains("<mark>Sea</mark>") && page.contains("Archived"));
    assert!(
        page.contains("<mark>&lt;b&gt;sea&lt;/b&gt;</mark> &amp; wind"),
        "{page}"
    );
    assert!(page.contains("New session") && page.contains("Waiting to send") && page.contains("1 min ago"));
    for part in page.split("role=\"group\"").skip(1) {
        let label = part
            .split("aria-labelledby=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(page.contains(&format!("id=\"{label}\"")), "{label}");
    }
}

#[tokio::test]
async fn one_choice_is_the_one_that_enter_takes() {
    let page = drawn(found()).await;
    assert_eq!(page.matches("aria-selected=\"true\"").count(), 1);
    assert!(page.contains("id=\"found-0\"") && page.contains("id=\"found-2\""));
    assert!(!page.contains("id=\"found-3\""));
}

#[test]
fn what_came_of_it_is_said() {
    let none = Found::default();
    let more = Found {
        has_more: true,
        ..found()
    };
    for (typed, found, said) in [
        ("  ", &none, "Type a word, or \"several in quotes\""),
        ("x", &none, "Nothing found in the sessions on this computer."),
        ("x", &found(), "3 results"),
        ("x", &more, "The best 3 results"),
    ] {
        assert_eq!(summary(typed, found, Body::Desktop), said);
    }
    assert_eq!(
        summary("x", &none, Body::Browser),
        "Nothing found in what this page has loaded."
    );
}
