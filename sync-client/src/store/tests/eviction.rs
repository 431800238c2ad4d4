//! Giving up: what goes is a known gap, what there is a reason to keep stays, and the index agrees all along.

use super::search::assert_sound;
use super::*;

/// Sessions 1, 2, … of so many messages, the later the newer.
fn filled(folder: &Path, sizes: &[i64]) -> (tokio::runtime::Runtime, Store) {
    let runtime = runtime();
    let store = Store::open(folder, Quota::default(), Sealing::Open).unwrap();
    let numbered = || (1_u128..).zip(sizes);
    let sessions = numbered().map(|(number, &size)| session(number, i64::try_from(number).unwrap(), size));
    let histories = numbered().map(|(number, &size)| whole(number, size));
    let start = first(sessions.collect(), histories.collect(), 1_000);
    runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
    (runtime, store)
}

fn whole(number: u128, size: i64) -> History {
    History {
        session: id(number),
        as_of: at(1_000),
        lo: 1,
        hi: size,
        messages: (1..=size).map(|ord| message(number, ord, ord)).collect(),
    }
}

fn reasons(kept: &[u128]) -> Reasons {
    let mut reasons = Reasons::default();
    for number in kept {
        reasons.add(id(*number), Reason::Written);
    }
    reasons
}

/// Messages in the file, whatever the stretches say.
fn rows(folder: &Path) -> u64 {
    let cache = Connection::open(folder.join("cache.db")).unwrap();
    reads::number(&cache, "select count(*) from messages").unwrap()
}

fn here(runtime: &tokio::runtime::Runtime, store: &Store, number: u128) -> Page {
    runtime.block_on(store.page(id(number), 5_000)).unwrap()
}

#[test]
fn what_was_opened_longest_ago_goes_first_and_keeps_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, store) = filled(folder.path(), &[3, 3, 3, 3]);
    for opened in [4, 1, 4] {
        runtime.block_on(store.mark_opened(id(opened))).unwrap();
    }
    // a fresh start brings the rows anew and forgets no opening
    let again = first(
        (1..=4)
            .map(|n| session(n, 5 + i64::try_from(n).unwrap(), 3))
            .collect(),
        (1..=4).map(|n| whole(n, 3)).collect(),
        1_000,
    );
    runtime.block_on(store.apply_bootstrap(user(), again)).unwrap();
    let mut gone = Vec::new();
    while let Some(given_up) = runtime.block_on(store.give_up(Reasons::default)).unwrap() {
        assert!(given_up.is_whole);
        gone.push(given_up.session);
    }
    assert_eq!(gone, [id(2), id(3), id(1), id(4)]);
    assert_eq!(
        runtime.block_on(store.numbers()).unwrap().0,
        4,
        "the list is whole"
    );
    assert_eq!(runtime.block_on(store.numbers()).unwrap().1, 0);
    let page = here(&runtime, &store, 2);
    assert_eq!(page.missing(50), Some(None), "loaded again from its end");
    assert_sound(folder.path());
}

#[test]
fn a_long_session_goes_slice_by_slice_and_is_honest_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, store) = filled(folder.path(), &[1_200]);
    let mut newest = Vec::new();
    while let Some(given_up) = runtime.block_on(store.give_up(Reasons::default)).unwrap() {
        let page = here(&runtime, &store, 1);
        assert_eq!(given_up.is_whole, page.newest.is_none());
        let (lo, hi) = page.newest.unwrap_or((1, 0));
        assert!(page.messages.iter().map(|row| row.ord).eq(lo..=hi));
        assert_sound(folder.path());
        newest.push(page.newest);
    }
    assert_eq!(newest, [Some((501, 1_200)), Some((1_001, 1_200)), None]);
}

#[test]
fn a_session_with_a_reply_being_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, store) = filled(folder.path(), &[2, 2]);
    let running = Session {
        running: true,
        ..session(1, 1_001, 2)
    };
    runtime
        .block_on(store.apply_page(page(1_000, vec![Change::Session(running)])))
        .unwrap();
    let given_up = runtime.block_on(store.give_up(Reasons::default)).unwrap();
    assert_eq!(given_up.map(|given_up| given_up.session), Some(id(2)));
    assert_eq!(runtime.block_on(store.give_up(Reasons::default)).unwrap(), None);
}

/// Freed pages are used again: the file does not shrink, and does not grow either.
#[test]
fn what_was_given_up_makes_room_for_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, store) = filled(folder.path(), &[900, 900, 900, 900]);
    let held = || {
        runtime
            .block_on(store.read(crate::store::eviction::held))
            .unwrap()
    };
    let before = held();
    assert_eq!(before.messages, 3_600);
    while runtime
        .block_on(store.give_up(|| reasons(&[3, 4])))
        .unwrap()
        .is_some()
    {}
    let after = held();
    assert_eq!(after.messages, 1_800);
    assert!(after.bytes * 10 < before.bytes * 8, "{before:?} then {after:?}");
    for number in [1, 2] {
        let history = Arc::new(whole(number, 900));
        runtime.block_on(store.apply_history(history)).unwrap();
    }
    let again = held();
    assert!(again.bytes * 10 < before.bytes * 12, "{before:?} then {again:?}");
    assert_sound(folder.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// CursorHonest under giving up: whatever goes, and however far it got, every stretch that is believed to be here is
    /// here as it was; nothing with a reason goes; what is loaded again is whole.
    #[test]
    fn whatever_is_given_up_the_rest_is_as_it_was(
        sizes in prop::collection::vec(1_i64..700, 1..5),
        kept in prop::collection::vec(1_u128..5, 0..3),
        opened in prop::collection::vec(1_u128..5, 0..4),
        slices in 0_usize..9,
        again in 1_u128..5,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, store) = filled(folder.path(), &sizes);
        for number in opened {
            runtime.block_on(store.mark_opened(id(number))).unwrap();
        }
        for _ in 0..slices {
            let kept = kept.clone();
            runtime.block_on(store.give_up(move || reasons(&kept))).unwrap();
        }
        if let Some(&size) = usize::try_from(again - 1).ok().and_then(|place| sizes.get(place)) {
            runtime.block_on(store.apply_history(Arc::new(whole(again, size)))).unwrap();
            prop_assert_eq!(here(&runtime, &store, again).newest, Some((1, size)));
        }
        let mut believed = 0;
        for (number, &size) in (1_u128..).zip(&sizes) {
            let page = here(&runtime, &store, number);
            prop_assert_eq!(page.session.as_ref().map(|session| session.last_ord), Some(size));
            let (lo, hi) = page.newest.unwrap_or((1, 0));
            let expected: Vec<Message> = (lo..=hi).map(|ord| message(number, ord, ord)).collect();
            believed += expected.len();
            prop_assert_eq!(page.messages, expected);
            prop_assert!(hi == size || hi == 0, "from the oldest on");
            if kept.contains(&number) {
                prop_assert_eq!((lo, hi), (1, size));
            }
        }
        prop_assert_eq!(runtime.block_on(store.numbers()).unwrap().1, believed as u64);
        prop_assert_eq!(rows(folder.path()), believed as u64, "no row outside the stretches");
        assert_sound(folder.path());
    }
}
