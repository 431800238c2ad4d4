//! The tray of macOS and Windows, which is always there.

use super::Line;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use tauri::AppHandle;
use tauri::menu::MenuBuilder;
use tauri::tray::TrayIconBuilder;

const ID: &str = "compymac";

#[derive(Debug, Default)]
pub struct Tray {
    is_up: AtomicBool,
}

impl Tray {
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    pub async fn choose(&self, app: &AppHandle, is_wanted: bool) -> Result<()> {
        if is_wanted {
            return self.put_up(app).await;
        }
        if self.is_up.swap(false, Ordering::AcqRel) {
            drop(app.remove_tray_by_id(ID));
        }
        Ok(())
    }

    #[expect(clippy::unused_async, reason = "on Linux it waits for the desktop")]
    pub async fn put_up(&self, app: &AppHandle) -> Result<()> {
        if self.is_up() {
            return Ok(());
        }
        let mut menu = MenuBuilder::new(app);
        for line in Line::ALL {
            menu = menu.text(line.words(), line.words());
        }
        let icon = TrayIconBuilder::with_id(ID)
            .tooltip("CompyMac")
            .menu(&menu.build()?)
            .on_menu_event(|app, event| {
                if let Some(line) = Line::ALL.into_iter().find(|line| event.id() == line.words()) {
                    line.act(app);
                }
            });
        let icon = match app.default_window_icon() {
            Some(picture) => icon.icon(picture.clone()),
            None => icon,
        };
        icon.build(app)?;
        self.is_up.store(true, Ordering::Release);
        Ok(())
    }
}
