//! The world of a run: the server, some devices, what befalls them, and the time.
//!
//! After a script the network is fair, and everybody must agree.

use super::device::{Phone, page_in};
use super::laws::{self, Broken};
use super::real::Real;
use super::rules::{Rule, Rules};
use super::script::{Deed, Kind, Script};
use super::server::Server;
use crate::engine::{Event, Failure, Fault, Moment, Phase, RESETS};
use crate::outbox::Entry;
use crate::tab::{Input, Want};
use protocol::SessionId;

/// Pages that are kept to be applied once more.
const OLD_PAGES: usize = 4;
/// Rounds of a fair network; a minute's back-off is nine of them.
const ROUNDS: usize = 400;

#[derive(Debug)]
pub struct World {
    /// The model's, or what an auditor sees of the real one.
    pub server: Server,
    pub(super) real: Option<Box<dyn Real>>,
    pub(super) backup: Server,
    pub phones: Vec<Phone>,
    pub rules: Rules,
    now: i64,
    texts: usize,
    /// The first law that did not hold.
    broken: Option<Broken>,
}

impl World {
    /// The clocks of every second device are wrong by the one, of the others by the other.
    pub(super) fn over(server: Server, rules: Rules, devices: &[Kind], skews: [i64; 2]) -> Self {
        let skews = skews.into_iter().cycle();
        let phones = devices.iter().zip(skews);
        let mut world = Self {
            backup: server.clone(),
            server,
            real: None,
            phones: phones
                .map(|(kind, skew)| Phone::new(*kind, skew, rules))
                .collect(),
            rules,
            now: 1_000,
            texts: 0,
            broken: None,
        };
        for index in 0..devices.len() {
            world.hand(index, Input::Engine(Event::SignedIn { cursor: None }));
        }
        world
    }

    /// Runs the script, then lets the network be fair.
    pub fn play(rules: Rules, skews: [i64; 2], script: &Script) -> Result<Self, Broken> {
        let mut world = Self::over(Server::lived_in(rules), rules, &script.devices, skews);
        world.live_through(&script.deeds)?;
        Ok(world)
    }

    pub(super) fn live_through(&mut self, deeds: &[(usize, Deed)]) -> Result<(), Broken> {
        for (index, deed) in deeds {
            let index = index % self.phones.len();
            self.person(index, deed);
            self.network(index, deed);
            self.trouble(index, deed);
            self.judge()?;
        }
        self.lane_isolation()?;
        self.settle("Convergence")?;
        self.read_everything()?;
        laws::at_the_end(self)
    }

