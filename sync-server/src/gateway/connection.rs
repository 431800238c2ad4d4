//! One device's socket from hello to close, in one task.
//!
//! **Invariant:** what is sent is made when it is sent; the only thing kept for a slow reader is where it stands.

use super::view::view;
use super::wire::{End, Rate, close_with, send, send_text};
use super::{Gateway, tickets};
use crate::auth::{Caller, Kind};
use crate::error::Error;
use crate::hints::{Hint, Subscription};
use crate::runs;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::{AbortHandle, Abortable, BoxStream, SelectAll};
use protocol::frame::{ClientFrame, LiveRun, ServerFrame, close};
use protocol::run::At;
use protocol::sync::Cursor;
use protocol::{Code, Problem, RunId, limits};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Every other beat is a ping; each looks whether the device is still signed in, in case a hint was lost.
const BEAT: Duration = Duration::from_millis(12_500);
const PING_MILLIS: u32 = 25_000;
/// Seconds before an access token ends that its client is told, and after its end that it may still renew.
const EXPIRY_NOTICE: i64 = 60;
const EXPIRY_GRACE: i64 = 30;

struct Connection {
    gateway: Gateway,
    socket: WebSocket,
    caller: Caller,
    hints: Subscription,
    /// Where the device stands as far as this socket knows: its hello, or the last that it was told.
    cursor: Cursor,
    views: SelectAll<Abortable<BoxStream<'static, ServerFrame>>>,
    attached: HashMap<RunId, AbortHandle>,
    rate: Rate,
    beats: u64,
    /// Frames arrived since the last ping.
    is_alive: bool,
    was_told_of_expiry: bool,
    is_draining: bool,
}

/// What a loop of the task woke up for.
enum Turn {
    In(Option<Result<Message, axum::Error>>),
    Hint(Hint),
    Out(ServerFrame),
    Beat,
    Drain,
    Close,
}

/// Serves the socket until either side ends it.
pub async fn run(gateway: Gateway, mut socket: WebSocket, caller: Caller) {
    metrics::gauge!("sockets_open").increment(1);
    let end = match open(&gateway, &mut socket, caller).await {
        Ok((caller, hints, cursor)) => {
            let mut connection = Connection {
                gateway,
                socket,
                caller,
                hints,
                cursor,
                views: SelectAll::new(),
                attached: HashMap::new(),
                rate: Rate::new(Instant::now()),
                beats: 0,
                is_alive: true,
                was_told_of_expiry: false,
                is_draining: false,
            };
            let end = connection.serve().await;
            socket = connection.socket;
            end
        }
        Err(end) => end,
    };
    if let Some(code) = end {
        close_with(socket, code).await;
    }
    metrics::gauge!("sockets_open").decrement(1);
}

/// Waits for hello, listens for the user's hints, then says where the head is: in this order nothing falls between.
async fn open(gateway: &Gateway, socket: &mut WebSocket, caller: Caller) -> Result<(Caller, Subscription, Cursor), End> {
    let (ticket, cursor) = tokio::time::timeout(HELLO_WITHIN, hello(socket))
        .await
        .map_err(|_elapsed| Some(close::NO_HELLO))??;
    let sync = gateway.runs().sync();
    let auth = sync.auth();
    if caller.kind == Kind::Browser {
        let device = tickets::redeem(auth, &ticket.unwrap_or_default()).await.map_err(ended_by)?;
        if device != caller.device {
            return Err(Some(close::REVOKED));
        }
    }
    let hints = auth.subscribe(caller.user).await;
    let standing = runs::standing(&auth.pool, caller.user).await.map_err(ended_by)?;
    let (head, live) = standing.ok_or(Some(close::REVOKED))?;
    hints.note(head);
    let live = live.into_iter().map(|run| LiveRun { run: run.run, message: run.message, session: run.session }).collect();
    let welcome = ServerFrame::Welcome { device: caller.device, head, ping: PING_MILLIS, live };
    send(socket, &welcome).await?;
    // Without a cursor of its own the device pulls, so it will stand at the head.
    Ok((caller, hints, cursor.unwrap_or(head)))
}

