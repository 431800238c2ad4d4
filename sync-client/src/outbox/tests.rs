//! The queue's rules, and the lanes that send from it.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the arm it means")]

use super::*;
use crate::engine::{Failure, Moment};
use crate::lanes::{Lane, Lanes};
use protocol::mutation::{Batch, BatchAnswer, Op, OpResult, Outcome, RunMode};
use protocol::{Code, MessageId, Problem};

const EPOCH: Epoch = Epoch::from_u128(7);

fn fresh() -> MutationId {
    MutationId::fresh()
}

fn message(session: SessionId, text: &str) -> Op {
    Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content: text.to_owned(),
        run: RunMode::Auto,
    }
}

fn rename(session: SessionId, title: &str, base: i64) -> Op {
    Op::SessionRename {
        session,
        title: title.to_owned(),
        base,
    }
}

fn create(session: SessionId) -> Op {
    Op::SessionCreate {
        id: session,
        title: String::new(),
    }
}

fn write(outbox: &mut Outbox, op: Op, now: i64) -> MutationId {
    let id = fresh();
    let plan = outbox.enqueue(id, op, 0, now).unwrap();
    outbox.apply(&plan);
    id
}

fn dispatch(outbox: &mut Outbox, session: SessionId, now: i64) -> Batch {
    let (batch, plan) = outbox.dispatch(session, usize::MAX, now).unwrap();
    outbox.apply(&plan);
    batch
}

const fn said(results: Vec<Outcome>) -> BatchAnswer {
    BatchAnswer {
        results,
        head: 99,
        epoch: EPOCH,
    }
}

fn answer(outbox: &mut Outbox, batch: &Batch, results: Vec<OpResult>) -> Plan {
    let ids = batch.ops.iter().map(|mutation| mutation.id);
    let results = ids
        .zip(results)
        .map(|(id, result)| Outcome { id, result })
        .collect();
    let plan = outbox.answered(batch, &said(results), false);
    outbox.apply(&plan);
    plan
}

fn is_dead(outbox: &Outbox, id: MutationId) -> bool {
    matches!(outbox.entry(id).unwrap().standing, Standing::Dead { .. })
}

#[test]
fn two_renames_become_one_unless_the_first_may_have_been_sent() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    write(&mut outbox, rename(session, "one", 0), 0);
    write(&mut outbox, rename(session, "two", 0), 0);
    assert_eq!(outbox.entries().count(), 1);
    let batch = dispatch(&mut outbox, session, 0);
    let plan = outbox.failed(&batch, &Failure::Cut);
    outbox.apply(&plan);
    write(&mut outbox, rename(session, "three", 0), 0);
    assert_eq!(outbox.entries().count(), 2, "the first may be there already");
    let batch = dispatch(&mut outbox, session, 0);
    assert_eq!(batch.ops.len(), 1, "the second waits to know its base");
    answer(&mut outbox, &batch, vec![OpResult::applied(40)]);
    let batch = dispatch(&mut outbox, session, 0);
    assert!(matches!(&batch.ops[0].op, Op::SessionRename { title, base: 40, .. } if title == "three"));
}

#[test]
fn a_message_asked_for_again_is_the_one_that_is_here_and_another_needs_an_id_of_its_own() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let said = message(session, "once");
    write(&mut outbox, said.clone(), 0);
    // whatever became of it
    let before = outbox.clone();
    let batch = dispatch(&mut outbox, session, 0);
    let inflight = outbox.clone();
    answer(&mut outbox, &batch, vec![OpResult::applied(40)]);
    for outbox in [before, inflight, outbox] {
        let plan = outbox.enqueue(fresh(), said.clone(), 0, 9).unwrap();
        assert_eq!(plan, Plan::default());
        let Op::MessageCreate { id, .. } = &said else {
            unreachable!()
        };
        let elsewhere = SessionId::fresh();
        for (session, text) in [(session, "twice"), (elsewhere, "once")] {
            let mut other = message(session, text);
            if let Op::MessageCreate { id: own, .. } = &mut other {
                *own = *id;
            }
            let refused = outbox.enqueue(fresh(), other, 0, 9).unwrap_err();
            assert_eq!(refused.code, Code::MutationReuse, "{text}");
        }
    }
}

/// It waited for so long that it went out to be stored only.
#[test]
fn a_message_that_is_not_answered_any_more_is_still_the_same() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let said = message(session, "of yesterday");
    write(&mut outbox, said.clone(), 0);
    let batch = dispatch(&mut outbox, session, STALE_PROMPT_MILLIS + 1);
    assert_ne!(batch.ops[0].op, said);
    assert!(outbox.enqueue(fresh(), said, 0, 9).unwrap().is_empty());
}

