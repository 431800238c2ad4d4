//! Where this computer keeps what signs it in, and the key that its files are sealed with: the system's keychain, or what the person chose in its place.
//!
//! Every call may wait for the system (a locked keychain asks its owner), so callers are on a thread that may block.
//! **Invariant:** one store at a time holds secrets; none is used that the person did not have by default or choose.

mod file;

use crate::error::{Error, Result};
use crate::folder::write_private;
use protocol::Problem;
use protocol::ipc::SecretStore;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use sync_client::credentials::{Credential, CredentialStore, FileKey, Sealing};

/// What one entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// What keeps the device signed in.
    Credential,
    /// The sign-in begun in the system browser: it may come home to a program started anew.
    PendingSignIn,
    /// What the device's files are sealed with. Never kept in memory alone: what is sealed outlives the program.
    FileKey,
}

impl Slot {
    const ALL: [Self; 3] = [Self::Credential, Self::PendingSignIn, Self::FileKey];

    const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::PendingSignIn => "pending-sign-in",
            Self::FileKey => "file-key",
        }
    }
}

/// What outlasts the program.
const LASTING: [SecretStore; 2] = [SecretStore::File, SecretStore::Keychain];

/// `settings.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Choice {
    /// What the person chose where there was no keychain.
    #[serde(default)]
    secrets: Option<SecretStore>,
}

#[derive(Debug)]
pub struct Keychain {
    home: PathBuf,
    /// The service under which the system's keychain lists our entries.
    service: String,
    /// Tells one server and one data folder from another.
    profile: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    was_looked_for: bool,
    /// `None`: nothing can be kept until the person chooses.
    store: Option<SecretStore>,
    memory: HashMap<Slot, Vec<u8>>,
}

impl Keychain {
    pub fn new(home: &Path, service: &str, profile: &str) -> Self {
        Self {
            home: home.to_owned(),
            service: service.to_owned(),
            profile: profile.to_owned(),
            state: Mutex::default(),
        }
    }

    /// The store in use; found out at the first call.
    pub fn store(&self) -> Option<SecretStore> {
        self.settled(&mut self.state())
    }

    /// Looks for a keychain once more, where there was none.
    pub fn look_again(&self) {
        let mut state = self.state();
        if state.store.is_none() {
            state.was_looked_for = false;
        }
    }

    /// What the person chose. What the former store held stays there no longer, save for the key of files that are sealed with it:
    /// where nothing outlasts the program it is needed once more, to open them for good.
    pub fn choose(&self, to: SecretStore) -> Result<()> {
        let mut state = self.state();
        let former = self.settled(&mut state);
        if former == Some(to) {
            return Ok(());
        }
        if to == SecretStore::Keychain {
            self.probe()?;
        }
        let mut moved = Vec::new();
        for slot in Slot::ALL {
            let Some(former) = former else { break };
            let stays = slot == Slot::FileKey && to == SecretStore::Memory;
            if let Some(secret) = self.read(former, &state, slot)?.filter(|_| !stays) {
                self.write(to, &mut state, slot, &secret)?;
                moved.push((former, slot));
            }
        }
        // Whichever store the settings name has everything: they change once the new one does.
        let choice = Choice { secrets: Some(to) };
        let text = serde_json::to_vec_pretty(&choice).map_err(Error::settings)?;
        write_private(&self.settings(), &text)?;
        state.store = Some(to);
        for (former, slot) in moved {
            self.remove(former, &mut state, slot)?;
        }
        tracing::info!(store = ?to, "secrets are kept where the person chose");
        Ok(())
    }

