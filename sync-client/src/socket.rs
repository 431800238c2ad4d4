//! The socket: one task that opens it, says hello as it does, and reports frames until it ends.
//!
//! **Invariant:** reports bear the ticket they were opened with; after a socket is dropped it reports nothing.

use crate::engine::{Event, Failure, Ticket};
use crate::http::{Http, retry_after};
use crate::packed::{FRAME_BYTES, Unreadable, unpack};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::frame::{ClientFrame, Encoding, HELLO_HEADER, SUBPROTOCOL, ServerFrame, close};
use protocol::sync::Cursor;
use reqwest::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use std::pin::pin;
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
/// Where nothing was heard for so long after the opening, something on the way may have dropped the header that the hello stood
/// in. Well before the server gives up waiting for one, which is after 5 seconds.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

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
        let hello = ClientFrame::Hello {
            ticket: None,
            cursor,
            enc: vec![Encoding::Zstd],
        };
        let task = tokio::spawn(async move {
            let request = token
                .await
                .and_then(|token| request(&http, &token, &hello).ok_or(Failure::NotSent));
            let event = match request {
                Ok(request) => run(request, ticket, hello, queue, &events).await,
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

/// The request to open it, with the hello in it: what comes back over the socket first is then the answer.
fn request(http: &Http, token: &str, hello: &ClientFrame) -> Option<Request<()>> {
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
    // one that no header can hold would be said as a frame
    if let Ok(hello) = HeaderValue::try_from(serde_json::to_string(hello).unwrap_or_default()) {
        request.headers_mut().insert(HELLO_HEADER, hello);
    }
    Some(request)
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens, then serves until the end, which it returns.
async fn run(
    request: Request<()>,
    ticket: Ticket,
    hello: ClientFrame,
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
    let code = serve(&mut stream, ticket, hello, queue, events).await;
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
        Error::Http(response) => Failure::Later {
            retry_after: retry_after(response.headers()),
        },
        Error::Io(_) => Failure::NotSent,
        _other => Failure::Cut,
    }
}

/// Frames go out once the hello is known to have come, or has gone out as the first of them: a second one is passed over.
async fn serve(
    stream: &mut Stream,
    ticket: Ticket,
    hello: ClientFrame,
    mut queue: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<Event>,
) -> u16 {
    let mut unheard = Some(hello);
    let mut patience = pin!(tokio::time::sleep(HEARD_WITHIN));
    loop {
        let outgoing = tokio::select! {
            outgoing = queue.recv(), if unheard.is_none() => outgoing,
            () = &mut patience, if unheard.is_some() => unheard.take().map(Outgoing::Frame),
            message = stream.next() => {
                unheard = None;
                let event = match report(stream, message, ticket).await {
                    Ok(event) => event,
                    Err(code) => return code,
                };
                if events.send(event).await.is_err() {
                    return close::DRAIN;
                }
                continue;
            }
        };
        let Some(outgoing) = outgoing else {
            return close::DRAIN;
        };
        if write(stream, outgoing).await.is_err() {
            return ABNORMAL;
        }
    }
}

/// What a message says to the engine, or the code with which the socket ends.
async fn report(
    stream: &mut Stream,
    message: Option<Result<Message, Error>>,
    ticket: Ticket,
) -> Result<Event, u16> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(read(&text, ticket)),
        Some(Ok(Message::Binary(packed))) => match unpack(&packed) {
            Ok(Some(text)) => Ok(read(&text, ticket)),
            // packed in a way of the future
            Ok(None) => Ok(Event::Alive { ticket }),
            Err(Unreadable) => {
                tracing::warn!(bytes = packed.len(), "a packed frame cannot be read");
                let _ = stream.close(Some(refusal())).await;
                Err(close::PROTOCOL)
            }
        },
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Event::Alive { ticket }),
        Some(Ok(Message::Close(frame))) => Err(frame.map_or(ABNORMAL, |frame| frame.code.into())),
        Some(Err(_)) | None => Err(ABNORMAL),
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
    use reqwest::header::RETRY_AFTER;
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

    type Served = WebSocketStream<TcpStream>;

    const CURSOR: &str = "MXwwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDB8NDA";

    /// A socket to a server that does this with it, and what the request to open it said.
    async fn opened<F: Future<Output = T> + Send + 'static, T: Send + 'static>(
        serve: impl FnOnce(Served) -> F + Send + 'static,
    ) -> (
        Socket,
        mpsc::Receiver<Event>,
        tokio::task::JoinHandle<(String, T)>,
    ) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let request = head(&stream).await;
            let socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
            (request, serve(socket).await)
        });
        let (events, heard) = mpsc::channel(4);
        let http = Http::new(address.parse().unwrap(), Arc::new(Clock::start())).unwrap();
        let token = async { Ok("token".to_owned()) };
        let cursor = Some(CURSOR.parse().unwrap());
        (Socket::open(http, token, 1, cursor, events), heard, served)
    }

    /// What a connection begins with, left there for whoever answers it.
    async fn head(stream: &TcpStream) -> String {
        let mut begun = vec![0; 4096];
        loop {
            let length = stream.peek(&mut begun).await.unwrap();
            let text = String::from_utf8_lossy(&begun[..length]).into_owned();
            if text.contains("\r\n\r\n") {
                return text;
            }
        }
    }

    #[test]
    fn a_refusal_is_for_later_and_says_when() {
        let refused = |status: u16, seconds: Option<&'static str>| {
            let mut response = tokio_tungstenite::tungstenite::http::Response::new(None);
            *response.status_mut() = status.try_into().unwrap();
            if let Some(seconds) = seconds {
                let seconds = HeaderValue::from_static(seconds);
                response.headers_mut().insert(RETRY_AFTER, seconds);
            }
            failure(&Error::Http(Box::new(response)))
        };
        let later = |retry_after| Failure::Later { retry_after };
        assert_eq!(refused(429, Some("7")), later(Some(7)));
        assert_eq!(refused(503, None), later(None));
        assert_eq!(refused(401, Some("7")), Failure::Unauthorized);
    }

    async fn text(socket: &mut Served) -> String {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        text.to_string()
    }

    fn pong() -> Outgoing {
        Outgoing::Frame(ClientFrame::Pong { n: 4 })
    }

    const PONG: &str = r#"{"t":"pong","n":4}"#;

    #[tokio::test]
    async fn a_server_that_sends_a_bomb_is_told_so_and_left() {
        let (_socket, mut heard, hostile) = opened(|mut socket: Served| async move {
            let bomb = packed(&vec![b' '; FRAME_BYTES * 4]);
            socket.send(Message::Binary(bomb.into())).await.unwrap();
            socket.next().await.unwrap().unwrap()
        })
        .await;
        assert_eq!(
            heard.recv().await,
            Some(Event::SocketClosed {
                ticket: 1,
                code: close::PROTOCOL
            })
        );
        let (_, close) = hostile.await.unwrap();
        assert!(
            matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == close::PROTOCOL),
            "{close:?}"
        );
    }

    #[tokio::test]
    async fn the_hello_goes_with_the_request_and_is_not_said_again_where_it_is_answered() {
        let (socket, mut heard, server) = opened(|mut socket: Served| async move {
            let ping = r#"{"t":"ping","n":4,"head":40}"#;
            socket.send(Message::text(ping)).await.unwrap();
            text(&mut socket).await
        })
        .await;
        assert!(matches!(heard.recv().await, Some(Event::Frame { .. })));
        socket.send(pong());
        let (request, first) = server.await.unwrap();
        let hello = format!(r#"{{"t":"hello","cursor":"{CURSOR}","enc":["zstd"]}}"#);
        let hello = format!("{HELLO_HEADER}: {hello}\r\n");
        assert!(request.contains(&hello), "{request}");
        assert_eq!(first, PONG);
    }

    #[tokio::test]
    async fn a_hello_that_was_lost_on_the_way_is_said_as_the_first_frame() {
        let (socket, _heard, server) = opened(|mut socket: Served| async move {
            let first = text(&mut socket).await;
            (first, text(&mut socket).await)
        })
        .await;
        // before anything is heard
        socket.send(pong());
        let (_, (first, second)) = server.await.unwrap();
        assert!(first.starts_with(r#"{"t":"hello","cursor":"#), "{first}");
        assert_eq!(second, PONG);
    }
}
