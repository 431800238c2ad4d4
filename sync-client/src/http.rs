//! Asking the server over HTTP: bounded answers, no redirects, every refusal read as a problem.
//!
//! **Invariant:** a page that is not ours (a proxy's, a portal's) never counts as the server's word: only a problem
//! that reads as one refuses anything.

use crate::clock::Clock;
use crate::engine::Failure;
use crate::proof::{Asked, ProofKey};
use protocol::oauth::{DPOP, DPOP_NONCE, ServerMetadata, TokenError};
use protocol::{Code, Problem, UnixMillis, routes};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use url::Url;

/// The largest answer that is read: a bootstrap of 200 sessions and twenty histories fits many times.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
/// A whole exchange; a long poll's patience at the server is added.
const EXCHANGE: Duration = Duration::from_secs(30);
/// How long a connection that nothing is asked over is kept. The server keeps one for ten seconds: what is sent over one that is just
/// being closed is lost, and sent again.
const IDLE: Duration = Duration::from_secs(8);

/// The largest event: a snapshot of a long reply, escaped.
const EVENT_BYTES: usize = 8 * 1024 * 1024;
/// A stream that says nothing for so long is dead: a comment comes every 25 seconds.
const SILENCE: Duration = Duration::from_secs(40);

/// Why a call brought nothing: for the machinery, and for the person.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub failure: Failure,
    pub problem: Problem,
    /// OAuth's own word (RFC 6749 §5.2), of the token endpoint.
    pub oauth: Option<String>,
    /// What the next proof has to name (RFC 9449 §8).
    nonce: Option<String>,
}

impl Trouble {
    pub fn new(failure: Failure, problem: Problem) -> Self {
        Self {
            failure,
            problem,
            oauth: None,
            nonce: None,
        }
    }

    /// The proof was for another address than the server's own.
    fn is_unproven(&self) -> bool {
        self.problem.code == Code::InvalidDpopProof || self.oauth.as_deref() == Some("invalid_dpop_proof")
    }

    /// Never reached the server, or cut off on the way.
    pub fn away(was_sent: bool) -> Self {
        let failure = if was_sent { Failure::Cut } else { Failure::NotSent };
        Self::new(failure, Problem::new(Code::Offline))
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        trouble.problem
    }
}

/// One request to be made.
#[derive(Debug)]
pub struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    json: Option<serde_json::Value>,
    form: Option<serde_json::Value>,
    token: Option<&'a str>,
    key: Option<&'a ProofKey>,
    timeout: Duration,
}

impl<'a> Call<'a> {
    pub const fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path)
    }

    pub const fn post(path: &'a str) -> Self {
        Self::new(Method::POST, path)
    }

    pub const fn delete(path: &'a str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// The same call, to be made once more.
    pub fn again(&self) -> Self {
        Self {
            method: self.method.clone(),
            query: self.query.clone(),
            json: self.json.clone(),
            form: self.form.clone(),
            ..*self
        }
    }

    const fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            json: None,
            form: None,
            token: None,
            key: None,
            timeout: EXCHANGE,
        }
    }

    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// The body. A value of ours always becomes JSON; one that does not is sent as `null` and refused there.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.json = Some(serde_json::to_value(body).unwrap_or_default());
        self
    }

    /// The same as a form, for the token endpoint, which takes nothing else.
    #[must_use]
    pub fn form(mut self, body: &impl Serialize) -> Self {
        self.form = Some(serde_json::to_value(body).unwrap_or_default());
        self
    }

    /// Shows that this key is held (RFC 9449).
    #[must_use]
    pub const fn proven_by(mut self, key: &'a ProofKey) -> Self {
        self.key = Some(key);
        self
    }

    #[must_use]
    pub const fn token(mut self, token: &'a str) -> Self {
        self.token = Some(token);
        self
    }

    /// Adds the patience that the server was asked for.
    #[must_use]
    pub fn patient(mut self, seconds: u16) -> Self {
        self.timeout += Duration::from_secs(u64::from(seconds));
        self
    }

    #[must_use]
    pub const fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    base: Url,
    /// The `Date` of the last answer, and when it came.
    date: Arc<Mutex<Option<(SystemTime, Instant)>>>,
    clock: Arc<Clock>,
    /// What the server calls itself, where it is reached under another address.
    own_base: Arc<Mutex<Option<Url>>>,
}

