//! Who may open a socket, and with which bounds.

use super::{Gateway, connection, session};
use crate::auth::{Auth, Caller, Kind};
use crate::error::{Error, Result};
use crate::sessions;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use protocol::frame::SUBPROTOCOL;
use protocol::{Code, Problem, SessionId, limits, routes};

/// Read and write buffers of a socket. axum's own default of 128 KiB, taken at once, is a gigabyte for 10,000 sockets.
const BUFFER_BYTES: usize = 4 * 1024;
/// What may wait for a slow reader inside the socket; more is an error, and the reader is let go.
const WRITE_BYTES: usize = 1024 * 1024;

/// The socket of a device: hints and live text (subprotocol `compymac.v1`). A native client proves itself in the
/// `Authorization` header; a browser by its cookie, its origin, and a ticket in its first frame.
#[utoipa::path(get, path = routes::SOCKET, responses(
    (status = 101, description = "The protocol is described in protocol::frame"),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
))]
pub async fn connect(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let caller = caller(&gateway, &headers, query.as_deref()).await?;
    let tracker = gateway.0.sockets.clone();
    Ok(bounded(upgrade)
        .protocols([SUBPROTOCOL])
        .on_upgrade(move |socket| tracker.track_future(connection::run(gateway, socket, caller))))
}

/// The socket of one session, for scripts: history, messages in, replies out.
#[utoipa::path(get, path = routes::SESSION_SOCKET, params(("session_id" = String, Path)), responses(
    (status = 101, description = "The protocol is described in protocol::session_socket"),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
))]
pub async fn connect_session(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    id: Path<String>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let caller = caller(&gateway, &headers, query.as_deref()).await?;
    let id: SessionId = id.parse().map_err(|_not_an_id| Error::from(Code::NotFound))?;
    let auth = gateway.runs().sync().auth();
    sessions::session(&auth.pool, caller.user, id).await?;
    let tracker = gateway.0.sockets.clone();
    Ok(bounded(upgrade).on_upgrade(move |socket| tracker.track_future(session::run(gateway, socket, caller, id))))
}

/// A credential in the address would be in every log on the way, so such a request is refused whole (not only the token ignored).
async fn caller(gateway: &Gateway, headers: &HeaderMap, query: Option<&str>) -> Result<Caller> {
    let names = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    if names.into_iter().any(|(name, _)| matches!(&*name, "token" | "access_token" | "ticket")) {
        let problem = Problem::new(Code::BadRequest);
        return Err(problem.detail("A credential does not belong in an address. Send it in the Authorization header.").into());
    }
    if gateway.0.draining.is_cancelled() {
        return Err(Problem::new(Code::Unavailable).retry_after(1).into());
    }
    let auth: &Auth = gateway.runs().sync().auth();
    let caller = auth.caller_by_headers(headers).await?.ok_or(Code::SignInRequired)?;
    if caller.kind == Kind::Browser {
        auth.must_be_same_origin(headers)?;
    }
    Ok(caller)
}

fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BYTES)
        .max_message_size(limits::FRAME_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
}
