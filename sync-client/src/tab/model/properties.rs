//! The laws over scripts drawn by chance.

use super::rules::Rules;
use super::script;
use super::world::World;
use proptest::prelude::*;

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
