//! Stored: `audit_events`, what happened at the door, refusals too, a table for each outcome and month. Append-only, which the
//! database sees to, until a month is old and goes as a whole; whoever is gone is unnamed.

use super::{Caller, Visit};
use crate::database::{Pool, Transaction};
use crate::limits::address;
use protocol::{DeviceId, UserId};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

/// Days that what was done is kept, and then until its month is over …
const DONE_DAYS: i32 = 365;
/// … and what was refused, which is mostly strangers' noise. A person's list goes back as far.
const REFUSED_DAYS: i32 = 90;

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

impl<'a> Event<'a> {
    /// Done by somebody who is signed in, in their own account.
    pub const fn by_its_owner(caller: &Caller, name: &'a str) -> Self {
        Self {
            user: Some(caller.user),
            device: Some(caller.device),
            name,
            refusal: None,
            method: "itself",
        }
    }
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

/// What whoever runs the server did, with the transaction that does it.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    pub operator: &'a str,
    pub user: Option<UserId>,
    pub device: Option<DeviceId>,
    pub name: &'a str,
    /// In the operator's own words, where they gave any.
    pub reason: Option<&'a str>,
}

pub async fn note_act(db: &mut Transaction, act: Act<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into audit_events (user_id, device_id, event, outcome, reason, operator)
         values ($1, $2, $3, 'done', $4, $5)",
        act.user.map(|user| user.0),
        act.device.map(|device| device.0),
        act.name,
        act.reason,
        act.operator
    )
    .execute(db)
    .await?;
    Ok(())
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
    pub is_by_operator: bool,
    /// More than one: so often on that day, all told here.
    pub times: i64,
}

/// Of the last 90 days, the newest first. Anybody can be refused at somebody else's door, and can ask for letters: these
/// are told once a day with their number, and apart from what the user did, so that they push nothing out of the list.
pub async fn of_user(pool: &Pool, user: UserId) -> sqlx::Result<Vec<Noted>> {
    sqlx::query_as!(
        Noted,
        r#"select at as "at!", event as "name!", is_done as "is_done!", reason, prefix,
                  is_by_operator as "is_by_operator!", times as "times!"
             from ((select at, event, true as is_done, reason, ip_prefix as prefix,
                           operator is not null as is_by_operator, 1::bigint as times
                      from audit_events
                     where user_id = $1 and outcome = 'done' and event not in ('forgot', 'letter', 'sign_up')
                       and at > now() - interval '90 days'
                     order by audit_events.at desc
                     limit 50)
                   union all
                   (select max(at), event, outcome = 'done', reason,
                           case when count(distinct ip_prefix) = 1 then max(ip_prefix) end, false, count(*)
                      from (select at, event, outcome, reason, ip_prefix
                              from audit_events
                             where user_id = $1 and (outcome <> 'done' or event in ('forgot', 'letter', 'sign_up'))
                               and at > now() - interval '90 days'
                             order by audit_events.at desc
                             limit 2000) as tried
                     group by event, outcome, reason, date_trunc('day', at at time zone 'UTC')
                     order by 1 desc
                     limit 30)) as noted
            order by at desc"#,
        user.0
    )
    .fetch_all(pool)
    .await
}

/// An event as the people who look after this server see it.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: i64,
    pub at: OffsetDateTime,
    pub user: Option<Uuid>,
    pub email: Option<String>,
    pub device: Option<Uuid>,
    pub name: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub prefix: Option<String>,
    pub request_id: Option<String>,
    pub operator: Option<String>,
}

/// The newest so many, or those of one user; the newest last.
pub async fn newest(pool: &Pool, of: Option<UserId>, count: i64) -> sqlx::Result<Vec<Told>> {
    let mut told = match of {
        Some(user) => {
            sqlx::query_as!(
                Told,
                r#"select a.id, a.at, a.user_id as "user", u.email as "email?", a.device_id as device, a.event as name,
                          a.outcome, a.reason, a.ip_prefix as prefix, a.request_id, a.operator
                     from audit_events a left join users u on u.id = a.user_id
                    where a.user_id = $1
                    order by a.at desc, a.id desc
                    limit $2"#,
                user.0,
                count
            )
            .fetch_all(pool)
            .await?
        }
        None => {
            sqlx::query_as!(
                Told,
                r#"select a.id, a.at, a.user_id as "user", u.email as "email?", a.device_id as device, a.event as name,
                          a.outcome, a.reason, a.ip_prefix as prefix, a.request_id, a.operator
                     from (select * from audit_events order by id desc limit $1) a
                     left join users u on u.id = a.user_id
                    order by a.id desc"#,
                count
            )
            .fetch_all(pool)
            .await?
        }
    };
    told.reverse();
    Ok(told)
}

/// Makes the tables of this month and the next three, where they are not there yet. Without one, nothing could be noted, and
/// so nobody could sign in.
pub async fn make_room(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query_scalar!("select audit_events_make_room(now(), now() + interval '3 months')")
        .fetch_one(pool)
        .await?;
    Ok(())
}

/// Forgets what is old, a month at a time.
pub async fn purge(pool: &Pool) -> sqlx::Result<()> {
    for (outcome, days) in [("done", DONE_DAYS), ("refused", REFUSED_DAYS)] {
        sqlx::query_scalar!("select audit_events_forget($1, $2)", outcome, days)
            .fetch_one(pool)
            .await?;
    }
    Ok(())
}

/// What was noted of somebody who is gone stays, under a name that is nobody's, and without what could lead to them.
pub async fn unname(db: &mut Transaction, user: UserId, pseudonym: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "update audit_events set user_id = $2, device_id = null, ip_prefix = null, request_id = null
          where user_id = $1",
        user.0,
        pseudonym
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A page of everything that was noted of a user, after this one; each with its number.
pub async fn after(pool: &Pool, user: UserId, last: i64, limit: i64) -> sqlx::Result<Vec<(i64, Noted)>> {
    let rows = sqlx::query!(
        r#"select id, at, event as name, outcome = 'done' as "is_done!", reason, ip_prefix as prefix,
                  operator is not null as "is_by_operator!"
             from audit_events
            where user_id = $1 and id > $2
            order by id
            limit $3"#,
        user.0,
        last,
        limit
    )
    .fetch_all(pool)
    .await?;
    let noted = rows.into_iter().map(|row| {
        let noted = Noted {
            at: row.at,
            name: row.name,
            is_done: row.is_done,
            reason: row.reason,
            prefix: row.prefix,
            is_by_operator: row.is_by_operator,
            times: 1,
        };
        (row.id, noted)
    });
    Ok(noted.collect())
}
