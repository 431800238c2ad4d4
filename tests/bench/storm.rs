//! W11: thousands of sockets are dropped at once and all of them come back, while lists are read beside it.

use crate::idle::{self, Socket};
use crate::load;
use crate::reads;
use crate::stage::Stage;
use crate::table::{Row, Tally};
use anyhow::{Context as _, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const SOCKETS: usize = 5_000;
/// Connections that read lists meanwhile.
const READERS: usize = 16;
const QUIET: Duration = Duration::from_secs(4);
/// By then all have to be back.
const PATIENCE: Duration = Duration::from_mins(1);

pub async fn run(stage: &Stage) -> anyhow::Result<Row> {
    let server = stage.fresh_server().await?;
    let tokens: Arc<Vec<String>> = Arc::new(
        stage
            .members
            .iter()
            .map(|member| member.access_token.clone())
            .collect(),
    );
    let requests = reads::requests(stage, &server.address, READERS);
    let mut quiet = Tally::default();
    quiet.add(
        load::run(&server.address, &requests, QUIET).await?,
        QUIET.as_secs_f64(),
    );
    let sockets: Vec<Socket> = idle::all(SOCKETS, |place| open(&server.address, &tokens, place)).await?;
    drop(sockets);

    let failures = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut coming = JoinSet::new();
    for place in 0..SOCKETS {
        let (address, tokens, failures) =
            (server.address.clone(), Arc::clone(&tokens), Arc::clone(&failures));
        coming.spawn(async move { come_back(&address, &tokens, place, &failures, begun).await });
    }
    let mut kept = Vec::with_capacity(SOCKETS);
    let mut took = Vec::with_capacity(SOCKETS);
    let mut busy = Tally::default();
    // in short stretches, so that it ends with the storm
    let stretch = Duration::from_millis(250);
    while took_all(&mut coming, &mut kept, &mut took)? {
        let answers = load::run(&server.address, &requests, stretch).await?;
        busy.add(answers, stretch.as_secs_f64());
    }
    let all = begun.elapsed();
    let errors = failures.load(Ordering::Relaxed);
    let mut back = Tally::default();
    back.add(took, 1.0);
    Ok(Row {
        work: format!(
            "W11 {SOCKETS} sockets back in {:.1} s, {errors} tries failed",
            all.as_secs_f64()
        ),
        ours: busy.rate(),
        limit: quiet.rate(),
        unit: "/s",
        less_is_better: false,
        p50: back.percentile(0.5),
        p99: back.percentile(0.99),
        memory: server.memory()?,
    })
}

/// Takes in who is back; false: all are.
fn took_all(
    coming: &mut JoinSet<anyhow::Result<(Socket, Duration)>>,
    kept: &mut Vec<Socket>,
    took: &mut Vec<Duration>,
) -> anyhow::Result<bool> {
    while let Some(back) = coming.try_join_next() {
        let (socket, time) = back??;
        kept.push(socket);
        took.push(time);
    }
    Ok(!coming.is_empty())
}

async fn open(address: &str, tokens: &[String], place: usize) -> anyhow::Result<Socket> {
    let token = tokens.get(place % tokens.len()).map(String::as_str);
    idle::signed_in(address, token.as_ref()).await
}

/// As the client does it: full jitter from a quarter of a second on, twice as long with each failure.
async fn come_back(
    address: &str,
    tokens: &[String],
    place: usize,
    failures: &AtomicU64,
    begun: Instant,
) -> anyhow::Result<(Socket, Duration)> {
    let mut most = 0.25;
    loop {
        tokio::time::sleep(Duration::from_secs_f64(rand::random::<f64>() * most)).await;
        match open(address, tokens, place).await {
            Ok(socket) => return Ok((socket, begun.elapsed())),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error).context("coming back"),
            Err(_) => {
                failures.fetch_add(1, Ordering::Relaxed);
                most = f64::min(most * 2.0, 30.0);
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("a socket did not come back in time");
        }
    }
}
