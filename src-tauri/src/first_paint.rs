//! The page's first paint, drawn by the core with what is on this computer, as the server draws it for a browser: the list is
//! there with the document, and the page's program takes it over when it has begun.
//!
//! **Invariant:** nothing here waits for the network, and no window waits long for this.

use crate::commands::{Shell, reading};
use protocol::ipc::GetBoot;
use std::time::Duration;
use tauri::{AppHandle, Manager as _};
use tokio::runtime::Handle;

/// The document comes empty rather than late, as where a keychain asks its owner first; the page then asks by itself.
const PATIENCE: Duration = Duration::from_millis(500);

/// The document with its first paint; `None`: as it was, since there is nothing to show or nobody to show it to.
///
/// Called on a thread of the runtime, which may wait.
pub fn draw(app: &AppHandle, path: &str, document: &[u8]) -> Option<String> {
    let document = std::str::from_utf8(document).ok()?;
    let drawing = drawn(app, path, document);
    tokio::task::block_in_place(|| Handle::current().block_on(drawing))
}

async fn drawn(app: &AppHandle, path: &str, document: &str) -> Option<String> {
    let (archived, open) = ui::page::sessions_at(path)?;
    let shell = app.state::<Shell>();
    let ask = GetBoot { archived, open };
    let kept = tokio::time::timeout(PATIENCE, reading::kept(&ask, shell.sync.now(), &shell)).await;
    let boot = kept.ok()?.ok()?;
    boot.me.as_ref()?;
    // One that is not here may be had: the page asks for it.
    if open.is_some() && boot.open.is_none() {
        return None;
    }
    let title = ui::page::title_of(&boot, path);
    // A task of its own: should it break, the document comes as it was.
    let (seen, place) = (boot.clone(), path.to_owned());
    let inside = tokio::spawn(async move { ui::page::render(seen, &place).await });
    let inside = inside.await.ok()?;
    tracing::debug!(after = ?shell.config.begun.elapsed(), "the first paint is ready");
    ui::page::filled(document, &title, &inside, &boot, path)
}
