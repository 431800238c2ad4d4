//! Removes all that somebody keeps here, in pieces that hold no lock for long, and may be begun again.

use super::{Sync, agent_sessions, messages, mutations, workspace};
use crate::error::Result;
use protocol::{SessionId, UserId};
use std::path::PathBuf;

/// Rows that one statement takes.
const ROWS: i64 = 2_000;

/// Removes a piece of it. False: nothing is left.
pub async fn forget_some(sync: &Sync, user: UserId) -> Result<bool> {
    let some = messages::forget(&sync.pool, user, ROWS).await? > 0
        || mutations::forget_of(&sync.pool, user, ROWS).await? > 0
        || agent_sessions::forget(&sync.pool, user, ROWS).await? > 0;
    Ok(some)
}

/// A session's folder.
pub fn workspace_of(sync: &Sync, user: UserId, session: SessionId) -> PathBuf {
    workspace::path(&sync.config.workspaces, user, session)
}

/// Removes the folders of all their sessions. One that cannot be removed now fails, so that it is tried again.
pub async fn forget_workspaces(sync: &Sync, user: UserId) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(workspace::all_of(&sync.config.workspaces, user)).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
