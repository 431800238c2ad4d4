//! From the app's pushed request (RFC 9126) to the code that the browser hands back: looked at, asked, confirmed.
//!
//! **Invariant:** no code without a person's press on the page that names the device, and nobody can wait for it but the
//! app that holds the verifier.

use super::super::audit_events::{self, Event};
use super::super::tries::Whose;
use super::super::{Auth, Caller, Kind, Visit, cookies, finish};
use super::dpop::Thumbprint;
use super::oauth_codes::{self, NewCode};
use crate::body::Json;
use crate::error::Result;
use crate::limits::{Class, Who};
use anyhow::Context as _;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use protocol::auth::Client;
use protocol::oauth::{CLIENT_ID, PushedAnswer, PushedRequest, REDIRECT_DEEP_LINK, REQUEST_URI};
use protocol::{Code, Problem, routes};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

/// Seconds that a pushed request waits for the person in the browser.
const WAITS: u32 = 600;

/// A request as it waits in Redis.
#[derive(Serialize, Deserialize)]
struct Pushed {
    request: PushedRequest,
    asked_from: String,
    /// Unix seconds.
    asked_at: i64,
}

/// Takes the app's request before the browser opens, so that nobody can change it on the way.
#[utoipa::path(post, path = routes::PAR, tag = "Native app", request_body = PushedRequest,
    responses((status = 201, body = PushedAnswer), (status = 400, body = Problem), (status = 429, body = Problem)))]
