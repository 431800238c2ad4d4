//! One run, made: the agent's text is gathered, shown, logged, kept, and finished once. The agent is never kept waiting
//! for Redis or PostgreSQL.

use super::agents::{Echo, Event};
use super::gathering::Gathering;
use super::live::{End, Entry, Live, What};
use super::log::Writer;
use super::messages::{self, Ending, Finished};
use super::{Runs, leases, queue};
use crate::hints::Hint;
use crate::sync::Claimed;
use protocol::frame::LiveRun;
use protocol::limits::MESSAGE_BYTES;
use protocol::run::{At, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Text is kept in the database this often, or after this much; a share of the whole, so that long replies are not
/// written over and over.
const CHECKPOINT: Duration = Duration::from_secs(5);
const CHECKPOINT_BYTES: usize = 8 * 1024;
/// A reply's bounds: its time, and its text, which then fits every frame and page.
const LONGEST: Duration = Duration::from_mins(15);
const MOST_BYTES: usize = MESSAGE_BYTES;
/// How long a finish is tried while the database is away. The lease is renewed meanwhile, if it can be.
const FINISH_TRIED: Duration = Duration::from_mins(1);

/// How a reply came to its end.
struct Outcome {
    status: Status,
    error: Option<String>,
}

impl Outcome {
    const fn plain(status: Status) -> Self {
        Self { status, error: None }
    }

    fn failed(why: impl Into<String>) -> Self {
        Self {
            status: Status::Failed,
            error: Some(why.into()),
        }
    }
}

/// A reply in the making.
struct Reply {
    runs: Runs,
    claimed: Claimed,
    live: Arc<Live>,
    writer: Arc<Writer>,
    /// Made, and not shown yet.
    pending: Gathering,
    kept: Arc<Kept>,
}

/// What the database has of it.
struct Kept {
    bytes: AtomicUsize,
    is_busy: AtomicBool,
}

pub async fn work(runs: Runs, claimed: Claimed, live: Arc<Live>) {
    let mut reply = Reply {
        writer: Writer::new(live.clone()),
        runs,
        claimed,
        live,
        pending: Gathering::begin(Instant::now()),
        kept: Arc::new(Kept {
            bytes: AtomicUsize::new(0),
            is_busy: AtomicBool::new(false),
        }),
    };
    let outcome = reply.make().await;
    metrics::gauge!("runs_live").decrement(1);
    if reply.live.is_left() {
        metrics::counter!("runs_total", "status" => "lost").increment(1);
        reply.runs.remove(&reply.live);
        reply.live.leave();
        return;
    }
    reply.end(outcome).await;
}

impl Reply {
    /// Until the agent is done, somebody says stop, or a bound is reached.
    async fn make(&mut self) -> Outcome {
        let mut agent = Echo::answering(&self.claimed.prompt);
        let live = self.live.clone();
        let interrupt = self.runs.0.interrupt.clone();
        let over = tokio::time::sleep(LONGEST);
        tokio::pin!(over);
        let mut checkpoint = tokio::time::interval_at(Instant::now() + CHECKPOINT, CHECKPOINT);
        loop {
            let due = self.pending.due(live.is_seen());
            tokio::select! {
                biased;
                () = live.cancel.cancelled() => return Outcome::plain(Status::Cancelled),
                event = agent.next() => match event {
                    Event::Text(text) => {
                        if self.is_full(&text) {
                            return Outcome::failed("The reply grew too long and was cut.");
                        }
                    }
                    Event::Done => return Outcome::plain(Status::Complete),
                    Event::Failed(why) => return Outcome::failed(why),
                },
                () = tokio::time::sleep_until(due), if !self.pending.text().is_empty() => self.flush(),
                _ = checkpoint.tick() => self.checkpoint(1),
                () = interrupt.cancelled() => return Outcome::plain(Status::Interrupted),
                () = &mut over => return Outcome::failed("The reply took too long and was stopped."),
            }
        }
    }

    /// Takes text in, without what no text holds. True: the bound is reached.
    fn is_full(&mut self, text: &str) -> bool {
        let room = MOST_BYTES.saturating_sub(self.live.bytes());
        for c in text.chars() {
            if self.pending.text().len() + c.len_utf8() > room {
                return true;
            }
            if !c.is_control() || c == '\n' || c == '\t' {
                self.pending.push(c);
            }
        }
        if self.pending.is_much() {
            self.flush();
        }
        false
    }

    /// Shows what is pending, here and in the log.
    fn flush(&mut self) {
        if self.pending.text().is_empty() {
            return;
        }
        if !self.pending.has_begun() {
            let begun = Entry {
                at: At {
                    attempt: self.claimed.attempt,
                    idx: 0,
                },
                what: What::Begun,
            };
            self.runs.say(&self.writer, begun);
            let run = LiveRun {
                run: self.claimed.run,
                message: self.claimed.reply,
                session: self.claimed.session,
            };
            self.runs.hints().publish(self.claimed.user, Hint::Started(run));
        }
        let entry = self.live.append(&self.pending.take());
        self.runs.say(&self.writer, entry);
        let share = (self.live.bytes() / 4).max(CHECKPOINT_BYTES);
        self.checkpoint(share);
    }

    /// Keeps the text in the database if it grew by so much, without waiting for it.
    fn checkpoint(&self, growth: usize) {
        let bytes = self.live.bytes();
        if bytes < self.kept.bytes.load(Ordering::Relaxed) + growth
            || self.kept.is_busy.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let (runs, kept, live) = (self.runs.clone(), self.kept.clone(), self.live.clone());
        tokio::spawn(async move {
            let Entry { at, what } = live.whole();
            let text = match what {
                What::Whole { text } => text,
                What::Begun | What::More { .. } | What::End { .. } => String::new(),
            };
            match leases::checkpoint(&runs.pool, live.user, live.run, at, &text).await {
                Ok(true) => kept.bytes.store(text.len(), Ordering::Relaxed),
                Ok(false) if live.is_ended() => {}
                Ok(false) => live.lose(),
                Err(error) => tracing::warn!(error = %error.into_problem(), "a checkpoint could not be kept"),
            }
            kept.is_busy.store(false, Ordering::Relaxed);
        });
    }

    /// Message, run and session in the database; then the end for those who watch; then the news for the user's devices.
    async fn end(mut self, outcome: Outcome) {
        if self.pending.has_begun() {
            self.flush();
        }
        let text = format!("{}{}", self.live.text(), self.pending.text());
        let Some(finished) = self.finish(&outcome, &text).await else {
            self.runs.remove(&self.live);
            self.live.leave();
            return;
        };
        let end = End {
            status: finished.status,
            seq: finished.seq,
        };
        let entry = self.live.finish(self.pending.text(), end);
        if self.pending.has_begun() {
            self.runs.say(&self.writer, entry);
        }
        self.runs.remove(&self.live);
        let status = format!("{:?}", finished.status).to_lowercase();
        metrics::counter!("runs_total", "status" => status).increment(1);
        let user = self.claimed.user;
        self.runs
            .announce(user, finished.head, messages::NUMBERS, finished.changes);
        if finished.has_more {
            queue::claim(&self.runs, user, self.claimed.session).await;
        }
    }

    /// Tried until it is written, fenced, or too long ago. `None`: somebody else finishes it.
    async fn finish(&mut self, outcome: &Outcome, text: &str) -> Option<Finished> {
        let metadata = match &outcome.error {
            Some(why) => serde_json::json!({ "error": why }),
            None => serde_json::json!({}),
        };
        let ending = Ending {
            user: self.claimed.user,
            run: self.claimed.run,
            attempt: self.claimed.attempt,
            from: Status::Streaming,
            status: outcome.status,
            text,
            metadata,
            only_if_lost: false,
        };
        let until = Instant::now() + FINISH_TRIED;
        let mut pause = Duration::from_millis(100);
        loop {
            match messages::finish(&self.runs.pool, &ending).await {
                Ok(finished) => return finished,
                Err(error) if Instant::now() < until && !self.live.is_left() => {
                    tracing::warn!(run = %self.claimed.run, error = %error, "a reply could not be finished yet");
                }
                Err(error) => {
                    tracing::error!(run = %self.claimed.run, error = %error, "a reply was left to be finished by another");
                    return None;
                }
            }
            self.flush();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}
