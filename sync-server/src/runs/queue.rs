//! The queue's keeper: leases renewed, runs that wait taken up.
//!
//! **Invariant:** nothing is waited for between two renewals but PostgreSQL's answer to them.

use super::live::{End, Live};
use super::messages::{self, Ending};
use super::{Runs, leases};
use crate::error::Result;
use crate::sync::Claimed;
use protocol::run::Status;
use protocol::{RunId, SessionId, UserId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A third of a lease.
const EVERY: Duration = Duration::from_secs(5);

/// Renews every five seconds, and goes on while runs finish on the way down.
pub async fn renew_leases(runs: Runs) {
    let mut held = HashSet::new();
    let mut tick = ticks();
    loop {
        tokio::select! {
            _ = tick.tick() => note(renew(&runs, &mut held).await, "leases could not be renewed"),
            () = runs.0.interrupt.cancelled() => return,
        }
    }
}

/// Looks every five seconds, and at once when work was written.
pub async fn take_up_waiting(runs: Runs) {
    let mut tick = ticks();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = runs.0.waiting.notified() => {}
            () = runs.shutdown.cancelled() => return,
        }
        note(take_up(&runs).await, "waiting runs could not be read");
    }
}

/// Every five seconds, and never twice at once where one look took longer.
pub fn ticks() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

pub fn note(done: Result<()>, what: &str) {
    if let Err(error) = done {
        tracing::warn!(error = %error.into_problem(), "{what}");
    }
}

/// Renews the leases of runs that were here the last time too: the rest are too young to need it.
async fn renew(runs: &Runs, held: &mut HashSet<RunId>) -> Result<()> {
    let lives: Vec<Arc<Live>> = runs
        .lives()
        .values()
        .filter(|live| live.is_local() && !live.is_ended())
        .cloned()
        .collect();
    let old: Vec<&Arc<Live>> = lives.iter().filter(|live| held.contains(&live.run)).collect();
    let keys: Vec<(UserId, RunId)> = old.iter().map(|live| (live.user, live.run)).collect();
    *held = lives.iter().map(|live| live.run).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let renewed = leases::renew(&runs.pool, runs.node, &keys).await?;
    for live in old {
        match renewed.iter().find(|renewed| renewed.run == live.run) {
            Some(renewed) if renewed.is_cancel_requested => live.cancel.cancel(),
            Some(_) => {}
            None if live.is_ended() => {}
            None => live.lose(),
        }
    }
    Ok(())
}

/// Takes up what waits, as far as there are slots.
async fn take_up(runs: &Runs) -> Result<()> {
    let free = i64::try_from(runs.0.slots.available_permits().min(256)).unwrap_or(0);
    if free == 0 {
        return Ok(());
    }
    for (user, session) in leases::waiting(&runs.pool, free).await? {
        claim(runs, user, session).await;
    }
    Ok(())
}

/// Takes a session's next run, if nobody else did. A failure is left to the next look.
pub async fn claim(runs: &Runs, user: UserId, session: SessionId) {
    let Ok(slot) = runs.0.slots.clone().try_acquire_owned() else {
        return;
    };
    let claim = match leases::claim(&runs.pool, user, session, runs.node).await {
        Ok(Some(claim)) => claim,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(error = %error.into_problem(), "a waiting run could not be taken");
            return;
        }
    };
    let claimed = Claimed {
        user,
        session,
        run: claim.run,
        reply: claim.reply,
        attempt: claim.attempt,
        prompt: claim.prompt,
        slot,
    };
    runs.begin(claimed, claim.is_cancel_requested);
    runs.announce(
        user,
        claim.head,
        1,
        vec![protocol::sync::Change::Message(claim.message)],
    );
}

/// Ends a run that nobody began. If somebody just did, it is cancelled there.
pub async fn cancel_waiting(runs: &Runs, user: UserId, run: RunId) -> Result<()> {
    let ending = Ending {
        user,
        run,
        attempt: 0,
        from: Status::Queued,
        status: Status::Cancelled,
        text: "",
        metadata: serde_json::json!({}),
        only_if_lost: false,
    };
    if let Some(finished) = messages::finish(&runs.pool, &ending).await? {
        metrics::counter!("runs_total", "status" => "cancelled").increment(1);
        end_here(runs, run, finished.status, finished.seq);
        runs.announce(user, finished.head, messages::NUMBERS, finished.changes);
    } else {
        runs.cancel_here(run);
        runs.hints()
            .wire()
            .publish(runs.work(), format!("c{run}").as_bytes());
    }
    Ok(())
}

/// Those who watch it from here.
pub fn end_here(runs: &Runs, run: RunId, status: Status, seq: i64) {
    let live = runs.lives().get(&run).cloned();
    if let Some(live) = live {
        live.end(End { status, seq });
    }
}
