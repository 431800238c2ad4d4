//! Waiting for a condition with a deadline, never for a duration.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for two busy cores, short enough that a hang is noticed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer; fails the test after [`PATIENCE`], naming what it waited for.
pub async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask).await
}

/// As [`until`], with a deadline that is itself part of the claim.
pub async fn within<T>(deadline: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        let asked = tokio::time::timeout(deadline, ask()).await;
        if let Some(answer) =
            asked.unwrap_or_else(|_| panic!("one question hung {deadline:?}, waiting for {what}"))
        {
            return answer;
        }
        assert!(begun.elapsed() < deadline, "waited {deadline:?} for {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// One future with a deadline.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
