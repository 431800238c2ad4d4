//! The two files in real folders: what survives, what is begun afresh, and that disk and memory agree.
#![expect(clippy::unnecessary_box_returns, reason = "the store takes it boxed")]

mod drafts;
mod eviction;
mod letters;
mod listing;
mod plans;
mod sealing;
mod search;

use super::*;
use crate::engine::Failure;
use crate::outbox::{Outbox, Standing};
use crate::replica::{Replica, Verdict};
use proptest::prelude::*;
use protocol::mutation::{Op, RunMode};
use protocol::run::{At, Status};
use protocol::sync::{Change, Epoch, Message, Role};
use protocol::{MessageId, MutationId, RunId};
use std::sync::Arc;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn at(seq: i64) -> Cursor {
    Cursor {
        epoch: Epoch::from_u128(1),
        seq,
    }
}

fn user() -> UserId {
    UserId(Epoch::from_u128(2))
}

fn id(number: u128) -> SessionId {
    SessionId(Epoch::from_u128(100 + number))
}

fn session(number: u128, seq: i64, last_ord: i64) -> Session {
    Session {
        id: id(number),
        seq,
        title: format!("title {seq}"),
        title_seq: 0,
        archived: seq % 3 == 0,
        last_ord,
        preview: String::new(),
        running: false,
        last_active: seq,
        created_at: 0,
    }
}

fn message(number: u128, ord: i64, seq: i64) -> Message {
    Message {
        id: MessageId(Epoch::from_u128(
            1_000 * (number + 1) + u128::from(ord.unsigned_abs()),
        )),
        session: id(number),
        seq,
        ord,
        parent: None,
        role: Role::Assistant,
        status: if seq % 4 == 0 {
            Status::Streaming
        } else {
            Status::Complete
        },
        run: Some(RunId(Epoch::from_u128(9))),
        content: format!("words of change {seq}"),
        metadata: serde_json::json!({"n": seq}),
        created_at: seq,
        deleted: seq % 7 == 0,
    }
}

fn first(sessions: Vec<Session>, histories: Vec<History>, seq: i64) -> Box<Bootstrap> {
    Box::new(Bootstrap {
        as_of: at(seq),
        sessions,
        histories,
        more: None,
    })
}

fn page(from: i64, changes: Vec<Change>) -> Arc<SyncPage> {
    let to = changes.iter().map(Change::seq).max().unwrap_or(from);
    Arc::new(SyncPage {
        from: at(from),
        to: at(to),
        head: to,
        more: false,
        changes,
    })
}

fn written(outbox: &Outbox, session: SessionId, text: &str) -> Plan {
    let op = Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content: text.to_owned(),
        run: RunMode::Auto,
    };
    outbox.enqueue(MutationId::fresh(), op, 0, 5).unwrap()
}

#[test]
fn the_files_are_this_users_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile");
    let store = Store::open(&path, Quota::default(), Sealing::Open).unwrap();
    runtime()
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

#[test]
fn a_cache_of_noise_is_begun_afresh_and_the_outbox_is_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let plan = written(&Outbox::default(), id(1), "precious");
    runtime.block_on(store.keep(user(), plan.clone(), 5)).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    runtime.block_on(store.close());
    std::fs::write(folder.path().join("cache.db"), vec![0x5a; 40_000]).unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    assert_eq!(runtime.block_on(store.cursor()).unwrap(), None);
    assert!(
        runtime
            .block_on(store.sessions(false, BTreeSet::new(), usize::MAX))
            .unwrap()
            .is_empty()
    );
    let kept = runtime.block_on(store.load_outbox(user(), 0)).unwrap();
    assert_eq!(kept.entries, plan.put);
    assert!(
        folder.path().join("cache.db.damaged").exists(),
        "kept for whoever wants to know why"
    );
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    assert_eq!(runtime.block_on(store.cursor()).unwrap(), Some(at(1)));
}

