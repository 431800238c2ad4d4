//! Runs: replies being made. A run belongs to the server and not to a socket: it goes on when everybody has left, and
//! stops when somebody says so. Held by a lease, logged in Redis, kept in checkpoints, finished once.
//!
//! **Invariant:** every run ends in exactly one terminal status, written under its user's head lock by the attempt that
//! holds it; text that was made is never thrown away for a lost socket, worker or Redis.

mod agents;
mod follow;
mod gathering;
mod leases;
mod live;
mod log;
mod messages;
#[cfg(test)]
mod model;
mod queue;
mod reaper;
mod worker;

pub use leases::standing;
pub use live::{End, Live, Piece, Place};

use crate::auth::{Auth, Caller};
use crate::error::Result;
use crate::keyspace::Partition;
use crate::sessions::Id;
use crate::sync::{Claimed, Sync, Work};
use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use http::StatusCode;
use live::Entry;
use protocol::run::Status;
use protocol::{Code, Problem, RunId, UserId, routes};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi as _;

/// Replies that one node makes at once; more wait in the queue.
const SLOTS: usize = 4096;
/// How long runs may go on once the process is asked to end; what is not finished then is kept as interrupted.
const GRACE: Duration = Duration::from_secs(5);

/// The room's state. Cheap to clone.
#[derive(Clone)]
pub struct Runs(Arc<Parts>);

struct Parts {
    sync: Sync,
    lives: Mutex<HashMap<RunId, Arc<Live>>>,
    log: log::Log,
    slots: Arc<Semaphore>,
    workers: TaskTracker,
    /// The grace is over.
    interrupt: CancellationToken,
    waiting: Notify,
}

/// How a run can be watched.
#[derive(Debug)]
pub enum Attached {
    Live(Arc<Live>),
    Over(End),
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").finish_non_exhaustive()
    }
}

impl Deref for Runs {
    type Target = Sync;
    fn deref(&self) -> &Sync {
        &self.0.sync
    }
}

impl FromRef<Runs> for Auth {
    fn from_ref(runs: &Runs) -> Self {
        runs.sync().auth().clone()
    }
}

impl Runs {
    /// Begins to make replies, if this process is for that, and to hear what other nodes ask.
    pub fn start(sync: Sync) -> Self {
        let works = sync.config.role.works();
        let runs = Self(Arc::new(Parts {
            lives: Mutex::default(),
            log: log::Log::start(sync.hints()),
            slots: Arc::new(Semaphore::new(if works { SLOTS } else { 0 })),
            workers: TaskTracker::new(),
            interrupt: CancellationToken::new(),
            waiting: Notify::new(),
            sync,
        }));
        let told = runs.clone();
        runs.work_here(runs.0.slots.clone(), move |work| told.tell(work));
        let heard = runs.clone();
        // a node that starts while Redis is away hears as soon as it is back
        let _confirmed = runs
            .hints()
            .wire()
            .route(runs.work(), Arc::new(move |payload: &[u8]| heard.hear(payload)));
        if works {
            runs.tasks.spawn(queue::renew_leases(runs.clone()));
            runs.tasks.spawn(queue::take_up_waiting(runs.clone()));
            runs.tasks.spawn(reaper::tend(runs.clone()));
        }
        runs.tasks.spawn(runs.clone().end());
        runs
    }

    pub fn sync(&self) -> &Sync {
        &self.0.sync
    }