/// How the socket ends when something of ours fails: by what the client can do about it.
fn ended_by(error: Error) -> End {
    Some(match error.into_problem().code {
        Code::SignInRequired | Code::TokenExpired => close::NO_HELLO,
        Code::SessionRevoked | Code::SessionExpired => close::REVOKED,
        _ => close::OVERLOADED,
    })
}

async fn hello(socket: &mut WebSocket) -> Result<(Option<String>, Option<Cursor>), End> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) if text.len() <= limits::HELLO_BYTES => {
                return match serde_json::from_str(&text) {
                    Ok(ClientFrame::Hello { ticket, cursor }) => Ok((ticket, cursor)),
                    Ok(_) | Err(_) => Err(Some(close::PROTOCOL)),
                };
            }
            Some(Ok(Message::Text(_) | Message::Binary(_))) => return Err(Some(close::PROTOCOL)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
        }
    }
}

impl Connection {
    async fn serve(&mut self) -> End {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                message = self.socket.recv() => Turn::In(message),
                hint = self.hints.next() => Turn::Hint(hint),
                Some(frame) = self.views.next(), if !self.views.is_empty() => Turn::Out(frame),
                _ = beat.tick() => Turn::Beat,
                () = self.gateway.0.draining.cancelled(), if !self.is_draining => Turn::Drain,
                () = self.gateway.0.closing.cancelled() => Turn::Close,
            };
            let done = match turn {
                Turn::In(message) => self.take(message).await,
                Turn::Hint(hint) => self.tell(hint).await,
                Turn::Out(frame) => self.show(frame).await,
                Turn::Beat => self.beat().await,
                Turn::Drain => {
                    self.is_draining = true;
                    let within_ms = u32::try_from(super::DRAIN.as_millis()).unwrap_or(u32::MAX);
                    send(&mut self.socket, &ServerFrame::Drain { within_ms }).await
                }
                Turn::Close => Err(Some(close::DRAIN)),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn take(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.is_alive = true;
                return Ok(());
            }
            Some(Ok(Message::Binary(_))) => return Err(Some(close::PROTOCOL)),
            // A frame above the bound is an error of the transport.
            Some(Err(_)) => return Err(Some(close::PROTOCOL)),
            Some(Ok(Message::Close(_))) | None => return Err(None),
        };
        self.is_alive = true;
        if !self.rate.admits(Instant::now()) {
            return Err(Some(close::RATE_LIMITED));
        }
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|_no_json| Some(close::PROTOCOL))?;
        match serde_json::from_value::<ClientFrame>(value) {
            Ok(frame) => self.answer(frame).await,
            // A kind of the future is ignored; a known kind with wrong fields is answered.
            Err(error) if error.to_string().starts_with("unknown variant") => Ok(()),
            Err(error) => self.refuse(&Problem::new(Code::BadRequest).detail(error.to_string())).await,
        }
    }

    async fn answer(&mut self, frame: ClientFrame) -> Result<(), End> {
        match frame {
            ClientFrame::Hello { .. } | ClientFrame::Pong { .. } => Ok(()),
            ClientFrame::Attach { run, at, bytes } => self.attach(run, at, bytes).await,
            ClientFrame::Detach { run } => {
                self.detach(run);
                Ok(())
            }
            ClientFrame::Cancel { run } => match self.gateway.runs().cancel(self.caller.user, run).await {
                Ok(()) => Ok(()),
                Err(error) => self.refuse(&error.into_problem()).await,
            },
            ClientFrame::Auth { token } => self.renew(&token).await,
        }
    }

    async fn attach(&mut self, run: RunId, at: Option<At>, bytes: u64) -> Result<(), End> {
        self.detach(run);
        if self.attached.len() >= limits::ATTACHED_RUNS {
            let detail = format!("A socket may watch {} replies at once.", limits::ATTACHED_RUNS);
            return self.refuse(&Problem::new(Code::RateLimited).detail(detail)).await;
        }
        match view(self.gateway.runs(), self.caller.user, run, at.map(|at| (at, bytes))).await {
            Ok(frames) => {
                let (handle, registration) = AbortHandle::new_pair();
                self.views.push(Abortable::new(frames, registration));
                self.attached.insert(run, handle);
                Ok(())
            }
            Err(error) => self.refuse(&error.into_problem()).await,
        }
    }

    fn detach(&mut self, run: RunId) {
        if let Some(handle) = self.attached.remove(&run) {
            handle.abort();
        }
    }

    /// A renewed token must be the same device's, or somebody is trying to slip into an open socket.
    async fn renew(&mut self, token: &str) -> Result<(), End> {
        let auth = self.gateway.runs().sync().auth();
        let caller = match auth.caller_by_token(token).await {
            Ok(caller) => caller,
            Err(error) => return self.refuse(&error.into_problem()).await,
        };
        if caller.device != self.caller.device || caller.user != self.caller.user {
            return Err(Some(close::REVOKED));
        }
        self.caller = caller;
        self.was_told_of_expiry = false;
        let expires_in = u32::try_from(self.seconds_left().unwrap_or_default()).unwrap_or_default();
        send(&mut self.socket, &ServerFrame::AuthOk { expires_in }).await
    }

    async fn refuse(&mut self, problem: &Problem) -> Result<(), End> {
        let frame = ServerFrame::Refused { code: problem.code, detail: problem.sentence().to_owned() };
        send(&mut self.socket, &frame).await
    }

    async fn tell(&mut self, hint: Hint) -> Result<(), End> {
        match hint {
            Hint::Changes(pushed) => {
                let (from, to) = (pushed.page.from, pushed.page.to);
                if from == self.cursor {
                    self.cursor = to;
                    return send_text(&mut self.socket, pushed.frame.clone()).await;
                }
                self.lead(to).await
            }
            Hint::Head(head) => self.lead(head).await,
            Hint::Started(live) => send(&mut self.socket, &ServerFrame::Start(live)).await,
            Hint::Revoked(device) if device == self.caller.device => Err(Some(close::REVOKED)),
            Hint::Revoked(_) => Ok(()),
        }
    }

    /// Tells a head that is news. The device pulls, so that is where it will stand.
    async fn lead(&mut self, head: Cursor) -> Result<(), End> {
        if head.epoch == self.cursor.epoch && head.seq <= self.cursor.seq {
            return Ok(());
        }
        self.cursor = head;
        send(&mut self.socket, &ServerFrame::Head { epoch: head.epoch, seq: head.seq }).await
    }

    async fn show(&mut self, frame: ServerFrame) -> Result<(), End> {
        if let ServerFrame::End { run, .. } = &frame {
            self.attached.remove(run);
        }
        send(&mut self.socket, &frame).await
    }

    async fn beat(&mut self) -> Result<(), End> {
        let auth = self.gateway.runs().sync().auth();
        // Not being able to look is no reason to sign anybody out.
        if self.hints.is_revoked(self.caller.device) || matches!(auth.is_signed_in(self.caller.device).await, Ok(false)) {
            return Err(Some(close::REVOKED));
        }
        self.beats += 1;
        if self.beats.is_multiple_of(2) {
            if !self.is_alive {
                return Err(Some(close::NO_PONG));
            }
            self.is_alive = false;
            let head = self.hints.head().map_or(self.cursor.seq, |head| head.seq);
            send(&mut self.socket, &ServerFrame::Ping { n: self.beats, head }).await?;
        }
        match self.seconds_left() {
            Some(left) if left < -EXPIRY_GRACE => Err(Some(close::TOKEN_EXPIRED)),
            Some(left) if left < EXPIRY_NOTICE && !self.was_told_of_expiry => {
                self.was_told_of_expiry = true;
                let within = u32::try_from(left).unwrap_or_default();
                send(&mut self.socket, &ServerFrame::AuthExpiring { within }).await
            }
            Some(_) | None => Ok(()),
        }
    }

    fn seconds_left(&self) -> Option<i64> {
        self.caller.expires_at.map(|at| at - OffsetDateTime::now_utc().unix_timestamp())
    }
}
