//! A part of the list is the beginning of the whole list, whatever waits in the outbox.

use super::*;
use crate::view;
use protocol::view::SessionRow;

/// What a person did without a network to a session, or by beginning one.
fn deed() -> impl Strategy<Value = (u128, u8)> {
    (0_u128..14, 0_u8..5)
}

fn op(session: SessionId, deed: u8) -> Op {
    match deed {
        0 => Op::SessionRename {
            session,
            title: "renamed here".to_owned(),
            base: 99,
        },
        1 => Op::SessionArchive {
            session,
            archived: true,
        },
        2 => Op::SessionArchive {
            session,
            archived: false,
        },
        3 => Op::SessionDelete { session },
        _send => Op::MessageCreate {
            id: MessageId::fresh(),
            session,
            parent: None,
            content: "words from here".to_owned(),
            run: RunMode::Auto,
        },
    }
}

struct Listed {
    runtime: tokio::runtime::Runtime,
    store: Store,
    outbox: Outbox,
    _folder: tempfile::TempDir,
}

impl Listed {
    /// Sessions 0 to 9 are the server's; those of a greater number are begun here.
    fn after(deeds: &[(u128, u8)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, store) = (
            runtime(),
            Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap(),
        );
        let rows = (0..10).map(|number| session(number, 1 + i64::try_from(number).unwrap(), 0));
        let start = first(rows.collect(), vec![], 20);
        runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
        let mut outbox = Outbox::default();
        for (n, &(number, deed)) in deeds.iter().enumerate() {
            // half of them newer than every row, half older
            let now = if n % 2 == 0 { 0 } else { 100 };
            let title = "Begun here".to_owned();
            let create = Op::SessionCreate {
                id: id(number),
                title,
            };
            let is_new = number >= 10 && outbox.lane(id(number)).next().is_none();
            for op in is_new.then_some(create).into_iter().chain([op(id(number), deed)]) {
                // one whose session is being deleted is refused
                if let Ok(plan) = outbox.enqueue(MutationId::fresh(), op, 0, now) {
                    outbox.apply(&plan);
                }
            }
        }
        Self {
            runtime,
            store,
            outbox,
            _folder: folder,
        }
    }

    fn rows(&self, archived: bool, most: usize) -> Vec<SessionRow> {
        let others: BTreeSet<SessionId> = self
            .outbox
            .entries()
            .map(|entry| entry.mutation.op.session())
            .collect();
        let read = self.store.sessions(archived, others, most);
        let read = self.runtime.block_on(read).unwrap();
        view::list(&read, &self.outbox, archived, most)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Created, renamed, archived, brought back, deleted and written in without a network: every page of the list is where
    /// it is in the whole.
    #[test]
    fn a_part_of_the_list_is_the_beginning_of_the_whole(
        deeds in prop::collection::vec(deed(), 0..12),
        archived in any::<bool>(),
    ) {
        let listed = Listed::after(&deeds);
        let whole = listed.rows(archived, usize::MAX);
        let inside = whole.iter().all(|row| row.archived == archived);
        prop_assert!(inside);
        for most in 0..=whole.len() + 1 {
            let part = listed.rows(archived, most);
            prop_assert_eq!(&part[..], &whole[..most.min(whole.len())], "the first {}", most);
        }
    }
}

#[test]
fn a_page_of_the_list_reads_no_more_than_a_page() {
    let listed = Listed::after(&[(3, 3), (12, 4)]);
    let others = BTreeSet::from([id(3), id(12)]);
    let read = listed.store.sessions(false, others, 2);
    let read = listed.runtime.block_on(read).unwrap();
    assert!(read.len() <= 2 + 2 + 2, "{read:?}");
}
