//! `/ws`: a device's socket. It says where it stands, is told what changed since, and watches the replies it wants.

use super::due::{Deed, Due, PING};
use super::line::{Ended, Line};
use super::viewing::{Attempt, Viewing, ended};
use super::{Gateway, Opening, Waiting, still_signed_in, tickets};
use crate::auth::{Caller, Kind};
use crate::error::{Error, Result};
use crate::hints::{Hint, Subscription};
use crate::runs::{self, Place};
use axum::extract::State;
use axum::extract::ws::{Utf8Bytes, WebSocket};
use axum::response::Response;
use http::{HeaderMap, header};
use protocol::frame::{ClientFrame, Encoding, HELLO_HEADER, LiveRun, SUBPROTOCOL, ServerFrame, close};
use protocol::limits::{ATTACHED_RUNS, HELLO_BYTES};
use protocol::run::At;
use protocol::sync::Cursor;
use protocol::{Code, Problem, RunId, routes};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;

/// A socket that says nothing for so long is not worth holding.
const HELLO: Duration = Duration::from_secs(5);

/// A device's socket, subprotocol `compymac.v1`; the frames are described in the protocol crate.
#[utoipa::path(get, path = routes::SOCKET, tag = "sockets",
    params(("x-compymac-hello" = Option<String>, Header,
            description = "the first frame, from who can set a header: it is answered at once")),
    responses((status = 101, description = "switches to WebSocket"), (status = "4XX", body = Problem)))]
pub async fn open(State(gateway): State<Gateway>, headers: HeaderMap, opening: Opening) -> Response {
    let Opening {
        caller,
        upgrade,
        waiting,
    } = opening;
    let asks_for_other = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    let speaks = upgrade.selected_protocol().is_some() || !asks_for_other;
    let said = said_already(&headers);
    upgrade.on_upgrade(move |socket| {
        let sockets = gateway.0.sockets.clone();
        sockets.track_future(serve(gateway, caller, socket, (speaks, said), waiting))
    })
}

/// What a device says first, or why that is no frame. `None`: it has said nothing yet.
type Said = Option<Result<Utf8Bytes, Ended>>;

/// The hello that came with the request. It goes the way of a first frame from here on, so that neither is let off anything.
fn said_already(headers: &HeaderMap) -> Said {
    let mut values = headers.get_all(HELLO_HEADER).iter();
    let value = values.next()?;
    let is_alone = values.next().is_none();
    let text = value
        .to_str()
        .ok()
        .filter(|text| is_alone && text.len() <= HELLO_BYTES);
    Some(text.map(Utf8Bytes::from).ok_or(Ended::Close(close::PROTOCOL)))
}

async fn serve(
    gateway: Gateway,
    caller: Caller,
    socket: WebSocket,
    (speaks, said): (bool, Said),
    waiting: Waiting,
) {
    let mut line = Line::new(socket, gateway.config.rate_limit_factor);
    if !speaks {
        return line.end(Ended::Close(close::VERSION)).await;
    }
    let ended = match welcome(&gateway, &caller, &mut line, said, waiting).await {
        Ok((news, position)) => {
            let due = Due::new(caller.expires_at);
            let device = Device {
                viewing: Viewing::new(caller.user),
                gateway,
                caller,
                news,
                position,
                due,
            };
            device.attend(&mut line).await
        }
        Err(ended) => ended,
    };
    line.end(ended).await;
}

async fn first_frame(gateway: &Gateway, line: &mut Line) -> Result<Utf8Bytes, Ended> {
    tokio::select! {
        first = tokio::time::timeout(HELLO, line.text()) => first.map_err(|_elapsed| Ended::Close(close::NO_HELLO))?,
        () = gateway.0.leaving.cancelled() => Err(Ended::Close(close::DRAIN)),
    }
}

/// What the device says first, the proof in it, and the answer: where the user's changes stand.
async fn welcome(
    gateway: &Gateway,
    caller: &Caller,
    line: &mut Line,
    said: Said,
    waiting: Waiting,
) -> Result<(Subscription, Cursor), Ended> {
    let first = match said {
        Some(said) => said?,
        None => first_frame(gateway, line).await?,
    };
    if first.len() > HELLO_BYTES {
        return Err(Ended::Close(close::PROTOCOL));
    }
    // its cursor needs no answer of its own: the welcome names the head, and the device pulls where that is ahead
    let Some(Ok(ClientFrame::Hello {
        ticket,
        cursor: _,
        enc,
    })) = read(&first)?
    else {
        return Err(Ended::Close(close::NO_HELLO));
    };
    if enc.contains(&Encoding::Zstd) {
        line.may_pack();
    }
    prove(gateway, caller, ticket).await?;
    let news = gateway.hints().subscribe(caller.user).await;
    if news.is_one_too_many() {
        return Err(Ended::Close(close::TOO_MANY));
    }
    // counted among those that are open from here on; before the answer, so that whoever has it may open another
    drop(waiting);
    let turn = gateway.turn().await.ok_or(Ended::Close(close::OVERLOADED))?;
    // a sign-out between the request and the subscription was not heard
    still_signed_in(gateway, caller).await?;
    let standing = runs::standing(&gateway.pool, caller.user).await;
    let Ok(Some((head, live))) = standing else {
        return Err(Ended::Close(close::OVERLOADED));
    };
    drop(turn);
    news.note(head);
    let live = live.into_iter().map(|run| LiveRun {
        run: run.run,
        message: run.message,
        session: run.session,
    });
    let welcome = ServerFrame::Welcome {
        device: caller.device,
        head,
        ping: u32::try_from(PING.as_millis()).unwrap_or(u32::MAX),
        live: live.collect(),
    };
    line.send(&welcome).await?;
    Ok((news, head))
}

