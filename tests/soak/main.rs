//! Storm after storm, each drawn from a seed of its own, until the time is over: `soak MINUTES SEED`, started by
//! `cargo xtask soak`. Says what each came to, and at the end how often each trouble was made.
//!
//! Each storm is a process of its own, `soak one SEED`, on a PostgreSQL that is its alone while it rages: it may crash it.
//!
//! After the first of each come the storms that once found something to mend. They are not among the short storms of the
//! suite: their plans may crash PostgreSQL, which the tests there share, and drawn without that they are other plans. And what
//! they found is a plan that met the programs at one moment, which playing it once more seldom brings back.
#![expect(clippy::print_stdout, reason = "a soak reports to the terminal")]
#![expect(
    clippy::disallowed_methods,
    reason = "the environment is read once, here, as `cargo xtask soak` sets it"
)]

use anyhow::{Context as _, bail};
use harness::{Plan, Tally, storm};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Seeds of storms that found something, which was mended.
const FOUND: [u64; 4] = [9019, 41018, 41020, 41040];

#[derive(Default)]
struct Report {
    survived: usize,
    failed: Vec<u64>,
    texts: usize,
    replies: usize,
    troubles: BTreeMap<String, usize>,
    longest: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["one", seed] => {
            let plan = Plan::draw(seed.parse().context("SEED is a number")?, true);
            let tally = storm(&plan).await;
            println!("{}", serde_json::to_string(&tally)?);
            Ok(())
        }
        [minutes, seed] => {
            let minutes = minutes.parse().context("MINUTES is a number")?;
            many(
                Duration::from_mins(minutes),
                seed.parse().context("SEED is a number")?,
            )
            .await
        }
        _ => bail!("soak MINUTES SEED, or soak one SEED"),
    }
}

/// As many storms at once as there are PostgreSQLs: most of a storm is waiting.
async fn many(time: Duration, first: u64) -> anyhow::Result<()> {
    let clusters = std::env::var("COMPYMAC_SOAK_PG").context("reading COMPYMAC_SOAK_PG")?;
    let end = Instant::now() + time;
    let fresh = Arc::new(AtomicU64::new(first));
    let found = Arc::new(Mutex::new(FOUND.to_vec()));
    let (tell, mut told) = mpsc::channel(clusters.len());
    for cluster in clusters.split_whitespace() {
        let (cluster, tell) = (cluster.to_owned(), tell.clone());
        let (fresh, found) = (Arc::clone(&fresh), Arc::clone(&found));
        tokio::spawn(async move {
            let mut seed = fresh.fetch_add(1, Ordering::Relaxed);
            while Instant::now() < end {
                if tell.send((seed, one(seed, &cluster).await)).await.is_err() {
                    return;
                }
                let again = found.lock().unwrap_or_else(PoisonError::into_inner).pop();
                seed = again.unwrap_or_else(|| fresh.fetch_add(1, Ordering::Relaxed));
            }
        });
    }
    drop(tell);
    let mut report = Report::default();
    while let Some((seed, outcome)) = told.recv().await {
        report.take(seed, outcome);
    }
    report.tell()
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
                self.survived += 1;
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

    fn tell(self) -> anyhow::Result<()> {
        println!("\n{:>6}  trouble", "times");
        for (name, count) in &self.troubles {
            println!("{count:>6}  {name}");
        }
        println!(
            "\n{} storms held: {} texts, each kept once; {} replies, each ended; healed in {:.1} s at most",
            self.survived,
            self.texts,
            self.replies,
            self.longest.as_secs_f64(),
        );
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} storms did not hold, of the seeds {:?}",
            self.failed.len(),
            self.failed
        )
    }
}
