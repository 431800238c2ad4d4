//! What the page may call: each command unpacks its ask, calls one thing, and refuses with a `Problem`.
//!
//! **Invariant:** exactly the commands of `protocol::ipc`; none returns a token, a verifier or a key.

pub mod app;
mod opening;
pub mod reading;
pub mod signing;
mod writing;

use crate::config::Config;
use crate::error::Result;
use crate::keychain::Keychain;
use crate::preferences::Preferences;
use crate::sign_in::SignIn;
use crate::sync::Sync;
use crate::tray::Tray;
use protocol::auth::Provider;
use protocol::{Problem, UnixMillis};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use sync_client::Device;
use sync_client::driver::Computer;
use tauri::ipc::Invoke;
use tauri::{AppHandle, Wry};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// What the commands work on.
#[derive(Debug)]
pub struct Shell {
    pub config: Config,
    /// The folder of the logs.
    pub logs: PathBuf,
    pub keychain: Arc<Keychain>,
    pub sign_in: SignIn,
    pub sync: Sync,
    pub preferences: Preferences,
    pub tray: Tray,
    /// The server's ways to sign in, as last heard.
    providers: Mutex<Vec<Provider>>,
    /// The door that waits for the browser, where it does not come home by link.
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

        pub fn handler() -> impl Fn(Invoke<Wry>) -> bool + Send + std::marker::Sync + 'static {
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
    app::storage,
    app::prefer,
    app::act,
    app::consent,
    app::open_link,
    app::watch,
    app::ui_ready,
    app::page_broke,
}

impl Shell {
    /// `folder` is this program's own; `service` names it in the system's keychain.
    pub fn new(app: AppHandle, config: Config, folder: &Path, service: &str) -> Self {
        let profile = profile(&config);
        let keychain = Arc::new(Keychain::new(folder, service, &profile));
        let kept = opening::Kept {
            folder: folder.join("servers").join(server_folder(&config.server)),
            server: config.server.clone(),
            computer: computer(&config),
            keychain: keychain.clone(),
        };
        let sync = Sync::begin(opening::open(app, kept));
        Self {
            config,
            sign_in: SignIn::new(keychain.clone()),
            keychain,
            sync,
            preferences: Preferences::read(folder),
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

    /// One door at a time: an earlier one is shut.
    fn waits_at(&self, door: Option<JoinHandle<()>>) {
        let mut open = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = std::mem::replace(&mut *open, door) {
            former.abort();
        }
    }

    pub async fn device(&self) -> Answer<Device> {
        self.sync.device().await
    }
}

fn computer(config: &Config) -> Computer {
    Computer {
        name: config.computer.clone(),
        os: std::env::consts::OS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
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

/// Tells this program's keychain entries for one server and one data folder from others'.
fn profile(config: &Config) -> String {
    let origin = config.server.origin().ascii_serialization();
    match config.mark() {
        Some(mark) => format!("{origin} {mark}"),
        None => origin,
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
        let named: BTreeSet<_> = protocol::ipc::NAMES.iter().collect();
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
        let named: BTreeSet<_> = protocol::ipc::NAMES.iter().map(allowed).collect();
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

    #[test]
    fn each_server_has_a_folder_of_its_own() {
        let folder = |server: &str| server_folder(&Url::parse(server).unwrap());
        assert_eq!(folder("https://compymac.dev/"), "compymac.dev-443");
        assert_eq!(folder("http://[::1]:8080/"), "___1_-8080");
        assert_ne!(folder("http://127.0.0.1:1/"), folder("http://127.0.0.1:2/"));
    }
}
