//! `cargo xtask fuzz`: lets fuzzers make up what strangers may send, one target after the other, each for some seconds. Frames and
//! the like go to the code that reads them; requests, made up out of the document, go to a real server.

use crate::compile::{self, Page};
use crate::place::Place;
use crate::services::Passing;
use crate::setup;
use crate::supervisor::{Stopped, Supervisor};
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::process::Command;

pub const TARGETS: [&str; 6] = ["frames", "packed", "cursors", "searches", "links", API];
const API: &str = "api";
/// Longer than any text that is read otherwise than as a whole.
const LONGEST: usize = 4_096;

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    let (targets, seconds) = read(words)?;
    for target in targets {
        fetch(place, supervisor, target)?;
        build(place, supervisor, target)?;
        fuzz(place, supervisor, target, seconds)?;
    }
    say("every target held");
    Ok(())
}

/// What the fuzzers' share of a longer run came to.
#[derive(Debug, Default)]
pub struct Share {
    held: Vec<&'static str>,
    /// What was found.
    pub broken: Vec<String>,
    /// What this machine lacks the tools for.
    missing: Vec<&'static str>,
}

impl Share {
    /// Fuzzes with every target that this machine has the tools for, so many seconds each. One that builds no more is a finding.
    pub fn take(place: &Place, supervisor: &mut Supervisor, seconds: u64) -> anyhow::Result<Self> {
        let mut share = Self::default();
        for target in TARGETS {
            if let Err(why) = fetch(place, supervisor, target) {
                if why.is::<Stopped>() {
                    return Err(why);
                }
                say(&format!("{target}: its tools are not to be had here: {why:#}"));
                share.missing.push(target);
                continue;
            }
            let outcome = build(place, supervisor, target);
            match outcome.and_then(|()| fuzz(place, supervisor, target, seconds)) {
                Ok(()) => share.held.push(target),
                Err(why) if why.is::<Stopped>() => return Err(why),
                Err(why) => share.broken.push(format!("{target}: {why:#}")),
            }
        }
        Ok(share)
    }

    /// In one line.
    pub fn told(&self) -> String {
        let names = |names: &[&str]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        format!(
            "of the fuzzers held: {}; found something: {}; without their tools: {}",
            names(&self.held),
            self.broken.len(),
            names(&self.missing)
        )
    }
}

/// The tools that a target is built and run with.
fn fetch(place: &Place, supervisor: &mut Supervisor, target: &str) -> anyhow::Result<()> {
    if target == API {
        return setup::ensure_api_fuzzer(place, supervisor).map(drop);
    }
    setup::ensure_fuzzer(place, supervisor)
}

/// So that nothing but what a target finds can go wrong later.
fn build(place: &Place, supervisor: &mut Supervisor, target: &str) -> anyhow::Result<()> {
    if target == API {
        compile::programs(place, supervisor)?;
        compile::page(place, supervisor, Page::Quick, &place.page())?;
        return compile::api(place, supervisor);
    }
    supervisor.run(cargo_fuzz(place, "build")?.arg(target))
}

fn fuzz(place: &Place, supervisor: &mut Supervisor, target: &str, seconds: u64) -> anyhow::Result<()> {
    say(&format!("{target} for {seconds} seconds"));
    if target == API {
        requests(place, supervisor, seconds)
    } else {
        bytes(place, supervisor, target, seconds)
    }
}

fn requests(place: &Place, supervisor: &mut Supervisor, seconds: u64) -> anyhow::Result<()> {
    let program = setup::ensure_api_fuzzer(place, supervisor)?;
    let services = Passing::start(supervisor)?;
    let mut command = Command::new(place.program(API));
    command
        .args([seconds.to_string(), std::process::id().to_string()])
        .current_dir(&place.root)
        .env("COMPYMAC_SCHEMATHESIS", program)
        .env("COMPYMAC_BIN_DIR", place.programs())
        .env("COMPYMAC_UI_DIST", place.page())
        .env("COMPYMAC_TEST_PG", &services.postgres)
        .env("COMPYMAC_TEST_REDIS", &services.redis);
    let outcome = supervisor.run(&mut command);
    supervisor.stop_all();
    services.clear()?;
    outcome
}

fn bytes(place: &Place, supervisor: &mut Supervisor, target: &str, seconds: u64) -> anyhow::Result<()> {
    let found = place.cache.join("fuzz").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    let mut command = cargo_fuzz(place, "run")?;
    command
        .arg(target)
        // what is new goes to the first, and the corpus stays as it was written
        .arg(&found)
        .arg(folder(place).join("corpus").join(target))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
    supervisor.run(&mut command).with_context(|| {
        format!("{target} does not hold; what broke it lies in tests/fuzz/artifacts/{target}: keep it in the corpus")
    })
}

fn cargo_fuzz(place: &Place, verb: &str) -> anyhow::Result<Command> {
    let mut command = place.cargo(&["fuzz", verb]);
    command
        // no sanitizer: it needs an unstable compiler, and there is no unsafe code of ours
        .args(["--sanitizer", "none", "--fuzz-dir"])
        .arg(folder(place))
        .arg("--target-dir")
        .arg(target_folder(place))
        .env("PATH", search_path(place)?);
    Ok(command)
}

fn folder(place: &Place) -> PathBuf {
    place.root.join("tests/fuzz")
}

fn target_folder(place: &Place) -> PathBuf {
    place.cache.join("target-fuzz")
}

/// Cargo finds its subcommands on the search path.
fn search_path(place: &Place) -> anyhow::Result<std::ffi::OsString> {
    let path = crate::place::setting("PATH").unwrap_or_default();
    let own = place.tools().join("bin");
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).context("joining PATH")
}

fn read(words: &[String]) -> anyhow::Result<(Vec<&'static str>, u64)> {
    let (mut targets, mut seconds) = (Vec::new(), 60);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let value = words.next().context("--seconds wants a number")?;
            seconds = value
                .parse()
                .with_context(|| format!("--seconds wants a number, not {value}"))?;
        } else if let Some(target) = TARGETS.iter().find(|target| *target == word) {
            targets.push(*target);
        } else {
            bail!(
                "fuzz [TARGET] [--seconds N]: there is no target {word}, say {}",
                TARGETS.join(", ")
            );
        }
    }
    if targets.is_empty() {
        targets = TARGETS.to_vec();
    }
    Ok((targets, seconds))
}
