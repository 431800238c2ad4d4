//! Which user a provider's identity is: known, new, or somebody who has to say so themselves.
//!
//! **Invariant:** an address alone never opens an account that somebody has proven already.

use super::super::{devices, users, verification_tokens};
use super::{Identity, accounts, provider_tokens};
use crate::database::Transaction;
use crate::error::Result;
use protocol::auth::Email;
use protocol::{Code, DeviceId, UserId};

/// Where an identity leads.
#[derive(Debug)]
pub struct Linked {
    pub user: UserId,
    /// Devices that somebody unproven had; their sign-out is announced after the commit.
    pub signed_out: Vec<DeviceId>,
}

/// What to do about an identity that no user has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newcomer {
    /// The provider vouches for the address and nobody has proven it before: it is theirs.
    Admit,
    /// Somebody has proven it before: they link it by signing in the way they did.
    MustLink,
    /// Neither the provider vouches for the address nor a letter.
    Refuse,
}

fn judge(is_vouched_for: bool, is_proven_here: bool) -> Newcomer {
    match (is_vouched_for, is_proven_here) {
        (false, _) => Newcomer::Refuse,
        (true, true) => Newcomer::MustLink,
        (true, false) => Newcomer::Admit,
    }
}

/// The address of somebody new for which their provider does not vouch: a letter has to prove it before anything is made.
pub async fn unproven<'i>(
    db: &mut Transaction,
    provider: &str,
    identity: &'i Identity,
) -> Result<Option<&'i Email>> {
    let Some(email) = identity.email.as_ref().filter(|_| !identity.is_email_verified) else {
        return Ok(None);
    };
    let owner = accounts::owner(db, provider, &identity.subject).await?;
    Ok(owner.is_none().then_some(email))
}

pub async fn link(db: &mut Transaction, provider: &str, identity: &Identity) -> Result<Linked> {
    let address = identity.email.as_ref().map(Email::as_str);
    if let Some(user) = accounts::owner(&mut *db, provider, &identity.subject).await? {
        return Ok(Linked {
            user,
            signed_out: Vec::new(),
        });
    }
    let vouched_for = identity.email.as_ref().filter(|_| identity.is_email_verified);
    let Some(email) = vouched_for else {
        return Err(Code::ProviderUnverified.into());
    };
    let holder = users::find_or_make(&mut *db, email).await?;
    let user = holder.user;
    match judge(true, holder.is_verified) {
        Newcomer::Refuse => return Err(Code::ProviderUnverified.into()),
        Newcomer::MustLink => return Err(Code::LinkRequired.into()),
        Newcomer::Admit => email.must_be_fit()?,
    }
    // Whoever signed up with this address before never proved it: their password and devices are nothing.
    let name = identity
        .name
        .as_deref()
        .map(|name| super::super::finish::named(name, "", 255));
    users::verify(
        &mut *db,
        user,
        None,
        name.as_deref().filter(|name| !name.is_empty()),
    )
    .await?;
    verification_tokens::void_all(&mut *db, &email.key()).await?;
    let signed_out = devices::revoke_all(&mut *db, user, "address confirmed").await?;
    accounts::insert(&mut *db, user, provider, &identity.subject, address).await?;
    accounts::note_avatar(&mut *db, user, identity.avatar_url.as_deref()).await?;
    Ok(Linked { user, signed_out })
}

/// Keeps what the provider gave and says today of an identity that is somebody's. After the user is held, and not before: whoever
/// takes the identity away holds them first too, and in the other order the two would wait for each other.
/// False: it is this user's no more. Whoever takes it away holds the user, as the sign-in does by now.
pub async fn keep(
    db: &mut Transaction,
    user: UserId,
    provider: &str,
    identity: &Identity,
) -> sqlx::Result<bool> {
    if accounts::owner(&mut *db, provider, &identity.subject).await? != Some(user) {
        return Ok(false);
    }
    let address = identity.email.as_ref().map(Email::as_str);
    accounts::note_email(&mut *db, provider, &identity.subject, address).await?;
    if let Some(held) = &identity.token {
        provider_tokens::keep(db, provider, &identity.subject, held).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_never_opens_a_proven_account() {
        assert_eq!(judge(true, false), Newcomer::Admit);
        assert_eq!(judge(true, true), Newcomer::MustLink);
        assert_eq!(judge(false, false), Newcomer::Refuse);
        assert_eq!(judge(false, true), Newcomer::Refuse);
    }
}
