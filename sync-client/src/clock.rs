//! The time, for a body that has a clock.

use crate::engine::Moment;
use protocol::UnixMillis;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A wall clock that never runs backwards: read once, then moved on by the monotonic one. Where the wall is well ahead
/// (the computer slept, which the monotonic clock does not count), it follows.
#[derive(Debug)]
pub struct Clock {
    base: Mutex<(UnixMillis, Instant)>,
    wrong_by: UnixMillis,
}

/// How far the wall may be ahead before it is followed.
const AHEAD: i64 = 2_000;

impl Clock {
    pub fn start() -> Self {
        Self::wrong_by(0)
    }

    /// As of a computer whose clock is set wrong by so many milliseconds.
    pub fn wrong_by(millis: UnixMillis) -> Self {
        Self {
            base: Mutex::new((wall() + millis, Instant::now())),
            wrong_by: millis,
        }
    }

    pub fn now(&self) -> UnixMillis {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = i64::try_from(base.1.elapsed().as_millis()).unwrap_or(i64::MAX);
        let steady = base.0.saturating_add(elapsed);
        let wall = wall() + self.wrong_by;
        if wall > steady.saturating_add(AHEAD) {
            *base = (wall, Instant::now());
            return wall;
        }
        steady
    }

    pub fn moment(&self) -> Moment {
        Moment {
            at: self.now(),
            chance: rand::random(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place here that reads the wall clock"
)]
fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
