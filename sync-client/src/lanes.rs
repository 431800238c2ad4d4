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
