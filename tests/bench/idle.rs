//! W5: memory for each socket that is signed in and silent, beside a bare echo with small buffers.

use crate::process::Process;
use crate::stage::Stage;
use crate::table::Row;
use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use protocol::frame::{ClientFrame, HELLO_HEADER, SUBPROTOCOL, ServerFrame};
use protocol::routes;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Opened before anything is weighed: what the first visitors cost is not the next one's.
const FIRST_VISITORS: usize = 100;
/// Sockets being opened at once.
const OPENING: usize = 32;

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn run(stage: &Stage, count: usize) -> anyhow::Result<Row> {
    let server = stage.fresh_server().await?;
    let tokens: Vec<&str> = stage
        .members
        .iter()
        .map(|member| member.access_token.as_str())
        .collect();
    let ours = weigh(&server, count, |place| {
        signed_in(&server.address, tokens.get(place % tokens.len()))
    })
    .await?;
    let memory = ours.1;
    let echo = stage.limit("echo").await?;
    let limit = weigh(&echo, count, |_| stranger(&echo.address)).await?;
    Ok(Row {
        work: format!("W5 {count} idle sockets, memory for each"),
        ours: ours.0,
        limit: limit.0,
        unit: "KiB",
        less_is_better: true,
        p50: None,
        p99: None,
        memory,
    })
}

/// KiB for each socket, and for all of the process while they are open.
async fn weigh<F: Future<Output = anyhow::Result<Socket>>>(
    process: &Process,
    count: usize,
    open: impl Fn(usize) -> F,
) -> anyhow::Result<(f64, u64)> {
    let first: Vec<Socket> = all(FIRST_VISITORS, &open).await?;
    let before = process.memory()?;
    let sockets: Vec<Socket> = all(count, &open).await?;
    let after = process.memory()?;
    drop((first, sockets));
    #[expect(clippy::cast_precision_loss, reason = "KiB of one process")]
    Ok((after.saturating_sub(before) as f64 / count as f64, after))
}

pub async fn all<F: Future<Output = anyhow::Result<Socket>>>(
    count: usize,
    open: impl Fn(usize) -> F,
) -> anyhow::Result<Vec<Socket>> {
    futures_util::stream::iter((0..count).map(open))
        .buffer_unordered(OPENING)
        .try_collect()
        .await
}

/// Opens a socket as a native client does, and waits to be welcomed.
pub async fn signed_in(address: &str, token: Option<&&str>) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{address}{}", routes::SOCKET).into_client_request()?;
    let token = token.context("nobody is signed in")?;
    request
        .headers_mut()
        .insert("Authorization", format!("Bearer {token}").parse()?);
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse()?);
    let hello = ClientFrame::Hello {
        ticket: None,
        cursor: None,
        enc: Vec::new(),
    };
    request
        .headers_mut()
        .insert(HELLO_HEADER, serde_json::to_string(&hello)?.parse()?);
    let mut socket = open(request).await?;
    let heard = tokio::time::timeout(Duration::from_secs(30), socket.next())
        .await
        .context("waiting to be welcomed")?;
    let text = heard.context("the socket was closed")??.into_text()?;
    let frame: ServerFrame = serde_json::from_str(&text).with_context(|| format!("reading {text}"))?;
    if !matches!(frame, ServerFrame::Welcome { .. }) {
        bail!("instead of a welcome came {frame:?}");
    }
    Ok(socket)
}

async fn stranger(address: &str) -> anyhow::Result<Socket> {
    let mut socket = open(format!("ws://{address}/").into_client_request()?).await?;
    socket.send(Message::text("hello")).await?;
    socket.next().await.context("the socket was closed")??;
    Ok(socket)
}

async fn open(request: Request<()>) -> anyhow::Result<Socket> {
    let settings = tokio_tungstenite::tungstenite::protocol::WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(1024);
    let (socket, _) = connect_async_with_config(request, Some(settings), true)
        .await
        .context("opening a socket")?;
    Ok(socket)
}
