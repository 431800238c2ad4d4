//! A TCP proxy that a test can shut, stall, slow down or cut: the network between two programs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[derive(Clone, Copy, Debug)]
struct Passage {
    upstream: SocketAddr,
    is_open: bool,
    /// Connections stay, new ones are taken, and nothing passes.
    is_still: bool,
    /// Added to each chunk, both ways.
    delay: Duration,
    /// Connections of an earlier era are cut.
    era: u64,
    /// As a proxy that knows no WebSocket.
    refuses_sockets: bool,
}

/// What has passed since the gate was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub connections: u64,
    /// Bytes to the server, and from it.
    pub inward: u64,
    pub outward: u64,
    /// How often a client spoke and was answered, in all connections together.
    pub round_trips: u64,
}

/// What a connection's first request and its answer said before their bodies, each to the empty line.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    pub inward: String,
    pub outward: String,
}

#[derive(Debug, Default)]
struct Counts {
    passed: Mutex<Passed>,
    /// Of the connection that was answered last.
    heads: Mutex<Heads>,
}

impl Counts {
    fn add(&self, add: impl FnOnce(&mut Passed)) {
        add(&mut self.passed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note(&self, note: impl FnOnce(&mut Heads)) {
        note(&mut self.heads.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A longer one is not looked at.
const HEAD_BYTES: usize = 16 * 1024;

/// The beginning of what is said one way, until its head is whole.
#[derive(Debug, Default)]
struct Beginning {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Beginning {
    /// The head, with the bytes that make it whole.
    fn take(&mut self, more: &[u8]) -> Option<String> {
        if self.is_over {
            return None;
        }
        self.bytes.extend_from_slice(more);
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        self.is_over = end.is_some() || self.bytes.len() > HEAD_BYTES;
        if !self.is_over {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let head = bytes.get(..end? + 4)?;
        Some(String::from_utf8_lossy(head).into_owned())
    }
}

/// Listens on a port of its own, for as long as it lives, and passes bytes on.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    counts: Arc<Counts>,
    listening: AbortHandle,
}

impl Gate {
    pub async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap_or_else(|error| panic!("opening a gate: {error}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("reading a gate's address: {error}"));
        let (passage, seen) = watch::channel(Passage {
            upstream,
            is_open: true,
            is_still: false,
            delay: Duration::ZERO,
            era: 0,
            refuses_sockets: false,
        });
        let counts = Arc::<Counts>::default();
        let counted = counts.clone();
        let listening = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(pass(inner, seen.clone(), counted.clone()));
            }
        });
        Self {
            address,
            passage,
            counts,
            listening: listening.abort_handle(),
        }
    }

    /// To `host:port` of a URL, whose other parts stay: gives the gate and the URL through it.
    pub async fn before(url: &str) -> (Self, String) {
        let mut parsed = url::Url::parse(url).unwrap_or_else(|error| panic!("reading {url}: {error}"));
        let port = parsed
            .port()
            .unwrap_or(if parsed.scheme() == "redis" { 6379 } else { 5432 });
        let host = parsed.host_str().unwrap_or("127.0.0.1").to_owned();
        let upstream = tokio::net::lookup_host((host.as_str(), port))
            .await
            .ok()
            .and_then(|mut found| found.next())
            .unwrap_or_else(|| panic!("{host}:{port} has no address"));
        let gate = Self::to(upstream).await;
        let _ = parsed.set_host(Some("127.0.0.1"));
        let _ = parsed.set_port(Some(gate.address.port()));
        (gate, parsed.to_string())
    }

    pub fn passed(&self) -> Passed {
        *self.counts.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the connection that was answered last began. Only where HTTP is spoken, and by one connection at a time.
    pub fn heads(&self) -> Heads {
        let heads = self.counts.heads.lock();
        heads.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing passes, and what is connected is cut.
    pub fn shut(&self) {
        self.passage.send_modify(|passage| {
            passage.is_open = false;
            passage.era += 1;
        });
    }

    pub fn open(&self) {
        self.passage.send_modify(|passage| {
            passage.is_open = true;
            passage.is_still = false;
            passage.delay = Duration::ZERO;
        });
    }

    /// Nothing passes until it is opened, and nobody is told: as a cable that was pulled. What was said meanwhile arrives
    /// then.
    pub fn stall(&self) {
        self.passage.send_modify(|passage| passage.is_still = true);
    }

    /// Each chunk takes this much longer.
    pub fn slow(&self, delay: Duration) {
        self.passage.send_modify(|passage| passage.delay = delay);
    }

    /// Sockets are refused from here on, and all else passes.
    pub fn refuse_sockets(&self) {
        self.passage.send_modify(|passage| {
            passage.refuses_sockets = true;
            passage.era += 1;
        });
    }

    /// Cuts what is connected; new connections pass.
    pub fn cut(&self) {
        self.passage.send_modify(|passage| passage.era += 1);
    }

    pub(crate) fn upstream(&self) -> SocketAddr {
        self.passage.borrow().upstream
    }

    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.passage.send_modify(|passage| passage.upstream = upstream);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
        self.listening.abort();
    }
}

async fn pass(inner: TcpStream, mut seen: watch::Receiver<Passage>, counts: Arc<Counts>) {
    let now = *seen.borrow_and_update();
    // a reset, as from a port where nobody listens, and not a polite end
    let refuse = |stream: &TcpStream| stream.set_zero_linger();
    if !now.is_open {
        let _ = refuse(&inner);
        return;
    }
    if now.refuses_sockets && asks_for_socket(&inner).await {
        let mut inner = inner;
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = inner.write_all(answer.as_bytes()).await;
        return;
    }
    let Ok(outer) = TcpStream::connect(now.upstream).await else {
        let _ = refuse(&inner);
        return;
    };
    let _ = (inner.set_nodelay(true), outer.set_nodelay(true));
    counts.add(|passed| passed.connections += 1);
    // who spoke last: a client that speaks again after an answer begins another round trip
    let is_asked = AtomicBool::new(false);
    let (mut asked, mut answered) = (Beginning::default(), Beginning::default());
    let ask = |bytes: &[u8]| {
        let is_first = !is_asked.swap(true, Ordering::Relaxed);
        counts.add(|passed| {
            passed.inward += bytes.len() as u64;
            passed.round_trips += u64::from(is_first);
        });
        if let Some(head) = asked.take(bytes) {
            counts.note(|heads| heads.inward = head);
        }
    };
    let answer = |bytes: &[u8]| {
        is_asked.store(false, Ordering::Relaxed);
        counts.add(|passed| passed.outward += bytes.len() as u64);
        if let Some(head) = answered.take(bytes) {
            counts.note(|heads| heads.outward = head);
        }
    };
    let (inner_read, inner_write) = inner.into_split();
    let (outer_read, outer_write) = outer.into_split();
    let both = async {
        tokio::join!(
            copy(inner_read, outer_write, seen.clone(), ask),
            copy(outer_read, inner_write, seen.clone(), answer)
        );
    };
    let mut cut = seen.clone();
    tokio::select! {
        () = both => {}
        _ = cut.wait_for(|passage| passage.era != now.era) => {}
    }
}

/// By the first bytes of a connection: a device opens a new one for its socket.
async fn asks_for_socket(inner: &TcpStream) -> bool {
    let mut begun = [0; 8];
    let mut length = 0;
    while length < begun.len() {
        match inner.peek(&mut begun).await {
            Ok(more) if more > length => length = more,
            _ended => break,
        }
    }
    &begun == b"GET /ws "
}

async fn copy(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut seen: watch::Receiver<Passage>,
    mut count: impl FnMut(&[u8]),
) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        count(chunk.get(..length).unwrap_or_default());
        let _ = seen.wait_for(|passage| !passage.is_still).await;
        let delay = seen.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to
            .write_all(chunk.get(..length).unwrap_or_default())
            .await
            .is_err()
        {
            return;
        }
    }
    let _ = to.shutdown().await;
}
