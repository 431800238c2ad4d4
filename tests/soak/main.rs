//! Storm after storm, each drawn from a seed of its own, until the time is over and as many were made as are wanted: `soak
//! SECONDS SEED STORMS`, started by `cargo xtask soak`. Says what each came to, then how often each trouble was made, and in the
//! last line which seeds were played and how many of them held.
//!
//! Each storm is a process of its own, `soak one SEED`, on a PostgreSQL that is its alone while it rages: it may crash it.
//!
//! First come the storms that once found something (`tests/soak/found.txt`), and whatever does not hold is added to them. They are
//! not among the short storms of the suite: their plans may crash PostgreSQL, which the tests there share, and drawn without that
//! they are other plans. And what they found is a plan that met the programs at one moment, which playing it once more seldom
//! brings back.
#![expect(clippy::print_stdout, reason = "a soak reports to the terminal")]
#![expect(
    clippy::disallowed_methods,
    reason = "the environment is read once, here, as `cargo xtask soak` sets it"
)]

use anyhow::{Context as _, bail};
use harness::{Plan, Tally, root, storm};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Which storm is the next.
#[derive(Debug)]
struct Order {
    /// Seeds that once found something, each as long as it was not played.
    found: VecDeque<u64>,
    fresh: u64,
    begun: usize,
    /// At least so many, and those that once found something, however long they take.
    wanted: usize,
    /// And until then, however many they are.
    end: Instant,
}

impl Order {
    fn draw(&mut self) -> Option<u64> {
        if self.begun >= self.wanted && Instant::now() >= self.end {
            return None;
        }
        self.begun += 1;
        let again = self.found.pop_front();
        Some(again.unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        }))
    }
}

#[derive(Default)]
struct Report {
    held: Vec<u64>,
    failed: Vec<u64>,
    texts: usize,
    replies: usize,
    troubles: BTreeMap<String, usize>,
    longest: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["one", seed] => {
            let plan = Plan::draw(seed.parse().context("SEED is a number")?, true);
            let tally = storm(&plan).await;
            println!("{}", serde_json::to_string(&tally)?);
            Ok(ExitCode::SUCCESS)
        }
        [seconds, seed, storms] => {
            let seconds = seconds.parse().context("SECONDS is a number")?;
            let seeds = root().join("tests/soak/found.txt");
            let found = known(&seeds)?;
            let storms: usize = storms.parse().context("STORMS is a number")?;
            let order = Order {
                fresh: seed.parse().context("SEED is a number")?,
                begun: 0,
                // so many of the seeds that are asked for, beside those that are played in any case
                wanted: if storms == 0 { 0 } else { storms + found.len() },
                found,
                end: Instant::now() + Duration::from_secs(seconds),
            };
            many(order, seeds).await
        }
        _ => bail!("soak SECONDS SEED STORMS, or soak one SEED"),
    }
}

/// One seed a line; what begins with a `#` is for people.
fn known(seeds: &Path) -> anyhow::Result<VecDeque<u64>> {
    let text = fs::read_to_string(seeds).with_context(|| format!("reading {}", seeds.display()))?;
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.parse::<u64>()
                .with_context(|| format!("reading the seed {line}"))
        })
        .collect()
}

fn keep(seeds: &Path, seed: u64) -> anyhow::Result<()> {
    if known(seeds)?.contains(&seed) {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).open(seeds)?;
    writeln!(file, "{seed}").with_context(|| format!("adding {seed} to {}", seeds.display()))
}

/// As many storms at once as there are PostgreSQLs: most of a storm is waiting.
async fn many(order: Order, seeds: PathBuf) -> anyhow::Result<ExitCode> {
    let clusters = std::env::var("COMPYMAC_SOAK_PG").context("reading COMPYMAC_SOAK_PG")?;
    let order = Arc::new(Mutex::new(order));
    let (tell, mut told) = mpsc::channel(1);
    for cluster in clusters.split_whitespace() {
        let (cluster, tell, order) = (cluster.to_owned(), tell.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let draw = || order.lock().unwrap_or_else(PoisonError::into_inner).draw();
            while let Some(seed) = draw() {
                if tell.send((seed, one(seed, &cluster).await)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(tell);
    let mut report = Report::default();
    while let Some((seed, outcome)) = told.recv().await {
        let is_found = outcome.is_err();
        // told first: a list that cannot be written takes no finding away
        report.take(seed, outcome);
        if is_found {
            keep(&seeds, seed)?;
        }
    }
    report.tell();
    // where no storm was made, none has held
    Ok(if report.failed.is_empty() && !report.held.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn one(seed: u64, cluster: &str) -> anyhow::Result<Tally> {
    let output = Command::new(std::env::current_exe()?)
        .args(["one", &seed.to_string()])
        .env("COMPYMAC_TEST_PG", cluster)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .context("starting a storm")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("reading what a storm came to")
}

impl Report {
    fn take(&mut self, seed: u64, outcome: anyhow::Result<Tally>) {
        match outcome {
            Ok(tally) => {
                println!(
                    "seed {seed}: {} texts, {} replies, {} troubles, healed in {:.1} s",
                    tally.texts,
                    tally.replies,
                    tally.troubles.values().sum::<usize>(),
                    tally.healed_in.as_secs_f64(),
                );
                self.held.push(seed);
                self.texts += tally.texts;
                self.replies += tally.replies;
                self.longest = self.longest.max(tally.healed_in);
                for (name, count) in tally.troubles {
                    *self.troubles.entry(name).or_default() += count;
                }
            }
            Err(why) => {
                println!("seed {seed}: DOES NOT HOLD\n{why:#}");
                self.failed.push(seed);
            }
        }
    }

    fn tell(&self) {
        println!("\n{:>6}  trouble", "times");
        for (name, count) in &self.troubles {
            println!("{count:>6}  {name}");
        }
        println!(
            "\n{} texts, each kept once; {} replies, each ended; healed in {:.1} s at most",
            self.texts,
            self.replies,
            self.longest.as_secs_f64(),
        );
        let played: Vec<u64> = self.held.iter().chain(&self.failed).copied().collect();
        print!(
            "{} storms of the seeds {}: {} held, {} did not hold",
            played.len(),
            spans(&played),
            self.held.len(),
            self.failed.len(),
        );
        if self.failed.is_empty() {
            println!();
        } else {
            println!(": {}", spans(&self.failed));
        }
    }
}

/// Numbers in order, those that follow each other as one: `3, 7 to 9`.
fn spans(seeds: &[u64]) -> String {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let words = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first} to {last}")),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_once_found_something_is_first_and_as_many_are_made_as_are_wanted() {
        let mut order = Order {
            found: VecDeque::from([41_018, 9_019]),
            fresh: 7,
            begun: 0,
            wanted: 4,
            end: Instant::now(),
        };
        let drawn: Vec<u64> = std::iter::from_fn(|| order.draw()).collect();
        assert_eq!(drawn, [41_018, 9_019, 7, 8]);
        order.end = Instant::now() + Duration::from_mins(1);
        assert_eq!(order.draw(), Some(9), "there is time for more");
    }

    #[test]
    fn seeds_that_follow_each_other_are_told_as_one() {
        assert_eq!(spans(&[9, 3, 7, 8, 20, 21]), "3, 7 to 9, 20 to 21");
        assert_eq!(spans(&[]), "");
    }
}
