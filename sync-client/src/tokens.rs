//! The one refresher: access tokens in memory, the refresh token in the store, renewed before it is too late.
//!
//! **Invariant:** only `invalid_grant` signs out; a failed renewal never writes the store; a renewed refresh token is
//! saved and read back before the access token that came with it is first used.

use crate::credentials::{Credential, CredentialStore};
use crate::engine::Failure;
use crate::http::{Call, Http, Trouble};
use crate::proof::ProofKey;
use protocol::auth::{Me, SignedIn, Tokens};
use protocol::oauth::{CLIENT_ID, Grant};
use protocol::{Code, Problem, UserId, routes};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Access {
    token: String,
    user: UserId,
    /// 80 % of its life: renewed from here on, while it still works.
    renew_at: Instant,
    ends_at: Instant,
}

/// How a renewal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    Renewed,
    /// `invalid_grant`, or nothing to renew with: a person has to sign in.
    Refused,
    /// Could not be answered, or not be kept: later.
    Failed,
}

pub struct Keeper {
    store: Arc<dyn CredentialStore>,
    http: Http,
    access: Mutex<Option<Access>>,
    refresher: tokio::sync::Mutex<()>,
    lock: PathBuf,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    pub fn new(store: Arc<dyn CredentialStore>, http: Http, folder: &Path) -> Self {
        Self {
            store,
            http,
            access: Mutex::new(None),
            refresher: tokio::sync::Mutex::new(()),
            lock: folder.join("refresh.lock"),
        }
    }

    /// What is kept.
    pub async fn load(&self) -> Result<Option<Credential>, Problem> {
        let store = Arc::clone(&self.store);
        blocking(move || store.load()).await
    }

    fn access(&self) -> Option<Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_access(&self, access: Option<Access>) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// A token for a request of this user: the present one, or a renewed one where that is due.
    pub async fn token(&self, user: UserId) -> Result<String, Failure> {
        let (token, owner) = self.any_token().await?;
        // Somebody else signed in meanwhile: what one person wrote is never sent as another.
        if owner == user {
            Ok(token)
        } else {
            Err(Failure::NotSent)
        }
    }

    async fn any_token(&self) -> Result<(String, UserId), Failure> {
        let now = Instant::now();
        let present = self.access();
        match &present {
            Some(access) if now < access.renew_at => return Ok((access.token.clone(), access.user)),
            Some(_) | None => {}
        }
        let renewal = self.renew().await;
        match (renewal, self.access(), present) {
            (Renewal::Renewed, Some(access), _) => Ok((access.token, access.user)),
            (Renewal::Refused, _, _) => Err(Failure::Unauthorized),
            // The present one still works, so nobody has to wait for the renewal.
            (_, _, Some(present)) if now < present.ends_at => Ok((present.token, present.user)),
            _ => Err(Failure::NotSent),
        }
    }

    /// The access token as it is, for the open socket.
    pub fn present(&self) -> Option<String> {
        self.access().map(|access| access.token)
    }

    /// When the present token should be renewed; `None`: there is none.
    pub fn renew_at(&self) -> Option<Instant> {
        self.access().map(|access| access.renew_at)
    }

    /// The server refused this token, or the computer slept: renewed at the next use.
    pub fn distrust(&self) {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(access) = access.as_mut() {
            access.renew_at = Instant::now();
        }
    }

    /// Renews, unless somebody else just did.
    pub async fn renew(&self) -> Renewal {
        let _one = self.refresher.lock().await;
        if self
            .access()
            .is_some_and(|access| Instant::now() < access.renew_at)
        {
            return Renewal::Renewed;
        }
        let path = self.lock.clone();
        let Ok(_file) = blocking(move || file_lock(&path)).await else {
            return Renewal::Failed;
        };
        // Another program of this profile may have renewed meanwhile: what counts is what is kept now.
        let Ok(kept) = self.load().await else {
            return Renewal::Failed;
        };
        let Some(kept) = kept else { return Renewal::Refused };
        let renewal = self.renew_with(&kept).await;
        if matches!(renewal, Renewal::Refused) {
            return self.refused(&kept).await;
        }
        renewal
    }

    async fn renew_with(&self, kept: &Credential) -> Renewal {
        let grant = Grant::RefreshToken {
            refresh_token: kept.refresh_token.clone(),
            client_id: CLIENT_ID.to_owned(),
        };
        let mut call = Call::post(routes::TOKEN).form(&grant);
        if let Some(key) = &kept.key {
            call = call.proven_by(key);
        }
        let answer: Result<SignedIn, Trouble> = self.http.ask(call).await;
        match answer {
            Ok(SignedIn {
                me,
                tokens: Some(tokens),
            }) => match self.keep(me, tokens, kept.key.clone()).await {
                Ok(()) => Renewal::Renewed,
                Err(problem) => {
                    tracing::warn!(code = %problem.code, "a renewed sign-in could not be kept");
                    Renewal::Failed
                }
            },
            Err(trouble) if trouble.oauth.as_deref() == Some("invalid_grant") => Renewal::Refused,
            Ok(_) | Err(_) => Renewal::Failed,
        }
    }

    /// Compare before clear: a credential newer than the refused one is never cleared, but tried.
    async fn refused(&self, refused: &Credential) -> Renewal {
        match self.load().await {
            Ok(Some(kept)) if kept.refresh_token != refused.refresh_token => self.renew_with(&kept).await,
            Ok(Some(_)) => {
                self.set_access(None);
                let store = Arc::clone(&self.store);
                if let Err(problem) = blocking(move || store.clear()).await {
                    tracing::warn!(code = %problem.code, "a refused sign-in could not be cleared");
                }
                Renewal::Refused
            }
            Ok(None) => Renewal::Refused,
            Err(_) => Renewal::Failed,
        }
    }

    /// Saves, reads back, and only then lets the access token be used.
    pub async fn keep(&self, me: Me, tokens: Tokens, key: Option<ProofKey>) -> Result<(), Problem> {
        let user = me.user;
        let credential = Credential {
            refresh_token: tokens.refresh_token,
            me,
            key,
        };
        let store = Arc::clone(&self.store);
        let is_kept = blocking(move || {
            store.save(&credential)?;
            Ok(store.load()?.as_ref() == Some(&credential))
        })
        .await?;
        if !is_kept {
            return Err(Problem::new(Code::KeychainUnavailable));
        }
        let life = Duration::from_secs(u64::from(tokens.expires_in));
        let now = Instant::now();
        self.set_access(Some(Access {
            token: tokens.access_token,
            user,
            renew_at: now + life.mul_f32(0.8),
            ends_at: now + life,
        }));
        Ok(())
    }

    /// Signs out here.
    pub async fn clear(&self) -> Result<(), Problem> {
        let _one = self.refresher.lock().await;
        self.set_access(None);
        let store = Arc::clone(&self.store);
        blocking(move || store.clear()).await
    }
}

/// Held while the file is open; other programs of this profile wait.
fn file_lock(path: &Path) -> Result<File, Problem> {
    let locked = File::options()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|file| {
            file.lock()?;
            Ok(file)
        });
    locked.map_err(|error| {
        tracing::warn!(%error, "the refresh lock could not be taken");
        Problem::new(Code::Internal)
    })
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(job).await {
        Ok(result) => result,
        Err(_ended) => Err(Problem::new(Code::Internal)),
    }
}
