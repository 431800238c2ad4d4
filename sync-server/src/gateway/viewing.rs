//! The runs that one socket watches: where it stands in each, and what is new.

use crate::error::Result;
use crate::runs::{Attached, End, Live, Piece, Place, Runs};
use protocol::frame::ServerFrame;
use protocol::{MessageId, RunId, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub struct Viewing {
    user: UserId,
    wake: Arc<Notify>,
    watched: Vec<Watched>,
    /// Runs lost sight of while the database gave no answer, and where their viewer stands: looked for again.
    missed: Vec<Missed>,
}

type Missed = (RunId, MessageId, Option<Place>);

/// When runs that were missed are looked for again.
const AGAIN: Duration = Duration::from_secs(1);

struct Watched {
    live: Arc<Live>,
    place: Option<Place>,
    since: Instant,
}

/// What is to be shown of a run.
pub enum Shown {
    Piece(RunId, MessageId, Piece),
    /// With the text where it was read here.
    End(RunId, MessageId, End, String),
}

impl Shown {
    /// As the protocol says it.
    pub fn frame(self) -> ServerFrame {
        match self {
            Self::Piece(run, _, Piece::Whole { at, text, rewind }) => ServerFrame::Snap {
                run,
                at,
                text,
                rewind,
            },
            Self::Piece(run, _, Piece::More { at, offset, text }) => ServerFrame::Delta {
                run,
                at,
                offset: offset as u64,
                text,
            },
            Self::End(run, _, end, _) => ended(run, end),
        }
    }
}

pub const fn ended(run: RunId, end: End) -> ServerFrame {
    ServerFrame::End {
        run,
        status: end.status,
        seq: end.seq,
    }
}

/// How an attempt to watch turned out.
pub enum Attempt {
    Watching,
    Over(End),
    NotThere,
}

impl Viewing {
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            wake: Arc::new(Notify::new()),
            watched: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// Resolves when a watched run has news. Safe to drop while waiting.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Nothing is watched any more, nor looked for.
    pub const fn is_over(&self) -> bool {
        self.watched.is_empty() && self.missed.is_empty()
    }

    pub fn watches(&self, run: RunId) -> bool {
        self.watched.iter().any(|watched| watched.live.run == run)
    }

    /// Watches from a place on. What is there already is news at once.
    pub async fn attach(&mut self, runs: &Runs, run: RunId, place: Option<Place>) -> Result<Attempt> {
        self.detach(run);
        match runs.attach(self.user, run).await? {
            Some(Attached::Live(live)) => {
                live.watch(&self.wake);
                let since = Instant::now();
                self.watched.push(Watched { live, place, since });
                self.wake.notify_one();
                Ok(Attempt::Watching)
            }
            Some(Attached::Over(end)) => Ok(Attempt::Over(end)),
            None => Ok(Attempt::NotThere),
        }
    }

    pub fn detach(&mut self, run: RunId) {
        self.missed.retain(|(missed, ..)| *missed != run);
        let wake = self.wake.clone();
        self.watched.retain(|watched| {
            let stays = watched.live.run != run;
            if !stays {
                watched.live.unwatch(&wake);
            }
            stays
        });
    }

    /// All that is new. Runs that ended, or that this node lost sight of for good, are watched no more.
    pub async fn news(&mut self, runs: &Runs) -> Vec<Shown> {
        let mut shown = Vec::new();
        let mut left = std::mem::take(&mut self.missed);
        self.watched.retain_mut(|watched| {
            let (run, reply) = (watched.live.run, watched.live.reply);
            let news = watched.live.news(watched.place);
            if let Some(piece) = news.piece {
                watched.place = Some(piece.place());
                shown.push(Shown::Piece(run, reply, piece));
            }
            if let Some(end) = news.end {
                shown.push(Shown::End(run, reply, end, watched.live.text()));
            } else if news.is_left {
                // one that is lost as soon as it is found is not looked for without end
                let is_steady = watched.since.elapsed() >= AGAIN;
                let again = if is_steady { &mut left } else { &mut self.missed };
                again.push((run, reply, watched.place));
            }
            news.end.is_none() && !news.is_left
        });
        for (run, reply, place) in left {
            match self.attach(runs, run, place).await {
                Ok(Attempt::Over(end)) => shown.push(Shown::End(run, reply, end, String::new())),
                // it went with its session, which the feed tells
                Ok(Attempt::Watching | Attempt::NotThere) => {}
                Err(_away) => self.missed.push((run, reply, place)),
            }
        }
        if !self.missed.is_empty() {
            let wake = self.wake.clone();
            tokio::spawn(async move {
                tokio::time::sleep(AGAIN).await;
                wake.notify_one();
            });
        }
        shown
    }
}
