//! Sessions that are to stay on this computer, all of each: loaded whole before anything else, however little room there is,
//! and never given up.

use super::Device;
use super::core::Core;
use crate::view;
use protocol::sync::Ord;
use protocol::view::{Push, SessionRow};
use protocol::{Code, Problem, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Device {
    /// From now on all of this session stays here; or, again, no longer than there is room for it.
    pub async fn keep(&self, session: SessionId, is_kept: bool) -> Result<(), Problem> {
        let row = self.core.store.session(session).await;
        let row = self.core.readable(row).await?;
        if view::row(session, row.as_ref(), &self.core.outbox()).is_none() {
            return Err(Problem::new(Code::NotFound));
        }
        self.core.mark_kept(session, is_kept).await?;
        self.core.push(Push::List);
        if is_kept {
            let core = Arc::clone(&self.core);
            // What is asked for is loaded at once, as what is opened is; offline, with the next round of the background.
            self.core
                .tasks
                .spawn(async move { core.load_down_to(session, Ord::MAX).await });
        } else {
            // It may be what there is no room for.
            self.core.hydrate.notify_one();
        }
        Ok(())
    }

    /// How many sessions stay here.
    pub(super) async fn count_kept(&self) -> Result<u64, Problem> {
        let mut count = 0;
        for session in self.core.kept() {
            count += u64::from(!self.core.store.is_gone(session).await?);
        }
        Ok(count)
    }

    /// Says of rows whether they are kept here, which nobody but this computer knows.
    pub(super) fn mark_rows<'a>(&self, rows: impl IntoIterator<Item = &'a mut SessionRow>) {
        let shared = self.core.shared();
        for row in rows {
            row.kept = shared.kept.contains(&row.id);
        }
    }
}

impl Core {
    pub fn kept(&self) -> BTreeSet<SessionId> {
        self.shared().kept.clone()
    }

    /// On the disk before it counts. One at a time: what is known here and what is on the disk stay the same.
    pub async fn mark_kept(&self, session: SessionId, is_kept: bool) -> Result<(), Problem> {
        let _one = self.writing.lock().await;
        let user = self.person()?;
        self.store.mark_kept(user, session, is_kept).await?;
        let mut shared = self.shared();
        if is_kept {
            shared.kept.insert(session);
        } else {
            shared.kept.remove(&session);
        }
        Ok(())
    }
}
