//! Finding words in the open session: a bar above what is read, opened by Ctrl+F. What fits is marked where it stands, and Enter
//! leads from message to message, to those that are not mounted too. What is typed and found is kept by `search.rs`.
//!
//! **Invariant:** nothing is written into the messages: the marks are the browser's own (CSS Custom Highlight API). Where it has
//! none, the messages are gone to all the same.

use crate::controls::found::{all, by_id, document};
use crate::controls::{Sign, icon};
use js_sys::{Array, Function, JsString, Map, Reflect};
use protocol::MessageId;
use protocol::search::{Found, Hit};
use protocol::view::Body;
use std::cell::RefCell;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Element, HtmlDialogElement, HtmlInputElement, Node, Range};
use yew::prelude::*;

const BAR: &str = "find";
const FIELD: &str = "find-input";
/// What the style sheet calls the marks.
const MARKS: &str = "find";

thread_local! {
    /// What fits, in small letters.
    static FITTING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Id of the bar's field.
pub const fn field_id() -> &'static str {
    FIELD
}

fn bar() -> Option<HtmlDialogElement> {
    by_id(BAR)
}

pub fn is_open() -> bool {
    bar().is_some_and(|bar| bar.open())
}

/// Opens the bar with the caret in it; what was typed last is there to be typed over. False where no session is open, and in a
/// browser the second time: whoever strikes the key once more wants the browser's own.
pub fn open(body: Body) -> bool {
    let (Some(bar), Some(field)) = (bar(), by_id::<HtmlInputElement>(FIELD)) else {
        return false;
    };
    if body == Body::Browser && field.matches(":focus").unwrap_or(false) {
        return false;
    }
    if !bar.open() {
        bar.show();
    }
    let _ = field.focus();
    field.select();
    mark();
    true
}

/// Whether there was something to shut. The focus goes back to where it was.
pub fn shut() -> bool {
    let Some(bar) = bar().filter(HtmlDialogElement::open) else {
        return false;
    };
    bar.close();
    if let Some(marks) = marks() {
        marks.delete(&MARKS.into());
    }
    true
}

/// The bar itself: its field, how it stands, and what steps back and on.
pub fn view(field: Html, standing: String, back: Callback<MouseEvent>, on: Callback<MouseEvent>) -> Html {
    let step = |sign: Sign, label: &'static str, testid: &'static str, onclick: Callback<MouseEvent>| {
        html! {
            <button type="button" class="button button-quiet" aria-label={label} title={label} data-testid={testid} {onclick}>
                { icon(sign) }
            </button>
        }
    };
    html! {
        <dialog id={BAR} class="find" aria-label="Find in this session">
            { icon(Sign::Search) }
            { field }
            <span role="status" data-testid="find-status">{ standing }</span>
            { step(Sign::Send, "Previous", "find-previous", back) }
            { step(Sign::Down, "Next", "find-next", on) }
            <button type="button" class="button button-quiet" onclick={Callback::from(|_: MouseEvent| { shut(); })}>
                { "Close" }
            </button>
        </dialog>
    }
}

/// For the line that is read out: the message one is at, in the order of the session.
pub fn standing(typed: &str, found: &Found, active: usize) -> String {
    let more = if found.has_more { "+" } else { "" };
    match found.count() {
        _ if typed.trim().is_empty() => String::new(),
        0 => "Nothing found".to_owned(),
        count => format!("{} of {count}{more}", place(active, count) + 1),
    }
}

/// One begins at the newest, where one mostly is; the step on from there leads around to the oldest.
const fn place(active: usize, count: usize) -> usize {
    (active + count - 1) % count
}

/// The message that one is at.
pub fn message(found: &Found, active: usize) -> Option<MessageId> {
    let hits = || {
        found
            .sessions
            .iter()
            .flat_map(|session| &session.hits)
            .enumerate()
    };
    // What waits to be sent stands below all else.
    let key = |(number, hit): (usize, &Hit)| (hit.ord.is_none(), hit.ord, hit.created_at, number);
    let wanted = place(active, found.count().max(1));
    let before = |here| hits().filter(|other| key(*other) < key(here)).count();
    let (_, hit) = hits().find(|here| before(*here) == wanted)?;
    Some(hit.message)
}

/// From now on this is marked.
pub fn keep(found: &Found) {
    let hits = found.sessions.iter().flat_map(|session| &session.hits);
    let mut fitting: Vec<String> = Vec::new();
    for piece in hits.flat_map(|hit| &hit.snippet).filter(|piece| piece.is_hit) {
        let text = String::from(JsString::from(piece.text.as_str()).to_lower_case());
        if !text.is_empty() && !fitting.contains(&text) {
            fitting.push(text);
        }
    }
    FITTING.set(fitting);
    mark();
}

