//! What grows on a device is read by its indexes: every statement that the store makes of it, explained by the SQLite that runs it.

use super::*;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::sync::{Mutex, PoisonError};

/// Reads of a whole table that are meant: a part of the statement, and why.
const MEANT: [(&str, &str); 9] = [
    ("from sync_state", "one row"),
    ("update sync_state", "one row"),
    ("from runs", "as many rows as replies are being made"),
    (
        "select count(*) from sessions",
        "where somebody asks how much is here",
    ),
    ("sum(hi - lo + 1)", "hardly more rows than sessions"),
    (
        "from sessions as s left join openings",
        "where room ends: all are weighed against each other",
    ),
    ("delete from drafts where n not in", "200 rows"),
    ("state = 'acked' and acked_at", "once a start, of two weeks"),
    ("from sqlite_sequence", "one row"),
];

/// What the connections that are watched were asked.
static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn note(event: TraceEvent<'_>) {
    // what a trigger or the index of words asks by itself is told as a comment
    if let TraceEvent::Stmt(_, statement) = event
        && ["select", "insert", "update", "delete"]
            .iter()
            .any(|verb| statement.trim_start().starts_with(verb))
    {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(statement.to_owned());
    }
}

async fn watch(worker: &Worker) {
    let watched = worker.run(|connection| {
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
        Ok(())
    });
    watched.await.unwrap();
}

/// How SQLite reads what a statement asks for, a line for each step.
fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection
        .prepare(&format!("explain query plan {statement}"))
        .unwrap();
    let steps = explained.raw_query().mapped(|row| row.get("detail"));
    steps.collect::<rusqlite::Result<_>>().unwrap()
}

/// Whether a table is read from end to end, or an index of one. A part that the plan itself has made is none, nor are the
/// words' indexes, which are asked by what they match.
fn reads_whole(plan: &[String]) -> bool {
    let is_made = |name: &str| {
        plan.iter()
            .filter_map(|step| {
                step.strip_prefix("CO-ROUTINE ")
                    .or(step.strip_prefix("MATERIALIZE "))
            })
            .any(|made| made == name)
    };
    plan.iter()
        .filter_map(|step| step.strip_prefix("SCAN "))
        .filter(|read| !read.contains("VIRTUAL TABLE") && !read.contains("CONSTANT ROW"))
        .any(|read| !is_made(read.split(' ').next().unwrap_or_default()))
}

/// What was asked since the last look, and is read whole without a reason; then all that was asked.
async fn looked_through(worker: &Worker) -> (Vec<String>, BTreeSet<String>) {
    let asked = std::mem::take(&mut *ASKED.lock().unwrap_or_else(PoisonError::into_inner));
    let statements = asked.clone();
    let explained = worker.run(move |connection| {
        let plans = statements
            .into_iter()
            .map(|statement| (plan(connection, &statement), statement));
        Ok(plans.collect::<Vec<_>>())
    });
    let mut faults = Vec::new();
    for (plan, statement) in explained.await.unwrap() {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_meant = MEANT.iter().any(|(part, _why)| words.contains(part));
        if reads_whole(&plan) && !is_meant {
            faults.push(format!("{words}\n  {}", plan.join("\n  ")));
        }
    }
    (faults, asked)
}

/// Two sessions, of which the second has a gap.
fn start() -> Box<Bootstrap> {
    let history = |number: u128, lo: i64, hi: i64| History {
        session: id(number),
        as_of: at(9),
        lo,
        hi,
        messages: (lo..=hi).map(|ord| message(number, ord, ord)).collect(),
    };
    first(
        vec![session(1, 7, 3), session(2, 8, 3)],
        vec![history(1, 1, 3), history(2, 2, 3)],
        9,
    )
}

