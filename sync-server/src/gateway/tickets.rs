//! Tickets: what a browser's page shows in its socket's first frame, since a page cannot set a header there. A cookie
//! alone would let any page that the browser is made to open a socket from speak for its person.

use super::Gateway;
use crate::auth::Caller;
use crate::error::Result;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::auth::Ticket;
use protocol::{DeviceId, Problem, routes};
use sha2::{Digest as _, Sha256};

/// Seconds that a ticket is good for.
const GOOD_FOR: u64 = 30;

/// A ticket for this device's next socket: one use, 30 seconds.
#[utoipa::path(post, path = routes::SOCKET_TICKET, tag = "sockets",
    responses((status = 200, body = Ticket), (status = "4XX", body = Problem)))]
pub async fn issue(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Ticket>> {
    let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let () = gateway
        .redis
        .ask(&redis::Cmd::set_ex(
            key(&gateway, &ticket),
            caller.device.to_string(),
            GOOD_FOR,
        ))
        .await?;
    Ok(Json(Ticket { ticket }))
}

/// The device that a ticket was given to, once.
pub async fn redeem(gateway: &Gateway, ticket: &str) -> Result<Option<DeviceId>> {
    let device: Option<String> = gateway
        .redis
        .ask(&redis::Cmd::get_del(key(gateway, ticket)))
        .await?;
    Ok(device.and_then(|device| device.parse().ok()))
}

/// Redis holds only the hash: who reads it there cannot use it.
fn key(gateway: &Gateway, ticket: &str) -> String {
    gateway.key(format_args!(
        "ticket:{}",
        URL_SAFE_NO_PAD.encode(Sha256::digest(ticket))
    ))
}
