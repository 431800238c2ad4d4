//! What people keep, read: their sessions, newest first, and the messages of one.
//!
//! **Invariant:** only reads. Every write enters by `sync`. Another user's session is simply not there.

mod agent_sessions;
mod messages;

pub use crate::asked::{Asked, Id};
pub use agent_sessions::{SessionRow, after as sessions_after, list, newest, session};
pub use messages::{MessageRow, after as messages_after, histories, history, message, newest_of};

use crate::auth::{Auth, Caller};
use crate::body;
use crate::error::Result;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::sync::{Histories, HistoriesAsk, History, Ord, Session, SessionsBefore, SessionsPage};
use protocol::{Code, Problem, SessionId, limits, routes};
use serde::Deserialize;
use utoipa::OpenApi as _;

/// Messages of a page when none is asked for.
const MESSAGES: usize = 50;
/// Sessions of a page when none is asked for.
const SESSIONS: usize = 50;

pub fn router(auth: Auth) -> Router {
    Router::new()
        .route(routes::SESSIONS, get(read_list))
        .route(routes::SESSION, get(read_session))
        .route(routes::MESSAGES, get(read_messages))
        .route(routes::HISTORIES, post(read_histories))
        .with_state(auth)
}

pub fn docs() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(read_list, read_session, read_messages, read_histories))]
struct Docs;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListAsk {
    /// The archived ones instead of the others.
    #[serde(default)]
    archived: bool,
    /// `more` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    before: Option<SessionsBefore>,
    /// At most 200; 50 if left out.
    #[serde(default)]
    limit: Option<usize>,
}

/// One page of the caller's sessions, newest first.
#[utoipa::path(get, path = routes::SESSIONS, params(ListAsk), tag = "sessions",
    responses((status = 200, body = SessionsPage), (status = "4XX", body = Problem)))]
async fn read_list(
    State(auth): State<Auth>,
    caller: Caller,
    Asked(ask): Asked<ListAsk>,
) -> Result<Json<SessionsPage>> {
    let limit = ask.limit.unwrap_or(SESSIONS).clamp(1, limits::SESSION_PAGE);
    let page = list(&auth.pool, caller.user, ask.archived, ask.before, limit).await?;
    Ok(Json(page))
}

/// One session.
#[utoipa::path(get, path = routes::SESSION, params(("id" = SessionId, Path)), tag = "sessions",
    responses((status = 200, body = Session), (status = 404, body = Problem)))]
async fn read_session(
    State(auth): State<Auth>,
    caller: Caller,
    Id(id): Id<SessionId>,
) -> Result<Json<Session>> {
    Ok(Json(session(&auth.pool, caller.user, id).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct MessagesAsk {
    /// Only messages before this place; `lo` of the page before.
    #[serde(default)]
    before_ord: Option<Ord>,
    /// At most 100; 50 if left out. A page ends early where its text grows large; `lo` says where.
    #[serde(default)]
    limit: Option<usize>,
}

/// A session's messages, the newest page first, each page oldest first.
#[utoipa::path(get, path = routes::MESSAGES, params(("id" = SessionId, Path), MessagesAsk), tag = "sessions",
    responses((status = 200, body = History), (status = 404, body = Problem)))]
async fn read_messages(
    State(auth): State<Auth>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Asked(ask): Asked<MessagesAsk>,
) -> Result<Json<History>> {
    let limit = ask.limit.unwrap_or(MESSAGES).clamp(1, limits::MESSAGE_PAGE);
    let page = history(&auth.pool, caller.user, id, ask.before_ord, limit).await?;
    Ok(Json(page))
}

/// The newest messages of many sessions at once, at most 100 of each and 2,000 together. Only reads: it is a `POST`
/// because so many ids are too long for an address.
#[utoipa::path(post, path = routes::HISTORIES, request_body = HistoriesAsk, tag = "sessions",
    responses((status = 200, body = Histories),
              (status = 413, description = "more than 200 sessions", body = Problem)))]
async fn read_histories(
    State(auth): State<Auth>,
    caller: Caller,
    body::Json(ask): body::Json<HistoriesAsk>,
) -> Result<Json<Histories>> {
    if ask.sessions.len() > limits::SESSION_PAGE {
        return Err(Problem::new(Code::TooLarge)
            .detail("Please ask about at most 200 sessions at once.")
            .limit(limits::SESSION_PAGE as u64)
            .into());
    }
    Ok(Json(histories(&auth.pool, caller.user, &ask.sessions).await?))
}
