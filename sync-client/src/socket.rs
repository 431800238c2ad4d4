//! The socket: one task that opens it, says hello, and reports frames until it ends.
//!
//! **Invariant:** reports bear the ticket they were opened with; after a socket is dropped it reports nothing.

use crate::engine::{Event, Failure, Ticket};
use crate::http::Http;
use crate::packed::{FRAME_BYTES, Unreadable, unpack};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::frame::{ClientFrame, Encoding, SUBPROTOCOL, ServerFrame, close};
use protocol::sync::Cursor;
use reqwest::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::task::AbortOnDropHandle;

/// Buffers of an idle socket stay small.
const BUFFER_BYTES: usize = 4 * 1024;
/// What may wait to be written before the socket counts as dead.
const WRITE_BYTES: usize = 1024 * 1024;
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// What is written to the socket.
#[derive(Clone, Debug)]
pub enum Outgoing {
    Frame(ClientFrame),
    Ping,
}

/// An open or opening socket. Dropping it closes it.
#[derive(Debug)]
pub struct Socket {
    outgoing: mpsc::Sender<Outgoing>,
    _task: AbortOnDropHandle<()>,
}

impl Socket {
    /// Opens with the access token that `token` brings; every report goes to `events`.
    pub fn open(
        http: Http,
        token: impl Future<Output = Result<String, Failure>> + Send + 'static,
        ticket: Ticket,
        cursor: Option<Cursor>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (outgoing, queue) = mpsc::channel(256);
        let task = tokio::spawn(async move {
            let request = token
                .await
                .and_then(|token| request(&http, &token).ok_or(Failure::NotSent));
            let event = match request {
                Ok(request) => run(request, ticket, cursor, queue, &events).await,
                Err(failure) => Event::SocketRefused { ticket, failure },
            };
            let _ = events.send(event).await;
        });
        Self {
            outgoing,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Sends if there is room; a socket whose queue is full is dying and will say so.
    pub fn send(&self, outgoing: Outgoing) {
        if self.outgoing.try_send(outgoing).is_err() {
            tracing::debug!("a frame found no open socket");
        }
    }
}

fn request(http: &Http, token: &str) -> Option<Request<()>> {
    let mut address = http.address(protocol::routes::SOCKET);
    let scheme = if address.scheme() == "https" { "wss" } else { "ws" };
    address.set_scheme(scheme).ok()?;
    let mut request = address.as_str().into_client_request().ok()?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Some(request)
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens, then serves until the end, which it returns.
async fn run(
    request: Request<()>,
    ticket: Ticket,
    cursor: Option<Cursor>,
    queue: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<Event>,
) -> Event {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BYTES)
        .max_message_size(Some(FRAME_BYTES))
        .max_frame_size(Some(FRAME_BYTES));
    let opening = connect_async_with_config(request, Some(config), true);
    let mut stream = match tokio::time::timeout(OPEN_WITHIN, opening).await {
        Ok(Ok((stream, _))) => stream,
        Ok(Err(error)) => {
            let failure = failure(&error);
            return Event::SocketRefused { ticket, failure };
        }
        Err(_elapsed) => {
            let failure = Failure::Cut;
            return Event::SocketRefused { ticket, failure };
        }
    };
    let hello = ClientFrame::Hello {
        ticket: None,
        cursor,
        enc: vec![Encoding::Zstd],
    };
    let code = match write(&mut stream, Outgoing::Frame(hello)).await {
        Ok(()) => serve(&mut stream, ticket, queue, events).await,
        Err(_broken) => ABNORMAL,
    };
    Event::SocketClosed { ticket, code }
}

/// The connection broke without a close frame (RFC 6455 §7.4.1).
const ABNORMAL: u16 = 1006;

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's list of errors may grow, and every other is a cut line to us"
)]
fn failure(error: &Error) -> Failure {
    match error {
        Error::Http(response) if response.status().as_u16() == 401 => Failure::Unauthorized,
        Error::Http(_) => Failure::Later { retry_after: None },
        Error::Io(_) => Failure::NotSent,
        _other => Failure::Cut,
    }
}