/// Marks what fits in what is mounted now; to be called whenever that has changed.
pub fn mark() {
    if !is_open() {
        return;
    }
    let Some(marks) = marks() else { return };
    let ranges = Array::new();
    for text in all(".pane .message-text") {
        gather(&text, &ranges);
    }
    if let Some(highlight) = highlight(&ranges) {
        marks.set(&MARKS.into(), &highlight);
    }
}

/// How far down in the window the first mark of a message is, if it has any.
pub fn first_in(message: &Element) -> Option<f64> {
    if !is_open() {
        return None;
    }
    let ranges = Array::new();
    let text = message.query_selector(".message-text").ok()??;
    gather(&text, &ranges);
    let first = ranges.get(0).dyn_into::<Range>().ok()?;
    Some(first.get_bounding_client_rect().top())
}

/// The registry of marks, a map from names.
fn marks() -> Option<Map> {
    let css = Reflect::get(&js_sys::global(), &"CSS".into()).ok()?;
    let marks = Reflect::get(&css, &"highlights".into()).ok()?;
    marks.is_object().then(|| marks.unchecked_into())
}

fn highlight(ranges: &Array) -> Option<JsValue> {
    let class = Reflect::get(&js_sys::global(), &"Highlight".into()).ok()?;
    Reflect::construct(class.dyn_ref::<Function>()?, ranges).ok()
}

fn gather(node: &Node, ranges: &Array) {
    let mut next = node.first_child();
    while let Some(child) = next {
        if child.node_type() == Node::TEXT_NODE {
            FITTING.with_borrow(|fitting| look_through(&child, fitting, ranges));
        } else {
            gather(&child, ranges);
        }
        next = child.next_sibling();
    }
}

fn look_through(text: &Node, fitting: &[String], ranges: &Array) {
    let Ok(data) = Reflect::get(text, &"data".into()) else {
        return;
    };
    let data: JsString = data.unchecked_into();
    let small = data.to_lower_case();
    // A few letters are longer when they are small; where one of them stands, places would be wrong.
    let small = if small.length() == data.length() {
        small
    } else {
        data
    };
    for word in fitting {
        let mut from = 0;
        while let Ok(start) = u32::try_from(small.index_of(word, from)) {
            let end = start + JsString::from(word.as_str()).length();
            if let Some(range) = range(text, start, end) {
                ranges.push(&range);
            }
            from = i32::try_from(end).unwrap_or(i32::MAX);
        }
    }
}

fn range(text: &Node, start: u32, end: u32) -> Option<Range> {
    let range = document()?.create_range().ok()?;
    range.set_start(text, start).ok()?;
    range.set_end(text, end).ok()?;
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::search::FoundSession;
    use protocol::sync::Role;

    fn found(ords: &[Option<i64>]) -> Found {
        let hit = |(number, ord): (usize, Option<i64>)| Hit {
            message: MessageId::fresh(),
            ord,
            role: Role::User,
            snippet: Vec::new(),
            created_at: i64::try_from(number).unwrap(),
        };
        let session = FoundSession {
            id: protocol::SessionId::fresh(),
            title: Vec::new(),
            is_titled_so: false,
            archived: false,
            last_active: 0,
            hits: ords.iter().copied().enumerate().map(hit).collect(),
        };
        Found {
            sessions: vec![session],
            has_more: false,
        }
    }

    #[test]
    fn one_is_led_in_the_order_of_the_session_from_the_newest_around_to_the_oldest() {
        let found = found(&[Some(7), None, Some(2), None, Some(9)]);
        let of = |place: usize| Some(found.sessions[0].hits[place].message);
        let led: Vec<_> = (0..6).map(|active| message(&found, active)).collect();
        assert_eq!(led, [of(3), of(2), of(0), of(4), of(1), of(3)]);
        assert_eq!(message(&Found::default(), 0), None);
    }

    #[test]
    fn how_it_stands_is_counted_as_people_count() {
        let mut found = found(&[Some(1), Some(2), Some(3)]);
        assert_eq!(standing("calm", &found, 0), "3 of 3");
        assert_eq!(standing("calm", &found, 1), "1 of 3");
        found.has_more = true;
        assert_eq!(standing("calm", &found, 2), "2 of 3+");
        assert_eq!(standing(" ", &found, 0), "");
        assert_eq!(standing("calm", &Found::default(), 0), "Nothing found");
    }
}
