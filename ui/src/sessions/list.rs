//! The list of sessions, newest first. Up and down walk through it; each row has a menu.

use super::acts;
use super::row::{NewName, Row, title_of};
use crate::controls::Sign;
use crate::controls::found::first;
use crate::controls::keys::key_of;
use crate::controls::menu::{Item, Left, Menu};
use crate::state::scene::Rows;
use crate::state::{Action, Stage};
use protocol::ipc::AppAct;
use protocol::view::{Body, Connection, SessionRow};
use protocol::{SessionId, UnixMillis};
use std::rc::Rc;
use sync_client::search::folded;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, HtmlInputElement};
use yew::prelude::*;

/// So many rows are drawn at first, and again whenever the end of them comes near: somebody with ten thousand sessions
/// looks at twenty.
const ROWS_AT_ONCE: usize = 100;

/// How far from the end of the drawn rows more are drawn, in pixels: a few windows' heights.
const NEAR_THE_END: i32 = 2400;

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct ListProps {
    pub stage: Stage,
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
        let (wanted, stage) = (wanted.clone(), props.stage.clone());
        Callback::from(move |event: InputEvent| {
            let field = event
                .target()
                .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
            let words = field
                .map(|field| folded(field.value().trim()).collect::<String>())
                .unwrap_or_default();
            // Words are looked for in all rows, not only in those that came so far.
            stage.tell(if words.is_empty() {
                Action::Shallow
            } else {
                Action::Deeper(usize::MAX)
            });
            wanted.set(words);
        })
    };
    let found: Vec<_> = rows
        .iter()
        .filter(|row| is_wanted(row, &wanted))
        .cloned()
        .collect();
    html! {
        <>
            <div class="filter needs-script">
                <input
                    class="field"
                    type="search"
                    placeholder="Filter"
                    aria-label="Filter sessions"
                    autocomplete="off"
                    data-testid="filter"
                    {oninput}
                />
            </div>
            if found.is_empty() {
                <div class="list"><p class="list-empty" role="status">{ "No session has that in its title or its last words." }</p></div>
            } else {
                <Lines stage={props.stage.clone()} rows={found} current={props.current} now={props.now} />
            }
        </>
    }
}

fn is_wanted(row: &SessionRow, wanted: &str) -> bool {
    let has = |text: &str| folded(text).collect::<String>().contains(wanted);
    wanted.is_empty() || has(&title_of(row)) || has(&row.preview)
}

