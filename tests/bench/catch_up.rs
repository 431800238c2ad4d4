//! W8: a device that was away comes back, to 500 changes and to none, beside the same rows read and written by bare sqlx
//! and rusqlite, and beside a bare socket's opening.

use crate::device::{self, Laptop};
use crate::idle;
use crate::stage::{Member, Stage};
use crate::table::{Row, Tally};
use anyhow::Context as _;
use harness::{Gate, Heads, Passed};
use protocol::frame::HELLO_HEADER;
use protocol::sync::Cursor;
use protocol::view::Connection;
use std::time::{Duration, Instant};

const CHANGES: u32 = 500;
const TURNS: u32 = 20;
/// What a reconnect with nothing new may say beyond HTTP's own heads and the token, in bytes.
const SAID: u64 = 300;
/// What the device has before.
const SESSIONS: u32 = 20;
const MESSAGES: u32 = 10;

pub async fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let member = stage.members.first().context("a person")?;
    device::fill(stage, member, SESSIONS.into(), MESSAGES.into()).await?;
    let gate = Gate::to(stage.server.address.parse()?).await;
    let laptop = Laptop::new(&gate.address().to_string(), member).await?;
    laptop.until_it_has((SESSIONS * MESSAGES).into()).await?;
    let mut rows = vec![changes(stage, member, &gate, &laptop).await?];
    rows.extend(nothing(stage, member, &gate, &laptop).await?);
    laptop.device.close().await;
    Ok(rows)
}

