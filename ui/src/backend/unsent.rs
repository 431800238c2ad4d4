//! What a page wrote and could not send, as a browser keeps it (`web::kept`): the rows, how they are read back, and whose they are.
//!
//! **Invariant:** pure. It is built without a browser too, so that the claims about it run wherever tests do.

use protocol::mutation::Mutation;
use protocol::{MutationId, Problem, UnixMillis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use sync_client::order;
use sync_client::outbox::{Entry, Outbox, Standing};

/// A tab in the background may be woken only once a minute.
const LIFELESS_MILLIS: UnixMillis = 130 * 1000;

#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    pub alive: UnixMillis,
    pub rows: Vec<Row>,
}

impl Kept {
    /// Whether the tab that kept it shows no life any more. One of the future tells nothing: its clock was another.
    pub const fn is_left(&self, now: UnixMillis) -> bool {
        now - self.alive > LIFELESS_MILLIS || self.alive > now
    }
}

/// Accepted rows are the server's; these are not yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
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

/// What is still to be sent from here, and what somebody else keeps under the same key.
pub fn with_unseen(outbox: &Outbox, stored: Vec<Row>, seen: &BTreeSet<MutationId>) -> Vec<Row> {
    let own = outbox.entries().filter_map(Row::of);
    let others = stored.into_iter().filter(|row| !seen.contains(&row.mutation.id));
    own.chain(others).collect()
}

/// Several tabs' rows in the order of their writing, numbered afresh; a row that two of them have, once.
pub fn merge(rows: Vec<Row>) -> Outbox {
    let number = |row: &Row| u128::try_from(row.n).unwrap_or_default();
    let mut rows = order::by(rows, |row| (row.created_at, number(row)));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.mutation.id));
    Outbox::load(
        rows.into_iter()
            .zip(1..)
            .map(|(row, n)| Entry { n, ..row.entry() }),
    )
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
            not_found: 0,
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
        let mut rows = through_text(std::slice::from_ref(&late));
        rows.extend(through_text(&[early.clone(), late.clone()]));
        let outbox = merge(rows);
        let ids: Vec<MutationId> = outbox.entries().map(|entry| entry.mutation.id).collect();
        assert_eq!(ids, [early.mutation.id, late.mutation.id]);
    }

    #[test]
    fn a_tab_is_left_alone_as_long_as_it_shows_life() {
        let alive = 1_000_000;
        let kept = Kept {
            alive,
            rows: Vec::new(),
        };
        assert!(!kept.is_left(alive) && !kept.is_left(alive + LIFELESS_MILLIS));
        assert!(kept.is_left(alive + LIFELESS_MILLIS + 1) && kept.is_left(alive - 1));
    }
}
