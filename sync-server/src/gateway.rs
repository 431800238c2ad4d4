//! Sockets: hints, live text, and nothing that must not be lost. One task and small buffers for each.
//!
//! A socket is handed to [`connection`] (`/ws`) or [`session`] (`/ws/{session_id}`) once it is known whose it is.
//! **Invariant:** closing a socket ends no run; what a slow reader has not taken is not queued but read again from the log.

mod connection;
mod session;
mod tickets;
mod upgrade;
mod view;
mod wire;

use crate::auth::Auth;
use crate::runs::Runs;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use protocol::routes;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi as _;

/// Clients spread their reconnects over this long when the server ends.
const DRAIN: Duration = Duration::from_secs(5);

/// The room's state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    runs: Runs,
    /// axum lets upgraded sockets go uncounted at its end, so they are counted here.
    sockets: TaskTracker,
    /// Cancelled: tell every client to go elsewhere.
    draining: CancellationToken,
    /// Cancelled: close what is left.
    closing: CancellationToken,
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(upgrade::connect, upgrade::connect_session, tickets::issue))]
struct Docs;

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route(routes::SOCKET, get(upgrade::connect))
        .route(routes::SESSION_SOCKET, get(upgrade::connect_session))
        .route(routes::SOCKET_TICKET, post(tickets::issue))
        .with_state(gateway)
}

impl Gateway {
    pub fn start(runs: Runs) -> Self {
        let parts = Parts {
            runs,
            sockets: TaskTracker::new(),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        Self(Arc::new(parts))
    }

    pub fn runs(&self) -> &Runs {
        &self.0.runs
    }

    /// Lets every socket go: clients hear `drain` and reconnect elsewhere at a random time; the rest is closed.
    pub async fn drain(&self) {
        self.0.draining.cancel();
        self.0.sockets.close();
        if tokio::time::timeout(DRAIN, self.0.sockets.wait()).await.is_err() {
            self.0.closing.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(2), self.0.sockets.wait()).await;
        }
    }
}

impl FromRef<Gateway> for Auth {
    fn from_ref(gateway: &Gateway) -> Self {
        gateway.runs().sync().auth().clone()
    }
}
