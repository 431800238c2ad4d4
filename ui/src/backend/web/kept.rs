//! What a page wrote and could not send, kept in the browser so that a reload or a crash loses none of it.
//!
//! Each tab keeps its own under a key of its own and takes over what a tab left behind that shows no life any more. A tab
//! that was duplicated has the key of the one it came from: neither takes away what it has never seen.
//! Sending something twice is harmless: the server knows a mutation by its id.

use protocol::mutation::Mutation;
use protocol::{MutationId, Problem, UnixMillis, UserId};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeSet;
use sync_client::outbox::{Entry, Outbox, Standing};
use web_sys::Storage;

/// More than a day of offline writing; far from what a browser gives a site.
const BYTES: usize = 1024 * 1024;
/// A tab in the background may be woken only once a minute.
const LIFELESS_MILLIS: UnixMillis = 130 * 1000;
/// How often a tab that keeps something shows that it lives.
pub const SIGN_OF_LIFE_MILLIS: u32 = 60_000;

const OUTBOX: &str = "compymac.outbox.";
const TAB: &str = "compymac.tab";

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    alive: UnixMillis,
    rows: Vec<Row>,
}

/// Accepted rows are the server's; these are not yet.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    n: i64,
    #[serde(flatten)]
    mutation: Mutation,
    #[serde(default)]
    refused: Option<Problem>,
    attempts: u32,
    not_before: UnixMillis,
    created_at: UnixMillis,
}

impl Row {
    fn of(entry: &Entry) -> Option<Self> {
        let refused = match &entry.standing {
            Standing::Queued | Standing::Inflight => None,
            Standing::Dead { problem } => Some(problem.clone()),
            Standing::Acked { .. } => return None,
        };
        Some(Self {
            n: entry.n,
            mutation: entry.mutation.clone(),
            refused,
            attempts: entry.attempts,
            not_before: entry.not_before,
            created_at: entry.created_at,
        })
    }

    fn entry(self) -> Entry {
        Entry {
            n: self.n,
            mutation: self.mutation,
            standing: self
                .refused
                .map_or(Standing::Queued, |problem| Standing::Dead { problem }),
            attempts: self.attempts,
            // counted anew by each page
            not_found: 0,
            not_before: self.not_before,
            created_at: self.created_at,
        }
    }
}

/// Where one tab keeps one user's unsent words.
#[derive(Debug)]
pub struct Keeper {
    user: UserId,
    key: String,
    /// What this page has ever kept: of these it alone says what is still to be sent.
    seen: RefCell<BTreeSet<MutationId>>,
}

impl Keeper {
    pub fn new(user: UserId) -> Self {
        let key = format!("{OUTBOX}{user}.{}", tab());
        Self {
            user,
            key,
            seen: RefCell::default(),
        }
    }

    /// Of this tab before its reload, and of tabs that are no more. Takes what it finds into this tab's keeping.
    pub fn take_over(&self, now: UnixMillis) -> Outbox {
        let Some(storage) = storage() else {
            return Outbox::default();
        };
        let mut rows: Vec<Row> = Vec::new();
        for key in self.keys(&storage) {
            let Some(kept) = read(&storage, &key) else {
                continue;
            };
            if key == self.key || now - kept.alive > LIFELESS_MILLIS || kept.alive > now {
                rows.extend(kept.rows);
                if key != self.key {
                    let _ = storage.remove_item(&key);
                }
            }
        }
        let outbox = merge(rows);
        self.keep(&outbox, now);
        outbox
    }

    /// Writes down what is still to be sent. Says whether it could.
    pub fn keep(&self, outbox: &Outbox, now: UnixMillis) -> bool {
        let Some(storage) = storage() else { return false };
        let mut seen = self.seen.borrow_mut();
        seen.extend(outbox.entries().map(|entry| entry.mutation.id));
        let stored = read(&storage, &self.key).map(|kept| kept.rows);
        let rows = with_unseen(outbox, stored.unwrap_or_default(), &seen);
        if rows.is_empty() {
            let _ = storage.remove_item(&self.key);
            return true;
        }
        match serde_json::to_string(&Kept { alive: now, rows }) {
            Ok(text) if text.len() <= BYTES => storage.set_item(&self.key, &text).is_ok(),
            Ok(_) | Err(_) => false,
        }
    }

    /// Signing out leaves nothing behind, of no tab.
    pub fn forget(&self) {
        if let Some(storage) = storage() {
            for key in self.keys(&storage) {
                let _ = storage.remove_item(&key);
            }
        }
    }

    fn keys(&self, storage: &Storage) -> Vec<String> {
        let prefix = format!("{OUTBOX}{}.", self.user);
        let count = storage.length().unwrap_or(0);
        let all = (0..count).filter_map(|index| storage.key(index).ok().flatten());
        all.filter(|key| key.starts_with(&prefix)).collect()
    }
}

