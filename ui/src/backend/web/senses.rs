//! What the browser notices: that it is online again, that the page is looked at again, that another tab changed who is
//! signed in.

use super::Page;
use super::kept::SIGN_OF_LIFE_MILLIS;
use gloo_timers::callback::Interval;
use protocol::DeviceId;
use std::rc::Rc;
use sync_client::engine::{Event, Phase};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::Closure;
use web_sys::{EventTarget, StorageEvent, VisibilityState};

/// Tells the other tabs whose page this is.
const DEVICE: &str = "compymac.device";
/// The server pings every 25 seconds: a socket heard since is alive.
const QUIET_MILLIS: f64 = 30_000.0;

/// Listens until it is dropped.
pub struct Senses {
    heard: Vec<Listener>,
    _alive: Interval,
}

struct Listener {
    target: EventTarget,
    name: &'static str,
    closure: Closure<dyn FnMut(web_sys::Event)>,
}

impl Listener {
    fn new(target: &EventTarget, name: &'static str, hear: impl FnMut(web_sys::Event) + 'static) -> Self {
        let closure = Closure::<dyn FnMut(web_sys::Event)>::new(hear);
        // An event that cannot be listened for is one that never comes.
        let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        Self {
            target: target.clone(),
            name,
            closure,
        }
    }
}

impl Drop for Senses {
    fn drop(&mut self) {
        for Listener {
            target,
            name,
            closure,
        } in &self.heard
        {
            let _ = target.remove_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        }
    }
}

impl Senses {
    pub fn new(page: &Rc<Page>) -> Option<Self> {
        let window = web_sys::window()?;
        let document = window.document()?;
        let connected = page.clone();
        let on_line = move |_| connected.happened(Event::Wake);
        let cut = page.clone();
        let off_line = move |_| cut.happened(Event::Wake);
        let seen = page.clone();
        let on_show = move |_| {
            if web_sys::window()
                .and_then(|window| window.document())
                .is_some_and(|document| document.visibility_state() == VisibilityState::Visible)
            {
                look(&seen);
            }
        };
        let keeping = page.clone();
        Some(Self {
            heard: vec![
                Listener::new(&window, "online", on_line),
                Listener::new(&window, "offline", off_line),
                Listener::new(&document, "visibilitychange", on_show),
                Listener::new(&window, "storage", another_tab),
            ],
            _alive: Interval::new(SIGN_OF_LIFE_MILLIS, move || keeping.keep()),
        })
    }
}

/// The page is looked at again: a socket that was quiet while it was not may be dead.
fn look(page: &Rc<Page>) {
    let is_well =
        matches!(page.tab.borrow().state().phase(), Phase::Live) && page.socket.silence() < QUIET_MILLIS;
    if !is_well {
        page.happened(Event::Wake);
    }
}

/// Somebody signed in in another tab, perhaps somebody else: this page's rows are not theirs.
fn another_tab(event: web_sys::Event) {
    let event: StorageEvent = event.unchecked_into();
    if event.key().as_deref() == Some(DEVICE)
        && event.new_value().is_some()
        && event.new_value() != event.old_value()
    {
        draw_anew();
    }
}

/// Says to this browser's other tabs who is signed in.
pub fn announce(device: Option<DeviceId>) {
    let storage = web_sys::window().and_then(|window| window.local_storage().ok()?);
    let Some(storage) = storage else { return };
    let text = device.map(|device| device.to_string());
    if storage.get_item(DEVICE).ok().flatten() == text {
        return;
    }
    let _ = match text {
        Some(text) => storage.set_item(DEVICE, &text),
        None => storage.remove_item(DEVICE),
    };
}

/// The server draws the page for whoever is signed in now.
pub fn draw_anew() {
    if let Some(window) = web_sys::window() {
        let _ = window.location().reload();
    }
}
