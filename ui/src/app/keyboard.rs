//! Does what the table of keys says (`controls/shortcuts.rs`), wherever one is on the page.

use crate::controls::found::{all, first};
use crate::controls::shortcuts::{Does, does, is_of_the_conversation, struck, toggle_shortcuts};
use crate::sessions::header::start_renaming;
use crate::sessions::{composer, find, scroll, search};
use crate::state::Stage;
use crate::state::keep::toggle_side;
use web_sys::HtmlElement;
use yew::{KeyboardEvent, TargetCast as _};

/// What opens the sessions of the list, in its order.
const ROWS: &str = "[data-session] a";

pub fn strike(stage: &Stage, event: &KeyboardEvent) {
    // The keys belong to the input method while a word is being composed.
    if event.is_composing() {
        return;
    }
    let Some(keys) = struck(event) else { return };
    let Some(does) = does(&keys, stage.body) else {
        return;
    };
    if is_of_the_conversation(&keys) && !scroll::has(event.target_dyn_into().as_ref()) {
        return;
    }
    // What is behind a dialog waits; the list of keys and the search may be turned to all the same.
    let is_of_dialog = matches!(does, Does::Shortcuts | Does::Search);
    if !is_of_dialog && first("dialog:modal").is_some() {
        return;
    }
    // Where there is nothing to find in, it is the browser's.
    if does == Does::FindHere && !find::open(stage.body) {
        return;
    }
    event.prevent_default();
    carry_out(stage, does);
}

fn carry_out(stage: &Stage, does: Does) {
    match does {
        Does::NewSession => click(first("[data-testid=new-session]")),
        Does::Search => search::open(),
        // It is open by now.
        Does::FindHere => {}
        Does::NextSession => click(row_beside(1)),
        Does::PreviousSession => click(row_beside(-1)),
        Does::Session(place) => click(all(ROWS).into_iter().nth(place)),
        Does::Compose => composer::focus_here(),
        Does::Rename => start_renaming(),
        Does::Archive => click(first(
            ".head-actions :is([data-testid=archive], [data-testid=unarchive])",
        )),
        Does::CopyReply => click(all(".copy-reply").pop()),
        Does::CopyCode => click(all(".code button").pop()),
        Does::NextMessage => scroll::step(1),
        Does::PreviousMessage => scroll::step(-1),
        Does::Side => toggle_side(),
        Does::Settings => click(first("[data-testid=settings]")),
        Does::Act(act) => stage.act(act),
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
fn row_beside(step: isize) -> Option<HtmlElement> {
    let mut rows = all(ROWS);
    let open = rows.iter().position(|row| row.has_attribute("aria-current"));
    let wanted = match open {
        Some(open) => open.checked_add_signed(step).unwrap_or(rows.len() - 1) % rows.len(),
        None => 0,
    };
    (wanted < rows.len()).then(|| rows.swap_remove(wanted))
}
