//! A device whose disk outlives it: what is kept when it crashes between two effects, and how it comes back.
//!
//! A [`Tab`] keeps nothing; [`Body`] does for it what the desktop's files do: every plan of the outbox before it is real,
//! what was accepted, and the epoch that it was accepted in.

use super::super::{Input, Tab, Want};
use super::rules::{Rule, Rules};
use super::script::Kind;
use crate::engine::{self, Effect, Event, Moment, Ticket};
use crate::outbox::{Entry, Outbox, Plan, Standing};
use crate::replica::Replica;
use crate::store::{Letters, Twin};
use protocol::frame::ServerFrame;
use protocol::mutation::{Op, OpResult};
use protocol::sync::{Cursor, Epoch, Seq, SessionsBefore, SyncPage};
use protocol::{Code, MessageId, MutationId, SessionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a body with a disk adds to a tab.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    rules: Rules,
    /// Steps that are still taken before it crashes; `None`: it does not.
    pub fuse: Option<usize>,
    /// It has crashed: what was on disk then.
    kept: Option<Box<Kept>>,
    /// What the outbox's file says: what is open, refused, or was accepted.
    pub letters: BTreeMap<i64, Entry>,
    /// Plans that are in there, and not yet in the file itself.
    plans: Vec<Plan>,
    /// Plans that are real and not written down ([`Rule::Written`] is off).
    unwritten: Vec<Plan>,
    epoch: Option<Epoch>,
    /// What was applied to the rows, and not yet to the files.
    applied: Vec<Effect>,
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    replica: Replica,
    lists: Vec<(bool, SessionsBefore)>,
}

impl Body {
    fn keep(&mut self, mut plan: Plan) {
        if !self.rules.keep(Rule::Journal) {
            let is_accepted = |entry: &Entry| matches!(entry.standing, Standing::Acked { .. });
            let accepted = plan.put.extract_if(.., |entry| is_accepted(entry));
            plan.drop.extend(accepted.map(|entry| entry.n));
        }
        for n in &plan.drop {
            self.letters.remove(n);
        }
        for entry in &plan.put {
            self.letters.insert(entry.n, entry.clone());
        }
        self.plans.push(plan);
    }
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

    /// Stands before every plan: writes it down. Whether the device lives to make it real.
    pub(in crate::tab) fn write_down(&mut self, plan: &Plan) -> bool {
        if plan.is_empty() {
            return true;
        }
        if !self.body.rules.keep(Rule::Written) {
            self.body.unwritten.push(plan.clone());
            return !self.crashes();
        }
        if self.crashes() {
            return false;
        }
        self.body.keep(plan.clone());
        !self.crashes()
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
                if self.crashes() {
                    return None;
                }
                self.body.epoch = Some(epoch);
            }
            return (!self.crashes()).then_some(effect);
        }
        match effect {
            Effect::ApplyPage(page) if !self.body.rules.keep(Rule::OneCommit) => {
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
            replica: self.replica.clone(),
            lists: self.lists.clone(),
        }
    }

    /// What was accepted is to be sent again.
    fn give_back(&mut self) {
        let is_accepted = |entry: &&Entry| matches!(entry.standing, Standing::Acked { .. });
        let journal: Vec<Entry> = self.body.letters.values().filter(is_accepted).cloned().collect();
        let plan = self.outbox.requeue(journal);
        self.make_real(&plan);
    }
}

/// Sessions whose messages a device with little room keeps.
const HELD: usize = 2;

