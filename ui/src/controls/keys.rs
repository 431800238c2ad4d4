//! Reading the keyboard with care: a browser's autofill sends key events that have no key.

use js_sys::Reflect;
use yew::KeyboardEvent;

/// The key's name, if the event has one.
pub fn key_of(event: &KeyboardEvent) -> Option<String> {
    Reflect::get(event, &"key".into()).ok()?.as_string()
}

/// Whether the key belongs to an input method that is composing a word. WebKit ends the composition before the key arrives
/// and then only its old code, 229, tells.
pub fn is_of_a_word(event: &KeyboardEvent) -> bool {
    event.is_composing() || event.key_code() == 229
}

/// Whether Enter means "done" here.
pub fn is_plain_enter(event: &KeyboardEvent) -> bool {
    key_of(event).as_deref() == Some("Enter") && !event.shift_key() && !is_of_a_word(event)
}
