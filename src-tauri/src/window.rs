//! The one window: where it may go, where it comes back, and how it comes to the front.

mod choose;
mod clearing;
mod locked;
#[cfg(target_os = "linux")]
mod page_process;
mod place;
mod print;
mod save;
#[cfg(target_os = "linux")]
mod spelling;
mod stuck;
mod zoom;

use crate::error::Result;
use crate::preferences::Chosen;
pub use choose::choose;
pub use clearing::may_cache_go;
pub use locked::{Way, ask_for_the_key, may_aside_go, tell_of_what_is_aside};
use place::Keeper;
pub use print::{PRINT_SCHEME, Printing, hand_out, print};
use protocol::SessionId;
use protocol::ipc::AppAct;
pub use save::ask_where;
use std::borrow::Cow;
use std::path::Path;
pub use stuck::{Choice, ask};
#[cfg(target_os = "macos")]
use tauri::Emitter as _;
use tauri::http::HeaderMap;
use tauri::http::header::CONTENT_TYPE;
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent};
use url::Url;
pub use zoom::zoom;

/// The label that the capability file grants its commands to.
pub const MAIN: &str = "main";

/// Told inside the app when the page goes elsewhere: whether it shows a session now.
#[cfg(target_os = "macos")]
pub const SHOWS_SESSION: &str = "shows-session";

/// For WebView2; the others pass it over, and on Linux the environment says it. The first of the two repeats what it gets
/// without any arguments.
const WITHOUT_GRAPHICS_CARD: &str =
    "--disable-features=msWebOOUI,msPdfOOUI,msSmartScreenProtection --disable-gpu";

/// What the page's program does too once it has begun (`ui/src/state/keep.rs`), ahead of the first paint: the look and the list's
/// width as they were chosen. An empty page has no storage.
const LOOKS: &str = r#"try {
  const root = document.documentElement;
  const theme = localStorage.getItem("theme");
  if (theme && theme !== "system") root.setAttribute("data-theme", theme);
  const [width, shut] = (localStorage.getItem("side") ?? "").split(" ");
  if (width) root.style.setProperty("--side", `${width}px`);
  if (shut) root.setAttribute("data-side", "shut");
} catch {}"#;

/// A page that the web view kept alive behind another, and brings back, may be of an account that is not on the screen any more: it
/// is loaded anew, with what is.
const ANEW: &str = r#"addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});"#;

/// What the window is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub is_safe: bool,
    pub chosen: Chosen,
}

/// Who is told and asked by the window.
pub struct Told<Anew, Turned, Draw> {
    /// Called each time before the page is loaded again because the process that drew it was lost.
    pub before_anew: Anew,
    /// Called with each turn of the wheel that is to change the page's size.
    pub turned: Turned,
    /// Asked for the first paint of the page at a path, given the document as it is built in.
    pub draw: Draw,
}

/// Opens the window where it was last, or in the middle where that place is no more.
pub fn open<Anew, Turned, Draw>(
    app: &AppHandle,
    folder: &Path,
    manner: Manner,
    told: Told<Anew, Turned, Draw>,
) -> Result<()>
where
    Anew: Fn() + Clone + Send + 'static,
    Turned: Fn(AppAct) + Send + 'static,
    Draw: Fn(&str, &[u8]) -> Option<String> + Send + Sync + 'static,
{
    let draw = told.draw;
    rest_the_caret();
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title("CompyMac")
        .inner_size(1280.0, 800.0)
        .min_inner_size(480.0, 400.0)
        // The page hears the keys and asks for a size that is kept. WebView2 has the wheel for itself.
        .zoom_hotkeys_enabled(cfg!(windows))
        // Links out go through the `open_link` command, which looks at them first.
        .on_navigation(is_own)
        .on_new_window(|_url, _features| NewWindowResponse::Deny)
        .disable_drag_drop_handler()
        .initialization_script(ANEW)
        .initialization_script(LOOKS)
        .on_web_resource_request(move |request, response| {
            if is_document(response.headers())
                && let Some(drawn) = draw(request.uri().path(), response.body())
            {
                *response.body_mut() = Cow::Owned(drawn.into_bytes());
            }
        });
    // Each place of the page has a title.
    #[cfg(target_os = "macos")]
    let window = window.on_document_title_changed(|window, _title| {
        let is_session = window.url().is_ok_and(|url| session_at(&url).is_some());
        if let Err(error) = window.emit_to(tauri::EventTarget::App, SHOWS_SESSION, is_session) {
            tracing::warn!(%error, "the menu could not be told where the page is");
        }
    });
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
    watch_the_page_process(&window, told.before_anew)?;
    zoom::put_on(&window, manner.chosen)?;
    listen_to_the_wheel(&window, told.turned)?;
    #[cfg(target_os = "linux")]
    spelling::check(&window)?;
    window.show()?;
    let moved = window.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::Moved(_) | WindowEvent::Resized(_) = event {
            keeper.look(&moved);
        }
    });
    Ok(())
}

