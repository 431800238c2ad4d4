//! What people may ask for of their account as a whole, where it takes a while: a copy of everything, and that it goes.
//!
//! **Invariant:** what was asked for is in the database, and what is done twice is done once: a node that ends in between
//! leaves it to another, or to its own next start.

mod archive;
mod copying;
mod exports;
mod files;
mod removal;

use crate::auth::{self, Caller, Visit};
use crate::error::{Error, Result};
use crate::runs::Runs;
use anyhow::anyhow;
use protocol::{Code, Problem};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

/// How long what was asked for waits at most where nobody wakes this node.
const POLL: Duration = Duration::from_secs(5);
/// Tells nodes that work that a copy is wanted.
const WANTED: &str = "exports";

/// The room's state. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Parts>);

struct Parts {
    runs: Runs,
    wanted: Arc<Notify>,
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rights").finish_non_exhaustive()
    }
}

impl Deref for Rights {
    type Target = Runs;
    fn deref(&self) -> &Runs {
        &self.0.runs
    }
}

impl Rights {
    /// Begins to do what was asked for, if this process is for that.
    pub fn start(runs: Runs) -> Self {
        let wanted = Arc::new(Notify::new());
        let rights = Self(Arc::new(Parts {
            wanted: wanted.clone(),
            runs,
        }));
        if rights.config.role.works() {
            let woken = move |_: &[u8]| wanted.notify_one();
            drop(rights.wire().route(rights.key(WANTED), Arc::new(woken)));
            rights.tasks.spawn(copying::watch(rights.clone()));
            rights.tasks.spawn(removal::watch(rights.clone()));
        }
        rights
    }

    /// Where archives lie. No session's folder: those are named by ids.
    fn folder(&self) -> PathBuf {
        self.config.workspaces.join("exports")
    }

    /// What takes long asks now and then.
    fn must_go_on(&self) -> Result<()> {
        if self.shutdown.is_cancelled() {
            return Err(Error::Kept(anyhow!("this process ends")));
        }
        Ok(())
    }
}

/// Asks for a copy of everything. One at a time.
pub async fn ask_for_export(rights: &Rights, caller: &Caller, visit: &Visit) -> Result<()> {
    let mut tx = rights.pool.begin().await?;
    if !exports::ask(&mut tx, Uuid::now_v7(), caller.user).await? {
        return Err(Problem::new(Code::Conflict)
            .detail("A copy of your data is being made already. We send you a letter when it is ready.")
            .into());
    }
    let tx = auth::allow_export(rights, tx, caller, visit).await?;
    tx.commit().await?;
    rights.0.wanted.notify_one();
    rights.wire().publish(rights.key(WANTED), []);
    Ok(())
}

/// How somebody's newest copy stands.
#[derive(Clone, Debug)]
pub enum Export {
    Waiting,
    Ready {
        id: Uuid,
        bytes: u64,
        expires: OffsetDateTime,
    },
}

pub async fn export_of(rights: &Rights, caller: &Caller) -> Result<Option<Export>> {
    Ok(exports::newest(&rights.pool, caller.user).await?)
}

/// The archive, for its owner alone.
pub async fn fetch_export(rights: &Rights, caller: &Caller, id: Uuid, visit: &Visit) -> Result<PathBuf> {
    let attempt = exports::fetchable(&rights.pool, caller.user, id).await?;
    let attempt = attempt.ok_or(Code::NotFound)?;
    auth::may_fetch_export(rights, caller, visit).await?;
    Ok(files::path(&rights.folder(), id, attempt))
}
