//! A run in a model of its world: a worker, reapers, two nodes that watch, a log with Redis's rule, a row with the
//! database's conditions; what is on its way arrives late, and whoever stands still comes back and believes nothing
//! happened.
//!
//! The texts, places and ends are the product's own ([`Live`], [`log::note`], [`reaper::longest`]). The conditions of the
//! statements are the model's; that the database keeps them is claimed by `tests/server/runs.rs`. Each of the fences can
//! be switched off here, and then fixed seeds, which all hold with every fence, break a law.

mod fences;
mod laws;
mod world;

use fences::{Fence, Fences};
use std::collections::BTreeMap;
use world::World;

/// Each the seed of one story, the same on every machine.
const SEEDS: std::ops::Range<u64> = 0..300;

fn broken(fences: Fences) -> BTreeMap<&'static str, usize> {
    let mut laws = BTreeMap::new();
    for seed in SEEDS {
        if let Err(broken) = World::play(fences, seed) {
            *laws.entry(broken.law).or_default() += 1;
        }
    }
    laws
}

#[test]
fn with_every_fence_no_story_of_a_run_breaks_a_law() {
    for seed in SEEDS {
        if let Err(broken) = World::play(Fences::default(), seed) {
            panic!("seed {seed}: {broken:?}");
        }
    }
}

/// Some story breaks this law without this fence.
fn is_broken_without(fence: Fence, law: &str) {
    let laws = broken(Fences::without(fence));
    println!("without {fence:?}, of {} seeds: {laws:?}", SEEDS.end);
    assert!(laws.contains_key(law), "without {fence:?}: {laws:?}");
}

#[test]
fn ends_once_by_the_attempt_that_has_it() {
    is_broken_without(Fence::Finish, "EndsOnce");
    is_broken_without(Fence::Checkpoint, "NothingAfterTheEnd");
    is_broken_without(Fence::OnlyIfLost, "LivingKeepsItsRun");
}

#[test]
fn single_writer_run_whatever_comes_back() {
    is_broken_without(Fence::Log, "SingleWriterRun");
}

#[test]
fn stream_prefix_of_what_was_said_and_all_of_it_in_the_end() {
    is_broken_without(Fence::AllSaid, "StreamPrefix");
    is_broken_without(Fence::RefusedUnsaid, "ShownIsLogged");
    is_broken_without(Fence::ShownIsLogged, "ShownIsLogged");
}

#[test]
fn end_eventually_though_its_worker_is_gone_and_every_hint_is_lost() {
    is_broken_without(Fence::Reaped, "EndEventually");
    is_broken_without(Fence::LookedUp, "EndEventually");
}

#[test]
fn cancel_wins_however_the_run_would_have_ended() {
    is_broken_without(Fence::CancelKept, "CancelWins");
}
