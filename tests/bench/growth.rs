//! The same works over more and more: as many people, ten and a hundred times as many, each with the same; and on a
//! device, sessions. That no statement reads a whole table is claimed in `tests/server/plans.rs`.

use crate::stage::{PEOPLE, Stage};
use crate::{device, near, reads, table, turns};
use anyhow::Context as _;

const TIMES: [usize; 3] = [1, 10, 100];
const SESSIONS: [u32; 3] = [100, 1_000, 10_000];

pub async fn run(stage: &Stage) -> anyhow::Result<()> {
    for times in TIMES {
        stage.grow(times).await.context("growing")?;
        println!("\n{} people, {} sessions", PEOPLE * times, PEOPLE * times * 50);
        print!("{}", table::head());
        print!("{}", table::draw(&reads::lists(stage).await.context("W1")?));
        print!("{}", table::draw(&[turns::run(stage).await.context("W2")?]));
        print!("{}", table::draw(&[near::run(stage).await.context("W6")?]));
    }
    print!("{}", table::head());
    for sessions in SESSIONS {
        print!(
            "{}",
            table::draw(&device::local(stage, sessions).await.context("W10")?)
        );
    }
    Ok(())
}
