//! The uploader: one lane for each session, first in first out, independent of each other, one batch in flight in each.
//!
//! **Invariant:** what happens in one lane delays no other.

use crate::engine::{Failure, Moment, backoff};
use crate::outbox::Outbox;
use protocol::{SessionId, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

/// The longest wait between two tries of one lane.
const CAP: i64 = 60_000;

/// How a lane stands. What there is to send is the outbox's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lane {
    /// Nothing in flight, nothing to wait for.
    #[default]
    Empty,
    Sending,
    Backoff {
        attempt: u32,
        until: UnixMillis,
    },
    /// The credential was refused; goes on when there is a new one.
    Blocked,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    lanes: BTreeMap<SessionId, Lane>,
    attempts: BTreeMap<SessionId, u32>,
    /// Lanes whose last batch was refused as a whole: sent one by one until the culprit is found.
    careful: BTreeSet<SessionId>,
}

impl Lanes {
    pub fn lane(&self, session: SessionId) -> Lane {
        self.lanes.get(&session).copied().unwrap_or_default()
    }

    /// The lanes that may send now, with how many ops at most.
    pub fn ready(&self, outbox: &Outbox, now: UnixMillis) -> Vec<(SessionId, usize)> {
        outbox
            .due_lanes(now)
            .into_iter()
            .filter(|session| match self.lane(*session) {
                Lane::Empty => true,
                Lane::Backoff { until, .. } => until <= now,
                Lane::Sending | Lane::Blocked => false,
            })
            .map(|session| {
                let most = if self.careful.contains(&session) {
                    1
                } else {
                    usize::MAX
                };
                (session, most)
            })
            .collect()
    }

    pub fn sending(&mut self, session: SessionId) {
        self.lanes.insert(session, Lane::Sending);
    }

    /// The batch was answered; with `again`, an op in it wants the same once more, later.
    pub fn answered(&mut self, session: SessionId, again: bool, now: Moment) {
        if again {
            self.back_off(session, 0, now);
            return;
        }
        self.lanes.remove(&session);
        self.attempts.remove(&session);
        self.careful.remove(&session);
    }

    /// The whole batch failed. `Refused` with more than one op in it: the lane goes on one by one.
    pub fn failed(&mut self, session: SessionId, failure: &Failure, now: Moment) {
        match failure {
            Failure::Unauthorized => {
                self.lanes.insert(session, Lane::Blocked);
            }
            Failure::Refused(_) => {
                self.careful.insert(session);
                self.lanes.remove(&session);
            }
            Failure::NotSent | Failure::Cut | Failure::Reset(_) => self.back_off(session, 0, now),
            Failure::Later { retry_after } => self.back_off(session, retry_after.unwrap_or(0), now),
        }
    }

    fn back_off(&mut self, session: SessionId, least_seconds: u32, now: Moment) {
        let attempt = self.attempts.entry(session).or_default();
        let wait = backoff(*attempt, CAP, now.chance) + i64::from(least_seconds.min(3_600)) * 1_000;
        *attempt = attempt.saturating_add(1);
        let lane = Lane::Backoff {
            attempt: *attempt,
            until: now.at + wait,
        };
        self.lanes.insert(session, lane);
    }

    /// The server answers again, or the credential is new: nobody waits any longer.
    pub fn resume(&mut self) {
        self.lanes.retain(|_, lane| *lane == Lane::Sending);
        self.attempts.clear();
    }