#[test]
fn noise_in_the_middle_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let messages: Vec<Message> = (1..400).map(|ord| message(1, ord, ord)).collect();
    let history = History {
        session: id(1),
        as_of: at(400),
        lo: 1,
        hi: 399,
        messages,
    };
    let start = first(vec![session(1, 400, 399)], vec![history], 400);
    runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
    runtime.block_on(store.close());
    let file = folder.path().join("cache.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let half = bytes.len() / 2;
    bytes[4_096..]
        .iter_mut()
        .step_by(3)
        .for_each(|byte| *byte ^= 0x3c);
    assert!(half > 4_096);
    std::fs::write(&file, bytes).unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let answer = runtime.block_on(store.page(id(1), 100));
    assert!(
        !matches!(answer, Ok(page) if page.messages.len() == 100),
        "noise is not read as messages"
    );
    runtime.block_on(store.rebuild_cache(true)).unwrap();
    assert_eq!(runtime.block_on(store.cursor()).unwrap(), None);
    let start = first(vec![session(1, 1, 0)], vec![], 1);
    runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
    assert_eq!(runtime.block_on(store.numbers()).unwrap().0, 1);
}

#[test]
fn a_cache_of_a_newer_build_is_begun_afresh() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(
        Store::open(folder.path(), Quota::default(), Sealing::Open)
            .unwrap()
            .close(),
    );
    let file = Connection::open(folder.path().join("cache.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    assert_eq!(runtime().block_on(store.cursor()).unwrap(), None);
}

#[test]
fn what_was_committed_outlives_a_program_that_just_ends() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let mut outbox = Outbox::default();
    let plan = written(&outbox, id(1), "one");
    runtime.block_on(store.keep(user(), plan.clone(), 5)).unwrap();
    outbox.apply(&plan);
    let (batch, plan) = outbox.dispatch(id(1), 50, 6).unwrap();
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let again = Store::open(copy.path(), Quota::default(), Sealing::Open).unwrap();
    let kept = runtime.block_on(again.load_outbox(user(), 0)).unwrap();
    let outbox = Outbox::load_after(kept.entries, kept.last);
    let (sent_again, _) = outbox.dispatch(id(1), 50, 7).unwrap();
    assert_eq!(sent_again, batch, "the same ids and bodies");
    assert_eq!(runtime.block_on(again.cursor()).unwrap(), Some(at(1)));
}

#[test]
fn one_persons_outbox_is_not_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let plan = written(&Outbox::default(), id(1), "mine");
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    let other = UserId(Epoch::from_u128(77));
    let kept = runtime.block_on(store.load_outbox(other, 0)).unwrap();
    assert!(kept.entries.is_empty());
    let outbox = Outbox::load_after(kept.entries, kept.last);
    let plan = written(&outbox, id(2), "theirs");
    runtime.block_on(store.keep(other, plan, 5)).unwrap();
    runtime.block_on(store.drop_outbox(other)).unwrap();
    assert_eq!(
        runtime
            .block_on(store.load_outbox(user(), 0))
            .unwrap()
            .entries
            .len(),
        1
    );
}

#[test]
fn refused_accepted_and_forgotten_rows_read_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let mut outbox = Outbox::default();
    for text in ["one", "two", "three"] {
        let plan = written(&outbox, id(1), text);
        outbox.apply(&plan);
        runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    }
    let (batch, plan) = outbox.dispatch(id(1), 1, 6).unwrap();
    outbox.apply(&plan);
    let refused = Failure::Refused(protocol::Problem::new(protocol::Code::SessionDeleted));
    let plan = outbox.failed(&batch, &refused);
    outbox.apply(&plan);
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    let mut accepted = outbox.entries().nth(1).unwrap().clone();
    accepted.standing = Standing::Acked { seq: 40 };
    let plan = Plan {
        put: vec![accepted],
        ..Plan::default()
    };
    outbox.apply(&plan);
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    let kept = runtime.block_on(store.load_outbox(user(), 39)).unwrap();
    assert_eq!(Outbox::load_after(kept.entries, kept.last), outbox);
    let passed = runtime.block_on(store.load_outbox(user(), 40)).unwrap();
    assert_eq!(passed.entries.len(), 2);
    assert_eq!(runtime.block_on(store.journal(user())).unwrap().len(), 1);
}

