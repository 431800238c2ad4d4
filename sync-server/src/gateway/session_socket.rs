//! `/ws/{session_id}`: one session in plain frames, for scripts and simple clients. The same writes, the same hints and
//! the same runs as everywhere else, told in other words.

use super::due::{Deed, Due};
use super::line::{Ended, Line};
use super::viewing::{Attempt, Shown, Viewing};
use super::{Gateway, Opening, Waiting, still_signed_in};
use crate::auth::Caller;
use crate::error::Result;
use crate::hints::{Hint, Subscription};
use crate::runs::Piece;
use crate::sessions::{self, Id};
use crate::sync;
use axum::extract::State;
use axum::extract::ws::{Utf8Bytes, WebSocket};
use axum::response::Response;
use protocol::frame::close;
use protocol::limits::{ATTACHED_RUNS, HISTORY_BYTES, MESSAGE_PAGE, SESSION_FRAME_BYTES, SYNC_PAGE};
use protocol::mutation::{Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::session_socket::{Answer, Ask, Line as HistoryLine};
use protocol::sync::{Change, Cursor, Message, Role, SyncPage};
use protocol::{Code, MessageId, MutationId, Problem, SessionId, routes};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Replies remembered as told, so that each is completed once.
const TOLD: usize = 64;

/// One session's socket; its frames are described in the protocol crate.
#[utoipa::path(get, path = routes::SESSION_SOCKET, params(("session_id" = SessionId, Path)), tag = "sockets",
    responses((status = 101, description = "switches to WebSocket"), (status = "4XX", body = Problem)))]
pub async fn open(
    State(gateway): State<Gateway>,
    Id(session): Id<SessionId>,
    opening: Opening,
) -> Result<Response> {
    let Opening {
        caller,
        upgrade,
        waiting,
    } = opening;
    sessions::session(&gateway.pool, caller.user, session).await?;
    let upgrade = upgrade
        .max_message_size(SESSION_FRAME_BYTES)
        .max_frame_size(SESSION_FRAME_BYTES);
    Ok(upgrade.on_upgrade(move |socket| {
        let sockets = gateway.0.sockets.clone();
        sockets.track_future(serve(gateway, caller, session, socket, waiting))
    }))
}

async fn serve(gateway: Gateway, caller: Caller, session: SessionId, socket: WebSocket, waiting: Waiting) {
    let mut line = Line::new(socket, gateway.config.rate_limit_factor);
    let ended = match Conversation::begin(gateway, caller, session, &mut line, waiting).await {
        Ok(conversation) => conversation.attend(&mut line).await,
        Err(ended) => ended,
    };
    line.end(ended).await;
}

struct Conversation {
    gateway: Gateway,
    caller: Caller,
    session: SessionId,
    news: Subscription,
    viewing: Viewing,
    /// Changes up to here were looked at.
    position: Cursor,
    told: VecDeque<MessageId>,
    due: Due,
}

impl Conversation {
    /// Listens, then reads: the history, and the replies that are being made.
    async fn begin(
        gateway: Gateway,
        caller: Caller,
        session: SessionId,
        line: &mut Line,
        waiting: Waiting,
    ) -> Result<Self, Ended> {
        let news = gateway.hints().subscribe(caller.user).await;
        if news.is_one_too_many() {
            return Err(Ended::Close(close::TOO_MANY));
        }
        // from here on it is counted as one that is open
        drop(waiting);
        let turn = gateway.turn().await.ok_or(Ended::Close(close::OVERLOADED))?;
        still_signed_in(&gateway, &caller).await?;
        let history = sessions::history(&gateway.pool, caller.user, session, None, MESSAGE_PAGE).await;
        let history = history.map_err(|_unread| Ended::Close(close::OVERLOADED))?;
        drop(turn);
        news.note(history.as_of);
        let mut conversation = Self {
            due: Due::new(caller.expires_at),
            viewing: Viewing::new(caller.user),
            gateway,
            caller,
            session,
            news,
            position: history.as_of,
            told: VecDeque::new(),
        };
        let answer = Answer::History {
            messages: newest(&history.messages),
        };
        line.send(&answer).await?;
        for message in &history.messages {
            if let Some(run) = message.run.filter(|_| !message.status.is_terminal()) {
                conversation.watch(line, run, message.id).await?;
            }
        }
        Ok(conversation)
    }

