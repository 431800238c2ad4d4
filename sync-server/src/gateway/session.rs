//! `/ws/{session_id}`: one session in plain frames, over the same writes, runs and views as everything else.

use super::Gateway;
use super::view::view;
use super::wire::{End, Rate, close_with, send};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::hints::{Hint, Subscription};
use crate::{sessions, sync};
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use protocol::frame::{ServerFrame, close};
use protocol::mutation::{Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::run::Status;
use protocol::session_socket::{Answer, Ask, Line};
use protocol::{Code, MessageId, MutationId, Problem, RunId, SessionId, limits};
use std::collections::HashMap;
use std::time::Instant;

struct Session {
    gateway: Gateway,
    socket: WebSocket,
    caller: Caller,
    id: SessionId,
    hints: Subscription,
    views: SelectAll<BoxStream<'static, ServerFrame>>,
    replies: HashMap<RunId, Reply>,
    rate: Rate,
}

/// A reply on its way: the message it becomes and its text so far.
struct Reply {
    message: MessageId,
    text: String,
}

pub async fn run(gateway: Gateway, mut socket: WebSocket, caller: Caller, id: SessionId) {
    metrics::gauge!("sockets_open").increment(1);
    let hints = gateway.runs().sync().auth().subscribe(caller.user).await;
    let end = match greet(&gateway, &mut socket, &caller, id).await {
        Ok(()) => {
            let (views, replies) = (SelectAll::new(), HashMap::new());
            let rate = Rate::new(Instant::now());
            let mut session = Session { gateway, socket, caller, id, hints, views, replies, rate };
            let end = session.serve().await;
            socket = session.socket;
            end
        }
        Err(end) => end,
    };
    if let Some(code) = end {
        close_with(socket, code).await;
    }
    metrics::gauge!("sockets_open").decrement(1);
}

async fn greet(gateway: &Gateway, socket: &mut WebSocket, caller: &Caller, id: SessionId) -> Result<(), End> {
    let pool = &gateway.runs().sync().auth().pool;
    let history = sessions::history(pool, caller.user, id, None, limits::MESSAGE_PAGE).await;
    let history = history.map_err(|_refused| Some(close::OVERLOADED))?;
    let lines = history.messages.into_iter().filter(|message| !message.deleted && message.status.is_terminal());
    let messages = lines.map(|message| Line { id: message.id, role: message.role, content: message.content }).collect();
    send(socket, &Answer::History { messages }).await
}

impl Session {
    async fn serve(&mut self) -> End {
        loop {
            let done = tokio::select! {
                message = self.socket.recv() => self.take(message).await,
                Some(frame) = self.views.next(), if !self.views.is_empty() => self.show(frame).await,
                hint = self.hints.next() => self.hear(hint).await,
                () = self.gateway.0.draining.cancelled(), if self.replies.is_empty() => Err(Some(close::DRAIN)),
                () = self.gateway.0.closing.cancelled() => Err(Some(close::DRAIN)),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn take(&mut self, message: Option<std::result::Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_)) | Err(_)) => return Err(Some(close::PROTOCOL)),
            Some(Ok(Message::Close(_))) | None => return Err(None),
        };
        if !self.rate.admits(Instant::now()) {
            return Err(Some(close::RATE_LIMITED));
        }
        let asked = match serde_json::from_str::<Ask>(&text) {
            Ok(Ask::UserMessage { content, mutation }) => self.say(content, mutation).await,
            Err(error) if error.is_data() => Err(Problem::new(Code::BadRequest).detail(error.to_string()).into()),
            Err(_no_json) => return Err(Some(close::PROTOCOL)),
        };
        match asked {
            Ok(()) => Ok(()),
            Err(error) => self.refuse(error).await,
        }
    }

    async fn say(&mut self, content: String, mutation: Option<MutationId>) -> Result<()> {
        let id = mutation.unwrap_or_else(MutationId::fresh);
        // The message's id is the mutation's, so that a repeated frame is the same write to the last byte.
        let message = MessageId(id.0);
        let op = Op::MessageCreate { id: message, session: self.id, parent: None, content, run: RunMode::Auto };
        let sync = self.gateway.runs().sync();
        let outcome = sync::push(sync, self.caller.user, Some(self.caller.device), Mutation { id, v: OP_VERSION, op }).await?;
        match outcome.result {
            OpResult::Applied { run: Some(run), reply: Some(reply), .. } => self.follow(run, reply).await,
            OpResult::Applied { .. } | OpResult::Skipped => Ok(()),
            OpResult::Refused { problem, .. } => Err(problem.into()),
        }
    }

    async fn follow(&mut self, run: RunId, message: MessageId) -> Result<()> {
        if self.replies.contains_key(&run) {
            return Ok(());
        }
        let frames = view(self.gateway.runs(), self.caller.user, run, None).await?;
        self.views.push(frames);
        self.replies.insert(run, Reply { message, text: String::new() });
        Ok(())
    }

    async fn hear(&mut self, hint: Hint) -> Result<(), End> {
        match hint {
            Hint::Started(live) if live.session == self.id => match self.follow(live.run, live.message).await {
                Ok(()) => Ok(()),
                Err(error) => self.refuse(error).await,
            },
            Hint::Revoked(device) if device == self.caller.device => Err(Some(close::REVOKED)),
            Hint::Started(_) | Hint::Revoked(_) | Hint::Changes(_) | Hint::Head(_) => Ok(()),
        }
    }

    async fn show(&mut self, frame: ServerFrame) -> Result<(), End> {
        let (run, text) = match frame {
            ServerFrame::Snap { run, text, .. } => {
                if let Some(reply) = self.replies.get_mut(&run) {
                    reply.text.clear();
                }
                (run, text)
            }
            ServerFrame::Delta { run, text, .. } => (run, text),
            ServerFrame::End { run, status, .. } => return self.complete(run, status).await,
            // A view shows its run and nothing else.
            ServerFrame::Welcome { .. }
            | ServerFrame::Sync(_)
            | ServerFrame::Head { .. }
            | ServerFrame::Start(_)
            | ServerFrame::AuthExpiring { .. }
            | ServerFrame::AuthOk { .. }
            | ServerFrame::Ping { .. }
            | ServerFrame::Drain { .. }
            | ServerFrame::Refused { .. } => return Ok(()),
        };
        let Some(reply) = self.replies.get_mut(&run) else { return Ok(()) };
        reply.text.push_str(&text);
        let delta = Answer::AssistantMessageDelta { id: reply.message, content: text };
        send(&mut self.socket, &delta).await
    }

    async fn complete(&mut self, run: RunId, status: Status) -> Result<(), End> {
        let Some(mut reply) = self.replies.remove(&run) else { return Ok(()) };
        if reply.text.is_empty() {
            // It was over before it could be watched.
            let pool = &self.gateway.runs().sync().auth().pool;
            match sessions::content(pool, self.caller.user, reply.message).await {
                Ok(text) => reply.text = text,
                Err(error) => return self.refuse(error).await,
            }
        }
        let answer = Answer::AssistantMessageComplete { id: reply.message, content: reply.text, status };
        send(&mut self.socket, &answer).await
    }

    async fn refuse(&mut self, error: Error) -> Result<(), End> {
        let problem = error.into_problem();
        let answer = Answer::Error { code: problem.code, detail: problem.sentence().to_owned() };
        send(&mut self.socket, &answer).await
    }
}