#[test]
fn an_answer_is_asked_for_once_for_each_message() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let ask = |message| Op::MessageAnswer { session, message };
    let (first, second) = (MessageId::fresh(), MessageId::fresh());
    for message in [first, second, first] {
        write(&mut outbox, ask(message), 0);
    }
    let batch = dispatch(&mut outbox, session, 0);
    let asked: Vec<Op> = batch.ops.into_iter().map(|mutation| mutation.op).collect();
    assert_eq!(asked, [ask(second), ask(first)]);
}

#[test]
fn a_deletion_waits_for_its_undo_and_no_longer() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = fresh();
    let plan = outbox
        .enqueue(id, Op::SessionDelete { session }, 1_000 + UNDO_MILLIS, 1_000)
        .unwrap();
    outbox.apply(&plan);
    assert!(outbox.dispatch(session, 50, 10_999).is_none());
    assert_eq!(outbox.next_due(10_999), Some(11_000));
    assert_eq!(
        outbox
            .enqueue(fresh(), message(session, "x"), 0, 0)
            .unwrap_err()
            .code,
        Code::Gone
    );
    let plan = outbox.undo(id).unwrap();
    outbox.apply(&plan);
    assert_eq!(outbox.entries().count(), 0);
    let plan = outbox
        .enqueue(id, Op::SessionDelete { session }, 11_000, 1_000)
        .unwrap();
    outbox.apply(&plan);
    assert!(
        outbox.dispatch(session, 50, -40_000_000).is_some(),
        "a clock set back holds nothing for years"
    );
    dispatch(&mut outbox, session, 11_000);
    assert_eq!(outbox.undo(id).unwrap_err().code, Code::Conflict);
}

#[test]
fn an_old_prompt_is_stored_and_not_answered_by_itself() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    write(&mut outbox, message(session, "old"), 0);
    write(&mut outbox, message(session, "new"), STALE_PROMPT_MILLIS);
    let batch = dispatch(&mut outbox, session, STALE_PROMPT_MILLIS + 1);
    let modes: Vec<RunMode> = batch
        .ops
        .iter()
        .filter_map(|mutation| match &mutation.op {
            Op::MessageCreate { run, .. } => Some(*run),
            _other => None,
        })
        .collect();
    assert_eq!(modes, [RunMode::Manual, RunMode::Auto]);
    let plan = outbox.failed(&batch, &Failure::Cut);
    outbox.apply(&plan);
    let again = dispatch(&mut outbox, session, STALE_PROMPT_MILLIS * 9);
    assert_eq!(again, batch, "what may have been sent never changes");
}

#[test]
fn a_batch_holds_fifty_ops_and_256_kib() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    for _ in 0..60 {
        write(&mut outbox, message(session, "x"), 0);
    }
    assert_eq!(dispatch(&mut outbox, session, 0).ops.len(), 50);
    let mut outbox = Outbox::default();
    for _ in 0..3 {
        write(&mut outbox, message(session, &"x".repeat(200_000)), 0);
    }
    assert_eq!(dispatch(&mut outbox, session, 0).ops.len(), 1);
}

#[test]
fn a_refused_message_is_kept_and_the_lane_goes_on() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let first = write(&mut outbox, message(session, "one"), 0);
    let second = write(&mut outbox, message(session, "two"), 0);
    let batch = dispatch(&mut outbox, session, 0);
    answer(
        &mut outbox,
        &batch,
        vec![OpResult::refused(Code::Invalid), OpResult::Skipped],
    );
    assert!(is_dead(&outbox, first));
    assert_eq!(outbox.entry(second).unwrap().standing, Standing::Queued);
    assert_eq!(dispatch(&mut outbox, session, 0).ops[0].id, second);
    let plan = outbox
        .retry(first, SessionId::fresh(), MessageId::fresh(), 0)
        .unwrap();
    outbox.apply(&plan);
    assert!(
        outbox.entry(first).is_none(),
        "the outcome of the old id stands: a fresh one is sent"
    );
    assert_eq!(outbox.entries().count(), 2);
}

#[test]
fn what_a_deleted_session_refused_can_become_a_new_session() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = write(&mut outbox, message(session, "worth keeping"), 0);
    let batch = dispatch(&mut outbox, session, 0);
    answer(&mut outbox, &batch, vec![OpResult::refused(Code::SessionDeleted)]);
    let elsewhere = SessionId::fresh();
    let plan = outbox.retry(id, elsewhere, MessageId::fresh(), 0).unwrap();
    outbox.apply(&plan);
    let batch = dispatch(&mut outbox, elsewhere, 0);
    assert!(matches!(batch.ops[0].op, Op::SessionCreate { .. }));
    assert!(matches!(&batch.ops[1].op, Op::MessageCreate { content, .. } if content == "worth keeping"));
}

