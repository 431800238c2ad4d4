//! What a socket has to do at what time: pings, the token's end, and a look at whether its device is still signed in.
//! One timer for all: wait until [`Due::next`], then do what [`Due::take`] gives until it gives nothing.

use protocol::frame::close;
use std::ops::RangeInclusive;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Middleboxes forget connections that are silent for a minute.
pub const PING: Duration = Duration::from_secs(25);
const PONG: Duration = Duration::from_secs(10);
/// The access token's end is announced so long before, and enforced so long after.
const ANNOUNCED: Duration = Duration::from_mins(1);
const TOLERATED: Duration = Duration::from_secs(30);
/// That a socket is open counts as its device being used every so many pings: five minutes.
const PINGS_A_USE: u64 = 12;

pub struct Due {
    ping: Instant,
    /// The last ping waits for its pong until then.
    pong: Option<Instant>,
    pings: u64,
    is_check_due: bool,
    /// When the access token ends, and whether that was announced.
    end: Option<(Instant, bool)>,
    /// When a socket that was told to leave is closed.
    leave: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// With this code.
    Close(u16),
    /// The token ends in so many seconds.
    Announce {
        within: u32,
    },
    Ping {
        n: u64,
    },
    /// Whether what the device came with still holds: the hint that it does not may have been lost. A sign-out is found before,
    /// by all sockets' one look; a browser's other cookie, a device's end and a user who is gone are found here. With every
    /// ping, so that a socket outlives them by one and the 15 seconds for which a node believes what it read.
    Check {
        counts_as_use: bool,
    },
}

impl Due {
    /// `expires_at`: Unix seconds when the access token ends; `None` for a cookie.
    pub fn new(expires_at: Option<i64>) -> Self {
        let mut due = Self {
            ping: Instant::now() + PING,
            pong: None,
            pings: 0,
            is_check_due: false,
            end: None,
            leave: None,
        };
        due.expires(expires_at);
        due
    }

    /// The token was renewed.
    pub fn expires(&mut self, at: Option<i64>) {
        self.end = at.map(|at| {
            let left = at - OffsetDateTime::now_utc().unix_timestamp();
            let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
            (Instant::now() + left, false)
        });
    }

