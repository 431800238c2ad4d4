//! The limit of reading: axum and sqlx with the server's own queries, and nothing around them.

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use protocol::run::Status;
use protocol::sync::{Cursor, History, Message, Role, Session, SessionsPage};
use protocol::{MessageId, RunId, SessionId};
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

/// As many as the server keeps.
const CONNECTIONS: u32 = 16;

pub async fn serve() -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&crate::stage::setting("DATABASE_URL")?)
        .await
        .context("reaching PostgreSQL")?;
    let router = Router::new()
        .route("/sessions/{user}", get(sessions))
        .route("/messages/{user}/{session}", get(messages))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ready http://{}", listener.local_addr()?);
    axum::serve(listener, router).await.context("serving")
}

type Answer<T> = Result<Json<T>, StatusCode>;

async fn sessions(State(pool): State<PgPool>, Path(user): Path<Uuid>) -> Answer<SessionsPage> {
    let rows = sqlx::query(
        "select h.epoch, h.head_seq, s.id, s.seq, s.title, s.title_seq, s.archived, s.last_ord, s.preview, s.live_runs,
                s.last_active, s.created_at
         from agent_sessions s, (select epoch, head_seq from sync_heads where user_id = $1) h
         where s.user_id = $1 and s.archived = false and s.deleted_at is null
         order by s.last_active desc, s.id desc
         limit 50",
    )
    .bind(user)
    .fetch_all(&pool)
    .await
    .map_err(refuse)?;
    page(&rows).map(Json).map_err(refuse)
}

fn page(rows: &[PgRow]) -> sqlx::Result<SessionsPage> {
    let as_of = cursor(rows.first())?;
    let sessions = rows.iter().map(session).collect::<sqlx::Result<_>>()?;
    Ok(SessionsPage {
        as_of,
        sessions,
        more: None,
    })
}

fn session(row: &PgRow) -> sqlx::Result<Session> {
    Ok(Session {
        id: SessionId(row.try_get("id")?),
        seq: row.try_get("seq")?,
        title: row.try_get("title")?,
        title_seq: row.try_get("title_seq")?,
        archived: row.try_get("archived")?,
        last_ord: row.try_get("last_ord")?,
        preview: row.try_get("preview")?,
        running: row.try_get::<i32, _>("live_runs")? > 0,
        last_active: millis(row.try_get("last_active")?),
        created_at: millis(row.try_get("created_at")?),
    })
}

async fn messages(State(pool): State<PgPool>, Path((user, session)): Path<(Uuid, Uuid)>) -> Answer<History> {
    let rows = sqlx::query(
        "select h.epoch, h.head_seq, m.id, m.agent_session_id, m.seq, m.ord, m.parent_id, m.role, m.status, m.run_id,
                m.content, m.metadata, m.created_at, m.deleted_at is not null as is_deleted
         from (select * from conversations where user_id = $1 and agent_session_id = $2 order by ord desc limit 20) m,
              (select epoch, head_seq from sync_heads where user_id = $1) h
         order by m.ord",
    )
    .bind(user)
    .bind(session)
    .fetch_all(&pool)
    .await
    .map_err(refuse)?;
    history(SessionId(session), &rows).map(Json).map_err(refuse)
}

fn history(session: SessionId, rows: &[PgRow]) -> sqlx::Result<History> {
    let as_of = cursor(rows.first())?;
    let messages: Vec<Message> = rows.iter().map(message).collect::<sqlx::Result<_>>()?;
    Ok(History {
        session,
        as_of,
        lo: messages.first().map_or(1, |message| message.ord),
        hi: messages.last().map_or(0, |message| message.ord),
        messages,
    })
}

fn message(row: &PgRow) -> sqlx::Result<Message> {
    let role = match row.try_get("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => Role::System,
    };
    Ok(Message {
        id: MessageId(row.try_get("id")?),
        session: SessionId(row.try_get("agent_session_id")?),
        seq: row.try_get("seq")?,
        ord: row.try_get("ord")?,
        parent: row.try_get::<Option<Uuid>, _>("parent_id")?.map(MessageId),
        role,
        status: Status::from_number(row.try_get("status")?).unwrap_or(Status::Interrupted),
        run: row.try_get::<Option<Uuid>, _>("run_id")?.map(RunId),
        content: row.try_get("content")?,
        metadata: row.try_get("metadata")?,
        created_at: millis(row.try_get("created_at")?),
        deleted: row.try_get("is_deleted")?,
    })
}

fn cursor(row: Option<&PgRow>) -> sqlx::Result<Cursor> {
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Cursor {
        epoch: row.try_get("epoch")?,
        seq: row.try_get("head_seq")?,
    })
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

fn refuse(error: sqlx::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