/// Session 1 was begun here and accepted as change 3, and was changed again while a long way was read page by page.
#[test]
fn what_was_accepted_waits_for_its_row_and_not_for_the_cursor_also_over_a_restart() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![], vec![], 0)))
        .unwrap();
    let mut outbox = Outbox::default();
    let create = Op::SessionCreate {
        id: id(1),
        title: "Begun here".to_owned(),
    };
    let mut plan = outbox.enqueue(MutationId::fresh(), create, 0, 5).unwrap();
    plan.put[0].standing = Standing::Acked { seq: 3 };
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    let cut = SyncPage {
        from: at(0),
        to: at(5),
        head: 9,
        more: true,
        changes: vec![Change::Session(session(2, 5, 0))],
    };
    let late = SyncPage {
        from: at(5),
        to: at(6),
        head: 6,
        more: false,
        changes: vec![Change::Session(session(2, 6, 0))],
    };
    for (page, stands) in [(cut, 5), (late, 6)] {
        runtime.block_on(store.apply_page(Arc::new(page))).unwrap();
        let (whole, cursor) = runtime.block_on(async { (store.whole().await, store.cursor().await) });
        assert_eq!((whole.unwrap(), cursor.unwrap()), (0, Some(at(stands))));
    }
    runtime.block_on(store.close());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let whole = runtime.block_on(store.whole()).unwrap();
    let kept = runtime.block_on(store.load_outbox(user(), whole)).unwrap();
    outbox = Outbox::load_after(kept.entries, kept.last);
    let rows = runtime
        .block_on(store.sessions(false, BTreeSet::from([id(1)]), usize::MAX))
        .unwrap();
    let shown = crate::view::list(&rows, &outbox, false, usize::MAX);
    assert!(shown.iter().any(|row| row.id == id(1)), "{shown:?}");
    let rest = page(6, vec![Change::Session(session(1, 10, 0))]);
    runtime.block_on(store.apply_page(rest)).unwrap();
    assert_eq!(runtime.block_on(store.whole()).unwrap(), 10);
}

/// A session that moves while the list is read is in none of its pages: the change that moved it has to come first.
#[test]
fn a_list_that_is_still_read_makes_nothing_whole() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let more = SessionsBefore {
        last_active: 7,
        id: id(9),
    };
    let begun = Box::new(Bootstrap {
        more: Some(more),
        ..*first(vec![session(1, 2, 0)], vec![], 4)
    });
    let whole = || runtime.block_on(store.whole()).unwrap();
    runtime.block_on(store.apply_bootstrap(user(), begun)).unwrap();
    runtime
        .block_on(store.apply_page(page(4, vec![Change::Session(session(1, 5, 0))])))
        .unwrap();
    assert_eq!(whole(), 0, "not while the list is read");
    runtime.block_on(store.finish_list(more, at(6))).unwrap();
    assert_eq!(whole(), 0, "the list was read later than the cursor");
    runtime
        .block_on(store.apply_page(page(5, vec![Change::Session(session(2, 6, 0))])))
        .unwrap();
    assert_eq!(whole(), 6);
}

#[test]
fn the_journal_is_kept_from_acceptance_on_and_no_clock_empties_it() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let mut outbox = Outbox::default();
    for number in 0..300 {
        // All written at 5; the first half accepted at 10, the rest at 20.
        let mut plan = written(&outbox, id(1), "words");
        plan.put[0].standing = Standing::Acked { seq: number };
        outbox.apply(&plan);
        let now = if number < 150 { 10 } else { 20 };
        runtime.block_on(store.keep(user(), plan, now)).unwrap();
    }
    let left = |before| {
        runtime.block_on(store.prune_journal(before)).unwrap();
        runtime.block_on(store.journal(user())).unwrap().len()
    };
    assert_eq!(left(10), 300, "written long ago, accepted lately");
    assert_eq!(left(11), 200);
    assert_eq!(left(i64::MAX), 200, "a clock that jumped");
}