/// A browser shows a ticket that this device got a moment ago; a native client proved itself in the header.
async fn prove(gateway: &Gateway, caller: &Caller, ticket: Option<String>) -> Result<(), Ended> {
    if caller.kind == Kind::Native {
        return Ok(());
    }
    let ticket = ticket.ok_or(Ended::Close(close::NO_HELLO))?;
    match tickets::redeem(gateway, &ticket).await {
        Ok(Some(device)) if device == caller.device => Ok(()),
        Ok(_) => Err(Ended::Close(close::TOKEN_EXPIRED)),
        Err(_) => Err(Ended::Close(close::OVERLOADED)),
    }
}

/// A frame as sent. `None`: a kind from the future. What is no JSON object ends the connection.
fn read(text: &Utf8Bytes) -> Result<Option<Result<ClientFrame, Problem>>, Ended> {
    #[derive(serde::Deserialize)]
    struct Kind {
        t: String,
    }
    const KNOWN: [&str; 6] = ["hello", "run.attach", "run.detach", "run.cancel", "auth", "pong"];
    // serde would take a list for an object, in the order of its fields
    if !text.trim_start().starts_with('{') {
        return Err(Ended::Close(close::PROTOCOL));
    }
    match serde_json::from_str::<ClientFrame>(text) {
        Ok(frame) => Ok(Some(Ok(frame))),
        Err(error) => {
            let kind: Kind = serde_json::from_str(text).map_err(|_noise| Ended::Close(close::PROTOCOL))?;
            let refused =
                Problem::new(Code::BadRequest).detail(format!("The frame cannot be read: {error}."));
            Ok(KNOWN.contains(&kind.t.as_str()).then_some(Err(refused)))
        }
    }
}

/// A socket that has been welcomed.
struct Device {
    gateway: Gateway,
    caller: Caller,
    news: Subscription,
    viewing: Viewing,
    /// The head that the device was told of, in changes or as a number.
    position: Cursor,
    due: Due,
}

