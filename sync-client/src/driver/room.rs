//! Keeping the cache within its quota.
//!
//! Begun by the one task that fills the cache, so that filling and giving up never run against each other.

use super::core::Core;
use crate::store::{Reason, Reasons};
use protocol::Problem;
use std::sync::Arc;

/// Gives up what is wanted least until there is room again. What there is a reason to keep stays, even if that is too
/// much.
pub async fn make(core: &Arc<Core>) -> Result<(), Problem> {
    if !core.store.is_over().await? {
        return Ok(());
    }
    loop {
        let reasons = Arc::clone(core);
        let Some(given_up) = core.store.give_up(move || reasons.reasons()).await? else {
            tracing::info!("the cache holds more than it should, and there is a reason to keep all of it");
            return Ok(());
        };
        if core.shared().shown == Some(given_up.session) {
            // It was opened in this very moment.
            core.load_shown();
        }
        if given_up.is_whole && core.store.is_back().await? {
            return Ok(());
        }
    }
}

impl Core {
    /// Why sessions are kept, as it is now.
    fn reasons(&self) -> Reasons {
        let shared = self.shared();
        let mut reasons = Reasons::default();
        if let Some(session) = shared.shown {
            reasons.add(session, Reason::Open);
        }
        for entry in shared.outbox.entries() {
            reasons.add(entry.mutation.op.session(), Reason::Written);
        }
        for tail in shared.tails.all() {
            reasons.add(tail.session, Reason::Running);
        }
        for session in &shared.kept {
            reasons.add(*session, Reason::Kept);
        }
        reasons
    }
}
