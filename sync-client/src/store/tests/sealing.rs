//! Files that are sealed: what is in them for who has no key, and that nothing is lost on the way there and back.

use super::*;
use crate::credentials::FileKey;
use crate::store::seal::{self, Kind};

const UNSENT: &str = "an unsent word about otters";
const READ: &str = "a lighthouse that everybody read about";
const TITLE: &str = "The harbour log";
const DRAFT: &str = "half a thought about whales";

fn key(number: u8) -> FileKey {
    FileKey::from_bytes([number; 32])
}

fn open(folder: &Path, sealing: Sealing) -> Store {
    Store::open(folder, Quota::default(), sealing).unwrap()
}

/// Rows of each kind. Of three sessions the first is gone from the list, so that rows have other numbers than a copy would give
/// them.
async fn fill(store: &Store) -> Plan {
    let plan = written(&Outbox::default(), id(1), UNSENT);
    store.keep(user(), plan.clone(), 5).await.unwrap();
    let mut named = session(2, 8, 1);
    TITLE.clone_into(&mut named.title);
    let mut said = message(2, 1, 9);
    READ.clone_into(&mut said.content);
    let history = History {
        session: id(2),
        as_of: at(10),
        lo: 1,
        hi: 1,
        messages: vec![said],
    };
    let start = first(vec![session(1, 1, 0), named], vec![history], 10);
    store.apply_bootstrap(user(), start).await.unwrap();
    store
        .cache
        .run(|connection| Ok(connection.execute_batch("delete from sessions where seq = 1")?))
        .await
        .unwrap();
    let draft = (Some(id(2)), DRAFT.to_owned());
    store.keep_drafts(user(), vec![draft]).await.unwrap();
    plan
}

async fn assert_whole(store: &Store, plan: &Plan) {
    let kept = store.load_outbox(user(), 0).await.unwrap();
    assert_eq!(kept.entries, plan.put);
    assert!(kept.last >= 1, "numbers go on after the last");
    assert_eq!(store.drafts(user()).await.unwrap().len(), 1);
    assert_eq!(store.cursor().await.unwrap(), Some(at(10)));
    for word in ["lighthouse", "harbour"] {
        let found = store.search(Query::parse(word), Vec::new()).await.unwrap();
        assert_eq!(found.hits.len() + found.titled.len(), 1, "{word}");
    }
    assert_eq!(store.page(id(2), 10).await.unwrap().messages.len(), 1);
    assert!(store.has_room().await.unwrap());
    let held = store.read(crate::store::eviction::held).await.unwrap();
    assert!(held.bytes >= 4096 && held.messages == 1, "{held:?}");
}

/// Whether a text lies readable in any file.
fn lies_in(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// A folder as a killed program leaves it: what was written last is in the companions alone.
async fn left_by_a_killed_program(sealing: Sealing) -> (tempfile::TempDir, Plan) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), sealing);
    let plan = fill(&store).await;
    let left = copied(folder.path());
    assert!(
        std::fs::metadata(left.path().join("outbox.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    store.close().await;
    (left, plan)
}

#[test]
fn nothing_that_is_sealed_can_be_read_in_a_file() {
    runtime().block_on(async {
        for (sealing, is_there) in [(Sealing::Open, true), (Sealing::With(key(1)), false)] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), sealing);
            let plan = fill(&store).await;
            for text in [UNSENT, READ, TITLE, DRAFT] {
                assert_eq!(lies_in(folder.path(), text), is_there, "while it is open: {text}");
            }
            assert_eq!(store.seals().await.unwrap(), (!is_there, 0));
            assert_whole(&store, &plan).await;
            store.close().await;
            for text in [UNSENT, READ, TITLE, DRAFT, "CREATE TABLE"] {
                assert_eq!(lies_in(folder.path(), text), is_there, "{text}");
            }
        }
    });
}

#[test]
fn wherever_sealing_is_cut_short_nothing_is_lost_and_it_is_done_at_the_next_start() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::Open).await;
        let mut stages = Vec::new();
        let with = Sealing::With(key(1));
        let held = seal::hold(folder.path(), &with, &mut |step| {
            stages.push((step, copied(folder.path())));
        });
        assert!(held.is_settled);
        assert_eq!(stages.len(), 10, "five steps of each file");
        for (step, left) in &stages {
            let store = open(left.path(), with.clone());
            assert!(store.is_settled() && !store.has_put_aside(), "{step:?}");
            assert_eq!(store.seals().await.unwrap(), (true, 0), "{step:?}");
            assert_whole(&store, &plan).await;
            store.close().await;
            for text in [UNSENT, READ, TITLE, DRAFT] {
                assert!(!lies_in(left.path(), text), "{text} after {step:?}");
            }
        }
    });
}