pub async fn post_par(
    State(auth): State<Auth>,
    headers: HeaderMap,
    visit: Visit,
    Json(mut ask): Json<PushedRequest>,
) -> Result<(StatusCode, axum::Json<PushedAnswer>)> {
    auth.must_not_be_foreign(&headers)?;
    let prefix = visit.prefix();
    let whos = [Who::Address(&prefix)];
    auth.take(Class::OAuthStart, &whos, Whose::Unknown, &visit)
        .await?;
    must_be_sound(&ask)?;
    if let Some(provider) = &ask.provider {
        auth.0.providers.find(provider)?;
    }
    ask.device = tidy(ask.device)?;
    let id = cookies::fresh_secret();
    let pushed = Pushed {
        request: ask,
        asked_from: auth.whence(&visit),
        asked_at: OffsetDateTime::now_utc().unix_timestamp(),
    };
    let request = serde_json::to_string(&pushed).context("storing a pushed request")?;
    let () = auth
        .redis
        .ask(&redis::Cmd::set_ex(auth.pushed_key(&id), request, WAITS.into()))
        .await?;
    let answer = PushedAnswer {
        request_uri: format!("{REQUEST_URI}{id}"),
        expires_in: WAITS,
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

fn must_be_sound(ask: &PushedRequest) -> Result<(), Problem> {
    let refuse = |field: &str, why: &str| Err(Problem::new(Code::BadRequest).field(field).detail(why));
    if ask.client_id != CLIENT_ID {
        return refuse("client_id", "This server knows no such app.");
    }
    if ask.code_challenge_method != "S256" {
        return refuse("code_challenge_method", "This must be S256.");
    }
    if !is_base64url(&ask.code_challenge, 43..=43) {
        return refuse(
            "code_challenge",
            "This must be the base64url SHA-256 of the verifier.",
        );
    }
    if !is_base64url(&ask.state, 22..=128) {
        return refuse("state", "This must be 22 to 128 characters of base64url.");
    }
    if !names_a_key(ask.dpop_jkt.as_deref()) {
        return refuse(
            "dpop_jkt",
            "This must be the base64url SHA-256 thumbprint of the key.",
        );
    }
    if !is_return_address(&ask.redirect_uri) {
        return refuse("redirect_uri", "This is not an address of the app.");
    }
    Ok(())
}

/// Or none, which is as well.
pub(super) fn names_a_key(jkt: Option<&str>) -> bool {
    jkt.is_none_or(|jkt| Thumbprint::parse(jkt).is_some())
}

fn is_base64url(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The deep link, or `http://127.0.0.1:{port}/cb` exactly as written.
fn is_return_address(text: &str) -> bool {
    if text == REDIRECT_DEEP_LINK {
        return true;
    }
    text.strip_prefix("http://127.0.0.1:")
        .and_then(|rest| rest.strip_suffix("/cb"))
        .and_then(|port| Some((port, port.parse::<u16>().ok()?)))
        .is_some_and(|(text, port)| port != 0 && text == port.to_string())
}

/// Names that fit where they are shown.
pub(super) fn tidy(device: Client) -> Result<Client, Problem> {
    match device {
        Client::Native { name, os, version } => Ok(Client::Native {
            name: finish::named(&name, "A computer", 100),
            os: finish::named(&os, "", 16),
            version: finish::named(&version, "", 32),
        }),
        Client::Browser => Err(Problem::new(Code::BadRequest)
            .field("device")
            .detail("A native app names its computer here.")),
    }
}

/// What the page asks about: "Continue to CompyMac on {device}?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub device: String,
    pub os: String,
    pub version: String,
    pub asked_from: String,
    pub minutes_ago: i64,
    /// The app asked to go straight to this provider; for somebody who is not signed in yet.
    pub provider: Option<String>,
}

/// What leads back to the app.
#[derive(Clone, PartialEq, Eq)]
pub struct Handover {
    /// The app's address with the code.
    pub link: String,
    /// The code alone, for pasting. Useless without the app that asked.
    pub code: String,
    pub device: String,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handover(to {})", self.device)
    }
}

/// Reads a pushed request and changes nothing. Whoever answered it is told that it is answered, and nobody else: it looks as before
/// to whoever began to sign in and sent the address to somebody.
pub async fn authorize_look(auth: &Auth, request_uri: &str, caller: Option<&Caller>) -> Result<Asked> {
    let pushed = auth.pushed(request_uri).await?;
    if let Some(caller) = caller
        && auth.answered_by(request_uri).await?.as_deref() == Some(caller.device.to_string().as_str())
    {
        return Err(too_old().into());
    }
    let age = OffsetDateTime::now_utc().unix_timestamp() - pushed.asked_at;
    let provider = pushed.request.provider.clone();
    Ok(match pushed.request.device {
        Client::Native { name, os, version } => Asked {
            device: name,
            os,
            version,
            asked_from: pushed.asked_from,
            minutes_ago: age / 60,
            provider,
        },
        Client::Browser => return Err(too_old().into()),
    })
}

/// The person has pressed "Open CompyMac": the request is used up, a code is made.
pub async fn authorize_confirm(
    auth: &Auth,
    request_uri: &str,
    caller: &Caller,
    visit: &Visit,
) -> Result<Handover> {
    if caller.kind != Kind::Browser {
        return Err(Code::SignInRequired.into());
    }
    let request = auth.claim_pushed(request_uri, caller).await?;
    let code = cookies::fresh_secret();
    let new = NewCode {
        hash: cookies::digest(&code),
        user: caller.user,
        authorized_by: caller.device,
        challenge: &request.code_challenge,
        redirect_uri: &request.redirect_uri,
        client: &request.device,
        dpop_jkt: request.dpop_jkt.as_deref(),
    };
    oauth_codes::insert(&auth.pool, &new).await?;
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "authorize",
        refusal: None,
        method: "native",
    };
    audit_events::note(&auth.pool, event, visit).await?;
    Ok(Handover {
        link: auth.return_link(&request, ("code", &code))?,
        code,
        device: match request.device {
            Client::Native { name, .. } => name,
            Client::Browser => String::new(),
        },
    })
}

/// The person has pressed "Cancel": the request is used up, and the app is told by this link (RFC 6749 §4.1.2.1).
pub async fn authorize_cancel(
    auth: &Auth,
    request_uri: &str,
    caller: &Caller,
    visit: &Visit,
) -> Result<String> {
    let request = auth.claim_pushed(request_uri, caller).await?;
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name: "authorize",
        refusal: Some("cancelled"),
        method: "native",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Ok(auth.return_link(&request, ("error", "access_denied"))?)
}

fn too_old() -> Problem {
    Problem::new(Code::StateMismatch).detail(
        "This request to sign in to the app is too old or was used already. Please start again in the app.",
    )
}

