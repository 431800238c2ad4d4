//! Where this computer keeps what signs it in, and the key that its files are sealed with: the system's keychain, or what the person chose in its place.
//!
//! Every call may wait for the system (a locked keychain asks its owner), so callers are on a thread that may block.
//! **Invariant:** one store at a time holds what signs in; none is written to that the person did not have by default or choose.

mod file;

use crate::error::{Error, Result};
use crate::folder::write_private;
use crate::profiles::{Due, Profile, Profiles, Who};
use protocol::ipc::SecretStore;
use protocol::{Code, Problem};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use sync_client::credentials::{Credential, CredentialStore, FileKey, Sealing};
use sync_client::driver;

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
    /// The keychain, once it holds something; or what the person chose where there was none.
    #[serde(default)]
    secrets: Option<SecretStore>,
}

/// The entries of one profile; all of them are in one store.
#[derive(Debug)]
pub struct Keychain {
    home: PathBuf,
    /// The service under which the system's keychain lists our entries.
    service: String,
    owner: Owner,
    state: Arc<Mutex<State>>,
}

/// Whose entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Tells one profile and one data folder from another.
    pub keys: String,
    /// The same for files.
    pub name: String,
}

#[derive(Debug, Default)]
struct State {
    was_looked_for: bool,
    /// `None`: nothing can be kept until the person chooses.
    store: Option<SecretStore>,
    /// What the settings name.
    chosen: Option<SecretStore>,
    memory: HashMap<(String, Slot), Vec<u8>>,
}

impl State {
    /// Why nothing can be kept: a keychain that was in use is gone, or there was none.
    fn missing(&self) -> Error {
        match self.chosen {
            Some(SecretStore::Keychain) => Error::KeychainGone,
            Some(SecretStore::File | SecretStore::Memory) | None => Error::NoKeychain,
        }
    }
}

impl Keychain {
    pub fn new(home: &Path, service: &str, owner: Owner) -> Self {
        Self {
            home: home.to_owned(),
            service: service.to_owned(),
            owner,
            state: Arc::default(),
        }
    }

    /// Another profile's entries in the same store.
    pub fn of(&self, owner: Owner) -> Self {
        Self {
            home: self.home.clone(),
            service: self.service.clone(),
            owner,
            state: self.state.clone(),
        }
    }

    /// Files of a build that knew one account become this profile's. The key was that of all folders, which are these.
    pub fn adopt_files(&self, folders: &[String]) -> Result<()> {
        for slot in Slot::ALL {
            let former = self.home.join("secrets").join(slot.name());
            if !former.exists() {
                continue;
            }
            for name in folders.iter().filter(|_| slot == Slot::FileKey) {
                let place = self.file_of(name, slot);
                if *name != self.owner.name && !place.exists() {
                    std::fs::copy(&former, place).map_err(Error::folder)?;
                }
            }
            std::fs::rename(&former, self.file(slot)).map_err(Error::folder)?;
        }
        Ok(())
    }

    /// The store in use; found out at the first call.
    pub fn store(&self) -> Option<SecretStore> {
        self.settled(&mut self.state())
    }

