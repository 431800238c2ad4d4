//! An identity whose address has an account here: linked once that account's owner signs in, in the same browser.
//!
//! **Invariant:** what is linked is exactly the identity that the provider vouched for, and only to the account of the
//! address that it vouched for. Another one that comes while it waits takes its place in silence never.

use super::super::{Auth, Visit, cookies};
use super::provider_tokens::{self, Held};
use super::{Identity, WAITS, accounts};
use crate::database::Transaction;
use crate::mail::{self, Letter};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::auth::Email;
use protocol::routes::page;
use protocol::{Code, UserId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingLink {
    provider: String,
    subject: String,
    email: Email,
    /// What is kept with it, sealed.
    #[serde(default)]
    token: Option<Held>,
}

impl Auth {
    /// Without Redis, or without the cookie, it is forgotten: the person tries the provider again. Where another identity waits
    /// already, nobody can tell which of the two the owner would mean: neither waits then, and the person is told to start again.
    pub(super) async fn remember_to_link(
        &self,
        provider: &str,
        identity: &Identity,
        visit: &Visit,
    ) -> Result<(), Code> {
        let (Some(email), Some(cookie)) = (&identity.email, &visit.provider_cookie) else {
            return Ok(());
        };
        let pending = PendingLink {
            provider: provider.to_owned(),
            subject: identity.subject.clone(),
            email: email.clone(),
            token: identity.token.clone(),
        };
        match self.keep_one(&self.pending_key(cookie), &pending).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Code::StateMismatch),
            Err(error) => {
                tracing::warn!(error = %error, "an identity to be linked was not kept");
                Ok(())
            }
        }
    }

    /// False: another one was there, and neither is now.
    async fn keep_one(&self, key: &str, pending: &PendingLink) -> redis::RedisResult<bool> {
        let text = serde_json::to_string(pending).unwrap_or_default();
        let mut alone = redis::cmd("SET");
        alone.arg(key).arg(&text).arg("NX").arg("EX").arg(WAITS);
        let is_alone: Option<String> = self.redis.ask(&alone).await?;
        if is_alone.is_some() {
            return Ok(true);
        }
        let other: Option<String> = self.redis.ask(&redis::Cmd::get_del(key)).await?;
        let is_same = other
            .and_then(|text| serde_json::from_str::<PendingLink>(&text).ok())
            .is_none_or(|other| other.is_of_same(pending));
        if is_same {
            let () = self
                .redis
                .ask(&redis::Cmd::set_ex(key, text, WAITS.into()))
                .await?;
        }
        Ok(is_same)
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
    /// Whether both are of one identity. What it brought along is another one each time.
    fn is_of_same(&self, other: &Self) -> bool {
        (&self.provider, &self.subject, &self.email) == (&other.provider, &other.subject, &other.email)
    }

    /// Links it in the transaction that signs its owner in, and tells them by letter, with when and from where that was.
    pub async fn link(
        &self,
        auth: &Auth,
        db: &mut Transaction,
        user: UserId,
        when: String,
    ) -> anyhow::Result<()> {
        let email = Some(self.email.as_str());
        let is_new = accounts::insert(&mut *db, user, &self.provider, &self.subject, email)
            .await
            .context("linking an identity")?;
        if !is_new {
            return Ok(());
        }
        if let Some(held) = &self.token {
            provider_tokens::keep(&mut *db, &self.provider, &self.subject, held)
                .await
                .context("keeping what the provider gave")?;
        }
        let letter = Letter::ProviderLinked {
            provider: auth.0.providers.name(&self.provider).to_owned(),
            is_asked_for: false,
            when,
            link: auth.config.link(page::SECURITY),
        };
        mail::put(db, Some(user), &self.email, &letter).await
    }
}
