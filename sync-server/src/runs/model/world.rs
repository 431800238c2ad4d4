//! The world of one run, moved on by a seed: who does what next, and what of it is late.

use super::super::leases::Lost;
use super::super::live::{End, Entry, Live, Piece, Place, Taken, What};
use super::super::log::{self, Writer};
use super::super::reaper;
use super::fences::{Fence, Fences};
use super::laws::{self, Held};
use protocol::run::{At, Status};
use protocol::{MessageId, RunId, SessionId, UserId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::VecDeque;
use std::sync::Arc;

const WORDS: usize = 9;
const STEPS: usize = 160;
/// Enough for a worker that goes on to say all, and for the lease of one that is gone.
const ROUNDS: usize = 200;
/// In ticks of the model's clock.
const LEASE: u64 = 8;
/// How many rounds of the end a reaper, and then whoever follows, may take to see that a lease is over.
const REAPED_WITHIN: u64 = 2;
const ATTEMPT: u32 = 1;

/// All that the agent says.
pub fn agent() -> String {
    (0..WORDS).map(word).collect()
}

fn word(number: usize) -> String {
    format!("word-{number} ")
}

/// The run's row.
#[derive(Debug)]
pub struct Row {
    pub status: Status,
    pub text: String,
    pub checkpoint: Option<(At, String)>,
    lease_until: u64,
    is_cancel_requested: bool,
    /// For the laws.
    pub ends: usize,
    pub was_taken_alive: bool,
    pub was_stop_promised: bool,
}

/// Somebody who reads what a node shows.
#[derive(Debug, Default)]
pub struct Viewer {
    pub seen: String,
    pub is_over: bool,
    pub has_hole: bool,
    place: Option<Place>,
}

/// What the worker has on its way.
#[derive(Debug)]
enum Request {
    Write(Entry),
    Checkpoint(At, String),
    Renew,
    Finish(Status, String),
}

#[derive(Debug)]
enum Answer {
    Written(Entry, bool),
    Kept(bool),
    Renewed { is_mine: bool, is_cancelled: bool },
    Finished(Option<Status>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Working,
    Finishing,
    Gone,
}

pub struct World {
    fences: Fences,
    dice: StdRng,
    now: u64,
    pub row: Row,
    pub log: Vec<Entry>,
    /// What the log's channel carries to the node that follows.
    said: VecDeque<Entry>,
    worker: Arc<Live>,
    writer: Arc<Writer>,
    standing: Standing,
    is_still: bool,
    /// Something came to be kept after the reaper had read and before it ended the run.
    pub raced: bool,
    spoken: usize,
    pending: String,
    is_begun: bool,
    writes: VecDeque<Request>,
    others: Vec<Request>,
    answers: VecDeque<Answer>,
    reaping: Option<String>,
    follower: Live,
    pub here: Viewer,
    pub there: Viewer,
}

fn live() -> Live {
    Live::new(
        UserId::fresh(),
        RunId::fresh(),
        SessionId::fresh(),
        MessageId::fresh(),
    )
}

impl World {
    pub fn play(fences: Fences, seed: u64) -> Held {
        let mut world = Self::begin(fences, seed);
        for _ in 0..STEPS {
            world.step();
            laws::at_all_times(&world)?;
        }
        // Everybody comes back, what is on its way arrives, and the lease of one that is gone runs out.
        world.thaw();
        for _ in 0..ROUNDS {
            world.now += 1;
            world.arrive();
            world.work();
            world.look();
            world.reap();
            // in every second story no hint arrives any more
            world.hear(seed % 2 == 1);
            world.look_up();
            world.read();
            laws::at_all_times(&world)?;
            laws::in_time(&world)?;
        }
        laws::in_the_end(&world)
    }

    fn begin(fences: Fences, seed: u64) -> Self {
        let worker = Arc::new(live());
        worker.begin_here(ATTEMPT);
        Self {
            fences,
            dice: StdRng::seed_from_u64(seed),
            now: 0,
            row: Row {
                status: Status::Streaming,
                text: String::new(),
                checkpoint: None,
                lease_until: LEASE,
                is_cancel_requested: false,
                ends: 0,
                was_taken_alive: false,
                was_stop_promised: false,
            },
            log: Vec::new(),
            said: VecDeque::new(),
            writer: Writer::new(Arc::clone(&worker)),
            worker,
            standing: Standing::Working,
            is_still: false,
            raced: false,
            spoken: 0,
            pending: String::new(),
            is_begun: false,
            writes: VecDeque::new(),
            others: Vec::new(),
            answers: VecDeque::new(),
            reaping: None,
            follower: live(),
            here: Viewer::default(),
            there: Viewer::default(),
        }
    }

    fn step(&mut self) {
        match self.dice.random_range(0..100) {
            0..30 => self.work(),
            30..52 => self.arrive_one(),
            52..64 => self.now += 1,
            64..68 if self.is_still => self.thaw(),
            64..67 => self.is_still = true,
            67 => self.kill(),
            68..74 => self.look(),
            74..80 => self.reap(),
            80..88 => {
                let is_lost = self.dice.random_bool(0.4);
                self.hear(is_lost);
            }
            88..91 => self.look_up(),
            91 => self.cancel(),
            _ => self.read(),
        }
    }

    /// Somebody has had time to see that the lease is over, and the follower to see that the run is.
    pub fn is_due(&self) -> bool {
        self.row.lease_until + REAPED_WITHIN < self.now
    }

    /// The longest text that the log or the row has.
    pub fn kept(&self) -> String {
        let mut kept = reaper::longest(&self.lost(), &self.log);
        if self.row.text.len() > kept.len() {
            kept.clone_from(&self.row.text);
        }
        kept
    }

    fn lost(&self) -> Lost {
        Lost {
            user: self.worker.user,
            run: self.worker.run,
            session: self.worker.session,
            attempt: ATTEMPT,
            checkpoint: self.row.checkpoint.clone(),
        }
    }

    // The worker.

    fn thaw(&mut self) {
        self.is_still = false;
    }

    /// What it had on its way got there up to some entry, and no further.
    fn kill(&mut self) {
        if self.standing == Standing::Gone {
            return;
        }
        self.standing = Standing::Gone;
        while !self.writes.is_empty() && self.dice.random_bool(0.5) {
            self.write_one();
        }
        self.writes.clear();
        self.others.clear();
        // its node is gone, and who watched there looks elsewhere
        self.worker.leave();
    }

    fn work(&mut self) {
        if self.is_still || self.standing == Standing::Gone {
            return;
        }
        while let Some(answer) = self.answers.pop_front() {
            self.take(answer);
        }
        if self.worker.is_left() {
            self.standing = Standing::Gone;
            return;
        }
        if self.standing == Standing::Finishing {
            self.renew();
            return;
        }
        if self.worker.cancel.is_cancelled() {
            self.finish(Status::Cancelled);
            return;
        }
        match self.dice.random_range(0..10) {
            0..4 => self.speak(),
            4..6 => self.flush(),
            6 => {
                let Entry { at, what } = self.worker.whole();
                if let What::Whole { text } = what {
                    self.others.push(Request::Checkpoint(at, text));
                }
            }
            _ => self.renew(),
        }
    }

    fn renew(&mut self) {
        let is_on_its_way = |request: &Request| matches!(request, Request::Renew);
        if !self.others.iter().any(is_on_its_way) {
            self.others.push(Request::Renew);
        }
    }

    fn speak(&mut self) {
        if self.spoken == WORDS {
            self.finish(Status::Complete);
            return;
        }
        self.pending.push_str(&word(self.spoken));
        self.spoken += 1;
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if !self.is_begun {
            self.is_begun = true;
            let at = At {
                attempt: ATTEMPT,
                idx: 0,
            };
            let begun = Entry {
                at,
                what: What::Begun,
            };
            self.writes.push_back(Request::Write(begun));
        }
        let entry = self.worker.append(&std::mem::take(&mut self.pending));
        if !self.fences.has(Fence::ShownIsLogged) {
            self.worker.reveal_all();
        }
        self.writes.push_back(Request::Write(entry));
    }

    fn finish(&mut self, status: Status) {
        if self.fences.has(Fence::AllSaid) {
            self.flush();
        }
        self.standing = Standing::Finishing;
        self.others.push(Request::Finish(status, self.worker.text()));
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Written(entry, is_taken) => {
                log::note(&self.writer, &entry, &redis_says(is_taken));
            }
            Answer::Kept(true) => {}
            Answer::Kept(false) if self.worker.is_ended() => {}
            Answer::Kept(false) => self.worker.lose(),
            Answer::Renewed {
                is_cancelled: true, ..
            } => self.worker.cancel.cancel(),
            Answer::Renewed { is_mine: true, .. } => {}
            Answer::Renewed { .. } if self.worker.is_ended() => {}
            Answer::Renewed { .. } => self.worker.lose(),
            Answer::Finished(Some(status)) => {
                let entry = self.worker.finish("", End { status, seq: 1 });
                self.writes.push_back(Request::Write(entry));
                self.standing = Standing::Gone;
            }
            Answer::Finished(None) => {
                self.worker.leave();
                self.standing = Standing::Gone;
            }
        }
    }

    // What is on its way. Entries keep their order; all else comes as it comes.

    fn arrive(&mut self) {
        while !self.writes.is_empty() || !self.others.is_empty() {
            self.arrive_one();
        }
    }

    fn arrive_one(&mut self) {
        if self.others.is_empty() || (!self.writes.is_empty() && self.dice.random_bool(0.6)) {
            self.write_one();
            return;
        }
        let which = self.dice.random_range(0..self.others.len());
        let answer = match self.others.swap_remove(which) {
            Request::Checkpoint(at, text) => Answer::Kept(self.checkpoint(at, text)),
            Request::Finish(status, text) => Answer::Finished(self.end(status, &text, false)),
            Request::Renew | Request::Write(_) => self.renewed(),
        };
        self.answers.push_back(answer);
    }

    fn write_one(&mut self) {
        if let Some(Request::Write(entry)) = self.writes.pop_front() {
            let is_taken = self.add(entry.clone());
            self.raced |= is_taken && self.reaping.is_some();
            if is_taken || !self.fences.has(Fence::RefusedUnsaid) {
                self.said.push_back(entry.clone());
            }
            self.answers.push_back(Answer::Written(entry, is_taken));
        }
    }

    /// As XADD does: an entry that is not above the newest is refused.
    fn add(&mut self, entry: Entry) -> bool {
        let is_above = self.log.iter().all(|newest| entry.at > newest.at);
        let is_taken = is_above || !self.fences.has(Fence::Log);
        if is_taken {
            self.log.push(entry);
        }
        is_taken
    }

    fn checkpoint(&mut self, at: At, text: String) -> bool {
        let is_mine = self.row.status == Status::Streaming || !self.fences.has(Fence::Checkpoint);
        if is_mine {
            self.raced |= self.reaping.is_some();
            self.row.checkpoint = Some((at, text));
        }
        is_mine
    }

    fn renewed(&mut self) -> Answer {
        let is_mine = self.row.status == Status::Streaming;
        if is_mine {
            self.row.lease_until = self.now + LEASE;
        }
        Answer::Renewed {
            is_mine,
            is_cancelled: is_mine && self.row.is_cancel_requested,
        }
    }

    /// As `messages::finish`.
    fn end(&mut self, status: Status, text: &str, by_another: bool) -> Option<Status> {
        let is_good = self.row.lease_until >= self.now;
        let is_made = self.row.status == Status::Streaming || !self.fences.has(Fence::Finish);
        let may = !by_another || !is_good || !self.fences.has(Fence::OnlyIfLost);
        if !is_made || !may {
            return None;
        }
        let is_kept = self.row.is_cancel_requested && self.fences.has(Fence::CancelKept);
        self.row.status = if is_kept { Status::Cancelled } else { status };
        text.clone_into(&mut self.row.text);
        self.row.checkpoint = None;
        self.row.ends += 1;
        self.row.was_taken_alive |= by_another && is_good;
        Some(self.row.status)
    }

    fn cancel(&mut self) {
        if self.row.status == Status::Streaming {
            self.row.is_cancel_requested = true;
            self.row.was_stop_promised = true;
        }
    }

    // The reaper, on another node: it reads, and only later ends.

    fn look(&mut self) {
        let is_lost = self.row.status == Status::Streaming && self.row.lease_until < self.now;
        if is_lost && self.reaping.is_none() && self.fences.has(Fence::Reaped) {
            self.reaping = Some(reaper::longest(&self.lost(), &self.log));
        }
    }

    fn reap(&mut self) {
        let Some(text) = self.reaping.take() else { return };
        let Some(status) = self.end(Status::Interrupted, &text, true) else {
            return;
        };
        let at = At {
            attempt: ATTEMPT + 1,
            idx: 0,
        };
        let end = Entry {
            at,
            what: What::End { status, seq: 1 },
        };
        self.add(end.clone());
        self.said.push_back(end);
    }

    // The node that follows.

    fn hear(&mut self, is_lost: bool) {
        let Some(entry) = self.said.pop_front() else {
            return;
        };
        if !is_lost && self.follower.take(&entry) == Taken::Gap {
            let after = self.follower.at();
            for entry in self.log.iter().filter(|entry| entry.at > after) {
                self.follower.take(entry);
            }
        }
    }

    fn look_up(&mut self) {
        if !self.fences.has(Fence::LookedUp) {
            return;
        }
        if self.row.status.is_terminal() {
            self.follower.end(End {
                status: self.row.status,
                seq: 1,
            });
        } else if let Some((at, text)) = self.row.checkpoint.clone() {
            self.follower.restore(at, text);
        }
    }

    fn read(&mut self) {
        self.here.read(&self.worker);
        self.there.read(&self.follower);
    }
}

impl Viewer {
    fn read(&mut self, live: &Live) {
        let news = live.news(self.place);
        if let Some(piece) = news.piece {
            self.place = Some(piece.place());
            match piece {
                Piece::Whole { text, .. } => self.seen = text,
                Piece::More { offset, text, .. } => {
                    self.has_hole |= offset != self.seen.len();
                    self.seen.push_str(&text);
                }
            }
        }
        self.is_over |= news.end.is_some();
    }
}

fn redis_says(is_taken: bool) -> redis::RedisResult<redis::Value> {
    if is_taken {
        return Ok(redis::Value::Okay);
    }
    let why = "The ID specified in XADD is equal or smaller than the target stream top item";
    Err(redis::RedisError::from((
        redis::ErrorKind::Extension,
        "ERR",
        why.to_owned(),
    )))
}