#[test]
fn a_copy_that_fails_leaves_nothing_beside_the_file() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::Open).await;
        let coming = ["outbox.db.coming", "cache.db.coming"].map(|name| folder.path().join(name));
        let held = seal::hold(folder.path(), &Sealing::With(key(1)), &mut |step| {
            if step == seal::Step::Copied {
                let copy = coming.iter().find(|copy| copy.exists()).unwrap();
                std::fs::write(copy, "noise").unwrap();
            }
        });
        assert!(!held.is_settled);
        assert!(coming.iter().all(|copy| !copy.exists()));
        drop(held);
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_eq!(store.seals().await.unwrap(), (true, 0));
        assert_whole(&store, &plan).await;
    });
}

#[test]
fn wherever_opening_for_good_is_cut_short_nothing_is_lost() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::With(key(1))).await;
        let mut stages = Vec::new();
        let until = Sealing::Until(key(1));
        let held = seal::hold(folder.path(), &until, &mut |step| {
            stages.push((step, copied(folder.path())));
        });
        assert!(held.is_settled && stages.len() == 10);
        for (step, left) in &stages {
            let store = open(left.path(), until.clone());
            assert!(store.is_settled(), "{step:?}");
            assert_whole(&store, &plan).await;
            store.close().await;
            let store = open(left.path(), Sealing::Open);
            assert_eq!(store.seals().await.unwrap(), (false, 0));
            assert_whole(&store, &plan).await;
        }
    });
}

#[test]
fn with_another_key_the_unsent_waits_aside_and_comes_back_with_its_own() {
    runtime().block_on(async {
        let (folder, first) = left_by_a_killed_program(Sealing::With(key(1))).await;
        let store = open(folder.path(), Sealing::With(key(2)));
        assert!(store.has_put_aside());
        assert_eq!(store.seals().await.unwrap(), (true, 1));
        assert_eq!(store.cursor().await.unwrap(), None, "the cache is begun afresh");
        assert!(store.load_outbox(user(), 0).await.unwrap().entries.is_empty());
        let second = written(&Outbox::default(), id(7), "and one more");
        store.keep(user(), second.clone(), 6).await.unwrap();
        store.close().await;

        for (number, wanted) in [(1, &first), (2, &second), (1, &first)] {
            let store = open(folder.path(), Sealing::With(key(number)));
            assert_eq!(store.seals().await.unwrap(), (true, 1), "key {number}");
            let kept = store.load_outbox(user(), 0).await.unwrap();
            let bodies = |entries: &[Entry]| {
                entries
                    .iter()
                    .map(|entry| entry.mutation.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(bodies(&kept.entries), bodies(&wanted.put), "key {number}");
            store.close().await;
        }
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_eq!(store.drafts(user()).await.unwrap().len(), 1);
    });
}

#[test]
fn what_another_key_sealed_comes_back_at_the_same_start_where_that_key_is_kept_too() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::With(key(1))).await;
        let open_with = |keys: Vec<FileKey>| {
            Store::open_with(folder.path(), Quota::default(), Sealing::With(key(2)), || keys).unwrap()
        };
        let store = open_with(vec![key(3)]);
        assert!(store.has_put_aside() && store.has_locked().unwrap());
        store.close().await;
        let store = open_with(vec![key(2), key(1)]);
        assert!(!store.has_put_aside() && !store.has_locked().unwrap());
        let kept = store.load_outbox(user(), 0).await.unwrap();
        assert_eq!(kept.entries.len(), plan.put.len());
        store.close().await;

        let (folder, _plan) = left_by_a_killed_program(Sealing::With(key(1))).await;
        let keys = || vec![key(1)];
        let store = Store::open_with(folder.path(), Quota::default(), Sealing::With(key(2)), keys).unwrap();
        assert!(!store.has_put_aside(), "nothing is aside any more");
    });
}

