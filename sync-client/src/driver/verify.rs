//! Comparing what is here with the server's rows, by checksums of the stretches that are here.
//!
//! Each session weekly, and all of them after a fresh start. A stretch that differs is forgotten and loaded afresh.
//! **Invariant:** a checksum is asked about with the cursor at which it was true.

use super::core::Core;
use crate::http::Call;
use crate::store::{Due, Stretch};
use protocol::sync::{Cursor, Digest, VerifyAnswer, VerifyAsk};
use protocol::{Problem, SessionId, UnixMillis, limits, routes};
use std::sync::Arc;

/// How long a comparison holds: a week.
const HOLDS: i64 = 7 * 86_400_000;

/// What was not compared for a week.
pub const fn weekly(now: UnixMillis) -> Due {
    Due {
        before: now.saturating_sub(HOLDS),
        now,
    }
}

/// All of it, however lately it was compared.
pub const fn everything() -> Due {
    Due {
        before: i64::MAX,
        now: i64::MAX,
    }
}

/// Compares, and forgets what differs. Says how many stretches that were.
pub async fn compare(core: &Arc<Core>, due: Due) -> Result<usize, Problem> {
    let mut differing = 0;
    let mut after = None;
    while let Some((cursor, digests)) = core.store.digests(due, after, limits::SESSION_PAGE).await? {
        let Some(last) = digests.last().map(|digest| digest.id) else {
            break;
        };
        for asked in asks(digests) {
            differing += compare_some(core, cursor, asked).await?;
        }
        after = Some(last);
    }
    if differing > 0 {
        tracing::warn!(
            differing,
            "stretches that differ from the server's are loaded afresh"
        );
    }
    Ok(differing)
}

/// One request names a session once, since its answer names sessions. The digests come by session.
fn asks(digests: Vec<Digest>) -> Vec<Vec<Digest>> {
    let mut asks: Vec<Vec<Digest>> = Vec::new();
    let mut turn = 0;
    let mut before: Option<SessionId> = None;
    for digest in digests {
        turn = if before == Some(digest.id) { turn + 1 } else { 0 };
        before = Some(digest.id);
        match asks.get_mut(turn) {
            Some(ask) => ask.push(digest),
            None => asks.push(vec![digest]),
        }
    }
    asks
}

async fn compare_some(core: &Arc<Core>, cursor: Cursor, digests: Vec<Digest>) -> Result<usize, Problem> {
    let user = core.person()?;
    let ask = VerifyAsk {
        cursor,
        sessions: digests,
    };
    let call = Call::post(routes::VERIFY_CACHE).json(&ask);
    let answer: VerifyAnswer = core.ask(user, call).await?;
    let differing = ask
        .sessions
        .iter()
        .filter(|digest| answer.differ.contains(&digest.id));
    let mut count = 0;
    for digest in differing {
        let stretch = Stretch {
            session: digest.id,
            lo: digest.lo,
            hi: digest.hi,
        };
        core.store.drop_stretch(stretch).await?;
        count += 1;
    }
    let sessions = ask.sessions.iter().map(|digest| digest.id).collect();
    core.store.mark_verified(sessions, core.clock.now()).await?;
    Ok(count)
}
