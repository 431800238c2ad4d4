//! Following a run that another node makes: hear its log, read what was missed, look at the database now and then, so
//! that the end is found even if every word of it was lost. One follower a run and node, whoever many watch.

use super::leases::{self, Found};
use super::live::{End, Entry, Live, Taken};
use super::{Runs, log};
use protocol::{RunId, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the database is asked.
const LOOK: Duration = Duration::from_secs(2);
/// How often the worker's node is told that somebody watches here: as soon as they do, and well before it forgets.
const TELL: Duration = Duration::from_secs(10);
/// Entries heard and not yet taken; more are read from the log.
const HEARD: usize = 256;

/// The run's live half on this node, fed from the log. There already, if somebody was quicker.
pub fn follow(runs: &Runs, user: UserId, run: RunId, found: Found) -> Arc<Live> {
    let mut lives = runs.lives();
    if let Some(live) = lives.get(&run).filter(|live| !live.is_left()) {
        return live.clone();
    }
    let live = Arc::new(Live::new(user, run, found.session, found.message));
    lives.insert(run, live.clone());
    drop(lives);
    runs.tasks.spawn(attend(runs.clone(), live.clone(), found));
    live
}

async fn attend(runs: Runs, live: Arc<Live>, found: Found) {
    let (tell, mut heard) = mpsc::channel::<Entry>(HEARD);
    let hear = move |payload: &[u8]| {
        if let Ok(entry) = serde_json::from_slice(payload) {
            // a full queue leaves a gap, which is read from the log
            let _ = tell.try_send(entry);
        }
    };
    let wire = runs.hints().wire();
    wire.route(log::channel(runs.hints(), live.run), Arc::new(hear))
        .wait()
        .await;
    restore(&live, found);
    // the database was asked just now
    let mut was_asked = true;
    catch_up(&runs, &live, false).await;
    let mut is_lonely = false;
    let mut look = tokio::time::interval(LOOK);
    look.tick().await;
    let mut tell_worker = tokio::time::interval(TELL);
    while !live.is_ended() && !live.is_local() && !live.is_left() {
        tokio::select! {
            Some(entry) = heard.recv() => {
                if live.take(&entry) == Taken::Gap {
                    metrics::counter!("run_gap_total").increment(1);
                    was_asked |= catch_up(&runs, &live, !was_asked).await;
                }
            }
            _ = look.tick() => {
                if is_lonely && !live.is_watched() {
                    break;
                }
                is_lonely = !live.is_watched();
                was_asked = false;
                look_up(&runs, &live).await;
            }
            _ = tell_worker.tick() => wire.publish(runs.work(), format!("f{}", live.run).as_bytes()),
            // its session went
            () = live.cancel.cancelled() => break,
            () = runs.shutdown.cancelled() => break,
        }
    }
    give_up(&runs, &live);
    // taken up by this node meanwhile, it is the worker's
    if !live.is_local() {
        live.leave();
    }
}

/// Hears nothing more of it, and keeps it no longer. Under the map's lock, since another follower of the same run may be on
/// its way, and hears by the same channel.
fn give_up(runs: &Runs, live: &Arc<Live>) {
    let mut lives = runs.lives();
    let known = lives.get(&live.run);
    let is_own = known.is_some_and(|known| Arc::ptr_eq(known, live));
    if is_own || known.is_none_or(|other| other.is_local()) {
        runs.hints().wire().forget(log::channel(runs.hints(), live.run));
    }
    if is_own && !live.is_local() {
        lives.remove(&live.run);
    }
}

/// Takes what the log has after the last entry here. Where the log has lost some, what was checkpointed, asked for once:
/// until the next checkpoint every entry of such a log is after a gap. True: it was asked for.
async fn catch_up(runs: &Runs, live: &Live, may_ask: bool) -> bool {
    let after = Some(live.at()).filter(|at| at.attempt > 0);
    // without Redis there is nothing to read; the database is asked soon
    let Ok(entries) = log::read(runs.hints(), live.run, after).await else {
        return false;
    };
    // one that holds the whole text heals those before it
    let last = entries.iter().map(|entry| live.take(entry)).last();
    if last != Some(Taken::Gap) || !may_ask {
        return false;
    }
    metrics::counter!("run_rewind_total").increment(1);
    if let Ok(Some(found)) = leases::find(&runs.pool, live.user, live.run).await {
        restore(live, found);
    }
    for entry in &entries {
        live.take(entry);
    }
    true
}

fn restore(live: &Live, found: Found) {
    if let Some((at, text)) = found.checkpoint {
        live.restore(at, text);
    }
}

/// What the database says: it is over, it is gone, or it got further than was heard.
async fn look_up(runs: &Runs, live: &Live) {
    match leases::find(&runs.pool, live.user, live.run).await {
        Ok(Some(found)) if found.status.is_terminal() => live.end(End {
            status: found.status,
            seq: found.seq,
        }),
        Ok(Some(found)) => restore(live, found),
        Ok(None) => live.leave(),
        // the next look may find it
        Err(error) => tracing::debug!(error = %error.into_problem(), "a run could not be looked up"),
    }
}
