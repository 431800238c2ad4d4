//! The one window: where it may go, where it comes back, and how it comes to the front.

#[cfg(target_os = "linux")]
mod page_process;
mod place;
mod save;
mod stuck;
mod zoom;

use crate::error::Result;
use crate::preferences::Chosen;
use place::Keeper;
use protocol::SessionId;
use protocol::ipc::AppAct;
pub use save::ask_where;
use std::path::Path;
pub use stuck::{Choice, ask};
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent};
use url::Url;
pub use zoom::zoom;

/// The label that the capability file grants its commands to.
pub const MAIN: &str = "main";

/// For WebView2; the others pass it over, and on Linux the environment says it. The first of the two repeats what it gets
/// without any arguments.
const WITHOUT_GRAPHICS_CARD: &str =
    "--disable-features=msWebOOUI,msPdfOOUI,msSmartScreenProtection --disable-gpu";

/// What the window is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub is_safe: bool,
    pub chosen: Chosen,
}

/// Opens the window where it was last, or in the middle where that place is no more.
///
/// `before_anew` is called each time before the page is loaded again because the process that drew it was lost; `turned` with
/// each turn of the wheel that is to change the page's size.
pub fn open(
    app: &AppHandle,
    folder: &Path,
    manner: Manner,
    before_anew: impl Fn() + Clone + Send + 'static,
    turned: impl Fn(AppAct) + Send + 'static,
) -> Result<()> {
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("CompyMac")
        .inner_size(1280.0, 800.0)
        .min_inner_size(480.0, 400.0)
        // The page hears the keys and asks for a size that is kept. WebView2 has the wheel for itself.
        .zoom_hotkeys_enabled(cfg!(windows))
        // Links out go through the `open_link` command, which looks at them first.
        .on_navigation(is_own)
        .on_new_window(|_url, _features| NewWindowResponse::Deny)
        .disable_drag_drop_handler();
    #[cfg(debug_assertions)]
    let window = window.devtools(true);
    let window = if manner.is_safe {
        window.additional_browser_args(WITHOUT_GRAPHICS_CARD)
    } else {
        window
    };
    // Shown once it stands where it belongs.
    let window = window.visible(false).build()?;
    let keeper = Keeper::new(folder);
    keeper.put_back(&window)?;
    watch_the_page_process(&window, before_anew)?;
    zoom::put_on(&window, manner.chosen)?;
    listen_to_the_wheel(&window, turned)?;
    window.show()?;
    let moved = window.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::Moved(_) | WindowEvent::Resized(_) = event {
            keeper.look(&moved);
        }
    });
    Ok(())
}

/// Brings the window to the person, as after signing in elsewhere.
pub fn focus(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(MAIN) {
        let shown = window
            .unminimize()
            .and_then(|()| window.show())
            .and_then(|()| window.set_focus());
        if let Err(error) = shown {
            tracing::warn!(%error, "the window could not be brought to the front");
        }
    }
}

/// Strikes a key in the page, with ⌘ or by itself.
pub fn strike(app: &AppHandle, key: &'static str, with_command: bool) {
    let Some(window) = app.get_webview_window(MAIN) else {
        return;
    };
    let event = format!("{{key: {key:?}, metaKey: {with_command}, bubbles: true, cancelable: true}}");
    if let Err(error) = window.eval(format!(
        "window.dispatchEvent(new KeyboardEvent(\"keydown\", {event}))"
    )) {
        tracing::warn!(%error, key, "a key could not be struck in the page");
    }
}

/// Whether this session is before somebody's eyes: its page is shown in a window that is being used.
pub fn shows(app: &AppHandle, session: SessionId) -> bool {
    let Some(window) = app.get_webview_window(MAIN) else {
        return false;
    };
    let is_used = window.is_focused().unwrap_or(false) && window.is_visible().unwrap_or(true);
    let page = protocol::routes::page::session(session);
    is_used && window.url().is_ok_and(|url| url.path() == page)
}

#[cfg(target_os = "linux")]
use zoom::listen_to_the_wheel;

/// Elsewhere the web view is left to itself.
#[cfg(not(target_os = "linux"))]
fn listen_to_the_wheel(_window: &WebviewWindow, _turned: impl Fn(AppAct) + Send + 'static) -> Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn watch_the_page_process(
    window: &WebviewWindow,
    before_anew: impl Fn() + Clone + Send + 'static,
) -> Result<()> {
    page_process::watch(window, before_anew)
}

/// Elsewhere the web view is left to itself.
#[cfg(not(target_os = "linux"))]
fn watch_the_page_process(
    _window: &WebviewWindow,
    _before_anew: impl Fn() + Clone + Send + 'static,
) -> Result<()> {
    Ok(())
}

/// The page that this program carries, as each system addresses it.
fn is_own(url: &Url) -> bool {
    let is_own = matches!(
        (url.scheme(), url.host_str()),
        ("tauri", Some("localhost")) | ("http" | "https", Some("tauri.localhost"))
    ) || url.as_str() == "about:blank";
    if !is_own {
        tracing::warn!(scheme = url.scheme(), "the page was kept from leaving the app");
    }
    is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_never_leaves_the_app() {
        for own in [
            "tauri://localhost/",
            "tauri://localhost/s/1",
            "http://tauri.localhost/x",
        ] {
            assert!(is_own(&Url::parse(own).unwrap()), "{own}");
        }
        for other in [
            "https://example.org",
            "http://tauri.localhost.evil.org",
            "file:///etc/passwd",
            "javascript:1",
        ] {
            assert!(!is_own(&Url::parse(other).unwrap()), "{other}");
        }
    }
}
