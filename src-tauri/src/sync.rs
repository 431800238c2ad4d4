//! The device behind the window: opened beside the first paint, and everything it has to say sent to the page.
//!
//! One is open at a time. Where another account comes on the screen, its device takes the place of this one, and a page of its own
//! that of this page.
//! **Invariant:** a page that was drawn for one device is neither told of another nor asks it, however long what it asked was on its way.

mod pages;

use pages::Pages;
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

/// What somebody looks at, told to whoever counts what nobody has seen; far more than come at once.
const LOOKS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The window came to the front.
    Window,
    /// The page shows this session, in a window that may be behind others.
    Session(SessionId),
}

/// An account's time on the screen, by the number of devices that were open before its own. A command has the one that it was let in at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn(u32);

#[derive(Clone, Default)]
struct Opened {
    turn: Turn,
    /// `None`: not yet.
    outcome: Option<Result<Device, Problem>>,
}

impl Opened {
    fn device(self, turn: Turn) -> Result<Device, Problem> {
        if self.turn != turn {
            return Err(elsewhere());
        }
        self.outcome.unwrap_or_else(|| Err(Problem::new(Code::Internal)))
    }
}

#[derive(Clone)]
pub struct Sync {
    opened: Arc<watch::Sender<Opened>>,
    /// Held before whose turn it is is looked at, where that must not change meanwhile.
    screen: Arc<Mutex<Screen>>,
    looks: broadcast::Sender<Look>,
}

#[derive(Default)]
struct Screen {
    pages: Pages,
    /// To the one that watches.
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
    pub fn begin(opening: impl Future<Output = Result<Device, Problem>> + Send + 'static) -> Self {
        let sync = Self::unopened();
        sync.open(opening);
        tauri::async_runtime::spawn(sync.clone().pass_on());
        sync
    }

    fn unopened() -> Self {
        Self {
            opened: Arc::default(),
            screen: Arc::default(),
            looks: broadcast::Sender::new(LOOKS),
        }
    }

    /// Closes the device that is there and opens another in its place: what `begin` gives, at the moment from which on the pages that
    /// asked until then are refused.
    pub async fn turn<F>(&self, begin: impl FnOnce() -> F + Send)
    where
        F: Future<Output = Result<Device, Problem>> + Send + 'static,
    {
        let former = self.device().await;
        let opening = {
            let mut screen = self.screen();
            self.opened.send_modify(|opened| {
                opened.turn.0 += 1;
                opened.outcome = None;
            });
            screen.channel = None;
            // What was passed on until now was the former one's too.
            screen.shown = None;
            screen.held.clear();
            begin()
        };
        if let Ok(device) = former {
            device.close().await;
        }
        self.open(opening);
    }

    fn open(&self, opening: impl Future<Output = Result<Device, Problem>> + Send + 'static) {
        let opened = self.opened.clone();
        tauri::async_runtime::spawn(async move {
            let outcome = opening.await;
            if let Err(problem) = &outcome {
                tracing::error!(%problem, "the device could not be opened");
            }
            opened.send_modify(|opened| opened.outcome = Some(outcome));
        });
    }

    /// Whose turn it is at the moment.
    pub fn now(&self) -> Turn {
        self.opened.borrow().turn
    }

    /// Refused where it is another's turn by now.
    pub fn still(&self, turn: Turn) -> Result<(), Problem> {
        if self.now() == turn {
            Ok(())
        } else {
            Err(elsewhere())
        }
    }

    /// Of whoever's turn it is.
    pub async fn device(&self) -> Result<Device, Problem> {
        self.device_of(self.now()).await
    }

    /// As soon as it is open. Whoever asks for one that is not open any more when it could be had is refused.
    pub async fn device_of(&self, turn: Turn) -> Result<Device, Problem> {
        let mut opened = self.opened.subscribe();
        let now = opened
            .wait_for(|opened| opened.turn != turn || opened.outcome.is_some())
            .await
            .map_err(|_program_ends| Problem::new(Code::Internal))?
            .clone();
        now.device(turn)
    }

