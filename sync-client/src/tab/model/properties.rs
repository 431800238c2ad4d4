//! The laws over scripts drawn by chance.

use super::laws::Broken;
use super::rules::Rules;
use super::script::{self, Script};
use super::world::World;
use proptest::prelude::*;

fn every_law_holds(script: &Script) -> Result<(), TestCaseError> {
    let told = |broken: Broken| TestCaseError::fail(format!("{broken:?}"));
    World::play(Rules::default(), [0, 0], script)
        .map(drop)
        .map_err(told)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// DenseSeq, OrdContiguous, CursorHonest, ApplyIdempotent, NoGapApply, Convergence, BackfillSafe,
    /// ExactlyOnceEffect, NoSilentLoss, LaneIsolation, OverlayMonotone, TombstoneTerminal, HumanTitleWins,
    /// ResetTerminates, RestoreHeals. Each by itself is in `by_name`.
    #[test]
    fn whatever_happens_every_law_holds_and_everybody_agrees_in_the_end(script in script::script(120)) {
        every_law_holds(&script)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

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
        every_law_holds(&script)?;
    }
}
