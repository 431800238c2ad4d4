//! The indexes agree with the rows whatever was written, and any text may be looked for.

use super::*;
use crate::search::snippet::bracketed;
use crate::search::{Query, gather};
use protocol::search::Found;
use rusqlite::Connection;

/// A store on disk, and a way to look for something in it.
struct Searched {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Searched {
    fn with(sessions: Vec<Session>, texts: &[(i64, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
        let messages: Vec<Message> = texts.iter().map(|(ord, text)| said(*ord, text)).collect();
        let history = History {
            session: id(1),
            as_of: at(2),
            lo: 1,
            hi: 99,
            messages,
        };
        let runtime = runtime();
        runtime
            .block_on(store.apply_bootstrap(user(), first(sessions, vec![history], 2)))
            .unwrap();
        Self {
            folder,
            runtime,
            store,
        }
    }

    fn found(&self, typed: &str) -> Found {
        self.found_in(typed, None)
    }

    fn found_in(&self, typed: &str, within: Option<SessionId>) -> Found {
        let query = Query::parse(typed).within(within);
        let candidates = self.runtime.block_on(self.store.search(query.clone(), vec![]));
        gather(&query, &Outbox::default(), candidates.unwrap())
    }

    fn ords(&self, typed: &str) -> Vec<i64> {
        let found = self.found(typed).sessions;
        found
            .iter()
            .flat_map(|session| session.hits.iter().filter_map(|hit| hit.ord))
            .collect()
    }

    fn change(&self, from: i64, change: Change) {
        self.runtime
            .block_on(self.store.apply_page(page(from, vec![change])))
            .unwrap();
    }

    fn assert_sound(&self) {
        assert_sound(self.folder.path());
    }
}

/// FTS5's own comparison of both indexes with the rows that they read.
pub(super) fn assert_sound(folder: &Path) {
    let cache = Connection::open(folder.join("cache.db")).unwrap();
    crate::store::search::teach(&cache).unwrap();
    for index in ["messages_fts", "sessions_fts"] {
        let check = format!("insert into {index} ({index}, rank) values ('integrity-check', 1)");
        cache
            .execute(&check, [])
            .unwrap_or_else(|error| panic!("{index} and its rows differ: {error}"));
    }
}

fn said(ord: i64, text: &str) -> Message {
    Message {
        status: Status::Complete,
        content: text.to_owned(),
        deleted: false,
        ..message(1, ord, 1)
    }
}

fn titled(title: &str) -> Session {
    Session {
        title: title.to_owned(),
        ..session(1, 1, 99)
    }
}

#[test]
fn words_are_found_and_marked_in_titles_and_messages() {
    let searched = Searched::with(
        vec![titled("Küche und Käse")],
        &[(1, "Der Käse liegt\nim Kühlschrank"), (2, "Wind und Wetter")],
    );
    let found = searched.found("kase kuhl");
    let session = found.sessions.first().unwrap();
    assert!(!session.is_titled_so, "not every word is in the title");
    assert_eq!(
        bracketed(&session.hits.first().unwrap().snippet),
        "Der [Käse] liegt im [Kühlschrank]"
    );
    let found = searched.found("käse");
    assert_eq!(found.count(), 2);
    assert_eq!(
        bracketed(&found.sessions.first().unwrap().title),
        "Küche und [Käse]"
    );
    assert!(!found.has_more);
    searched.assert_sound();
}

#[test]
fn one_session_is_looked_through_by_itself_titles_aside() {
    let other = Session {
        title: "More cheese".to_owned(),
        ..session(2, 2, 99)
    };
    let searched = Searched::with(vec![titled("Cheese"), other], &[(1, "cheese"), (2, "bread")]);
    let elsewhere = Message {
        content: "cheese elsewhere".to_owned(),
        status: Status::Complete,
        deleted: false,
        ..message(2, 1, 3)
    };
    searched.change(2, Change::Message(elsewhere));
    assert_eq!(searched.found("cheese").count(), 4);
    for (session, ord) in [(1, 1), (2, 1)] {
        let found = searched.found_in("cheese", Some(id(session)));
        let [only] = found.sessions.as_slice() else {
            unreachable!("{found:?}");
        };
        let ords: Vec<_> = only.hits.iter().map(|hit| hit.ord).collect();
        assert_eq!((only.id, ords, found.count()), (id(session), vec![Some(ord)], 1));
    }
    assert_eq!(searched.found_in("bread", Some(id(2))).count(), 0);
}

#[test]
fn scripts_without_spaces_are_found_in_the_middle_of_a_run() {
    let searched = Searched::with(
        vec![titled("旅行の計画")],
        &[
            (1, "来週、東京タワーへ行きます。"),
            (2, "京東という会社"),
            (3, "한국어 검색창에서"),
            (4, "พรุ่งนี้ไปกรุงเทพ"),
            (5, "用Rust写的"),
        ],
    );
    assert_eq!(searched.ords("東京"), [1]);
    assert_eq!(searched.ords("タワー"), [1]);
    assert_eq!(searched.ords("검색"), [3]);
    assert_eq!(searched.ords("กรุงเทพ"), [4]);
    assert_eq!(searched.ords("rust"), [5]);
    assert_eq!(searched.ords("用Rust写"), [5]);
    let found = searched.found("東京");
    let hit = found.sessions.first().unwrap().hits.first().unwrap();
    assert_eq!(bracketed(&hit.snippet), "来週、[東京]タワーへ行きます。");
    let titles = searched.found("計画");
    assert_eq!(bracketed(&titles.sessions.first().unwrap().title), "旅行の[計画]");
    searched.assert_sound();
}

#[test]
fn what_still_grows_is_not_found_and_what_is_deleted_no_more() {
    let searched = Searched::with(vec![titled("Pantry")], &[(1, "cheese"), (2, "more cheese")]);
    searched.change(
        2,
        Change::Message(Message {
            status: Status::Streaming,
            seq: 3,
            ..said(3, "growing cheese")
        }),
    );
    assert_eq!(searched.ords("cheese"), [1, 2], "the shorter one fits better");
    searched.change(
        3,
        Change::Message(Message {
            seq: 4,
            ..said(3, "grown cheese")
        }),
    );
    searched.change(
        4,
        Change::Message(Message {
            deleted: true,
            content: String::new(),
            seq: 5,
            ..said(1, "")
        }),
    );
    searched.change(
        5,
        Change::Message(Message {
            seq: 6,
            ..said(2, "bread instead")
        }),
    );
    assert_eq!(searched.ords("cheese"), [3]);
    assert_eq!(searched.ords("bread"), [2]);
    searched.assert_sound();
    searched.change(6, Change::SessionGone { id: id(1), seq: 7 });
    assert_eq!(
        searched.found("pantry").count() + searched.found("grown").count(),
        0
    );
    searched.assert_sound();
}

#[test]
fn only_so_many_are_told_of() {
    let texts: Vec<(i64, &str)> = (1..=60).map(|ord| (ord, "the same words")).collect();
    let searched = Searched::with(vec![titled("Many")], &texts);
    let found = searched.found("same words");
    assert_eq!((found.count(), found.has_more), (crate::search::HITS, true));
}

#[test]
fn of_messages_that_fit_as_well_the_newest_are_told_of() {
    let searched = Searched::with(vec![titled("Many")], &[(99, "bread")]);
    for ord in 1..=60 {
        let said = Message {
            seq: ord + 2,
            created_at: ord * 1_000,
            ..said(ord, "the same words")
        };
        searched.change(ord + 1, Change::Message(said));
    }
    assert_eq!(searched.ords("words"), (11..=60).rev().collect::<Vec<_>>());
}

/// What the server reads in one go, newest first, is written here in that order; then the world goes on.
#[test]
fn of_a_word_that_is_everywhere_the_newest_messages_are_told_of() {
    const OLD: i64 = 1_300;
    let spoken = |ord| Message {
        created_at: ord * 1_000,
        ..said(ord, "the same words")
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let history = |lo, hi| History {
        session: id(1),
        as_of: at(2),
        lo,
        hi,
        messages: (lo..=hi).map(spoken).collect(),
    };
    let runtime = runtime();
    let newest = vec![history(OLD - 99, OLD)];
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![titled("Many")], newest, 2)))
        .unwrap();
    for block in (0..OLD / 100 - 1).rev() {
        let read = history(block * 100 + 1, block * 100 + 100);
        runtime.block_on(store.apply_history(read.into())).unwrap();
    }
    let searched = Searched {
        folder,
        runtime,
        store,
    };
    let shown = i64::try_from(crate::search::HITS).unwrap();
    assert_eq!(
        searched.ords("words"),
        (OLD - shown + 1..=OLD).rev().collect::<Vec<_>>()
    );
    let last = OLD + 1;
    searched.change(
        2,
        Change::Message(Message {
            seq: 3,
            ..spoken(last)
        }),
    );
    assert_eq!(
        searched.ords("words"),
        (last - shown + 1..=last).rev().collect::<Vec<_>>()
    );
    assert_eq!(
        searched.found_in("words", Some(id(1))).count(),
        crate::search::HITS_WITHIN
    );
}

#[test]
fn a_cache_of_an_earlier_build_is_searched_as_well() {
    let searched = Searched::with(vec![titled("Old")], &[(1, "東京 calling")]);
    searched.runtime.block_on(searched.store.close());
    let file = searched.folder.path().join("cache.db");
    let cache = Connection::open(&file).unwrap();
    crate::store::search::teach(&cache).unwrap();
    let first = migrations::CACHE[0];
    let (_, indexes) = first
        .sql
        .split_once("-- Finished, undeleted messages only")
        .unwrap();
    let dropped = "drop trigger messages_fts_insert; drop trigger messages_fts_delete;
         drop trigger messages_fts_leave; drop trigger messages_fts_enter; drop table messages_fts;
         drop view messages_text; drop trigger sessions_fts_insert; drop trigger sessions_fts_delete;
         drop trigger sessions_fts_leave; drop trigger sessions_fts_enter; drop table sessions_fts;
         drop view sessions_text; alter table sync_state drop column whole;
         alter table sync_state drop column head; drop table openings; drop index sessions_active;
         pragma user_version = 2;";
    cache.execute_batch(&format!("{dropped} --{indexes}")).unwrap();
    drop(cache);
    let store = Store::open(searched.folder.path(), Quota::default(), Sealing::Open).unwrap();
    let searched = Searched { store, ..searched };
    assert_eq!(searched.ords("京 calling"), [1]);
    assert_eq!(searched.found("old").count(), 1);
    searched.assert_sound();
}

proptest! {
    #[test]
    fn sqlite_accepts_whatever_is_typed(typed in any::<String>(), noise in "[\"*^():+{}~ a-cORNEAT東\\-\0\u{201c}]{0,40}") {
        thread_local! {
            static SEARCHED: Searched = Searched::with(vec![titled("a b c")], &[(1, "a or near 東 b")]);
        }
        SEARCHED.with(|searched| {
            for text in [&typed, &noise] {
                searched.found(text);
                searched.found(&format!("{text} \"{noise}"));
            }
        });
    }
}

proptest! {
    // Each case makes files of its own.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_indexes_agree_with_the_rows_after_any_changes(
        changes in prop::collection::vec((1u128..4, 1i64..5, 0u8..8, "[a-c東京 ]{0,6}"), 1..30),
    ) {
        let searched = Searched::with(vec![titled("first"), session(2, 1, 9)], &[(1, "one"), (2, "東京")]);
        for (seq, (number, ord, kind, text)) in (3i64..).zip(changes) {
            let change = match kind {
                0 => Change::SessionGone { id: id(number), seq },
                1 | 2 => Change::Session(Session { seq, title: text, ..session(number, 1, ord) }),
                _ => Change::Message(Message { content: text, ..message(number, ord, seq) }),
            };
            searched.change(seq - 1, change);
        }
        searched.runtime.block_on(searched.store.drop_stretch(Stretch { session: id(1), lo: 1, hi: 2 })).unwrap();
        searched.assert_sound();
        searched.runtime.block_on(searched.store.close());
    }
}