async fn read_the_cache(store: &Store) {
    let (due, words) = (Due { before: 1, now: 1 }, Query::parse("words of change"));
    store.cursor().await.unwrap();
    store.whole().await.unwrap();
    store.cache_owner().await.unwrap();
    store.list_more().await.unwrap();
    for archived in [false, true] {
        store.sessions(archived, BTreeSet::new(), 200).await.unwrap();
    }
    store.session(id(1)).await.unwrap();
    store.is_gone(id(1)).await.unwrap();
    assert_eq!(store.page(id(1), 50).await.unwrap().messages.len(), 3);
    store.to_hydrate(20).await.unwrap();
    let gaps = store.gaps(None, 9).await.unwrap();
    store.gaps(gaps.last().copied(), 9).await.unwrap();
    let digests = store.digests(due, Some(id(1)), 9).await.unwrap();
    assert_eq!(digests.unwrap().1.len(), 1);
    store.tails().await.unwrap();
    store.search(words.clone(), vec![id(2)]).await.unwrap();
    let within = words.within(Some(id(1)));
    assert!(!store.search(within, vec![]).await.unwrap().hits.is_empty());
    store.place(id(1), message(1, 2, 2).id).await.unwrap();
    store.message(message(1, 2, 2).id).await.unwrap();
    store.numbers().await.unwrap();
    store.is_over().await.unwrap();
}

async fn write_the_cache(store: &Store) {
    let changes = vec![
        Change::Session(session(3, 10, 1)),
        Change::Message(message(3, 1, 11)),
        Change::SessionGone { id: id(1), seq: 12 },
    ];
    store.apply_page(page(9, changes)).await.unwrap();
    let tail = Tail {
        run: RunId(Epoch::from_u128(9)),
        message: message(3, 2, 4).id,
        session: id(3),
        at: Some(At { attempt: 1, idx: 1 }),
        text: "so far".to_owned(),
        older: None,
        ended: None,
    };
    store.save_tails(vec![tail]).await.unwrap();
    store.mark_verified(vec![id(2)], 1).await.unwrap();
    store.mark_opened(id(2)).await.unwrap();
    let stretch = Stretch {
        session: id(3),
        lo: 1,
        hi: 1,
    };
    store.drop_stretch(stretch).await.unwrap();
    assert!(store.give_up(Reasons::default).await.unwrap().is_some());
}

async fn use_the_outbox(store: &Store) {
    let mut outbox = Outbox::default();
    let plan = written(&outbox, id(1), "one");
    outbox.apply(&plan);
    store.keep(user(), plan, 5).await.unwrap();
    let drop = vec![outbox.entries().next().unwrap().n];
    let plan = Plan {
        drop,
        ..Plan::default()
    };
    store.keep(user(), plan, 5).await.unwrap();
    store.load_outbox(user(), 0).await.unwrap();
    store.journal(user()).await.unwrap();
    store.prune_journal(1).await.unwrap();
    let draft = (Some(id(1)), "being written".to_owned());
    store.keep_drafts(user(), vec![draft]).await.unwrap();
    store.drafts(user()).await.unwrap();
    store.mark_kept(user(), id(1), true).await.unwrap();
    store.kept(user()).await.unwrap();
    store.remember_epoch(user(), Epoch::from_u128(1)).await.unwrap();
    store.epoch(user()).await.unwrap();
    store.drop_outbox(user()).await.unwrap();
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    // a fresh start replaces every row, and is meant to
    store.apply_bootstrap(user(), start()).await.unwrap();
    for worker in store.readers.iter().chain([&store.cache, &store.outbox]) {
        watch(worker).await;
    }
    read_the_cache(&store).await;
    write_the_cache(&store).await;
    let (mut faults, of_cache) = looked_through(&store.cache).await;
    use_the_outbox(&store).await;
    let (of_outbox_faults, of_outbox) = looked_through(&store.outbox).await;
    faults.extend(of_outbox_faults);
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(of_cache.len() > 30, "{of_cache:#?}");
    assert!(of_outbox.len() > 12, "{of_outbox:#?}");
    store.close().await;
}

/// What SQLite says where there is no index, so that the look above is known to see.
#[test]
fn a_table_that_is_read_whole_is_seen() {
    let cache = files::cache_in_memory().unwrap();
    for (statement, is_whole) in [
        ("select * from messages where content = 'x'", true),
        (
            "select * from messages as m join sessions as s on m.role = s.title where s.id = 'x'",
            true,
        ),
        ("select count(*) from messages", true),
        ("select * from messages where id = 'x'", false),
        (
            "select * from (select id from sessions order by id limit 5) as few where id > 'x'",
            true,
        ),
        (
            "select * from (select id from sessions where id > 'x' order by id limit 5) as few",
            false,
        ),
    ] {
        let plan = plan(&cache, statement);
        assert_eq!(reads_whole(&plan), is_whole, "{statement}: {plan:?}");
    }
}
