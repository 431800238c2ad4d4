//! `cargo xtask soak`: gives the fuzzers their share, starts PostgreSQLs that may crash, and lets the storms rage.

use crate::compile::{self, Page};
use crate::fuzz::{self, Share};
use crate::place::Place;
use crate::ports;
use crate::services::{Lasting, postgres, redis};
use crate::setup::{self, Need};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Command;

/// Storms that rage at the same time, each with a PostgreSQL of its own.
const AT_ONCE: usize = 4;

/// Where neither minutes nor storms are asked for.
const MINUTES: u64 = 10;
/// One part in so many of the minutes goes to the fuzzers.
const FUZZED: u64 = 10;
/// What a fuzzer gets at least, in seconds.
const SHORTEST: u64 = 10;

/// As many storms and as long as is asked for: whichever takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    minutes: u64,
    storms: u64,
    seed: u64,
}

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(words)?;
    setup::ensure(place, supervisor, Need::Dev)?;
    compile::programs(place, supervisor)?;
    compile::page(place, supervisor, Page::Quick, &place.page())?;
    compile::soak(place, supervisor)?;
    let fuzzed = Share::take(place, supervisor, options.seconds_for_each_fuzzer())?;
    let folder = Path::new("/var/tmp").join(format!("compymac-soak-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o711).create(&folder)?;
    let outcome = rage(place, supervisor, &folder, options);
    supervisor.stop_all();
    let removed = fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()));
    say(&fuzzed.told());
    // what was found before what was left lying
    outcome?;
    removed?;
    if !fuzzed.broken.is_empty() {
        bail!("the fuzzers found something:\n{}", fuzzed.broken.join("\n"));
    }
    Ok(())
}

fn rage(place: &Place, supervisor: &mut Supervisor, folder: &Path, options: Options) -> anyhow::Result<()> {
    let mut clusters = Vec::new();
    for number in 0..AT_ONCE {
        let data = folder.join(format!("postgres-{number}"));
        // Kept: what it says is committed has to outlive a crash.
        clusters.push(postgres(supervisor, &data, ports::free()?, Lasting::Kept)?);
    }
    let redis = redis(
        supervisor,
        &folder.join("redis"),
        ports::free()?,
        Lasting::Passing,
    )?;
    let Options {
        minutes,
        storms,
        seed,
    } = options;
    say(&format!(
        "storms for {minutes} minutes and at least {storms} of them, from seed {seed}"
    ));
    let mut command = Command::new(place.programs().join("soak"));
    command
        .args([options.seconds_of_storms(), seed, storms].map(|number| number.to_string()))
        .current_dir(&place.root)
        .env("COMPYMAC_BIN_DIR", place.programs())
        .env("COMPYMAC_UI_DIST", place.page())
        .env("COMPYMAC_SOAK_PG", clusters.join(" "))
        .env("COMPYMAC_TEST_REDIS", redis);
    supervisor.run(&mut command)
}

impl Options {
    fn parse(words: &[String]) -> anyhow::Result<Self> {
        let (mut minutes, mut storms, mut seed) = (None, None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--minutes" => &mut minutes,
                "--storms" => &mut storms,
                "--seed" => &mut seed,
                other => bail!("soak [--minutes N] [--storms N] [--seed S], not {other}"),
            };
            let value = words.next().with_context(|| format!("{word} wants a number"))?;
            let number: u64 = value
                .parse()
                .with_context(|| format!("{word} wants a number, not {value}"))?;
            *place = Some(number);
        }
        Ok(Self {
            minutes: minutes.unwrap_or(if storms.is_none() { MINUTES } else { 0 }),
            storms: storms.unwrap_or_default(),
            seed: seed.unwrap_or_else(|| u64::from(std::process::id()) * 1000),
        })
    }

    fn seconds_for_each_fuzzer(self) -> u64 {
        (self.minutes * 60 / FUZZED / fuzz::TARGETS.len() as u64).max(SHORTEST)
    }

    const fn seconds_of_storms(self) -> u64 {
        self.minutes * 60 - self.minutes * 60 / FUZZED
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn the_later_of_both_bounds_counts_and_without_any_it_is_ten_minutes() {
        let read = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words).map(|options| (options.minutes, options.storms))
        };
        assert_eq!(read("").ok(), Some((10, 0)));
        assert_eq!(read("--storms 300 --seed 5").ok(), Some((0, 300)));
        assert_eq!(read("--minutes 40 --storms 300").ok(), Some((40, 300)));
        assert!(read("--storms").is_err() && read("--storms many").is_err());
    }
}
