//! The suite is known to see: with any one rule off, some of a fixed list of scripts break a law.

use super::laws::Broken;
use super::rules::{Rule, Rules};
use super::script::{self, Script};
use super::world::World;

/// Each the seed of one script, the same on every machine.
const SEEDS: std::ops::Range<u64> = 0..40;
/// Those that are played with every rule on whether or not they break a law without one.
const SOUND: std::ops::Range<u64> = 0..24;
const DEEDS: usize = 200;

fn play(rules: Rules, script: &Script) -> Option<Broken> {
    World::play(rules, [0, 0], script).err()
}

/// The script without what it can do without and still break the same law.
fn shortest(rules: Rules, script: &Script, law: &str) -> Script {
    let mut shortest = script.clone();
    for index in (0..script.deeds.len()).rev() {
        let mut shorter = shortest.clone();
        shorter.deeds.remove(index);
        if play(rules, &shorter).is_some_and(|broken| broken.law == law) {
            shortest = shorter;
        }
    }
    shortest
}

/// The laws that the seeds break with this rule off, and do not break with it, seed by seed. Whoever has seen enough plays no
/// more of them.
fn broken_without(rule: Rule) -> impl Iterator<Item = &'static str> {
    SEEDS.filter_map(move |seed| {
        let script = script::seeded(seed, DEEDS);
        let broken = play(Rules::without(rule), &script)?;
        assert!(
            play(Rules::default(), &script).is_none(),
            "seed {seed} is broken anyway"
        );
        println!("without {rule:?}, seed {seed}: {}", broken.law);
        Some(broken.law)
    })
}

#[test]
fn with_every_rule_on_no_seed_breaks_a_law() {
    for seed in SOUND {
        let script = script::seeded(seed, DEEDS);
        if let Some(broken) = play(Rules::default(), &script) {
            let shortest = shortest(Rules::default(), &script, broken.law);
            panic!("seed {seed}: {broken:?}\nwith {shortest:?}");
        }
    }
}

#[test]
fn without_the_ledger_something_happens_twice() {
    assert!(broken_without(Rule::Ledger).any(|law| law == "ExactlyOnceEffect"));
}

#[test]
fn without_the_check_of_where_a_page_begins_the_cursor_lies() {
    assert!(broken_without(Rule::From).next().is_some());
}

#[test]
fn with_the_cursor_committed_before_its_rows_a_crash_loses_them() {
    assert!(broken_without(Rule::OneCommit).any(|law| law == "CursorHonest"));
}

#[test]
fn with_an_answer_of_an_earlier_history_believed_what_the_restore_lost_vanishes() {
    assert!(broken_without(Rule::Answer).next().is_some());
}

#[test]
fn without_the_check_of_how_old_a_read_is_the_past_comes_back() {
    assert!(broken_without(Rule::AsOf).next().is_some());
}

#[test]
fn told_of_before_it_is_written_down_a_text_is_lost_in_a_crash() {
    assert!(broken_without(Rule::Written).any(|law| law == "NoSilentLoss"));
}
