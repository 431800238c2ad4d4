//! W1 and W4: reading, beside bare axum and sqlx with the same query and no check of who asks: how many in a second, and
//! how much of the processor the program itself takes for each.

use crate::load::{self, Request};
use crate::process::Process;
use crate::stage::{Member, Stage};
use crate::table::{Row, Tally};
use std::time::Duration;

/// Connections at once, each another person's.
const CONNECTIONS: usize = 64;
/// Both sides take turns, so that what else the machine does falls on both.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_secs(2);
/// What the check of who asks may take of the processor, in microseconds. What is measured is all that the server does more than
/// the bare one, and the check is within that.
const CHECK: f64 = 60.0;

pub async fn lists(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for is_cookie in [true, false] {
        let name = if is_cookie {
            "W1 list 50 sessions, by cookie"
        } else {
            "W1 list 50 sessions, by token"
        };
        let ours = |member: &Member| {
            (
                "/api/v1/sessions?limit=50".to_owned(),
                credential(member, is_cookie),
            )
        };
        rows.extend(compare(stage, name, ours, |member| format!("/sessions/{}", member.user)).await?);
    }
    Ok(rows)
}

/// The list of each of so many people, by token, for other works to read beside.
pub fn requests(stage: &Stage, address: &str, readers: usize) -> Vec<Request> {
    let readers = stage.members.iter().take(readers);
    readers
        .map(|member| {
            let (name, value) = credential(member, false);
            Request::get(address, "/api/v1/sessions?limit=50", &[(name, &value)])
        })
        .collect()
}

pub async fn histories(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let ours = |member: &Member| {
        let path = format!("/api/v1/sessions/{}/messages?limit=20", member.session);
        (path, credential(member, true))
    };
    let bare = |member: &Member| format!("/messages/{}/{}", member.user, member.session);
    compare(stage, "W4 history of 20 messages, by cookie", ours, bare).await
}

fn credential(member: &Member, is_cookie: bool) -> (&'static str, String) {
    if is_cookie {
        ("Cookie", member.cookie.clone())
    } else {
        ("Authorization", format!("Bearer {}", member.access_token))
    }
}

async fn compare(
    stage: &Stage,
    work: &str,
    ours: impl Fn(&Member) -> (String, (&'static str, String)),
    bare: impl Fn(&Member) -> String,
) -> anyhow::Result<Vec<Row>> {
    let limit = stage.limit("bare").await?;
    let members: Vec<&Member> = stage.members.iter().take(CONNECTIONS).collect();
    let our_requests: Vec<Request> = members
        .iter()
        .map(|member| {
            let (path, (name, value)) = ours(member);
            Request::get(&stage.server.address, &path, &[(name, &value)])
        })
        .collect();
    let bare_requests: Vec<Request> = members
        .iter()
        .map(|member| Request::get(&limit.address, &bare(member), &[]))
        .collect();
    let (mut server, mut floor) = (Side::default(), Side::default());
    // The first seconds fill pools and caches and are not counted.
    for turn in 0..=TURNS {
        for (process, requests, side) in [
            (&stage.server, &our_requests, &mut server),
            (&limit, &bare_requests, &mut floor),
        ] {
            let measured = measure(process, requests).await?;
            if turn > 0 {
                side.add(measured);
            }
        }
    }
    let memory = stage.server.memory()?;
    let more = server.each() - floor.each();
    Ok(vec![
        Row {
            work: work.to_owned(),
            ours: server.tally.rate(),
            limit: floor.tally.rate(),
            unit: "/s",
            less_is_better: false,
            p50: server.tally.percentile(0.5),
            p99: server.tally.percentile(0.99),
            memory,
        },
        Row {
            work: format!("   its own work for each: {more:+.0} µs, at most {CHECK:.0} wanted"),
            ours: server.each(),
            limit: floor.each(),
            unit: "µs",
            less_is_better: true,
            p50: None,
            p99: None,
            memory,
        },
    ])
}

/// What one of the two has done in its turns, and how long it worked for that.
#[derive(Default)]
struct Side {
    tally: Tally,
    worked: Duration,
}

impl Side {
    fn add(&mut self, (took, worked): (Vec<Duration>, Duration)) {
        self.tally.add(took, TURN.as_secs_f64());
        self.worked += worked;
    }

    fn each(&self) -> f64 {
        self.tally.each(self.worked)
    }
}

async fn measure(process: &Process, requests: &[Request]) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let before = process.worked()?;
    let took = load::run(&process.address, requests, TURN).await?;
    Ok((took, process.worked()?.saturating_sub(before)))
}
