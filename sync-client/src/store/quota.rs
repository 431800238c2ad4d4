//! How much of the server's rows the cache may hold, and why a session's messages stay.
//!
//! **Invariant:** what the background loads stops short of where anything is given up, so that nothing is given up to
//! be loaded again.

use protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet};

/// In percent of the quota: beyond the first, messages are given up until the second; up to the third, the background
/// loads more.
const OVER: u64 = 100;
const BACK: u64 = 95;
const FULL: u64 = 90;

/// How much the cache may hold, whichever of the two is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    bytes: u64,
    messages: u64,
}

impl Default for Quota {
    /// Years of talk, and little beside what else is on a disk.
    fn default() -> Self {
        Self::new(2 * 1024 * 1024 * 1024, 1_000_000)
    }
}

impl Quota {
    /// Below this the sessions that a person has before them would not fit.
    pub const LEAST_BYTES: u64 = 16 * 1024 * 1024;
    pub const LEAST_MESSAGES: u64 = 500;

    /// What is too small to work with is raised to the least that is not.
    pub const fn new(bytes: u64, messages: u64) -> Self {
        Self {
            bytes: larger(bytes, Self::LEAST_BYTES),
            messages: larger(messages, Self::LEAST_MESSAGES),
        }
    }

    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    pub const fn messages(self) -> u64 {
        self.messages
    }

    /// Something has to be given up.
    pub const fn is_over(self, held: Held) -> bool {
        self.is_beyond(OVER, held)
    }

    /// Enough was given up.
    pub const fn is_back(self, held: Held) -> bool {
        !self.is_beyond(BACK, held)
    }

    /// The background may load more.
    pub const fn has_room(self, held: Held) -> bool {
        !self.is_beyond(FULL, held)
    }

    const fn is_beyond(self, percent: u64, held: Held) -> bool {
        held.bytes > self.bytes / 100 * percent || held.messages > self.messages / 100 * percent
    }
}

const fn larger(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// What the cache holds: bytes in use (what was given up is used again, the file does not shrink), and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub bytes: u64,
    pub messages: u64,
}

/// Why a session's messages stay, however little room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is before the person.
    Open,
    /// Something written here is not in the server's rows yet.
    Written,
    /// A reply is being made in it.
    Running,
    /// Somebody wants it to stay.
    Kept,
}

/// Each session's reasons. Never stored, always derived: one that was stored could outlive what it stood for. What is
/// stored is the wish that one of them follows from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<SessionId, BTreeSet<Reason>>);

impl Reasons {
    pub fn add(&mut self, session: SessionId, reason: Reason) {
        self.0.entry(session).or_default().insert(reason);
    }

    pub fn keeps(&self, session: SessionId) -> bool {
        self.0.get(&session).is_some_and(|reasons| !reasons.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn held(messages: u64) -> Held {
        Held { bytes: 0, messages }
    }

    #[test]
    fn between_giving_up_and_loading_more_nothing_is_done() {
        let quota = Quota::new(0, 1_000);
        assert!(quota.is_over(held(1_001)) && !quota.is_over(held(1_000)));
        assert!(quota.is_back(held(950)) && !quota.is_back(held(951)));
        assert!(quota.has_room(held(900)) && !quota.has_room(held(901)));
        assert!(quota.is_over(Held {
            bytes: Quota::LEAST_BYTES + 1,
            messages: 0
        }));
    }

    #[test]
    fn a_quota_too_small_to_work_with_is_raised() {
        assert_eq!(
            Quota::new(0, 0),
            Quota::new(Quota::LEAST_BYTES, Quota::LEAST_MESSAGES)
        );
        assert_eq!(Quota::default(), Quota::new(2 << 30, 1_000_000));
    }

    #[test]
    fn one_reason_is_enough() {
        let (one, other) = (SessionId::fresh(), SessionId::fresh());
        let mut reasons = Reasons::default();
        reasons.add(one, Reason::Written);
        reasons.add(one, Reason::Open);
        assert!(reasons.keeps(one) && !reasons.keeps(other));
    }
}
