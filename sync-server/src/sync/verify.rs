//! Anti-entropy: a device says what it believes about its sessions, and hears which of them to load again.

use super::{Sync, heads, messages};
use crate::auth::Caller;
use crate::body;
use crate::error::Result;
use axum::Json;
use axum::extract::State;
use protocol::sync::{Digest, ResetReason, VerifyAnswer, VerifyAsk, row_hash};
use protocol::{Code, MessageId, Problem, SessionId, limits};
use std::collections::HashMap;

/// Checks a device's digests against the rows. Sessions that changed after its cursor are left out: it will hear of them.
#[utoipa::path(post, path = protocol::routes::VERIFY_CACHE, request_body = VerifyAsk, tag = "sync",
    responses((status = 200, body = VerifyAnswer), (status = 409, description = "`reset`", body = Problem)))]
pub async fn check(
    State(sync): State<Sync>,
    caller: Caller,
    body::Json(ask): body::Json<VerifyAsk>,
) -> Result<Json<VerifyAnswer>> {
    if ask.sessions.len() > limits::SESSION_PAGE {
        return Err(Problem::new(Code::TooLarge)
            .detail("Please ask about at most 200 sessions at once.")
            .limit(limits::SESSION_PAGE as u64)
            .into());
    }
    let standing = heads::standing(&sync.pool, caller.user).await?;
    let head = standing.ok_or(Code::NotFound)?.head;
    if ask.cursor.epoch != head.epoch {
        return Err(Problem::reset(ResetReason::Epoch).into());
    }
    if ask.cursor.seq > head.seq {
        return Err(Problem::reset(ResetReason::Ahead).into());
    }
    let rows = messages::versions(&sync.pool, caller.user, &ask.sessions).await?;
    let mut found: HashMap<SessionId, Sum> = HashMap::new();
    for row in rows {
        found.entry(row.session).or_default().add(row.id, row.seq);
    }
    let differs = |digest: &&Digest| {
        let sum = found.remove(&digest.id).unwrap_or_default();
        sum.newest <= ask.cursor.seq && !sum.is(digest)
    };
    let differ: Vec<SessionId> = ask
        .sessions
        .iter()
        .filter(differs)
        .map(|digest| digest.id)
        .collect();
    metrics::counter!("verify_mismatch_total").increment(differ.len() as u64);
    Ok(Json(VerifyAnswer { differ }))
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
