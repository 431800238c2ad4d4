//! Does what the table of keys says (`controls/shortcuts.rs`), wherever one is on the page.

use crate::controls::found::{all, first};
use crate::controls::shortcuts::{Does, does, struck, toggle_shortcuts};
use crate::sessions::header::start_renaming;
use crate::sessions::{composer, search};
use crate::state::Stage;
use crate::state::keep::toggle_side;
use protocol::ipc::AppAct;
use web_sys::HtmlElement;
use yew::KeyboardEvent;

/// What opens the sessions of the list, in its order.
const ROWS: &str = "[data-session] a";

pub fn strike(stage: &Stage, event: &KeyboardEvent) {
    // The keys belong to the input method while a word is being composed.
    if event.is_composing() {
        return;
    }
    let Some(does) = struck(event).and_then(|keys| does(&keys, stage.body)) else {
        return;
    };
    // What is behind a dialog waits; the list of keys and the search may be turned to all the same.
    let is_of_dialog = matches!(does, Does::Shortcuts | Does::Search | Does::FindHere);
    if !is_of_dialog && first("dialog[open]").is_some() {
        return;
    }
    event.prevent_default();
    carry_out(stage, does);
}

fn carry_out(stage: &Stage, does: Does) {
    match does {
        Does::NewSession => click(first("[data-testid=new-session]")),
        Does::Search => search::open(),
        Does::FindHere => search::open_here(),
        Does::NextSession => click(row_beside(1)),
        Does::PreviousSession => click(row_beside(-1)),
        Does::Session(place) => click(all(ROWS).into_iter().nth(place)),
        Does::Compose => composer::focus_here(),
        Does::Rename => start_renaming(),
        Does::Archive => click(first(
            ".head-actions :is([data-testid=archive], [data-testid=unarchive])",
        )),
        Does::CopyReply => click(all(".copy-reply").pop()),
        Does::Side => toggle_side(),
        Does::Settings => click(first("[data-testid=settings]")),
        Does::ZoomIn => stage.act(AppAct::ZoomIn),
        Does::ZoomOut => stage.act(AppAct::ZoomOut),
        Does::ZoomBack => stage.act(AppAct::ZoomBack),
        Does::Shortcuts => toggle_shortcuts(),
    }
}

/// What is on the page does it.
fn click(element: Option<HtmlElement>) {
    if let Some(element) = element {
        element.click();
    }
}

/// The row so far below the open one, and around at the ends; the first, if none is open.
fn row_beside(step: i64) -> Option<HtmlElement> {
    let rows = all(ROWS);
    let count = i64::try_from(rows.len()).ok()?;
    let open = rows.iter().position(|row| row.has_attribute("aria-current"));
    let wanted = match open {
        Some(open) => (i64::try_from(open).ok()? + step).checked_rem_euclid(count)?,
        None => 0,
    };
    rows.into_iter().nth(usize::try_from(wanted).ok()?)
}
