//! The process that draws the page. It is the system's, and it can be lost: by a fault of its own, or for want of memory.
//! The page is then loaded again. It had nothing that is not on the disk, but for the last moment of what was being typed.

use crate::error::Result;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use tauri::WebviewWindow;
use webkit2gtk::WebViewExt as _;

/// After so long without a loss, the next one is the first again.
const CALM: Duration = Duration::from_mins(5);

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_mins(1);

/// How often the process was lost of late.
#[derive(Debug, Default)]
struct Losses {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Losses {
    /// Counts one, and tells how long to wait with the next attempt: not at all the first time, and then ever longer, so that
    /// a page which can never be drawn does not keep the computer busy.
    fn count(&mut self, now: Instant) -> Duration {
        if self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) > CALM)
        {
            self.in_a_row = 0;
        }
        self.last = Some(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.in_a_row {
            1 => Duration::ZERO,
            more => Duration::from_secs(1 << (more - 2).min(6)).min(LONGEST),
        }
    }
}

/// Loads the page again each time that its process was lost; `before` is called just ahead of it.
pub fn watch(window: &WebviewWindow, before: impl Fn() + Clone + Send + 'static) -> Result<()> {
    let page = window.clone();
    window.with_webview(move |webview| {
        let losses = RefCell::new(Losses::default());
        webview
            .inner()
            .connect_web_process_terminated(move |_view, reason| {
                let wait = losses.borrow_mut().count(Instant::now());
                tracing::error!(
                    ?reason,
                    ?wait,
                    "the page's process was lost; the page is loaded again"
                );
                let (page, before) = (page.clone(), before.clone());
                tauri::async_runtime::spawn(async move {
                    tokio::time::sleep(wait).await;
                    before();
                    if let Err(error) = page.reload() {
                        tracing::error!(%error, "the page could not be loaded again");
                    }
                });
            });
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_lost_again_and_again_is_loaded_ever_more_rarely() {
        let mut losses = Losses::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = losses.count(now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn after_a_calm_while_a_loss_is_the_first_again() {
        let mut losses = Losses::default();
        let start = Instant::now();
        assert_eq!(losses.count(start), Duration::ZERO);
        assert_eq!(losses.count(start), Duration::from_secs(1));
        let later = start + CALM + Duration::from_secs(1);
        assert_eq!(losses.count(later), Duration::ZERO);
    }
}
