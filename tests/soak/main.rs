//! Storm after storm, each drawn from a seed of its own, until the time is over: `soak MINUTES SEED`, started by
//! `cargo xtask soak`. Says what each came to, and at the end how often each trouble was made.
#![expect(clippy::print_stdout, reason = "a soak reports to the terminal")]

use anyhow::{Context as _, bail};
use harness::{Plan, Tally, storm};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Storms that rage at the same time: most of a storm is waiting.
const AT_ONCE: usize = 4;

#[derive(Default)]
struct Report {
    survived: usize,
    lost: Vec<(u64, String)>,
    texts: usize,
    replies: usize,
    troubles: BTreeMap<&'static str, usize>,
    longest: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [minutes, seed] = words.as_slice() else {
        bail!("soak MINUTES SEED");
    };
    let minutes: u64 = minutes.parse().context("MINUTES is a number")?;
    let next = Arc::new(AtomicU64::new(seed.parse().context("SEED is a number")?));
    let end = Instant::now() + Duration::from_mins(minutes);
    let mut raging = JoinSet::new();
    let mut report = Report::default();
    for _ in 0..AT_ONCE {
        raging.spawn(one(next.fetch_add(1, Ordering::Relaxed)));
    }
    while let Some(ended) = raging.join_next().await {
        let (seed, outcome) = ended.context("a storm's keeper")?;
        report.take(seed, outcome);
        if Instant::now() < end {
            raging.spawn(one(next.fetch_add(1, Ordering::Relaxed)));
        }
    }
    report.tell()
}

async fn one(seed: u64) -> (u64, Result<Tally, String>) {
    let begun = Instant::now();
    // A claim that does not hold panics; the thread of its own keeps it from ending the rest.
    let raged = tokio::task::spawn_blocking(move || alone(seed)).await;
    let outcome = raged
        .map_err(anyhow::Error::from)
        .flatten()
        .map_err(|error| format!("{error:#}"));
    match &outcome {
        Ok(tally) => println!(
            "seed {seed}: {} texts, {} replies, {} troubles, healed in {:.1} s, {:.1} s in all",
            tally.texts,
            tally.replies,
            tally.troubles.values().sum::<usize>(),
            tally.healed_in.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
        ),
        Err(why) => println!("seed {seed}: NOT HELD: {why}"),
    }
    (seed, outcome)
}

fn alone(seed: u64) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(storm(&Plan::draw(seed, true))))
}

impl Report {
    fn take(&mut self, seed: u64, outcome: Result<Tally, String>) {
        match outcome {
            Ok(tally) => {
                self.survived += 1;
                self.texts += tally.texts;
                self.replies += tally.replies;
                self.longest = self.longest.max(tally.healed_in);
                for (name, count) in tally.troubles {
                    *self.troubles.entry(name).or_default() += count;
                }
            }
            Err(why) => self.lost.push((seed, why)),
        }
    }

    fn tell(self) -> anyhow::Result<()> {
        println!("\n{:>6}  trouble", "times");
        for (name, count) in &self.troubles {
            println!("{count:>6}  {name}");
        }
        println!(
            "\n{} storms: {} held, {} did not; {} texts, each kept once; {} replies, each ended; healed in {:.1} s at most",
            self.survived + self.lost.len(),
            self.survived,
            self.lost.len(),
            self.texts,
            self.replies,
            self.longest.as_secs_f64(),
        );
        if self.lost.is_empty() {
            return Ok(());
        }
        for (seed, why) in &self.lost {
            println!("seed {seed}: {why}");
        }
        bail!("{} storms did not hold", self.lost.len())
    }
}