fn id_of(request_uri: &str) -> Result<&str, Problem> {
    let id = request_uri.strip_prefix(REQUEST_URI);
    id.filter(|id| is_base64url(id, 43..=43)).ok_or_else(too_old)
}

impl Auth {
    fn pushed_key(&self, id: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(id));
        self.key(format_args!("par:{hash}"))
    }

    /// Where it stands who answered.
    fn answered_key(&self, id: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(id));
        self.key(format_args!("par-answered:{hash}"))
    }

    /// It stays to be looked at until its time is over, answered or not.
    async fn pushed(&self, request_uri: &str) -> Result<Pushed> {
        let key = self.pushed_key(id_of(request_uri)?);
        let text: Option<String> = self.redis.ask(redis::cmd("GET").arg(key)).await?;
        let pushed = serde_json::from_str(&text.ok_or_else(too_old)?).context("reading a pushed request")?;
        Ok(pushed)
    }

    async fn answered_by(&self, request_uri: &str) -> Result<Option<String>> {
        let key = self.answered_key(id_of(request_uri)?);
        Ok(self.redis.ask(redis::cmd("GET").arg(key)).await?)
    }

    /// The first answer counts, and no other.
    async fn claim_pushed(&self, request_uri: &str, caller: &Caller) -> Result<PushedRequest> {
        let pushed = self.pushed(request_uri).await?;
        let mut claim = redis::cmd("SET");
        claim
            .arg(self.answered_key(id_of(request_uri)?))
            .arg(caller.device.to_string())
            .arg("NX")
            .arg("EX")
            .arg(WAITS);
        let is_first: Option<String> = self.redis.ask(&claim).await?;
        is_first.ok_or_else(too_old)?;
        Ok(pushed.request)
    }

    fn return_link(&self, request: &PushedRequest, (name, value): (&str, &str)) -> anyhow::Result<String> {
        let mut link = Url::parse(&request.redirect_uri).context("the app's address")?;
        link.query_pairs_mut()
            .append_pair(name, value)
            .append_pair("state", &request.state)
            .append_pair("iss", &self.config.origin());
        Ok(link.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_apps_own_addresses_get_codes() {
        assert!(is_return_address("compymac://auth/callback"));
        assert!(is_return_address("http://127.0.0.1:49152/cb"));
        for text in [
            "",
            "compymac://evil/callback",
            "compymac://auth/callback/../x",
            "compymac://auth/callback?x=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:4000/other",
            "http://127.0.0.1:4000/cb#x",
            "http://127.0.0.1:4000@evil.example/cb",
            "http://localhost:4000/cb",
            "https://evil.example/cb",
            "javascript:alert(1)",
        ] {
            assert!(!is_return_address(text), "{text}");
        }
    }

    #[test]
    fn only_pkce_by_s256_may_ask() {
        let sound = PushedRequest {
            client_id: CLIENT_ID.to_owned(),
            code_challenge: "A".repeat(43),
            code_challenge_method: "S256".to_owned(),
            state: "B".repeat(43),
            redirect_uri: REDIRECT_DEEP_LINK.to_owned(),
            device: Client::Browser,
            provider: None,
            dpop_jkt: Some("A".repeat(43)),
        };
        assert!(must_be_sound(&sound).is_ok());
        let wrong = [
            PushedRequest {
                code_challenge_method: "plain".to_owned(),
                ..sound.clone()
            },
            PushedRequest {
                code_challenge: String::new(),
                ..sound.clone()
            },
            PushedRequest {
                code_challenge: "+".repeat(43),
                ..sound.clone()
            },
            PushedRequest {
                client_id: "evil".to_owned(),
                ..sound.clone()
            },
            PushedRequest {
                state: String::new(),
                ..sound.clone()
            },
            PushedRequest {
                dpop_jkt: Some("+".repeat(43)),
                ..sound.clone()
            },
            PushedRequest {
                state: "x".repeat(5000),
                ..sound
            },
        ];
        for request in wrong {
            assert!(must_be_sound(&request).is_err(), "{request:?}");
        }
    }
}
