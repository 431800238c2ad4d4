//! HTTP on a listener: a task for each connection, a bound on how long a request's head may take, and an orderly end.
//! Written out, since axum's own `serve` has no such bound: half-open connections would hold memory for good.

mod lingering;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lingering::Lingering;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the head of a request may take; a connection that stays idle between requests is held as long.
const HEAD: Duration = Duration::from_secs(10);
/// How long somebody may take nothing of what they are told: the answer lies in memory until they have it. Long, since a
/// connection counts as stuck until a good part of what the system holds for it has gone: slow readers take a while for that.
const TAKEN: Duration = Duration::from_mins(2);
/// How long requests that are being answered are waited for at the end.
const ANSWERED: Duration = Duration::from_secs(20);

/// Connections that may wait to be accepted, as far as the system allows. Everybody comes at once after a restart, and who
/// finds no room tries again a second later.
const WAITING: u32 = 4096;

/// A listener with room for many who come at once. Port 0 takes a free one.
pub fn on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // else a restart would wait for what the last one left on the way. On Windows it would share the port instead
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// A connection that breaks once its reader takes nothing for too long.
fn unread<S: AsyncRead + AsyncWrite>(stream: S) -> Pin<Box<TimeoutStream<S>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TAKEN));
    Box::pin(stream)
}

/// Serves until `ending`, then takes no more and waits for what is being answered. Upgraded connections are not its own
/// any more.
pub async fn serve(mut listener: TcpListener, routes: Router, ending: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let routes = TowerToHyperService::new(routes);
    let (connections, is_over) = (TaskTracker::new(), CancellationToken::new());
    let mut ending = pin!(ending);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut ending => break,
        };
        // replies are told in small frames, which must not wait for each other's receipt
        let _ = stream.set_nodelay(true);
        let routes = routes.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.call(request)
        });
        let connection = http
            .serve_connection(TokioIo::new(unread(Lingering::over(stream))), service)
            .with_upgrades();
        let is_over = is_over.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let served = tokio::select! {
                served = &mut connection => served,
                () = is_over.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(peer = %peer, error = %error, "a connection broke");
            }
        });
    }
    drop(listener);
    is_over.cancel();
    connections.close();
    if tokio::time::timeout(ANSWERED, connections.wait()).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "some requests were not answered in time"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    const ANSWER: usize = 64 * 1024 * 1024;

    async fn asked() -> TcpStream {
        let listener = on(([127, 0, 0, 1], 0).into()).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().route("/", get(async || vec![b'x'; ANSWER]));
        tokio::spawn(serve(listener, routes, std::future::pending()));
        let mut reader = TcpStream::connect(address).await.expect("a connection");
        reader
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .expect("asked");
        // some of it has come: the rest waits to be taken
        reader.readable().await.expect("an answer");
        reader
    }

    /// Time goes by only while nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn an_answer_is_not_kept_for_somebody_who_takes_nothing_of_it() {
        let mut reader = asked().await;
        tokio::time::sleep(2 * TAKEN).await;
        let mut taken = Vec::new();
        let _broken = reader.read_to_end(&mut taken).await;
        assert!(taken.len() < ANSWER, "{} bytes", taken.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_at_a_time_gets_all_of_it() {
        // not through the system's sockets, which know nothing of this clock
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let telling = tokio::spawn(async move { unread(ours).write_all(&vec![b'x'; 20 * 1024]).await });
        let mut some = [0; 1024];
        let mut taken = 0;
        while taken < 20 * 1024 {
            tokio::time::sleep(TAKEN / 2).await;
            taken += theirs.read(&mut some).await.expect("more of it");
        }
        telling.await.expect("told").expect("all of it");
    }
}
