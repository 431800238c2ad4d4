//! What the server does in a second, beside what its parts could do at most, measured side by side in one run; and what the
//! desktop app takes, beside an empty one.
//!
//! `cargo xtask bench` builds it, starts PostgreSQL and Redis, and runs it. `bench bare` and `bench echo` are the limits,
//! run as processes of their own so that both sides have the same to carry. `bench desktop` measures the app.
#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

mod bare;
mod catch_up;
mod desktop;
mod device;
mod door;
mod echo;
mod growth;
mod idle;
mod load;
mod near;
mod pgbench;
mod process;
mod reads;
mod stage;
mod storm;
mod stream;
mod table;
mod turns;
mod weight;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stage::Stage;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    allow_many_sockets()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("bare") => bare::serve().await,
        Some("echo") => echo::serve().await,
        Some("desktop") => desktop::run(words.get(1..).unwrap_or_default()).await,
        _ => measure(&words).await,
    }
}

async fn measure(works: &[String]) -> anyhow::Result<()> {
    let is_wanted = |work: &str| works.is_empty() || works.iter().any(|wanted| wanted == work);
    let stage = Stage::set().await.context("setting the stage")?;
    if works.first().is_some_and(|work| work == "GROWTH") {
        growth::run(&stage).await?;
        return stage.clear().await;
    }
    print!("{}", table::head());
    // each work as soon as it is measured, whatever becomes of the next
    if is_wanted("W1") {
        print!("{}", table::draw(&reads::lists(&stage).await.context("W1")?));
    }
    if is_wanted("W2") {
        print!("{}", table::draw(&[turns::run(&stage).await.context("W2")?]));
    }
    if is_wanted("W3") {
        print!("{}", table::draw(&door::run(&stage).await.context("W3")?));
    }
    if is_wanted("W4") {
        print!("{}", table::draw(&reads::histories(&stage).await.context("W4")?));
    }
    if is_wanted("W5") {
        for count in [1_000, 5_000, 10_000] {
            print!(
                "{}",
                table::draw(&[idle::run(&stage, count).await.context("W5")?])
            );
        }
    }
    if is_wanted("W6") {
        print!("{}", table::draw(&[near::run(&stage).await.context("W6")?]));
    }
    if is_wanted("W7") {
        print!("{}", table::draw(&stream::run(&stage).await.context("W7")?));
    }
    if is_wanted("W8") {
        print!("{}", table::draw(&catch_up::run(&stage).await.context("W8")?));
    }
    if is_wanted("W11") {
        print!("{}", table::draw(&[storm::run(&stage).await.context("W11")?]));
    }
    if is_wanted("W9") {
        print!(
            "{}",
            table::draw(&[device::first_sync(&stage).await.context("W9")?])
        );
    }
    if is_wanted("W10") {
        print!(
            "{}",
            table::draw(&device::local(&stage, 10_000).await.context("W10")?)
        );
    }
    stage.clear().await
}

/// Thousands of sockets at both ends; the children inherit it.
fn allow_many_sockets() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raising the limit of open files")
}
