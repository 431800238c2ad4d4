//! Stored: `audit_events`, what happened at the door, refusals too. Append-only.

use super::Visit;
use crate::database::Pool;
use crate::limits::address;
use protocol::{DeviceId, UserId};
use sqlx::PgExecutor;
use time::OffsetDateTime;

/// What happened, for the people who look after this server.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub user: Option<UserId>,
    pub device: Option<DeviceId>,
    /// `sign_in`, `sign_up`, `verify`, `refresh`, `sign_out`, …
    pub name: &'a str,
    /// `None`: it succeeded.
    pub refusal: Option<&'a str>,
    /// How: `password`, `code`, `link`, a provider's name, …
    pub method: &'a str,
}

pub async fn note(db: impl PgExecutor<'_>, event: Event<'_>, visit: &Visit) -> sqlx::Result<()> {
    let outcome = if event.refusal.is_some() {
        "refused"
    } else {
        "done"
    };
    metrics::counter!(
        "auth_attempts_total",
        "event" => event.name.to_owned(),
        "method" => event.method.to_owned(),
        "outcome" => outcome,
        "reason" => event.refusal.unwrap_or_default().to_owned()
    )
    .increment(1);
    let reason = match event.refusal {
        Some(refusal) => format!("{}: {refusal}", event.method),
        None => event.method.to_owned(),
    };
    sqlx::query!(
        "insert into audit_events (user_id, device_id, event, outcome, reason, ip_prefix, request_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        event.user.map(|user| user.0),
        event.device.map(|device| device.0),
        event.name,
        outcome,
        reason,
        address::neighbourhood(visit.address),
        visit.request_id
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A refusal is noted on its own, since its transaction is undone. A full log never refuses anybody.
pub async fn note_refusal(pool: &Pool, event: Event<'_>, visit: &Visit) {
    if let Err(error) = note(pool, event, visit).await {
        tracing::warn!(error = %error, "a refusal was not noted");
    }
}

/// What a user is shown of what happened at their door.
#[derive(Clone, Debug)]
pub struct Noted {
    pub at: OffsetDateTime,
    pub name: String,
    pub is_done: bool,
    /// How, and where it was refused, why.
    pub reason: Option<String>,
    /// Of the network, not of the computer.
    pub prefix: Option<String>,
}

/// Of the last 90 days, the newest first, a page of them.
pub async fn of_user(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Noted>> {
    sqlx::query_as!(
        Noted,
        r#"select at, event as name, outcome = 'done' as "is_done!", reason, ip_prefix as prefix
             from audit_events
            where user_id = $1 and at > now() - interval '90 days'
            order by at desc
            limit 50"#,
        user.0
    )
    .fetch_all(pool)
    .await
}
