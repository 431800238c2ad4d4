//! Removes the accounts whose owners wanted them gone and did not come back.
//!
//! **Invariant:** each step may be done again, and the row that says so goes last.

use super::{POLL, Rights, files};
use crate::auth;
use crate::error::Result;
use crate::sync;
use anyhow::Context as _;
use protocol::UserId;

pub async fn watch(rights: Rights) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = rights.shutdown.cancelled() => return,
            _ = tick.tick() => {
                if let Err(error) = remove_due(&rights).await {
                    tracing::warn!(error = %error.into_problem(), "an account could not be removed");
                }
            }
        }
    }
}

async fn remove_due(rights: &Rights) -> Result<()> {
    while let Some(user) = auth::claim_deletion(&rights.pool).await? {
        remove(rights, user).await?;
        metrics::counter!("accounts_removed_total").increment(1);
        tracing::info!("removed an account, as its owner asked");
    }
    Ok(())
}

async fn remove(rights: &Rights, user: UserId) -> Result<()> {
    let runs = rights.stop_all_of(user).await?;
    while sync::forget_some(rights, user).await? {
        rights.must_go_on()?;
        auth::renew_deletion(&rights.pool, user).await?;
    }
    auth::forget_user(rights, user).await?;
    // whoever was just writing has failed by now
    sync::forget_workspaces(rights, user)
        .await
        .context("removing the workspaces of a removed account")?;
    files::sweep(rights).await?;
    rights.forget_logs(&runs).await?;
    auth::deletion_is_done(rights, user).await
}
