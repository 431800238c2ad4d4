//! The queue's keeper: leases renewed, runs that wait taken up, runs that lost their worker ended.

use super::live::{End, Entry, Live, What};
use super::messages::{self, Ending};
use super::{Runs, leases, log};
use crate::error::Result;
use crate::sync::Claimed;
use protocol::run::{At, Status};
use protocol::{RunId, SessionId, UserId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A third of a lease.
const EVERY: Duration = Duration::from_secs(5);

/// Looks every five seconds, and at once when work was written.
pub async fn tend(runs: Runs) {
    let mut held = HashSet::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                note(renew(&runs, &mut held).await, "leases could not be renewed");
                note(reap(&runs).await, "lost runs could not be ended");
            }
            () = runs.0.waiting.notified() => {}
            // leases go on being renewed while runs finish
            () = runs.0.interrupt.cancelled() => return,
        }
        if runs.shutdown.is_cancelled() {
            continue;
        }
        note(take_up(&runs).await, "waiting runs could not be read");
    }
}

fn note(done: Result<()>, what: &str) {
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
    match messages::finish(&runs.pool, &ending).await? {
        Some(finished) => {
            metrics::counter!("runs_total", "status" => "cancelled").increment(1);
            end_here(runs, run, Status::Cancelled, finished.seq);
            runs.announce(user, finished.head, messages::NUMBERS, finished.changes);
        }
        None => {
            runs.cancel_here(run);
            runs.hints()
                .wire()
                .publish(runs.key("work"), format!("c{run}").as_bytes());
        }
    }
    Ok(())
}

/// Those who watch it from here.
fn end_here(runs: &Runs, run: RunId, status: Status, seq: i64) {
    let live = runs.lives().get(&run).cloned();
    if let Some(live) = live {
        live.end(End { status, seq });
    }
}

/// Ends the runs whose worker gave no sign of life, with the longer of what the database and the log have.
async fn reap(runs: &Runs) -> Result<()> {
    for lost in leases::lost(&runs.pool).await? {
        let logged = log::read(runs.hints(), lost.run, None).await.unwrap_or_default();
        let text = longest(&lost, &logged);
        let status = if lost.is_cancel_requested {
            Status::Cancelled
        } else {
            Status::Interrupted
        };
        let ending = Ending {
            user: lost.user,
            run: lost.run,
            attempt: lost.attempt,
            from: Status::Streaming,
            status,
            text: &text,
            metadata: serde_json::json!({}),
            only_if_lost: true,
        };
        // somebody else was quicker, or its worker came back
        let Some(finished) = messages::finish(&runs.pool, &ending).await? else {
            continue;
        };
        metrics::counter!("runs_total", "status" => "interrupted").increment(1);
        tracing::info!(run = %lost.run, bytes = text.len(), "ended a run that lost its worker");
        let end = Entry {
            at: At {
                attempt: lost.attempt + 1,
                idx: 0,
            },
            what: What::End {
                status,
                seq: finished.seq,
            },
        };
        // without Redis, viewers find the end in the database
        let _ = log::close(runs.hints(), lost.run, &end).await;
        end_here(runs, lost.run, status, finished.seq);
        runs.announce(lost.user, finished.head, messages::NUMBERS, finished.changes);
        if finished.has_more {
            claim(runs, lost.user, lost.session).await;
        }
    }
    Ok(())
}

fn longest(lost: &leases::Lost, logged: &[Entry]) -> String {
    let replay = Live::new(lost.user, lost.run, lost.session, protocol::MessageId(lost.run.0));
    if let Some((at, text)) = &lost.checkpoint {
        replay.restore(*at, text.clone());
    }
    for entry in logged {
        replay.take(entry);
    }
    replay.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(checkpoint: Option<(At, String)>) -> leases::Lost {
        leases::Lost {
            user: UserId::fresh(),
            run: RunId::fresh(),
            session: SessionId::fresh(),
            attempt: 1,
            is_cancel_requested: false,
            checkpoint,
        }
    }

    fn entry(idx: u64, what: What) -> Entry {
        Entry {
            at: At { attempt: 1, idx },
            what,
        }
    }

    fn more(idx: u64, offset: u64, text: &str) -> Entry {
        entry(
            idx,
            What::More {
                offset,
                text: text.to_owned(),
            },
        )
    }

    #[test]
    fn the_longer_of_checkpoint_and_log_is_kept() {
        let log = [entry(0, What::Begun), more(1, 0, "one "), more(2, 4, "two")];
        assert_eq!(longest(&lost(None), &log), "one two");
        let kept = Some((At { attempt: 1, idx: 1 }, "one ".to_owned()));
        assert_eq!(longest(&lost(kept), &log), "one two");
        let kept = Some((At { attempt: 1, idx: 3 }, "one two three".to_owned()));
        assert_eq!(longest(&lost(kept), &log), "one two three");
        assert_eq!(longest(&lost(None), &[]), "");
    }
}
