//! The loop: events in, one turn of the engine each, effects carried out in order.

use super::core::{Core, Told};
use super::streams::Streams;
use crate::engine::{self, Effect, Event, Fault, Phase, State, Ticket};
use crate::http::{Call, Trouble};
use crate::replica::{Applied, Verdict};
use crate::socket::{Outgoing, Socket};
use crate::store::StoreFault;
use crate::tails::{Step, Tail};
use protocol::frame::{ClientFrame, LiveRun, ServerFrame};
use protocol::sync::{Bootstrap, Change, Cursor, Epoch, ResetReason, SyncPage};
use protocol::view::{Connection, Push};
use protocol::{Problem, UnixMillis, UserId, limits, routes};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How often the text of replies being made is written down.
const KEEP_TAILS: Duration = Duration::from_secs(1);
/// After a disk that could not be written, when it is tried again by itself.
const DISK_AGAIN: Duration = Duration::from_secs(30);
/// After the server sent the device back to the beginning too often: what it was sent back for within this is forgotten.
const RESETS_AGAIN: Duration = Duration::from_mins(10);
/// After a renewal that could not be answered.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

struct Work {
    core: Arc<Core>,
    state: State,
    /// The pull or bootstrap in flight; replaced, it ends.
    request: Option<AbortOnDropHandle<()>>,
    timer: Option<UnixMillis>,
    /// What the effects themselves brought about, dealt with first.
    next: VecDeque<Event>,
    /// When the tails are written down; `None`: nothing new in them.
    tails_due: Option<Instant>,
    /// What is shown once the turn is over.
    to_show: Option<Connection>,
    /// When it is tried again by itself what stopped the loop.
    again_due: Option<Instant>,
    streams: Streams,
}

/// Works until the device is closed.
pub async fn run(core: Arc<Core>, mut events: mpsc::Receiver<Event>, mut told: mpsc::Receiver<Told>) {
    let (streams, mut streamed) = Streams::new();
    let mut work = Work {
        streams,
        core,
        state: State::new(),
        request: None,
        timer: None,
        next: VecDeque::new(),
        tails_due: None,
        to_show: None,
        again_due: None,
    };
    let stop = work.core.stop.clone();
    loop {
        let tick = work.tick_in();
        let (tails, again) = (work.tails_due, work.again_due);
        tokio::select! {
            () = stop.cancelled() => break,
            Some((event, done)) = told.recv() => {
                work.turn(event).await;
                let _ = done.send(());
            }
            Some(event) = events.recv() => work.turn(event).await,
            Some(frame) = streamed.recv() => {
                work.feed(&frame);
                work.stream();
            }
            () = tokio::time::sleep(tick.unwrap_or_default()), if tick.is_some() => {
                work.timer = None;
                work.turn(Event::Tick).await;
            }
            () = tokio::time::sleep_until(tails.unwrap_or_else(Instant::now)), if tails.is_some() => {
                work.keep_tails().await;
            }
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                work.turn(Event::Wake).await;
            }
        }
    }
    work.keep_tails().await;
}

/// Renews the access token at 80 % of its life, so that no request and no socket meets its end.
pub async fn renew_in_time(core: Arc<Core>) {
    loop {
        let due = core.keeper.renew_at();
        let wait = due.map_or(RENEW_AGAIN * 120, |due| {
            due.saturating_duration_since(std::time::Instant::now())
        });
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.tokens_changed.notified() => continue,
            () = tokio::time::sleep(wait) => {}
        }
        if core
            .keeper
            .renew_at()
            .is_none_or(|due| due > std::time::Instant::now())
        {
            continue;
        }
        core.renew().await;
        if core
            .keeper
            .renew_at()
            .is_some_and(|due| due <= std::time::Instant::now())
        {
            tokio::select! {
                () = core.stop.cancelled() => return,
                () = tokio::time::sleep(RENEW_AGAIN) => {}
            }
        }
    }
}