    pub fn next(&self) -> Instant {
        let end = self.end.map(|(end, is_announced)| {
            if is_announced {
                end + TOLERATED
            } else {
                end.checked_sub(ANNOUNCED).unwrap_or(end)
            }
        });
        [Some(self.ping), self.pong, end, self.leave]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.ping)
    }

    /// The node lets go of its sockets: this one at some time from now, drawn so that not all come back elsewhere at once.
    pub fn leaves(&mut self, from_now: RangeInclusive<Duration>) {
        self.leave = Some(Instant::now() + rand::random_range(from_now));
    }

    pub const fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    /// The last ping was answered.
    pub const fn heard(&mut self) {
        self.pong = None;
    }

    /// Something came from the other side at this time: as good as a pong, if no ping was sent since.
    pub fn heard_at(&mut self, at: Instant) {
        if self.pong.is_some_and(|until| until < at + PONG) {
            self.heard();
        }
    }

    /// The most urgent of what is due by now.
    pub fn take(&mut self, now: Instant) -> Option<Deed> {
        if self.pong.is_some_and(|until| until <= now) {
            return Some(Deed::Close(close::NO_PONG));
        }
        if self.leave.is_some_and(|at| at <= now) {
            return Some(Deed::Close(close::DRAIN));
        }
        if self.end.is_some_and(|(end, _)| end + TOLERATED <= now) {
            return Some(Deed::Close(close::TOKEN_EXPIRED));
        }
        if let Some(within) = self.announces(now) {
            return Some(Deed::Announce { within });
        }
        if std::mem::take(&mut self.is_check_due) {
            return Some(Deed::Check {
                counts_as_use: self.pings.is_multiple_of(PINGS_A_USE),
            });
        }
        if self.ping > now {
            return None;
        }
        self.pings += 1;
        self.ping = now + PING;
        self.pong = Some(now + PONG);
        self.is_check_due = true;
        Some(Deed::Ping { n: self.pings })
    }

    /// Seconds that the token is still good for, to be announced once.
    fn announces(&mut self, now: Instant) -> Option<u32> {
        let (end, is_announced) = self.end.as_mut()?;
        let is_due = !*is_announced && end.checked_sub(ANNOUNCED).is_none_or(|at| at <= now);
        if !is_due {
            return None;
        }
        *is_announced = true;
        let left = end.saturating_duration_since(now).as_secs();
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test names the arm it means")]
mod tests {
    use super::*;

    /// What comes due next, at its time.
    async fn next(due: &mut Due) -> Deed {
        loop {
            if let Some(deed) = due.take(Instant::now()) {
                return deed;
            }
            tokio::time::sleep_until(due.next()).await;
        }
    }

    /// As [`next`], past the looks at the device.
    async fn next_but_checks(due: &mut Due) -> Deed {
        loop {
            let deed = next(due).await;
            if !matches!(deed, Deed::Check { .. }) {
                return deed;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_without_a_pong_ends_the_socket() {
        let mut due = Due::new(None);
        assert_eq!(due.take(Instant::now()), None);
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 1 });
        due.heard();
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 2 });
        assert_eq!(next_but_checks(&mut due).await, Deed::Close(close::NO_PONG));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_before_a_ping_does_not_answer_it() {
        let mut due = Due::new(None);
        let before = Instant::now();
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 1 });
        due.heard_at(before);
        assert_eq!(next_but_checks(&mut due).await, Deed::Close(close::NO_PONG));

        let mut due = Due::new(None);
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 1 });
        tokio::time::advance(Duration::from_secs(1)).await;
        due.heard_at(Instant::now());
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_told_to_leave_is_closed_at_some_time_of_its_own() {
        let seconds = Duration::from_secs;
        for _ in 0..20 {
            let mut due = Due::new(None);
            let begun = Instant::now();
            due.leaves(seconds(2)..=seconds(3));
            assert_eq!(next_but_checks(&mut due).await, Deed::Close(close::DRAIN));
            let passed = begun.elapsed();
            assert!((seconds(2)..=seconds(4)).contains(&passed), "{passed:?}");
        }
        let mut due = Due::new(None);
        due.leaves(seconds(0)..=seconds(0));
        assert_eq!(due.take(Instant::now()), Some(Deed::Close(close::DRAIN)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_sign_out_is_looked_for_with_every_ping_and_use_is_noted_every_five_minutes() {
        let mut due = Due::new(None);
        let begun = Instant::now();
        let (mut checks, mut uses) = (Vec::new(), Vec::new());
        while begun.elapsed() < Duration::from_mins(11) {
            match next(&mut due).await {
                Deed::Ping { .. } => due.heard(),
                Deed::Check { counts_as_use } => {
                    checks.push(begun.elapsed().as_secs());
                    uses.extend(counts_as_use.then_some(begun.elapsed().as_secs()));
                }
                other => panic!("nothing else is due: {other:?}"),
            }
        }
        let every_ping: Vec<u64> = (1..=26).map(|n| n * PING.as_secs()).collect();
        assert_eq!(checks, every_ping);
        assert_eq!(uses, [300, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_announced_once_and_tolerated_for_a_while() {
        let mut due = Due::new(Some(OffsetDateTime::now_utc().unix_timestamp() + 15));
        let begun = Instant::now();
        assert!(matches!(due.take(Instant::now()), Some(Deed::Announce { .. })));
        assert_eq!(due.take(Instant::now()), None);
        assert_eq!(next_but_checks(&mut due).await, Deed::Ping { n: 1 });
        due.heard();
        assert_eq!(next_but_checks(&mut due).await, Deed::Close(close::TOKEN_EXPIRED));
        let passed = begun.elapsed();
        assert!(
            (Duration::from_secs(40)..Duration::from_secs(50)).contains(&passed),
            "{passed:?}"
        );
    }
}
