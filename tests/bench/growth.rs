//! The same works over more and more: as many people, ten and a hundred times as many, each with the same; and on a
//! device, sessions. Beside them stands how PostgreSQL found its rows meanwhile: each index by which it looked, and each
//! table that it read from end to end. The plan of every statement is claimed in `tests/server/plans.rs`.

use crate::stage::{PEOPLE, Stage};
use crate::{device, near, reads, table, turns};
use anyhow::Context as _;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMES: [usize; 3] = [1, 10, 100];
const SESSIONS: [u32; 3] = [100, 1_000, 10_000];
/// PostgreSQL's processes tell what they did no oftener than each second, when they next finish something.
const TOLD_WITHIN: Duration = Duration::from_millis(1_500);

pub async fn run(stage: &Stage) -> anyhow::Result<()> {
    for times in TIMES {
        stage.grow(times).await.context("growing")?;
        println!("\n{} people, {} sessions", PEOPLE * times, PEOPLE * times * 50);
        let before = Looks::so_far(&stage.pool).await?;
        print!("{}", table::head());
        print!("{}", table::draw(&reads::lists(stage).await.context("W1")?));
        print!("{}", table::draw(&[turns::run(stage).await.context("W2")?]));
        print!("{}", table::draw(&[near::run(stage).await.context("W6")?]));
        before.tell(&Looks::so_far(&stage.pool).await?);
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

/// How often each index was looked up, and each table read from end to end.
struct Looks {
    by_index: BTreeMap<String, i64>,
    from_end_to_end: BTreeMap<String, i64>,
}

impl Looks {
    async fn so_far(pool: &PgPool) -> anyhow::Result<Self> {
        tokio::time::sleep(TOLD_WITHIN).await;
        let ask = async |sql: &'static str| -> sqlx::Result<BTreeMap<String, i64>> {
            let counts: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(pool).await?;
            Ok(counts.into_iter().collect())
        };
        Ok(Self {
            by_index: ask("select indexrelname::text, idx_scan from pg_stat_user_indexes").await?,
            from_end_to_end: ask("select relname::text, seq_scan from pg_stat_user_tables").await?,
        })
    }

    fn tell(&self, now: &Self) {
        let more = |before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>| {
            let mut grown: Vec<(i64, String)> = after
                .iter()
                .map(|(name, count)| (count - before.get(name).unwrap_or(&0), name.clone()))
                .filter(|(count, _)| *count > 0)
                .collect();
            grown.sort_by(|one, other| other.cmp(one));
            let told: Vec<String> = grown
                .iter()
                .map(|(count, name)| format!("{name} {count}"))
                .collect();
            if told.is_empty() {
                "none".to_owned()
            } else {
                told.join(", ")
            }
        };
        println!("looked up by: {}", more(&self.by_index, &now.by_index));
        println!(
            "read from end to end: {}",
            more(&self.from_end_to_end, &now.from_end_to_end)
        );
    }
}
