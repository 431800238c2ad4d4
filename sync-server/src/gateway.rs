//! Sockets, and streams for who gets none: hints, changes small enough to push, and the text of replies as they are made. One task for each socket,
//! and nothing queued for it: changes are shared between a user's sockets, text is read from where the run keeps it.
//!
//! **Invariant:** nothing that must not be lost travels only here. A credential never stands in an address.

mod device_socket;
mod due;
mod line;
mod pack;
mod run_stream;
mod session_socket;
mod slots;
mod tickets;
mod viewing;

use crate::auth::{Auth, Caller, Credential, Kind};
use crate::error::{Error, Result};
use crate::hints::{LISTENERS, Subscription};
use crate::limits::{Class, Who, address, counted, one_too_many};
use crate::runs::Runs;
use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRef, FromRequestParts, WebSocketUpgrade};
use axum::routing::{get, post};
use http::request::Parts as RequestParts;
use http::{HeaderMap, header};
use line::Ended;
use protocol::frame::close;
use protocol::{Code, Problem, UserId, limits, routes};
use slots::{Slot, Slots};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi as _;

/// Sockets that one node holds open.
const PER_NODE: usize = 50_000;
/// What a frame on its way out may take: a message at its longest fits, escaped at its worst (six bytes for one).
const WRITE_BYTES: usize = 2 * 1024 * 1024;
/// tungstenite's own defaults take 128 KiB for each socket at once.
const BUFFER_BYTES: usize = 4096;
/// The part of a node's connections to PostgreSQL that sockets being opened take at most, and at least one. After a crash thousands
/// come back at once; whoever reads and writes meanwhile does not stand behind all of them.
const OPENINGS: u32 = 4;
/// How long a socket waits for its turn to be opened, before it is sent away to come again.
const TURN: Duration = Duration::from_secs(10);
/// Sockets of one person that were asked for on one node and have not said hello yet: as many as may be open, since all of them come back
/// at once.
const WAITING: usize = LISTENERS;
/// Sockets of browsers of one network that have shown a cookie and no ticket yet. A page says hello as soon as its socket is open, so
/// that an office comes in by these too, one after the other.
const UNPROVEN: u32 = 20;
/// How long the last goodbyes are waited for when the process ends.
const GOODBYE: Duration = Duration::from_secs(3);

/// The room's state, and everybody's: it holds every room below. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Parts>);

struct Parts {
    runs: Runs,
    sockets: TaskTracker,
    streams: run_stream::Streams,
    waiting: Slots<UserId>,
    unproven: Slots<String>,
    openings: Semaphore,
    /// Cancelled when sockets are to leave this node.
    leaving: CancellationToken,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Deref for Gateway {
    type Target = Runs;
    fn deref(&self) -> &Runs {
        &self.0.runs
    }
}

impl FromRef<Gateway> for Auth {
    fn from_ref(gateway: &Gateway) -> Self {
        gateway.sync().auth().clone()
    }
}

impl Gateway {
    pub fn start(runs: Runs) -> Self {
        let openings = (runs.config.database_connections / OPENINGS).max(1);
        Self(Arc::new(Parts {
            openings: Semaphore::new(openings as usize),
            runs,
            sockets: TaskTracker::new(),
            streams: run_stream::Streams::default(),
            waiting: Slots::default(),
            unproven: Slots::default(),
            leaving: CancellationToken::new(),
        }))
    }

    pub fn runs(&self) -> &Runs {
        &self.0.runs
    }

    /// Leave to ask the database for a socket that is being opened, as long as it is held. `None`: too many wait already.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(TURN, self.0.openings.acquire()).await;
        turn.ok().and_then(std::result::Result::ok)
    }

    /// A place among the sockets that have not said hello yet. An app has proven itself as it asks. Of a browser's request only its
    /// cookie is known until there is a ticket, so these are counted by network too.
    fn waiting(&self, caller: &Caller, network: &str) -> Result<Waiting, Problem> {
        let of_person = self.0.waiting.take(caller.user, WAITING);
        let of_person = of_person.ok_or_else(|| {
            one_too_many(
                WAITING,
                "of your sockets have not said hello yet. Please let one of them do so, or wait for a moment.",
            )
        })?;
        let mut of_network = Vec::new();
        let networks = counted(network).into_iter();
        for (network, times) in networks.filter(|_| caller.kind == Kind::Browser) {
            let most = UNPROVEN.saturating_mul(times * self.config.rate_limit_factor) as usize;
            let slot = self.0.unproven.take(network, most);
            of_network.push(slot.ok_or_else(|| {
                one_too_many(
                    most,
                    "sockets of your network have not shown yet whose they are. Please wait for a moment.",
                )
            })?);
        }
        Ok(Waiting {
            _of_person: of_person,
            _of_network: of_network,
        })
    }

    fn drains_within(&self) -> Duration {
        Duration::from_secs(self.config.drain_within.into())
    }

    /// Lets go of every socket: opens no more, tells all, and waits until they have left or were closed.
    pub async fn drain(&self) {
        self.0.leaving.cancel();
        self.0.sockets.close();
        let longest = self.drains_within() * 3 / 2 + GOODBYE;
        if tokio::time::timeout(longest, self.0.sockets.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.0.sockets.len(), "some sockets did not close in time");
        }
    }
}

pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route(routes::SOCKET, get(device_socket::open))
        .route(routes::SESSION_SOCKET, get(session_socket::open))
        .route(routes::SOCKET_TICKET, post(tickets::issue))
        .route(routes::RUN, get(run_stream::read))
        .with_state(gateway)
}

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(device_socket::open, session_socket::open, tickets::issue, run_stream::read))]
struct Docs;

/// What was heard meanwhile of the credential that a connection was opened with.
fn heard_of(news: &Subscription, caller: &Caller) -> Result<(), Ended> {
    must_hold(caller.heard(news))
}

fn must_hold(credential: Credential) -> Result<(), Ended> {
    match credential {
        Credential::Holds => Ok(()),
        // the browser itself comes again with its cookie of now, and whoever copied the one before does not
        Credential::Replaced => Err(Ended::Close(close::TOKEN_EXPIRED)),
        Credential::SignedOut => Err(Ended::Close(close::REVOKED)),
    }
}

/// For a socket that is open: a device signed out meanwhile ends it. A database that is away ends nothing.
async fn must_be_signed_in(gateway: &Gateway, caller: &Caller, counts_as_use: bool) -> Result<(), Ended> {
    if counts_as_use {
        gateway.sync().auth().note_use(caller.device);
    }
    let credential = gateway.credential_of(caller).await;
    must_hold(credential.unwrap_or(Credential::Holds))
}

/// Held until the socket is counted among those that are open, or is no more.
struct Waiting {
    _of_person: Slot<UserId>,
    _of_network: Vec<Slot<String>>,
}

/// A request to open a socket whose sender is proven. Refused as a problem before anything is upgraded.
struct Opening {
    caller: Caller,
    upgrade: WebSocketUpgrade,
    waiting: Waiting,
}

impl FromRequestParts<Gateway> for Opening {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut RequestParts, gateway: &Gateway) -> Result<Self> {
        if has_token(parts.uri.query().unwrap_or_default()) {
            return Err(Problem::new(Code::BadRequest)
                .detail("A token must not stand in the address, where logs would keep it. Please send it in the Authorization header.")
                .into());
        }
        let auth = gateway.sync().auth();
        let network = address::prefix(auth.address_of(&parts.extensions, &parts.headers));
        let turn = gateway.turn().await;
        if turn.is_none() {
            return Err(Problem::new(Code::Unavailable).retry_after(2).into());
        }
        let caller = auth.caller_by_headers(&parts.headers).await;
        drop(turn);
        let caller = caller.and_then(|caller| caller.ok_or_else(|| Code::SignInRequired.into()));
        let caller = caller.or_else(|error| {
            // who is signed in is counted by device, since a whole office may be one network
            auth.limits().take_here(Class::Socket, Who::Address(&network))?;
            Err(error)
        })?;
        // a browser sends its cookie from any page; only our own may open a socket with it
        if caller.kind == Kind::Browser && !is_from(&parts.headers, &gateway.config.origin()) {
            return Err(Code::OriginDenied.into());
        }
        if gateway.0.leaving.is_cancelled() || gateway.0.sockets.len() >= PER_NODE {
            return Err(Problem::new(Code::Unavailable).retry_after(2).into());
        }
        auth.limits()
            .take_here(Class::Socket, Who::Device(caller.device.0))?;
        let waiting = gateway.waiting(&caller, &network)?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, gateway)
            .await
            .map_err(|rejection: WebSocketUpgradeRejection| {
                Problem::new(Code::BadRequest).detail(format!("This address opens a WebSocket: {rejection}."))
            })?;
        let upgrade = upgrade
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BYTES)
            .max_message_size(limits::FRAME_BYTES)
            .max_frame_size(limits::FRAME_BYTES);
        Ok(Self {
            caller,
            upgrade,
            waiting,
        })
    }
}

/// Whether the device was signed out, or its browser got another cookie, since its request was looked at. A database that does
/// not answer says nothing of it: the device comes back later.
async fn still_signed_in(gateway: &Gateway, caller: &Caller) -> Result<(), Ended> {
    let credential = gateway.credential_of(caller).await;
    must_hold(credential.map_err(|_away| Ended::Close(close::OVERLOADED))?)
}

fn has_token(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, _)| matches!(&*name, "token" | "access_token" | "ticket"))
}

fn is_from(headers: &HeaderMap, origin: &str) -> bool {
    headers
        .get(header::ORIGIN)
        .is_some_and(|value| value.as_bytes() == origin.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_token_in_the_address_is_seen_however_it_is_written() {
        assert!(has_token("token=x") && has_token("a=b&token=") && has_token("%74oken=x"));
        assert!(!has_token("") && !has_token("a=token"));
    }

    #[test]
    fn only_the_exact_origin_is_ours() {
        let from = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            is_from(&headers, "https://compymac.example")
        };
        assert!(from("https://compymac.example"));
        for other in [
            "null",
            "https://compymac.example.evil",
            "http://compymac.example",
            "https://compymac.example:444",
        ] {
            assert!(!from(other), "{other}");
        }
        assert!(!is_from(&HeaderMap::new(), "https://compymac.example"));
    }
}