impl Device {
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
            hint = self.news.next() => self.tell(line, hint).await?,
            () = self.viewing.woken() => self.show(line).await?,
            () = tokio::time::sleep_until(self.due.next()) => self.keep_time(line).await?,
            () = leaving.cancelled(), if !self.due.is_leaving() => self.let_go(line).await?,
        }
        line.flush().await
    }

    async fn hear(&mut self, line: &mut Line, text: &Utf8Bytes) -> Result<(), Ended> {
        let frame = match read(text)? {
            Some(Ok(frame)) => frame,
            Some(Err(problem)) => return refuse(line, &problem).await,
            None => return Ok(()),
        };
        match frame {
            // said once, and heard then
            ClientFrame::Hello { .. } => Ok(()),
            ClientFrame::Attach { run, at, bytes } => self.attach(line, run, at, bytes).await,
            ClientFrame::Detach { run } => {
                self.viewing.detach(run);
                Ok(())
            }
            ClientFrame::Cancel { run } => match self.gateway.cancel(self.caller.user, run).await {
                Ok(()) => Ok(()),
                Err(error) => refuse(line, &error.into_problem()).await,
            },
            ClientFrame::Auth { token } => self.renew(line, &token).await,
            ClientFrame::Pong { .. } => {
                self.due.heard();
                Ok(())
            }
        }
    }

    async fn attach(&mut self, line: &mut Line, run: RunId, at: Option<At>, bytes: u64) -> Result<(), Ended> {
        if self.viewing.len() >= ATTACHED_RUNS && !self.viewing.watches(run) {
            let problem = Problem::new(Code::TooLarge)
                .detail(format!("One socket can watch {ATTACHED_RUNS} replies at once."))
                .limit(ATTACHED_RUNS as u64);
            return refuse(line, &problem).await;
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let place = at.map(|at| Place { at, bytes });
        match self.viewing.attach(self.gateway.runs(), run, place).await {
            // what is there comes with the wake-up that attaching makes
            Ok(Attempt::Watching) => Ok(()),
            Ok(Attempt::Over(end)) => line.feed(&ended(run, end)).await,
            Ok(Attempt::NotThere) => refuse(line, &Problem::new(Code::NotFound)).await,
            Err(error) => refuse(line, &error.into_problem()).await,
        }
    }

    async fn renew(&mut self, line: &mut Line, token: &str) -> Result<(), Ended> {
        match self.gateway.caller_by_token(token).await {
            Ok(caller) if caller.user == self.caller.user && caller.device == self.caller.device => {
                self.due.expires(caller.expires_at);
                let now = OffsetDateTime::now_utc().unix_timestamp();
                let left = caller.expires_at.map_or(0, |at| at - now);
                let expires_in = u32::try_from(left).unwrap_or(0);
                line.feed(&ServerFrame::AuthOk { expires_in }).await
            }
            Ok(_) => Err(Ended::Close(close::REVOKED)),
            Err(Error::Told(problem)) if problem.code == Code::SessionRevoked => {
                Err(Ended::Close(close::REVOKED))
            }
            Err(error) => refuse(line, &error.into_problem()).await,
        }
    }

    /// Changes as they are where they continue what the device was told; else only where the head is.
    async fn tell(&mut self, line: &mut Line, hint: Hint) -> Result<(), Ended> {
        super::heard_of(&self.news, &self.caller)?;
        match hint {
            Hint::Changes(pushed) => {
                if pushed.page.from == self.position {
                    self.position = pushed.page.to;
                    return line.feed_pushed(&pushed).await;
                }
                self.tell_head(line, pushed.page.to).await
            }
            Hint::Head(head) => self.tell_head(line, head).await,
            Hint::Started(run) => line.feed(&ServerFrame::Start(run)).await,
            Hint::Revoked(_) | Hint::Replaced(..) => Ok(()),
        }
    }

    async fn tell_head(&mut self, line: &mut Line, head: Cursor) -> Result<(), Ended> {
        if head.epoch == self.position.epoch && head.seq <= self.position.seq {
            return Ok(());
        }
        self.position = head;
        let frame = ServerFrame::Head {
            epoch: head.epoch,
            seq: head.seq,
        };
        line.feed(&frame).await
    }

    async fn show(&mut self, line: &mut Line) -> Result<(), Ended> {
        for shown in self.viewing.news(&self.gateway.0.runs).await {
            line.feed(&shown.frame()).await?;
        }
        Ok(())
    }

    /// The device leaves within its time by itself, at a time of its own; closed is who does not.
    async fn let_go(&mut self, line: &mut Line) -> Result<(), Ended> {
        let within = self.gateway.drains_within();
        self.due.leaves(within..=within * 3 / 2);
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        line.feed(&ServerFrame::Drain { within_ms }).await
    }

    /// Pings, the token's end, and now and then whether the device is still signed in.
    async fn keep_time(&mut self, line: &mut Line) -> Result<(), Ended> {
        while let Some(deed) = self.due.take(Instant::now()) {
            match deed {
                Deed::Close(code) => return Err(Ended::Close(code)),
                Deed::Announce { within } => line.feed(&ServerFrame::AuthExpiring { within }).await?,
                Deed::Ping { n } => {
                    let head = self.news.head().map_or(self.position.seq, |head| head.seq);
                    line.feed(&ServerFrame::Ping { n, head }).await?;
                }
                Deed::Check { counts_as_use } => {
                    super::must_be_signed_in(&self.gateway, &self.caller, counts_as_use).await?;
                }
            }
        }
        Ok(())
    }
}

async fn refuse(line: &mut Line, problem: &Problem) -> Result<(), Ended> {
    let frame = ServerFrame::Refused {
        code: problem.code,
        detail: problem.sentence().to_owned(),
    };
    line.feed(&frame).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_hello_in_the_header_is_one_bounded_ascii_text() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HELLO_HEADER, HeaderValue::from_bytes(value).expect("a value"));
            }
            said_already(&headers)
        };
        let refused = Some(Err(Ended::Close(close::PROTOCOL)));
        assert_eq!(of(&[]), None);
        let hello = br#"{"t":"hello"}"#;
        assert_eq!(of(&[hello]), Some(Ok(r#"{"t":"hello"}"#.into())));
        assert_eq!(of(&[hello, hello]), refused);
        assert_eq!(of(&["{\"t\":\"héllo\"}".as_bytes()]), refused);
        assert!(matches!(of(&[&[b' '; HELLO_BYTES]]), Some(Ok(_))));
        assert_eq!(of(&[&[b' '; HELLO_BYTES + 1]]), refused);
    }

    #[test]
    fn unknown_kinds_are_ignored_bad_fields_refused_and_noise_ends_it() {
        assert!(matches!(
            read(&r#"{"t":"pong","n":1}"#.into()),
            Ok(Some(Ok(ClientFrame::Pong { n: 1 })))
        ));
        assert!(matches!(
            read(&r#"{"t":"from.the.future","x":[]}"#.into()),
            Ok(None)
        ));
        assert!(matches!(
            read(&r#"{"t":"run.attach","run":5}"#.into()),
            Ok(Some(Err(_)))
        ));
        for noise in ["", "no JSON", "[]", "{\"t\":5}", "{"] {
            assert_eq!(
                read(&noise.into()).err(),
                Some(Ended::Close(close::PROTOCOL)),
                "{noise}"
            );
        }
    }
}