fn is_document(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
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

/// Loads the page anew, at its first place: nothing of what it showed is in it any more.
pub fn go_home(app: &AppHandle) -> Result<()> {
    let Some(window) = app.get_webview_window(MAIN) else {
        return Ok(());
    };
    let mut home = window.url()?;
    home.set_path("/");
    home.set_query(None);
    home.set_fragment(None);
    Ok(window.navigate(home)?)
}

/// As its own button does.
pub fn close(app: &AppHandle) -> Result<()> {
    match app.get_webview_window(MAIN) {
        Some(window) => Ok(window.close()?),
        None => Ok(()),
    }
}

/// Out of sight, and the page goes on.
pub fn hide(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(MAIN)
        && let Err(error) = window.hide()
    {
        tracing::warn!(%error, "the window could not be hidden");
    }
}

/// The session that the page shows.
pub fn open_session(app: &AppHandle) -> Option<SessionId> {
    session_at(&app.get_webview_window(MAIN)?.url().ok()?)
}

fn session_at(url: &Url) -> Option<SessionId> {
    let id = url.path().rsplit('/').next()?.parse().ok()?;
    (protocol::routes::page::session(id) == url.path()).then_some(id)
}

/// Whether this session is before somebody's eyes: its page is shown in a window that is being used.
pub fn shows(app: &AppHandle, session: SessionId) -> bool {
    is_used(app) && open_session(app) == Some(session)
}

/// It is seen, and has the keyboard.
pub fn is_used(app: &AppHandle) -> bool {
    let window = app.get_webview_window(MAIN);
    window.is_some_and(|window| window.is_focused().unwrap_or(false) && window.is_visible().unwrap_or(true))
}

/// WebKitGTK's caret would blink for ever, and each time is a repaint by the processor: it knows no time after which it rests, as GTK's
/// own does. Switched off it asks for frame after frame instead, so it is given the longest time there is.
#[cfg(target_os = "linux")]
fn rest_the_caret() {
    use gtk::traits::GtkSettingsExt as _;
    if let Some(settings) = gtk::Settings::default() {
        settings.set_gtk_cursor_blink_time(i32::MAX);
    }
}

#[cfg(not(target_os = "linux"))]
const fn rest_the_caret() {}

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
    fn the_open_session_is_read_from_where_the_page_is() {
        let id = SessionId::fresh();
        let at = |url: &str| session_at(&Url::parse(url).unwrap());
        assert_eq!(at(&format!("tauri://localhost/s/{id}")), Some(id));
        assert_eq!(at(&format!("http://tauri.localhost/s/{id}?x#y")), Some(id));
        for other in ["/", "/settings", "/s/1", "/archived"] {
            assert_eq!(at(&format!("tauri://localhost{other}")), None, "{other}");
        }
        assert_eq!(at(&format!("tauri://localhost/x/{id}")), None);
    }

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
