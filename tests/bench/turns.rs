//! W2: a turn over a socket, from the person's message to the reply that is kept, beside pgbench with the same writes.

use crate::pgbench::Pgbench;
use crate::stage::{Member, Stage};
use crate::table::{Row, Tally};
use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::SessionId;
use protocol::mutation::{Batch, BatchAnswer, Mutation, OP_VERSION, Op, OpResult};
use protocol::session_socket::{Answer, Ask};
use protocol::{MutationId, routes};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const ROUNDS: usize = 2;
const ROUND: Duration = Duration::from_secs(5);
/// Short, so that storing is measured and not writing.
const MESSAGE: &str = "Good morning";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn run(stage: &Stage) -> anyhow::Result<Row> {
    let mut sockets = Vec::new();
    for member in &stage.members {
        sockets.push(open(stage, member).await?);
    }
    let pgbench = Pgbench::prepare(stage).await?;
    let (mut server, mut limit) = (Tally::default(), 0.0);
    sockets = round(sockets, Duration::from_secs(1)).await?.0;
    for _ in 0..ROUNDS {
        let (kept, took) = round(sockets, ROUND).await?;
        sockets = kept;
        server.add(took, ROUND.as_secs_f64());
        limit += pgbench.rate(ROUND).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "two rounds")]
    Ok(Row {
        work: format!("W2 a turn over a socket, {} sockets", sockets.len()),
        ours: server.rate(),
        limit: limit / ROUNDS as f64,
        unit: "/s",
        less_is_better: false,
        p50: server.percentile(0.5),
        p99: server.percentile(0.99),
        memory: stage.server.memory()?,
    })
}

/// A session of one's own and a socket on it.
async fn open(stage: &Stage, member: &Member) -> anyhow::Result<Socket> {
    let session = SessionId::fresh();
    let batch = Batch {
        ops: vec![Mutation {
            id: MutationId::fresh(),
            v: OP_VERSION,
            op: Op::SessionCreate {
                id: session,
                title: "Bench".to_owned(),
            },
        }],
    };
    let answer: BatchAnswer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!("http://{}{}", stage.server.address, routes::MUTATIONS))
        .bearer_auth(&member.access_token)
        .json(&batch)
        .send()
        .await?
        .json()
        .await?;
    if !answer
        .results
        .iter()
        .all(|outcome| matches!(outcome.result, OpResult::Applied { .. }))
    {
        bail!("a session was refused: {:?}", answer.results);
    }
    let path = routes::session_socket(session);
    let mut request = format!("ws://{}{path}", stage.server.address).into_client_request()?;
    request.headers_mut().insert(
        "Authorization",
        format!("Bearer {}", member.access_token).parse()?,
    );
    let (mut socket, _) = connect_async(request)
        .await
        .context("opening a session's socket")?;
    let first = hear(&mut socket).await?;
    if !matches!(first, Answer::History { .. }) {
        bail!("instead of the history came {first:?}");
    }
    Ok(socket)
}

async fn round(sockets: Vec<Socket>, time: Duration) -> anyhow::Result<(Vec<Socket>, Vec<Duration>)> {
    let end = Instant::now() + time;
    let talking: Vec<_> = sockets
        .into_iter()
        .map(|socket| tokio::spawn(talk(socket, end)))
        .collect();
    let (mut kept, mut took) = (Vec::new(), Vec::new());
    for task in talking {
        let (socket, times) = task.await??;
        kept.push(socket);
        took.extend(times);
    }
    Ok((kept, took))
}

async fn talk(mut socket: Socket, end: Instant) -> anyhow::Result<(Socket, Vec<Duration>)> {
    let mut took = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        let ask = Ask::UserMessage {
            content: MESSAGE.to_owned(),
            mutation: None,
        };
        socket.send(Message::text(serde_json::to_string(&ask)?)).await?;
        loop {
            match hear(&mut socket).await? {
                Answer::AssistantMessageComplete { .. } => break,
                Answer::AssistantMessageDelta { .. } | Answer::History { .. } => {}
                Answer::Error { code, detail } => bail!("a turn was refused: {code}: {detail}"),
            }
        }
        took.push(begun.elapsed());
    }
    Ok((socket, took))
}

async fn hear(socket: &mut Socket) -> anyhow::Result<Answer> {
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(30), socket.next())
            .await
            .context("waiting for a frame")?
            .context("the socket was closed")??;
        match frame {
            Message::Text(text) => {
                return serde_json::from_str(&text).with_context(|| format!("reading {text}"));
            }
            Message::Close(reason) => bail!("the socket was closed: {reason:?}"),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
