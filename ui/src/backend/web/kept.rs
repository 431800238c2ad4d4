//! What a page wrote and could not send, kept in the browser so that a reload or a crash loses none of it.
//!
//! Each tab keeps its own under a key of its own and takes over what a tab left behind that shows no life any more. A tab
//! that was duplicated has the key of the one it came from: neither takes away what it has never seen.
//! Sending something twice is harmless: the server knows a mutation by its id.

use crate::backend::unsent::{Kept, Row, merge, with_unseen};
use protocol::{MutationId, UnixMillis, UserId};
use std::cell::RefCell;
use std::collections::BTreeSet;
use sync_client::outbox::Outbox;
use web_sys::Storage;

/// More than a day of offline writing; far from what a browser gives a site.
const BYTES: usize = 1024 * 1024;
/// How often a tab that keeps something shows that it lives.
pub const SIGN_OF_LIFE_MILLIS: u32 = 60_000;

const OUTBOX: &str = "compymac.outbox.";
const TAB: &str = "compymac.tab";

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
            if key == self.key || kept.is_left(now) {
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
