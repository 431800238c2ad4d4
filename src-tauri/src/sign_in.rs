//! Signing in through the system's browser: begun here, finished by the link that comes home or by the code that the
//! last page shows, even if the app was closed meanwhile.
//!
//! **Invariant:** one sign-in at a time is pending for an account; the verifier and the key are in the keychain; the one goes to the
//! token endpoint only, the other nowhere.

mod loopback;
mod pending;

pub use loopback::Loopback;

use crate::deep_link::{self, Answer, Callback, Link};
use crate::error::{Error, Result};
use crate::keychain::{Keychain, Slot};
use crate::outside;
use pending::Pending;
use protocol::oauth::{CLIENT_ID, PushedRequest};
use protocol::{Code, Problem, UnixMillis};
use std::sync::Arc;
use sync_client::Device;
use sync_client::proof::ProofKey;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use url::Url;

#[derive(Debug)]
pub struct SignIn {
    keychain: Arc<Keychain>,
    /// Two links at once are looked at one after the other.
    turn: Mutex<()>,
}

/// What became of a link that came home.
#[derive(Debug)]
pub enum Homecoming {
    SignedIn,
    /// It answers no sign-in of ours: nobody is bothered with it.
    Ignored,
}

/// A sign-in on its way.
pub struct Begun {
    /// The page to be opened.
    pub page: Url,
    /// What comes home with its answer.
    pub state: String,
}

impl SignIn {
    pub fn new(keychain: Arc<Keychain>) -> Self {
        Self {
            keychain,
            turn: Mutex::new(()),
        }
    }

    /// An earlier sign-in that is still pending is given up.
    pub async fn begin(
        &self,
        device: &Device,
        provider: Option<String>,
        redirect_uri: &str,
        now: UnixMillis,
    ) -> Result<Begun> {
        let _turn = self.turn.lock().await;
        let pending = Pending::new(&chance(), ProofKey::fresh(), redirect_uri, now);
        self.remember(&pending).await?;
        let request = PushedRequest {
            client_id: CLIENT_ID.to_owned(),
            code_challenge: pending.challenge(),
            code_challenge_method: "S256".to_owned(),
            state: pending.state.clone(),
            redirect_uri: pending.redirect_uri.clone(),
            device: device.client(),
            provider,
            dpop_jkt: Some(pending.key.thumbprint()),
        };
        let pushed = device.push_request(&request).await;
        let page = pushed.and_then(|answer| outside::sign_in_page(&device.server(), &answer.request_uri));
        match page {
            Ok(page) => Ok(Begun {
                page,
                state: pending.state,
            }),
            Err(problem) => {
                self.forget().await?;
                Err(problem.into())
            }
        }
    }

    /// Whether this is the answer to what was begun here.
    pub async fn awaits(&self, callback: &Callback) -> Result<bool> {
        let pending = self.recall().await?;
        Ok(pending.is_some_and(|pending| pending.is_answered_by(callback)))
    }

    /// The link that the browser opened.
    pub async fn come_home(
        &self,
        device: &Device,
        callback: Callback,
        now: UnixMillis,
    ) -> Result<Homecoming> {
        let _turn = self.turn.lock().await;
        let Some(pending) = self.recall().await? else {
            tracing::info!("a sign-in link was ignored: none was begun here");
            return Ok(Homecoming::Ignored);
        };
        if let Err(stray) = pending.check(&callback, &device.server(), now) {
            tracing::warn!(%stray, "a sign-in link was ignored");
            return Ok(Homecoming::Ignored);
        }
        self.forget().await?;
        match callback.answer {
            Answer::Code(code) => self.redeem(device, pending, code).await,
            Answer::Refused(why) if why == "access_denied" => {
                Err(Problem::new(Code::ProviderCancelled).into())
            }
            Answer::Refused(_) => Err(Problem::new(Code::ProviderFailed).into()),
        }
    }

    /// The code that a person copied from the last browser page, or the whole link.
    pub async fn paste(&self, device: &Device, text: &str, now: UnixMillis) -> Result<Homecoming> {
        let text = text.trim();
        if let Some(Link::Callback(callback)) = deep_link::parse(text) {
            return match self.come_home(device, callback, now).await? {
                Homecoming::SignedIn => Ok(Homecoming::SignedIn),
                Homecoming::Ignored => Err(Problem::new(Code::StateMismatch).into()),
            };
        }
        let _turn = self.turn.lock().await;
        if !deep_link::is_code(text) {
            let detail = "That is not a sign-in code. Please copy it again from the browser page.";
            return Err(Problem::new(Code::Invalid).field("code").detail(detail).into());
        }
        let pending = self.recall().await?.filter(|pending| pending.is_alive(now));
        let pending = pending.ok_or_else(|| Problem::new(Code::StateMismatch))?;
        let finished = self.redeem(device, pending, text.to_owned()).await?;
        self.forget().await?;
        Ok(finished)
    }

    pub async fn cancel(&self) -> Result<()> {
        self.forget().await
    }

    /// A code that never reached the server may still be good.
    async fn redeem(&self, device: &Device, pending: Pending, code: String) -> Result<Homecoming> {
        let kept = pending.clone();
        let redeemed = device.redeem(code, pending.verifier, pending.redirect_uri, pending.key);
        match redeemed.await {
            Ok(_me) => Ok(Homecoming::SignedIn),
            Err(problem) => {
                if matches!(problem.code, Code::Offline | Code::Unavailable | Code::Busy) {
                    self.remember(&kept).await?;
                }
                Err(problem.into())
            }
        }
    }

    async fn remember(&self, pending: &Pending) -> Result<()> {
        let secret = serde_json::to_vec(pending).map_err(Error::settings)?;
        let keychain = self.keychain.clone();
        spawn_blocking(move || keychain.save(Slot::PendingSignIn, &secret)).await?
    }

    async fn recall(&self) -> Result<Option<Pending>> {
        let keychain = self.keychain.clone();
        let secret = spawn_blocking(move || keychain.load(Slot::PendingSignIn)).await??;
        Ok(secret.and_then(|secret| serde_json::from_slice(&secret).ok()))
    }

    async fn forget(&self) -> Result<()> {
        let keychain = self.keychain.clone();
        spawn_blocking(move || keychain.clear(Slot::PendingSignIn)).await?
    }
}

fn chance() -> [u8; 64] {
    rand::random()
}
