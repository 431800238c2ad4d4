//! The notifications of macOS and Windows. Each waits for its click in a thread of its own, which ends with it.

use super::{About, Note};
use crate::window::MAIN;
use notify_rust::{Notification, NotificationResponse};
use tauri::{AppHandle, Manager as _, WebviewWindow};
use tokio::sync::mpsc;

#[derive(Debug)]
pub struct System {
    tell: mpsc::UnboundedSender<About>,
    clicks: mpsc::UnboundedReceiver<About>,
}

impl System {
    #[expect(
        clippy::unused_async,
        reason = "as on Linux, where there is something to wait for"
    )]
    pub async fn connect() -> notify_rust::error::Result<Self> {
        let (tell, clicks) = mpsc::unbounded_channel();
        Ok(Self { tell, clicks })
    }

    #[expect(
        clippy::unused_async,
        reason = "as on Linux, where there is something to wait for"
    )]
    pub async fn show(&mut self, note: Note) -> notify_rust::error::Result<()> {
        let mut notification = Notification::new();
        notification
            .appname("CompyMac")
            .summary(&note.title)
            .body(&note.body);
        // As the installer names the app to Windows.
        #[cfg(target_os = "windows")]
        notification.app_id("dev.compymac.desktop");
        let handle = notification.show()?;
        let (tell, about) = (self.tell.clone(), note.about);
        tokio::task::spawn_blocking(move || {
            let heard = handle.wait_for_response(|response: &NotificationResponse| {
                if response.is_default_action() {
                    // The app ends.
                    let _ = tell.send(about);
                }
            });
            if let Err(error) = heard {
                tracing::warn!(%error, "a notification was lost");
            }
        });
        Ok(())
    }

    /// On the app's icon; 0: none.
    #[expect(
        clippy::unused_async,
        clippy::unused_self,
        reason = "as on Linux, where both are of use"
    )]
    pub async fn badge(&self, app: &AppHandle, count: u32) -> tauri::Result<()> {
        app.get_webview_window(MAIN)
            .map_or(Ok(()), |window| mark(&window, count))
    }

    /// What the notification is about that is clicked next; waits for it.
    pub async fn clicked(&mut self) -> About {
        match self.clicks.recv().await {
            Some(about) => about,
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(windows))]
fn mark(window: &WebviewWindow, count: u32) -> tauri::Result<()> {
    window.set_badge_count((count > 0).then_some(i64::from(count)))
}

/// The taskbar has a place for a picture of sixteen points, too small for a number.
#[cfg(windows)]
fn mark(window: &WebviewWindow, count: u32) -> tauri::Result<()> {
    window.set_overlay_icon((count > 0).then(disc))
}

#[cfg(windows)]
fn disc() -> tauri::image::Image<'static> {
    const SIDE: u32 = 16;
    // In half points, from the middle of each to the middle of all.
    let is_inside = |at: u32| {
        let across = (at % SIDE * 2 + 1).abs_diff(SIDE);
        let down = (at / SIDE * 2 + 1).abs_diff(SIDE);
        across * across + down * down <= SIDE * SIDE
    };
    let colour = |at| {
        if is_inside(at) {
            [0xd1, 0x34, 0x38, 0xff]
        } else {
            [0; 4]
        }
    };
    tauri::image::Image::new_owned((0..SIDE * SIDE).flat_map(colour).collect(), SIDE, SIDE)
}