impl Http {
    pub fn new(base: Url, clock: Arc<Clock>) -> Result<Self, Problem> {
        install_crypto();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("CompyMac/", env!("CARGO_PKG_VERSION")))
            // One host: few connections, dropped before a sleeping laptop finds them dead.
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| {
                tracing::error!(%error, "the HTTP client could not be made");
                Problem::new(Code::Internal).detail("The connection to the server could not be set up.")
            })?;
        Ok(Self {
            client,
            base,
            date: Arc::default(),
            clock,
            own_base: Arc::default(),
        })
    }

    pub const fn base(&self) -> &Url {
        &self.base
    }

    pub fn address(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Makes a call and reads its answer. An empty answer reads as `()`.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Trouble> {
        match call.key {
            Some(key) => self.ask_proven(&call, key).await,
            None => self.read(self.request(&call).timeout(call.timeout)).await,
        }
    }

    /// Each try has a proof of its own. Where this computer's clock is wrong, the server's nonce replaces it; where the server
    /// is reached under another address than its own, it is asked for that. Both once.
    async fn ask_proven<T: DeserializeOwned>(&self, call: &Call<'_>, key: &ProofKey) -> Result<T, Trouble> {
        let mut nonce = None;
        let mut is_told = false;
        loop {
            let trouble = match self.ask_with_proof(call, key, nonce.as_deref()).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if nonce.is_none() && trouble.nonce.is_some() {
                nonce = trouble.nonce;
            } else if is_told || !trouble.is_unproven() || !self.learn_own_base().await {
                return Err(trouble);
            } else {
                is_told = true;
            }
        }
    }

    async fn ask_with_proof<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        key: &ProofKey,
        nonce: Option<&str>,
    ) -> Result<T, Trouble> {
        let own = self.own_base().clone();
        let mut address = own.unwrap_or_else(|| self.base.clone());
        address.set_path(call.path);
        let proof = key.proof(Asked {
            address: &address,
            at: self.clock.now().div_euclid(1000),
            nonce,
            chance: rand::random(),
        });
        let request = self.request(call).timeout(call.timeout);
        self.read(request.header(DPOP, proof)).await
    }

    fn own_base(&self) -> MutexGuard<'_, Option<Url>> {
        self.own_base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True: it calls itself something that was not known here.
    async fn learn_own_base(&self) -> bool {
        let request = self.client.get(self.address(routes::OAUTH_METADATA));
        let answer: Result<ServerMetadata, Trouble> = self.read(request.timeout(EXCHANGE)).await;
        let issuer = answer.ok().and_then(|metadata| Url::parse(&metadata.issuer).ok());
        let Some(issuer) = issuer else { return false };
        let mut own = self.own_base();
        let known = own.as_ref().unwrap_or(&self.base);
        let is_news = known.origin() != issuer.origin();
        *own = Some(issuer);
        is_news
    }

    /// Makes a call whose answer is events, for as long as they come.
    pub async fn events(&self, call: Call<'_>) -> Result<Events, Trouble> {
        let sent = tokio::time::timeout(call.timeout, self.request(&call).send()).await;
        let response = sent
            .map_err(|_elapsed| Trouble::away(true))?
            .map_err(|error| Trouble::away(!error.is_connect()))?;
        if response.status() == StatusCode::OK && content_type(&response).starts_with("text/event-stream") {
            return Ok(Events {
                response,
                kept: Vec::new(),
                seen: 0,
            });
        }
        match answer::<()>(response).await {
            // not our server's
            Ok(()) => Err(Trouble::away(true)),
            Err(trouble) => Err(trouble),
        }
    }

    fn request(&self, call: &Call<'_>) -> RequestBuilder {
        let mut request = self
            .client
            .request(call.method.clone(), self.address(call.path))
            .query(&call.query);
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.json {
            request = request.json(body);
        }
        if let Some(body) = &call.form {
            request = request.form(body);
        }
        request
    }

    /// What the server's clock says now, as far as its last answer told.
    pub fn server_time(&self) -> Option<UnixMillis> {
        let (date, came) = (*self.date.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = (date + came.elapsed()).duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    }

    fn note_date(&self, response: &Response) {
        let value = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        if let Some(date) = value.and_then(|value| httpdate::parse_http_date(value).ok()) {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Trouble> {
        let response = request.send().await.map_err(|error| {
            let was_sent = !error.is_connect();
            tracing::debug!(error = ?error.without_url(), "the server could not be asked");
            Trouble::away(was_sent)
        })?;
        self.note_date(&response);
        answer(response).await
    }
}

/// Server-sent events (HTML, 9.2), each with one line of JSON as its data.
#[derive(Debug)]
pub struct Events {
    response: Response,
    kept: Vec<u8>,
    /// How far of it was looked for an event's end.
    seen: usize,
}

impl Events {
    fn whole(&mut self) -> Option<Vec<u8>> {
        let from = self.seen.saturating_sub(1);
        let rest = self.kept.get(from..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") else {
            self.seen = self.kept.len();
            return None;
        };
        self.seen = 0;
        Some(self.kept.drain(..from + end + 2).collect())
    }

    /// The next; `None` in it where its data reads as nothing known. An end is a cut: whoever has enough does not ask on.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Trouble> {
        loop {
            while let Some(event) = self.whole() {
                let mut lines = event.split(|byte| *byte == b'\n');
                // comments only show that it lives
                if let Some(data) = lines.find_map(|line| line.strip_prefix(b"data: ")) {
                    return Ok(serde_json::from_slice(data).ok());
                }
            }
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            let chunk = chunk.ok().and_then(Result::ok).flatten();
            let chunk = chunk.ok_or_else(|| Trouble::away(true))?;
            if self.kept.len() + chunk.len() > EVENT_BYTES {
                tracing::warn!("an event above the bound was dropped");
                return Err(Trouble::away(true));
            }
            self.kept.extend_from_slice(&chunk);
        }
    }
}

async fn answer<T: DeserializeOwned>(response: Response) -> Result<T, Trouble> {
    let status = response.status();
    let is_problem = content_type(&response).starts_with(protocol::problem::CONTENT_TYPE);
    let retry_after = retry_after(response.headers());
    let nonce = response.headers().get(DPOP_NONCE);
    let nonce = nonce.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = bounded(response).await?;
    if status.is_success() {
        let body = if body.is_empty() {
            b"null".as_slice()
        } else {
            &body
        };
        return serde_json::from_slice(body).map_err(|_not_ours| Trouble::away(true));
    }
    let trouble = trouble(status, is_problem, retry_after, &body);
    Err(Trouble { nonce, ..trouble })
}

fn content_type(response: &Response) -> &str {
    let value = response.headers().get(CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// In seconds. As a date it is not taken: this computer's clock may be wrong.
pub fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(RETRY_AFTER)?;
    value.to_str().ok()?.parse().ok()
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_cut| Trouble::away(true))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            tracing::warn!("an answer above the bound was dropped");
            return Err(Trouble::away(true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a refusal means.
fn trouble(status: StatusCode, is_problem: bool, retry_after: Option<u32>, body: &[u8]) -> Trouble {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let code = status.as_u16();
    if status.is_server_error() || matches!(code, 408 | 425 | 429) {
        let problem = problem.unwrap_or_else(|| Problem::new(Code::Unavailable));
        let retry_after = retry_after.or(problem.retry_after);
        return Trouble::new(Failure::Later { retry_after }, problem);
    }
    if let Some(problem) = problem {
        let failure = match (code, problem.reason) {
            (401, _) => Failure::Unauthorized,
            (409, Some(reason)) if problem.code == Code::Reset => Failure::Reset(reason),
            _ => Failure::Refused(problem.clone()),
        };
        return Trouble::new(failure, problem);
    }
    if let Ok(error) = serde_json::from_slice::<TokenError>(body) {
        let problem = Problem::new(Code::SignInRequired);
        let mut trouble = Trouble::new(Failure::Refused(problem.clone()), problem);
        trouble.oauth = Some(error.error);
        return trouble;
    }
    if is_problem {
        // A problem of a newer server, with a code that this build does not know.
        let problem = Problem::new(if code == 404 {
            Code::NotFound
        } else {
            Code::BadRequest
        });
        let failure = if code == 401 {
            Failure::Unauthorized
        } else {
            Failure::Refused(problem.clone())
        };
        return Trouble::new(failure, problem);
    }
    Trouble::away(true)
}

/// Gives rustls its cryptography, once for the program; whoever was first stands.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
