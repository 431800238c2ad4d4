//! What nobody can need any more goes: old outcomes from the ledger, and the tombstones of sessions long deleted. A
//! person's floor rises over the tombstones, so that a device that was away for longer begins afresh instead of keeping
//! what it was never told to drop.
//!
//! Devices repeat writes for 14 days at most (docs/protocol.md, "RestoreHeals"), so both are kept far longer.

use super::{Sync, agent_sessions, heads, mutations};
use crate::database::Pool;
use crate::error::Result;
use protocol::UserId;
use std::time::Duration;

/// How long an outcome and a tombstone are kept.
const KEPT_DAYS: i32 = 90;
const EVERY: Duration = Duration::from_hours(1);
/// Rows that one statement takes, so that none holds its locks for long.
const ROWS: i64 = 5_000;
/// People whose tombstones one look takes; the rest wait for the next statement.
const PEOPLE: i64 = 100;

/// Looks at once and then every hour. Several nodes may: each finds what the others left.
pub async fn watch(sync: Sync) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sync.shutdown.cancelled() => return,
            _ = tick.tick() => {
                if let Err(error) = purge(&sync.pool).await {
                    tracing::warn!(error = %error.into_problem(), "what is old could not be purged");
                }
            }
        }
    }
}

async fn purge(pool: &Pool) -> Result<()> {
    let mut outcomes = 0;
    loop {
        let gone = mutations::forget(pool, KEPT_DAYS, ROWS).await?;
        outcomes += gone;
        if gone < ROWS.unsigned_abs() {
            break;
        }
    }
    let mut sessions = 0;
    loop {
        let people = agent_sessions::with_tombstones(pool, KEPT_DAYS, PEOPLE).await?;
        for user in &people {
            sessions += drop_tombstones(pool, *user).await?;
        }
        if people.len() < usize::try_from(PEOPLE).unwrap_or_default() {
            break;
        }
    }
    if outcomes > 0 || sessions > 0 {
        tracing::info!(outcomes, sessions, "purged what is old");
    }
    Ok(())
}

/// Under the person's head, as every write: whoever reads sees the tombstones, or the floor above them.
async fn drop_tombstones(pool: &Pool, user: UserId) -> Result<u64> {
    let Some(mut lock) = heads::lock(pool, user).await? else {
        return Ok(0);
    };
    let gone = agent_sessions::drop_tombstones(lock.connection(), user, KEPT_DAYS).await?;
    let Some(floor) = gone.iter().max() else {
        return Ok(0);
    };
    lock.raise_floor(user, *floor).await?;
    lock.transaction.commit().await?;
    Ok(gone.len() as u64)
}
