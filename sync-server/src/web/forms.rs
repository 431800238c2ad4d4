//! The forms that work without WebAssembly. Each calls what its JSON twin calls, then leads on (303) or shows the page again
//! with the problem and what was typed.

use crate::asked::Id;
use crate::auth::{self, Caller};
use crate::error::{Error, Result};
use crate::sync;
use crate::web::pages::{Pages, Said};
use crate::web::sent::Posted;
use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use protocol::mutation::{Mutation, OP_VERSION, Op, OpResult, RunMode};
use protocol::routes::page;
use protocol::view::Typed;
use protocol::{Code, DeviceId, MessageId, MutationId, RunId, SessionId, limits};
use serde::Deserialize;
use serde::de::IgnoredAny;

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
    m: Option<MutationId>,
    id: Option<MessageId>,
    text: String,
}

#[derive(Deserialize)]
struct Unanswered {
    m: Option<MutationId>,
    message: MessageId,
}

#[derive(Deserialize)]
struct Title {
    m: Option<MutationId>,
    title: String,
    /// The `title_seq` that the page showed.
    #[serde(default)]
    base: i64,
}

#[derive(Deserialize)]
struct Archived {
    m: Option<MutationId>,
    archived: bool,
}

#[derive(Deserialize)]
struct Deleted {
    m: Option<MutationId>,
}

#[derive(Deserialize)]
struct Run {
    run: RunId,
}

/// With a text in it, which may be a long one.
type Written<F> = Posted<F, { limits::BATCH_BYTES }>;

/// A text area's line ends come as CRLF (HTML §4.10.21.4); a message has LF.
fn unfold(text: &str) -> String {
    text.replace("\r\n", "\n")
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

async fn create(written: Written<NewSession>) -> Result<Response> {
    let caller = match written.sender(page::HOME).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let form = &written.fields;
    let session = form.session.unwrap_or_else(SessionId::fresh);
    let op = Op::SessionCreate {
        id: session,
        title: String::new(),
    };
    write(&written.pages, &caller, form.m_create, op).await?;
    let text = unfold(&form.text);
    if text.trim().is_empty() {
        return Ok(Redirect::to(&page::session(session)).into_response());
    }
    say(&written, &caller, session, (form.m, form.id), text).await
}

async fn send(Id(session): Id<SessionId>, written: Written<Message>) -> Result<Response> {
    let form = &written.fields;
    match written.sender(&page::session(session)).await? {
        Ok(caller) => say(&written, &caller, session, (form.m, form.id), unfold(&form.text)).await,
        Err(door) => Ok(door),
    }
}

/// Sends a message and leads to its session; a refused one is shown there again with its text.
async fn say<F>(
    written: &Written<F>,
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
    let typed = Typed {
        text,
        ..Typed::default()
    };
    let outcome = write(&written.pages, caller, mutation, op).await;
    lead(
        written,
        caller,
        (session, &page::session(session)),
        outcome,
        typed,
    )
    .await
}

/// On to `target`; a refusal is shown on the session's page, with what was typed.
async fn lead<F, const LIMIT: usize>(
    posted: &Posted<F, LIMIT>,
    caller: &Caller,
    (session, target): (SessionId, &str),
    outcome: Result<()>,
    typed: Typed,
) -> Result<Response> {
    match outcome {
        Ok(()) => Ok(Redirect::to(target).into_response()),
        Err(Error::Told(problem)) if problem.code != Code::NotFound => {
            let said = Said {
                problem: Some(*problem),
                typed,
            };
            posted
                .pages
                .session_page(&posted.headers, caller, session, said)
                .await
        }
        Err(error) => Err(error),
    }
}

async fn answer(Id(session): Id<SessionId>, posted: Posted<Unanswered>) -> Result<Response> {
    let op = Op::MessageAnswer {
        session,
        message: posted.fields.message,
    };
    change(&posted, posted.fields.m, op, &page::session(session)).await
}

async fn rename(Id(session): Id<SessionId>, posted: Posted<Title>) -> Result<Response> {
    let op = Op::SessionRename {
        session,
        title: posted.fields.title.trim().to_owned(),
        base: posted.fields.base,
    };
    change(&posted, posted.fields.m, op, &page::session(session)).await
}

async fn archive(Id(session): Id<SessionId>, posted: Posted<Archived>) -> Result<Response> {
    let op = Op::SessionArchive {
        session,
        archived: posted.fields.archived,
    };
    change(&posted, posted.fields.m, op, &page::session(session)).await
}

async fn delete(Id(session): Id<SessionId>, posted: Posted<Deleted>) -> Result<Response> {
    let op = Op::SessionDelete { session };
    change(&posted, posted.fields.m, op, page::HOME).await
}

/// One mutation on a session, then to `target`.
async fn change<F>(
    posted: &Posted<F>,
    mutation: Option<MutationId>,
    op: Op,
    target: &str,
) -> Result<Response> {
    let session = op.session();
    let caller = match posted.sender(&page::session(session)).await? {
        Ok(caller) => caller,
        Err(door) => return Ok(door),
    };
    let outcome = write(&posted.pages, &caller, mutation, op).await;
    lead(posted, &caller, (session, target), outcome, Typed::default()).await
}

async fn stop(Id(session): Id<SessionId>, posted: Posted<Run>) -> Result<Response> {
    match posted.sender(&page::session(session)).await? {
        Ok(caller) => {
            posted.pages.runs.cancel(caller.user, posted.fields.run).await?;
            Ok(Redirect::to(&page::session(session)).into_response())
        }
        Err(door) => Ok(door),
    }
}

async fn sign_out_device(Id(device): Id<DeviceId>, posted: Posted<IgnoredAny>) -> Result<Response> {
    match posted.sender(page::SETTINGS).await? {
        Ok(caller) => {
            auth::sign_out_device(posted.pages.auth(), &caller, device, &posted.visit).await?;
            Ok(Redirect::to(page::SETTINGS).into_response())
        }
        Err(door) => Ok(door),
    }
}
