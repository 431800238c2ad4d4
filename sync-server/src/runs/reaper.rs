//! The reaper: ends the runs whose worker gave no sign of life, with the longer of what the database and the log have.
//! In a task of its own, since it waits for Redis and for other people's heads.

use super::live::{Entry, Live, What};
use super::messages::{self, Ending, Finished};
use super::queue::{claim, end_here, note, ticks};
use super::{Runs, leases, log};
use crate::error::Result;
use leases::Lost;
use protocol::run::{At, Status};

/// Looks every five seconds.
pub async fn tend(runs: Runs) {
    let mut tick = ticks();
    loop {
        tokio::select! {
            _ = tick.tick() => note(reap(&runs).await, "lost runs could not be read"),
            () = runs.shutdown.cancelled() => return,
        }
    }
}

async fn reap(runs: &Runs) -> Result<()> {
    let mut log = Log { runs, is_away: false };
    for lost in leases::lost(&runs.pool).await? {
        // one that cannot be ended now keeps nobody else waiting
        note(end(runs, &mut log, &lost).await, "a lost run could not be ended");
    }
    Ok(())
}

async fn end(runs: &Runs, log: &mut Log<'_>, lost: &Lost) -> Result<()> {
    let text = longest(lost, &log.read(lost).await);
    let ending = Ending {
        user: lost.user,
        run: lost.run,
        attempt: lost.attempt,
        from: Status::Streaming,
        status: Status::Interrupted,
        text: &text,
        metadata: serde_json::json!({}),
        only_if_lost: true,
    };
    let Some(finished) = messages::finish(&runs.pool, &ending).await? else {
        // somebody else was quicker, its worker came back, or its session is gone
        if leases::clear_if_gone(&runs.pool, lost.user, lost.session).await? {
            metrics::counter!("runs_total", "status" => "orphaned").increment(1);
            tracing::warn!(session = %lost.session, "cleared what a deleted session had left behind");
        }
        return Ok(());
    };
    let status = format!("{:?}", finished.status).to_lowercase();
    metrics::counter!("runs_total", "status" => status).increment(1);
    tracing::info!(run = %lost.run, bytes = text.len(), "ended a run that lost its worker");
    log.close(lost, &finished).await;
    end_here(runs, lost.run, finished.status, finished.seq);
    runs.announce(lost.user, finished.head, messages::NUMBERS, finished.changes);
    if finished.has_more {
        claim(runs, lost.user, lost.session).await;
    }
    Ok(())
}

/// The runs' logs during one look. Where Redis once gave no answer it is not asked again: a look at many lost runs would
/// wait a second for each.
struct Log<'a> {
    runs: &'a Runs,
    is_away: bool,
}

impl Log<'_> {
    async fn read(&mut self, lost: &Lost) -> Vec<Entry> {
        if self.is_away {
            return Vec::new();
        }
        let entries = log::read(self.runs.hints(), lost.run, None).await;
        self.is_away = entries.is_err();
        entries.unwrap_or_default()
    }

    /// Without it, viewers find the end in the database.
    async fn close(&mut self, lost: &Lost, finished: &Finished) {
        if self.is_away {
            return;
        }
        let end = Entry {
            at: At {
                attempt: lost.attempt + 1,
                idx: 0,
            },
            what: What::End {
                status: finished.status,
                seq: finished.seq,
            },
        };
        self.is_away = log::close(self.runs.hints(), lost.run, &end).await.is_err();
    }
}

/// The longer of what the database and the log have.
pub(super) fn longest(lost: &Lost, logged: &[Entry]) -> String {
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
    use protocol::{RunId, SessionId, UserId};

    fn lost(checkpoint: Option<(At, String)>) -> Lost {
        Lost {
            user: UserId::fresh(),
            run: RunId::fresh(),
            session: SessionId::fresh(),
            attempt: 1,
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
