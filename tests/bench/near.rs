//! W6: from a commit at one node until another device's cache has it, through the other node.

use crate::device::Laptop;
use crate::stage::{Member, Stage};
use crate::table::{Row, Tally};
use anyhow::{Context as _, bail};
use protocol::mutation::{Batch, BatchAnswer, Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::{MessageId, MutationId, SessionId, routes};
use std::time::{Duration, Instant};
use sync_client::Device;
use tokio::task::JoinSet;

/// People who write at the same time, each with a device at the other node.
const PEOPLE: usize = 20;
/// So that all of them together write 200 times in a second.
const PAUSE: Duration = Duration::from_millis(100);
const WRITES: usize = 60;

pub async fn run(stage: &Stage) -> anyhow::Result<Row> {
    let other = stage.fresh_server().await?;
    let limit = publish_and_hear().await?;
    let mut writing = JoinSet::new();
    for member in stage.members.iter().skip(1).take(PEOPLE) {
        let laptop = Laptop::new(&other.address, member).await?;
        while laptop.device.cursor().await?.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (address, member) = (stage.server.address.clone(), member.clone());
        writing.spawn(async move {
            let took = write(&address, &member, &laptop.device).await;
            laptop.device.close().await;
            took
        });
    }
    let mut own = Tally::default();
    while let Some(took) = writing.join_next().await {
        own.add(took??, 0.0);
    }
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Row {
        work: "W6 commit to another device's cache, 200/s".to_owned(),
        ours: millis(own.percentile(0.5).context("a write")?),
        limit: millis(limit),
        unit: "ms",
        less_is_better: true,
        p50: own.percentile(0.5),
        p99: own.percentile(0.99),
        memory: other.memory()?,
    })
}

/// Writes at one node and waits for the device at the other, again and again; from the answer to the write on.
async fn write(address: &str, member: &Member, device: &Device) -> anyhow::Result<Vec<Duration>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut pushes = device.watch();
    let mut took = Vec::with_capacity(WRITES);
    let mut next = tokio::time::interval(PAUSE);
    for number in 0..WRITES {
        next.tick().await;
        let batch = Batch {
            ops: vec![Mutation {
                id: MutationId::fresh(),
                v: OP_VERSION,
                op: Op::MessageCreate {
                    id: MessageId::fresh(),
                    session: SessionId(member.session),
                    parent: None,
                    content: format!("Write number {number}"),
                    run: RunMode::Manual,
                },
            }],
        };
        let answer: BatchAnswer = client
            .post(format!("http://{address}{}", routes::MUTATIONS))
            .bearer_auth(&member.access_token)
            .json(&batch)
            .send()
            .await?
            .json()
            .await?;
        let committed = Instant::now();
        let Some(OpResult::Applied { seq, .. }) = answer.results.first().map(|outcome| &outcome.result)
        else {
            bail!("a write was refused: {answer:?}");
        };
        while device.cursor().await?.is_none_or(|cursor| cursor.seq < *seq) {
            // whatever is pushed may be it; a push that was missed must not hold this up for long
            let _ = tokio::time::timeout(Duration::from_millis(200), pushes.recv()).await;
            if committed.elapsed() > Duration::from_secs(10) {
                bail!("a write did not come to the other device");
            }
        }
        took.push(committed.elapsed());
    }
    Ok(took)
}

/// The least that a way through Redis takes: published, and heard on another connection.
pub async fn publish_and_hear() -> anyhow::Result<Duration> {
    use futures_util::StreamExt as _;
    let client = redis::Client::open(crate::stage::setting("COMPYMAC_TEST_REDIS")?)?;
    let mut ear = client.get_async_pubsub().await?;
    ear.subscribe("bench").await?;
    let mut mouth = client.get_multiplexed_async_connection().await?;
    let mut tally = Tally::default();
    let mut heard = ear.on_message();
    for _ in 0..500 {
        let begun = Instant::now();
        let _: i64 = redis::cmd("PUBLISH")
            .arg("bench")
            .arg("x")
            .query_async(&mut mouth)
            .await?;
        heard.next().await.context("hearing what was published")?;
        tally.add(vec![begun.elapsed()], 0.0);
    }
    tally.percentile(0.5).context("a hop")
}