/// A device, what it asked for, and what is on its way to it.
#[derive(Debug)]
pub struct Phone {
    pub tab: Tab,
    pub kind: Kind,
    /// Its cache in SQLite, where it outlives the device and every rule is kept.
    pub disk: Option<Twin>,
    /// Its outbox in SQLite, which it begins from again.
    pub letters: Letters,
    /// What somebody looked at, the last last.
    looked_at: Vec<SessionId>,
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
    pub fn new(kind: Kind, skew: i64, rules: Rules) -> Self {
        let mut tab = Tab::new();
        tab.body.rules = rules;
        let has_disk = kind != Kind::Page && rules.keep_all();
        Self {
            tab,
            kind,
            disk: has_disk.then(|| Twin::new().unwrap()),
            letters: Letters::new().unwrap(),
            looked_at: Vec::new(),
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

    pub fn look_at(&mut self, session: SessionId) {
        self.looked_at.retain(|seen| *seen != session);
        self.looked_at.push(session);
    }

    /// A device with little room keeps the messages of what was looked at last.
    fn make_room(&mut self) {
        let least = self.looked_at.len().saturating_sub(HELD);
        let replica = self.tab.replica();
        let has_messages = |id: &SessionId| replica.messages(*id).next().is_some();
        let ids = replica.sessions().map(|session| session.id);
        let held: Vec<SessionId> = ids.filter(has_messages).collect();
        for session in held {
            if !self.looked_at[least..].contains(&session) {
                self.tab.windows.remove(&session);
                self.give_up(session);
            }
        }
    }

    /// A text was taken, as its writer is told.
    pub fn took_text(&mut self, session: SessionId, message: MessageId) {
        let is_it =
            |entry: &Entry| matches!(entry.mutation.op, Op::MessageCreate { id, .. } if id == message);
        if self.is_believed_kept(is_it) {
            self.written.insert((session, message));
        }
    }

    /// A session was begun, as its maker is told.
    pub fn took_session(&mut self, session: SessionId) {
        if self.is_believed_kept(|entry| entry.mutation.op.session() == session) {
            self.begun.insert(session);
        }
    }

    /// Whoever is told only of what is on the disk is not told where the device crashes before.
    fn is_believed_kept(&self, is_it: impl Fn(&Entry) -> bool) -> bool {
        let body = &self.tab.body;
        !body.rules.keep(Rule::Written) || body.letters.values().any(is_it)
    }

    /// What the body has written down is in the files.
    pub fn write_files(&mut self) {
        let body = &mut self.tab.body;
        let unwritten = std::mem::take(&mut body.unwritten);
        if body.kept.is_none() {
            for plan in unwritten {
                body.keep(plan);
            }
        }
        for plan in std::mem::take(&mut body.plans) {
            self.letters.keep(&plan).unwrap();
        }
    }

    /// One turn, in memory and on disk.
    pub fn turn(&mut self, input: &Input, now: Moment) -> Vec<Want> {
        if let Input::Loaded {
            result: Ok(history), ..
        } = input
            && !self.tab.body.rules.keep(Rule::Newer)
        {
            self.tab.replica.make_way(history.session, history.lo, history.hi);
        }
        let wants = self.turn_on_disk(input, now);
        self.write_files();
        if self.kind == Kind::Windowed && !self.has_crashed() {
            self.make_room();
        }
        wants
    }

    fn turn_on_disk(&mut self, input: &Input, now: Moment) -> Vec<Want> {
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

    /// What the server has said of writes.
    pub fn hear(&mut self, input: &Input) {
        let Input::Uploaded {
            lane,
            result: Ok(answer),
        } = input
        else {
            return;
        };
        if !self.tab.sent.contains_key(lane) {
            return;
        }
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

    /// Drops the device and builds it anew from what its files have. Returns how it begins.
    pub fn restart(&mut self) -> Input {
        let mut body = std::mem::take(&mut self.tab.body);
        let kept = body.kept.take().map_or_else(|| self.tab.on_disk(), |kept| *kept);
        let (replica, lists) = match self.kind {
            Kind::Whole | Kind::Windowed => (kept.replica, kept.lists),
            Kind::Page => (Replica::default(), Vec::new()),
        };
        let cursor = replica.cursor();
        let found = self.letters.load(replica.whole()).unwrap();
        let mut outbox = Outbox::load_after(found.entries, found.last);
        if let Some(epoch) = body.epoch {
            outbox.enter(epoch);
        }
        body.fuse = None;
        self.tab = Tab {
            replica,
            lists,
            body,
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
    pub fn taken_for(&self, mut input: Input) -> Input {
        let rules = self.tab.body.rules;
        if !rules.keep(Rule::Answer)
            && let Input::Uploaded {
                result: Ok(answer), ..
            } = &mut input
            && let Some(epoch) = self.tab.body.epoch
        {
            answer.epoch = epoch;
        }
        let Some(rows) = self.tab.replica.cursor() else {
            return input;
        };
        if let Some(page) = page_in(&mut input) {
            *page = self.page_taken_for(page.clone());
        }
        if !rules.keep(Rule::AsOf) || !rules.keep(Rule::Newer) {
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

impl Phone {
    /// A page as [`Phone::taken_for`] has it.
    pub fn page_taken_for(&self, page: SyncPage) -> SyncPage {
        match self.tab.state.cursor() {
            Some(here) if !self.tab.body.rules.keep(Rule::From) => SyncPage { from: here, ..page },
            Some(_) | None => page,
        }
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
