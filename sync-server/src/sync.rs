//! The change feed: every write enters here under its user's head lock, and every device reads it from its cursor on.
//!
//! **Invariant:** a committed change has a number, numbers are dense for each user, and whoever sees number N sees every
//! change before it. Hints go out after the commit and are never waited for.

mod agent_sessions;
mod answers;
mod forgetting;
mod heads;
mod messages;
mod mutations;
mod positions;
mod pull;
mod purge;
mod push;
mod runs;
mod turns;
mod verify;
mod workspace;

pub use forgetting::{forget_some, forget_workspaces, workspace_of};
pub use heads::{Lock, lock};
pub use messages::LEASE_SECONDS;
pub use pull::page_since;
pub use push::push;
pub use workspace::{all_of as workspaces_of, remove as remove_folder};

use crate::auth::Auth;
use crate::hints::{Hint, Hints};
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use protocol::sync::{Change, Cursor, SyncPage};
use protocol::{MessageId, RunId, SessionId, UserId, routes};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::OpenApi as _;

/// The room's state. Cheap to clone.
#[derive(Clone)]
pub struct Sync(Arc<Parts>);

struct Parts {
    auth: Auth,
    workers: Workers,
    turns: turns::Turns,
}

/// How writes reach whoever makes replies, which is a room above.
type Tell = Box<dyn Fn(Work) + Send + std::marker::Sync>;

#[derive(Default)]
struct Workers {
    tell: OnceLock<Tell>,
    /// How many replies this node makes at once.
    slots: OnceLock<Arc<Semaphore>>,
}

/// What a write asks of those who make replies.
#[derive(Debug)]
pub enum Work {
    /// This node owns the run: begin.
    Begin(Claimed),
    /// A run waits for somebody.
    Waiting,
    /// The run lost its session.
    Stop(RunId),
}

/// A run that this node owns from the transaction that made it.
#[derive(Debug)]
pub struct Claimed {
    pub user: UserId,
    pub session: SessionId,
    pub run: RunId,
    pub reply: MessageId,
    pub attempt: u32,
    /// The text to answer.
    pub prompt: String,
    /// Given back when the run ends.
    #[expect(dead_code, reason = "held, never looked at")]
    pub slot: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sync").finish_non_exhaustive()
    }
}

impl Deref for Sync {
    type Target = Auth;
    fn deref(&self) -> &Auth {
        &self.0.auth
    }
}

impl FromRef<Sync> for Auth {
    fn from_ref(sync: &Sync) -> Self {
        sync.0.auth.clone()
    }
}

impl Sync {
    /// Begins to look, now and then, for hints that were lost, and, where this process works, for what is old.
    pub fn start(auth: Auth) -> Self {
        let sync = Self(Arc::new(Parts {
            auth,
            workers: Workers::default(),
            turns: turns::Turns::default(),
        }));
        sync.tasks.spawn(positions::watch(sync.clone()));
        if sync.config.role.works() {
            sync.tasks.spawn(purge::watch(sync.clone()));
        }
        sync
    }

    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub fn hints(&self) -> &Hints {
        &self.0.auth
    }

    /// Who is told of work, and how many replies this node makes at once. Said once, at start.
    pub fn work_here(&self, slots: Arc<Semaphore>, tell: impl Fn(Work) + Send + std::marker::Sync + 'static) {
        let is_first =
            self.0.workers.slots.set(slots).is_ok() && self.0.workers.tell.set(Box::new(tell)).is_ok();
        debug_assert!(is_first, "one room makes replies");
    }

    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let slots = self.0.workers.slots.get()?;
        slots.clone().try_acquire_owned().ok()
    }

    fn tell(&self, work: Work) {
        if let Some(tell) = self.0.workers.tell.get() {
            tell(work);
        }
    }

    /// Tells a user's devices what was committed: the changes `(head - count, head]`.
    pub fn announce(&self, user: UserId, head: Cursor, count: i64, changes: Vec<Change>) {
        let from = Cursor {
            epoch: head.epoch,
            seq: head.seq - count,
        };
        let page = SyncPage {
            from,
            to: head,
            head: head.seq,
            more: false,
            changes,
        };
        self.hints().publish(user, Hint::of_page(page));
    }
}

pub fn router(sync: Sync) -> Router {
    Router::new()
        .route(routes::SYNC, get(pull::read_changes))
        .route(routes::BOOTSTRAP, get(pull::read_bootstrap))
        .route(routes::VERIFY_CACHE, post(verify::check))
        .route(routes::MUTATIONS, post(push::write))
        .with_state(sync)
}

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(pull::read_changes, pull::read_bootstrap, verify::check, push::write))]
struct Docs;
