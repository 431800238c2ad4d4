//! Keeping the cache within its quota, and giving all of it up where a person wants that.
//!
//! The quota is kept by the one task that fills the cache, so that filling and giving up never run against each other.

use super::Device;
use super::core::Core;
use crate::engine::Event;
use crate::store::{Quota, Reason, Reasons};
use protocol::Problem;
use protocol::view::Push;
use std::sync::Arc;

impl Device {
    /// Bounds what the cache holds anew: what is too much goes, or more is loaded.
    pub fn limit(&self, quota: Quota) {
        self.core.store.limit(quota);
        self.core.hydrate.notify_one();
    }

    /// Removes what the server has anyway from this computer, and begins afresh; without a network, as soon as there is one.
    /// What waits to be sent stays, and so do drafts and the wish that sessions stay here.
    pub async fn clear(&self) -> Result<(), Problem> {
        let core = &self.core;
        core.person()?;
        // or their text would be written down again
        core.shared().tails.clear();
        let cleared = core.store.rebuild_cache(false).await;
        core.push(Push::List);
        for session in core.opened() {
            core.push(Push::Transcript { session });
        }
        // Not as what was lost: how often a person does this is nothing that the server did.
        core.tell(Event::SignedIn { cursor: None }).await;
        Ok(cleared?)
    }
}

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