#[test]
fn a_full_disk_says_so_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    let shrink = |connection: &mut Connection| -> Result<()> {
        let pages: i64 = connection.query_row("pragma page_count", [], |row| row.get(0))?;
        connection.query_row(&format!("pragma max_page_count = {pages}"), [], |_| Ok(()))?;
        Ok(())
    };
    runtime.block_on(store.cache.run(shrink)).unwrap();
    runtime.block_on(store.outbox.run(shrink)).unwrap();
    let messages: Vec<Message> = (1..200).map(|ord| message(1, ord, ord * 7 + 2)).collect();
    let changes = messages.into_iter().map(Change::Message).collect();
    let fault = runtime.block_on(store.apply_page(page(1, changes))).unwrap_err();
    assert!(matches!(fault, StoreFault::Full), "{fault:?}");
    let plan = written(&Outbox::default(), id(1), &"long ".repeat(20_000));
    let problem = protocol::Problem::from(runtime.block_on(store.keep(user(), plan, 5)).unwrap_err());
    assert_eq!(problem.code, protocol::Code::DiskFull);
    assert_eq!(
        runtime.block_on(store.cursor()).unwrap(),
        Some(at(1)),
        "the cursor did not run ahead"
    );
    assert_eq!(
        runtime
            .block_on(store.sessions(false, BTreeSet::new(), usize::MAX))
            .unwrap()
            .len(),
        1
    );
}

/// A small disk of its own. Mounting takes root; without it, what a full disk does at start is brought about below.
#[cfg(unix)]
struct SmallDisk(tempfile::TempDir);

#[cfg(unix)]
impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.0.path().join("filler")).unwrap();
        while file.write_all(&[7; 1024]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

#[cfg(unix)]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

/// Something to read and something written, in files that were closed in good order: no companions are left.
fn kept_and_closed(folder: &Path) {
    let runtime = runtime();
    let store = Store::open(folder, Quota::default(), Sealing::Open).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 1)))
        .unwrap();
    let plan = written(&Outbox::default(), id(1), "written before");
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    runtime.block_on(store.close());
    assert!(!folder.join("cache.db-shm").exists());
}

#[cfg(unix)]
fn assert_readable(store: &Store) {
    let runtime = runtime();
    assert_eq!(runtime.block_on(store.cursor()).unwrap(), Some(at(1)));
    assert_eq!(
        runtime
            .block_on(store.sessions(false, BTreeSet::new(), usize::MAX))
            .unwrap()
            .len(),
        1
    );
    let kept = runtime.block_on(store.load_outbox(user(), 0)).unwrap();
    assert_eq!(kept.entries.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_program_that_starts_on_a_full_disk_reads_and_says_why_it_cannot_write() {
    let Some(disk) = SmallDisk::mount() else {
        a_start_without_room_beside_the_files_reads_and_writes();
        return;
    };
    let (folder, runtime) = (disk.0.path().join("profile"), runtime());
    kept_and_closed(&folder);
    disk.fill();
    let store = Store::open(&folder, Quota::default(), Sealing::Open).unwrap();
    assert_readable(&store);
    let long = written(&Outbox::default(), id(1), &"long ".repeat(20_000));
    let problem = protocol::Problem::from(runtime.block_on(store.keep(user(), long, 5)).unwrap_err());
    assert_eq!(problem.code, protocol::Code::DiskFull);
    let fault = runtime.block_on(store.apply_page(page(1, vec![Change::Message(message(1, 1, 2))])));
    assert!(matches!(fault, Err(StoreFault::Full)), "{fault:?}");
    assert_readable(&store);
    disk.make_room();
    let applied = runtime.block_on(store.apply_page(page(1, vec![Change::Message(message(1, 1, 2))])));
    assert_eq!(applied.unwrap().verdict, Verdict::Applied, "with room it goes on");
    runtime.block_on(store.close());
}

#[cfg(unix)]
#[test]
fn a_start_without_room_beside_the_files_reads_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    kept_and_closed(folder.path());
    for name in ["cache.db-shm", "outbox.db-shm"] {
        std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join(name)).unwrap();
    }
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    assert_readable(&store);
    let applied = runtime().block_on(store.apply_page(page(1, vec![Change::Message(message(1, 1, 2))])));
    assert_eq!(applied.unwrap().verdict, Verdict::Applied);
}

