//! One run by server-sent events, as a program without sockets reads it.

use crate::client::Client;
use crate::socket::Reply;
use crate::wait::soon;
use http::Method;
use protocol::frame::ServerFrame;
use protocol::{RunId, routes};

#[derive(Debug)]
pub struct EventStream {
    run: RunId,
    response: reqwest::Response,
    kept: Vec<u8>,
    /// The id of the last event.
    pub last_id: Option<String>,
}

impl EventStream {
    /// From a place or from the start; fails the test where it is refused.
    pub async fn open(client: &Client, run: RunId, from: Option<&str>) -> Self {
        let query = from.map(|from| format!("?from={from}")).unwrap_or_default();
        let path = format!("{}{query}", routes::run(run));
        Self::read(run, client.request(Method::GET, &path)).await
    }

    /// As whoever was cut off comes back.
    pub async fn resume(client: &Client, run: RunId, last_id: &str) -> Self {
        let request = client.request(Method::GET, &routes::run(run));
        Self::read(run, request.header("Last-Event-ID", last_id)).await
    }

    async fn read(run: RunId, request: reqwest::RequestBuilder) -> Self {
        let response = soon("a stream's head", request.send())
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let kind = response.headers().get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert!(
            response.status() == 200 && kind.starts_with("text/event-stream"),
            "{response:?}"
        );
        Self {
            run,
            response,
            kept: Vec::new(),
            last_id: None,
        }
    }

    /// The next event's frame; `None` once the stream has ended. Comments are passed over.
    pub async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            while let Some(end) = self.kept.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.kept.drain(..end + 2).collect();
                if let Some(frame) = self.take(&String::from_utf8_lossy(&event)) {
                    return Some(frame);
                }
            }
            let chunk = soon("an event", self.response.chunk()).await;
            // a server that is killed cuts its streams off
            let chunk = chunk.ok().flatten()?;
            self.kept.extend_from_slice(&chunk);
        }
    }

    fn take(&mut self, event: &str) -> Option<ServerFrame> {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let data = field("data: ")?;
        self.last_id = field("id: ").map(str::to_owned).or(self.last_id.take());
        let frame = serde_json::from_str(data);
        Some(frame.unwrap_or_else(|error| panic!("reading {data}: {error}")))
    }

    /// Goes on until the stream ends.
    pub async fn watch_on(&mut self, reply: &mut Reply) {
        while let Some(frame) = self.next().await {
            reply.take(self.run, frame);
        }
    }

    /// Goes on until there is at least this much text.
    pub async fn watch_until(&mut self, reply: &mut Reply, bytes: usize) {
        while reply.text.len() < bytes {
            let frame = self.next().await;
            reply.take(
                self.run,
                frame.unwrap_or_else(|| panic!("ended while watching: {reply:?}")),
            );
        }
    }
}
