//! The turns of a device in memory: the engine's effects are carried out on the rows, or handed on as wants.

use super::{FIRST_LOAD, Input, Tab, Want};
use crate::engine::{self, Effect, Event, Failure, Fault, Moment};
use crate::outbox::{Plan, Report};
use crate::replica::{Applied, Verdict};
use crate::tails::Step;
use protocol::frame::LiveRun;
use protocol::mutation::BatchAnswer;
use protocol::sync::{Bootstrap, Change, Cursor, History, Ord, SessionsPage, SyncPage};
use protocol::view::Push;
use protocol::{SessionId, limits};

impl Tab {
    /// One turn.
    pub fn turn(&mut self, input: Input, now: Moment) -> Vec<Want> {
        let mut wants = Vec::new();
        match input {
            Input::Engine(Event::SignedOut) => {
                self.run_engine(Event::SignedOut, now, &mut wants);
                *self = Self {
                    state: self.state.clone(),
                    ..Self::new()
                };
                wants.push(Want::Push(Push::List));
            }
            Input::Engine(event) => {
                if event == Event::Tick {
                    self.armed = None;
                    self.engine_due = None;
                }
                if matches!(event, Event::SignedIn { .. } | Event::Renewed) {
                    self.lanes.resume();
                }
                let is_tick = event == Event::Tick;
                self.run_engine(event, now, &mut wants);
                if is_tick {
                    // What failed to load is asked for again.
                    self.load_opened(&mut wants);
                }
            }
            Input::Uploaded { lane, result } => self.uploaded(lane, result, now, &mut wants),
            Input::Loaded { session, result } => self.loaded(session, result, &mut wants),
            Input::ListLoaded { result } => self.list_loaded(result, &mut wants),
            Input::Streamed(frame) => push_step(self.tails.feed(&frame), &mut wants),
        }
        self.upload(now, &mut wants);
        self.arm(now, &mut wants);
        wants
    }

