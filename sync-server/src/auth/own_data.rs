//! What is known here of somebody, for themselves: as JSON, a page at a time.
//!
//! **Invariant:** nothing that opens a door is in it: no hash, no secret, no token.

use super::providers::identities_of;
use super::{Auth, audit_events, devices, passkey, users};
use crate::database::Transaction;
use crate::error::Result;
use anyhow::Context as _;
use protocol::UserId;
use protocol::auth::Email;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

const PAGE: i64 = 500;

/// `None`: they are gone.
pub async fn account_of(auth: &Auth, user: UserId) -> Result<Option<Value>> {
    let Some(whole) = users::whole(&auth.pool, user).await? else {
        return Ok(None);
    };
    let mut identities = Vec::new();
    for linked in identities_of(&auth.pool, user).await? {
        identities.push(json!({
            "provider": linked.provider,
            "id_there": linked.provider_account_id,
            "email": linked.email,
            "linked_at": written(linked.created_at)?,
        }));
    }
    let mut passkeys = Vec::new();
    for kept in passkey::list(&auth.pool, user).await? {
        passkeys.push(json!({
            "name": kept.name,
            "added_at": written(kept.created_at)?,
            "last_used": kept.last_used.map(written).transpose()?,
        }));
    }
    Ok(Some(json!({
        "id": user,
        "email": whole.email,
        "email_confirmed_at": whole.email_verified.map(written).transpose()?,
        "name": whole.name,
        "picture": whole.avatar_url,
        "has_password": whole.has_password,
        "has_second_step": whole.has_second_step,
        "created_at": written(whole.created_at)?,
        "identities": identities,
        "passkeys": passkeys,
    })))
}

/// A page of devices, and after which the next one begins. `None`: there are no more.
pub async fn devices_after(auth: &Auth, user: UserId, last: Uuid) -> Result<Option<(Uuid, Vec<Value>)>> {
    let rows = devices::after(&auth.pool, user, last, PAGE).await?;
    let Some(end) = rows.last().map(|row| row.id) else {
        return Ok(None);
    };
    let mut page = Vec::new();
    for row in rows {
        page.push(json!({
            "id": row.id,
            "kind": if row.kind == 0 { "browser" } else { "native" },
            "name": row.name,
            "os": row.os,
            "version": row.version,
            "place": row.place,
            "signed_in_at": written(row.created_at)?,
            "last_active": written(row.last_active)?,
            "signed_out_at": row.revoked_at.map(written).transpose()?,
        }));
    }
    Ok(Some((end, page)))
}

/// As [`devices_after`], of what happened at their door.
pub async fn events_after(auth: &Auth, user: UserId, last: i64) -> Result<Option<(i64, Vec<Value>)>> {
    let rows = audit_events::after(&auth.pool, user, last, PAGE).await?;
    let Some(end) = rows.last().map(|(id, _)| *id) else {
        return Ok(None);
    };
    let mut page = Vec::new();
    for (_, noted) in rows {
        page.push(json!({
            "at": written(noted.at)?,
            "event": noted.name,
            "outcome": if noted.is_done { "done" } else { "refused" },
            "reason": noted.reason,
            "network": noted.prefix,
        }));
    }
    Ok(Some((end, page)))
}

/// Where letters to them go. `None`: they are gone.
pub async fn address_of(db: &mut Transaction, user: UserId) -> Result<Option<Email>> {
    Ok(users::read(db, user).await?.map(|user| user.email))
}

/// As programs read it.
fn written(at: OffsetDateTime) -> Result<String> {
    Ok(at.format(&Rfc3339).context("writing a time")?)
}