#[test]
fn without_its_session_nothing_in_the_lane_is_tried() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    write(&mut outbox, create(session), 0);
    let text = write(&mut outbox, message(session, "one"), 0);
    write(&mut outbox, rename(session, "title", 0), 0);
    let batch = dispatch(&mut outbox, session, 0);
    let results = vec![
        OpResult::refused(Code::Invalid),
        OpResult::Skipped,
        OpResult::Skipped,
    ];
    let plan = answer(&mut outbox, &batch, results);
    assert!(is_dead(&outbox, text));
    assert_eq!(plan.reports.len(), 1, "the rename is told and dropped");
    assert!(outbox.due_lanes(9).is_empty());
    let plan = outbox
        .retry(text, SessionId::fresh(), MessageId::fresh(), 0)
        .unwrap();
    outbox.apply(&plan);
    assert_eq!(
        dispatch(&mut outbox, session, 0).ops.len(),
        2,
        "its session is tried again with it"
    );
}

#[test]
fn the_servers_trouble_kills_nothing() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = write(&mut outbox, message(session, "one"), 0);
    for code in [
        Code::RateLimited,
        Code::Busy,
        Code::Internal,
        Code::Unavailable,
        Code::TokenExpired,
    ] {
        let batch = dispatch(&mut outbox, session, 0);
        let plan = answer(&mut outbox, &batch, vec![OpResult::refused(code)]);
        assert!(plan.again, "{code}");
        assert_eq!(outbox.entry(id).unwrap().standing, Standing::Queued, "{code}");
    }
}

#[test]
fn after_a_restore_of_the_server_what_it_accepted_is_sent_again_under_the_same_id() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = write(&mut outbox, message(session, "one"), 0);
    let batch = dispatch(&mut outbox, session, 0);
    answer(&mut outbox, &batch, vec![OpResult::applied(5)]);
    let journal: Vec<Entry> = outbox.entries().cloned().collect();
    outbox.settle(5);
    assert_eq!(outbox.entries().count(), 0);
    let plan = outbox.requeue(journal);
    outbox.apply(&plan);
    assert_eq!(dispatch(&mut outbox, session, 0).ops[0].id, id);
}

#[test]
fn what_was_accepted_is_laid_over_older_rows_only() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    write(&mut outbox, rename(session, "from here", 0), 0);
    let batch = dispatch(&mut outbox, session, 0);
    answer(&mut outbox, &batch, vec![OpResult::applied(5)]);
    let row = |seq, title: &str| protocol::sync::Session {
        id: session,
        seq,
        title: title.to_owned(),
        title_seq: seq,
        archived: false,
        last_ord: 0,
        preview: String::new(),
        running: false,
        last_active: 0,
        created_at: 0,
    };
    let title = |row| crate::view::row(session, Some(&row), &outbox).unwrap().title;
    assert_eq!(title(row(4, "before")), "from here");
    assert_eq!(title(row(6, "from elsewhere, later")), "from elsewhere, later");
}

#[test]
fn a_message_into_a_session_that_another_device_has_yet_to_bring_back_waits_for_it() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = write(&mut outbox, message(session, "one"), 0);
    write(&mut outbox, rename(session, "title", 0), 0);
    for _ in 0..NOT_FOUND_TRIES {
        let batch = dispatch(&mut outbox, session, 0);
        let plan = answer(
            &mut outbox,
            &batch,
            vec![OpResult::refused(Code::NotFound), OpResult::Skipped],
        );
        assert!(plan.again, "the lane backs off");
        assert!(plan.reports.is_empty());
    }
    let mut patient = outbox.clone();
    let batch = dispatch(&mut patient, session, 0);
    assert_eq!(batch.ops[0].id, id);
    answer(
        &mut patient,
        &batch,
        vec![OpResult::applied(5), OpResult::applied(6)],
    );
    assert_eq!(patient.waiting(), 0);
    let batch = dispatch(&mut outbox, session, 0);
    answer(
        &mut outbox,
        &batch,
        vec![OpResult::refused(Code::NotFound), OpResult::Skipped],
    );
    assert!(is_dead(&outbox, id), "not for ever; the text is kept");
}

#[test]
fn a_message_into_a_session_known_to_be_gone_waits_for_nobody() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let id = write(&mut outbox, message(session, "one"), 0);
    let batch = dispatch(&mut outbox, session, 0);
    let results = vec![Outcome {
        id,
        result: OpResult::refused(Code::NotFound),
    }];
    let plan = outbox.answered(&batch, &said(results), true);
    outbox.apply(&plan);
    assert!(is_dead(&outbox, id));
}

