//! The body in a browser: a whole device in memory, fed by fetch and one WebSocket; what is not yet sent is kept in the
//! browser's storage.
//!
//! **Invariant:** what a person wrote is in the storage before a byte of it is sent, and nothing outlives signing out.

mod answers;
mod drafts;
mod errands;
mod fetch;
mod kept;
mod senses;
mod socket;
mod streams;

use super::{Handle, Watcher};
use gloo_timers::callback::Timeout;
use kept::Keeper;
use protocol::auth::Me;
use protocol::view::{Boot, Connection, Push};
use protocol::{Code, Problem, SessionId, UnixMillis, UserId};
use socket::Socket;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use streams::Streams;
use sync_client::engine::{Event, Moment};
use sync_client::outbox::{Outbox, Standing};
use sync_client::tab::{Input, Tab, Want};

/// Where the browser's storage is full or forbidden.
const UNKEPT: &str =
    "This browser does not keep what you write: what is not sent yet is lost when you close this tab.";

/// The device of this page. Goes to work when the page watches.
pub fn open(boot: &Boot) -> Handle {
    let page = Rc::new(Page::new(boot));
    if let Some(me) = &boot.me {
        page.become_device(me.clone());
    }
    Handle(Rc::new(answers::Web(page)))
}

/// Everything that the page's device is made of. No borrow of it lives across a call out.
struct Page {
    /// As the server drew it: its address, version, and the ways to sign in.
    boot: Boot,
    me: RefCell<Option<Me>>,
    tab: RefCell<Tab>,
    keeper: RefCell<Option<Keeper>>,
    socket: Socket,
    streams: Streams,
    watcher: RefCell<Option<Watcher>>,
    timer: RefCell<Option<Timeout>>,
    /// Sessions of which messages are on their way.
    loads: RefCell<BTreeSet<SessionId>>,
    /// Answers that wait for something to change.
    waiting: RefCell<Vec<Waker>>,
    senses: RefCell<Option<senses::Senses>>,
    began: Clock,
    /// What the storage holds.
    kept: RefCell<Outbox>,
    is_loss_told: Cell<bool>,
}

impl Page {
    fn new(boot: &Boot) -> Self {
        Self {
            boot: boot.clone(),
            me: RefCell::default(),
            tab: RefCell::default(),
            keeper: RefCell::default(),
            socket: Socket::default(),
            streams: Streams::default(),
            watcher: RefCell::default(),
            timer: RefCell::default(),
            loads: RefCell::default(),
            waiting: RefCell::default(),
            senses: RefCell::default(),
            began: Clock::start(),
            kept: RefCell::default(),
            is_loss_told: Cell::new(false),
        }
    }

    fn moment(&self) -> Moment {
        #[expect(clippy::cast_possible_truncation, reason = "a number in 0 to 1")]
        let chance = js_sys::Math::random() as f32;
        Moment {
            at: self.began.now(),
            chance,
        }
    }

    /// Somebody is signed in: the same person goes on where they were, another finds nothing of it.
    fn become_device(&self, me: Me) {
        if self.user() != Some(me.user) {
            let keeper = Keeper::new(me.user);
            *self.tab.borrow_mut() = Tab::with_outbox(keeper.take_over(self.began.now()));
            self.keeper.replace(Some(keeper));
        }
        senses::announce(Some(me.device));
        self.me.replace(Some(me));
    }

    fn go_to_work(self: &Rc<Self>) {
        let cursor = self.tab.borrow().replica().cursor();
        if self.me.borrow().is_some() {
            self.turn(Input::Engine(Event::SignedIn { cursor }));
        }
    }

    fn happened(self: &Rc<Self>, event: Event) {
        self.turn(Input::Engine(event));
    }

    fn turn(self: &Rc<Self>, input: Input) {
        let wants = self.tab.borrow_mut().turn(input, self.moment());
        self.carry_out(wants);
    }

    /// Something the person does: a change of the tab, and what follows from it.
    fn act<T>(
        self: &Rc<Self>,
        change: impl FnOnce(&mut Tab, Moment) -> Result<(T, Vec<Want>), Problem>,
    ) -> Result<T, Problem> {
        if self.me.borrow().is_none() {
            return Err(Problem::new(Code::SignInRequired));
        }
        let (value, wants) = change(&mut self.tab.borrow_mut(), self.moment())?;
        self.carry_out(wants);
        Ok(value)
    }

    fn carry_out(self: &Rc<Self>, wants: Vec<Want>) {
        self.keep_what_changed();
        for want in wants {
            errands::run(self, want);
        }
        let streamed = self.tab.borrow().streamed();
        self.streams.tend(streamed, || {
            let page = self.clone();
            Rc::new(move |frame| page.turn(Input::Streamed(frame)))
        });
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Before anything of it is sent. Streams of text change nothing here, and cost nothing.
    fn keep_what_changed(&self) {
        if *self.kept.borrow() != *self.tab.borrow().outbox() {
            self.kept.replace(self.tab.borrow().outbox().clone());
            self.keep();
        }
    }

    /// Without storage the words live as long as the page. It says so once in each absence; otherwise they are sent at once.
    fn keep(&self) {
        let is_kept = match &*self.keeper.borrow() {
            Some(keeper) => keeper.keep(self.tab.borrow().outbox(), self.began.now()),
            None => return,
        };
        let may_be_lost = !is_kept && self.is_away() && self.waits_to_be_sent();
        if may_be_lost && !self.is_loss_told.get() {
            let problem = Problem::new(Code::DiskFull).detail(UNKEPT);
            self.push(Push::Refused { problem });
        }
        self.is_loss_told.set(may_be_lost);
    }

    fn push(&self, push: Push) {
        let watcher = self.watcher.borrow().clone();
        if let Some(watcher) = watcher {
            watcher(push);
        }
    }

    fn user(&self) -> Option<UserId> {
        self.me.borrow().as_ref().map(|me| me.user)
    }

    fn is_away(&self) -> bool {
        match self.tab.borrow().connection() {
            Connection::Offline { .. } | Connection::SignedOut | Connection::Stopped { .. } => true,
            Connection::Connecting | Connection::Online => false,
        }
    }

    fn waits_to_be_sent(&self) -> bool {
        let tab = self.tab.borrow();
        tab.outbox()
            .entries()
            .any(|entry| !matches!(entry.standing, Standing::Acked { .. }))
    }

    /// Looks again after every change until there is something to be seen.
    async fn until<T>(self: Rc<Self>, look: impl Fn(&Self) -> Option<T>) -> T {
        poll_fn(move |context| {
            if let Some(seen) = look(&self) {
                return Poll::Ready(seen);
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Nothing of the person stays in this browser.
    fn forget(self: &Rc<Self>) {
        if let Some(keeper) = self.keeper.take() {
            keeper.forget();
        }
        drafts::forget();
        self.me.replace(None);
        senses::announce(None);
        self.happened(Event::SignedOut);
        self.push(Push::Me { me: None });
    }
}

/// A wall clock read once and a monotonic one since, so that time never runs backwards.
struct Clock {
    wall: f64,
    since: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: js_sys::Date::now(),
            since: monotonic(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole milliseconds, far below 2^53"
    )]
    fn now(&self) -> UnixMillis {
        (self.wall + (monotonic() - self.since)) as UnixMillis
    }
}

fn monotonic() -> f64 {
    let performance = web_sys::window().and_then(|window| window.performance());
    performance.map_or(0.0, |performance| performance.now())
}