    pub fn load(&self, slot: Slot) -> Result<Option<Vec<u8>>> {
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(store) => self.read(store, &state, slot),
            None => Ok(None),
        }
    }

    /// Writes and reads back: a store that forgets is found out now, not at the next start.
    pub fn save(&self, slot: Slot, secret: &[u8]) -> Result<()> {
        let mut state = self.state();
        let store = self.settled(&mut state).ok_or(Error::NoKeychain)?;
        self.write(store, &mut state, slot, secret)?;
        if self.read(store, &state, slot)?.as_deref() == Some(secret) {
            Ok(())
        } else {
            Err(Error::Forgetful)
        }
    }

    pub fn clear(&self, slot: Slot) -> Result<()> {
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(store) => self.remove(store, &mut state, slot),
            None => Ok(()),
        }
    }

    /// How the device's files are to lie on the disk: sealed with a key of their own where something keeps it.
    pub fn sealing(&self) -> Result<Sealing> {
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(store @ (SecretStore::Keychain | SecretStore::File)) => {
                let kept = self.file_key(store, &state)?;
                let key = match kept {
                    Some(key) => key,
                    None => self.make_file_key(store, &mut state)?,
                };
                Ok(Sealing::With(key))
            }
            Some(SecretStore::Memory) => {
                let left = LASTING
                    .iter()
                    .find_map(|store| self.file_key(*store, &state).ok()?);
                Ok(left.map_or(Sealing::Open, Sealing::Until))
            }
            None => Ok(Sealing::Open),
        }
    }

    /// Nothing is sealed any more.
    pub fn forget_file_key(&self) {
        let mut state = self.state();
        for store in LASTING {
            if let Err(error) = self.remove(store, &mut state, Slot::FileKey) {
                tracing::info!(%error, ?store, "there may be a key left that nothing needs");
            }
        }
    }

    fn file_key(&self, store: SecretStore, state: &State) -> Result<Option<FileKey>> {
        let Some(bytes) = self.read(store, state, Slot::FileKey)? else {
            return Ok(None);
        };
        let bytes = bytes.try_into().map_err(|_other_length| Error::Unreadable)?;
        Ok(Some(FileKey::from_bytes(bytes)))
    }

    /// Read back before anything is sealed with it.
    fn make_file_key(&self, store: SecretStore, state: &mut State) -> Result<FileKey> {
        let key = FileKey::fresh();
        self.write(store, state, Slot::FileKey, key.as_bytes())?;
        if self.file_key(store, state)?.as_ref() == Some(&key) {
            Ok(key)
        } else {
            Err(Error::Forgetful)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self, state: &mut State) -> Option<SecretStore> {
        if !state.was_looked_for {
            state.store = self.find_out();
            state.was_looked_for = true;
        }
        state.store
    }

    /// A remembered choice stands, even where a keychain has come up since: two stores would mean two truths.
    fn find_out(&self) -> Option<SecretStore> {
        let choice = std::fs::read(self.settings())
            .ok()
            .and_then(|text| serde_json::from_slice::<Choice>(&text).ok())
            .unwrap_or_default();
        match choice.secrets {
            Some(chosen @ (SecretStore::File | SecretStore::Memory)) => Some(chosen),
            Some(SecretStore::Keychain) | None => match self.probe() {
                Ok(()) => Some(SecretStore::Keychain),
                Err(error) => {
                    tracing::warn!(%error, "there is no keychain to use; the person will be asked");
                    None
                }
            },
        }
    }

    /// Some stores answer every call and keep nothing.
    fn probe(&self) -> Result<()> {
        let entry = keyring::Entry::new(&self.service, &format!("probe {}", self.profile))?;
        let secret: [u8; 16] = rand::random();
        entry.set_secret(&secret)?;
        let kept = entry.get_secret()?;
        entry.delete_credential()?;
        if kept == secret {
            Ok(())
        } else {
            Err(Error::Forgetful)
        }
    }

    fn entry(&self, slot: Slot) -> Result<keyring::Entry> {
        let name = format!("{} {}", slot.name(), self.profile);
        Ok(keyring::Entry::new(&self.service, &name)?)
    }

    fn read(&self, store: SecretStore, state: &State, slot: Slot) -> Result<Option<Vec<u8>>> {
        match store {
            SecretStore::Keychain => match self.entry(slot)?.get_secret() {
                Ok(secret) => Ok(Some(secret)),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(error.into()),
            },
            SecretStore::File => file::read(&self.file(slot)),
            SecretStore::Memory => Ok(state.memory.get(&slot).cloned()),
        }
    }

    fn write(&self, store: SecretStore, state: &mut State, slot: Slot, secret: &[u8]) -> Result<()> {
        match store {
            SecretStore::Keychain => Ok(self.entry(slot)?.set_secret(secret)?),
            SecretStore::File => file::write(&self.file(slot), secret),
            SecretStore::Memory => {
                state.memory.insert(slot, secret.to_owned());
                Ok(())
            }
        }
    }

    fn remove(&self, store: SecretStore, state: &mut State, slot: Slot) -> Result<()> {
        match store {
            SecretStore::Keychain => match self.entry(slot)?.delete_credential() {
                Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
                Err(error) => Err(error.into()),
            },
            SecretStore::File => file::remove(&self.file(slot)),
            SecretStore::Memory => {
                state.memory.remove(&slot);
                Ok(())
            }
        }
    }

    fn settings(&self) -> PathBuf {
        self.home.join("settings.json")
    }

    fn file(&self, slot: Slot) -> PathBuf {
        self.home.join("secrets").join(slot.name())
    }
}

/// The device's door to it.
#[derive(Debug)]
pub struct DeviceCredential(pub Arc<Keychain>);

