//! Which parameters of argon2id suit this machine: as dear as a sign-in may be, and never cheaper than is safe.

use super::hash;
use argon2::Params;
use protocol::auth::Password;
use std::time::{Duration, Instant};

/// One sign-in should take about as long …
const AIM: Duration = Duration::from_millis(200);
/// … and what takes longer than this is felt, and lets a crowd wait.
const MOST: Duration = Duration::from_millis(300);
const LEAST: Duration = Duration::from_millis(150);
/// What OWASP's cheat sheet on storing passwords asks for at the least, as the settings do.
pub const LEAST_KIB: u32 = 19_456;
const LEAST_PASSES: u32 = 2;
const MOST_PASSES: u32 = 64;
/// Memory before passes: it is what a guesser's machine has less of. 64 MiB is what RFC 9106 gives to busy servers.
const MEMORIES: [u32; 4] = [65_536, 47_104, 32_768, LEAST_KIB];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suited {
    pub memory_kib: u32,
    pub passes: u32,
    pub took: Duration,
}

impl Suited {
    /// Whether one hash takes as long as it should.
    pub fn is_within(&self) -> bool {
        (LEAST..=MOST).contains(&self.took)
    }
}

/// Measures on this machine, with no more memory than this for one hash.
pub fn suit(most_kib: u32) -> anyhow::Result<Suited> {
    choose(most_kib, took)
}

/// The median of three.
fn took(memory_kib: u32, passes: u32) -> anyhow::Result<Duration> {
    let params = Params::new(memory_kib, passes, 1, None)
        .map_err(|error| anyhow::anyhow!("parameters of argon2id: {error}"))?;
    let password = Password::typed("a password of the usual length");
    let mut times = [Duration::ZERO; 3];
    for time in &mut times {
        let begun = Instant::now();
        hash(&params, &password)?;
        *time = begun.elapsed();
    }
    times.sort();
    let [_, median, _] = times;
    Ok(median)
}

/// The most memory that fits, then as many passes as bring it near the aim.
fn choose(most_kib: u32, took: impl Fn(u32, u32) -> anyhow::Result<Duration>) -> anyhow::Result<Suited> {
    let largest = [most_kib.max(LEAST_KIB)];
    let smaller = MEMORIES.into_iter().filter(|memory| *memory < most_kib);
    for memory_kib in largest.into_iter().chain(smaller) {
        let cheapest = Suited {
            memory_kib,
            passes: LEAST_PASSES,
            took: took(memory_kib, LEAST_PASSES)?,
        };
        if cheapest.took > MOST && memory_kib > LEAST_KIB {
            continue;
        }
        return with_passes(cheapest, took);
    }
    unreachable!("the least memory is taken whatever it costs")
}

fn with_passes(
    cheapest: Suited,
    took: impl Fn(u32, u32) -> anyhow::Result<Duration>,
) -> anyhow::Result<Suited> {
    if cheapest.took >= LEAST {
        return Ok(cheapest);
    }
    let one_pass = cheapest.took.as_secs_f64() / f64::from(LEAST_PASSES);
    let mut suited = cheapest;
    // time grows with the passes, but for what does not repeat: a few looks settle it
    for passes in LEAST_PASSES..=MOST_PASSES {
        if one_pass * f64::from(passes) < AIM.as_secs_f64() && passes < MOST_PASSES {
            continue;
        }
        suited.passes = passes;
        suited.took = took(suited.memory_kib, passes)?;
        if suited.took >= LEAST {
            break;
        }
    }
    while suited.took > MOST && suited.passes > LEAST_PASSES {
        suited.passes -= 1;
        suited.took = took(suited.memory_kib, suited.passes)?;
    }
    Ok(suited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A machine that works through so many KiB in a millisecond.
    fn machine(kib_in_a_milli: u32) -> impl Fn(u32, u32) -> anyhow::Result<Duration> {
        move |memory, passes| {
            Ok(Duration::from_micros(
                u64::from(memory) * u64::from(passes) * 1000 / u64::from(kib_in_a_milli),
            ))
        }
    }

    #[test]
    fn a_usual_machine_gets_64_mib_and_the_passes_that_fill_the_time() {
        let suited = choose(65_536, machine(2_000)).unwrap();
        assert_eq!((suited.memory_kib, suited.passes), (65_536, 7));
        assert!(suited.is_within());
    }

    #[test]
    fn a_slow_machine_gets_the_least_that_is_safe_however_long_it_takes() {
        let suited = choose(65_536, machine(50)).unwrap();
        assert_eq!((suited.memory_kib, suited.passes), (LEAST_KIB, LEAST_PASSES));
        assert!(!suited.is_within());
    }

    proptest! {
        #[test]
        fn no_machine_gets_less_than_is_safe_or_more_than_the_settings_take(
            speed in 1u32..100_000, most in 0u32..1_048_576
        ) {
            let suited = choose(most, machine(speed)).unwrap();
            prop_assert!(suited.memory_kib >= LEAST_KIB && suited.memory_kib <= most.max(LEAST_KIB));
            prop_assert!((LEAST_PASSES..=MOST_PASSES).contains(&suited.passes));
            let (cheapest, dearest) = (machine(speed)(LEAST_KIB, 2).unwrap(), machine(speed)(suited.memory_kib, 64).unwrap());
            prop_assert!(suited.is_within() || cheapest > LEAST || dearest < LEAST, "{suited:?}");
        }
    }
}
