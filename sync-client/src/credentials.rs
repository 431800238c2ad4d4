//! What signs this device in and what its files are sealed with, and the door through which a body keeps both: the keychain, a
//! file, or memory.
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

/// What a device's files are sealed with: 32 bytes by chance.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey([u8; 32]);

impl FileKey {
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// How a device's files are to lie on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// As they are: whoever reads the disk reads them. No key is kept.
    #[default]
    Open,
    /// Sealed with this key, which is kept.
    With(FileKey),
    /// Sealed with this key so far, and open from now on: it is not to be kept any longer.
    Until(FileKey),
}

impl Sealing {
    pub const fn key(&self) -> Option<&FileKey> {
        match self {
            Self::Open => None,
            Self::With(key) | Self::Until(key) => Some(key),
        }
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
    /// Asked once, before the files are opened. Who keeps no key leaves them open.
    fn sealing(&self) -> Result<Sealing, Problem> {
        Ok(Sealing::Open)
    }
    /// Every key that is kept for the files, of which none is made: what does not open with the one of [`Self::sealing`] may open with
    /// another.
    fn keys(&self) -> Vec<FileKey> {
        Vec::new()
    }
    /// No file is sealed with the key of [`Sealing::Until`] any more.
    fn unsealed(&self) -> Result<(), Problem> {
        Ok(())
    }
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

    fn sealing(&self) -> Result<Sealing, Problem> {
        (**self).sealing()
    }

    fn keys(&self) -> Vec<FileKey> {
        (**self).keys()
    }

    fn unsealed(&self) -> Result<(), Problem> {
        (**self).unsealed()
    }
}