    async fn attend(mut self, line: &mut Line) -> Ended {
        loop {
            if let Err(ended) = self.next(line).await {
                return ended;
            }
            // whatever is always ready here, others have their turn too
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn next(&mut self, line: &mut Line) -> Result<(), Ended> {
        let leaving = &self.gateway.0.leaving;
        tokio::select! {
            text = line.text() => {
                let text = text?;
                self.hear(line, &text).await?;
            }
            () = self.viewing.woken() => self.show(line).await?,
            hint = self.news.next() => self.look(line, hint).await?,
            () = tokio::time::sleep_until(self.due.next()) => self.keep_time(line).await?,
            // it cannot be told to leave: it is closed at some time while others leave
            () = leaving.cancelled(), if !self.due.is_leaving() => {
                self.due.leaves(Duration::ZERO..=self.gateway.drains_within());
            }
        }
        line.flush().await
    }

    async fn hear(&mut self, line: &mut Line, text: &Utf8Bytes) -> Result<(), Ended> {
        let ask = match serde_json::from_str::<Ask>(text) {
            Ok(ask) => ask,
            Err(error) if error.is_data() => {
                let problem =
                    Problem::new(Code::BadRequest).detail(format!("The frame cannot be read: {error}."));
                return refuse(line, &problem).await;
            }
            Err(_) => return Err(Ended::Close(close::PROTOCOL)),
        };
        let Ask::UserMessage { content, mutation } = ask;
        let id = mutation.unwrap_or_else(MutationId::fresh);
        let op = Op::MessageCreate {
            // the same frame sent again is the same message
            id: MessageId(id.0),
            session: self.session,
            parent: None,
            content,
            run: RunMode::Auto,
        };
        let mutation = Mutation {
            id,
            v: OP_VERSION,
            op,
        };
        let outcome = sync::push(
            self.gateway.sync(),
            self.caller.user,
            Some(self.caller.device),
            mutation,
        )
        .await;
        match outcome.map(|outcome| outcome.result) {
            Ok(OpResult::Applied {
                run: Some(run),
                reply: Some(reply),
                ..
            }) => self.watch(line, run, reply).await,
            Ok(OpResult::Applied { .. } | OpResult::Skipped) => Ok(()),
            Ok(OpResult::Refused { problem, .. }) => refuse(line, &problem).await,
            Err(error) => refuse(line, &error.into_problem()).await,
        }
    }

    /// Watches a reply, or tells it whole where it is over.
    async fn watch(&mut self, line: &mut Line, run: protocol::RunId, reply: MessageId) -> Result<(), Ended> {
        if self.viewing.watches(run) || self.viewing.len() >= ATTACHED_RUNS {
            return Ok(());
        }
        match self.viewing.attach(self.gateway.runs(), run, None).await {
            Ok(Attempt::Over(_)) => {
                match sessions::message(&self.gateway.pool, self.caller.user, reply).await {
                    Ok(message) => self.complete(line, message).await,
                    Err(error) => refuse(line, &error.into_problem()).await,
                }
            }
            Ok(Attempt::Watching | Attempt::NotThere) => Ok(()),
            Err(error) => refuse(line, &error.into_problem()).await,
        }
    }

    async fn complete(&mut self, line: &mut Line, message: Message) -> Result<(), Ended> {
        self.remember(message.id);
        let answer = Answer::AssistantMessageComplete {
            id: message.id,
            content: message.content,
            status: message.status,
        };
        line.feed(&answer).await
    }

    fn remember(&mut self, reply: MessageId) {
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(reply);
    }

    async fn show(&mut self, line: &mut Line) -> Result<(), Ended> {
        for shown in self.viewing.news(&self.gateway.0.runs).await {
            match shown {
                // a text begun anew comes whole at its end
                Shown::Piece(_, _, Piece::Whole { .. }) => {}
                Shown::Piece(_, id, Piece::More { text, .. }) => {
                    let delta = Answer::AssistantMessageDelta { id, content: text };
                    line.feed(&delta).await?;
                }
                Shown::End(run, id, end, text) if text.is_empty() => {
                    // ended out of sight, or with no text at all
                    let _ = (run, end);
                    if let Ok(message) = sessions::message(&self.gateway.pool, self.caller.user, id).await {
                        self.complete(line, message).await?;
                    }
                }
                Shown::End(_, id, end, content) => {
                    self.remember(id);
                    let complete = Answer::AssistantMessageComplete {
                        id,
                        content,
                        status: end.status,
                    };
                    line.feed(&complete).await?;
                }
            }
        }
        Ok(())
    }

    /// Pings, the token's end, and now and then whether the device is still signed in. Nothing is announced here, and a
    /// token cannot be renewed in band: who goes on longer connects again.
    async fn keep_time(&mut self, line: &mut Line) -> Result<(), Ended> {
        self.due.heard_at(line.heard());
        while let Some(deed) = self.due.take(Instant::now()) {
            match deed {
                Deed::Close(code) => return Err(Ended::Close(code)),
                Deed::Announce { .. } => {}
                Deed::Ping { .. } => line.ping().await?,
                Deed::Check { counts_as_use } => {
                    super::must_be_signed_in(&self.gateway, &self.caller, counts_as_use).await?;
                }
            }
        }
        Ok(())
    }

    /// What other devices did in this session.
    async fn look(&mut self, line: &mut Line, hint: Hint) -> Result<(), Ended> {
        super::heard_of(&self.news, &self.caller)?;
        match hint {
            Hint::Changes(pushed) if pushed.page.from == self.position => {
                self.position = pushed.page.to;
                for change in &pushed.page.changes {
                    self.consider(line, change).await?;
                }
                Ok(())
            }
            Hint::Changes(pushed) => self.catch_up(line, pushed.page.to).await,
            Hint::Head(head) => self.catch_up(line, head).await,
            Hint::Started(_) | Hint::Revoked(_) | Hint::Replaced(..) => Ok(()),
        }
    }

    async fn catch_up(&mut self, line: &mut Line, head: Cursor) -> Result<(), Ended> {
        while head.epoch == self.position.epoch && head.seq > self.position.seq {
            let page = sync::page_since(
                self.gateway.sync(),
                self.caller.user,
                Some(self.position),
                SYNC_PAGE,
            )
            .await;
            let Ok(SyncPage { to, changes, .. }) = page else {
                // a history rewritten, or a database away: a fresh start reads what is
                return Err(Ended::Close(close::DRAIN));
            };
            self.position = to;
            for change in &changes {
                self.consider(line, change).await?;
            }
        }
        Ok(())
    }

    async fn consider(&mut self, line: &mut Line, change: &Change) -> Result<(), Ended> {
        let message = match change {
            Change::Message(message)
                if message.session == self.session && message.role == Role::Assistant =>
            {
                message
            }
            Change::SessionGone { id, .. } if *id == self.session => {
                let problem = Problem::new(Code::SessionDeleted);
                refuse(line, &problem).await?;
                line.flush().await?;
                return Err(Ended::Close(close::REVOKED));
            }
            Change::Message(_) | Change::Session(_) | Change::SessionGone { .. } => return Ok(()),
        };
        let is_known =
            message.run.is_some_and(|run| self.viewing.watches(run)) || self.told.contains(&message.id);
        match message.run {
            _ if is_known => Ok(()),
            Some(run) if !message.status.is_terminal() => self.watch(line, run, message.id).await,
            _ => self.complete(line, message.clone()).await,
        }
    }
}

/// Of the messages that are whole, the newest that fit one frame, oldest first. Counted as they are written, since
/// escapes can make a text six times as long.
fn newest(messages: &[Message]) -> Vec<HistoryLine> {
    let mut bytes = 0;
    let mut lines: Vec<HistoryLine> = messages
        .iter()
        .rev()
        .filter(|message| message.status.is_terminal() && !message.deleted)
        .map(|message| HistoryLine {
            id: message.id,
            role: message.role,
            content: message.content.clone(),
        })
        .enumerate()
        .take_while(|(place, line)| {
            bytes += serde_json::to_string(line).map_or(usize::MAX, |json| json.len() + 1);
            *place == 0 || bytes <= HISTORY_BYTES
        })
        .map(|(_, line)| line)
        .collect();
    lines.reverse();
    lines
}

async fn refuse(line: &mut Line, problem: &Problem) -> Result<(), Ended> {
    let answer = Answer::Error {
        code: problem.code,
        detail: problem.sentence().to_owned(),
    };
    line.feed(&answer).await
}
