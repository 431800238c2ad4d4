//! A form that somebody who is signed in has sent from their own pages, and how it ends on the security page: with a word that it
//! is done, or with what was refused.

use crate::auth::{Caller, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::web::pages::{Pages, signed_in};
use crate::web::security;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use protocol::routes::page;
use serde::de::DeserializeOwned;

/// A form's fields, among them the token that no other site can write.
pub trait Fields: DeserializeOwned + Send {
    fn csrf(&self) -> &str;
}

/// The form, who sent it, and whence. Whoever is not signed in is led to the door; what another site sent is refused.
pub struct Sent<F> {
    pub pages: Pages,
    pub headers: HeaderMap,
    pub visit: Visit,
    pub caller: Caller,
    pub fields: F,
}

impl<F: Fields> FromRequest<Pages> for Sent<F> {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> std::result::Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, pages).await;
        let headers = parts.headers.clone();
        let form = Form::<F>::from_request(Request::from_parts(parts, body), pages).await;
        let Form(fields) = form.map_err(Error::into_response)?;
        let is_ours = pages.auth().check_csrf(&headers, fields.csrf());
        is_ours.map_err(|refusal| Error::from(refusal).into_response())?;
        let caller = signed_in(pages, &headers, page::SECURITY).await;
        Ok(Self {
            caller: caller.map_err(Error::into_response)??,
            pages: pages.clone(),
            headers,
            visit,
            fields,
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
