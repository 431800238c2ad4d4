//! A load of HTTP requests over kept connections: as little work at this end as reading the answer takes.

use anyhow::{Context as _, bail};
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One request, as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request(Vec<u8>);

impl Request {
    pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n");
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        Self(text.into_bytes())
    }

    /// With a body of JSON.
    pub fn post(address: &str, path: &str, body: &str) -> Self {
        Self(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

/// Sends each request over its own connection, again and again; gives how long each answer took.
pub async fn run(address: &str, requests: &[Request], time: Duration) -> anyhow::Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let mut sending = Vec::new();
    for request in requests {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let request = request.clone();
        sending.push(tokio::spawn(async move { repeat(stream, &request, end).await }));
    }
    let mut took = Vec::new();
    for task in sending {
        took.extend(task.await??);
    }
    Ok(took)
}

async fn repeat(mut stream: TcpStream, request: &Request, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < end {
        let begun = Instant::now();
        stream.write_all(&request.0).await?;
        read_answer(&mut stream, &mut buffer).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

/// Reads one answer of a known length. Anything but a 200 ends the bench.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    buffer.clear();
    let mut whole = None;
    while whole.is_none_or(|whole| buffer.len() < whole) {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server hung up: {}", String::from_utf8_lossy(buffer));
        }
        if whole.is_none() {
            whole = length(buffer)?;
        }
    }
    Ok(())
}

/// Bytes of the answer with its head, once the head is there.
fn length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        bail!("the server answered {}", String::from_utf8_lossy(answer));
    }
    let body: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .context("an answer without a length")?;
    Ok(Some(head + 4 + body))
}
