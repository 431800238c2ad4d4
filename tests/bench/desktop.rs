//! What the desktop app takes, beside an app that is nothing but a window: starting, turning to a session, typing, memory,
//! the processor at rest, and how large it is. All of it in one run, with what each was meant to be.
//!
//! Both run as they are shipped, each at a seat of its own (display, bus, keychain), against a server with one large account.

mod account;
mod figures;
mod hands;
mod long_use;
mod picture;
mod sizes;
mod starts;

use account::Account;
use anyhow::{Context as _, bail};
use figures::Figure;
use harness::{Seat, Stack, free_port};
use std::time::Duration;

const PARTS: [&str; 4] = ["size", "hands", "start", "use"];

#[derive(Debug)]
struct Options {
    parts: Vec<String>,
    /// How long the app is used before it is weighed.
    used: Duration,
}

impl Options {
    fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            parts: Vec::new(),
            used: Duration::from_mins(5),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--minutes" => {
                    let number = words.next().context("--minutes needs a number")?;
                    let minutes = number.parse().with_context(|| format!("--minutes {number}"))?;
                    options.used = Duration::from_mins(minutes);
                }
                part if PARTS.contains(&part) => options.parts.push(part.to_owned()),
                other => bail!("{other}: say --minutes N, or one of {}", PARTS.join(", ")),
            }
        }
        Ok(options)
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

pub async fn run(words: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(words)?;
    print!("{}", figures::head());
    if options.has("size") {
        print(&sizes::measure()?);
    }
    if !["hands", "start", "use"].iter().any(|part| options.has(part)) {
        return Ok(());
    }
    let stack = Stack::builder().with("LOG", "warn").start().await;
    let account = Account::seed(&stack).await.context("filling the account")?;
    let ours = Seat::measured("desktop", stack.url()).await;
    let empty = Seat::measured("empty", format!("http://127.0.0.1:{}", free_port())).await;
    let screen = account.settle(&ours).await.context("the first sync")?;
    if options.has("hands") {
        print(&hands::measure(&ours, &screen, &account).await?);
    }
    screen.close().await;
    if options.has("start") {
        stack.server.gate().shut();
        let figures = starts::measure(&ours, &empty).await?;
        stack.server.gate().open();
        print(&figures);
    }
    if options.has("use") {
        print(&long_use::measure(&ours, &empty, options.used).await?);
    }
    Ok(())
}

/// Each part as soon as it is measured, whatever becomes of the next.
fn print(figures: &[Figure]) {
    print!("{}", figures::draw(figures));
}
