//! The line between the list and the page: dragged, moved by the arrow keys, and by Enter or a double click the list is
//! shut and opened again. What it is set to is kept.

use super::keys::key_of;
use crate::state::keep::{self, Side};
use web_sys::Element;
use yew::prelude::*;

/// What an arrow key moves it by, in pixels.
const STEP: i32 = 16;

#[component]
pub fn Splitter() -> Html {
    let redraw = use_force_update();
    let is_held = use_mut_ref(|| false);
    let onpointerdown = {
        let is_held = is_held.clone();
        Callback::from(move |event: PointerEvent| {
            event.prevent_default();
            *is_held.borrow_mut() = true;
            let line: Option<Element> = event.target_dyn_into();
            if let Some(line) = line {
                // the pointer may leave the line, which is thin
                let _ = line.set_pointer_capture(event.pointer_id());
            }
        })
    };
    let onpointermove = {
        let (is_held, redraw) = (is_held.clone(), redraw.clone());
        Callback::from(move |event: PointerEvent| {
            if *is_held.borrow() {
                keep::choose_side(Side::at(event.client_x()));
                redraw.force_update();
            }
        })
    };
    let onpointerup = Callback::from(move |_: PointerEvent| *is_held.borrow_mut() = false);
    let ondblclick = Callback::from(|_: MouseEvent| keep::toggle_side());
    let onkeydown = Callback::from(move |event: KeyboardEvent| {
        let side = keep::side();
        match key_of(&event).as_deref() {
            Some("ArrowLeft") => keep::choose_side(Side::at(side.width - STEP)),
            Some("ArrowRight") => keep::choose_side(Side::at(side.width + STEP)),
            Some("Home") => keep::choose_side(Side::at(Side::LEAST)),
            Some("End") => keep::choose_side(Side::at(Side::MOST)),
            Some("Enter") => keep::toggle_side(),
            _ => return,
        }
        event.prevent_default();
        redraw.force_update();
    });
    html! {
        <div
            class="splitter needs-script"
            role="separator"
            tabindex="0"
            aria-orientation="vertical"
            aria-label="Width of the list"
            aria-valuemin={Side::LEAST.to_string()}
            aria-valuemax={Side::MOST.to_string()}
            aria-valuenow={keep::side().width.to_string()}
            title="Drag, or press Enter to shut the list"
            data-testid="splitter"
            {onpointerdown}
            {onpointermove}
            {onpointerup}
            {ondblclick}
            {onkeydown}
        />
    }
}
