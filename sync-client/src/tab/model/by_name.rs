//! The laws by name: for each a script that it holds in, and that it does not hold in without one rule.
//!
//! Each test begins with the name of its invariant. So that they are found by it, and none of them runs all the rest.

use super::rules::{Rule, Rules};
use super::script::Deed::{
    self, Arrive, Crash, Create, Curse, Delay, Delete, Earlier, Finish, Frame, Lose, LoseAnswer, LoseFrame,
    Open, Pass, Push, Rename, Restore, Send, Serve, Wake,
};
use super::script::{Deeds, Kind, Script};
use super::world::World;

/// Until nothing is asked for any more.
fn up_to_date(device: usize) -> Deeds {
    vec![(device, Serve); 8]
}

/// What happens to the first device once it is up to date.
fn then(deeds: &[Deed]) -> Deeds {
    let deeds = deeds.iter().map(|deed| (0, deed.clone()));
    up_to_date(0).into_iter().chain(deeds).collect()
}

/// A device with a disk and one without.
fn holds_and_not_without(law: &str, rule: Rule, deeds: Deeds) {
    let devices = vec![Kind::Whole, Kind::Page];
    let script = Script { devices, deeds };
    if let Err(broken) = World::play(Rules::default(), [0, 0], &script) {
        panic!("with every rule: {broken:?}");
    }
    let without = World::play(Rules::without(rule), [0, 0], &script);
    let broken = without.err().map(|broken| broken.law);
    assert_eq!(broken, Some(law), "without {rule:?}");
}

#[test]
fn dense_seq_every_change_has_a_number_of_its_own() {
    let deeds = then(&[Send(0), Serve, Finish(0)]);
    holds_and_not_without("DenseSeq", Rule::Counter, deeds);
}

#[test]
fn ord_contiguous_no_message_of_a_session_is_counted_past() {
    holds_and_not_without("OrdContiguous", Rule::Places, then(&[Send(0), Serve]));
}

#[test]
fn cursor_honest_whatever_a_crash_cuts_in_two() {
    let deeds = then(&[Send(0), Serve, Push, Crash(1), Frame]);
    holds_and_not_without("CursorHonest", Rule::OneCommit, deeds);
}

#[test]
fn apply_idempotent_a_page_that_comes_again_later_changes_nothing() {
    let deeds = then(&[Send(0), Serve, Push, Frame, Send(0), Serve, Push, Frame]);
    holds_and_not_without("ApplyIdempotent", Rule::From, deeds);
}

#[test]
fn no_gap_apply_a_page_after_a_lost_one_moves_no_cursor() {
    let deeds = then(&[Send(0), Serve, Push, LoseFrame, Send(0), Serve, Push, Frame]);
    holds_and_not_without("NoGapApply", Rule::From, deeds);
}

#[test]
fn convergence_what_was_lost_on_the_way_is_asked_for_again() {
    holds_and_not_without("Convergence", Rule::Timer, vec![(0, Lose)]);
}

#[test]
fn backfill_safe_a_read_that_comes_late_takes_no_newer_row_s_place() {
    let mut deeds = vec![Earlier(0), Delay];
    deeds.extend((0..4).map(Finish));
    deeds.extend([Push, Frame, Push, Frame, Push, Frame, Arrive]);
    holds_and_not_without("BackfillSafe", Rule::Newer, then(&deeds));
}

#[test]
fn exactly_once_effect_a_write_whose_answer_is_lost_is_sent_again_and_done_once() {
    let deeds = then(&[Send(0), LoseAnswer, Pass(20_000), Serve, Serve]);
    holds_and_not_without("ExactlyOnceEffect", Rule::Ledger, deeds);
}

#[test]
fn no_silent_loss_a_text_that_was_taken_outlives_a_crash_before_it_is_sent() {
    holds_and_not_without("NoSilentLoss", Rule::Written, then(&[Crash(1), Send(0)]));
}

#[test]
fn lane_isolation_a_session_whose_writes_fail_holds_up_no_other() {
    let deeds = then(&[Curse(0), Send(0), Send(1)]);
    holds_and_not_without("LaneIsolation", Rule::Lanes, deeds);
}

#[test]
fn overlay_monotone_what_another_history_accepted_is_shown_until_this_one_has_it() {
    let mut deeds = vec![Open(0), Serve, Send(0), Delay, Restore, Wake];
    deeds.extend(vec![Serve; 10]);
    deeds.extend([Arrive, Finish(0), Finish(1), Push, Frame, Push, Frame]);
    holds_and_not_without("OverlayMonotone", Rule::Answer, then(&deeds));
}

#[test]
fn tombstone_terminal_a_session_deleted_elsewhere_goes_here_too_and_stays_away() {
    let mut deeds = [up_to_date(0), up_to_date(1)].concat();
    deeds.extend([
        (1, Delete(0)),
        (1, Pass(20_000)),
        (1, Serve),
        (0, Push),
        (0, Frame),
    ]);
    holds_and_not_without("TombstoneTerminal", Rule::Tombstone, deeds);
}

#[test]
fn human_title_wins_over_one_that_is_made_from_a_message() {
    let deeds = then(&[Rename(0), Serve, Send(0), Serve]);
    holds_and_not_without("HumanTitleWins", Rule::HumanTitle, deeds);
}

#[test]
fn restore_heals_what_was_accepted_and_let_go_of() {
    let deeds = then(&[Create, Serve, Push, Frame, Restore]);
    holds_and_not_without("RestoreHeals", Rule::Journal, deeds);
}

/// A device with little room agrees on what it has, and reads the rest again when somebody wants it.
#[test]
fn convergence_of_a_device_that_keeps_the_messages_of_a_few_sessions_only() {
    let mut deeds = up_to_date(0);
    for which in 0..4 {
        deeds.extend([
            (0, Earlier(which)),
            (0, Serve),
            (0, Serve),
            (0, Send(which)),
            (0, Serve),
        ]);
    }
    let devices = vec![Kind::Windowed];
    let script = Script { devices, deeds };
    let world = World::play(Rules::default(), [0, 0], &script).unwrap();
    let replica = world.phones[0].tab.replica();
    let sessions: Vec<_> = replica.sessions().collect();
    let has_messages = sessions
        .iter()
        .filter(|row| replica.messages(row.id).next().is_some());
    assert_eq!((sessions.len(), has_messages.count()), (4, 2));
}