/// "Nothing here" is said only when it is known.
fn why_empty(props: &ListProps) -> &'static str {
    let never_synced = matches!(
        props.connection,
        Connection::Connecting | Connection::Offline { since: None } | Connection::Stopped { .. }
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
struct LinesProps {
    stage: Stage,
    rows: Vec<Rc<SessionRow>>,
    current: Option<SessionId>,
    now: UnixMillis,
}

/// How many of the rows are drawn, and what draws more.
#[hook]
fn use_drawn(stage: &Stage, count: usize) -> (usize, Callback<Event>) {
    let drawn = use_state(|| ROWS_AT_ONCE);
    let (now, stage) = (*drawn, stage.clone());
    let onscroll = Callback::from(move |event: Event| {
        let list: Option<Element> = event.target_dyn_into();
        let is_near = list.is_some_and(|list| {
            list.scroll_height() - list.scroll_top() - list.client_height() < NEAR_THE_END
        });
        // Also at the end of what came: what comes next is drawn as soon as it is here.
        if is_near {
            stage.tell(Action::Deeper(count + 2 * ROWS_AT_ONCE));
            if now < count + ROWS_AT_ONCE {
                drawn.set(now.min(count) + ROWS_AT_ONCE);
            }
        }
    });
    (now, onscroll)
}

/// Hears for all rows what happens in one, so that a row is drawn again only when it changes itself.
#[component]
fn Lines(props: &LinesProps) -> Html {
    let opened = use_state(|| None::<Opened>);
    let renamed = use_state(|| None::<SessionId>);
    let (drawn, onscroll) = use_drawn(&props.stage, props.rows.len());
    let open = {
        let opened = opened.clone();
        move |session, at| opened.set(Some(Opened { session, at }))
    };
    let onclick = {
        let open = open.clone();
        Callback::from(move |event: MouseEvent| {
            let target: Option<Element> = event.target_dyn_into();
            let button = target.and_then(|target| target.closest(".row-more").ok().flatten());
            if let Some((row, id)) = row_of(button.as_ref()) {
                open(id, at_the_end_of(&row));
            }
        })
    };
    let oncontextmenu = {
        let open = open.clone();
        Callback::from(move |event: MouseEvent| {
            if let Some((_, id)) = row_of(event.target_dyn_into().as_ref()) {
                event.prevent_default();
                open(id, (event.client_x(), event.client_y()));
            }
        })
    };
    let onkeydown = {
        let renamed = renamed.clone();
        Callback::from(move |event: KeyboardEvent| {
            let Some((row, id)) = row_of(event.target_dyn_into().as_ref()) else {
                return;
            };
            match key_of(&event).as_deref() {
                Some("ContextMenu") => open(id, at_the_end_of(&row)),
                Some("F10") if event.shift_key() => open(id, at_the_end_of(&row)),
                Some("F2") => renamed.set(Some(id)),
                _ => return walk(&event),
            }
            event.prevent_default();
            event.stop_propagation();
        })
    };
    let ondone = {
        let renamed = renamed.clone();
        use_callback((), move |(), ()| renamed.set(None))
    };
    html! {
        <>
            <ul class="list" data-testid="session-list" {onscroll} {onclick} {oncontextmenu} {onkeydown}>
                for row in props.rows.iter().take(drawn) {
                    if *renamed == Some(row.id) {
                        <NewName key={row.id.to_string()} stage={props.stage.clone()} row={row.clone()} ondone={&ondone} />
                    } else {
                        <Row
                            key={row.id.to_string()}
                            row={row.clone()}
                            is_current={props.current == Some(row.id)}
                            now={props.now}
                        />
                    }
                }
            </ul>
            if let Some(opened_now) = &*opened
                && let Some(row) = props.rows.iter().find(|row| row.id == opened_now.session) {
                <Menu
                    label={format!("Menu of {}", title_of(row))}
                    at={opened_now.at}
                    items={items(props, row, &renamed)}
                    onleave={leave(&opened)}
                />
            }
        </>
    }
}

fn leave(opened: &UseStateHandle<Option<Opened>>) -> Callback<Left> {
    let opened = opened.clone();
    Callback::from(move |left: Left| {
        if left == Left::Back
            && let Some(opened) = &*opened
        {
            focus_row(opened.session);
        }
        opened.set(None);
    })
}

fn items(props: &LinesProps, row: &Rc<SessionRow>, renamed: &UseStateHandle<Option<SessionId>>) -> Vec<Item> {
    let (id, is_open) = (row.id, props.current == Some(row.id));
    let archived = !row.archived;
    let act = |act: fn(&Stage, SessionId, bool, bool)| {
        let stage = props.stage.clone();
        Callback::from(move |()| act(&stage, id, archived, is_open))
    };
    let rename = {
        let renamed = renamed.clone();
        Callback::from(move |()| renamed.set(Some(id)))
    };
    let (sign, label) = if archived {
        (Sign::Archive, "Archive")
    } else {
        (Sign::Unarchive, "Unarchive")
    };
    let mut items = vec![
        Item {
            sign: Sign::Pencil,
            label: "Rename",
            testid: "menu-rename",
            act: rename,
        },
        Item {
            sign,
            label,
            testid: "menu-archive",
            act: act(acts::archive),
        },
        Item {
            sign: Sign::Trash,
            label: "Delete",
            testid: "menu-delete",
            act: act(|stage, id, _, is_open| acts::delete(stage, id, is_open)),
        },
    ];
    if props.stage.body == Body::Desktop {
        drop(items.splice(2..2, of_app(&props.stage, row)));
    }
    items
}

/// What the app has besides.
fn of_app(stage: &Stage, row: &SessionRow) -> [Item; 3] {
    let does = |act: AppAct| {
        let stage = stage.clone();
        Callback::from(move |()| stage.act(act))
    };
    let (sign, label) = if row.kept {
        (Sign::Check, "Stop keeping on this computer")
    } else {
        (Sign::Computer, "Keep on this computer")
    };
    [
        Item {
            sign,
            label,
            testid: "menu-keep",
            act: does(AppAct::Keep(row.id, !row.kept)),
        },
        Item {
            sign: Sign::Down,
            label: "Export…",
            testid: "menu-export",
            act: does(AppAct::Export(row.id)),
        },
        Item {
            sign: Sign::Print,
            label: "Print…",
            testid: "menu-print",
            act: does(AppAct::Print(Some(row.id))),
        },
    ]
}

/// Where a row's menu stands open.
#[derive(Clone, Debug, PartialEq)]
struct Opened {
    session: SessionId,
    at: (i32, i32),
}

/// The row that an event happened in.
fn row_of(target: Option<&Element>) -> Option<(Element, SessionId)> {
    let item = target?.closest("[data-session]").ok().flatten()?;
    let id = item.get_attribute("data-session")?.parse().ok()?;
    Some((item, id))
}

/// Under the row's end, where its button is.
fn at_the_end_of(item: &Element) -> (i32, i32) {
    let extent = item.get_bounding_client_rect();
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand pixels")]
    let at = (extent.right() as i32 - 32, extent.bottom() as i32 - 12);
    at
}

fn focus_row(id: SessionId) {
    if let Some(link) = first(&format!("[data-session=\"{id}\"] a")) {
        let _ = link.focus();
    }
}

/// Moves the focus along the rows.
fn walk(event: &KeyboardEvent) {
    let Some(here) = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok())
    else {
        return;
    };
    let item = here.closest("li").ok().flatten();
    let list = here.closest("ul").ok().flatten();
    let next = match key_of(event).as_deref() {
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
