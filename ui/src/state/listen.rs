//! Hearing what happens to the window as a whole, which no component's own nodes see.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::convert::FromWasmAbi;
use wasm_bindgen::prelude::Closure;

/// Calls `heard` with every event of this name, until what it gives back is called.
pub fn on_window<E: FromWasmAbi + 'static>(name: &'static str, heard: impl Fn(E) + 'static) -> impl FnOnce() {
    let closure = Closure::<dyn Fn(E)>::new(heard);
    if let Some(window) = web_sys::window() {
        let _ = window.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    }
    move || {
        if let Some(window) = web_sys::window() {
            let _ = window.remove_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        }
    }
}
