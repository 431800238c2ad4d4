//! The accounts at providers that somebody's own account is connected to: seen, connected and taken away by its owner.
//!
//! **Invariant:** what is connected is what the provider vouched for in the browser that asked, whose person had shown who
//! they are, when they left and still when they came back. Addresses play no part, and the account's own never changes.

use super::super::audit_events::{self, Event};
use super::super::{Auth, Caller, Visit, safety, users};
use super::{Identity, accounts, linking};
use crate::database::Transaction;
use crate::error::Result;
use crate::mail::{self, Letter};
use protocol::auth::Email;
use protocol::routes::page;
use protocol::{Code, DeviceId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who left to connect an account, and from which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub user: UserId,
    pub device: DeviceId,
}

impl Owner {
    pub fn of(caller: &Caller) -> Self {
        Self {
            user: caller.user,
            device: caller.device,
        }
    }
}

/// One of the ways to sign in through somebody else.
#[derive(Clone, Debug)]
pub struct Connected {
    pub id: Uuid,
    pub provider: String,
    /// What people call it.
    pub name: String,
    /// The address there, as it was named last.
    pub email: Option<String>,
}

/// What is connected, the oldest first.
pub async fn connected(auth: &Auth, caller: &Caller) -> Result<Vec<Connected>> {
    let linked = accounts::of_user(&auth.pool, caller.user).await?;
    let connected = linked.into_iter().map(|linked| Connected {
        id: linked.id,
        name: auth.0.providers.name(&linked.provider).to_owned(),
        provider: linked.provider,
        email: linked.email,
    });
    Ok(connected.collect())
}

/// Connects what the provider vouched for. Whoever has it already has it once.
pub(super) async fn connect(
    auth: &Auth,
    caller: &Caller,
    provider: &str,
    identity: &Identity,
    visit: &Visit,
) -> Result<()> {
    let address = identity.email.as_ref().map(Email::as_str);
    let mut tx = safety::change(auth, caller).await?;
    let is_new = accounts::insert(&mut tx, caller.user, provider, &identity.subject, address).await?;
    if !is_new {
        return match accounts::owner(&mut tx, provider, &identity.subject).await? {
            Some(owner) if owner == caller.user => Ok(()),
            Some(_) | None => Err(Code::IdentityInUse.into()),
        };
    }
    if !linking::keep(&mut tx, caller.user, provider, identity).await? {
        return Err(Code::IdentityInUse.into());
    }
    let letter = Letter::ProviderLinked {
        provider: auth.0.providers.name(provider).to_owned(),
        is_asked_for: true,
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    tell(&mut tx, caller, ("account_connected", provider), &letter, visit).await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

/// Takes one away, unless it is the only way in that there is without a letter. What its provider gave is taken back behind that.
pub async fn disconnect(auth: &Auth, caller: &Caller, id: Uuid, visit: &Visit) -> Result<()> {
    let mut tx = safety::change(auth, caller).await?;
    let removed = accounts::remove(&mut tx, caller.user, id).await?;
    let provider = removed.ok_or(Code::NotFound)?;
    if !users::has_way_in(&mut tx, caller.user).await? {
        return Err(Code::LastWayIn.into());
    }
    let letter = Letter::ProviderUnlinked {
        provider: auth.0.providers.name(&provider).to_owned(),
        when: auth.now_and_where(visit)?,
        link: auth.config.link(page::SECURITY),
    };
    tell(
        &mut tx,
        caller,
        ("account_disconnected", &provider),
        &letter,
        visit,
    )
    .await?;
    tx.commit().await?;
    auth.letters_wait();
    Ok(())
}

async fn tell(
    tx: &mut Transaction,
    caller: &Caller,
    (name, provider): (&'static str, &str),
    letter: &Letter,
    visit: &Visit,
) -> Result<()> {
    mail::put(tx, Some(caller.user), &caller.email, letter).await?;
    let event = Event {
        user: Some(caller.user),
        device: Some(caller.device),
        name,
        refusal: None,
        method: provider,
    };
    Ok(audit_events::note(tx, event, visit).await?)
}
