//! Devices in memory against a model server, with crashes, restores, and a network that loses, doubles and reorders.
//!
//! Each run is a [`script`] of what people do and what befalls requests, frames, devices and the server; a law of
//! [`laws`] that does not hold ends it. A failing script is printed, and kept in `proptest-regressions` where it
//! was found by chance; [`ablation`] has fixed seeds.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the arms it means")]

mod ablation;
mod device;
mod found;
mod laws;
mod network;
mod rules;
mod script;
mod server;
mod world;

pub use device::Body;

use proptest::prelude::*;
use rules::Rules;
use world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// DenseSeq, OrdContiguous, CursorHonest, ApplyIdempotent, NoGapApply, Convergence, BackfillSafe,
    /// ExactlyOnceEffect, NoSilentLoss, LaneIsolation, OverlayMonotone, TombstoneTerminal, HumanTitleWins,
    /// ResetTerminates, RestoreHeals.
    #[test]
    fn whatever_happens_every_law_holds_and_everybody_agrees_in_the_end(script in script::script(120)) {
        if let Err(broken) = World::play(Rules::default(), [0, 0], &script) {
            return Err(TestCaseError::fail(format!("{broken:?}")));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// ClockFree: devices that are ten years off, each its own way, come to the same order and the same outcome.
    #[test]
    fn clock_free_a_wrong_clock_changes_no_order_and_no_outcome(script in script::script(120)) {
        let years = script::TEN_YEARS;
        let played = |skews| World::play(Rules::default(), skews, &script);
        match (played([0, 0]), played([years, -years])) {
            (Ok(right), Ok(wrong)) => prop_assert_eq!(right.server.outcome(), wrong.server.outcome()),
            (right, wrong) => {
                let broken = (right.err(), wrong.err());
                return Err(TestCaseError::fail(format!("{broken:?}")));
            }
        }
    }

    /// ClockFree: a clock that jumps while a device runs moves waits and breaks no law.
    #[test]
    fn clock_free_a_clock_that_jumps_breaks_no_law(script in script::script_with_wrong_clocks(120)) {
        if let Err(broken) = World::play(Rules::default(), [0, 0], &script) {
            return Err(TestCaseError::fail(format!("{broken:?}")));
        }
    }
}