impl CredentialStore for DeviceCredential {
    fn load(&self) -> std::result::Result<Option<Credential>, Problem> {
        let Some(secret) = self.0.load(Slot::Credential)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&secret) {
            Ok(credential) => Ok(Some(credential)),
            Err(_of_another_build) => {
                tracing::warn!("what the keychain holds is not ours to read; a new sign-in is needed");
                Ok(None)
            }
        }
    }

    fn save(&self, credential: &Credential) -> std::result::Result<(), Problem> {
        let secret = serde_json::to_vec(credential).map_err(Error::settings)?;
        Ok(self.0.save(Slot::Credential, &secret)?)
    }

    fn clear(&self) -> std::result::Result<(), Problem> {
        Ok(self.0.clear(Slot::Credential)?)
    }

    fn sealing(&self) -> std::result::Result<Sealing, Problem> {
        Ok(self.0.sealing()?)
    }

    fn unsealed(&self) -> std::result::Result<(), Problem> {
        self.0.forget_file_key();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keychain(home: &Path, store: SecretStore) -> Keychain {
        let keychain = Keychain::new(home, "dev.compymac.desktop.test", "test");
        keychain.choose_unasked(store);
        keychain
    }

    impl Keychain {
        /// The tests' computers have no keychain to be probed.
        fn choose_unasked(&self, store: SecretStore) {
            self.state().was_looked_for = true;
            self.choose(store).unwrap();
        }
    }

    #[test]
    fn a_secret_in_a_file_is_there_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        keychain(home.path(), SecretStore::File)
            .save(Slot::Credential, b"secret")
            .unwrap();
        let again = Keychain::new(home.path(), "dev.compymac.desktop.test", "test");
        assert_eq!(again.store(), Some(SecretStore::File));
        assert_eq!(
            again.load(Slot::Credential).unwrap().as_deref(),
            Some(&b"secret"[..])
        );
        again.clear(Slot::Credential).unwrap();
        assert_eq!(again.load(Slot::Credential).unwrap(), None);
    }

    #[test]
    fn a_secret_in_memory_is_nowhere_on_the_disk() {
        let home = tempfile::tempdir().unwrap();
        let kept = keychain(home.path(), SecretStore::Memory);
        kept.save(Slot::Credential, b"secret").unwrap();
        assert_eq!(
            kept.load(Slot::Credential).unwrap().as_deref(),
            Some(&b"secret"[..])
        );
        let again = Keychain::new(home.path(), "dev.compymac.desktop.test", "test");
        assert_eq!(again.load(Slot::Credential).unwrap(), None);
        assert!(!home.path().join("secrets").exists());
    }

    #[test]
    fn a_change_of_store_takes_the_secrets_along() {
        let home = tempfile::tempdir().unwrap();
        let kept = keychain(home.path(), SecretStore::File);
        kept.save(Slot::Credential, b"secret").unwrap();
        kept.choose(SecretStore::Memory).unwrap();
        assert_eq!(
            kept.load(Slot::Credential).unwrap().as_deref(),
            Some(&b"secret"[..])
        );
        assert!(!kept.file(Slot::Credential).exists());
    }

    #[test]
    fn the_key_of_the_files_is_made_once_and_goes_along_or_waits_until_they_are_open() {
        let home = tempfile::tempdir().unwrap();
        let kept = keychain(home.path(), SecretStore::File);
        let Sealing::With(key) = kept.sealing().unwrap() else {
            panic!("a file keeps a key");
        };
        let again = keychain(home.path(), SecretStore::File);
        assert_eq!(again.sealing().unwrap(), Sealing::With(key.clone()));
        again.choose(SecretStore::Memory).unwrap();
        assert_eq!(again.sealing().unwrap(), Sealing::Until(key.clone()));
        again.choose(SecretStore::File).unwrap();
        assert_eq!(again.sealing().unwrap(), Sealing::With(key));
        again.choose(SecretStore::Memory).unwrap();
        again.forget_file_key();
        assert_eq!(again.sealing().unwrap(), Sealing::Open);
    }

    #[test]
    fn without_a_place_for_a_key_none_is_made() {
        let home = tempfile::tempdir().unwrap();
        let kept = Keychain::new(home.path(), "dev.compymac.desktop.test", "test");
        kept.state().was_looked_for = true;
        assert_eq!(kept.sealing().unwrap(), Sealing::Open);
        assert!(!home.path().join("secrets").exists());
        kept.look_again();
        assert!(!kept.state().was_looked_for, "a keychain may have come up");
    }

    #[test]
    fn nothing_is_kept_before_the_person_has_chosen() {
        let home = tempfile::tempdir().unwrap();
        let kept = Keychain::new(home.path(), "dev.compymac.desktop.test", "test");
        kept.state().was_looked_for = true;
        assert!(matches!(
            kept.save(Slot::Credential, b"secret"),
            Err(Error::NoKeychain)
        ));
    }
}
