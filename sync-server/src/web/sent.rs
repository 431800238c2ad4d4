//! A form from one of our own pages, and who sent it: whoever takes one cannot forget to look whether another site sent it.

use crate::auth::{Caller, Visit};
use crate::body::Filled;
use crate::error::{Error, Result};
use crate::web::pages::{Pages, signed_in};
use crate::web::security;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use protocol::limits;
use protocol::routes::page;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The form, at most `LIMIT` bytes of it, and whence it came. What another site sent is refused.
pub struct Posted<F, const LIMIT: usize = { limits::BODY_BYTES }> {
    pub pages: Pages,
    pub headers: HeaderMap,
    pub visit: Visit,
    pub fields: F,
}

/// The id and the secret of a letter's link, in a form of its page.
pub fn link(token: &str) -> (&str, &str) {
    token.split_once('~').unwrap_or_default()
}

/// What no other site can write.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

impl<F: DeserializeOwned, const LIMIT: usize> FromRequest<Pages> for Posted<F, LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, pages: &Pages) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, pages).await;
        let headers = parts.headers.clone();
        let filled = Filled::<LIMIT>::from_request(Request::from_parts(parts, body), pages).await?;
        let (fields, token) = (filled.read()?, filled.read::<Token>()?);
        pages.auth().check_csrf(&headers, &token.csrf)?;
        Ok(Self {
            pages: pages.clone(),
            headers,
            visit,
            fields,
        })
    }
}

impl<F, const LIMIT: usize> Posted<F, LIMIT> {
    /// Who sent it; whoever is not signed in is led to the door, and back to this path afterwards.
    pub async fn sender(&self, path: &str) -> Result<std::result::Result<Caller, Response>> {
        signed_in(&self.pages, &self.headers, path).await
    }
}

/// A form of somebody's own, who is signed in. It ends on the security page: with a word that it is done, or with what was
/// refused.
pub struct Sent<F> {
    pub pages: Pages,
    pub headers: HeaderMap,
    pub visit: Visit,
    pub caller: Caller,
    pub fields: F,
}

impl<F: DeserializeOwned + Send + Sync> FromRequest<Pages> for Sent<F> {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> std::result::Result<Self, Response> {
        let posted = Posted::<F>::from_request(request, pages).await;
        let posted = posted.map_err(Error::into_response)?;
        let caller = posted.sender(page::SECURITY).await;
        let caller = caller.map_err(Error::into_response)??;
        Ok(Self {
            pages: posted.pages,
            headers: posted.headers,
            visit: posted.visit,
            caller,
            fields: posted.fields,
        })
    }
}

impl<F> Sent<F> {
    /// The page again, with this word where all went well.
    pub async fn told<T>(&self, outcome: Result<T>, done: &str) -> Result<Response> {
        match outcome {
            Ok(_) => security::draw(&self.pages, &self.headers, &self.caller, None, Some(done)).await,
            Err(error) => self.refused(error).await,
        }
    }

    /// What was refused is told where it was asked for.
    pub async fn refused(&self, error: Error) -> Result<Response> {
        security::refused(&self.pages, &self.headers, &self.caller, error).await
    }
}