/// What is still to be sent from here, and what somebody else keeps under the same key.
fn with_unseen(outbox: &Outbox, stored: Vec<Row>, seen: &BTreeSet<MutationId>) -> Vec<Row> {
    let own = outbox.entries().filter_map(Row::of);
    let others = stored.into_iter().filter(|row| !seen.contains(&row.mutation.id));
    own.chain(others).collect()
}

/// Several tabs' rows in the order of their writing, numbered afresh; a row that two of them have, once.
fn merge(mut rows: Vec<Row>) -> Outbox {
    rows.sort_by_key(|row| (row.created_at, row.n));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.mutation.id));
    Outbox::load(
        rows.into_iter()
            .zip(1..)
            .map(|(row, n)| Entry { n, ..row.entry() }),
    )
}

fn read(storage: &Storage, key: &str) -> Option<Kept> {
    let text = storage.get_item(key).ok()??;
    serde_json::from_str(&text).ok()
}

/// `None` where the person's settings forbid it.
pub fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// This tab's name: the same after a reload.
fn tab() -> String {
    let kept = web_sys::window().and_then(|window| window.session_storage().ok()?);
    let known = kept.as_ref().and_then(|kept| kept.get_item(TAB).ok()?);
    known.unwrap_or_else(|| {
        let fresh = MutationId::fresh().to_string();
        if let Some(kept) = kept {
            let _ = kept.set_item(TAB, &fresh);
        }
        fresh
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::mutation::Op;
    use protocol::{Code, SessionId};

    fn entry(n: i64, created_at: UnixMillis, standing: Standing) -> Entry {
        let op = Op::SessionArchive {
            session: SessionId::fresh(),
            archived: true,
        };
        Entry {
            n,
            mutation: Mutation {
                id: MutationId::fresh(),
                v: 1,
                op,
            },
            standing,
            attempts: 1,
            not_before: 7,
            created_at,
        }
    }

    fn through_text(entries: &[Entry]) -> Vec<Row> {
        let rows: Vec<Row> = entries.iter().filter_map(Row::of).collect();
        let kept = serde_json::to_string(&Kept { alive: 1, rows }).unwrap();
        serde_json::from_str::<Kept>(&kept).unwrap().rows
    }

    #[test]
    fn what_was_on_its_way_is_queued_and_what_was_refused_stays_refused() {
        let problem = Problem::new(Code::SessionDeleted);
        let entries = [
            entry(1, 10, Standing::Inflight),
            entry(2, 20, Standing::Acked { seq: 3 }),
            entry(
                3,
                30,
                Standing::Dead {
                    problem: problem.clone(),
                },
            ),
        ];
        let outbox = merge(through_text(&entries));
        let back: Vec<&Entry> = outbox.entries().collect();
        assert_eq!(back.len(), 2);
        assert_eq!(
            (back[0].mutation.clone(), &back[0].standing),
            (entries[0].mutation.clone(), &Standing::Queued)
        );
        assert_eq!(back[1].standing, Standing::Dead { problem });
    }

    /// A duplicated tab has the same key. What one of them wrote is not the other's to take away, and what one of them has
    /// sent does not come back by the other.
    #[test]
    fn a_tab_leaves_what_it_never_saw_and_lets_go_of_what_it_sent() {
        let (own, sent, others) = (
            entry(1, 10, Standing::Queued),
            entry(2, 20, Standing::Acked { seq: 3 }),
            entry(1, 30, Standing::Queued),
        );
        let seen = BTreeSet::from([own.mutation.id, sent.mutation.id]);
        let queued = Entry {
            standing: Standing::Queued,
            ..sent.clone()
        };
        let stored = through_text(&[own.clone(), queued, others.clone()]);
        let outbox = Outbox::load([own.clone(), sent]);
        let kept = with_unseen(&outbox, stored, &seen);
        let ids: Vec<MutationId> = kept.iter().map(|row| row.mutation.id).collect();
        assert_eq!(ids, [own.mutation.id, others.mutation.id]);
    }

    #[test]
    fn two_tabs_rows_come_in_the_order_of_writing_and_once() {
        let (early, late) = (entry(5, 10, Standing::Queued), entry(1, 20, Standing::Queued));
        let mut rows = through_text(&[late.clone()]);
        rows.extend(through_text(&[early.clone(), late.clone()]));
        let outbox = merge(rows);
        let ids: Vec<MutationId> = outbox.entries().map(|entry| entry.mutation.id).collect();
        assert_eq!(ids, [early.mutation.id, late.mutation.id]);
    }
}
