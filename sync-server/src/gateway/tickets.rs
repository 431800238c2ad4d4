//! Tickets: how a page proves in its socket's first frame that it is the signed-in page, and not another site that made the
//! browser send its cookie (CWE-1385). One use, 30 seconds, bound to the device.

use super::Gateway;
use crate::auth::{Auth, Caller};
use crate::error::Result;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::auth::Ticket;
use protocol::routes;
use protocol::{Code, DeviceId, Problem};
use sha2::{Digest as _, Sha256};

const SECONDS: u64 = 30;

/// A ticket for this device's next socket.
#[utoipa::path(post, path = routes::SOCKET_TICKET, responses((status = 200, body = Ticket), (status = 401, body = Problem)))]
pub async fn issue(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Ticket>> {
    let auth = gateway.runs().sync().auth();
    let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let mut redis = auth.redis.clone();
    redis::cmd("SET")
        .arg(key(auth, &ticket))
        .arg(caller.device.to_string())
        .arg("EX")
        .arg(SECONDS)
        .query_async::<()>(&mut redis)
        .await?;
    Ok(Json(Ticket { ticket }))
}

/// Takes the ticket and says whose it was; a second time it is nobody's.
pub async fn redeem(auth: &Auth, ticket: &str) -> Result<DeviceId> {
    let mut redis = auth.redis.clone();
    let device: Option<String> = redis::cmd("GETDEL").arg(key(auth, ticket)).query_async(&mut redis).await?;
    let device = device.and_then(|text| text.parse().ok());
    Ok(device.ok_or(Code::SignInRequired)?)
}

/// Kept by its hash: whoever reads Redis cannot use it.
fn key(auth: &Auth, ticket: &str) -> String {
    auth.key(format_args!("ticket:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(ticket))))
}
