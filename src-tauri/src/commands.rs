//! What the page may call: each command unpacks its ask, calls one thing, and refuses with a `Problem`.
//!
//! **Invariant:** exactly the commands of `protocol::ipc`; none returns a token, a verifier or a key, none is done for a page that was
//! drawn for another account, and none twice that was asked once.

pub mod accounts;
pub mod app;
mod opening;
pub mod reading;
pub mod signing;
mod writing;

use crate::config::Config;
use crate::error::Result;
use crate::keychain::{Keychain, Owner};
use crate::preferences::Preferences;
use crate::profiles::{Profile, Profiles};
use crate::sign_in::SignIn;
use crate::sync::{Sync, Turn};
use crate::tray::Tray;
use protocol::auth::Provider;
use protocol::ipc::{self, Command as _};
use protocol::{Code, Problem, UnixMillis};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use sync_client::Device;
use sync_client::driver::Computer;
use tauri::ipc::{CommandArg, CommandItem, Invoke, InvokeBody, InvokeError, InvokeMessage};
use tauri::{AppHandle, Manager as _, Runtime, Wry};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the commands work on.
#[derive(Debug)]
pub struct Shell {
    pub config: Config,
    /// The folder of the logs.
    pub logs: PathBuf,
    pub profiles: Arc<Profiles>,
    /// The entries of one of them, and the way to those of the others.
    keychain: Keychain,
    /// Of the one on the screen.
    sign_in: Mutex<Arc<SignIn>>,
    /// One account at a time comes on the screen.
    turning: tokio::sync::Mutex<()>,
    pub sync: Sync,
    pub preferences: Preferences,
    pub tray: Tray,
    /// The server's ways to sign in, as last heard.
    providers: Mutex<Vec<Provider>>,
    /// What waits for the browser, where it does not come home by link: a door here, or questions to the server.
    door: Mutex<Option<JoinHandle<()>>>,
    /// The page has been drawn.
    pub is_drawn: watch::Sender<bool>,
    /// Links lead to this program, as far as that is up to it.
    pub is_registered: watch::Sender<bool>,
    /// What the person is asked, and wants, where it was not.
    pub rescue: Rescue,
    pub updates: Updates,
}

/// What is known of newer versions.
#[derive(Debug, Default)]
pub struct Updates {
    /// One that the person is to be told of.
    pub newer: watch::Sender<Option<String>>,
    /// There is a dialog.
    pub is_asking: AtomicBool,
    /// A newer program lies in the place of this one, and is to be started when this one ends.
    pub starts_again: AtomicBool,
}

/// Where the page does not come.
#[derive(Debug, Default)]
pub struct Rescue {
    /// There is a dialog.
    pub is_asking: AtomicBool,
    /// This program is to be started once more when it ends.
    pub starts_again: AtomicBool,
}

type Answer<T> = std::result::Result<T, Problem>;

macro_rules! commands {
    ($($room:ident::$name:ident,)*) => {
        /// The names that [`handler`] answers to.
        #[cfg(test)]
        const HANDLED: &[&str] = &[$(stringify!($name)),*];

        fn each() -> impl Fn(Invoke<Wry>) -> bool + Send + std::marker::Sync + 'static {
            tauri::generate_handler![$($room::$name),*]
        }
    };
}

commands! {
    reading::boot,
    reading::list,
    reading::open,
    reading::earlier,
    reading::reach,
    reading::search,
    reading::draft,
    reading::providers,
    writing::create,
    writing::keep_draft,
    writing::send,
    writing::answer,
    writing::rename,
    writing::archive,
    writing::delete,
    writing::undo,
    writing::retry,
    writing::stop,
    signing::sign_up,
    signing::verify,
    signing::resend,
    signing::sign_in,
    signing::second_step,
    signing::browser_sign_in,
    signing::cancel_sign_in,
    signing::finish_sign_in,
    signing::sign_out,
    signing::devices,
    signing::revoke,
    accounts::accounts,
    app::storage,
    app::prefer,
    app::act,
    app::consent,
    app::open_link,
    app::watch,
    app::ui_ready,
    app::page_broke,
    signing::device_code,
}

pub fn handler() -> impl Fn(Invoke<Wry>) -> bool + Send + std::marker::Sync + 'static {
    let each = each();
    move |invoke| match admit(&invoke.message) {
        Ok(()) => each(invoke),
        Err(problem) => {
            invoke.resolver.reject(problem);
            true
        }
    }
}

/// Each page says which one it is and numbers what it asks: one that was drawn for an account that is not on the screen any more is
/// refused, and so is what was asked before.
fn admit(message: &InvokeMessage<Wry>) -> Answer<()> {
    let command = message.command();
    // Told by the page's frame, whose program did not come as far as having a name; told twice, it is written down twice.
    if command == ipc::PageBroke::NAME {
        return Ok(());
    }
    let (page, number) = field(message, "page")
        .zip(field(message, "number"))
        .ok_or_else(nameless)?;
    let shell = message.webview_ref().state::<Shell>();
    // Asked for twice a message is the same one, and who asks again is told that it is there.
    if shell.sync.admit(page, number)? || command == ipc::Send::NAME {
        Ok(())
    } else {
        tracing::info!(command, "what a page asked came twice");
        let detail = "That was asked already. If nothing has come of it, please try again.";
        Err(Problem::new(Code::Conflict).detail(detail))
    }
}

/// A number beside the ask.
fn field<R: Runtime>(message: &InvokeMessage<R>, name: &str) -> Option<u64> {
    match message.payload() {
        InvokeBody::Json(payload) => payload.get(name)?.as_u64(),
        InvokeBody::Raw(_) => None,
    }
}