    /// The channel of what nodes that make replies tell each other.
    fn work(&self) -> String {
        self.key_in(Partition::of("work"), "work")
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Live>>> {
        self.0.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, work: Work) {
        match work {
            Work::Begin(claimed) => self.begin(claimed, false),
            Work::Waiting => {
                self.0.waiting.notify_one();
                self.hints().wire().publish(self.work(), [b'w']);
            }
            Work::Stop(run) => {
                self.lose(run);
                self.hints()
                    .wire()
                    .publish(self.work(), format!("s{run}").as_bytes());
            }
        }
    }

    /// What another node said: work waits, a run lost its session, a run is to be cancelled, somebody watches it there.
    fn hear(&self, payload: &[u8]) {
        let Some((kind, rest)) = payload.split_first() else {
            return;
        };
        let run = || std::str::from_utf8(rest).ok()?.parse::<RunId>().ok();
        match kind {
            b'w' => self.0.waiting.notify_one(),
            b's' => run().into_iter().for_each(|run| self.lose(run)),
            b'c' => run().into_iter().for_each(|run| self.cancel_here(run)),
            b'f' => run().into_iter().for_each(|run| self.follow_here(run)),
            _ => {}
        }
    }

    /// Stops whatever is being made for somebody who goes, and names what may have a log.
    pub async fn stop_all_of(&self, user: UserId) -> Result<Vec<RunId>> {
        let runs = leases::recent(&self.pool, user).await?;
        for run in &runs {
            self.tell(Work::Stop(*run));
        }
        Ok(runs)
    }

    /// Removes the logs of runs whose messages are gone. Those that Redis does not give up now end by themselves.
    pub async fn forget_logs(&self, runs: &[RunId]) -> Result<()> {
        for run in runs {
            log::forget(self.hints(), *run).await?;
        }
        Ok(())
    }

    /// Makes a run that this node holds. Watchable before this returns.
    fn begin(&self, claimed: Claimed, is_cancelled: bool) {
        let live = self.to_be_made_here(&claimed);
        live.begin_here(claimed.attempt);
        if is_cancelled {
            live.cancel.cancel();
        }
        metrics::gauge!("runs_live").increment(1);
        self.0.workers.spawn(worker::work(self.clone(), claimed, live));
    }

    /// The live half of a run that this node makes from now on: the follower's where there is one. Another worker's, of an
    /// earlier attempt or another history, is not shared: two of them would write one text.
    fn to_be_made_here(&self, claimed: &Claimed) -> Arc<Live> {
        let mut lives = self.lives();
        let known = lives.get(&claimed.run).cloned();
        if let Some(follower) = known.as_ref().filter(|live| !live.is_left() && !live.is_local()) {
            return follower.clone();
        }
        let Claimed {
            user,
            run,
            session,
            reply,
            ..
        } = *claimed;
        let live = Arc::new(Live::new(user, run, session, reply));
        lives.insert(run, live.clone());
        drop(lives);
        if let Some(former) = known {
            former.lose();
        }
        live
    }

    /// A run's live half that somebody feeds. One that was left stays in the map until its feeder has noticed.
    fn fed(&self, run: RunId) -> Option<Arc<Live>> {
        self.lives().get(&run).filter(|live| !live.is_left()).cloned()
    }

    /// Forgets a run's live half, unless somebody else's took its place.
    fn remove(&self, live: &Arc<Live>) {
        let mut lives = self.lives();
        if lives.get(&live.run).is_some_and(|known| Arc::ptr_eq(known, live)) {
            lives.remove(&live.run);
        }
    }

    fn lose(&self, run: RunId) {
        let live = self.lives().get(&run).cloned();
        if let Some(live) = live {
            live.lose();
        }
    }

    fn cancel_here(&self, run: RunId) {
        let live = self.lives().get(&run).cloned();
        if let Some(live) = live.filter(|live| live.is_local()) {
            live.cancel.cancel();
        }
    }

    fn follow_here(&self, run: RunId) {
        let live = self.lives().get(&run).cloned();
        if let Some(live) = live.filter(|live| live.is_local()) {
            live.follow();
        }
    }

    /// Watches a run of the user's, wherever it is made. `None`: there is no such run.
    pub async fn attach(&self, user: UserId, run: RunId) -> Result<Option<Attached>> {
        if let Some(live) = self.fed(run) {
            return Ok((live.user == user).then_some(Attached::Live(live)));
        }
        let Some(found) = leases::find(&self.pool, user, run).await? else {
            return Ok(None);
        };
        if found.status.is_terminal() {
            return Ok(Some(Attached::Over(End {
                status: found.status,
                seq: found.seq,
            })));
        }
        Ok(Some(Attached::Live(follow::follow(self, user, run, found))))
    }

    /// Stops a run, wherever it is made; what was said so far is kept. Saying it twice, or too late, is fine.
    pub async fn cancel(&self, user: UserId, run: RunId) -> Result<()> {
        let status = leases::ask_to_stop(&self.pool, user, run).await?;
        match status.ok_or(Code::NotFound)? {
            Status::Queued => queue::cancel_waiting(self, user, run).await?,
            Status::Streaming => {
                self.cancel_here(run);
                self.hints()
                    .wire()
                    .publish(self.work(), format!("c{run}").as_bytes());
            }
            Status::Complete | Status::Cancelled | Status::Failed | Status::Interrupted => {}
        }
        Ok(())
    }

    /// Tells those who watch from other nodes.
    fn say(&self, writer: &Arc<log::Writer>, entry: Entry) {
        self.0.log.say(writer, entry);
    }

    /// On the way down: no new runs; those under way finish, or are kept as interrupted; then the last is said.
    async fn end(self) {
        self.shutdown.cancelled().await;
        self.0.slots.close();
        self.0.workers.close();
        if tokio::time::timeout(GRACE, self.0.workers.wait()).await.is_err() {
            self.0.interrupt.cancel();
            self.0.workers.wait().await;
        }
        self.0.interrupt.cancel();
        self.0.log.close();
        self.hints().wire().flush().await;
    }
}

pub fn router(runs: Runs) -> Router {
    Router::new()
        .route(routes::RUN_CANCEL, post(cancel))
        .with_state(runs)
}

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(cancel))]
struct Docs;

/// Stops a reply; what was said so far is kept. Repeating it is harmless.
#[utoipa::path(post, path = routes::RUN_CANCEL, params(("id" = RunId, Path)), tag = "runs",
    responses((status = 204), (status = 404, body = Problem)))]
async fn cancel(State(runs): State<Runs>, caller: Caller, Id(run): Id<RunId>) -> Result<StatusCode> {
    runs.cancel(caller.user, run).await?;
    Ok(StatusCode::NO_CONTENT)
}