    /// Writes to cursed sessions fail for ever, and all others arrive. Then the curse is lifted.
    fn lane_isolation(&mut self) -> Result<(), Broken> {
        if !self.server.cursed.is_empty() {
            self.settle("LaneIsolation")?;
            self.server.cursed.clear();
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<(), Broken> {
        match self.broken.take() {
            Some(broken) => Err(broken),
            None => laws::at_all_times(self),
        }
    }

    fn note(&mut self, held: Result<(), Broken>) {
        if let Err(broken) = held {
            self.broken.get_or_insert(broken);
        }
    }

    fn moment(&self, index: usize) -> Moment {
        Moment {
            at: self.now + self.phones[index].skew,
            chance: 0.5,
        }
    }

    pub(super) fn hand(&mut self, index: usize, input: Input) {
        let now = self.moment(index);
        let phone = &mut self.phones[index];
        let before = phone.tab.replica().clone();
        let mut taken = phone.taken_for(input.clone());
        let superseded = laws::superseded(phone, &taken);
        phone.hear(&taken);
        if let Input::Engine(Event::Bootstrapped { bootstrap, .. }) = &taken {
            phone.begun_at = bootstrap.as_of.seq;
        }
        let wants = phone.turn(&taken, now);
        if let Some(page) = page_in(&mut taken) {
            phone.pages.push_back(page.clone());
            if phone.pages.len() > OLD_PAGES {
                phone.pages.pop_front();
            }
        }
        if phone.has_crashed() {
            self.restart(index);
            return;
        }
        let held = laws::at_a_turn(&before, phone, &input, &taken)
            .and_then(|()| laws::human_title_wins(superseded, &wants));
        self.note(held);
        self.take(index, wants);
    }

    fn restart(&mut self, index: usize) {
        let input = self.phones[index].restart();
        let held = laws::disk_agrees(&self.phones[index]);
        self.note(held);
        self.hand(index, input);
    }

    pub(super) fn take(&mut self, index: usize, wants: Vec<Want>) {
        let phone = &mut self.phones[index];
        for want in wants {
            match want {
                Want::Timer { at } => phone.timer = Some(at),
                Want::CloseSocket => phone.socket = None,
                Want::Push(_) | Want::Send(_) => {}
                other => phone.asked.push_back(other),
            }
        }
    }

    pub(super) fn pass(&mut self, millis: i64) {
        self.now += millis;
        if !self.rules.keep(Rule::Timer) {
            return;
        }
        for index in 0..self.phones.len() {
            let now = self.moment(index).at;
            if self.phones[index].timer.is_some_and(|at| at <= now) {
                self.phones[index].timer = None;
                self.hand(index, Input::Engine(Event::Tick));
            }
        }
    }

    /// One of the sessions that the device shows, by their age, which no clock decides.
    fn session(&self, index: usize, which: usize) -> Option<SessionId> {
        let tab = &self.phones[index].tab;
        let mut shown: Vec<_> = tab
            .list(false, usize::MAX)
            .into_iter()
            .chain(tab.list(true, usize::MAX))
            .collect();
        shown.sort_by_key(|row| row.id);
        (!shown.is_empty()).then(|| shown[which % shown.len()].id)
    }

    fn person(&mut self, index: usize, deed: &Deed) {
        let now = self.moment(index);
        let which = match deed {
            Deed::Send(which)
            | Deed::Rename(which)
            | Deed::Archive(which)
            | Deed::Delete(which)
            | Deed::Open(which)
            | Deed::GiveUp(which)
            | Deed::Earlier(which) => *which,
            _other => 0,
        };
        let session = self.session(index, which);
        self.texts += 1;
        let words = format!("words {}", self.texts);
        let phone = &mut self.phones[index];
        if let (Deed::Send(_) | Deed::Open(_) | Deed::Earlier(_), Some(session)) = (deed, session) {
            phone.look_at(session);
        }
        // A session that is gone, and shown for the refused text in it, takes no more.
        let wants = match (deed, session) {
            (Deed::Create, _) => phone.tab.create(now).map(|(id, wants)| {
                phone.took_session(id);
                wants
            }),
            (Deed::Send(_), Some(session)) => phone.tab.send(session, &words, now).map(|(id, wants)| {
                phone.took_text(session, id);
                wants
            }),
            (Deed::Rename(_), Some(session)) => phone.tab.rename(session, &words, now),
            (Deed::Archive(which), Some(session)) => phone.tab.archive(session, which % 2 == 0, now),
            (Deed::Delete(_), Some(session)) => phone.tab.delete(session, now).map(|(_, wants)| wants),
            (Deed::GiveUp(_), Some(session)) => {
                phone.give_up(session);
                Ok(Vec::new())
            }
            (Deed::Open(_), Some(session)) => Ok(phone.tab.open(session)),
            (Deed::Earlier(_), Some(session)) => Ok(phone.tab.earlier(session)),
            _other => Ok(Vec::new()),
        };
        let wants = wants.unwrap_or_default();
        phone.write_files();
        if phone.has_crashed() {
            self.restart(index);
        } else {
            self.take(index, wants);
        }
    }

    fn trouble(&mut self, index: usize, deed: &Deed) {
        match deed {
            Deed::Shift(millis) => self.shift(index, *millis),
            Deed::Crash(0) => self.restart(index),
            Deed::Crash(after) => self.phones[index].tab.body.fuse = Some(*after),
            Deed::Restore => self.restore(),
            other if self.befall_real(other) => {}
            Deed::Finish(which) => self.server.finish(*which),
            Deed::Compact => self.server.compact(),
            Deed::Backup => self.backup = self.server.clone(),
            Deed::Curse(which) => self.server.cursed.extend(self.session(index, *which)),
            _other => {}
        }
    }

    /// A clock that is set forward is followed. One that is set back shows at the next start: while a device runs,
    /// its time never runs backwards.
    fn shift(&mut self, index: usize, millis: i64) {
        self.phones[index].skew += millis;
        if millis < 0 {
            self.restart(index);
        }
    }

    /// A server that is restored has been down: no socket outlives that. An answer may, in a device that is slow to take
    /// it.
    fn restore(&mut self) {
        self.server.restore(&self.backup);
        self.befall_real(&Deed::Restore);
        for index in 0..self.phones.len() {
            self.phones[index].line.clear();
            let late = std::mem::take(&mut self.phones[index].late);
            for (want, input) in late {
                if matches!(want, Want::OpenSocket { .. }) {
                    self.fail(index, &want, Failure::Cut);
                } else {
                    self.phones[index].late.push_back((want, input));
                }
            }
            self.cut_socket(index);
        }
    }

    /// A fair network, until nobody wants anything any more; `law` is what is broken where that never comes.
    fn settle(&mut self, law: &'static str) -> Result<(), Broken> {
        for phone in &mut self.phones {
            phone.bootstraps = 0;
            phone.tab.body.fuse = None;
        }
        for round in 0..ROUNDS {
            self.rest();
            let mut is_busy = false;
            for index in 0..self.phones.len() {
                is_busy |= self.deliver(index)?;
                if round % 5 == 4 {
                    self.tell(index, false);
                }
                // Somebody looks at a device that stopped.
                if matches!(self.phones[index].tab.state().phase(), Phase::Faulted(fault) if *fault == Fault::TooManyResets)
                {
                    self.hand(index, Input::Engine(Event::Wake));
                }
            }
            self.judge()?;
            if !is_busy && round > 10 && self.is_settled() {
                return self.reset_terminates();
            }
            self.pass(7_000);
        }
        let phases: Vec<_> = self.phones.iter().map(|phone| phone.tab.state()).collect();
        Err(Broken::new(law, format!("nobody settled: {phases:?}")))
    }

    /// In a fair network nobody begins anew again and again.
    fn reset_terminates(&self) -> Result<(), Broken> {
        let most = self.phones.iter().map(|phone| phone.bootstraps).max();
        laws::hold("ResetTerminates", most.unwrap_or(0) <= RESETS + 1, || {
            format!("{most:?} fresh starts")
        })
    }

    fn is_settled(&self) -> bool {
        self.phones.iter().all(|phone| {
            let is_open =
                |entry: &Entry| entry.is_open() && !self.server.cursed.contains(&entry.mutation.op.session());
            let is_in_step = phone.tab.state().cursor() == Some(self.server.place());
            phone.asked.is_empty()
                && is_in_step
                && *phone.tab.state().phase() == Phase::Live
                && !phone.tab.outbox().entries().any(is_open)
        })
    }

    /// Everybody reads every session to its beginning; who has no room for all of them agrees on each as it is read.
    fn read_everything(&mut self) -> Result<(), Broken> {
        let sessions: Vec<SessionId> = self.server.sessions.keys().copied().collect();
        for index in 0..self.phones.len() {
            for session in &sessions {
                self.phones[index].look_at(*session);
                let mut tries = 0;
                while self.phones[index]
                    .tab
                    .replica()
                    .missing(*session, i64::MAX)
                    .is_some()
                    && tries < 100
                {
                    tries += 1;
                    let wants = self.phones[index].tab.earlier(*session);
                    self.take(index, wants);
                    self.deliver(index)?;
                }
                laws::agree_on(self, &self.phones[index], *session)?;
            }
        }
        self.judge()
    }
}