#[test]
fn an_outbox_of_a_newer_build_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    kept_and_closed(folder.path());
    let file = Connection::open(folder.path().join("outbox.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let fault = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap_err();
    assert!(matches!(fault, StoreFault::Newer), "{fault:?}");
    assert_eq!(protocol::Problem::from(fault).code, protocol::Code::Conflict);
    assert!(!folder.path().join("outbox.db.damaged-1").exists());
    let file = Connection::open(folder.path().join("outbox.db")).unwrap();
    let rows: i64 = file
        .query_row("select count(*) from outbox", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1, "what was written waits for the build that can read it");
}

#[test]
fn outboxes_kept_aside_go_when_everything_has_to() {
    let folder = tempfile::tempdir().unwrap();
    kept_and_closed(folder.path());
    std::fs::write(folder.path().join("outbox.db"), [7; 8_192]).unwrap();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let aside = folder.path().join("outbox.db.damaged-1");
    assert!(aside.exists());
    runtime().block_on(store.drop_damaged_outboxes()).unwrap();
    assert!(!aside.exists());
    assert!(folder.path().join("outbox.db").exists());
}

#[test]
fn what_is_aside_is_counted_with_its_companions_until_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    kept_and_closed(folder.path());
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    assert_eq!(runtime().block_on(store.aside()).unwrap(), (0, 0));
    for (name, bytes) in [
        ("outbox.db.damaged-1", 10),
        ("outbox.db.damaged-1-wal", 5),
        ("outbox.db.locked-12", 7),
    ] {
        std::fs::write(folder.path().join(name), vec![7; bytes]).unwrap();
    }
    assert_eq!(runtime().block_on(store.aside()).unwrap(), (2, 22));
    runtime().block_on(store.drop_aside()).unwrap();
    assert_eq!(runtime().block_on(store.aside()).unwrap(), (0, 0));
    let unsent = runtime().block_on(store.load_outbox(user(), 0)).unwrap();
    assert_eq!(unsent.entries.len(), 1, "what is not aside stays");
}

/// Whether a folder may go, at a time in which rows that were accepted at 5 are old, and at their own.
fn may_go(folder: &Path) -> (bool, bool) {
    let may = |since| Store::holds_nothing_own(folder, &Sealing::Open, since).unwrap();
    (may(6), may(5))
}

#[test]
fn a_folder_may_go_only_where_nothing_in_it_is_nowhere_else() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let path = folder.path();
    let open = || Store::open(path, Quota::default(), Sealing::Open).unwrap();
    let store = open();
    assert_eq!(may_go(path), (false, false), "somebody has it open");
    runtime.block_on(store.close());
    assert_eq!(may_go(path), (true, true), "nothing was ever written");

    let store = open();
    let mut plan = written(&Outbox::default(), id(1), "said");
    runtime.block_on(store.keep(user(), plan.clone(), 5)).unwrap();
    runtime.block_on(store.close());
    assert_eq!(may_go(path), (false, false), "unsent");

    let store = open();
    plan.put[0].standing = Standing::Acked { seq: 1 };
    runtime.block_on(store.keep(user(), plan, 5)).unwrap();
    runtime.block_on(store.close());
    assert_eq!(
        may_go(path),
        (true, false),
        "sent again after a restore, for a while"
    );

    for is_draft in [true, false] {
        let change = |is_there: bool| {
            let store = open();
            if is_draft {
                let text = if is_there { "half a thought" } else { "" };
                let draft = vec![(None, text.to_owned())];
                runtime.block_on(store.keep_drafts(user(), draft)).unwrap();
            } else {
                runtime
                    .block_on(store.mark_kept(user(), id(1), is_there))
                    .unwrap();
            }
            runtime.block_on(store.close());
        };
        change(true);
        assert_eq!(may_go(path), (false, false), "draft: {is_draft}");
        change(false);
        assert_eq!(may_go(path), (true, false), "draft: {is_draft}");
    }
    std::fs::write(path.join("outbox.db.damaged-1"), [7; 9]).unwrap();
    assert_eq!(may_go(path), (false, false), "something is aside");
    std::fs::remove_file(path.join("outbox.db.damaged-1")).unwrap();
    std::fs::write(path.join("outbox.db"), [7; 8_192]).unwrap();
    let told = Store::holds_nothing_own(path, &Sealing::Open, 6);
    assert!(told.is_err(), "what cannot be opened cannot be told");
    assert!(path.join("outbox.db").exists());
}

