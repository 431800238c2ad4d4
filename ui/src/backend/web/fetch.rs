//! Asks the server that the page came from. The cookie goes along by itself; everything is JSON.

use protocol::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_client::engine::Failure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, Request, RequestCredentials, RequestInit, Response};

/// An ordinary request. A long poll waits longer by what it asks the server to wait.
const PATIENCE_MILLIS: u32 = 30_000;

/// Why an answer is not what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The browser knows that it is offline.
    NotSent,
    /// It may have reached the server.
    Cut,
    Problem(Problem),
}

impl Refusal {
    /// For the machine that decides what to do about it.
    pub fn failure(self) -> Failure {
        let problem = match self {
            Self::NotSent => return Failure::NotSent,
            Self::Cut => return Failure::Cut,
            Self::Problem(problem) => problem,
        };
        match (problem.status, problem.reason) {
            (401, _) => Failure::Unauthorized,
            (409, Some(reason)) if problem.code == Code::Reset => Failure::Reset(reason),
            (408 | 429 | 500.., _) => Failure::Later {
                retry_after: problem.retry_after,
            },
            _ => Failure::Refused(problem),
        }
    }
}

/// For the person.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotSent => Self::new(Code::Offline),
            Refusal::Cut => Self::new(Code::Offline)
                .detail("The server did not answer. Please check your connection and try again."),
            Refusal::Problem(problem) => problem,
        }
    }
}

pub async fn read<T: DeserializeOwned>(path: &str) -> Result<T, Refusal> {
    read_within(path, 0).await
}

/// `seconds`: how long the server may wait before it answers.
pub async fn read_within<T: DeserializeOwned>(path: &str, seconds: u16) -> Result<T, Refusal> {
    let response = ask("GET", path, None, PATIENCE_MILLIS + u32::from(seconds) * 1_000).await?;
    json(&response).await
}

pub async fn write<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, Refusal> {
    let response = send("POST", path, Some(body)).await?;
    json(&response).await
}

/// Where the answer says no more than that it was done.
pub async fn tell(method: &str, path: &str, body: Option<&impl Serialize>) -> Result<(), Refusal> {
    send(method, path, body).await.map(|_answer| ())
}

async fn send(method: &str, path: &str, body: Option<&impl Serialize>) -> Result<Response, Refusal> {
    let body = body.and_then(|body| serde_json::to_string(body).ok());
    ask(method, path, body, PATIENCE_MILLIS).await
}

async fn ask(method: &str, path: &str, body: Option<String>, patience: u32) -> Result<Response, Refusal> {
    let window = web_sys::window().ok_or(Refusal::NotSent)?;
    if !window.navigator().on_line() {
        return Err(Refusal::NotSent);
    }
    let request = request(method, path, body, patience).map_err(|_refused_by_browser| Refusal::NotSent)?;
    let response = JsFuture::from(window.fetch_with_request(&request))
        .await
        .map_err(|_network| Refusal::Cut)?;
    let response: Response = response.unchecked_into();
    if response.ok() {
        return Ok(response);
    }
    let status = response.status();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let mut problem = json::<Problem>(&response)
        .await
        .unwrap_or_else(|_no_problem| from_status(status));
    problem.status = status;
    problem.retry_after = problem
        .retry_after
        .or_else(|| retry_after.and_then(|seconds| seconds.parse().ok()));
    Err(Refusal::Problem(problem))
}

fn request(method: &str, path: &str, body: Option<String>, patience: u32) -> Result<Request, JsValue> {
    let headers = Headers::new()?;
    headers.set("accept", "application/json")?;
    let init = RequestInit::new();
    init.set_method(method);
    init.set_credentials(RequestCredentials::SameOrigin);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(patience)));
    if let Some(body) = body {
        headers.set("content-type", "application/json")?;
        init.set_body(&body.into());
    }
    init.set_headers(&headers);
    Request::new_with_str_and_init(path, &init)
}

async fn json<T: DeserializeOwned>(response: &Response) -> Result<T, Refusal> {
    let text = response.text().map_err(|_consumed| Refusal::Cut)?;
    let text = JsFuture::from(text).await.map_err(|_network| Refusal::Cut)?;
    let text = text.as_string().unwrap_or_default();
    // Nothing to say is said as an empty body.
    let text = if text.is_empty() { "null" } else { &text };
    serde_json::from_str(text).map_err(|_other_shape| Refusal::Cut)
}

/// Something between here and the server answered in its own words.
fn from_status(status: u16) -> Problem {
    let code = match status {
        404 => Code::NotFound,
        413 => Code::TooLarge,
        429 => Code::RateLimited,
        500.. => Code::Unavailable,
        _ => Code::BadRequest,
    };
    Problem::new(code)
}
