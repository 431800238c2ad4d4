//! The accounts of this computer, in code profiles: each is one person at one server, with a folder of its own under `servers`,
//! entries of its own in the keychain, and a record of itself in that folder. Which one is on the screen is kept apart.
//!
//! There is no list of them beside the folders: the folders are the list, so none can be lost from it. A record that cannot be
//! read is one of a folder whose person is not known until it is opened.
//! **Invariant:** no sign-in makes a second profile of the same person at the same server; no record holds a secret.

use crate::config::server_address;
use crate::error::{Error, Result};
use crate::folder::{read_if_there, write_private};
use protocol::auth::Me;
use protocol::{DeviceId, UserId};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use sync_client::outbox::Unsent;
use url::Url;

/// Which one is on the screen; in the app's folder.
const HERE: &str = "accounts.json";

/// In each profile's folder.
const RECORD: &str = "account.json";

/// Stands before the number of a server's second folder, and third; no host has it.
const NUMBER: char = '~';

/// Whose a profile is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub user: UserId,
    /// What tells them apart for people.
    pub address: String,
}

impl From<&Me> for Who {
    fn from(me: &Me) -> Self {
        Self {
            user: me.user,
            address: me.email.to_string(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Of its folder.
    pub name: String,
    pub server: Url,
    /// `None`: nobody has signed in there, or they have signed out.
    pub who: Option<Who>,
    /// False: there is no record, so whose it is will be seen when it is opened.
    pub is_known: bool,
    /// What waited to be sent when it was on the screen last.
    pub unsent: Unsent,
}

/// As it lies in the folder.
#[derive(Serialize, Deserialize)]
struct Record {
    server: String,
    who: Option<Who>,
    /// Of an earlier build's record: messages too.
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    refused: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Here {
    name: String,
    /// As it was set when this was chosen: a setting that has changed since is newer than the choice.
    server: String,
}

/// Where a sign-in belongs that was made at another profile's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub name: String,
    /// The sign-in that it takes the place of.
    pub former: Option<DeviceId>,
}

#[derive(Debug)]
pub struct Profiles {
    home: PathBuf,
    /// The server of the settings.
    server: Url,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    all: Vec<Profile>,
    here: Profile,
    due: Option<Due>,
}

impl Profile {
    fn new(name: String, server: Url) -> Self {
        Self {
            name,
            server,
            who: None,
            is_known: true,
            unsent: Unsent::default(),
        }
    }

    /// One folder, by its record; without one, as of a build that kept none, by its name.
    fn read(servers: &Path, name: String, configured: &Url) -> Option<Self> {
        let text = read_if_there(&servers.join(&name).join(RECORD)).unwrap_or_default();
        let record = text.and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        if let Some(record) = record
            && let Ok(server) = server_address(&record.server)
        {
            let unsent = Unsent {
                messages: record.messages,
                changes: record.waiting,
                refused: record.refused,
            };
            return Some(Self {
                who: record.who,
                unsent,
                ..Self::new(name, server)
            });
        }
        let server = server_of(&name, configured);
        if server.is_none() {
            tracing::warn!(name, "a folder whose server cannot be told is left alone");
        }
        Some(Self {
            is_known: false,
            ..Self::new(name, server?)
        })
    }

    /// What its entries in the keychain are told from others' by, beside the mark of the app's folder.
    pub fn keys(&self, mark: Option<&str>) -> String {
        let mut keys = self.server.origin().ascii_serialization();
        let number = self.name.find(NUMBER).and_then(|at| self.name.get(at..));
        for part in [mark, number].into_iter().flatten() {
            keys.push(' ');
            keys.push_str(part);
        }
        keys
    }

    pub fn is_of(&self, server: &Url, user: UserId) -> bool {
        self.server == *server && self.who.as_ref().is_some_and(|who| who.user == user)
    }
}

impl Profiles {
    /// `server`: of the settings. Nothing is written.
    pub fn read(home: &Path, server: &Url) -> Self {
        let servers = home.join("servers");
        let mut all: Vec<Profile> = folders(&servers)
            .into_iter()
            .filter_map(|name| Profile::read(&servers, name, server))
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let text = read_if_there(&home.join(HERE)).unwrap_or_default();
        let chosen: Here = serde_json::from_slice(&text.unwrap_or_default()).unwrap_or_default();
        let is_chosen = |profile: &&Profile| profile.name == chosen.name && chosen.server == server.as_str();
        let is_there = |profile: &&Profile| profile.server == *server;
        let here = all
            .iter()
            .find(is_chosen)
            .or_else(|| all.iter().filter(is_there).find(|profile| profile.who.is_some()))
            .or_else(|| all.iter().find(is_there))
            .cloned();
        let here = here.unwrap_or_else(|| {
            let first = Profile {
                is_known: false,
                ..Profile::new(free_name(&all, server), server.clone())
            };
            all.push(first.clone());
            first
        });
        Self {
            home: home.to_owned(),
            server: server.clone(),
            now: Mutex::new(Now { all, here, due: None }),
        }
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.home.join("servers").join(name)
    }

    /// The one on the screen.
    pub fn here(&self) -> Profile {
        let now = self.now();
        now.find(&now.here.name).unwrap_or_else(|| now.here.clone())
    }

    pub fn all(&self) -> Vec<Profile> {
        self.now().all.clone()
    }

    pub fn find(&self, name: &str) -> Option<Profile> {
        self.now().find(name)
    }

    /// Is on the screen from now on.
    pub fn show(&self, profile: &Profile) {
        self.now().here = profile.clone();
    }

    /// Is on the screen from now on, and after the next start.
    pub fn choose(&self, profile: &Profile) -> Result<()> {
        let mut now = self.now();
        let here = Here {
            name: profile.name.clone(),
            server: self.server.to_string(),
        };
        let text = serde_json::to_vec(&here).map_err(Error::settings)?;
        write_private(&self.home.join(HERE), &text)?;
        now.here = profile.clone();
        Ok(())
    }

    /// One of this server's that is nobody's.
    pub fn door(&self, server: &Url) -> Result<Profile> {
        let mut now = self.now();
        let free =
            |profile: &&Profile| profile.server == *server && profile.who.is_none() && profile.is_known;
        if let Some(profile) = now.all.iter().find(free) {
            return Ok(profile.clone());
        }
        let profile = Profile::new(free_name(&now.all, server), server.clone());
        self.write(&profile)?;
        now.all.push(profile.clone());
        Ok(profile)
    }

    /// Where the sign-in of this person belongs that was made at this profile's door: there, if it is theirs or nobody's and they
    /// have no other.
    pub fn place_for(&self, name: &str, user: UserId) -> Result<Profile> {
        let at = self.find(name).unwrap_or_else(|| self.here());
        // Also where there are two of theirs, as after a record was lost: each keeps its own.
        if at.is_of(&at.server, user) {
            return Ok(at);
        }
        let kept = {
            let now = self.now();
            now.all
                .iter()
                .find(|profile| profile.is_of(&at.server, user))
                .cloned()
        };
        match (kept, &at.who) {
            (Some(kept), _) => Ok(kept),
            (None, None) => Ok(at),
            (None, Some(_)) => self.door(&at.server),
        }
    }

    /// Whether another one has the same entries in the keychain, as after a folder was copied by hand.
    pub fn shares_its_keys(&self, profile: &Profile) -> bool {
        let keys = profile.keys(None);
        let now = self.now();
        let mut others = now.all.iter().filter(|other| other.name != profile.name);
        others.any(|other| other.keys(None) == keys)
    }

    /// This one holds nothing any more: its folder goes, and its record with it. The one on the screen does not.
    pub fn forget(&self, name: &str) -> Result<()> {
        let mut now = self.now();
        if now.here.name == name {
            return Ok(());
        }
        match std::fs::remove_dir_all(self.folder(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::folder(error)),
            Err(_) | Ok(()) => {}
        }
        now.all.retain(|profile| profile.name != name);
        Ok(())
    }

    /// Whose it is from now on.
    pub fn note(&self, name: &str, who: Option<Who>) -> Result<()> {
        self.change(name, |profile| {
            let user = |who: &Option<Who>| who.as_ref().map(|who| who.user);
            // What waited was somebody else's.
            if user(&profile.who).is_some_and(|former| user(&who) != Some(former)) {
                profile.unsent = Unsent::default();
            }
            profile.who = who;
            profile.is_known = true;
        })
    }

    pub fn note_unsent(&self, name: &str, unsent: Unsent) -> Result<()> {
        self.change(name, |profile| profile.unsent = unsent)
    }

    /// A sign-in was kept elsewhere than where it was made: that is to come on the screen.
    pub fn expect(&self, due: Due) {
        self.now().due = Some(due);
    }

    pub fn take_due(&self) -> Option<Due> {
        self.now().due.take()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Profile)) -> Result<()> {
        let mut now = self.now();
        let Some(profile) = now.all.iter_mut().find(|profile| profile.name == name) else {
            return Ok(());
        };
        let before = profile.clone();
        change(profile);
        let profile = profile.clone();
        if profile == before {
            return Ok(());
        }
        self.write(&profile)
    }

    fn write(&self, profile: &Profile) -> Result<()> {
        let record = Record {
            server: profile.server.to_string(),
            who: profile.who.clone(),
            waiting: profile.unsent.changes,
            messages: profile.unsent.messages,
            refused: profile.unsent.refused,
        };
        let text = serde_json::to_vec(&record).map_err(Error::settings)?;
        write_private(&self.folder(&profile.name).join(RECORD), &text)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn find(&self, name: &str) -> Option<Profile> {
        self.all.iter().find(|profile| profile.name == name).cloned()
    }
}

fn folders(servers: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(servers).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn free_name(all: &[Profile], server: &Url) -> String {
    let plain = server_folder(server);
    let numbered = (2_u32..).map(|number| format!("{plain}{NUMBER}{number}"));
    let is_free = |name: &String| all.iter().all(|profile| profile.name != *name);
    std::iter::once(plain.clone())
        .chain(numbered)
        .find(is_free)
        .unwrap_or(plain)
}

/// One server's sessions never meet another's.
fn server_folder(server: &Url) -> String {
    let host: String = server
        .host_str()
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("{host}-{}", server.port_or_known_default().unwrap_or_default())
}

/// The server that a folder is called after: the one of the settings, or what its name tells.
fn server_of(name: &str, configured: &Url) -> Option<Url> {
    let plain = name.split(NUMBER).next()?;
    if plain == server_folder(configured) {
        return Some(configured.clone());
    }
    let (host, port) = plain.rsplit_once('-')?;
    let tried = ["http", "https"].map(|scheme| server_address(&format!("{scheme}://{host}:{port}")));
    let found = tried.into_iter().flatten().next()?;
    (server_folder(&found) == plain).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn who(address: &str) -> Who {
        Who {
            user: UserId::fresh(),
            address: address.to_owned(),
        }
    }

    const SERVER: &str = "https://compymac.dev/";

    #[test]
    fn each_server_has_a_folder_of_its_own() {
        let folder = |server: &str| server_folder(&url(server));
        assert_eq!(folder(SERVER), "compymac.dev-443");
        assert_eq!(folder("http://[::1]:8080/"), "___1_-8080");
        assert_ne!(folder("http://127.0.0.1:1/"), folder("http://127.0.0.1:2/"));
    }

    #[test]
    fn what_a_build_for_one_account_kept_is_the_first_one_by_the_same_keys() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("servers/compymac.dev-443")).unwrap();
        let here = Profiles::read(home.path(), &url(SERVER)).here();
        assert_eq!(here.name, "compymac.dev-443");
        assert_eq!(here.keys(None), "https://compymac.dev");
        assert_eq!(here.keys(Some("0a")), "https://compymac.dev 0a");
    }

    #[test]
    fn two_people_at_one_server_share_neither_folder_nor_keys() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let (ana, ben) = (who("ana@example.org"), who("ben@example.org"));
        let first = profiles.here();
        profiles.note(&first.name, Some(ana.clone())).unwrap();
        let second = profiles.door(&url(SERVER)).unwrap();
        profiles.note(&second.name, Some(ben.clone())).unwrap();
        assert_ne!(first.name, second.name);
        assert_ne!(first.keys(None), second.keys(None));
        profiles.choose(&second).unwrap();
        let again = Profiles::read(home.path(), &url(SERVER));
        assert_eq!(again.here().who, Some(ben));
        assert_eq!(again.all().len(), 2);
    }

    #[test]
    fn a_sign_in_goes_to_the_one_place_of_its_person_wherever_it_was_made() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let (ana, ben) = (who("ana@example.org"), who("ben@example.org"));
        let first = profiles.here();
        let place = |at: &Profile, user| profiles.place_for(&at.name, user).unwrap().name;
        assert_eq!(place(&first, ana.user), first.name, "nobody's yet");
        profiles.note(&first.name, Some(ana.clone())).unwrap();
        assert_eq!(place(&first, ana.user), first.name, "signed in again");
        let door = profiles.door(&url(SERVER)).unwrap();
        assert_eq!(place(&door, ana.user), first.name, "twice is one");
        assert_eq!(
            place(&first, ben.user),
            door.name,
            "somebody else gets a place of their own"
        );
        let other = profiles.door(&url("https://example.org/")).unwrap();
        assert_eq!(place(&other, ana.user), other.name, "at another server");
        assert_eq!(
            profiles.door(&url(SERVER)).unwrap(),
            door,
            "an empty one is used again"
        );
    }

