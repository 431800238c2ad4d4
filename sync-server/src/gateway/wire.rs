//! Reading and writing frames within bounds, and the rate that a client may send at.

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use protocol::frame::close;
use protocol::limits::FRAMES_PER_SECOND;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A reader that takes nothing for this long is let go; what it missed it reads again later.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);

/// Why a socket ends, as a close code; `None` when the other side has gone.
pub type End = Option<u16>;

/// Sends one frame, or says how the socket ends.
pub async fn send(socket: &mut WebSocket, frame: &impl Serialize) -> Result<(), End> {
    let text = serde_json::to_string(frame).map_err(|error| {
        tracing::error!(%error, "writing a frame");
        None
    })?;
    send_text(socket, text.into()).await
}

pub async fn send_text(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
    match tokio::time::timeout(WRITE_PATIENCE, socket.send(Message::Text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_gone)) => Err(None),
        Err(_elapsed) => Err(Some(close::SLOW_CONSUMER)),
    }
}

/// Says why, as far as the other side still listens.
pub async fn close_with(mut socket: WebSocket, code: u16) {
    metrics::counter!("socket_closed_total", "code" => code.to_string()).increment(1);
    let frame = CloseFrame { code, reason: reason(code).into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Close(Some(frame)))).await;
}

const fn reason(code: u16) -> &'static str {
    match code {
        close::DRAIN => "the server ends; reconnect",
        close::SLOW_CONSUMER => "too slow; reconnect",
        close::NO_PONG => "no answer to a ping; reconnect",
        close::RATE_LIMITED => "too many frames; wait",
        close::OVERLOADED => "the server is busy; wait",
        close::TOO_MANY => "too many sockets; wait",
        close::TOKEN_EXPIRED => "renew the access token",
        close::NO_HELLO => "no valid hello; get a new ticket",
        close::REVOKED => "signed out",
        close::PROTOCOL => "not a frame of this protocol",
        _ => "",
    }
}

/// A token bucket of one second's frames.
#[derive(Debug)]
pub struct Rate {
    left: u32,
    since: Instant,
}

impl Rate {
    pub const fn new(now: Instant) -> Self {
        Self { left: FRAMES_PER_SECOND, since: now }
    }

    /// Whether one more frame is within the rate.
    pub fn admits(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_beyond_a_seconds_frames_is_refused_until_the_next_second() {
        let begun = Instant::now();
        let mut rate = Rate::new(begun);
        assert!((1..FRAMES_PER_SECOND).all(|_| rate.admits(begun)));
        assert!(!rate.admits(begun));
        assert!(rate.admits(begun + Duration::from_secs(1)));
    }
}