/// The one that the page was let in at, which another may have followed by now: commands run when there is time for them.
impl<'de, R: Runtime> CommandArg<'de, R> for Turn {
    fn from_command(command: CommandItem<'de, R>) -> std::result::Result<Self, InvokeError> {
        let shell = command.message.webview_ref().state::<Shell>();
        let page = field(command.message, "page");
        let turn = page.and_then(|page| shell.sync.turn_of(page));
        turn.ok_or_else(|| nameless().into())
    }
}

/// No page of ours asks so.
fn nameless() -> Problem {
    Problem::new(Code::Invalid).detail("The app was asked by a page it does not know. Please start it again.")
}

impl Shell {
    /// `folder` is this program's own; `service` names it in the system's keychain.
    pub fn new(app: AppHandle, config: Config, folder: &Path, service: &str) -> Self {
        let profiles = Arc::new(Profiles::read(folder, &config.server));
        let here = profiles.here();
        let mark = config.mark();
        let keychain = Keychain::new(folder, service, Owner::new(&here, mark.as_deref()));
        let all = profiles.all();
        let names: Vec<String> = all.into_iter().map(|profile| profile.name).collect();
        if let Err(error) = keychain.adopt_files(&names) {
            tracing::warn!(%error, "secrets of an earlier build stay where they are");
        }
        let own = Arc::new(keychain.of(Owner::new(&here, mark.as_deref())));
        let preferences = Preferences::read(folder);
        let limit = preferences.chosen().limit;
        let kept = opening::Kept::of(&config, &profiles, &here, own.clone(), limit);
        let sync = Sync::begin(opening::open(app, kept));
        Self {
            sign_in: Mutex::new(Arc::new(SignIn::new(own))),
            turning: tokio::sync::Mutex::default(),
            profiles,
            keychain,
            config,
            sync,
            preferences,
            tray: Tray::default(),
            providers: Mutex::default(),
            door: Mutex::default(),
            is_drawn: watch::Sender::new(false),
            is_registered: watch::Sender::new(false),
            rescue: Rescue::default(),
            updates: Updates::default(),
            logs: folder.join("logs"),
        }
    }

    /// One at a time: an earlier one is given up.
    fn waits_at(&self, door: Option<JoinHandle<()>>) {
        let mut open = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = std::mem::replace(&mut *open, door) {
            former.abort();
        }
    }

    /// Of the account of the page that asks.
    async fn device(&self, turn: Turn) -> Answer<Device> {
        self.sync.device_of(turn).await
    }

    /// Likewise.
    fn profile(&self, turn: Turn) -> Answer<Profile> {
        let here = self.profiles.here();
        self.sync.still(turn)?;
        Ok(here)
    }

    /// A profile's entries in the keychain.
    fn keychain_of(&self, profile: &Profile) -> Arc<Keychain> {
        let owner = Owner::new(profile, self.config.mark().as_deref());
        Arc::new(self.keychain.of(owner))
    }

    /// Likewise.
    fn sign_in(&self, turn: Turn) -> Answer<Arc<SignIn>> {
        let here = self
            .sign_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.sync.still(turn)?;
        Ok(here)
    }

    /// It is on the screen from now on. What was known of the one before is known of no other.
    fn begin_with(&self, profile: &Profile) {
        self.profiles.show(profile);
        let own = Arc::new(SignIn::new(self.keychain_of(profile)));
        *self.sign_in.lock().unwrap_or_else(PoisonError::into_inner) = own;
        self.providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn computer(config: &Config) -> Computer {
    Computer {
        name: config.computer.clone(),
        os: std::env::consts::OS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Now, by this computer's clock.
#[expect(clippy::disallowed_methods, reason = "the one place here that reads it")]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::try_from(since.as_millis()).unwrap_or(UnixMillis::MAX)
}

/// For calls that wait for the system or the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(crate::error::Error::from)??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_of_the_protocol_is_answered_and_no_other() {
        let named: BTreeSet<_> = ipc::NAMES.iter().collect();
        assert_eq!(named, HANDLED.iter().collect());
    }

    #[test]
    fn the_page_is_granted_exactly_the_commands() {
        let capability: serde_json::Value =
            serde_json::from_str(include_str!("../capabilities/main.json")).unwrap();
        let granted: BTreeSet<String> = capability["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|permission| permission.as_str().unwrap().to_owned())
            .collect();
        let allowed = |name: &&str| format!("allow-{}", name.replace('_', "-"));
        let named: BTreeSet<_> = ipc::NAMES.iter().map(allowed).collect();
        assert_eq!(granted, named);
    }

    #[test]
    fn the_page_runs_and_fetches_nothing_that_is_not_its_own() {
        let settings: serde_json::Value = serde_json::from_str(include_str!("../tauri.conf.json")).unwrap();
        assert_eq!(settings["app"]["withGlobalTauri"], false);
        let security = &settings["app"]["security"];
        assert_eq!(security["freezePrototype"], true);
        let policy = security["csp"].as_object().unwrap();
        for none in ["object-src", "base-uri", "frame-src", "form-action", "worker-src"] {
            assert_eq!(policy[none], "'none'", "{none}");
        }
        // of its own, or of what Tauri calls its commands by
        let own = [
            "'self'",
            "'none'",
            "'wasm-unsafe-eval'",
            "data:",
            "blob:",
            "ipc:",
            "http://ipc.localhost",
        ];
        for (about, sources) in policy {
            for source in sources.as_str().unwrap().split(' ') {
                assert!(own.contains(&source), "{about}: {source}");
            }
        }
        assert_eq!(policy["script-src"], "'self' 'wasm-unsafe-eval'");
        assert_eq!(policy["style-src"], "'self'");
    }
}
