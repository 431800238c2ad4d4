//! A client's socket: frames in and out, and why it was closed.

use crate::client::Client;
use crate::wait::{PATIENCE, soon};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header;
use protocol::frame::{ClientFrame, Encoding, HELLO_HEADER, LiveRun, SUBPROTOCOL, ServerFrame};
use protocol::run::{At, Status};
use protocol::sync::Cursor;
use protocol::{DeviceId, RunId, routes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A ping comes every 25 seconds, and a look for lost hints every 30.
const OWN_TIME: Duration = Duration::from_secs(45);

#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the server said first; empty before a hello.
    pub welcome: Option<Welcome>,
    /// How many frames came packed.
    pub packed: usize,
    /// What came while something else was listened for: given out before what comes next.
    passed_over: VecDeque<ServerFrame>,
}

#[derive(Clone, Debug)]
pub struct Welcome {
    pub device: DeviceId,
    pub head: Cursor,
    pub live: Vec<LiveRun>,
}

/// A reply as it was watched to its end.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub text: String,
    pub status: Option<Status>,
    pub seq: i64,
    /// Frames with text, snapshots counted.
    pub pieces: usize,
    /// Where the viewer stands.
    pub at: Option<At>,
    pub ends: usize,
}

impl Socket {
    /// Connects and says hello in a first frame, as every kind of client may.
    pub async fn open(client: &Client) -> Self {
        Self::open_from(client, None).await
    }

    pub async fn open_from(client: &Client, cursor: Option<Cursor>) -> Self {
        Self::open_as(client, cursor, Vec::new()).await
    }

    /// As a client that takes large frames packed.
    pub async fn open_packed(client: &Client) -> Self {
        Self::open_as(client, None, vec![Encoding::Zstd]).await
    }

    async fn open_as(client: &Client, cursor: Option<Cursor>, enc: Vec<Encoding>) -> Self {
        let mut socket = Self::connect(client)
            .await
            .unwrap_or_else(|error| panic!("connecting: {error}"));
        let ticket = if client.is_browser() {
            Some(client.ticket().await)
        } else {
            None
        };
        let hello = ClientFrame::Hello { ticket, cursor, enc };
        socket.send(&hello).await;
        let welcome = socket
            .find("the welcome", |frame| match frame {
                ServerFrame::Welcome {
                    device, head, live, ..
                } => Some(Welcome { device, head, live }),
                _ => None,
            })
            .await;
        socket.welcome = Some(welcome);
        socket
    }

    /// Connects with the client's credential and says nothing yet.
    pub async fn connect(client: &Client) -> Result<Self, Box<Error>> {
        let origin = client.is_browser().then(|| client.origin().to_owned());
        Self::connect_as(client, routes::SOCKET, origin.as_deref()).await
    }

    /// Connects with these as the header for a hello, and says nothing more.
    pub async fn greet(client: &Client, hellos: &[&[u8]]) -> Self {
        let origin = client.is_browser().then(|| client.origin().to_owned());
        let mut headers = header::HeaderMap::new();
        for hello in hellos {
            let value = header::HeaderValue::from_bytes(hello);
            headers.append(
                HELLO_HEADER,
                value.unwrap_or_else(|error| panic!("a header: {error}")),
            );
        }
        Self::connect_with(client, routes::SOCKET, origin.as_deref(), headers)
            .await
            .unwrap_or_else(|error| panic!("connecting: {error}"))
    }

    /// Connects to any path with any origin.
    pub async fn connect_as(client: &Client, path: &str, origin: Option<&str>) -> Result<Self, Box<Error>> {
        Self::connect_with(client, path, origin, header::HeaderMap::new()).await
    }

    /// As [`Socket::connect`], through a trusted proxy from a network.
    pub async fn connect_from(client: &Client, path: &str, network: &str) -> Result<Self, Box<Error>> {
        let origin = client.is_browser().then(|| client.origin().to_owned());
        let mut headers = header::HeaderMap::new();
        let network = network
            .parse()
            .unwrap_or_else(|_| panic!("an address of {network:?}"));
        headers.insert("x-forwarded-for", network);
        Self::connect_with(client, path, origin.as_deref(), headers).await
    }

