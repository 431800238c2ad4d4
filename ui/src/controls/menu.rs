//! A menu at a point of the window: walked with the arrow keys or by first letters, left with Escape, Tab or a click
//! elsewhere (the menu pattern of the ARIA Authoring Practices).

use super::keys::key_of;
use super::{Sign, icon};
use sync_client::search::folded;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, Node};
use yew::prelude::*;

/// What is kept free between a menu and the window's edge, in pixels.
const EDGE: f64 = 8.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub sign: Sign,
    pub label: &'static str,
    pub testid: &'static str,
    pub act: Callback<()>,
}

/// How a menu was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Something was chosen, or the focus is elsewhere already.
    Gone,
    /// By a key: the focus goes back to where the menu was opened.
    Back,
}

#[derive(Clone, Debug, PartialEq, Properties)]
pub struct MenuProps {
    pub label: AttrValue,
    /// Its corner, in pixels of the window.
    pub at: (i32, i32),
    pub items: Vec<Item>,
    pub onleave: Callback<Left>,
}

#[component]
pub fn Menu(props: &MenuProps) -> Html {
    let menu = use_node_ref();
    {
        let menu = menu.clone();
        use_effect_with(props.at, move |at| {
            if let Some(menu) = menu.cast::<HtmlElement>() {
                place(&menu, *at);
                focus(menu.first_element_child());
            }
        });
    }
    let onkeydown = {
        let (menu, onleave) = (menu.clone(), props.onleave.clone());
        Callback::from(move |event: KeyboardEvent| {
            let Some(menu) = menu.cast::<Element>() else {
                return;
            };
            let here: Option<Element> = event.target_dyn_into();
            let next = match key_of(&event).as_deref() {
                Some("Escape" | "Tab") => return leave(&event, &onleave),
                Some("ArrowDown") => here
                    .and_then(|here| here.next_element_sibling())
                    .or_else(|| menu.first_element_child()),
                Some("ArrowUp") => here
                    .and_then(|here| here.previous_element_sibling())
                    .or_else(|| menu.last_element_child()),
                Some("Home") => menu.first_element_child(),
                Some("End") => menu.last_element_child(),
                Some(letter) if letter.chars().count() == 1 => beginning_with(&menu, letter),
                _ => return,
            };
            event.prevent_default();
            focus(next);
        })
    };
    let onfocusout = {
        let (menu, onleave) = (menu.clone(), props.onleave.clone());
        Callback::from(move |event: FocusEvent| {
            let to = event.related_target().and_then(|to| to.dyn_into::<Node>().ok());
            let stays = menu.get().is_some_and(|menu| menu.contains(to.as_ref()));
            if !stays {
                onleave.emit(Left::Gone);
            }
        })
    };
    html! {
        <div ref={menu} class="menu" role="menu" tabindex="-1" aria-label={props.label.clone()} {onkeydown} {onfocusout}>
            for item in &props.items {
                { line(item, &props.onleave) }
            }
        </div>
    }
}

fn line(item: &Item, onleave: &Callback<Left>) -> Html {
    let (act, onleave) = (item.act.clone(), onleave.clone());
    let onclick = Callback::from(move |_: MouseEvent| {
        onleave.emit(Left::Gone);
        act.emit(());
    });
    html! {
        <button type="button" role="menuitem" tabindex="-1" data-testid={item.testid} {onclick}>
            { icon(item.sign) }{ item.label }
        </button>
    }
}

fn leave(event: &KeyboardEvent, onleave: &Callback<Left>) {
    event.prevent_default();
    event.stop_propagation();
    onleave.emit(Left::Back);
}

fn focus(item: Option<Element>) {
    if let Some(item) = item.and_then(|item| item.dyn_into::<HtmlElement>().ok()) {
        let _ = item.focus();
    }
}

fn beginning_with(menu: &Element, letter: &str) -> Option<Element> {
    let mut item = menu.first_element_child();
    while let Some(here) = item {
        let text = here.text_content().unwrap_or_default();
        let mut begins = folded(&text);
        if folded(letter).all(|c| begins.next() == Some(c)) {
            return Some(here);
        }
        item = here.next_element_sibling();
    }
    None
}

/// At the point, or as near to it as the window lets it be whole. By the style object, which the policy allows.
fn place(menu: &HtmlElement, (x, y): (i32, i32)) {
    let Some(window) = web_sys::window() else { return };
    let length = |length: Result<wasm_bindgen::JsValue, _>| length.ok().and_then(|length| length.as_f64());
    let extent = menu.get_bounding_client_rect();
    let inner = [
        (x, extent.width(), length(window.inner_width()), "--menu-x"),
        (y, extent.height(), length(window.inner_height()), "--menu-y"),
    ];
    for (at, own, window, name) in inner {
        let most = window.unwrap_or_default() - own - EDGE;
        let at = f64::from(at).min(most).max(EDGE);
        let _ = menu.style().set_property(name, &format!("{at}px"));
    }
}
