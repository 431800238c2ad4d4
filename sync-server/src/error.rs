//! The one error of every handler: a [`Problem`] that the client is told, or a failure that only the log is told.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use protocol::oauth::DPOP_NONCE;
use protocol::{Code, Problem};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug)]
pub enum Error {
    Told(Box<Problem>),
    Kept(anyhow::Error),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Told(Box::new(problem))
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Kept(error)
    }
}

/// A database that cannot be reached is `unavailable`, which clients wait out; anything else is ours to mend.
impl From<sqlx::Error> for Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's list of errors may grow"
    )]
    fn from(error: sqlx::Error) -> Self {
        let is_away = match &error {
            sqlx::Error::Io(_)
            // what a database says that ends in the middle of it
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // 57P0x: shutting down or starting; 08xxx: connection; 53xxx: no resources; 55P03: lock timeout
            sqlx::Error::Database(db) => db.code().is_some_and(|code| {
                code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") || code == "55P03"
            }),
            _ => false,
        };
        if is_away {
            tracing::warn!(error = %error, "database away");
            return Problem::new(Code::Unavailable).retry_after(2).into();
        }
        Self::Kept(error.into())
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        tracing::warn!(error = %error, "redis away");
        Problem::new(Code::Unavailable).retry_after(2).into()
    }
}

impl Error {
    /// What the client is told. A kept failure is logged here, once, with its chain.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Told(problem) => *problem,
            Self::Kept(error) if is_undone(&error) => {
                metrics::counter!("database_undone_total").increment(1);
                tracing::warn!(error = format!("{error:#}"), "undone by the database");
                Problem::new(Code::Unavailable).retry_after(1)
            }
            Self::Kept(error) => {
                tracing::error!(error = format!("{error:#}"), "internal error");
                Problem::new(Code::Internal)
            }
        }
    }
}

/// Whether the database took a transaction back because of another one, and would let it through if it were tried again.
/// 40P01: they waited for each other; 40001: they could not be put into an order.
fn is_undone(error: &anyhow::Error) -> bool {
    let database = error
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error);
    let code = database.and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "40P01" || code == "40001")
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        problem_response(&self.into_problem())
    }
}

/// A problem as an HTTP answer (RFC 9457). It rides along as an extension: on the way out the request id is added, and
/// a page gets it as a page.
pub fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_string(problem).unwrap_or_default();
    let mut response = (
        status,
        [(header::CONTENT_TYPE, protocol::problem::CONTENT_TYPE)],
        body,
    )
        .into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let nonce = problem
        .challenge
        .as_deref()
        .filter(|_| problem.code == Code::UseDpopNonce);
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response.extensions_mut().insert(problem.clone());
    response
}
