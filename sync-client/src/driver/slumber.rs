//! Notices that the computer slept, and has the connection looked at as soon as it is awake.
//!
//! No system is asked: while a computer sleeps its monotonic clock stands still on some, and its programs stand still on all. So a
//! pause that took far longer than it was meant to was slept through. A program that was stopped for a while, and a clock that was
//! set forward, look the same; for them one look at the connection too many is the worst of it.

use super::core::Core;
use protocol::UnixMillis;
use std::sync::Arc;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(5);
/// A busy computer may be this late, in milliseconds.
const LATE: UnixMillis = 10_000;

pub async fn run(core: Arc<Core>) {
    tokio::select! {
        () = core.stop.cancelled() => {}
        () = watch(|| core.clock.now(), || core.awake()) => {}
    }
}

async fn watch(now: impl Fn() -> UnixMillis, mut woke: impl FnMut()) {
    loop {
        let before = now();
        tokio::time::sleep(PAUSE).await;
        let took = now().saturating_sub(before);
        let meant = UnixMillis::try_from(PAUSE.as_millis()).unwrap_or(UnixMillis::MAX);
        if took > meant.saturating_add(LATE) {
            tracing::info!(slept = took, "awake again");
            woke();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::{Instant, advance};

    /// So many minutes under a wall clock that leaps so far, once, in the middle: how often it woke.
    async fn woken(leap: UnixMillis) -> usize {
        let (begun, leapt, woken) = (Instant::now(), Cell::new(0), Cell::new(0));
        let now = || UnixMillis::try_from(begun.elapsed().as_millis()).unwrap() + leapt.get();
        let leaps = async {
            for _ in 0..120 {
                advance(Duration::from_secs(1)).await;
                if begun.elapsed() == Duration::from_secs(62) {
                    leapt.set(leap);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = watch(now, || woken.set(woken.get() + 1)) => {}
            () = leaps => {}
        }
        woken.get()
    }

    #[tokio::test(start_paused = true)]
    async fn a_night_slept_through_is_noticed_once() {
        assert_eq!(woken(8 * 3_600_000).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_computer_that_is_awake_or_whose_clock_is_put_back_is_not_taken_for_asleep() {
        assert_eq!(woken(0).await, 0);
        assert_eq!(woken(9_000).await, 0);
        assert_eq!(woken(-10 * 365 * 86_400_000).await, 0);
    }
}
