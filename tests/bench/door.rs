//! W3: signing in by password beside bare argon2, and what those who read and the health check notice of a crowd at the door.

use crate::load::{self, Request};
use crate::reads;
use crate::stage::{Member, PASSWORD, Stage, native};
use crate::table::{Row, Tally};
use anyhow::Context as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use protocol::auth::{Email, Password, SignIn};
use protocol::routes;
use std::time::{Duration, Instant};

/// People at the door at once, each another one.
const CROWD: usize = 4;
/// Connections that read lists meanwhile.
const READERS: usize = 16;
/// The sides take turns, so that what else the machine does falls on all.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_secs(3);

pub async fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let address = &stage.server.address;
    let crowd = stage.members.iter().take(CROWD);
    let crowd: Vec<Request> = crowd
        .map(|member| sign_in(address, member))
        .collect::<Result<_, _>>()?;
    let readers = reads::requests(stage, address, READERS);
    let health = [Request::get(address, "/healthz", &[])];
    let params = params(stage).await?;
    let (mut door, mut bare) = (Tally::default(), Tally::default());
    let (mut quiet, mut beside, mut healthy) = (Tally::default(), Tally::default(), Tally::default());
    for _ in 0..TURNS {
        bare.add(
            tokio::task::spawn_blocking({
                let params = params.clone();
                move || hash_for_a_turn(&params)
            })
            .await??,
            TURN.as_secs_f64(),
        );
        door.add(load::run(address, &crowd, TURN).await?, TURN.as_secs_f64());
        quiet.add(load::run(address, &readers, TURN).await?, TURN.as_secs_f64());
        let (_, read, asked) = tokio::try_join!(
            load::run(address, &crowd, TURN),
            load::run(address, &readers, TURN),
            load::run(address, &health, TURN)
        )?;
        beside.add(read, TURN.as_secs_f64());
        healthy.add(asked, TURN.as_secs_f64());
    }
    let memory = stage.server.memory()?;
    let health = healthy.percentile(0.99).unwrap_or_default().as_secs_f64() * 1000.0;
    Ok(vec![
        Row {
            work: format!(
                "W3 sign-ins by password, beside argon2 ({} MiB, {} passes)",
                params.m_cost() / 1024,
                params.t_cost()
            ),
            ours: door.rate(),
            limit: bare.rate(),
            unit: "/s",
            less_is_better: false,
            p50: door.percentile(0.5),
            p99: door.percentile(0.99),
            memory,
        },
        Row {
            work: format!("W3 lists beside a crowd; health {health:.0} ms p99"),
            ours: beside.rate(),
            limit: quiet.rate(),
            unit: "/s",
            less_is_better: false,
            p50: beside.percentile(0.5),
            p99: beside.percentile(0.99),
            memory,
        },
    ])
}

fn sign_in(address: &str, member: &Member) -> anyhow::Result<Request> {
    let ask = SignIn {
        email: Email::parse(&member.email)?,
        password: Password::typed(PASSWORD),
        binding: None,
        client: native(),
        stay: false,
    };
    Ok(Request::post(
        address,
        routes::SIGN_IN,
        &serde_json::to_string(&ask)?,
    ))
}

/// What the server's own hashes are made with.
async fn params(stage: &Stage) -> anyhow::Result<Params> {
    let stored: String =
        sqlx::query_scalar("select password_hash from users where password_hash is not null limit 1")
            .fetch_one(&stage.pool)
            .await?;
    let stored = PasswordHash::new(&stored).map_err(|error| anyhow::anyhow!("a stored hash: {error}"))?;
    Params::try_from(&stored).map_err(|error| anyhow::anyhow!("a stored hash: {error}"))
}

/// As many threads as there are cores, with nothing else to do.
fn hash_for_a_turn(params: &Params) -> anyhow::Result<Vec<Duration>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let end = Instant::now() + TURN;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| scope.spawn(move || hash_until(params, end)))
            .collect();
        let mut took = Vec::new();
        for thread in threads {
            let own = thread
                .join()
                .map_err(|_panic| anyhow::anyhow!("a thread that hashes ended"))?;
            took.extend(own?);
        }
        Ok(took)
    })
}

fn hash_until(params: &Params, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let (mut took, mut hash) = (Vec::new(), [0; 32]);
    while Instant::now() < end {
        let begun = Instant::now();
        argon
            .hash_password_into(PASSWORD.as_bytes(), b"a salt of 16 byt", &mut hash)
            .context("hashing")?;
        took.push(begun.elapsed());
    }
    Ok(took)
}
