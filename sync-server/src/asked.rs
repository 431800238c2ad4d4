//! What an address asks: its query and the id in its path, refused with a problem instead of plain text.

use crate::error::Error;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use protocol::{Code, Problem};
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The query (`?limit=50`), read into a struct.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            Problem::new(Code::BadRequest).detail(format!("{}.", rejection.body_text()))
        })?;
        Ok(Self(query.0))
    }
}

/// The one id in the path. What is no id is nothing that could be here.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_no_path| Error::from(Code::NotFound))?;
        let id = params.iter().next().and_then(|(_, text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Code::NotFound.into())
    }
}
