//! The device behind the window: opened beside the first paint, and everything it has to say sent to the page.

use crate::error::Result;
use protocol::view::Push;
use protocol::{Code, Problem, SessionId};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use sync_client::Device;
use tauri::ipc::Channel;
use tokio::sync::{broadcast, watch};

/// Pushes that nobody can ask for again, kept for a page that does not watch yet.
const HELD: usize = 8;

type Opened = Option<std::result::Result<Device, Problem>>;

#[derive(Clone)]
pub struct Sync {
    opened: watch::Receiver<Opened>,
    page: Arc<Mutex<Page>>,
}

#[derive(Default)]
struct Page {
    channel: Option<Channel<Push>>,
    shown: Option<SessionId>,
    held: VecDeque<Push>,
}

impl std::fmt::Debug for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sync(…)")
    }
}

impl Sync {
    /// Opens the device in the background; whoever needs it waits for it.
    pub fn begin(
        opening: impl Future<Output = std::result::Result<Device, Problem>> + Send + 'static,
    ) -> Self {
        let (tell, opened) = watch::channel(None);
        let sync = Self {
            opened,
            page: Arc::default(),
        };
        let pushing = sync.clone();
        tauri::async_runtime::spawn(async move {
            let outcome = opening.await;
            match &outcome {
                Ok(device) => {
                    tauri::async_runtime::spawn(pushing.pass_on(device.clone()));
                }
                Err(problem) => tracing::error!(%problem, "the device could not be opened"),
            }
            // Everybody who could wait is gone only when the program ends.
            let _ = tell.send(Some(outcome));
        });
        sync
    }

    pub async fn device(&self) -> std::result::Result<Device, Problem> {
        let mut opened = self.opened.clone();
        let outcome = opened
            .wait_for(Option::is_some)
            .await
            .map_err(|_program_ends| Problem::new(Code::Internal))?;
        outcome
            .clone()
            .unwrap_or_else(|| Err(Problem::new(Code::Internal)))
    }

    /// Without waiting for it: a page was shown, so it was opened.
    pub fn device_now(&self) -> std::result::Result<Device, Problem> {
        let opened = self.opened.borrow().clone();
        opened.unwrap_or_else(|| Err(Problem::new(Code::Internal)))
    }

    /// The page that is now there. It asked for what it shows a moment ago: what changed since is told at once.
    pub async fn watch(&self, channel: Channel<Push>) -> Result<()> {
        let held = {
            let mut page = self.page();
            page.channel = Some(channel);
            std::mem::take(&mut page.held)
        };
        self.tell_anew(&self.device().await?);
        for push in held {
            self.push(push);
        }
        Ok(())
    }

    /// Which session the page shows.
    pub fn shows(&self, session: SessionId) {
        self.page().shown = Some(session);
    }

    pub fn push(&self, push: Push) {
        let mut page = self.page();
        let refused = match &page.channel {
            Some(channel) => channel.send(push.clone()).is_err(),
            None => true,
        };
        let is_lost_for_ever = matches!(
            push,
            Push::Open { .. } | Push::SignInFailed { .. } | Push::Me { .. }
        );
        if refused && is_lost_for_ever {
            page.held.push_back(push);
            if page.held.len() > HELD {
                page.held.pop_front();
            }
        }
    }

    fn tell_anew(&self, device: &Device) {
        let connection = device.connection();
        self.push(Push::Connection { connection });
        self.push(Push::List);
        let shown = self.page().shown;
        if let Some(session) = shown {
            self.push(Push::Transcript { session });
        }
    }

    pub async fn wake(&self) {
        if let Ok(device) = self.device().await {
            device.wake();
        }
    }

    pub async fn close(&self) {
        if let Ok(device) = self.device().await {
            device.close().await;
        }
    }

    async fn pass_on(self, device: Device) {
        let mut pushes = device.watch();
        loop {
            match pushes.recv().await {
                Ok(push) => self.push(push),
                Err(broadcast::error::RecvError::Lagged(_)) => self.tell_anew(&device),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
