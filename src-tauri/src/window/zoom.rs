//! How large the page is drawn.

use super::MAIN;
use crate::error::Result;
use crate::preferences::Chosen;
use tauri::{AppHandle, Manager as _, WebviewWindow};

pub fn zoom(app: &AppHandle, chosen: Chosen) -> Result<()> {
    match app.get_webview_window(MAIN) {
        Some(window) => put_on(&window, chosen),
        None => Ok(()),
    }
}

pub fn put_on(window: &WebviewWindow, chosen: Chosen) -> Result<()> {
    Ok(window.set_zoom(f64::from(chosen.zoom) / 100.0)?)
}

/// Calls this with each turn of the wheel while Ctrl is held, which scrolls nothing then.
#[cfg(target_os = "linux")]
pub fn listen_to_the_wheel(
    window: &WebviewWindow,
    turned: impl Fn(protocol::ipc::AppAct) + Send + 'static,
) -> Result<()> {
    use gtk::gdk::{ModifierType, ScrollDirection};
    use gtk::glib::Propagation;
    use gtk::prelude::WidgetExt as _;
    use protocol::ipc::AppAct;
    window.with_webview(move |webview| {
        webview.inner().connect_scroll_event(move |_view, event| {
            if !event.state().contains(ModifierType::CONTROL_MASK) {
                return Propagation::Proceed;
            }
            let (is, down) = (event.direction(), event.delta().1);
            if is == ScrollDirection::Up || down < 0.0 {
                turned(AppAct::ZoomIn);
            } else if is == ScrollDirection::Down || down > 0.0 {
                turned(AppAct::ZoomOut);
            }
            Propagation::Stop
        });
    })?;
    Ok(())
}
