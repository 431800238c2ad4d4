//! `cargo xtask fuzz`: lets a fuzzer make up what strangers may send, one target after the other, each for some seconds.

use crate::place::Place;
use crate::setup;
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::path::PathBuf;

const TARGETS: [&str; 4] = ["frames", "cursors", "searches", "links"];
/// Longer than any text that is read otherwise than as a whole.
const LONGEST: usize = 4_096;

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    let (targets, seconds) = read(words)?;
    setup::ensure_fuzzer(place, supervisor)?;
    let folder = place.root.join("tests/fuzz");
    for target in targets {
        say(&format!("{target} for {seconds} seconds"));
        let found = place.cache.join("fuzz").join(target);
        std::fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
        let mut command = place.cargo(&["fuzz", "run"]);
        command
            // no sanitizer: it needs an unstable compiler, and there is no unsafe code of ours
            .args(["--sanitizer", "none", "--fuzz-dir"])
            .arg(&folder)
            .arg("--target-dir")
            .arg(target_folder(place))
            .arg(target)
            // what is new goes to the first, and the corpus stays as it was written
            .arg(&found)
            .arg(folder.join("corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={LONGEST}"))
            .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"])
            .env("PATH", search_path(place)?);
        supervisor.run(&mut command).with_context(|| {
            format!("{target} does not hold; what broke it lies in tests/fuzz/artifacts/{target}: keep it in the corpus")
        })?;
    }
    say("every target held");
    Ok(())
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
