//! Copying, by the system and not by the page, which may copy only in the moment of a click.

use crate::error::Result;
use tauri::AppHandle;

#[cfg(target_os = "linux")]
pub async fn copy(app: &AppHandle, text: String) -> Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    app.run_on_main_thread(move || {
        gtk::Clipboard::get(&gtk::gdk::SELECTION_CLIPBOARD).set_text(&text);
        let _ = tell.send(());
    })?;
    // Not told: the app ends.
    let _ = told.await;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::unused_async,
    reason = "as on Linux, where there is something to wait for"
)]
pub async fn copy(_app: &AppHandle, text: String) -> Result<()> {
    Ok(arboard::Clipboard::new()?.set_text(text)?)
}