    fn run_engine(&mut self, event: Event, now: Moment, wants: &mut Vec<Want>) {
        let (state, effects) = engine::step(std::mem::take(&mut self.state), event, now);
        self.state = state;
        for effect in effects {
            self.carry_out(effect, now, wants);
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Moment, wants: &mut Vec<Want>) {
        #[cfg(any(test, feature = "model"))]
        let Some(effect) = self.meet(effect) else { return };
        match effect {
            Effect::Bootstrap { ticket } => wants.push(Want::Bootstrap { ticket }),
            Effect::Pull { ticket, from, wait } => wants.push(Want::Pull { ticket, from, wait }),
            Effect::ApplyBootstrap(bootstrap) => self.take_bootstrap(&bootstrap, wants),
            Effect::ApplyPage(page) => self.take_page(&page, wants),
            Effect::OpenSocket { ticket, cursor } => wants.push(Want::OpenSocket { ticket, cursor }),
            Effect::CloseSocket => wants.push(Want::CloseSocket),
            Effect::Send(frame) => wants.push(Want::Send(frame)),
            Effect::Probe { ticket } => wants.push(Want::Probe { ticket }),
            Effect::Authenticate => {}
            Effect::Renew => wants.push(Want::Renew),
            Effect::Timer { at } => self.engine_due = Some(at),
            Effect::Reset { reason } => {
                if engine::is_rollback(reason) {
                    let plan = self.outbox.requeue([]);
                    self.make_real(&plan);
                }
                self.run_engine(Event::ResetReady, now, wants);
            }
            Effect::Live(live) => self.attach(live, wants),
            Effect::Run(frame) => {
                let step = self.tails.feed(&frame);
                push_step(step, wants);
            }
            Effect::Show(connection) => {
                wants.push(Want::Push(Push::Connection { connection }));
                self.load_opened(wants);
            }
            Effect::Upload => self.lanes.resume(),
            Effect::Fault(Fault::Stopped(_) | Fault::TooManyResets | Fault::DiskFull) => {}
        }
    }

    /// In memory a plan is real at once; a body with a disk writes it down first.
    pub(super) fn make_real(&mut self, plan: &Plan) {
        #[cfg(any(test, feature = "model"))]
        if !self.write_down(plan) {
            return;
        }
        self.outbox.apply(plan);
    }

    fn take_bootstrap(&mut self, bootstrap: &Bootstrap, wants: &mut Vec<Want>) {
        if self.outbox.enter(bootstrap.as_of.epoch) {
            let plan = self.outbox.requeue([]);
            self.make_real(&plan);
        }
        let applied = self.replica.apply_bootstrap(bootstrap);
        self.tails.clear();
        let lists = bootstrap
            .more
            .into_iter()
            .flat_map(|more| [(false, more), (true, more)]);
        self.lists = lists.collect();
        for history in &bootstrap.histories {
            self.follow(history, wants);
        }
        self.tell(&applied, wants);
        // What is still on its way was read before.
        self.loading.clear();
        self.load_opened(wants);
    }

    fn take_page(&mut self, page: &SyncPage, wants: &mut Vec<Want>) {
        let applied = self.replica.apply_page(page);
        for change in &page.changes {
            match change {
                Change::Message(message) => {
                    self.tails.settle(message);
                    wants.extend(self.tails.begin_from(message).map(Want::Send));
                }
                Change::SessionGone { id, .. } => self.tails.forget(*id),
                Change::Session(_) => {}
            }
        }
        self.tell(&applied, wants);
    }

    fn follow(&mut self, history: &History, wants: &mut Vec<Want>) {
        for message in &history.messages {
            self.tails.settle(message);
            wants.extend(self.tails.begin_from(message).map(Want::Send));
        }
    }

    fn attach(&mut self, live: Vec<LiveRun>, wants: &mut Vec<Want>) {
        for run in live.into_iter().take(limits::ATTACHED_RUNS) {
            self.tails.begin(run);
        }
        let frames = self.tails.attach_all().into_iter().take(limits::ATTACHED_RUNS);
        wants.extend(frames.map(Want::Send));
    }

    fn tell(&mut self, applied: &Applied, wants: &mut Vec<Want>) {
        self.settle();
        if applied.list {
            wants.push(Want::Push(Push::List));
        }
        for session in &applied.sessions {
            wants.push(Want::Push(Push::Transcript { session: *session }));
        }
        self.load_lists(wants);
    }

    fn load_opened(&mut self, wants: &mut Vec<Want>) {
        let opened: Vec<SessionId> = self.windows.keys().copied().collect();
        for session in opened {
            self.load_missing(session, FIRST_LOAD, wants);
        }
        if self.is_loaded() && self.state.may_upload() {
            self.load_lists(wants);
        }
    }

    pub(super) fn load_missing(&mut self, session: SessionId, want: Ord, wants: &mut Vec<Want>) {
        if !self.is_loaded() || !self.state.may_upload() {
            return;
        }
        if let Some(before) = self.replica.missing(session, want)
            && self.loading.insert(session)
        {
            wants.push(Want::Load { session, before });
        }
    }

    fn loaded(&mut self, session: SessionId, result: Result<History, Failure>, wants: &mut Vec<Want>) {
        self.loading.remove(&session);
        let Ok(history) = result else { return };
        let applied = self.replica.apply_history(&history);
        if applied.verdict == Verdict::Applied {
            self.follow(&history, wants);
            self.tell(&applied, wants);
        } else if self.is_of_this_history(history.as_of) {
            self.load_missing(session, FIRST_LOAD, wants);
        }
    }

    /// Whether a read that came too late may be asked for again at once. One of another history stays so until the
    /// fresh start, which asks for everything itself.
    fn is_of_this_history(&self, as_of: Cursor) -> bool {
        self.replica
            .cursor()
            .is_some_and(|cursor| cursor.epoch == as_of.epoch)
    }

    fn load_lists(&mut self, wants: &mut Vec<Want>) {
        if let (Some(&(archived, before)), None) = (self.lists.first(), self.list_asked) {
            self.list_asked = Some((archived, before));
            wants.push(Want::LoadList { archived, before });
        }
    }

    fn list_loaded(&mut self, result: Result<SessionsPage, Failure>, wants: &mut Vec<Want>) {
        let asked = self.list_asked.take();
        let Ok(page) = result else { return };
        if !self.is_of_this_history(page.as_of) {
            // The fresh start may have come meanwhile, with a list of its own.
            if self.lists.first().copied() != asked {
                self.load_lists(wants);
            }
            return;
        }
        let applied = self.replica.apply_sessions(&page);
        if applied.verdict == Verdict::Applied && self.lists.first().copied() == asked {
            match (page.more, self.lists.first_mut()) {
                (Some(more), Some((_, before))) => *before = more,
                (Some(_), None) => {}
                (None, _) => {
                    self.lists = self.lists.split_off(1.min(self.lists.len()));
                    if self.lists.is_empty() {
                        self.replica.finish_list(page.as_of);
                    }
                }
            }
        }
        self.tell(&applied, wants);
    }

    /// Sends what each lane may send now.
    pub(super) fn upload(&mut self, now: Moment, wants: &mut Vec<Want>) {
        if !self.state.may_upload() {
            return;
        }
        for (lane, most) in self.lanes.ready(&self.outbox, now.at) {
            if let Some((batch, plan)) = self.outbox.dispatch(lane, most, now.at) {
                self.make_real(&plan);
                self.lanes.sending(lane);
                self.sent.insert(lane, batch.clone());
                wants.push(Want::Upload { lane, batch });
            }
        }
    }

    fn uploaded(
        &mut self,
        lane: SessionId,
        result: Result<BatchAnswer, Failure>,
        now: Moment,
        wants: &mut Vec<Want>,
    ) {
        let Some(batch) = self.sent.remove(&lane) else {
            return;
        };
        let plan: Plan = match &result {
            Ok(answer) => self.outbox.answered(&batch, answer, self.replica.is_gone(lane)),
            Err(failure) => self.outbox.failed(&batch, failure),
        };
        self.make_real(&plan);
        match &result {
            Ok(_) => self.lanes.answered(lane, plan.again, now),
            Err(failure) => self.lanes.failed(lane, failure, now),
        }
        self.settle();
        wants.push(Want::Push(Push::List));
        wants.push(Want::Push(Push::Transcript { session: lane }));
        for Report { problem, .. } in plan.reports {
            wants.push(Want::Push(Push::Refused { problem }));
        }
        if result == Err(Failure::Unauthorized) {
            wants.push(Want::Renew);
        }
    }

    /// Without a cursor a fresh start is on its way, and may begin another history: what was accepted is kept till then.
    fn settle(&mut self) {
        if self.state.cursor().is_some() {
            self.outbox.settle(self.replica.whole());
        }
    }

    /// One timer for the engine and the lanes: the earlier of the two.
    pub(super) fn arm(&mut self, now: Moment, wants: &mut Vec<Want>) {
        let lanes = self.lanes.next_at(&self.outbox, now.at);
        let due = self.engine_due.into_iter().chain(lanes).min();
        if let Some(at) = due
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            wants.push(Want::Timer { at });
        }
    }
}

fn push_step(step: Step, wants: &mut Vec<Want>) {
    match step {
        Step::Grew {
            session,
            message,
            offset,
            text,
        } => wants.push(Want::Push(Push::Tail {
            session,
            message,
            offset,
            text,
        })),
        Step::Changed { session } => wants.push(Want::Push(Push::Transcript { session })),
        Step::Again(frame) => wants.push(Want::Send(frame)),
        Step::Nothing => {}
    }
}