    /// When a lane that waits may go on; `None` if none does.
    pub fn next_at(&self, outbox: &Outbox, now: UnixMillis) -> Option<UnixMillis> {
        let waits = self.lanes.values().filter_map(|lane| match lane {
            Lane::Backoff { until, .. } => Some(*until),
            Lane::Empty | Lane::Sending | Lane::Blocked => None,
        });
        waits.chain(outbox.next_due(now)).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::table::kinds;
    use protocol::mutation::{Op, RunMode};
    use protocol::sync::ResetReason;
    use protocol::{Code, MessageId, MutationId, Problem};
    use std::fmt::Write as _;

    const NOW: Moment = Moment {
        at: 100_000,
        chance: 0.5,
    };

    fn lane() -> SessionId {
        SessionId(uuid_of(1))
    }

    const fn uuid_of(number: u128) -> protocol::sync::Epoch {
        protocol::sync::Epoch::from_u128(number)
    }

    /// Two texts that are due.
    fn written() -> Outbox {
        let mut outbox = Outbox::default();
        for number in 1..=2 {
            let op = Op::MessageCreate {
                id: MessageId(uuid_of(number)),
                session: lane(),
                parent: None,
                content: "words".to_owned(),
                run: RunMode::Auto,
            };
            let plan = outbox.enqueue(MutationId(uuid_of(number)), op, 0, 0).unwrap();
            outbox.apply(&plan);
        }
        outbox
    }

    type Turn = fn(&mut Lanes);

    type NamedTurn = (&'static str, Box<dyn Fn(&mut Lanes)>);

    fn turns() -> Vec<NamedTurn> {
        let plain: [(&str, Turn); 4] = [
            ("sending", |lanes| lanes.sending(lane())),
            ("answered", |lanes| lanes.answered(lane(), false, NOW)),
            ("answered, again", |lanes| lanes.answered(lane(), true, NOW)),
            ("resumed", Lanes::resume),
        ];
        let plain = plain.map(|(name, turn)| (name, Box::new(turn) as Box<dyn Fn(&mut Lanes)>));
        let failures = [
            Failure::NotSent,
            Failure::Cut,
            Failure::Later { retry_after: Some(9) },
            Failure::Unauthorized,
            Failure::Reset(ResetReason::Epoch),
            Failure::Refused(Problem::new(Code::TooLarge)),
        ];
        let failures = failures.map(|failure| {
            let name = kinds::failure(&failure);
            let turn = move |lanes: &mut Lanes| lanes.failed(lane(), &failure, NOW);
            (name, Box::new(turn) as Box<dyn Fn(&mut Lanes)>)
        });
        plain.into_iter().chain(failures).collect()
    }

    fn told(lanes: &Lanes) -> String {
        let (letter, wait) = match lanes.lane(lane()) {
            Lane::Empty => ("E", 0),
            Lane::Sending => ("S", 0),
            Lane::Backoff { until, .. } => ("W", until - NOW.at),
            Lane::Blocked => ("B", 0),
        };
        let most = match lanes.ready(&written(), NOW.at).first() {
            None => "",
            Some((_, 1)) => " one",
            Some(_) => " all",
        };
        let wait = if wait > 0 {
            format!(" {wait}")
        } else {
            String::new()
        };
        format!("{letter}{most}{wait}")
    }

    /// Rows: what happened. Columns: how the lane stood. A cell: how it stands then (empty, sending, waiting, blocked), what it
    /// may send at once of two texts that are due, and how long it waits.
    const TABLE: &str = "
                 empty    sending  waiting  waited   blocked  careful
sending          S        S        S        S        S        S
answered         E all    E all    E all    E all    E all    E all
answered, again  W 175    W 175    W 300    W 300    W 175    W 175
resumed          E all    S        E all    E all    E all    E one
not sent         W 175    W 175    W 300    W 300    W 175    W 175
cut              W 175    W 175    W 300    W 300    W 175    W 175
later            W 9175   W 9175   W 9300   W 9300   W 9175   W 9175
unauthorized     B        B        B        B        B        B
reset            W 175    W 175    W 300    W 300    W 175    W 175
refused          E one    E one    E one    E one    E one    E one
";

    fn columns() -> Vec<(&'static str, Lanes)> {
        let begun: [(&str, Turn); 6] = [
            ("empty", |_| {}),
            ("sending", |lanes| lanes.sending(lane())),
            ("waiting", |lanes| lanes.failed(lane(), &Failure::Cut, NOW)),
            ("waited", |lanes| {
                let before = Moment {
                    at: NOW.at - 175,
                    ..NOW
                };
                lanes.failed(lane(), &Failure::Cut, before);
            }),
            ("blocked", |lanes| {
                lanes.failed(lane(), &Failure::Unauthorized, NOW);
            }),
            ("careful", |lanes| {
                lanes.failed(lane(), &Failure::Refused(Problem::new(Code::TooLarge)), NOW);
            }),
        ];
        let lanes = |(name, begin): (_, Turn)| {
            let mut lanes = Lanes::default();
            begin(&mut lanes);
            (name, lanes)
        };
        begun.into_iter().map(lanes).collect()
    }

    #[test]
    fn every_lane_answers_whatever_becomes_of_a_batch() {
        let mut table = format!("\n{:16}", "");
        for (name, _) in columns() {
            write!(table, " {name:8}").unwrap();
        }
        for (name, turn) in turns() {
            write!(table, "\n{name:16}").unwrap();
            for (_, mut lanes) in columns() {
                turn(&mut lanes);
                write!(table, " {:8}", told(&lanes)).unwrap();
            }
        }
        let lines = table.lines().map(str::trim_end);
        let table = lines.fold(String::new(), |told, line| told + line + "\n");
        assert_eq!(table, TABLE, "it is now:{table}");
    }

    #[test]
    fn a_lane_that_waited_may_send() {
        let columns = columns();
        let may_send = |name: &str| {
            let lanes = &columns.iter().find(|(column, _)| *column == name).unwrap().1;
            !lanes.ready(&written(), NOW.at).is_empty()
        };
        assert!(may_send("waited") && may_send("empty") && may_send("careful"));
        assert!(!may_send("waiting") && !may_send("sending") && !may_send("blocked"));
    }
}