    /// Refused where nothing keeps secrets; a keychain that came up since it was looked for is found.
    pub fn has_place(&self) -> Result<()> {
        self.look_again();
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(_) => Ok(()),
            None => Err(state.missing()),
        }
    }

    /// Looks for a keychain once more, where there was none.
    pub fn look_again(&self) {
        let mut state = self.state();
        if state.store.is_none() && state.was_looked_for {
            state.was_looked_for = false;
            #[cfg(target_os = "linux")]
            look_for_keychain();
        }
    }

    /// What the person chose, for these and all `others`. What the former store held stays there no longer, save for the key of files that
    /// are sealed with it: where nothing outlasts the program it is needed once more, to open them for good.
    pub fn choose(&self, to: SecretStore, others: &[Self]) -> Result<()> {
        let mut state = self.state();
        let former = self.settled(&mut state);
        if former == Some(to) {
            return Ok(());
        }
        if to == SecretStore::Keychain {
            self.probe()?;
        }
        let all: Vec<&Self> = others
            .iter()
            .filter(|other| other.owner != self.owner)
            .chain([self])
            .collect();
        let mut moved = Vec::new();
        for (one, slot) in all.iter().flat_map(|one| Slot::ALL.map(|slot| (one, slot))) {
            let Some(former) = former else { break };
            let stays = slot == Slot::FileKey && to == SecretStore::Memory;
            let Some(secret) = one.read(former, &state, slot)?.filter(|_| !stays) else {
                continue;
            };
            // The key that is there may be what something waits for that was put aside: then each stays where it is.
            if slot == Slot::FileKey && one.has_other_key(to, &state, &secret) {
                continue;
            }
            one.write(to, &mut state, slot, &secret)?;
            moved.push((one, former, slot));
        }
        // Whichever store the settings name has everything: they change once the new one does.
        self.remember(to, &mut state)?;
        state.store = Some(to);
        for (one, former, slot) in moved {
            one.remove(former, &mut state, slot)?;
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
        let store = self.settled(&mut state).ok_or_else(|| state.missing())?;
        self.write(store, &mut state, slot, secret)?;
        if self.read(store, &state, slot)?.as_deref() != Some(secret) {
            return Err(Error::Forgetful);
        }
        self.note_use(store, &mut state);
        Ok(())
    }

    /// This store holds something. Should it be gone at a later start, the person is told so, and not asked as at the first one. What
    /// is in it is kept whether that could be written down or not.
    fn note_use(&self, store: SecretStore, state: &mut State) {
        if let Err(error) = self.remember(store, state) {
            tracing::warn!(%error, ?store, "which store is in use could not be written down");
        }
    }

    fn remember(&self, store: SecretStore, state: &mut State) -> Result<()> {
        if state.chosen == Some(store) {
            return Ok(());
        }
        let choice = Choice { secrets: Some(store) };
        let text = serde_json::to_vec_pretty(&choice).map_err(Error::settings)?;
        write_private(&self.settings(), &text)?;
        state.chosen = Some(store);
        Ok(())
    }

    pub fn clear(&self, slot: Slot) -> Result<()> {
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(store) => self.remove(store, &mut state, slot),
            None => Ok(()),
        }
    }

    /// How the device's files are to lie on the disk: sealed with a key of their own where something keeps it. Where there is none, and
    /// `is_needed` for what is sealed already, none is made: what another sealed opens with that one alone.
    pub fn sealing(&self, is_needed: bool) -> Result<Sealing> {
        let mut state = self.state();
        match self.settled(&mut state) {
            Some(store @ (SecretStore::Keychain | SecretStore::File)) => {
                let kept = self.file_key(store, &state)?;
                // A store that was in use before may have it still.
                match kept.or_else(|| self.lasting_keys(&state).next()) {
                    Some(key) => Ok(Sealing::With(key)),
                    None if is_needed => Ok(Sealing::Open),
                    None => Ok(Sealing::With(self.make_file_key(store, &mut state)?)),
                }
            }
            Some(SecretStore::Memory) => {
                let left = self.lasting_keys(&state).next();
                Ok(left.map_or(Sealing::Open, Sealing::Until))
            }
            None => Ok(Sealing::Open),
        }
    }

    /// Every key of the files that there is.
    pub fn file_keys(&self) -> Vec<FileKey> {
        self.lasting_keys(&self.state()).collect()
    }

    fn lasting_keys<'a>(&'a self, state: &'a State) -> impl Iterator<Item = FileKey> + 'a {
        LASTING
            .into_iter()
            .filter_map(move |store| self.file_key(store, state).ok()?)
    }

    /// Whether a store holds another key of the files than this.
    fn has_other_key(&self, store: SecretStore, state: &State, key: &[u8]) -> bool {
        let there = self.file_key(store, state).ok().flatten();
        there.is_some_and(|there| there.as_bytes() != key)
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

    /// What signs this one in, and what was begun: nothing of it is needed any more.
    pub fn forget_sign_in(&self) -> Result<()> {
        self.clear(Slot::PendingSignIn)?;
        self.clear(Slot::Credential)
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
        if self.file_key(store, state)?.as_ref() != Some(&key) {
            return Err(Error::Forgetful);
        }
        self.note_use(store, state);
        Ok(key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self, state: &mut State) -> Option<SecretStore> {
        if !state.was_looked_for {
            state.chosen = self.chosen();
            state.store = self.find_out(state.chosen);
            state.was_looked_for = true;
        }
        state.store
    }

    fn chosen(&self) -> Option<SecretStore> {
        let text = std::fs::read(self.settings()).ok()?;
        serde_json::from_slice::<Choice>(&text).ok()?.secrets
    }

    /// A remembered choice stands, even where a keychain has come up since: two stores would mean two truths.
    fn find_out(&self, chosen: Option<SecretStore>) -> Option<SecretStore> {
        match chosen {
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
        let entry = self.entry_named("probe")?;
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
        self.entry_named(slot.name())
    }

    fn entry_named(&self, name: &str) -> Result<keyring::Entry> {
        let name = format!("{name} {}", self.owner.keys);
        match keyring::Entry::new(&self.service, &name) {
            // It stays by what it found at first; there may be one by now.
            #[cfg(target_os = "linux")]
            Err(keyring::Error::NoDefaultStore) => {
                let inner = keyring_core::Entry::new(&self.service, &name)?;
                Ok(keyring::Entry { inner })
            }
            entry => Ok(entry?),
        }
    }

    fn read(&self, store: SecretStore, state: &State, slot: Slot) -> Result<Option<Vec<u8>>> {
        match store {
            SecretStore::Keychain => match self.entry(slot)?.get_secret() {
                Ok(secret) => Ok(Some(secret)),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(error.into()),
            },
            SecretStore::File => file::read(&self.file(slot)),
            SecretStore::Memory => Ok(state.memory.get(&self.place(slot)).cloned()),
        }
    }

    fn write(&self, store: SecretStore, state: &mut State, slot: Slot, secret: &[u8]) -> Result<()> {
        match store {
            SecretStore::Keychain => Ok(self.entry(slot)?.set_secret(secret)?),
            SecretStore::File => file::write(&self.file(slot), secret),
            SecretStore::Memory => {
                state.memory.insert(self.place(slot), secret.to_owned());
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
                state.memory.remove(&self.place(slot));
                Ok(())
            }
        }
    }

    fn settings(&self) -> PathBuf {
        self.home.join("settings.json")
    }

    fn place(&self, slot: Slot) -> (String, Slot) {
        (self.owner.name.clone(), slot)
    }

    fn file(&self, slot: Slot) -> PathBuf {
        self.file_of(&self.owner.name, slot)
    }

    fn file_of(&self, name: &str, slot: Slot) -> PathBuf {
        let name = format!("{name}.{}", slot.name());
        self.home.join("secrets").join(name)
    }
}

/// The library looks for the keychain once in the life of a program. Where none was there then, it is looked for here.
#[cfg(target_os = "linux")]
fn look_for_keychain() {
    if keyring::Entry::store_status().is_ok() || keyring_core::get_default_store().is_some() {
        return;
    }
    match zbus_secret_service_keyring_store::Store::new() {
        Ok(store) => keyring_core::set_default_store(store),
        Err(error) => tracing::info!(%error, "there is still no keychain"),
    }
}

/// What a sign-in is answered with that is kept elsewhere; whoever began it goes there.
const ELSEWHERE: &str = "You are signed in to another account on this computer.";

/// A profile's door to it. A sign-in goes to the profile of its person, whichever it was made at.
#[derive(Debug)]
pub struct DeviceCredential {
    pub keychain: Arc<Keychain>,
    pub profiles: Arc<Profiles>,
    /// What tells the app's folder from others of the person's choice.
    pub mark: Option<String>,
}

impl DeviceCredential {
    fn place_for(&self, credential: &Credential) -> Result<(Profile, Keychain)> {
        let name = &self.keychain.owner.name;
        let place = self.profiles.place_for(name, credential.me.user)?;
        let keychain = self.keychain.of(Owner::new(&place, self.mark.as_deref()));
        Ok((place, keychain))
    }
}

impl Owner {
    pub fn new(profile: &Profile, mark: Option<&str>) -> Self {
        Self {
            keys: profile.keys(mark),
            name: profile.name.clone(),
        }
    }
}

impl Keychain {
    fn credential(&self) -> Result<Option<Credential>> {
        let Some(secret) = self.load(Slot::Credential)? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&secret);
        if read.is_err() {
            tracing::warn!("what the keychain holds is not ours to read; a new sign-in is needed");
        }
        Ok(read.ok())
    }
}

impl CredentialStore for DeviceCredential {
    fn load(&self) -> std::result::Result<Option<Credential>, Problem> {
        Ok(self.keychain.credential()?)
    }

    fn save(&self, credential: &Credential) -> std::result::Result<(), Problem> {
        let secret = serde_json::to_vec(credential).map_err(Error::settings)?;
        let (place, keychain) = self.place_for(credential)?;
        let is_here = place.name == self.keychain.owner.name;
        let former = if is_here { None } else { keychain.credential()? };
        keychain.save(Slot::Credential, &secret)?;
        let who = Some(Who::from(&credential.me));
        if place.who != who {
            self.profiles.note(&place.name, who)?;
        }
        if is_here {
            return Ok(());
        }
        self.profiles.expect(Due {
            name: place.name,
            former: former.map(|former| former.me.device),
        });
        Err(Problem::new(Code::Conflict).detail(ELSEWHERE))
    }

    fn clear(&self) -> std::result::Result<(), Problem> {
        Ok(self.keychain.clear(Slot::Credential)?)
    }

    fn sealing(&self) -> std::result::Result<Sealing, Problem> {
        let folder = self.profiles.folder(&self.keychain.owner.name);
        Ok(self.keychain.sealing(driver::needs_key(&folder))?)
    }

    fn keys(&self) -> Vec<FileKey> {
        self.keychain.file_keys()
    }

    fn unsealed(&self) -> std::result::Result<(), Problem> {
        self.keychain.forget_file_key();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::auth::{Email, Me};
    use protocol::{DeviceId, UserId};

    fn owner(name: &str) -> Owner {
        Owner {
            keys: name.to_owned(),
            name: name.to_owned(),
        }
    }

    fn keychain(home: &Path, store: SecretStore) -> Keychain {
        let keychain = Keychain::new(home, "dev.compymac.desktop.test", owner("test"));
        keychain.choose_unasked(store);
        keychain
    }

    impl Keychain {
        /// The tests' computers have no keychain to be probed.
        fn choose_unasked(&self, store: SecretStore) {
            self.state().was_looked_for = true;
            self.choose(store, &[]).unwrap();
        }
    }

    #[test]
    fn a_secret_in_a_file_is_there_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        keychain(home.path(), SecretStore::File)
            .save(Slot::Credential, b"secret")
            .unwrap();
        let again = Keychain::new(home.path(), "dev.compymac.desktop.test", owner("test"));
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
        let again = Keychain::new(home.path(), "dev.compymac.desktop.test", owner("test"));
        assert_eq!(again.load(Slot::Credential).unwrap(), None);
        assert!(!home.path().join("secrets").exists());
    }

    #[test]
    fn a_change_of_store_takes_the_secrets_along() {
        let home = tempfile::tempdir().unwrap();
        let kept = keychain(home.path(), SecretStore::File);
        kept.save(Slot::Credential, b"secret").unwrap();
        kept.choose(SecretStore::Memory, &[]).unwrap();
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
        let Sealing::With(key) = kept.sealing(false).unwrap() else {
            panic!("a file keeps a key");
        };
        let again = keychain(home.path(), SecretStore::File);
        assert_eq!(again.sealing(false).unwrap(), Sealing::With(key.clone()));
        again.choose(SecretStore::Memory, &[]).unwrap();
        assert_eq!(again.sealing(false).unwrap(), Sealing::Until(key.clone()));
        again.choose(SecretStore::File, &[]).unwrap();
        assert_eq!(again.sealing(false).unwrap(), Sealing::With(key));
        again.choose(SecretStore::Memory, &[]).unwrap();
        again.forget_file_key();
        assert_eq!(again.sealing(false).unwrap(), Sealing::Open);
    }

    #[test]
    fn no_key_is_made_for_what_is_sealed_already_nor_by_looking_for_one() {
        let home = tempfile::tempdir().unwrap();
        let one = keychain(home.path(), SecretStore::File);
        assert_eq!(one.sealing(true).unwrap(), Sealing::Open, "its key is missing");
        assert!(one.file_keys().is_empty(), "looking makes none");
        let Sealing::With(key) = one.sealing(false).unwrap() else {
            panic!("a file keeps a key");
        };
        assert_eq!(one.file_keys(), std::slice::from_ref(&key));
        assert_eq!(one.sealing(true).unwrap(), Sealing::With(key));
    }

    #[test]
    fn a_change_of_store_takes_no_other_key_away() {
        let home = tempfile::tempdir().unwrap();
        let kept = keychain(home.path(), SecretStore::Memory);
        let (one, other) = (FileKey::from_bytes([1; 32]), FileKey::from_bytes([2; 32]));
        {
            let mut state = kept.state();
            let file = SecretStore::File;
            kept.write(file, &mut state, Slot::FileKey, one.as_bytes())
                .unwrap();
            kept.write(SecretStore::Memory, &mut state, Slot::FileKey, other.as_bytes())
                .unwrap();
            assert!(!kept.has_other_key(file, &state, one.as_bytes()));
            assert!(kept.has_other_key(file, &state, other.as_bytes()));
        }
        kept.choose(SecretStore::File, &[]).unwrap();
        assert_eq!(kept.sealing(true).unwrap(), Sealing::With(one));
        let state = kept.state();
        assert_eq!(
            kept.file_key(SecretStore::Memory, &state).unwrap(),
            Some(other),
            "it stays where it was"
        );
    }

    #[test]
    fn without_a_place_for_a_key_none_is_made() {
        let home = tempfile::tempdir().unwrap();
        let kept = Keychain::new(home.path(), "dev.compymac.desktop.test", owner("test"));
        kept.state().was_looked_for = true;
        assert_eq!(kept.sealing(false).unwrap(), Sealing::Open);
        assert!(!home.path().join("secrets").exists());
        kept.look_again();
        assert!(!kept.state().was_looked_for, "a keychain may have come up");
    }

    #[test]
    fn nothing_is_kept_before_the_person_has_chosen() {
        let home = tempfile::tempdir().unwrap();
        let kept = Keychain::new(home.path(), "dev.compymac.desktop.test", owner("test"));
        kept.state().was_looked_for = true;
        assert!(matches!(
            kept.save(Slot::Credential, b"secret"),
            Err(Error::NoKeychain)
        ));
    }

    #[test]
    fn a_keychain_that_was_in_use_is_remembered_and_missed() {
        let home = tempfile::tempdir().unwrap();
        let kept = Keychain::new(home.path(), "dev.compymac.desktop.test", owner("test"));
        assert_eq!(kept.chosen(), None);
        kept.note_use(SecretStore::Keychain, &mut kept.state());
        assert_eq!(kept.chosen(), Some(SecretStore::Keychain));
        // As where it was looked for and is not there.
        kept.state().was_looked_for = true;
        let missed = kept.save(Slot::Credential, b"secret").unwrap_err();
        assert!(matches!(missed, Error::KeychainGone));
        let told = Problem::from(missed);
        assert_eq!(told.code, Code::KeychainUnavailable);
        assert!(told.sentence().contains("not there any more"), "{told}");
    }

    #[test]
    fn what_one_account_keeps_another_does_not_see_and_a_change_of_store_takes_all_along() {
        let home = tempfile::tempdir().unwrap();
        let one = keychain(home.path(), SecretStore::File);
        let other = one.of(owner("other"));
        one.save(Slot::Credential, b"one").unwrap();
        assert_eq!(other.load(Slot::Credential).unwrap(), None);
        other.save(Slot::Credential, b"other").unwrap();
        one.choose(
            SecretStore::Memory,
            &[other.of(owner("other")), one.of(owner("test"))],
        )
        .unwrap();
        assert!(!other.file(Slot::Credential).exists());
        for (kept, secret) in [(&one, &b"one"[..]), (&other, &b"other"[..])] {
            assert_eq!(kept.load(Slot::Credential).unwrap().as_deref(), Some(secret));
        }
        one.clear(Slot::Credential).unwrap();
        assert!(other.load(Slot::Credential).unwrap().is_some());
    }

    #[test]
    fn secrets_in_files_of_a_build_for_one_account_are_those_of_the_one_here() {
        let home = tempfile::tempdir().unwrap();
        let one = keychain(home.path(), SecretStore::File);
        one.save(Slot::Credential, b"one").unwrap();
        let Sealing::With(key) = one.sealing(false).unwrap() else {
            panic!("a file keeps a key");
        };
        for slot in [Slot::Credential, Slot::FileKey] {
            let former = home.path().join("secrets").join(slot.name());
            std::fs::rename(one.file(slot), former).unwrap();
        }
        let here = one.of(owner("here"));
        let folders = ["here".to_owned(), "there".to_owned()];
        here.adopt_files(&folders).unwrap();
        here.adopt_files(&folders).unwrap();
        assert_eq!(here.load(Slot::Credential).unwrap().as_deref(), Some(&b"one"[..]));
        let there = one.of(owner("there"));
        assert_eq!(there.load(Slot::Credential).unwrap(), None);
        for kept in [here, there] {
            assert_eq!(kept.sealing(false).unwrap(), Sealing::With(key.clone()));
        }
    }

    #[test]
    fn a_sign_in_made_at_anothers_door_is_kept_in_its_own_place_and_takes_nothing_away() {
        let home = tempfile::tempdir().unwrap();
        let server = "https://compymac.dev/".parse().unwrap();
        let profiles = Arc::new(Profiles::read(home.path(), &server));
        let first = profiles.here();
        let one = keychain(home.path(), SecretStore::File);
        let door = |profile: &Profile| DeviceCredential {
            keychain: Arc::new(one.of(Owner::new(profile, None))),
            profiles: profiles.clone(),
            mark: None,
        };
        let (ana, ben) = (credential("ana@example.org"), credential("ben@example.org"));
        door(&first).save(&ana).unwrap();
        assert_eq!(profiles.take_due(), None);
        let refused = door(&first).save(&ben).unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        let due = profiles.take_due().unwrap();
        let second = profiles.find(&due.name).unwrap();
        assert_eq!(door(&second).load().unwrap(), Some(ben.clone()));
        assert_eq!(door(&first).load().unwrap(), Some(ana.clone()));
        let again = Credential {
            refresh_token: "newer".to_owned(),
            ..ana.clone()
        };
        door(&second).save(&again).unwrap_err();
        let due = profiles.take_due().unwrap();
        assert_eq!((due.name, due.former), (first.name.clone(), Some(ana.me.device)));
        assert_eq!(door(&first).load().unwrap(), Some(again));
        assert_eq!(door(&second).load().unwrap(), Some(ben));
        assert_eq!(profiles.all().len(), 2);
    }

    fn credential(address: &str) -> Credential {
        Credential {
            refresh_token: address.to_owned(),
            me: Me {
                user: UserId::fresh(),
                device: DeviceId::fresh(),
                email: Email::parse(address).unwrap(),
                name: None,
            },
            key: None,
        }
    }
}
