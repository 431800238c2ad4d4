//! Calls to providers: no redirects followed, ten seconds at most, a bounded answer.

use anyhow::{Context as _, ensure};
use http::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;

/// A provider's answer in bytes at most; a key set or a token is a few thousand.
const ANSWER_BYTES: usize = 512 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("calling the provider")]
    Http(#[from] reqwest::Error),
    #[error("reading the provider's answer")]
    Answer(#[from] http::Error),
    #[error("the provider's answer is too large")]
    TooLarge,
}

/// One call, in the shape that the `oauth2` and `openidconnect` crates ask for.
pub async fn call(http: reqwest::Client, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, CallError> {
    let mut answer = http.execute(request.try_into()?).await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(body)?)
}

/// What lies at an address, and nowhere that it leads on to.
pub async fn read<T: DeserializeOwned>(http: &reqwest::Client, address: &str) -> anyhow::Result<T> {
    let request = Request::get(address)
        .body(Vec::new())
        .context("asking the service")?;
    answered(http, request, address).await
}

/// What is answered to a request, which is called `what` where it is refused or cannot be read.
pub async fn answered<T: DeserializeOwned>(
    http: &reqwest::Client,
    request: Request<Vec<u8>>,
    what: &str,
) -> anyhow::Result<T> {
    let answer = call(http.clone(), request).await?;
    ensure!(
        answer.status() == StatusCode::OK,
        "{what} answered {}",
        answer.status()
    );
    serde_json::from_slice(answer.body()).with_context(|| format!("reading {what}"))
}
