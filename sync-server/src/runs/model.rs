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

#[test]
fn without_any_one_fence_a_law_is_broken() {
    for (fence, law) in [
        (Fence::Finish, "EndsOnce"),
        (Fence::Checkpoint, "NothingAfterTheEnd"),
        (Fence::Log, "SingleWriterRun"),
        (Fence::OnlyIfLost, "LivingKeepsItsRun"),
        (Fence::RefusedUnsaid, "ShownIsLogged"),
        (Fence::ShownIsLogged, "ShownIsLogged"),
        (Fence::CancelKept, "CancelWins"),
    ] {
        let laws = broken(Fences::without(fence));
        println!("without {fence:?}, of {} seeds: {laws:?}", SEEDS.end);
        assert!(laws.contains_key(law), "without {fence:?}: {laws:?}");
    }
}