impl Work {
    fn tick_in(&self) -> Option<Duration> {
        let wait = self.timer? - self.core.clock.now();
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or_default()))
    }

    async fn turn(&mut self, event: Event) {
        self.next.push_back(event);
        while let Some(event) = self.next.pop_front() {
            if event == Event::Renewed {
                self.core.resume_lanes();
            }
            let before = self.state.phase().clone();
            let (state, effects) =
                engine::step(std::mem::take(&mut self.state), event, self.core.clock.moment());
            if *state.phase() != before {
                tracing::debug!(from = ?before, to = ?state.phase(), cursor = ?state.cursor(), "the loop moves on");
            }
            self.state = state;
            if !matches!(self.state.phase(), Phase::Faulted(_)) {
                self.again_due = None;
            }
            for effect in effects {
                self.carry_out(effect).await;
            }
        }
        if let Some(connection) = self.to_show.take() {
            self.show(connection);
        }
        self.core.set_may_upload(self.state.may_upload());
        self.stream();
    }

    /// Where changes are polled for, so that there is no socket, replies are read one by one.
    fn stream(&mut self) {
        let is_polling = *self.state.phase() == Phase::Polling;
        self.streams.tend(&self.core, is_polling);
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Bootstrap { ticket } => self.bootstrap(ticket),
            Effect::Pull { ticket, from, wait } => self.pull(ticket, from, wait),
            Effect::ApplyBootstrap(bootstrap) => self.apply_bootstrap(bootstrap).await,
            Effect::ApplyPage(page) => self.apply_page(page).await,
            Effect::OpenSocket { ticket, cursor } => self.open_socket(ticket, cursor),
            Effect::CloseSocket => self.core.shared().socket = None,
            Effect::Send(frame) => self.core.send_frames([frame]),
            Effect::Probe { .. } => {
                if let Some(socket) = &self.core.shared().socket {
                    socket.send(Outgoing::Ping);
                }
            }
            Effect::Authenticate => {
                if let Some(token) = self.core.keeper.present() {
                    self.core.send_frames([ClientFrame::Auth { token }]);
                }
            }
            Effect::Renew => {
                let core = Arc::clone(&self.core);
                self.core.tasks.spawn(async move { core.renew().await });
            }
            Effect::Timer { at } => self.timer = Some(at),
            Effect::Reset { reason } => self.make_ready(reason).await,
            Effect::Live(live) => self.attach(live),
            Effect::Run(frame) => self.feed(&frame),
            // What comes right before it may turn out not to have been written.
            Effect::Show(connection) => self.to_show = Some(connection),
            Effect::Upload => self.core.resume_lanes(),
            Effect::Fault(fault) => self.stopped(fault),
        }
    }

    /// Asks in a task of its own; its answer is an event.
    fn ask(&mut self, asking: impl Future<Output = Event> + Send + 'static) {
        let events = self.core.events.clone();
        let task = self.core.tasks.spawn(async move {
            let _ = events.send(asking.await).await;
        });
        self.request = Some(AbortOnDropHandle::new(task));
    }

    fn bootstrap(&mut self, ticket: Ticket) {
        let core = Arc::clone(&self.core);
        self.ask(async move {
            let answer: Result<Bootstrap, Trouble> = match core.person() {
                Ok(user) => core.ask(user, Call::get(routes::BOOTSTRAP)).await,
                Err(problem) => Err(Trouble::new(engine::Failure::NotSent, problem)),
            };
            match answer {
                Ok(bootstrap) => Event::Bootstrapped {
                    ticket,
                    bootstrap: Box::new(bootstrap),
                },
                Err(trouble) => Event::Failed {
                    ticket,
                    failure: trouble.failure,
                },
            }
        });
    }

    fn pull(&mut self, ticket: Ticket, from: Cursor, wait: u16) {
        let core = Arc::clone(&self.core);
        self.ask(async move {
            let mut call = Call::get(routes::SYNC)
                .query("cursor", from)
                .query("limit", limits::SYNC_PAGE);
            if wait > 0 {
                call = call.query("wait", wait).patient(wait);
            }
            let answer: Result<SyncPage, Trouble> = match core.person() {
                Ok(user) => core.ask(user, call).await,
                Err(problem) => Err(Trouble::new(engine::Failure::NotSent, problem)),
            };
            match answer {
                Ok(page) => Event::Pulled {
                    ticket,
                    page: Box::new(page),
                },
                Err(trouble) => Event::Failed {
                    ticket,
                    failure: trouble.failure,
                },
            }
        });
    }

    fn open_socket(&self, ticket: Ticket, cursor: Option<Cursor>) {
        let core = Arc::clone(&self.core);
        let token = async move {
            let Some(user) = core.user() else {
                return Err(engine::Failure::NotSent);
            };
            core.keeper.token(user).await
        };
        let socket = Socket::open(
            self.core.http.clone(),
            token,
            ticket,
            cursor,
            self.core.events.clone(),
        );
        self.core.shared().socket = Some(socket);
    }

    async fn apply_bootstrap(&mut self, bootstrap: Box<Bootstrap>) {
        let Some(user) = self.core.user() else { return };
        let messages: Vec<_> = bootstrap
            .histories
            .iter()
            .flat_map(|history| history.messages.iter())
            .filter(|message| !message.status.is_terminal())
            .cloned()
            .collect();
        let shown = self.core.shared().shown;
        if let Err(problem) = self.give_back(user, bootstrap.as_of.epoch).await {
            self.unqueued(&problem).await;
            return;
        }
        match self.core.store.apply_bootstrap(user, bootstrap).await {
            Ok(()) => {
                self.core.shared().tails.clear();
                self.core.follow(&messages);
                self.core.settle().await;
                self.core.push(Push::List);
                if let Some(session) = shown {
                    self.core.push(Push::Transcript { session });
                }
                self.core.load_shown();
                self.core.verify.store(true, Ordering::Release);
                self.core.hydrate.notify_one();
            }
            Err(fault) => self.failed(fault).await,
        }
    }

    async fn apply_page(&mut self, page: Box<SyncPage>) {
        let page = Arc::new(*page);
        match self.core.store.apply_page(Arc::clone(&page)).await {
            Ok(applied) if applied.verdict == Verdict::Gap => {
                // The file stands elsewhere than the loop believes: begin from where it really is.
                let cursor = self.core.store.cursor().await.ok().flatten();
                self.next.push_back(Event::SignedIn { cursor });
            }
            Ok(applied) => self.applied(&page, &applied).await,
            Err(fault) => self.failed(fault).await,
        }
    }

    async fn applied(&self, page: &SyncPage, applied: &Applied) {
        let messages = page.changes.iter().filter_map(|change| match change {
            Change::Message(message) => Some(message),
            Change::Session(_) | Change::SessionGone { .. } => None,
        });
        self.core.follow(messages);
        let mut has_come = false;
        for change in &page.changes {
            match change {
                Change::SessionGone { id, .. } => self.core.shared().tails.forget(*id),
                Change::Session(session) => has_come |= self.core.outbox().waits_for(session.id),
                Change::Message(_) => {}
            }
        }
        if has_come {
            self.core.resume_lanes();
        }
        self.core.settle().await;
        self.core.announce(applied);
        if applied.list {
            self.core.hydrate.notify_one();
        }
    }

    /// From where the file really stands.
    async fn wait_for_room(&mut self) {
        let cursor = self.core.store.cursor().await.ok().flatten();
        self.next.push_back(Event::DiskFull { cursor });
    }

    /// Until what the server had accepted is queued again, the device stays where it is.
    async fn unqueued(&mut self, problem: &Problem) {
        tracing::warn!(code = %problem.code, "the journal could not be queued again; the fresh start waits");
        self.wait_for_room().await;
    }

    /// A write of the cache failed: a full disk is waited for, anything else is begun afresh.
    async fn failed(&mut self, fault: StoreFault) {
        match fault {
            StoreFault::Closed => {}
            StoreFault::Full => self.wait_for_room().await,
            StoreFault::Damaged(_)
            | StoreFault::Newer
            | StoreFault::Locked
            | StoreFault::Sql(_)
            | StoreFault::File(_) => {
                tracing::warn!(error = ?fault, "the cache could not be written; it is begun afresh");
                match self.core.store.rebuild_cache(true).await {
                    Ok(()) => self.next.push_back(Event::CacheLost),
                    Err(fault) => {
                        tracing::error!(error = ?fault, "the cache could not be begun afresh");
                        self.next.push_back(Event::DiskFull { cursor: None });
                    }
                }
            }
        }
    }

    /// A fresh start in another epoch than the last one: the server was restored, even where the cache that could
    /// have told is gone.
    async fn give_back(&self, user: UserId, epoch: Epoch) -> Result<(), Problem> {
        let noted = self.core.store.epoch(user).await?;
        if noted == Some(epoch) {
            return Ok(());
        }
        self.core.enter(epoch).await;
        // Also where none was noted: what was accepted before the first page came may be of another history.
        self.requeue().await?;
        Ok(self.core.store.remember_epoch(user, epoch).await?)
    }

    /// After a restore of the server, what it had accepted is queued again before anything else.
    async fn make_ready(&mut self, reason: ResetReason) {
        if engine::is_rollback(reason)
            && let Err(problem) = self.requeue().await
        {
            self.unqueued(&problem).await;
            return;
        }
        self.next.push_back(Event::ResetReady);
    }

    async fn requeue(&self) -> Result<(), Problem> {
        let journal = self.core.store.journal(self.core.person()?).await?;
        self.core
            .plan(move |outbox| Ok(((), outbox.requeue(journal))))
            .await?;
        self.core.resume_lanes();
        Ok(())
    }

    fn attach(&self, live: Vec<LiveRun>) {
        let frames: Vec<ClientFrame> = {
            let mut shared = self.core.shared();
            for run in live.into_iter().take(limits::ATTACHED_RUNS) {
                shared.tails.begin(run);
            }
            shared.tails.attach_all()
        };
        self.core
            .send_frames(frames.into_iter().take(limits::ATTACHED_RUNS));
    }

    fn feed(&mut self, frame: &ServerFrame) {
        let step = self.core.shared().tails.feed(frame);
        if step != Step::Nothing && self.tails_due.is_none() {
            self.tails_due = Some(Instant::now() + KEEP_TAILS);
        }
        match step {
            Step::Grew {
                session,
                message,
                offset,
                text,
            } => self.core.push(Push::Tail {
                session,
                message,
                offset,
                text,
            }),
            Step::Changed { session } => self.core.push(Push::Transcript { session }),
            Step::Again(frame) => {
                if let ClientFrame::Attach { run, .. } = frame {
                    self.streams.again(run);
                }
                self.core.send_frames([frame]);
            }
            Step::Nothing => {}
        }
    }

    async fn keep_tails(&mut self) {
        if self.tails_due.take().is_none() {
            return;
        }
        let tails: Vec<Tail> = self.core.shared().tails.all().cloned().collect();
        if let Err(fault) = self.core.store.save_tails(tails).await {
            tracing::debug!(error = ?fault, "the text of replies could not be written down");
        }
    }

    fn show(&self, connection: Connection) {
        self.core.shared().connection = connection;
        self.core.push(Push::Connection { connection });
        if connection == Connection::Online {
            self.core.load_shown();
            self.core.hydrate.notify_one();
            let core = Arc::clone(&self.core);
            self.core.tasks.spawn(async move { core.prune_journal().await });
        }
    }

    /// One try is due at a time, however often it is tried in between.
    fn stopped(&mut self, fault: Fault) {
        tracing::warn!(?fault, "the device stopped");
        let wait = match fault {
            Fault::DiskFull => Some(DISK_AGAIN),
            Fault::TooManyResets => Some(RESETS_AGAIN),
            // It takes another build, or another server.
            Fault::Stopped(_) => None,
        };
        self.again_due = wait.map(|wait| Instant::now() + wait);
    }
}
