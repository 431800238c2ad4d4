//! Signing in where no browser can be opened (RFC 8628): a code is shown here and typed into a browser elsewhere, and the server is
//! asked until that was answered.
//!
//! **Invariant:** what the server is asked by, and the key, are in this program's memory alone; whoever reads the shown code has neither.

use super::Device;
use crate::engine::Failure;
use crate::http::{Call, Http, Trouble};
use crate::proof::ProofKey;
use protocol::auth::{Me, SignedIn};
use protocol::oauth::{CLIENT_ID, DeviceCodeAnswer, DeviceCodeAsk, Grant};
use protocol::{Code, Problem, routes};
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::Url;

/// The longest that one code is asked about, in seconds, whatever the server says.
const LONGEST: u32 = 30 * 60;
/// How much more seldom a server wants to be asked that says so (§3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// Where nobody answers, no more seldom than this: whoever is online again waits no longer.
const SELDOM: Duration = Duration::from_secs(20);
/// No server's code is longer; nobody would type it.
const TYPED: usize = 16;

/// Waits for its answer by [`Device::answer_to`].
pub struct DeviceCode {
    /// To be typed by the person …
    pub user_code: String,
    /// … here.
    pub address: Url,
    /// From when it was asked for.
    pub lifetime: Duration,
    device_code: String,
    pause: Duration,
    until: Instant,
    key: ProofKey,
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCode(…)")
    }
}

/// The person said yes: for [`Device::enter`].
pub struct Admission {
    pub(super) signed_in: SignedIn,
    key: ProofKey,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(…)")
    }
}

impl DeviceCode {
    /// What the server answered, if it can be shown as it is: signs that are on every keyboard, for an address of this very server.
    pub(super) fn read(answer: DeviceCodeAnswer, key: ProofKey, server: &Url) -> Result<Self, Problem> {
        let is_typed = (1..=TYPED).contains(&answer.user_code.len())
            && answer
                .user_code
                .bytes()
                .all(|sign| sign.is_ascii_alphanumeric() || sign == b'-');
        let address = Url::parse(&answer.verification_uri).ok();
        let address = address.filter(|address| is_typed && address.origin() == server.origin());
        let address = address.ok_or_else(|| {
            Problem::new(Code::ProviderFailed).detail("The server's answer made no sense. Please try again.")
        })?;
        let lifetime = Duration::from_secs(u64::from(answer.expires_in.min(LONGEST)));
        Ok(Self {
            user_code: answer.user_code,
            address,
            lifetime,
            device_code: answer.device_code,
            pause: Duration::from_secs(u64::from(answer.interval.max(1))),
            until: Instant::now() + lifetime,
            key,
        })
    }
}

fn too_late() -> Problem {
    Problem::new(Code::InvalidOrExpiredLink).detail("The code was not typed in time. Please start again.")
}

/// How long to wait until the next question; refused, where there is none. A server that nobody reaches said nothing of the code.
fn pause_after(trouble: Trouble, pause: Duration) -> Result<Duration, Problem> {
    match trouble.oauth.as_deref() {
        Some("authorization_pending") => Ok(pause),
        Some("slow_down") => Ok(pause + SLOWER),
        Some("access_denied") => Err(Problem::new(Code::ProviderCancelled)
            .detail("The sign-in was refused in the browser. Nothing was changed.")),
        Some("expired_token") => Err(too_late()),
        Some(_) => Err(Problem::new(Code::InvalidOrExpiredLink)
            .detail("This sign-in is no longer valid. Please start again.")),
        None => match trouble.failure {
            Failure::NotSent | Failure::Cut if pause < SELDOM => Ok(SELDOM.min(pause * 2)),
            Failure::NotSent | Failure::Cut => Ok(pause),
            Failure::Later { retry_after } => {
                let wanted = u64::from(retry_after.unwrap_or_default());
                Ok(pause.max(Duration::from_secs(wanted)))
            }
            Failure::Unauthorized | Failure::Reset(_) | Failure::Refused(_) => Err(trouble.problem),
        },
    }
}

/// Asks until there is an answer. `wait` lets time pass.
pub(super) async fn answered<W: Future<Output = ()>>(
    http: &Http,
    code: DeviceCode,
    wait: impl Fn(Duration) -> W,
) -> Result<Admission, Problem> {
    let DeviceCode { mut pause, key, .. } = code;
    let grant = Grant::DeviceCode {
        device_code: code.device_code,
        client_id: CLIENT_ID.to_owned(),
    };
    loop {
        let left = code.until.saturating_duration_since(Instant::now());
        wait(pause.min(left)).await;
        if Instant::now() >= code.until {
            return Err(too_late());
        }
        let call = Call::post(routes::TOKEN).form(&grant).proven_by(&key);
        let asked: Result<SignedIn, Trouble> = http.ask(call).await;
        match asked {
            Ok(signed_in) => return Ok(Admission { signed_in, key }),
            Err(trouble) => pause = pause_after(trouble, pause)?,
        }
    }
}

impl Device {
    /// `POST /oauth/device_authorization`: a code for a browser elsewhere.
    pub async fn device_code(&self) -> Result<DeviceCode, Problem> {
        let (computer, key) = (self.core.computer.clone(), ProofKey::fresh());
        let ask = DeviceCodeAsk {
            client_id: CLIENT_ID.to_owned(),
            name: computer.name,
            os: computer.os,
            version: computer.version,
            dpop_jkt: Some(key.thumbprint()),
        };
        let call = Call::post(routes::DEVICE_AUTHORIZATION).form(&ask);
        let answer: DeviceCodeAnswer = self.core.http.ask(call).await?;
        DeviceCode::read(answer, key, self.core.http.base())
    }

    /// Waits for what the person answers elsewhere, also where the network goes meanwhile; nobody waits any more once this is dropped.
    /// `None`: this device was closed.
    pub async fn answer_to(&self, code: DeviceCode) -> Result<Option<Admission>, Problem> {
        tokio::select! {
            () = self.core.stop.cancelled() => Ok(None),
            outcome = answered(&self.core.http, code, sleep) => outcome.map(Some),
        }
    }

    /// Keeps the sign-in and goes to work with it.
    pub async fn enter(&self, admission: Admission) -> Result<Me, Problem> {
        self.adopt(admission.signed_in, admission.key).await
    }
}
