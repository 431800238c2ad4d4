//! A device whose disk outlives it: what is kept when it crashes between two effects, and how it comes back.
//!
//! A [`Tab`] keeps nothing; [`Body`] does for it what the desktop's files do: the journal of accepted writes, and the
//! epoch that they were accepted in.

use super::super::{Input, Tab, Want};
use super::rules::{Rule, Rules};
use crate::engine::{self, Effect, Event, Moment, Ticket};
use crate::outbox::{Entry, Outbox, Plan, Standing};
use crate::replica::Replica;
use crate::store::Twin;
use protocol::frame::ServerFrame;
use protocol::mutation::OpResult;
use protocol::sync::{Cursor, Epoch, Seq, SessionsBefore, SyncPage};
use protocol::{Code, MessageId, MutationId, SessionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a body with a disk adds to a tab.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Effects that are still carried out before it crashes; `None`: it does not.
    pub fuse: Option<usize>,
    /// It has crashed: what was on disk then.
    kept: Option<Box<Kept>>,
    /// Accepted writes, also those that the outbox in memory has let go of.
    pub journal: BTreeMap<i64, Entry>,
    epoch: Option<Epoch>,
    /// The cursor is committed before its rows ([`Rule::OneCommit`] is off).
    is_in_two_steps: bool,
    /// What was applied to the rows, and not yet to the files.
    applied: Vec<Effect>,
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    outbox: Vec<Entry>,
    replica: Replica,
    lists: Vec<(bool, SessionsBefore)>,
}

impl Tab {
    /// Stands before every effect: what is left of it to carry out. The seam is here, and not in the product's
    /// code, so that nothing that is shipped can crash on purpose or commit by halves.
    pub(in crate::tab) fn meet(&mut self, effect: Effect) -> Option<Effect> {
        let effect = self.left_of(effect)?;
        if let Effect::ApplyBootstrap(_) | Effect::ApplyPage(_) = &effect {
            self.body.applied.push(effect.clone());
        }
        Some(effect)
    }

    fn left_of(&mut self, effect: Effect) -> Option<Effect> {
        if self.crashes() {
            return None;
        }
        if let Effect::Reset { reason } = &effect
            && engine::is_rollback(*reason)
        {
            self.give_back();
        }
        if let Effect::ApplyBootstrap(first) = &effect {
            let epoch = first.as_of.epoch;
            if self.body.epoch != Some(epoch) {
                self.give_back();
            }
            self.body.epoch = Some(epoch);
            return (!self.crashes()).then_some(effect);
        }
        match effect {
            Effect::ApplyPage(page) if self.body.is_in_two_steps => {
                let changes = Vec::new();
                self.replica.apply_page(&SyncPage {
                    changes,
                    ..(*page).clone()
                });
                let rest = Effect::ApplyPage(Box::new(SyncPage {
                    from: page.to,
                    ..*page
                }));
                (!self.crashes()).then_some(rest)
            }
            other => Some(other),
        }
    }

