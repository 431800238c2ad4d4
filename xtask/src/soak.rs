//! `cargo xtask soak`: builds the programs, starts PostgreSQLs that may crash, and lets the storms rage.

use crate::compile::{self, Page};
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

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    let (minutes, seed) = read(words)?;
    setup::ensure(place, supervisor, Need::Dev)?;
    compile::programs(place, supervisor)?;
    compile::page(place, supervisor, Page::Quick, &place.page())?;
    compile::soak(place, supervisor)?;
    let folder = Path::new("/var/tmp").join(format!("compymac-soak-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o711).create(&folder)?;
    let outcome = rage(place, supervisor, &folder, minutes, seed);
    supervisor.stop_all();
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    outcome
}

fn rage(
    place: &Place,
    supervisor: &mut Supervisor,
    folder: &Path,
    minutes: u64,
    seed: u64,
) -> anyhow::Result<()> {
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
    say(&format!("storms for {minutes} minutes, from seed {seed}"));
    let mut command = Command::new(place.programs().join("soak"));
    command
        .args([minutes.to_string(), seed.to_string()])
        .current_dir(&place.root)
        .env("COMPYMAC_BIN_DIR", place.programs())
        .env("COMPYMAC_UI_DIST", place.page())
        .env("COMPYMAC_SOAK_PG", clusters.join(" "))
        .env("COMPYMAC_TEST_REDIS", redis);
    supervisor.run(&mut command)
}

fn read(words: &[String]) -> anyhow::Result<(u64, u64)> {
    let (mut minutes, mut seed) = (10, u64::from(std::process::id()) * 1000);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--minutes" => &mut minutes,
            "--seed" => &mut seed,
            other => bail!("soak [--minutes N] [--seed S], not {other}"),
        };
        let value = words.next().with_context(|| format!("{word} wants a number"))?;
        *place = value
            .parse()
            .with_context(|| format!("{word} wants a number, not {value}"))?;
    }
    Ok((minutes, seed))
}
