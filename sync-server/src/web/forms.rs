//! The forms that work without WebAssembly. Each calls what its JSON twin calls, then leads on (303) or shows the page again
//! with the problem and what was typed.

use crate::asked::Id;
use crate::auth::{self, Caller, Visit};
use crate::body::Form;
use crate::error::{Error, Result};
use crate::sync;
use crate::web::pages::{Pages, Said, signed_in};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use http::HeaderMap;
use protocol::mutation::{Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::routes::page;
use protocol::view::Typed;
use protocol::{Code, DeviceId, MessageId, MutationId, RunId, SessionId, limits};
use serde::Deserialize;

pub fn router(pages: Pages) -> Router {
    Router::new()
        .route(page::FORM_NEW_SESSION, post(create))
        .route(page::FORM_SEND, post(send))
        .route(page::FORM_ANSWER, post(answer))
        .route(page::FORM_RENAME, post(rename))
        .route(page::FORM_ARCHIVE, post(archive))
        .route(page::FORM_DELETE, post(delete))
        .route(page::FORM_STOP, post(stop))
        .route(page::FORM_SIGN_OUT_DEVICE, post(sign_out_device))
        .with_state(pages)
}

/// Forms carry the ids of what they make, drawn into the page: sent twice, they make one thing.
#[derive(Deserialize)]
struct NewSession {
    #[serde(default)]
    csrf: String,
    session: Option<SessionId>,
    m_create: Option<MutationId>,
    /// A first message, where the form has a field for it.
    #[serde(default)]
    text: String,
    m: Option<MutationId>,
    id: Option<MessageId>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    csrf: String,
    m: Option<MutationId>,
    id: Option<MessageId>,
    text: String,
}

#[derive(Deserialize)]
struct Unanswered {
    #[serde(default)]
    csrf: String,
    m: Option<MutationId>,
    message: MessageId,
}

#[derive(Deserialize)]
struct Title {
    #[serde(default)]
    csrf: String,
    m: Option<MutationId>,
    title: String,
    /// The `title_seq` that the page showed.
    #[serde(default)]
    base: i64,
}

#[derive(Deserialize)]
struct Archived {
    #[serde(default)]
    csrf: String,
    m: Option<MutationId>,
    archived: bool,
}

#[derive(Deserialize)]
struct Deleted {
    #[serde(default)]
    csrf: String,
    m: Option<MutationId>,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    csrf: String,
    run: RunId,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

/// A text area's line ends come as CRLF (HTML §4.10.21.4); a message has LF.
fn unfold(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Checks the form token, then who sent it.
async fn sender(
    pages: &Pages,
    headers: &HeaderMap,
    csrf: &str,
    path: &str,
) -> Result<std::result::Result<Caller, Response>> {
    pages.auth().check_csrf(headers, csrf)?;
    signed_in(pages, headers, path).await
}

/// Writes one mutation; a refusal is the problem itself.
async fn write(pages: &Pages, caller: &Caller, id: Option<MutationId>, op: Op) -> Result<()> {
    let mutation = Mutation {
        id: id.unwrap_or_else(MutationId::fresh),
        v: OP_VERSION,
        op,
    };
    let sync = pages.runs.sync();
    match sync::push(sync, caller.user, Some(caller.device), mutation)
        .await?
        .result
    {
        OpResult::Applied { .. } => Ok(()),
        OpResult::Refused { problem, .. } => Err(problem.into()),
        OpResult::Skipped => Err(Code::Conflict.into()),
    }
}

async fn create(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Form(form): Form<NewSession, { limits::BATCH_BYTES }>,
) -> Result<Response> {
    let caller = match sender(&pages, &headers, &form.csrf, page::HOME).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let session = form.session.unwrap_or_else(SessionId::fresh);
    write(
        &pages,
        &caller,
        form.m_create,
        Op::SessionCreate {
            id: session,
            title: String::new(),
        },
    )
    .await?;
    let text = unfold(&form.text);
    if text.trim().is_empty() {
        return Ok(Redirect::to(&page::session(session)).into_response());
    }
    say(&pages, &headers, &caller, session, (form.m, form.id), text).await
}

async fn send(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Message, { limits::BATCH_BYTES }>,
) -> Result<Response> {
    match sender(&pages, &headers, &form.csrf, &page::session(session)).await? {
        Ok(caller) => {
            say(
                &pages,
                &headers,
                &caller,
                session,
                (form.m, form.id),
                unfold(&form.text),
            )
            .await
        }
        Err(door) => Ok(door),
    }
}

/// Sends a message and leads to its session; a refused one is shown there again with its text.
async fn say(
    pages: &Pages,
    headers: &HeaderMap,
    caller: &Caller,
    session: SessionId,
    (mutation, id): (Option<MutationId>, Option<MessageId>),
    text: String,
) -> Result<Response> {
    let id = id.unwrap_or_else(MessageId::fresh);
    let op = Op::MessageCreate {
        id,
        session,
        parent: None,
        content: text.clone(),
        run: RunMode::Auto,
    };
    match write(pages, caller, mutation, op).await {
        Ok(()) => Ok(Redirect::to(&page::session(session)).into_response()),
        Err(Error::Told(problem)) if problem.code != Code::NotFound => {
            let said = Said {
                problem: Some(*problem),
                typed: Typed {
                    text,
                    ..Typed::default()
                },
            };
            pages.session_page(headers, caller, session, said).await
        }
        Err(error) => Err(error),
    }
}

async fn answer(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Unanswered>,
) -> Result<Response> {
    let op = Op::MessageAnswer {
        session,
        message: form.message,
    };
    change(
        &pages,
        &headers,
        (&form.csrf, form.m),
        op,
        &page::session(session),
    )
    .await
}

async fn rename(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Title>,
) -> Result<Response> {
    let op = Op::SessionRename {
        session,
        title: form.title.trim().to_owned(),
        base: form.base,
    };
    change(
        &pages,
        &headers,
        (&form.csrf, form.m),
        op,
        &page::session(session),
    )
    .await
}

async fn archive(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Archived>,
) -> Result<Response> {
    let op = Op::SessionArchive {
        session,
        archived: form.archived,
    };
    change(
        &pages,
        &headers,
        (&form.csrf, form.m),
        op,
        &page::session(session),
    )
    .await
}

async fn delete(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Deleted>,
) -> Result<Response> {
    change(
        &pages,
        &headers,
        (&form.csrf, form.m),
        Op::SessionDelete { session },
        page::HOME,
    )
    .await
}

/// One mutation on a session, then to `target`; a refusal is shown on the session's page.
async fn change(
    pages: &Pages,
    headers: &HeaderMap,
    (csrf, mutation): (&str, Option<MutationId>),
    op: Op,
    target: &str,
) -> Result<Response> {
    let session = op.session();
    let caller = match sender(pages, headers, csrf, &page::session(session)).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    match write(pages, &caller, mutation, op).await {
        Ok(()) => Ok(Redirect::to(target).into_response()),
        Err(Error::Told(problem)) if problem.code != Code::NotFound => {
            let said = Said {
                problem: Some(*problem),
                typed: Typed::default(),
            };
            pages.session_page(headers, &caller, session, said).await
        }
        Err(error) => Err(error),
    }
}

async fn stop(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Id(session): Id<SessionId>,
    Form(form): Form<Run>,
) -> Result<Response> {
    match sender(&pages, &headers, &form.csrf, &page::session(session)).await? {
        Ok(caller) => {
            pages.runs.cancel(caller.user, form.run).await?;
            Ok(Redirect::to(&page::session(session)).into_response())
        }
        Err(door) => Ok(door),
    }
}

async fn sign_out_device(
    State(pages): State<Pages>,
    headers: HeaderMap,
    visit: Visit,
    Id(device): Id<DeviceId>,
    Form(form): Form<Token>,
) -> Result<Response> {
    match sender(&pages, &headers, &form.csrf, page::SETTINGS).await? {
        Ok(caller) => {
            auth::sign_out_device(pages.auth(), &caller, device, &visit).await?;
            Ok(Redirect::to(page::SETTINGS).into_response())
        }
        Err(door) => Ok(door),
    }
}
