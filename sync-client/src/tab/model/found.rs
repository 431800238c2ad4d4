//! What the model has found: the shortest script of each fault, so that it stays mended.

use super::rules::Rules;
use super::script::Deed::{self, Create, Lose, Rename, Restore, Serve};
use super::world::World;

fn every_law_holds(script: &[(usize, Deed)]) {
    World::play(Rules::default(), [0, 0], script).unwrap();
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
