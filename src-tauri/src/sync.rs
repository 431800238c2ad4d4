//! The device behind the window: opened beside the first paint, and everything it has to say sent to the page.
//!
//! One is open at a time. Where another account comes on the screen, its device takes the place of this one, and a page of its own
//! that of this page.
//! **Invariant:** a page that was drawn for one device is neither told of another nor asks it.

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

/// Pages of devices that are not open any more, whose names are remembered: the web view keeps fewer alive behind the one it shows.
const FORMER: usize = 64;

/// Counts the devices that were open since the start.
pub type Turn = u32;

#[derive(Clone, Default)]
struct Opened {
    turn: Turn,
    /// `None`: not yet.
    outcome: Option<std::result::Result<Device, Problem>>,
}

#[derive(Clone)]
pub struct Sync {
    opened: Arc<watch::Sender<Opened>>,
    page: Arc<Mutex<Page>>,
}

#[derive(Default)]
struct Page {
    /// What it calls itself, a number by chance.
    name: Option<u64>,
    /// The ones before, which were other devices'.
    former: VecDeque<u64>,
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
        let sync = Self {
            opened: Arc::default(),
            page: Arc::default(),
        };
        sync.open(opening);
        tauri::async_runtime::spawn(sync.clone().pass_on());
        sync
    }

    /// Closes the device that is there and opens another in its place. The page is refused from here on: it is the former one's.
    pub async fn turn(
        &self,
        opening: impl Future<Output = std::result::Result<Device, Problem>> + Send + 'static,
    ) {
        let former = self.device().await;
        {
            let mut page = self.page();
            page.channel = None;
            page.leave();
        }
        self.opened.send_modify(|opened| {
            opened.turn += 1;
            opened.outcome = None;
        });
        {
            // What was passed on until now was the former one's too.
            let mut page = self.page();
            page.shown = None;
            page.held.clear();
        }
        if let Ok(device) = former {
            device.close().await;
        }
        self.open(opening);
    }

    fn open(&self, opening: impl Future<Output = std::result::Result<Device, Problem>> + Send + 'static) {
        let opened = self.opened.clone();
        tauri::async_runtime::spawn(async move {
            let outcome = opening.await;
            if let Err(problem) = &outcome {
                tracing::error!(%problem, "the device could not be opened");
            }
            opened.send_modify(|opened| opened.outcome = Some(outcome));
        });
    }

    /// Whoever asks for one that is not open any more when it could be had is refused.
    pub async fn device(&self) -> std::result::Result<Device, Problem> {
        let mut opened = self.opened.subscribe();
        let turn = opened.borrow().turn;
        let now = opened
            .wait_for(|opened| opened.turn != turn || opened.outcome.is_some())
            .await
            .map_err(|_program_ends| Problem::new(Code::Internal))?
            .clone();
        match now.outcome {
            Some(outcome) if now.turn == turn => outcome,
            Some(_) | None => Err(elsewhere()),
        }
    }

    /// Without waiting for it: a page was shown, so it was opened.
    pub fn device_now(&self) -> std::result::Result<Device, Problem> {
        let outcome = self.opened.borrow().outcome.clone();
        outcome.unwrap_or_else(|| Err(Problem::new(Code::Internal)))
    }

    /// The device that is open, as soon as it is another than this turn's.
    pub async fn next(&self, after: Option<Turn>) -> (Turn, Device) {
        let mut opened = self.opened.subscribe();
        loop {
            let is_next =
                |opened: &Opened| Some(opened.turn) != after && matches!(opened.outcome, Some(Ok(_)));
            // This end of it is held here.
            let Ok(now) = opened.wait_for(is_next).await.map(|now| now.clone()) else {
                return std::future::pending().await;
            };
            if let Some(Ok(device)) = now.outcome {
                return (now.turn, device);
            }
        }
    }

    /// Whether a page of this name, which asks for something, was drawn for a device that is not open any more.
    pub fn refuses(&self, name: u64) -> bool {
        let mut page = self.page();
        let is_former = page.former.contains(&name);
        if !is_former {
            page.name = Some(name);
        }
        is_former
    }

    /// The page that is now there, by its name. It asked for what it shows a moment ago: what changed since is told at once.
    pub async fn watch(&self, name: u64, channel: Channel<Push>) -> Result<()> {
        let held = {
            let mut page = self.page();
            // It may have become another's since it called.
            if page.former.contains(&name) {
                return Err(elsewhere().into());
            }
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
        self.page().push(push);
    }

    /// What a device says while it is its turn.
    fn push_of(&self, turn: Turn, push: Push) {
        let mut page = self.page();
        if self.opened.borrow().turn == turn {
            page.push(push);
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

    async fn pass_on(self) {
        let (mut turn, mut device) = self.next(None).await;
        let mut pushes = device.watch();
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    Ok(push) => self.push_of(turn, push),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.tell_anew(&device),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                next = self.next(Some(turn)) => {
                    (turn, device) = next;
                    pushes = device.watch();
                }
            }
        }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// It was drawn for a device that is not open any more.
    fn leave(&mut self) {
        self.former.extend(self.name.take());
        if self.former.len() > FORMER {
            self.former.pop_front();
        }
    }

    fn push(&mut self, push: Push) {
        let refused = match &self.channel {
            Some(channel) => channel.send(push.clone()).is_err(),
            None => true,
        };
        let is_lost_for_ever = matches!(
            push,
            Push::Open { .. } | Push::SignInFailed { .. } | Push::Me { .. }
        );
        if refused && is_lost_for_ever {
            self.held.push_back(push);
            if self.held.len() > HELD {
                self.held.pop_front();
            }
        }
    }
}

/// What a page is told that was drawn for another account than the one on the screen.
pub fn elsewhere() -> Problem {
    Problem::new(Code::Conflict).detail("Another account is on the screen now.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_refused_from_the_turn_on_and_whoever_still_waits_gets_no_other_device() {
        let refuse = || async { Err(Problem::new(Code::Internal)) };
        let sync = Sync {
            opened: Arc::default(),
            page: Arc::default(),
        };
        sync.open(refuse());
        assert!(!sync.refuses(1));
        sync.page().shown = Some(SessionId::fresh());
        sync.turn(std::future::pending()).await;
        assert!(sync.refuses(1), "it was drawn for the one before");
        assert_eq!(sync.page().shown, None);
        assert!(!sync.refuses(2));
        let channel = Channel::new(|_| Ok(()));
        assert!(sync.watch(1, channel).await.is_err());
        assert!(sync.page().channel.is_none(), "it is told nothing any more");
        let turn = sync.opened.borrow().turn;
        sync.push_of(turn - 1, Push::Me { me: None });
        assert!(sync.page().held.is_empty(), "said by the one before");
        sync.push_of(turn, Push::Me { me: None });
        assert_eq!(sync.page().held.len(), 1);
        let asking = sync.clone();
        let waiting = tokio::spawn(async move { asking.device().await });
        // Until it waits.
        tokio::task::yield_now().await;
        sync.opened.send_modify(|opened| opened.turn += 1);
        assert_eq!(waiting.await.unwrap().unwrap_err().code, Code::Conflict);
    }

    #[test]
    fn every_page_that_may_come_back_is_remembered_and_no_more() {
        let mut page = Page::default();
        for name in 0..=64 {
            page.name = Some(name);
            page.leave();
        }
        assert_eq!(page.former.len(), FORMER);
        assert_eq!((page.name, page.former.back()), (None, Some(&64)));
        assert_eq!(page.former.front(), Some(&1));
    }
}
