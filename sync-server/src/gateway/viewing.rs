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
/// Bytes of text after which the runs that were not looked at wait for the next look: whoever watches many long ones and
/// takes nothing must not have a copy of each held for them.
const TOGETHER: usize = 256 * 1024;

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

    /// What is new, as much as may be held at once; the rest is news again. Runs that ended, or that this node lost sight of
    /// for good, are watched no more.
    pub async fn news(&mut self, runs: &Runs) -> Vec<Shown> {
        let mut left = std::mem::take(&mut self.missed);
        let mut shown = self.look(&mut left);
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

    /// What is new of the runs in sight. Those that were lost sight of go to `left`.
    fn look(&mut self, left: &mut Vec<Missed>) -> Vec<Shown> {
        let mut shown = Vec::new();
        let (mut bytes, mut stay) = (0, 0);
        let mut is_cut = false;
        self.watched.retain_mut(|watched| {
            if bytes >= TOGETHER {
                is_cut = true;
                return true;
            }
            let (run, reply) = (watched.live.run, watched.live.reply);
            let news = watched.live.news(watched.place);
            if let Some(piece) = news.piece {
                watched.place = Some(piece.place());
                bytes += piece.text().len();
                shown.push(Shown::Piece(run, reply, piece));
            }
            if let Some(end) = news.end {
                let text = watched.live.text();
                bytes += text.len();
                shown.push(Shown::End(run, reply, end, text));
            } else if news.is_left {
                // one that is lost as soon as it is found is not looked for without end
                let is_steady = watched.since.elapsed() >= AGAIN;
                let again = if is_steady { &mut *left } else { &mut self.missed };
                again.push((run, reply, watched.place));
            }
            let stays = news.end.is_none() && !news.is_left;
            stay += usize::from(stays);
            stays
        });
        if is_cut {
            // those that had no turn have the next one
            self.watched.rotate_left(stay);
            self.wake.notify_one();
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::SessionId;
    use std::collections::BTreeMap;

    /// A reply of so many bytes, watched from its start.
    fn watched(bytes: usize) -> Watched {
        let live = Live::new(
            UserId::fresh(),
            RunId::fresh(),
            SessionId::fresh(),
            MessageId::fresh(),
        );
        live.begin_here(1);
        live.append(&"x".repeat(bytes));
        live.reveal_all();
        Watched {
            live: Arc::new(live),
            place: None,
            since: Instant::now(),
        }
    }

    /// BoundedMemory: of the long replies that somebody watches no more than two are copied at once, and each has its turn.
    #[tokio::test]
    async fn many_long_replies_are_told_a_few_at_a_time_and_all_of_them_in_turn() {
        const MANY: usize = 64;
        let mut viewing = Viewing::new(UserId::fresh());
        viewing.watched = (0..MANY).map(|_| watched(TOGETHER - 1)).collect();
        let (mut looks, mut told) = (0, BTreeMap::new());
        loop {
            let shown = viewing.look(&mut Vec::new());
            assert!(shown.len() <= 2, "{} texts at once", shown.len());
            for piece in shown {
                if let Shown::Piece(run, _, piece) = piece {
                    *told.entry(run).or_insert(0) += piece.text().len();
                }
            }
            looks += 1;
            if looks == MANY / 2 {
                break;
            }
            viewing.woken().await;
        }
        assert_eq!(told.len(), MANY, "each was told");
        assert!(
            told.values().all(|bytes| *bytes == TOGETHER - 1),
            "once and whole"
        );
        assert!(viewing.look(&mut Vec::new()).is_empty(), "and there is no more");
    }

    #[tokio::test]
    async fn one_that_always_grows_takes_no_other_s_turn() {
        let mut viewing = Viewing::new(UserId::fresh());
        viewing.watched = (0..3).map(|_| watched(TOGETHER)).collect();
        let mut told = Vec::new();
        for _ in 0..3 {
            for shown in viewing.look(&mut Vec::new()) {
                if let Shown::Piece(run, ..) = shown {
                    told.push(run);
                }
            }
            for watched in &viewing.watched {
                watched.live.append(&"y".repeat(TOGETHER));
                watched.live.reveal_all();
            }
        }
        let order: Vec<RunId> = viewing.watched.iter().map(|watched| watched.live.run).collect();
        assert_eq!(told, order, "one at each look, in turn");
    }
}
