//! `cargo xtask soak`: builds the programs, starts a PostgreSQL that may crash, and lets the storms rage.

use crate::compile::{self, Page};
use crate::place::Place;
use crate::services::Passing;
use crate::setup::{self, Need};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::process::Command;

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    let (minutes, seed) = read(words)?;
    setup::ensure(place, supervisor, Need::Dev)?;
    compile::programs(place, supervisor)?;
    compile::page(place, supervisor, Page::Quick, &place.page())?;
    compile::soak(place, supervisor)?;
    let services = Passing::start(supervisor)?;
    say(&format!("storms for {minutes} minutes, from seed {seed}"));
    let mut command = Command::new(place.programs().join("soak"));
    command
        .args([minutes.to_string(), seed.to_string()])
        .current_dir(&place.root)
        .env("COMPYMAC_BIN_DIR", place.programs())
        .env("COMPYMAC_UI_DIST", place.page())
        .env("COMPYMAC_TEST_PG", &services.postgres)
        .env("COMPYMAC_TEST_REDIS", &services.redis);
    let outcome = supervisor.run(&mut command);
    supervisor.stop_all();
    services.clear()?;
    outcome
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