#[test]
fn a_row_that_comes_late_is_nobody_elses_and_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 1, 0)], vec![], 5)))
        .unwrap();
    let late = |user, as_of| {
        let applied = store.apply_session(user, as_of, session(2, 4, 0));
        runtime.block_on(applied).unwrap()
    };
    assert_eq!(late(UserId(Epoch::from_u128(77)), at(5)), Verdict::Gap);
    assert_eq!(late(user(), at(4)), Verdict::Gap, "it may be gone since");
    let other_epoch = Cursor {
        epoch: Epoch::from_u128(9),
        seq: 5,
    };
    assert_eq!(late(user(), other_epoch), Verdict::Gap);
    assert_eq!(runtime.block_on(store.numbers()).unwrap().0, 1);
    assert_eq!(late(user(), at(5)), Verdict::Applied);
    assert_eq!(runtime.block_on(store.numbers()).unwrap().0, 2);
}

#[test]
fn gaps_are_told_newest_first_and_a_forgotten_stretch_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let history = |number: u128, lo: i64, hi: i64| History {
        session: id(number),
        as_of: at(9),
        lo,
        hi,
        messages: (lo..=hi).map(|ord| message(number, ord, ord)).collect(),
    };
    let sessions = vec![session(1, 7, 3), session(2, 8, 3), session(3, 9, 0)];
    let start = first(sessions, vec![history(1, 1, 3), history(2, 2, 3)], 9);
    runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
    let gaps = |after| runtime.block_on(store.gaps(after, 9)).unwrap();
    let found = gaps(None);
    assert_eq!(found.iter().map(|gap| gap.session).collect::<Vec<_>>(), [id(2)]);
    assert!(gaps(found.last().copied()).is_empty());
    let due = Due { before: 1, now: 1 };
    let digests = |due| runtime.block_on(store.digests(due, None, 9)).unwrap().unwrap().1;
    let whole = &digests(due)[0];
    assert_eq!((whole.id, whole.lo, whole.hi, whole.count), (id(1), 1, 3, 3));
    runtime
        .block_on(store.mark_verified(vec![id(1), id(2)], 1))
        .unwrap();
    assert!(digests(due).is_empty(), "compared lately");
    let stretch = Stretch {
        session: id(1),
        lo: 1,
        hi: 3,
    };
    runtime.block_on(store.drop_stretch(stretch)).unwrap();
    let found: Vec<SessionId> = gaps(None).iter().map(|gap| gap.session).collect();
    assert_eq!(found, [id(2), id(1)]);
}

#[test]
fn the_text_of_a_reply_being_made_outlives_a_restart_and_gives_way_to_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
    let mut row = message(1, 1, 4);
    assert_eq!(row.status, Status::Streaming);
    runtime
        .block_on(store.apply_bootstrap(user(), first(vec![session(1, 4, 1)], vec![], 4)))
        .unwrap();
    let tail = Tail {
        run: row.run.unwrap(),
        message: row.id,
        session: row.session,
        at: Some(At { attempt: 1, idx: 3 }),
        text: "so far".to_owned(),
        older: None,
        ended: None,
    };
    runtime.block_on(store.save_tails(vec![tail.clone()])).unwrap();
    assert_eq!(runtime.block_on(store.tails()).unwrap(), vec![tail.clone()]);
    (row.seq, row.status) = (5, Status::Complete);
    runtime
        .block_on(store.apply_page(page(4, vec![Change::Message(row)])))
        .unwrap();
    assert!(runtime.block_on(store.tails()).unwrap().is_empty());
    runtime.block_on(store.save_tails(vec![tail])).unwrap();
    assert!(
        runtime.block_on(store.tails()).unwrap().is_empty(),
        "a late save brings nothing back"
    );
}

