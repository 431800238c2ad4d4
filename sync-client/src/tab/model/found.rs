//! What the model has found: the shortest script of each fault, so that it stays mended.
//!
//! Scripts, and no seeds: as soon as a strategy changes, a seed means another script.

use super::rules::Rules;
use super::script::Deed::{
    self, Arrive, Compact, Create, Delay, Earlier, Finish, Frame, Hint, Lose, Rename, Restore, Serve,
};
use super::script::{Deeds, Kind, Script};
use super::world::World;

/// On one device that keeps its rows, and one that begins anew each time.
fn every_law_holds(deeds: &[(usize, Deed)]) {
    let script = Script {
        devices: vec![Kind::Whole, Kind::Page],
        deeds: deeds.to_vec(),
    };
    World::play(Rules::default(), [0, 0], &script).unwrap();
}

#[test]
fn human_title_wins_and_whose_rename_came_too_late_is_told() {
    every_law_holds(&[(0, Serve), (1, Serve), (0, Rename(0)), (1, Rename(0))]);
}

/// The device has accepted writes and no page yet, so that no cursor of it can be refused.
#[test]
fn restore_heals_what_was_accepted_before_the_first_page_came() {
    every_law_holds(&[(0, Lose), (0, Create), (0, Serve), (0, Restore)]);
}

/// The pull that would find the other history out has failed and waits; the list goes on meanwhile.
#[test]
fn reset_terminates_also_for_a_list_read_from_another_history() {
    every_law_holds(&[(0, Serve), (0, Serve), (0, Lose), (0, Restore)]);
}

/// A read is asked for, the device begins anew meanwhile, and the read comes.
fn outrun(which: usize) -> Deeds {
    let mut deeds = vec![Serve; 4];
    deeds.extend([Earlier(which), Delay]);
    deeds.extend((which..which + 4).map(Finish));
    deeds.extend([Compact, Hint, Frame, Serve, Serve, Serve, Arrive, Arrive]);
    deeds.into_iter().map(|deed| (1, deed)).collect()
}

#[test]
fn a_read_that_outlives_a_fresh_start_leaves_a_page_able_to_meet_a_restored_server() {
    let before = vec![(1, Lose), (1, Create)];
    every_law_holds(&[before, outrun(0), vec![(0, Restore)]].concat());
}

#[test]
fn a_read_that_outlives_a_fresh_start_leaves_a_page_that_two_can_rename_in() {
    let before = vec![(0, Serve), (0, Serve), (0, Create)];
    let after = vec![(1, Rename(0)), (0, Rename(0))];
    every_law_holds(&[before, outrun(6), after].concat());
}