async fn online(laptop: &Laptop, wanted: bool) {
    while (laptop.device.connection() == Connection::Online) != wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// From the moment that the network is back to the cursor at the head, which the last row is committed with.
async fn changes(stage: &Stage, member: &Member, gate: &Gate, laptop: &Laptop) -> anyhow::Result<Row> {
    let (mut own, mut limit) = (Tally::default(), Tally::default());
    for turn in 0..=TURNS {
        online(laptop, true).await;
        let at = head(stage, member).await?;
        gate.shut();
        online(laptop, false).await;
        write(stage, member).await?;
        let reached = head(stage, member).await?;
        let before = gate.passed();
        gate.open();
        let begun = Instant::now();
        laptop.device.wake();
        while laptop.device.cursor().await? != Some(reached) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = begun.elapsed();
        let begun = Instant::now();
        read(stage, member, at).await?;
        let floor = begun.elapsed() + device::raw_insert(&laptop.cache()?, CHANGES as usize)?;
        // the first turn fills caches and is not counted
        if turn > 0 {
            own.add(vec![took], 0.0);
            limit.add(vec![floor], 0.0);
        } else {
            let passed = since(before, gate.passed());
            anyhow::ensure!(passed.outward > 0, "the changes came another way: {passed:?}");
        }
    }
    let millis = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1000.0;
    Ok(Row {
        work: format!("W8 catch-up of {CHANGES} changes"),
        ours: millis(own.percentile(0.5)),
        limit: millis(limit.percentile(0.5)),
        unit: "ms",
        less_is_better: true,
        p50: own.percentile(0.5),
        p99: own.percentile(0.99),
        memory: stage.server.memory()?,
    })
}

/// All that a device which missed nothing sends and hears until it is in step, in bytes, beside a bare socket that is
/// opened with the same credential, greeted and answered; then apart, what is said and the heads that it takes.
async fn nothing(stage: &Stage, member: &Member, gate: &Gate, laptop: &Laptop) -> anyhow::Result<Vec<Row>> {
    let (mut took, mut bytes) = (Tally::default(), Vec::new());
    let mut seen = Passed::default();
    for _ in 0..TURNS {
        online(laptop, true).await;
        gate.shut();
        online(laptop, false).await;
        let before = gate.passed();
        gate.open();
        let begun = Instant::now();
        laptop.device.wake();
        online(laptop, true).await;
        took.add(vec![begun.elapsed()], 0.0);
        seen = since(before, gate.passed());
        bytes.push(seen.inward + seen.outward);
    }
    bytes.sort_unstable();
    let all = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
    let bare = Gate::to(stage.server.address.parse()?).await;
    let token = member.access_token.as_str();
    drop(idle::signed_in(&bare.address().to_string(), Some(&token)).await?);
    let floor = bare.passed();
    let (heads, bare_heads) = (gate.heads(), bare.heads());
    let hello = line(&heads, HELLO_HEADER);
    let token = line(&heads, "authorization");
    let their_heads = length(&heads) - hello;
    let way = format!(
        "{} connections, {} round trips",
        seen.connections, seen.round_trips
    );
    let memory = stage.server.memory()?;
    let mut row = |work, ours, limit| in_bytes(work, (ours, limit), &mut took, memory);
    Ok(vec![
        row(
            format!("W8 nothing new: {way}"),
            all,
            floor.inward + floor.outward,
        ),
        row(
            format!("W8 nothing new: hello ({hello} B) and frames, goal"),
            all - their_heads,
            SAID,
        ),
        row(
            format!("W8 nothing new: heads, {token} B of them the token"),
            their_heads,
            length(&bare_heads) - line(&bare_heads, HELLO_HEADER),
        ),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "some hundred bytes")]
fn in_bytes(work: String, (ours, limit): (u64, u64), took: &mut Tally, memory: u64) -> Row {
    Row {
        work,
        ours: ours as f64,
        limit: limit as f64,
        unit: "B",
        less_is_better: true,
        p50: took.percentile(0.5),
        p99: took.percentile(0.99),
        memory,
    }
}

fn length(heads: &Heads) -> u64 {
    (heads.inward.len() + heads.outward.len()) as u64
}

/// The bytes of a request's line in its head, with the line's end.
fn line(heads: &Heads, name: &str) -> u64 {
    let found = heads.inward.lines().find(|line| {
        line.get(..name.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
    });
    found.map_or(0, |line| line.len() as u64 + 2)
}

const fn since(before: Passed, after: Passed) -> Passed {
    Passed {
        connections: after.connections - before.connections,
        inward: after.inward - before.inward,
        outward: after.outward - before.outward,
        round_trips: after.round_trips - before.round_trips,
    }
}

async fn head(stage: &Stage, member: &Member) -> anyhow::Result<Cursor> {
    let (epoch, seq) = sqlx::query_as("select epoch, head_seq from sync_heads where user_id = $1")
        .bind(member.user)
        .fetch_one(&stage.pool)
        .await?;
    Ok(Cursor { epoch, seq })
}

/// Messages at the end of the oldest session, as another device would have written them.
async fn write(stage: &Stage, member: &Member) -> anyhow::Result<()> {
    let user = member.user;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
             select s.user_id, gen_random_uuid(), s.id, h.head_seq + n, h.head_seq + n, s.last_ord + n, 'user',
                    'Message ' || n || ' while it was away: ' || repeat('Words of a message. ', 10)
             from agent_sessions s join sync_heads h using (user_id), generate_series(1, {CHANGES}) n
             where s.user_id = '{user}' and s.title like '% number {SESSIONS}';
         update agent_sessions set last_ord = last_ord + {CHANGES}
             where user_id = '{user}' and title like '% number {SESSIONS}';
         update sync_heads set head_seq = head_seq + {CHANGES} where user_id = '{user}';",
    )))
    .execute(&stage.pool)
    .await?;
    Ok(())
}

/// The rows by themselves, as bare sqlx brings them.
async fn read(stage: &Stage, member: &Member, since: Cursor) -> anyhow::Result<()> {
    let rows = sqlx::query(
        "select id, agent_session_id, seq, ord, role, status, content, metadata, created_at
         from conversations where user_id = $1 and seq > $2 order by seq limit $3",
    )
    .bind(member.user)
    .bind(since.seq)
    .bind(i64::from(CHANGES))
    .fetch_all(&stage.pool)
    .await?;
    anyhow::ensure!(rows.len() == CHANGES as usize, "{} rows", rows.len());
    Ok(())
}