    async fn connect_with(
        client: &Client,
        path: &str,
        origin: Option<&str>,
        more: header::HeaderMap,
    ) -> Result<Self, Box<Error>> {
        let url = format!("{}{path}", client.base().replacen("http", "ws", 1));
        let mut request = url
            .into_client_request()
            .unwrap_or_else(|error| panic!("a socket's request: {error}"));
        let headers = request.headers_mut();
        headers.extend(client.credential_headers());
        headers.extend(more);
        // the small protocol of one session has no name to choose
        if path == routes::SOCKET {
            headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                header::HeaderValue::from_static(SUBPROTOCOL),
            );
        }
        if let Some(origin) = origin {
            let value = origin
                .parse()
                .unwrap_or_else(|_| panic!("an origin of {origin:?}"));
            headers.insert(header::ORIGIN, value);
        }
        // boxed: the handshake's future is large, and lies in that of every test
        let (stream, _) = soon("a socket's handshake", Box::pin(connect_async(request)))
            .await
            .map_err(Box::new)?;
        Ok(Self {
            stream,
            welcome: None,
            packed: 0,
            passed_over: VecDeque::new(),
        })
    }

    /// The status with which a handshake was refused.
    pub async fn refusal(client: &Client, path: &str, origin: Option<&str>) -> u16 {
        match Self::connect_as(client, path, origin).await {
            Ok(_) => panic!("{path} was opened"),
            Err(error) => match *error {
                Error::Http(response) => response.status().as_u16(),
                other => panic!("{path}: {other}"),
            },
        }
    }

    pub async fn send(&mut self, frame: &impl Serialize) {
        let text = serde_json::to_string(frame).unwrap_or_else(|error| panic!("writing a frame: {error}"));
        self.send_text(&text)
            .await
            .unwrap_or_else(|error| panic!("sending a frame: {error}"));
    }

    pub async fn send_text(&mut self, text: &str) -> Result<(), Box<Error>> {
        self.stream.send(Message::text(text)).await.map_err(Box::new)
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Box<Error>> {
        let message = Message::Binary(bytes.to_vec().into());
        self.stream.send(message).await.map_err(Box::new)
    }

    /// The next text of any kind; `Err` holds the close code once the socket is closed.
    pub async fn next_text(&mut self) -> Result<String, u16> {
        self.text_within(PATIENCE).await
    }

    async fn text_within(&mut self, patience: Duration) -> Result<String, u16> {
        loop {
            let message = tokio::time::timeout(patience, self.stream.next()).await;
            match message.unwrap_or_else(|_| panic!("waited {patience:?} for a frame")) {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Binary(message))) => {
                    self.packed += 1;
                    return Ok(unpack(&message));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                // no close frame at all: RFC 6455 calls that 1006
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next frame of the small protocol or another shape.
    pub async fn next_as<T: DeserializeOwned>(&mut self) -> T {
        let text = self
            .next_text()
            .await
            .unwrap_or_else(|code| panic!("closed with {code}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("reading {text}: {error}"))
    }

    /// The next frame; pings are answered and passed over.
    pub async fn next(&mut self) -> Result<ServerFrame, u16> {
        if let Some(frame) = self.passed_over.pop_front() {
            return Ok(frame);
        }
        loop {
            match self.arriving(PATIENCE).await? {
                ServerFrame::Ping { .. } => {}
                frame => return Ok(frame),
            }
        }
    }

    /// The next frame from the wire, of any kind; a ping is answered.
    async fn arriving(&mut self, patience: Duration) -> Result<ServerFrame, u16> {
        let text = self.text_within(patience).await?;
        let frame = serde_json::from_str(&text).unwrap_or_else(|error| panic!("reading {text}: {error}"));
        if let ServerFrame::Ping { n, .. } = frame {
            self.send(&ClientFrame::Pong { n }).await;
        }
        Ok(frame)
    }

    /// As [`Self::find`], for what comes in the server's own time, which may be half a minute. Pings are looked at too.
    pub async fn find_in_time<T>(&mut self, what: &str, look: impl Fn(&ServerFrame) -> Option<T>) -> T {
        let looking = async {
            loop {
                let frame = self.arriving(OWN_TIME).await;
                let frame =
                    frame.unwrap_or_else(|code| panic!("closed with {code} while waiting for {what}"));
                if let Some(found) = look(&frame) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(OWN_TIME, looking).await;
        found.unwrap_or_else(|_| panic!("waited {OWN_TIME:?} for {what}"))
    }

    /// Passes over frames until one gives an answer.
    pub async fn find<T>(&mut self, what: &str, mut look: impl FnMut(ServerFrame) -> Option<T>) -> T {
        let looking = async {
            let mut found = None;
            while found.is_none() {
                let frame = self.next().await;
                found =
                    look(frame.unwrap_or_else(|code| panic!("closed with {code} while waiting for {what}")));
            }
            found
        };
        let found = tokio::time::timeout(PATIENCE, looking).await.ok().flatten();
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
    }

    /// The code with which the server closes it.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next_text().await {
                return code;
            }
        }
    }

    /// Asks to be shown a run from its start.
    pub async fn attach(&mut self, run: RunId) {
        self.send(&ClientFrame::Attach {
            run,
            at: None,
            bytes: 0,
        })
        .await;
    }

    /// Watches a run from its start to its end, checking each piece's place.
    pub async fn watch(&mut self, run: RunId) -> Reply {
        let mut reply = Reply::default();
        self.attach(run).await;
        self.watch_on(run, &mut reply).await;
        reply
    }

    /// Goes on watching from where `reply` stands, to the end, and past it, where nothing more may come.
    pub async fn watch_on(&mut self, run: RunId, reply: &mut Reply) {
        while reply.status.is_none() {
            let frame = self
                .next()
                .await
                .unwrap_or_else(|code| panic!("closed with {code} while watching"));
            reply.take(run, frame);
        }
        self.listen_past_the_end(run, reply).await;
    }

    /// Goes on until something that was sent after the end has come back: a run that nobody has is refused. Whatever is said of
    /// the run until then counts, so that a second end is seen.
    async fn listen_past_the_end(&mut self, run: RunId, reply: &mut Reply) {
        self.attach(RunId::fresh()).await;
        loop {
            let frame = self.arriving(PATIENCE).await;
            match frame.unwrap_or_else(|code| panic!("closed with {code} after the end of a run")) {
                ServerFrame::Refused { .. } => return,
                frame if is_of(run, &frame) => reply.take(run, frame),
                ServerFrame::Ping { .. } => {}
                frame => self.passed_over.push_back(frame),
            }
        }
    }

    /// Goes on until there is at least this much text.
    pub async fn watch_until(&mut self, run: RunId, reply: &mut Reply, bytes: usize) {
        while reply.text.len() < bytes && reply.status.is_none() {
            let frame = self
                .next()
                .await
                .unwrap_or_else(|code| panic!("closed with {code} while watching"));
            reply.take(run, frame);
        }
    }
}

fn is_of(of: RunId, frame: &ServerFrame) -> bool {
    match frame {
        ServerFrame::Snap { run, .. } | ServerFrame::Delta { run, .. } | ServerFrame::End { run, .. } => {
            *run == of
        }
        _ => false,
    }
}

fn unpack(message: &[u8]) -> String {
    let packed = match message.split_first() {
        Some((&Encoding::ZSTD, packed)) => packed,
        other => panic!("a binary frame of an unknown kind: {other:?}"),
    };
    let text = zstd::bulk::decompress(packed, 16 * 1024 * 1024);
    let text = text.unwrap_or_else(|error| panic!("unpacking a frame: {error}"));
    String::from_utf8(text).unwrap_or_else(|error| panic!("reading a packed frame: {error}"))
}

impl Reply {
    /// Takes a frame in, failing the test where a piece does not join what is there.
    #[track_caller]
    pub fn take(&mut self, of: RunId, frame: ServerFrame) {
        match frame {
            ServerFrame::Snap {
                run,
                at,
                text,
                rewind,
            } if run == of => {
                assert!(
                    rewind || text.starts_with(&self.text),
                    "a snapshot without rewind continues what was shown"
                );
                (self.text, self.at) = (text, Some(at));
                self.pieces += 1;
            }
            ServerFrame::Delta {
                run,
                at,
                offset,
                text,
            } if run == of => {
                assert_eq!(offset, self.text.len() as u64, "a piece joins what is there");
                // pieces that waited come joined, so places may be jumped over; what is never jumped over is a byte
                if let Some(last) = self.at {
                    assert!(at > last, "{at} comes after {last}");
                }
                self.text.push_str(&text);
                self.at = Some(at);
                self.pieces += 1;
            }
            ServerFrame::End { run, status, seq } if run == of => {
                (self.status, self.seq) = (Some(status), seq);
                self.ends += 1;
            }
            ServerFrame::Refused { code, detail } => panic!("refused: {code}: {detail}"),
            _ => {}
        }
    }
}
