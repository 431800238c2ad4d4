//! Anti-entropy: a device says what it believes about its sessions, and hears which of them to load again.

use super::{Sync, agent_sessions, heads, messages};
use crate::auth::Caller;
use crate::body;
use crate::error::Result;
use axum::Json;
use axum::extract::State;
use protocol::sync::{Digest, ResetReason, VerifyAnswer, VerifyAsk, row_hash};
use protocol::{Code, MessageId, Problem, SessionId, limits};
use std::collections::BTreeSet;

/// Checks a device's digests against the rows, all in one snapshot. Stretches that changed after its cursor are left out:
/// it will hear of them.
#[utoipa::path(post, path = protocol::routes::VERIFY_CACHE, request_body = VerifyAsk, tag = "sync",
    responses((status = 200, body = VerifyAnswer), (status = 409, description = "`reset`", body = Problem),
              (status = 413, description = "more than 200 stretches or 20,000 messages", body = Problem)))]
pub async fn check(
    State(sync): State<Sync>,
    caller: Caller,
    body::Json(ask): body::Json<VerifyAsk>,
) -> Result<Json<VerifyAnswer>> {
    bound(&ask.sessions)?;
    let mut snapshot = sync.pool.snapshot().await?;
    let standing = heads::standing(&mut snapshot, caller.user).await?;
    let head = standing.ok_or(Code::NotFound)?.head;
    if ask.cursor.epoch != head.epoch {
        return Err(Problem::reset(ResetReason::Epoch).into());
    }
    if ask.cursor.seq > head.seq {
        return Err(Problem::reset(ResetReason::Ahead).into());
    }
    let ids: Vec<SessionId> = ask.sessions.iter().map(|digest| digest.id).collect();
    let gone = agent_sessions::gone(&mut snapshot, caller.user, &ids).await?;
    let rows = messages::versions(&mut snapshot, caller.user, &ask.sessions).await?;
    snapshot.commit().await?;
    let mut sums: Vec<Sum> = ask.sessions.iter().map(|_| Sum::default()).collect();
    for row in rows {
        if let Some(sum) = sums.get_mut(row.stretch) {
            sum.add(row.id, row.seq);
        }
    }
    let pairs = ask.sessions.iter().zip(&sums);
    let differ: BTreeSet<SessionId> = pairs
        .filter(|(digest, sum)| sum.newest <= ask.cursor.seq && !sum.is(digest))
        .map(|(digest, _)| digest.id)
        .filter(|id| !gone.contains(id))
        .collect();
    metrics::counter!("verify_mismatch_total").increment(differ.len() as u64);
    Ok(Json(VerifyAnswer {
        differ: differ.into_iter().collect(),
        gone,
    }))
}

/// What is read is bounded by what the device says that it has.
fn bound(digests: &[Digest]) -> Result<(), Problem> {
    if digests.len() > limits::SESSION_PAGE {
        return Err(Problem::new(Code::TooLarge)
            .detail("Please ask about at most 200 stretches at once.")
            .limit(limits::SESSION_PAGE as u64));
    }
    if digests.iter().any(|digest| digest.count < 0) {
        return Err(Problem::new(Code::Invalid)
            .field("count")
            .detail("A count is not negative."));
    }
    let sum = digests
        .iter()
        .fold(0_i64, |sum, digest| sum.saturating_add(digest.count));
    if sum > limits::VERIFY_MESSAGES {
        return Err(Problem::new(Code::TooLarge)
            .detail("Please ask about at most 20,000 messages at once.")
            .limit(limits::VERIFY_MESSAGES.unsigned_abs()));
    }
    Ok(())
}

#[derive(Default)]
struct Sum {
    count: i64,
    xor: u64,
    newest: i64,
}

impl Sum {
    fn add(&mut self, id: MessageId, seq: i64) {
        self.count += 1;
        self.xor ^= row_hash(id, seq);
        self.newest = self.newest.max(seq);
    }

    fn is(&self, digest: &Digest) -> bool {
        self.count == digest.count && format!("{:016x}", self.xor) == digest.xor.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_rows_in_any_order() {
        let (a, b) = (MessageId::fresh(), MessageId::fresh());
        let mut one = Sum::default();
        one.add(a, 1);
        one.add(b, 2);
        let digest = Digest {
            id: SessionId::fresh(),
            lo: 1,
            hi: 2,
            count: 2,
            xor: format!("{:016x}", row_hash(b, 2) ^ row_hash(a, 1)),
        };
        assert!(one.is(&digest));
        one.add(a, 3);
        assert!(!one.is(&digest));
    }
}
