//! W7: from the agent's token to a device at the other node, and how many replies at once keep their pace.
//!
//! The echo agent says a token every 50 ms from when the reply began, which is just before the write was answered. So a
//! token's time is known to the answer's; what the agent itself is late by is counted as ours.

use crate::near::publish_and_hear;
use crate::stage::{Member, Stage};
use crate::table::{Row, Tally};
use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::frame::{ClientFrame, SUBPROTOCOL, ServerFrame};
use protocol::mutation::{Batch, BatchAnswer, Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::{MessageId, MutationId, RunId, SessionId, routes};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// 20 tokens in a second.
const PACE: Duration = Duration::from_millis(50);
/// How long a token may wait for others before it is sent.
const COALESCED: Duration = Duration::from_millis(40);
const TOKENS: usize = 60;
/// Replies of one person, each in a session of its own, watched over one socket.
const EACH: usize = 10;
const AT_ONCE: [usize; 4] = [10, 125, 250, 500];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// When the tokens of a reply came, by the bytes that were there.
#[derive(Debug)]
struct Watched {
    began: Instant,
    bytes: usize,
    late: Vec<Duration>,
    ended: Option<Instant>,
}

pub async fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let other = stage.fresh_server().await?;
    let hop = publish_and_hear().await?;
    let mut rows = Vec::new();
    for count in AT_ONCE {
        let people = stage.members.iter().skip(1).take(count.div_ceil(EACH));
        let each = people.map(|member| person(stage, &other.address, member, EACH.min(count)));
        let watched: Vec<Watched> = try_join_all(each).await?.into_iter().flatten().collect();
        let mut tally = Tally::default();
        let mut pace = 0.0;
        #[expect(clippy::cast_precision_loss, reason = "tokens of one reply")]
        for reply in &watched {
            let ended = reply.ended.context("a reply that did not end")?;
            pace += TOKENS as f64 / ended.duration_since(reply.began).as_secs_f64();
            tally.add(reply.late.clone(), 0.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let wanted = watched.len() as f64 / PACE.as_secs_f64();
        let (p50, p99) = (tally.percentile(0.5), tally.percentile(0.99));
        if count == AT_ONCE[0] {
            let millis = |time: Duration| time.as_secs_f64() * 1000.0;
            rows.push(Row {
                work: "W7 token to the other node's device".to_owned(),
                ours: millis(p99.context("a token")?),
                limit: millis(COALESCED + hop),
                unit: "ms",
                less_is_better: true,
                p50,
                p99,
                memory: other.memory()?,
            });
        }
        rows.push(Row {
            work: format!("W7 tokens of {} replies at once", watched.len()),
            ours: pace,
            limit: wanted,
            unit: "/s",
            less_is_better: false,
            p50,
            p99,
            memory: stage.server.memory()?,
        });
    }
    Ok(rows)
}

/// Begins so many replies at one node and watches them all over one socket at the other.
async fn person(stage: &Stage, other: &str, member: &Member, count: usize) -> anyhow::Result<Vec<Watched>> {
    let mut socket = open(other, member).await?;
    let sessions: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select id from agent_sessions where user_id = $1 and live_runs = 0 order by seq limit $2",
    )
    .bind(member.user)
    .bind(i64::try_from(count)?)
    .fetch_all(&stage.pool)
    .await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut watched = BTreeMap::new();
    for session in sessions {
        let (run, began) = begin(&client, &stage.server.address, member, SessionId(session)).await?;
        let attach = ClientFrame::Attach {
            run,
            at: None,
            bytes: 0,
        };
        let frame = serde_json::to_string(&attach)?;
        socket.send(Message::text(frame)).await?;
        watched.insert(
            run,
            Watched {
                began,
                bytes: 0,
                late: Vec::with_capacity(TOKENS),
                ended: None,
            },
        );
    }
    watch(&mut socket, &mut watched).await?;
    Ok(watched.into_values().collect())
}

/// Until all of them have ended.
async fn watch(socket: &mut Socket, watched: &mut BTreeMap<RunId, Watched>) -> anyhow::Result<()> {
    let ends = ends_of_tokens();
    while watched.values().any(|reply| reply.ended.is_none()) {
        match hear(socket).await? {
            ServerFrame::Delta {
                run, offset, text, ..
            } => {
                if let Some(reply) = watched.get_mut(&run) {
                    reply.take(usize::try_from(offset)? + text.len(), &ends);
                }
            }
            ServerFrame::Snap { run, text, .. } => {
                if let Some(reply) = watched.get_mut(&run) {
                    reply.take(text.len(), &ends);
                }
            }
            ServerFrame::End { run, .. } => {
                if let Some(reply) = watched.get_mut(&run) {
                    reply.ended = Some(Instant::now());
                }
            }
            ServerFrame::Welcome { .. }
            | ServerFrame::Sync(_)
            | ServerFrame::Head { .. }
            | ServerFrame::Start(_)
            | ServerFrame::AuthExpiring { .. }
            | ServerFrame::AuthOk { .. }
            | ServerFrame::Ping { .. }
            | ServerFrame::Drain { .. } => {}
            ServerFrame::Refused { code, detail } => bail!("a frame was refused: {code}: {detail}"),
        }
    }
    Ok(())
}

impl Watched {
    /// So much is here now: how late each token in it is that was not here before.
    fn take(&mut self, bytes: usize, ends: &[usize]) {
        let now = Instant::now();
        for (due, end) in (1_u32..).zip(ends) {
            if *end > self.bytes && *end <= bytes {
                self.late
                    .push(now.saturating_duration_since(self.began + PACE * due));
            }
        }
        self.bytes = self.bytes.max(bytes);
    }
}

fn prompt() -> String {
    let words: Vec<String> = (1..TOKENS).map(|number| format!("word-{number}")).collect();
    words.join(" ")
}

/// Where each token of the reply ends: words with the space after them.
fn ends_of_tokens() -> Vec<usize> {
    let text = format!("Echo: {}", prompt());
    let mut end = 0;
    let ends = text.split_inclusive(' ').map(|word| {
        end += word.len();
        end
    });
    ends.collect()
}

async fn begin(
    client: &reqwest::Client,
    address: &str,
    member: &Member,
    session: SessionId,
) -> anyhow::Result<(RunId, Instant)> {
    let content = format!("/slow {}ms {}", PACE.as_millis(), prompt());
    let op = Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content,
        run: RunMode::Auto,
    };
    let batch = Batch {
        ops: vec![Mutation {
            id: MutationId::fresh(),
            v: OP_VERSION,
            op,
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
    let began = Instant::now();
    match answer.results.first().map(|outcome| &outcome.result) {
        Some(OpResult::Applied { run: Some(run), .. }) => Ok((*run, began)),
        other => bail!("a reply was not begun: {other:?}"),
    }
}

async fn open(address: &str, member: &Member) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{address}{}", routes::SOCKET).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(
        "Authorization",
        format!("Bearer {}", member.access_token).parse()?,
    );
    headers.insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse()?);
    let (mut socket, _) = connect_async(request)
        .await
        .context("opening a device's socket")?;
    let hello = ClientFrame::Hello {
        ticket: None,
        cursor: None,
        enc: Vec::new(),
    };
    socket.send(Message::text(serde_json::to_string(&hello)?)).await?;
    while !matches!(hear(&mut socket).await?, ServerFrame::Welcome { .. }) {}
    Ok(socket)
}

async fn hear(socket: &mut Socket) -> anyhow::Result<ServerFrame> {
    loop {
        let frame = tokio::time::timeout(Duration::from_mins(1), socket.next())
            .await
            .context("waiting for a frame")?
            .context("the socket was closed")??;
        match frame {
            Message::Text(text) => {
                let frame: ServerFrame =
                    serde_json::from_str(&text).with_context(|| format!("reading {text}"))?;
                if let ServerFrame::Ping { n, .. } = frame {
                    let pong = serde_json::to_string(&ClientFrame::Pong { n })?;
                    socket.send(Message::text(pong)).await?;
                }
                return Ok(frame);
            }
            Message::Close(reason) => bail!("the socket was closed: {reason:?}"),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
