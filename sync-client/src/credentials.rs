//! What signs this device in, and the door through which a body keeps it: the keychain, a file, or memory.
//!
//! **Invariant:** only the refresh token and its key are ever handed to a store; the access token lives in memory and nowhere else.

use crate::proof::ProofKey;
use protocol::Problem;
use protocol::auth::Me;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The kept half of a sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub refresh_token: String,
    pub me: Me,
    /// What the token is bound to. A sign-in by a build from before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ProofKey>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.me.device)
    }
}

/// Where a credential is kept. Called from threads that may block; never twice at once by one device.
///
/// Errors are told to the person: [`protocol::Code::KeychainUnavailable`], or `DiskFull`.
pub trait CredentialStore: Send + Sync + 'static {
    fn load(&self) -> Result<Option<Credential>, Problem>;
    /// Replaces what is kept. Returns only once it would survive the end of the program.
    fn save(&self, credential: &Credential) -> Result<(), Problem>;
    fn clear(&self) -> Result<(), Problem>;
}

/// Kept while the program runs: signed out when it ends.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<Option<Credential>>);

impl CredentialStore for InMemory {
    fn load(&self) -> Result<Option<Credential>, Problem> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn save(&self, credential: &Credential) -> Result<(), Problem> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(credential.clone());
        Ok(())
    }

    fn clear(&self) -> Result<(), Problem> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

impl<S: CredentialStore + ?Sized> CredentialStore for std::sync::Arc<S> {
    fn load(&self) -> Result<Option<Credential>, Problem> {
        (**self).load()
    }

    fn save(&self, credential: &Credential) -> Result<(), Problem> {
        (**self).save(credential)
    }

    fn clear(&self) -> Result<(), Problem> {
        (**self).clear()
    }
}