#[test]
fn what_needs_a_key_is_told_by_the_files_themselves() {
    runtime().block_on(async {
        let empty = tempfile::tempdir().unwrap();
        assert!(!Store::needs_key(empty.path()));
        for (sealing, needs) in [(Sealing::Open, false), (Sealing::With(key(1)), true)] {
            let (folder, _plan) = left_by_a_killed_program(sealing).await;
            assert_eq!(Store::needs_key(folder.path()), needs);
            Store::put_sealed_aside(folder.path()).unwrap();
            assert!(!Store::needs_key(folder.path()));
        }
    });
}

#[test]
fn while_the_key_cannot_be_had_nothing_is_touched() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::With(key(1))).await;
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let before = ["cache.db", "cache.db-wal", "outbox.db", "outbox.db-wal"].map(read);
        let refused = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap_err();
        assert!(matches!(refused, StoreFault::Locked), "{refused}");
        assert_eq!(
            ["cache.db", "cache.db-wal", "outbox.db", "outbox.db-wal"].map(read),
            before
        );
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_whole(&store, &plan).await;
        store.close().await;

        // Who gives the key up and finds it again.
        Store::put_sealed_aside(folder.path()).unwrap();
        let store = open(folder.path(), Sealing::Open);
        assert_eq!(store.seals().await.unwrap(), (false, 1));
        assert!(store.load_outbox(user(), 0).await.unwrap().entries.is_empty());
        let later = written(&Outbox::default(), id(7), "written meanwhile");
        store.keep(user(), later, 6).await.unwrap();
        store.close().await;
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_eq!(store.seals().await.unwrap(), (true, 0));
        assert_eq!(store.load_outbox(user(), 0).await.unwrap().entries.len(), 2);
    });
}

#[test]
fn who_has_the_files_open_keeps_them_as_they_are() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), Sealing::Open);
        let plan = fill(&store).await;
        let second = open(folder.path(), Sealing::With(key(1)));
        assert!(!second.is_settled());
        assert_eq!(second.seals().await.unwrap(), (false, 0));
        assert_whole(&second, &plan).await;
        second.close().await;
        store.close().await;
        drop((store, second));
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_eq!(store.seals().await.unwrap(), (true, 0));
        assert_whole(&store, &plan).await;
    });
}

#[test]
fn two_starts_at_once_seal_the_files_once_and_both_have_everything() {
    let runtime = runtime();
    for _ in 0..5 {
        let (folder, plan) = runtime.block_on(left_by_a_killed_program(Sealing::Open));
        let starts = [1, 2].map(|_| {
            let folder = folder.path().to_owned();
            std::thread::spawn(move || open(&folder, Sealing::With(key(1))))
        });
        for start in starts {
            let store = start.join().unwrap();
            assert_eq!(runtime.block_on(store.seals()).unwrap(), (true, 0));
            runtime.block_on(assert_whole(&store, &plan));
        }
    }
}

#[test]
fn noise_in_a_sealed_cache_costs_the_cache_alone() {
    runtime().block_on(async {
        let (folder, plan) = left_by_a_killed_program(Sealing::With(key(1))).await;
        open(folder.path(), Sealing::With(key(1))).close().await;
        let file = folder.path().join("cache.db");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes
            .iter_mut()
            .skip(100)
            .step_by(7)
            .for_each(|byte| *byte ^= 0x3c);
        std::fs::write(&file, bytes).unwrap();
        let store = open(folder.path(), Sealing::With(key(1)));
        assert_eq!(store.cursor().await.unwrap(), None);
        assert_eq!(store.load_outbox(user(), 0).await.unwrap().entries, plan.put);
        assert_eq!(seal::kind(&file).unwrap(), Kind::Sealed);
    });
}

#[test]
fn a_folder_that_nobody_has_open_tells_by_its_key_alone_which_sessions_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let sealing = Sealing::With(key(1));
    let has = |sealing: &Sealing, number| Store::has_session(path, sealing, id(number));
    assert!(has(&sealing, 2).is_err(), "there is no cache");
    let plan = runtime().block_on(async {
        let store = open(path, sealing.clone());
        let plan = fill(&store).await;
        store.close().await;
        plan
    });
    assert!(has(&sealing, 2).unwrap());
    assert!(!has(&sealing, 3).unwrap());
    assert!(has(&Sealing::With(key(2)), 2).is_err());
    assert!(has(&Sealing::Open, 2).is_err());
    runtime().block_on(async {
        let store = open(path, sealing.clone());
        assert_whole(&store, &plan).await;
        store.close().await;
    });
}