    /// Without waiting for it: a page was shown, so it was opened.
    pub fn device_now(&self, turn: Turn) -> Result<Device, Problem> {
        let now = self.opened.borrow().clone();
        now.device(turn)
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

    /// Lets a page ask, by its name and its number for it: whether it is for the first time. One that was drawn for a device that is not
    /// open any more is refused.
    pub fn admit(&self, page: u64, number: u64) -> Result<bool, Problem> {
        let mut screen = self.screen();
        let now = self.now();
        screen.pages.ask(page, number, now).ok_or_else(elsewhere)
    }

    /// Whose a page is that was let in.
    pub fn turn_of(&self, page: u64) -> Option<Turn> {
        self.screen().pages.turn_of(page)
    }

    /// The page that is now there. It asked for what it shows a moment ago: what changed since is told at once.
    pub async fn watch(&self, turn: Turn, channel: Channel<Push>) -> Result<(), Problem> {
        let held = {
            let mut screen = self.screen();
            self.still(turn)?;
            screen.channel = Some(channel);
            std::mem::take(&mut screen.held)
        };
        self.tell_anew(turn, &self.device_of(turn).await?);
        for push in held {
            self.push_of(turn, push);
        }
        Ok(())
    }

    /// Which session the page shows.
    pub fn shows(&self, turn: Turn, session: SessionId) {
        let mut screen = self.screen();
        if self.now() == turn {
            screen.shown = Some(session);
            self.tell_of(Look::Session(session));
        }
    }

    pub fn looks(&self) -> broadcast::Receiver<Look> {
        self.looks.subscribe()
    }

    fn tell_of(&self, look: Look) {
        // Nobody counts where nothing can be shown.
        let _ = self.looks.send(look);
    }

    pub fn push(&self, push: Push) {
        self.screen().push(push);
    }

    /// What a device says while it is its turn.
    fn push_of(&self, turn: Turn, push: Push) {
        let mut screen = self.screen();
        if self.now() == turn {
            screen.push(push);
        }
    }

    fn tell_anew(&self, turn: Turn, device: &Device) {
        let connection = device.connection();
        self.push_of(turn, Push::Connection { connection });
        self.push_of(turn, Push::List);
        let shown = self.screen().shown;
        if let Some(session) = shown {
            self.push_of(turn, Push::Transcript { session });
        }
    }

    /// The window came to the front.
    pub async fn wake(&self) {
        self.tell_of(Look::Window);
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
                    Err(broadcast::error::RecvError::Lagged(_)) => self.tell_anew(turn, &device),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                next = self.next(Some(turn)) => {
                    (turn, device) = next;
                    pushes = device.watch();
                }
            }
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    fn push(&mut self, push: Push) {
        let refused = match &self.channel {
            Some(channel) => channel.send(push.clone()).is_err(),
            None => true,
        };
        let is_lost_for_ever = matches!(
            push,
            Push::Open { .. } | Push::Prompt { .. } | Push::SignInFailed { .. } | Push::Me { .. }
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
fn elsewhere() -> Problem {
    Problem::new(Code::Conflict).detail("Another account is on the screen now.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_refused_from_the_turn_on_and_whoever_still_waits_gets_no_other_device() {
        let refuse = || async { Err(Problem::new(Code::Internal)) };
        let sync = Sync::unopened();
        sync.open(refuse());
        assert!(sync.admit(1, 0).unwrap());
        // Let in, and on its way from here on.
        let first = sync.turn_of(1).unwrap();
        sync.shows(first, SessionId::fresh());
        sync.turn(|| {
            assert!(
                sync.still(first).is_err(),
                "nothing is of the one before any more"
            );
            std::future::pending()
        })
        .await;
        let refused = |answer: Result<Device, Problem>| answer.unwrap_err().code == Code::Conflict;
        assert!(refused(sync.device_of(first).await) && refused(sync.device_now(first)));
        assert_eq!(
            sync.turn_of(1),
            Some(first),
            "it was drawn for the one before, and stays so"
        );
        assert_eq!(sync.admit(1, 1).unwrap_err().code, Code::Conflict);
        sync.shows(first, SessionId::fresh());
        assert_eq!(sync.screen().shown, None);
        let channel = Channel::new(|_| Ok(()));
        assert!(sync.watch(first, channel).await.is_err());
        assert!(sync.screen().channel.is_none(), "it is told nothing any more");
        assert!(sync.admit(2, 0).unwrap());
        let second = sync.turn_of(2).unwrap();
        sync.push_of(first, Push::Me { me: None });
        assert!(sync.screen().held.is_empty(), "said by the one before");
        sync.push_of(second, Push::Me { me: None });
        assert_eq!(sync.screen().held.len(), 1);
        let asking = sync.clone();
        let waiting = tokio::spawn(async move { asking.device_of(second).await });
        // Until it waits.
        tokio::task::yield_now().await;
        sync.opened.send_modify(|opened| opened.turn.0 += 1);
        assert!(refused(waiting.await.unwrap()));
    }
}
