//! Passkeys: held by a computer, a phone or a security key, which lets only its owner use them, and only at this address.
//!
//! **Invariant:** one is both steps of a sign-in only since its holder has seen that it is its owner, each time.

pub mod adding;
mod ceremonies;
pub mod entering;
mod passkeys;

pub use passkeys::{Kept, forget_since, list};

use super::audit_events::{self, Event};
use super::{Auth, Visit};
use crate::config::Config;
use crate::error::{Error, Result};
use anyhow::Context as _;
use protocol::{Code, DeviceId, Problem, UserId};
use serde::Deserialize;
use webauthn_rs::prelude::{DiscoverableAuthentication, PublicKeyCredential, WebauthnError};
use webauthn_rs::{Webauthn, WebauthnBuilder};

/// Browsers bind passkeys to names alone; a site at a number has none.
pub fn relying_party(config: &Config) -> anyhow::Result<Option<Webauthn>> {
    let origin = &config.public_url;
    let Some(name) = origin.domain() else {
        return Ok(None);
    };
    let site = WebauthnBuilder::new(name, origin)
        .and_then(|builder| builder.rp_name("CompyMac").build())
        .context("PUBLIC_URL: reading the name that passkeys are bound to")?;
    Ok(Some(site))
}

pub fn offers(auth: &Auth) -> bool {
    auth.0.passkeys.is_some()
}

impl Auth {
    fn site(&self) -> Result<&Webauthn, Problem> {
        self.0.passkeys.as_ref().ok_or_else(|| {
            Problem::new(Code::NotFound)
                .detail("This server has an address without a name, and passkeys need one. Please sign in another way.")
        })
    }
}

/// The form that begins a ceremony.
#[derive(Deserialize, utoipa::ToSchema)]
pub struct Begin {
    /// The token of the page's forms.
    #[serde(default)]
    csrf: String,
}

/// As the script posts it.
#[derive(Debug, Deserialize)]
pub struct PasskeyAnswer {
    #[serde(default)]
    pub ceremony: String,
    /// `PublicKeyCredentialJSON`.
    #[serde(default)]
    pub credential: String,
}

/// Why an answer is refused: for the audit, in its words.
#[derive(Debug)]
enum Refusal {
    /// `true`: it is this user's passkey all the same.
    Told(&'static str, bool),
    Broken(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// The passkey of this user that answered, as the answer leaves it; held until the transaction ends.
async fn verify(
    auth: &Auth,
    db: &mut crate::database::Transaction,
    user: UserId,
    credential: &PublicKeyCredential,
    asked: DiscoverableAuthentication,
) -> Result<(), Refusal> {
    let held = passkeys::hold(&mut *db, user, &credential.raw_id).await?;
    let Some((id, mut passkey)) = held else {
        return Err(Refusal::Told("unknown passkey", false));
    };
    let used = auth
        .site()?
        .finish_discoverable_authentication_v2(credential, asked, &passkey)
        .map_err(|error| Refusal::Told(why(&error), true))?;
    // the library has refused that already; that no second step is asked for rests on it
    if !used.user_verified() {
        return Err(Refusal::Told("owner not verified", true));
    }
    passkey.update_credential(&used);
    passkeys::note_use(db, user, id, &passkey).await?;
    Ok(())
}

fn why(error: &WebauthnError) -> &'static str {
    if matches!(
        error,
        WebauthnError::InvalidRPOrigin | WebauthnError::InvalidRPIDHash
    ) {
        "another site"
    } else if matches!(error, WebauthnError::UserNotVerified) {
        "owner not verified"
    } else if matches!(error, WebauthnError::MismatchedChallenge) {
        "another challenge"
    } else if matches!(error, WebauthnError::CredentialPossibleCompromise) {
        "counter went back"
    } else {
        "did not match"
    }
}

/// An answer to nothing that this browser was asked is noted too; the browser is told to begin again.
async fn not_begun(
    auth: &Auth,
    name: &str,
    who: (Option<UserId>, Option<DeviceId>),
    error: Error,
    visit: &Visit,
) -> Error {
    if matches!(&error, Error::Told(problem) if problem.code == Code::StateMismatch) {
        refused(auth, name, who, "no such ceremony", visit).await;
    }
    error
}

/// Notes it and gives what the browser is told, which is always the same.
async fn refused(
    auth: &Auth,
    name: &str,
    (user, device): (Option<UserId>, Option<DeviceId>),
    reason: &str,
    visit: &Visit,
) -> Error {
    let event = Event {
        user,
        device,
        name,
        refusal: Some(reason),
        method: "passkey",
    };
    audit_events::note_refusal(&auth.pool, event, visit).await;
    Code::PasskeyRefused.into()
}
