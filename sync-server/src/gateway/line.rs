//! A socket's wire: frames in within their rate, frames out within their time, and an orderly close.

use super::pack::pack;
use crate::hints::Pushed;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use protocol::frame::close;
use protocol::limits::FRAMES_PER_SECOND;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// A frame that could not leave for so long has a reader that is not reading.
const WRITTEN: Duration = Duration::from_secs(15);
/// How long the other side's close is waited for, so that ours is not lost with the connection.
const CLOSED: Duration = Duration::from_secs(1);

pub struct Line {
    socket: WebSocket,
    rate: Rate,
    heard: Instant,
    /// The other side takes large frames packed.
    packs: bool,
}

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other side went away.
    Left,
    /// We close it, with this code.
    Close(u16),
}

impl Line {
    /// `factor` multiplies the rate of frames, as it does every rate limit.
    pub fn new(socket: WebSocket, factor: u32) -> Self {
        metrics::gauge!("sockets_open").increment(1);
        Self {
            socket,
            rate: Rate::new(FRAMES_PER_SECOND * factor.min(10_000), Instant::now()),
            heard: Instant::now(),
            packs: false,
        }
    }

    /// Large frames may be packed from here on.
    pub const fn may_pack(&mut self) {
        self.packs = true;
    }

    /// The next text from the other side. Safe to drop while waiting.
    pub async fn text(&mut self) -> Result<Utf8Bytes, Ended> {
        loop {
            let message = match self.socket.recv().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(broken(&error)),
                None => return Err(Ended::Left),
            };
            self.heard = Instant::now();
            if !self.rate.allows(self.heard) {
                return Err(Ended::Close(close::RATE_LIMITED));
            }
            match message {
                Message::Text(text) => return Ok(text),
                Message::Binary(_) => return Err(Ended::Close(close::PROTOCOL)),
                Message::Close(_) => return Err(Ended::Left),
                // answered by the library
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// When anything came from the other side, pongs included.
    pub const fn heard(&self) -> Instant {
        self.heard
    }

    /// A ping of WebSocket's own (RFC 6455 §5.5.2), which every client's library answers.
    pub async fn ping(&mut self) -> Result<(), Ended> {
        written(self.socket.feed(Message::Ping(Bytes::new()))).await
    }

    pub async fn send(&mut self, frame: &impl Serialize) -> Result<(), Ended> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Puts a frame behind others; `flush` sends them together.
    pub async fn feed(&mut self, frame: &impl Serialize) -> Result<(), Ended> {
        let text = serde_json::to_string(frame).unwrap_or_default();
        let packed = if self.packs { pack(&text) } else { None };
        self.feed_message(packed.map_or_else(|| Message::Text(text.into()), Message::Binary))
            .await
    }

    /// A page that many sockets get is packed once.
    pub async fn feed_pushed(&mut self, pushed: &Pushed) -> Result<(), Ended> {
        let packed = if self.packs {
            pushed.packed.get_or_init(|| pack(&pushed.frame)).clone()
        } else {
            None
        };
        self.feed_message(packed.map_or_else(|| Message::Text(pushed.frame.clone()), Message::Binary))
            .await
    }

    async fn feed_message(&mut self, message: Message) -> Result<(), Ended> {
        written(self.socket.feed(message)).await
    }

    pub async fn flush(&mut self) -> Result<(), Ended> {
        written(self.socket.flush()).await
    }

    /// Says goodbye, if the other side is still there to hear it.
    pub async fn end(mut self, ended: Ended) {
        if let Ended::Close(code) = ended {
            metrics::counter!("sockets_closed_total", "code" => code.to_string()).increment(1);
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::default(),
            };
            let goodbye = async {
                if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                    while let Some(Ok(_)) = self.socket.recv().await {}
                }
            };
            // whoever does not answer is gone
            let _ = tokio::time::timeout(CLOSED, goodbye).await;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        metrics::gauge!("sockets_open").decrement(1);
    }
}

async fn written(write: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Ended> {
    match tokio::time::timeout(WRITTEN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) => Err(Ended::Close(close::SLOW_CONSUMER)),
    }
}

/// A frame beyond the bound, or one that is no WebSocket, is the other side's mistake; anything else is a lost connection.
fn broken(error: &axum::Error) -> Ended {
    let text = error.to_string();
    let is_their_mistake = ["too long", "too big", "UTF-8", "protocol", "buffer is full"]
        .iter()
        .any(|sign| text.contains(sign));
    let is_reset = text.contains("without closing handshake");
    if is_their_mistake && !is_reset {
        Ended::Close(close::PROTOCOL)
    } else {
        Ended::Left
    }
}

/// A second's worth of frames at once, and as many a second after that.
struct Rate {
    each_second: f64,
    left: f64,
    seen: Instant,
}

impl Rate {
    fn new(each_second: u32, now: Instant) -> Self {
        Self {
            each_second: f64::from(each_second),
            left: f64::from(each_second),
            seen: now,
        }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seen = now;
        self.left = (self.left + passed * self.each_second).min(self.each_second);
        let is_allowed = self.left >= 1.0;
        if is_allowed {
            self.left -= 1.0;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_a_second_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate = Rate::new(50, start);
        assert_eq!((0..60).filter(|_| rate.allows(start)).count(), 50);
        let later = start + Duration::from_millis(100);
        assert_eq!((0..60).filter(|_| rate.allows(later)).count(), 5);
    }
}
