//! The list of sessions, newest first. Up and down walk through it.

use crate::controls::keys::key_of;
use crate::controls::{Link, Sign, icon, when};
use crate::state::Place;
use crate::state::scene::Rows;
use protocol::view::{Connection, SessionRow};
use protocol::{SessionId, UnixMillis};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, HtmlInputElement};
use yew::prelude::*;

const FILTER: &str = "filter";

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ListProps {
    pub rows: Option<Rows>,
    pub current: Option<SessionId>,
    pub now: UnixMillis,
    pub is_archive: bool,
    pub connection: Connection,
}

#[component]
pub fn List(props: &ListProps) -> Html {
    let wanted = use_state(String::new);
    let rows = props.rows.as_deref().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return html! { <div class="list"><p class="list-empty">{ why_empty(props) }</p></div> };
    }
    let oninput = {
        let wanted = wanted.clone();
        Callback::from(move |event: InputEvent| {
            let field = event
                .target()
                .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
            wanted.set(
                field
                    .map(|field| field.value().trim().to_lowercase())
                    .unwrap_or_default(),
            );
        })
    };
    let found: Vec<_> = rows.iter().filter(|row| is_wanted(row, &wanted)).collect();
    html! {
        <>
            <div class="filter needs-script">
                <input
                    id={FILTER}
                    class="field"
                    type="search"
                    placeholder="Filter"
                    aria-label="Filter sessions"
                    title="Filter (Ctrl+K)"
                    autocomplete="off"
                    data-testid="filter"
                    {oninput}
                />
            </div>
            if found.is_empty() {
                <div class="list"><p class="list-empty" role="status">{ "No session has that in its title or its last words." }</p></div>
            } else {
                <ul class="list" data-testid="session-list" onkeydown={Callback::from(walk)}>
                    for row in found {
                        <Row
                            key={row.id.to_string()}
                            row={row.clone()}
                            is_current={props.current == Some(row.id)}
                            now={props.now}
                        />
                    }
                </ul>
            }
        </>
    }
}

fn is_wanted(row: &SessionRow, wanted: &str) -> bool {
    wanted.is_empty()
        || title_of(row).to_lowercase().contains(wanted)
        || row.preview.to_lowercase().contains(wanted)
}

/// Puts the caret into the filter.
pub fn focus_filter() {
    let document = web_sys::window().and_then(|window| window.document());
    if let Some(field) = document.and_then(|document| document.get_element_by_id(FILTER)) {
        let field = field.unchecked_into::<HtmlInputElement>();
        let _ = field.focus();
        field.select();
    }
}

/// "Nothing here" is said only when it is known.
fn why_empty(props: &ListProps) -> &'static str {
    let never_synced = matches!(
        props.connection,
        Connection::Connecting | Connection::Offline { since: None }
    );
    match (&props.rows, never_synced, props.is_archive) {
        (None, false, _) => "Loading…",
        (_, true, _) => "Your sessions will show here once you are online.",
        (Some(_), false, true) => {
            "Nothing is archived. What you archive waits here, and can be brought back."
        }
        (Some(_), false, false) => "No sessions yet. Write what you want to work on, and one begins.",
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct RowProps {
    row: Rc<SessionRow>,
    is_current: bool,
    now: UnixMillis,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let row = &props.row;
    html! {
        <li data-testid="session-row" data-session={row.id.to_string()}>
            <Link to={Place::Session(row.id)} class="row" is_current={props.is_current}>
                <span class={classes!("row-title", row.title.is_empty().then_some("is-untitled"))} dir="auto">
                    { title_of(row) }
                </span>
                <span class="row-about">
                    if row.running {
                        <span class="row-state"><span class="ring" />{ "Running" }</span>
                    } else if row.waiting > 0 {
                        <span class="row-state">{ icon(Sign::Clock) }{ "Waiting to send" }</span>
                    } else {
                        { when(row.last_active, props.now) }
                    }
                    <span class="row-preview" dir="auto">{ &row.preview }</span>
                </span>
            </Link>
        </li>
    }
}

/// What a session is called until it has a title.
pub fn title_of(row: &SessionRow) -> String {
    if row.title.is_empty() {
        "New session".to_owned()
    } else {
        row.title.clone()
    }
}

/// Moves the focus along the rows.
fn walk(event: KeyboardEvent) {
    let Some(here) = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok())
    else {
        return;
    };
    let item = here.closest("li").ok().flatten();
    let list = here.closest("ul").ok().flatten();
    let next = match key_of(&event).as_deref() {
        Some("ArrowDown") => item.and_then(|item| item.next_element_sibling()),
        Some("ArrowUp") => item.and_then(|item| item.previous_element_sibling()),
        Some("Home") => list.and_then(|list| list.first_element_child()),
        Some("End") => list.and_then(|list| list.last_element_child()),
        _ => return,
    };
    event.prevent_default();
    let link = next.and_then(|item| item.query_selector("a").ok().flatten());
    if let Some(link) = link.and_then(|link| link.dyn_into::<HtmlElement>().ok()) {
        let _ = link.focus();
    }
}
