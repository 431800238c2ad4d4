//! HTTP on a listener: a task for each connection, a bound on how long a request's head may take, and an orderly end.
//! Written out, since axum's own `serve` has no such bound: half-open connections would hold memory for good.

use axum::Router;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the head of a request may take; a connection that stays idle between requests is held as long.
const HEAD: Duration = Duration::from_secs(10);
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
            .serve_connection(TokioIo::new(stream), service)
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