    fn crashes(&mut self) -> bool {
        match &mut self.body.fuse {
            _burnt if self.body.kept.is_some() => true,
            None => false,
            Some(0) => {
                self.body.kept = Some(Box::new(self.on_disk()));
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn on_disk(&self) -> Kept {
        Kept {
            outbox: self.outbox.entries().cloned().collect(),
            replica: self.replica.clone(),
            lists: self.lists.clone(),
        }
    }

    fn give_back(&mut self) {
        let journal = std::mem::take(&mut self.body.journal);
        let plan = self.outbox.requeue(journal.into_values());
        self.outbox.apply(&plan);
    }
}

/// A device, what it asked for, and what is on its way to it.
#[derive(Debug)]
pub struct Phone {
    pub tab: Tab,
    /// Whether its cache outlives it; the outbox always does.
    keeps_rows: bool,
    /// That cache in SQLite, where every rule is kept.
    pub disk: Option<Twin>,
    /// How wrong its clock is.
    pub skew: i64,
    pub asked: VecDeque<Want>,
    /// Answers read at the server and not yet arrived, each with its request.
    pub late: VecDeque<(Want, Input)>,
    /// Frames sent over a socket and not yet arrived.
    pub line: VecDeque<(Ticket, ServerFrame)>,
    pub socket: Option<Ticket>,
    /// How far the server believes it has told this device.
    pub told: Option<Cursor>,
    pub timer: Option<i64>,
    /// What was written here, ever.
    pub written: BTreeSet<(SessionId, MessageId)>,
    pub begun: BTreeSet<SessionId>,
    /// Where its last fresh start was read.
    pub begun_at: Seq,
    /// What the server has accepted from here, in whatever history, and never refused since.
    pub accepted: BTreeMap<MutationId, SessionId>,
    /// The last pages that came, applied or not.
    pub pages: VecDeque<SyncPage>,
    pub bootstraps: usize,
}

impl Phone {
    pub fn new(keeps_rows: bool, skew: i64, rules: Rules) -> Self {
        let mut tab = Tab::new();
        tab.body.is_in_two_steps = !rules.keep(Rule::OneCommit);
        Self {
            tab,
            keeps_rows,
            disk: (keeps_rows && rules.keep_all()).then(|| Twin::new().unwrap()),
            skew,
            asked: VecDeque::new(),
            late: VecDeque::new(),
            line: VecDeque::new(),
            socket: None,
            told: None,
            timer: None,
            written: BTreeSet::new(),
            begun: BTreeSet::new(),
            begun_at: Seq::MAX,
            accepted: BTreeMap::new(),
            pages: VecDeque::new(),
            bootstraps: 0,
        }
    }

    pub const fn has_crashed(&self) -> bool {
        self.tab.body.kept.is_some()
    }

    /// Whether the device stands in this history, as far as it knows.
    pub fn stands_in(&self, epoch: Epoch) -> bool {
        self.tab.body.epoch.is_none_or(|stands_in| stands_in == epoch)
    }

    /// One with something unsent or unread of the person's keeps its messages.
    pub fn give_up(&mut self, session: SessionId) {
        if self.tab.outbox.lane(session).next().is_none() {
            self.tab.replica.give_up(session);
            if let Some(disk) = &mut self.disk {
                disk.give_up(session).unwrap();
            }
        }
    }

    /// One turn, in memory and on disk.
    pub fn turn(&mut self, input: &Input, now: Moment) -> Vec<Want> {
        let had_lists = !self.tab.lists.is_empty();
        let wants = self.tab.turn(input.clone(), now);
        let applied = std::mem::take(&mut self.tab.body.applied);
        let Some(disk) = &mut self.disk else {
            return wants;
        };
        for effect in applied {
            match effect {
                Effect::ApplyBootstrap(first) => disk.bootstrap(&first).unwrap(),
                Effect::ApplyPage(page) => disk.page(&page).unwrap(),
                _other => {}
            }
        }
        match input {
            Input::Loaded {
                result: Ok(history), ..
            } => disk.history(history).unwrap(),
            Input::ListLoaded { result: Ok(page) } => {
                let ends_list = had_lists && self.tab.lists.is_empty();
                disk.sessions(page, ends_list).unwrap();
            }
            _other => {}
        }
        wants
    }

    /// Accepted writes are journalled as soon as the answer is taken.
    pub fn write_down(&mut self, input: &Input) {
        let Input::Uploaded {
            lane,
            result: Ok(answer),
        } = input
        else {
            return;
        };
        let Some(batch) = self.tab.sent.get(lane) else {
            return;
        };
        let is_gone = self.tab.replica.is_gone(*lane);
        let Plan { put, .. } = self.tab.outbox.answered(batch, answer, is_gone);
        let accepted = put
            .into_iter()
            .filter(|entry| matches!(entry.standing, Standing::Acked { .. }));
        self.tab
            .body
            .journal
            .extend(accepted.map(|entry| (entry.n, entry)));
        let is_told = self.stands_in(answer.epoch);
        for outcome in &answer.results {
            if self.tab.outbox.entry(outcome.id).is_none() {
                continue;
            }
            match &outcome.result {
                OpResult::Applied { .. } => {
                    self.accepted.insert(outcome.id, *lane);
                }
                // In a later history it may be refused after all; then that is what the person was told.
                OpResult::Refused { problem, .. } if is_told && problem.code != Code::NotFound => {
                    self.accepted.remove(&outcome.id);
                }
                OpResult::Refused { .. } | OpResult::Skipped => {}
            }
        }
    }

    /// Drops the device and builds it anew from what it had kept. Returns how it begins.
    pub fn restart(&mut self) -> Input {
        let body = std::mem::take(&mut self.tab.body);
        let kept = body.kept.map_or_else(|| self.tab.on_disk(), |kept| *kept);
        let (replica, lists) = if self.keeps_rows {
            (kept.replica, kept.lists)
        } else {
            (Replica::default(), Vec::new())
        };
        let cursor = replica.cursor();
        let passed = replica.whole();
        // As the desktop loads them: open, refused, and accepted where their rows may not be here.
        let accepted = body.journal.values().filter(|entry| match entry.standing {
            Standing::Acked { seq } => seq > passed,
            Standing::Queued | Standing::Inflight | Standing::Dead { .. } => false,
        });
        let mut entries: BTreeMap<i64, Entry> = accepted.map(|entry| (entry.n, entry.clone())).collect();
        entries.extend(kept.outbox.into_iter().map(|entry| (entry.n, entry)));
        let numbers = entries.keys().chain(body.journal.keys());
        let last = numbers.copied().max().unwrap_or(0);
        let mut outbox = Outbox::load_after(entries.into_values(), last);
        if let Some(epoch) = body.epoch {
            outbox.enter(epoch);
        }
        self.tab = Tab {
            replica,
            lists,
            body: Body {
                kept: None,
                fuse: None,
                ..body
            },
            ..Tab::with_outbox(outbox)
        };
        self.asked.clear();
        self.late.clear();
        self.line.clear();
        self.socket = None;
        self.told = None;
        self.timer = None;
        Input::Engine(Event::SignedIn { cursor })
    }

    /// What a device without a check takes for what came: to it every page begins where it stands, every read is fresh,
    /// and every answer is of its own history. It passes the check as if there were none.
    pub fn taken_for(&self, mut input: Input, rules: Rules) -> Input {
        if !rules.keep(Rule::Answer)
            && let Input::Uploaded {
                result: Ok(answer), ..
            } = &mut input
            && let Some(epoch) = self.tab.body.epoch
        {
            answer.epoch = epoch;
        }
        let (Some(here), Some(rows)) = (self.tab.state.cursor(), self.tab.replica.cursor()) else {
            return input;
        };
        if !rules.keep(Rule::From)
            && let Some(page) = page_in(&mut input)
        {
            page.from = here;
        }
        if !rules.keep(Rule::AsOf) {
            match &mut input {
                Input::Loaded {
                    result: Ok(history), ..
                } => history.as_of = rows,
                Input::ListLoaded { result: Ok(page) } => page.as_of = rows,
                _other => {}
            }
        }
        input
    }
}

/// The page that an answer or a frame carries.
pub fn page_in(input: &mut Input) -> Option<&mut SyncPage> {
    match input {
        Input::Engine(Event::Pulled { page, .. }) => Some(page),
        Input::Engine(Event::Frame { frame, .. }) => match &mut **frame {
            ServerFrame::Sync(page) => Some(page),
            _other => None,
        },
        _other => None,
    }
}
