//! What is being written and not sent yet, for each session by itself: known at once, and on the disk a moment later.

use super::Device;
use super::core::Core;
use crate::outbox::{Entry, Plan, Standing};
use crate::store::Draft;
use protocol::mutation::Op;
use protocol::{Code, Problem, SessionId, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A text that would go in a few messages. Beyond it a composer is the wrong place.
const DRAFT_BYTES: usize = 4 * limits::MESSAGE_BYTES;

/// As they are, and which of them are not on the disk yet.
#[derive(Debug, Default)]
pub struct Drafts {
    texts: BTreeMap<Option<SessionId>, String>,
    changed: BTreeSet<Option<SessionId>>,
}

impl Drafts {
    pub fn new(kept: Vec<Draft>) -> Self {
        Self {
            texts: kept.into_iter().collect(),
            changed: BTreeSet::new(),
        }
    }

    fn keep(&mut self, place: Option<SessionId>, text: String) {
        if text.is_empty() {
            self.texts.remove(&place);
        } else {
            self.texts.insert(place, text);
        }
        self.changed.insert(place);
    }

    /// What a plan sends is no draft any more; the disk has let go of it together with the plan.
    pub fn settle(&mut self, plan: &Plan) {
        for entry in &plan.put {
            if let (true, Op::MessageCreate { session, content, .. }) = (is_new(entry), &entry.mutation.op) {
                for place in [Some(*session), None] {
                    if self.texts.get(&place) == Some(content) {
                        self.texts.remove(&place);
                        self.changed.remove(&place);
                    }
                }
            }
        }
    }

    fn take_changed(&mut self) -> Vec<Draft> {
        let changed = std::mem::take(&mut self.changed);
        let text = |place| self.texts.get(&place).cloned().unwrap_or_default();
        changed.into_iter().map(|place| (place, text(place))).collect()
    }
}

fn is_new(entry: &Entry) -> bool {
    entry.standing == Standing::Queued && entry.attempts == 0
}

impl Device {
    /// What was being written in this session; `None`: where a session begins.
    pub fn draft(&self, place: Option<SessionId>) -> String {
        let shared = self.core.shared();
        shared.drafts.texts.get(&place).cloned().unwrap_or_default()
    }

    /// An empty text is no draft. Calls count in the order in which they are made; none waits for the disk.
    pub fn keep_draft(&self, place: Option<SessionId>, text: String) -> Result<(), Problem> {
        if text.len() > DRAFT_BYTES {
            let kib = DRAFT_BYTES / 1024;
            let detail = format!("A text of more than {kib} KiB is not kept until it is sent.");
            return Err(Problem::new(Code::TooLarge)
                .detail(detail)
                .limit(DRAFT_BYTES as u64));
        }
        self.core.person()?;
        self.core.shared().drafts.keep(place, text);
        self.core.drafts_changed.notify_one();
        Ok(())
    }
}

/// Writes down what changed, to the last.
pub async fn run(core: Arc<Core>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            () = core.drafts_changed.notified() => core.write_drafts().await,
        }
    }
    core.write_drafts().await;
}

impl Core {
    /// Never while a plan is written: what the plan sends would come back as a draft.
    async fn write_drafts(&self) {
        let _one = self.writing.lock().await;
        let Some(user) = self.user() else { return };
        let changed = self.shared().drafts.take_changed();
        if changed.is_empty() {
            return;
        }
        let places: Vec<Option<SessionId>> = changed.iter().map(|(place, _)| *place).collect();
        if let Err(fault) = self.store.keep_drafts(user, changed).await {
            tracing::warn!(error = ?fault, "what is being written could not be kept");
            // With the next change.
            self.shared().drafts.changed.extend(places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use protocol::mutation::RunMode;
    use protocol::{MessageId, MutationId};

    fn sending(session: SessionId, content: &str) -> Plan {
        let op = Op::MessageCreate {
            id: MessageId::fresh(),
            session,
            parent: None,
            content: content.to_owned(),
            run: RunMode::Auto,
        };
        Outbox::default().enqueue(MutationId::fresh(), op, 0, 1).unwrap()
    }

    #[test]
    fn what_is_sent_is_no_draft_and_what_was_written_since_stays() {
        let (here, there) = (SessionId::fresh(), SessionId::fresh());
        let mut drafts = Drafts::new(vec![(Some(there), "elsewhere".to_owned())]);
        drafts.keep(Some(here), "hello".to_owned());
        drafts.keep(None, "hello".to_owned());
        drafts.settle(&sending(here, "hello"));
        assert_eq!(drafts.take_changed(), []);
        drafts.keep(Some(here), "written since".to_owned());
        drafts.settle(&sending(here, "hello"));
        assert_eq!(drafts.take_changed(), [(Some(here), "written since".to_owned())]);
        assert_eq!(drafts.texts.len(), 2, "{drafts:?}");
    }

    #[test]
    fn the_last_of_several_changes_is_written_once_and_an_empty_one_takes_away() {
        let mut drafts = Drafts::default();
        drafts.keep(None, "a".to_owned());
        drafts.keep(None, "ab".to_owned());
        assert_eq!(drafts.take_changed(), [(None, "ab".to_owned())]);
        drafts.keep(None, String::new());
        assert_eq!(drafts.take_changed(), [(None, String::new())]);
        assert_eq!(drafts.take_changed(), []);
    }
}