#[test]
fn what_is_not_accepted_is_counted_by_what_becomes_of_it() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    write(&mut outbox, create(session), 0);
    write(&mut outbox, message(session, "one"), 0);
    write(&mut outbox, message(session, "two"), 0);
    let batch = dispatch(&mut outbox, session, 0);
    let on_its_way = Unsent {
        messages: 2,
        changes: 1,
        refused: 0,
    };
    assert_eq!(outbox.unsent(), on_its_way);
    let results = vec![
        OpResult::applied(4),
        OpResult::applied(5),
        OpResult::refused(Code::Invalid),
    ];
    answer(&mut outbox, &batch, results);
    let refused = Unsent {
        refused: 1,
        ..Unsent::default()
    };
    assert_eq!(outbox.unsent(), refused);
}

/// RestoreHeals: what was accepted before a restore of the server, and is heard of only after it.
#[test]
fn an_answer_of_another_history_settles_nothing_and_the_same_is_sent_again() {
    for result in [
        OpResult::applied(4),
        OpResult::refused(Code::SessionDeleted),
        OpResult::Skipped,
    ] {
        let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
        let id = write(&mut outbox, message(session, "one"), 0);
        let batch = dispatch(&mut outbox, session, 0);
        assert!(outbox.enter(Epoch::from_u128(8)));
        let plan = answer(&mut outbox, &batch, vec![result.clone()]);
        assert!(plan.again, "{result:?}");
        assert_eq!(
            outbox.entry(id).map(|entry| &entry.standing),
            Some(&Standing::Queued)
        );
        assert!(outbox.enter(EPOCH), "and believed by who stands in it");
        let batch = dispatch(&mut outbox, session, 0);
        answer(&mut outbox, &batch, vec![OpResult::applied(4)]);
        let entry = outbox.entry(id).map(|entry| &entry.standing);
        assert_eq!(entry, Some(&Standing::Acked { seq: 4 }));
        assert!(!outbox.enter(EPOCH));
    }
}

#[test]
fn a_batch_whose_answer_could_not_be_written_down_is_sent_again_under_the_same_ids() {
    let session = SessionId::fresh();
    let mut outbox = Outbox::default();
    write(&mut outbox, message(session, "one"), 0);
    write(&mut outbox, message(session, "two"), 0);
    let batch = dispatch(&mut outbox, session, 1);
    // the plan that the answer made is never real: the disk is full
    outbox.release(&batch);
    assert_eq!(dispatch(&mut outbox, session, 2), batch);
    let applied = OpResult::applied(5);
    answer(&mut outbox, &batch, vec![applied.clone(), applied]);
    outbox.release(&batch);
    assert_eq!(outbox.waiting(), 0, "what was accepted meanwhile is not touched");
}

/// LaneIsolation: a lane that always fails delays only itself.
#[test]
fn one_lane_that_fails_delays_no_other() {
    let mut outbox = Outbox::default();
    let mut lanes = Lanes::default();
    let (bad, good) = (SessionId::fresh(), SessionId::fresh());
    write(&mut outbox, message(bad, "never"), 0);
    let mut now = Moment { at: 0, chance: 1.0 };
    for round in 0..20 {
        write(&mut outbox, message(good, "always"), now.at);
        let ready = lanes.ready(&outbox, now.at);
        assert!(ready.iter().any(|(lane, _)| *lane == good), "round {round}");
        for (lane, most) in ready {
            let (batch, plan) = outbox.dispatch(lane, most, now.at).unwrap();
            outbox.apply(&plan);
            lanes.sending(lane);
            assert_eq!(lanes.lane(lane), Lane::Sending);
            if lane == bad {
                let plan = outbox.failed(&batch, &Failure::Cut);
                outbox.apply(&plan);
                lanes.failed(lane, &Failure::Cut, now);
            } else {
                answer(&mut outbox, &batch, vec![OpResult::applied(round)]);
                lanes.answered(lane, false, now);
            }
        }
        now.at += 100;
    }
    assert!(matches!(lanes.lane(bad), Lane::Backoff { .. }));
    assert!(lanes.next_at(&outbox, 0).is_some());
    lanes.resume();
    assert_eq!(lanes.lane(bad), Lane::Empty);
}

#[test]
fn a_batch_refused_as_a_whole_is_sent_one_by_one() {
    let (mut outbox, session) = (Outbox::default(), SessionId::fresh());
    let mut lanes = Lanes::default();
    write(&mut outbox, message(session, "one"), 0);
    write(&mut outbox, message(session, "two"), 0);
    let failure = Failure::Refused(Problem::new(Code::TooLarge));
    let batch = dispatch(&mut outbox, session, 0);
    let plan = outbox.failed(&batch, &failure);
    outbox.apply(&plan);
    lanes.failed(session, &failure, Moment { at: 0, chance: 0.0 });
    assert_eq!(lanes.ready(&outbox, 0), [(session, 1)]);
}
