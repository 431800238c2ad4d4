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
/// Sessions that one person's write drops, with all that was said in them: it has five seconds, as every write.
const SESSIONS: i64 = 200;
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
    let sessions = drop_all_tombstones(pool).await?;
    if outcomes > 0 || sessions > 0 {
        tracing::info!(outcomes, sessions, "purged what is old");
    }
    Ok(())
}

/// Until there are none. Somebody whose tombstones cannot be dropped now keeps them for an hour, and nobody else theirs.
async fn drop_all_tombstones(pool: &Pool) -> Result<u64> {
    let mut sessions = 0;
    loop {
        let mut dropped = 0;
        for user in agent_sessions::with_tombstones(pool, KEPT_DAYS, PEOPLE).await? {
            match drop_tombstones(pool, user).await {
                Ok(gone) => dropped += gone,
                Err(error) => {
                    tracing::warn!(%user, error = %error.into_problem(), "somebody's old deletions could not be purged");
                }
            }
        }
        sessions += dropped;
        if dropped == 0 {
            return Ok(sessions);
        }
    }
}

/// Under the person's head, as every write: whoever reads sees the tombstones, or the floor above them.
async fn drop_tombstones(pool: &Pool, user: UserId) -> Result<u64> {
    let Some(mut lock) = heads::lock(pool, user).await? else {
        return Ok(0);
    };
    let gone = agent_sessions::drop_tombstones(lock.connection(), user, KEPT_DAYS, SESSIONS).await?;
    let Some(floor) = gone.iter().max() else {
        return Ok(0);
    };
    lock.raise_floor(user, *floor).await?;
    lock.transaction.commit().await?;
    Ok(gone.len() as u64)
}