    #[test]
    fn of_two_places_of_one_person_each_keeps_its_own_sign_in() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let ana = who("ana@example.org");
        let first = profiles.here();
        let second = profiles.door(&url(SERVER)).unwrap();
        for place in [&first, &second] {
            profiles.note(&place.name, Some(ana.clone())).unwrap();
        }
        for place in [&first, &second] {
            assert_eq!(
                profiles.place_for(&place.name, ana.user).unwrap().name,
                place.name
            );
        }
    }

    #[test]
    fn what_waited_is_told_of_nobody_who_comes_after() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let ana = who("ana@example.org");
        let name = profiles.here().name;
        profiles.note(&name, Some(ana.clone())).unwrap();
        let unsent = Unsent {
            messages: 2,
            changes: 3,
            refused: 1,
        };
        profiles.note_unsent(&name, unsent).unwrap();
        let moved = Who {
            address: "ana@example.net".to_owned(),
            ..ana
        };
        profiles.note(&name, Some(moved)).unwrap();
        assert_eq!(
            profiles.here().unsent,
            unsent,
            "another address of the same person"
        );
        let again = Profiles::read(home.path(), &url(SERVER));
        assert_eq!(again.here().unsent, unsent, "also after a start");
        profiles.note(&name, None).unwrap();
        assert_eq!(profiles.here().unsent, Unsent::default());
    }

    #[test]
    fn what_waited_by_a_record_that_counted_messages_with_the_rest_is_told_with_the_rest() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("servers/compymac.dev-443");
        std::fs::create_dir_all(&folder).unwrap();
        let record = format!("{{\"server\":\"{SERVER}\",\"who\":null,\"waiting\":3}}");
        std::fs::write(folder.join(RECORD), record).unwrap();
        let waited = Unsent {
            changes: 3,
            ..Unsent::default()
        };
        let profiles = Profiles::read(home.path(), &url(SERVER));
        assert_eq!(profiles.here().unsent, waited);
    }

    #[test]
    fn what_is_forgotten_is_gone_after_a_start_too_and_what_is_on_the_screen_stays() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let ana = who("ana@example.org");
        let here = profiles.here();
        let twin = profiles.door(&url(SERVER)).unwrap();
        for place in [&here, &twin] {
            profiles.note(&place.name, Some(ana.clone())).unwrap();
        }
        profiles.forget(&here.name).unwrap();
        assert_eq!(profiles.all().len(), 2);
        profiles.forget(&twin.name).unwrap();
        profiles.forget(&twin.name).unwrap();
        assert!(!profiles.folder(&twin.name).exists());
        assert_eq!(profiles.all(), [profiles.here()]);
        let again = Profiles::read(home.path(), &url(SERVER));
        assert_eq!(again.all(), [profiles.here()]);
        assert_eq!(
            profiles.door(&url(SERVER)).unwrap().name,
            twin.name,
            "its place is free"
        );
    }

    #[test]
    fn a_folder_that_was_copied_by_hand_shares_the_keys_of_the_first() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let here = profiles.here();
        profiles.note(&here.name, Some(who("ana@example.org"))).unwrap();
        let door = profiles.door(&url(SERVER)).unwrap();
        assert!(!profiles.shares_its_keys(&here) && !profiles.shares_its_keys(&door));
        let copy = profiles.folder("copy");
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(profiles.folder(&here.name).join(RECORD), copy.join(RECORD)).unwrap();
        let again = Profiles::read(home.path(), &url(SERVER));
        let copy = again.find("copy").unwrap();
        assert!(again.shares_its_keys(&copy) && again.shares_its_keys(&here));
        assert!(!again.shares_its_keys(&door));
    }

    #[test]
    fn noise_in_the_records_loses_no_folder() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let here = profiles.here();
        profiles.note(&here.name, Some(who("ana@example.org"))).unwrap();
        let other = profiles.door(&url("http://127.0.0.1:8080/")).unwrap();
        profiles.choose(&other).unwrap();
        for noise in ["", "[1", "{\"server\":\"file:///\",\"who\":null}", "\0\u{1}"] {
            std::fs::write(home.path().join(HERE), noise).unwrap();
            for profile in [&here, &other] {
                std::fs::write(profiles.folder(&profile.name).join(RECORD), noise).unwrap();
            }
            let again = Profiles::read(home.path(), &url(SERVER));
            let servers: Vec<_> = again
                .all()
                .into_iter()
                .map(|profile| (profile.name, profile.server))
                .collect();
            let wanted = [
                (other.name.clone(), other.server.clone()),
                (here.name.clone(), here.server.clone()),
            ];
            assert_eq!(servers, wanted, "{noise}");
            assert_eq!(again.here().name, here.name, "{noise}");
            let door = again.door(&url(SERVER)).unwrap();
            assert_ne!(door.name, here.name, "it may be somebody's");
            std::fs::remove_dir_all(again.folder(&door.name)).unwrap();
        }
    }

    #[test]
    fn a_server_that_was_set_since_is_newer_than_what_was_on_the_screen() {
        let home = tempfile::tempdir().unwrap();
        let profiles = Profiles::read(home.path(), &url(SERVER));
        let other = profiles.door(&url("https://example.org/")).unwrap();
        profiles.choose(&other).unwrap();
        assert_eq!(Profiles::read(home.path(), &url(SERVER)).here(), other);
        profiles.show(&profiles.door(&url(SERVER)).unwrap());
        assert_eq!(profiles.here().server, url(SERVER));
        assert_eq!(
            Profiles::read(home.path(), &url(SERVER)).here(),
            other,
            "it was not chosen"
        );
        let third = url("https://example.net/");
        assert_eq!(Profiles::read(home.path(), &third).here().server, third);
    }
}
