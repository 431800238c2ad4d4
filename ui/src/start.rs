//! The way in, where the page runs: finds the body that it is in, and takes over what is drawn or draws it.

use crate::app::{App, AppProps};
use crate::auth::gate::Gate;
use crate::backend::{Handle, desktop, web};
use crate::state::{Place, keep};
use protocol::Problem;
use protocol::view::Boot;
use std::panic::PanicHookInfo;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasm_bindgen::JsValue;
use web_sys::{Document, Element, Storage, console};
use yew::platform::spawn_local;
use yew::prelude::*;

/// Called by the module's script as soon as it is loaded.
#[cfg_attr(target_arch = "wasm32", wasm_bindgen::prelude::wasm_bindgen(start))]
pub fn start() {
    yew::set_custom_panic_hook(Box::new(break_down));
    keep::wear(keep::theme());
    keep::lay_out(keep::side());
    match desktop::find() {
        // What could not be had in time is asked for.
        Some(core) if !is_drawn() => spawn_local(draw(core)),
        core => take_over(core),
    }
}

/// The server, or the desktop's core, has drawn the page, and left beside it what it was drawn from.
fn take_over(core: Option<Handle>) {
    let (Some(root), Some((boot, path))) = (root(), left_boot()) else {
        return;
    };
    stand_at(&path);
    let handle = core.unwrap_or_else(|| web::open(&boot));
    let stirred = root.clone();
    let props = AppProps {
        boot: Rc::new(boot),
        path: AttrValue::from(path),
        handle: Some(handle),
    };
    if was_other() {
        root.set_inner_html("");
        yew::Renderer::<App>::with_root_and_props(root, props).render();
    } else {
        yew::Renderer::<App>::with_root_and_props(root, props).hydrate();
    }
    // After what was just begun: from now on it answers.
    spawn_local(async move {
        let _ = stirred.remove_attribute("inert");
    });
}

/// Set when the drawn page was not the one that this app would have drawn, as right after an update of the server.
const OTHER: &str = "drawn by another version";

/// This page was drawn from nothing: a failure in it is no reason to do so again.
static WAS_OTHER: AtomicBool = AtomicBool::new(false);

/// Whether the last try to take this page over failed; asked once.
fn was_other() -> bool {
    let Some(storage) = tab_storage() else {
        return false;
    };
    let was = storage.get_item(OTHER).ok().flatten().is_some();
    let _ = storage.remove_item(OTHER);
    WAS_OTHER.store(was, Ordering::Relaxed);
    was
}

fn tab_storage() -> Option<Storage> {
    web_sys::window()?.session_storage().ok()?
}

/// The drawn page stands, and the app is not awake in it yet.
fn is_taking_over(document: &Document) -> bool {
    is_drawn()
        && matches!(document.query_selector(".is-awake"), Ok(None))
        && !WAS_OTHER.load(Ordering::Relaxed)
}

/// In the desktop's window, where nothing is drawn yet: the core knows what is to be shown.
async fn draw(handle: Handle) {
    let Some(root) = root() else { return };
    let path = path();
    let place = Place::parse(&path);
    match handle.boot(place == Place::Archived, place.session()).await {
        Ok(boot) => {
            let props = AppProps {
                boot: Rc::new(boot),
                path: AttrValue::from(path),
                handle: Some(handle),
            };
            yew::Renderer::<App>::with_root_and_props(root, props).render();
        }
        Err(problem) => {
            yew::Renderer::<Broken>::with_root_and_props(root, BrokenProps { problem }).render();
        }
    }
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

fn path() -> String {
    let window = web_sys::window();
    window
        .and_then(|window| window.location().pathname().ok())
        .unwrap_or_default()
}

/// Where the app lives; made if the document came empty.
fn root() -> Option<Element> {
    let document = document()?;
    if let Some(root) = document.get_element_by_id("app") {
        return Some(root);
    }
    let root = document.create_element("div").ok()?;
    root.set_id("app");
    document.body()?.append_child(&root).ok()?;
    Some(root)
}

fn is_drawn() -> bool {
    document().is_some_and(|document| document.get_element_by_id("boot").is_some())
}

/// What the page was drawn from, and for which path.
fn left_boot() -> Option<(Boot, String)> {
    let left = document()?.get_element_by_id("boot")?;
    let boot = serde_json::from_str(&left.text_content()?).ok()?;
    Some((boot, left.get_attribute("data-path").unwrap_or_else(path)))
}

/// The answer to a form comes at the form's address, where loading anew would send the form again.
fn stand_at(drawn: &str) {
    if drawn != path()
        && let Some(history) = web_sys::window().and_then(|window| window.history().ok())
    {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(drawn));
    }
}

#[derive(Clone, Debug, PartialEq, Properties)]
struct BrokenProps {
    problem: Problem,
}

/// The core could not say what to show.
#[component]
fn Broken(props: &BrokenProps) -> Html {
    html! {
        <div class="app" data-place="outside">
            <Gate heading="CompyMac could not start" problem={Some(props.problem.clone())}>
                <a class="button button-wide" href="/">{ "Try again" }</a>
            </Gate>
        </div>
    }
}

/// The app itself failed. The page stands as it was last drawn; the starter sees the trap that follows, and says so above it.
fn break_down(info: &PanicHookInfo<'_>) {
    console::error_1(&info.to_string().into());
    let Some(document) = document() else { return };
    if is_taking_over(&document)
        && let (Some(storage), Some(window)) = (tab_storage(), web_sys::window())
        && storage.set_item(OTHER, "1").is_ok()
    {
        // Once more, and then drawn from nothing.
        let _ = window.location().reload();
    }
}