async fn serve(
    stream: &mut Stream,
    ticket: Ticket,
    mut queue: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<Event>,
) -> u16 {
    loop {
        let event = tokio::select! {
            outgoing = queue.recv() => {
                let Some(outgoing) = outgoing else { return close::DRAIN };
                if write(stream, outgoing).await.is_err() {
                    return ABNORMAL;
                }
                continue;
            }
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => read(&text, ticket),
                Some(Ok(Message::Binary(packed))) => match unpack(&packed) {
                    Ok(Some(text)) => read(&text, ticket),
                    // packed in a way of the future
                    Ok(None) => Event::Alive { ticket },
                    Err(Unreadable) => {
                        tracing::warn!(bytes = packed.len(), "a packed frame cannot be read");
                        let _ = stream.close(Some(refusal())).await;
                        return close::PROTOCOL;
                    }
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    Event::Alive { ticket }
                }
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(ABNORMAL, |frame| frame.code.into());
                }
                Some(Err(_)) | None => return ABNORMAL,
            },
        };
        if events.send(event).await.is_err() {
            return close::DRAIN;
        }
    }
}

fn refusal() -> CloseFrame {
    CloseFrame {
        code: close::PROTOCOL.into(),
        reason: "a packed frame cannot be read".into(),
    }
}

/// A frame; one of a kind that this build does not know still shows that the socket lives.
fn read(text: &str, ticket: Ticket) -> Event {
    match serde_json::from_str::<ServerFrame>(text) {
        Ok(frame) => Event::Frame {
            ticket,
            frame: Box::new(frame),
        },
        Err(error) => {
            tracing::debug!(%error, "a frame of an unknown kind");
            Event::Alive { ticket }
        }
    }
}

async fn write(stream: &mut Stream, outgoing: Outgoing) -> Result<(), Error> {
    let message = match outgoing {
        Outgoing::Frame(frame) => Message::text(serde_json::to_string(&frame).unwrap_or_default()),
        Outgoing::Ping => Message::Ping(Vec::new().into()),
    };
    stream.send(message).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::sync::Arc;
    use tokio_tungstenite::tungstenite::handshake::server as handshake;

    fn packed(text: &[u8]) -> Vec<u8> {
        let packed = zstd::bulk::compress(text, 3).unwrap();
        [vec![Encoding::ZSTD], packed].concat()
    }

    #[expect(clippy::unnecessary_wraps, reason = "what the library calls")]
    fn agree(
        _: &handshake::Request,
        mut response: handshake::Response,
    ) -> Result<handshake::Response, handshake::ErrorResponse> {
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        Ok(response)
    }

    #[tokio::test]
    async fn a_server_that_sends_a_bomb_is_told_so_and_left() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hostile = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
            let hello = socket.next().await.unwrap().unwrap().into_text().unwrap();
            let bomb = packed(&vec![b' '; FRAME_BYTES * 4]);
            socket.send(Message::Binary(bomb.into())).await.unwrap();
            let close = socket.next().await.unwrap().unwrap();
            (hello, close)
        });
        let (events, mut heard) = mpsc::channel(4);
        let http = Http::new(address.parse().unwrap(), Arc::new(Clock::start())).unwrap();
        let token = async { Ok("token".to_owned()) };
        let _socket = Socket::open(http, token, 1, None, events);
        assert_eq!(
            heard.recv().await,
            Some(Event::SocketClosed {
                ticket: 1,
                code: close::PROTOCOL
            })
        );
        let (hello, close) = hostile.await.unwrap();
        assert!(hello.contains(r#""enc":["zstd"]"#), "{hello}");
        assert!(
            matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == close::PROTOCOL),
            "{close:?}"
        );
    }
}
