//! An identity whose address has an account here: linked once that account's owner signs in, in the same browser.
//!
//! **Invariant:** what is linked is exactly the identity that the provider vouched for, and only to the account of the
//! address that it vouched for.

use super::super::{Auth, Visit, cookies};
use super::{Identity, WAITS, accounts};
use crate::database::Transaction;
use crate::mail::{self, Letter};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::UserId;
use protocol::auth::Email;
use protocol::routes::page;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLink {
    provider: String,
    subject: String,
    email: Email,
}

impl Auth {
    /// Without Redis, or without the cookie, it is forgotten: the person tries the provider again.
    pub(super) async fn remember_to_link(&self, provider: &str, identity: &Identity, visit: &Visit) {
        let (Some(email), Some(cookie)) = (&identity.email, &visit.provider_cookie) else {
            return;
        };
        let pending = PendingLink {
            provider: provider.to_owned(),
            subject: identity.subject.clone(),
            email: email.clone(),
        };
        let stored: redis::RedisResult<()> = self
            .redis
            .ask(&redis::Cmd::set_ex(
                self.pending_key(cookie),
                serde_json::to_string(&pending).unwrap_or_default(),
                WAITS.into(),
            ))
            .await;
        if let Err(error) = stored {
            tracing::warn!(error = %error, "an identity to be linked was not kept");
        }
    }

    /// What waits for the owner of this address to sign in, in this browser. Taken away at once.
    pub(in crate::auth) async fn pending_link(&self, email: &Email, visit: &Visit) -> Option<PendingLink> {
        let cookie = visit.provider_cookie.as_ref()?;
        let text: redis::RedisResult<Option<String>> = self
            .redis
            .ask(&redis::Cmd::get_del(self.pending_key(cookie)))
            .await;
        let pending: PendingLink = serde_json::from_str(&text.ok()??).ok()?;
        (pending.email.key() == email.key()).then_some(pending)
    }

    fn pending_key(&self, cookie: &str) -> String {
        let hash = URL_SAFE_NO_PAD.encode(cookies::digest(cookie));
        self.key(format_args!("to-link:{hash}"))
    }
}

impl PendingLink {
    /// Links it in the transaction that signs its owner in, and tells them by letter.
    pub async fn link(&self, auth: &Auth, db: &mut Transaction, user: UserId) -> anyhow::Result<()> {
        let email = Some(self.email.as_str());
        let is_new = accounts::insert(&mut *db, user, &self.provider, &self.subject, email)
            .await
            .context("linking an identity")?;
        if !is_new {
            return Ok(());
        }
        let letter = Letter::ProviderLinked {
            provider: auth.0.providers.name(&self.provider).to_owned(),
            is_asked_for: false,
            link: auth.config.link(page::SECURITY),
        };
        mail::put(db, Some(user), &self.email, &letter).await
    }
}