/// What may happen to either kind of replica.
#[derive(Clone, Debug)]
enum Step {
    Page(i64, Vec<Change>),
    History(i64, u128, i64, i64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0_u128..3, 1_i64..40, 0_i64..9).prop_map(|(n, seq, last)| Change::Session(session(n, seq, last))),
        (0_u128..3, 1_i64..9, 1_i64..40).prop_map(|(n, ord, seq)| Change::Message(message(n, ord, seq))),
        (0_u128..3, 1_i64..40).prop_map(|(n, seq)| Change::SessionGone { id: id(n), seq }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (-1_i64..2, prop::collection::vec(change(), 0..5))
            .prop_map(|(off, changes)| Step::Page(off, changes)),
        (-1_i64..2, 0_u128..3, 1_i64..5, 0_i64..5)
            .prop_map(|(off, n, lo, len)| Step::History(off, n, lo, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Disk and memory keep the same rows; anything applied twice, or late, changes nothing (ApplyIdempotent, BackfillSafe).
    #[test]
    fn disk_and_memory_agree(script in prop::collection::vec(steps(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let store = Store::open(folder.path(), Quota::default(), Sealing::Open).unwrap();
        let mut replica = Replica::default();
        let start = first(vec![session(0, 1, 0)], vec![], 1);
        replica.apply_bootstrap(&start);
        runtime.block_on(store.apply_bootstrap(user(), start)).unwrap();
        let mut earlier: Vec<Arc<SyncPage>> = Vec::new();
        for step in script {
            let cursor = replica.cursor().unwrap().seq;
            match step {
                Step::Page(off, changes) => {
                    let page = page((cursor + off).max(0), changes);
                    let here = replica.apply_page(&page);
                    let there = runtime.block_on(store.apply_page(Arc::clone(&page))).unwrap();
                    prop_assert_eq!(here, there);
                    earlier.push(page);
                }
                Step::History(off, number, lo, len) => {
                    let messages: Vec<Message> = (lo..lo + len).map(|ord| message(number, ord, ord)).collect();
                    let as_of = at((cursor + off).max(0));
                    let history = Arc::new(History { session: id(number), as_of, lo, hi: lo + len - 1, messages });
                    let here = replica.apply_history(&history);
                    let there = runtime.block_on(store.apply_history(history)).unwrap();
                    prop_assert_eq!(here, there);
                }
            }
            for page in &earlier {
                let before = replica.clone();
                if page.from.seq != replica.cursor().unwrap().seq {
                    prop_assert_ne!(replica.apply_page(page).verdict, Verdict::Applied);
                    prop_assert_eq!(&before, &replica);
                }
            }
            prop_assert_eq!(runtime.block_on(store.cursor()).unwrap(), replica.cursor());
            for number in 0..3 {
                let there = runtime.block_on(store.page(id(number), 100)).unwrap();
                prop_assert_eq!(there.session.as_ref(), replica.session(id(number)));
                let last_ord = there.session.as_ref().map_or(0, |session| session.last_ord);
                if there.session.is_some() {
                    prop_assert_eq!(there.missing(50), replica.missing(id(number), 50), "last {}", last_ord);
                }
                let (lo, hi) = there.newest.unwrap_or((1, 0));
                let here: Vec<Message> =
                    replica.messages(id(number)).filter(|row| (lo..=hi).contains(&row.ord)).cloned().collect();
                prop_assert_eq!(there.messages, here);
            }
        }
    }
}
