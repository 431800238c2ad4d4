//! Positioning: a look at the heads of everybody who is connected here, so that a lost hint costs half a minute at most.

use super::{Sync, heads};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(30);
/// Users in one query.
const TOGETHER: usize = 5_000;

/// Looks every half minute, and at once when the connection for hints was lost for a while.
pub async fn watch(sync: Sync) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = sync.hints().wire().gap() => {}
            () = sync.shutdown.cancelled() => return,
        }
        let users = sync.hints().listeners();
        for some in users.chunks(TOGETHER) {
            match heads::of(&sync.pool, some).await {
                Ok(heads) => {
                    for (user, head) in heads {
                        sync.hints().position(user, head);
                    }
                }
                Err(error) => tracing::warn!(error = %error, "heads could not be read"),
            }
        }
    }
}
