//! The notifications of macOS and Windows. Each waits for its click in a thread of its own, which ends with it.

use super::{About, Note};
use notify_rust::{Notification, NotificationResponse};
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

    /// What the notification is about that is clicked next; waits for it.
    pub async fn clicked(&mut self) -> About {
        match self.clicks.recv().await {
            Some(about) => about,
            None => std::future::pending().await,
        }
    }
}
