//! Opening what is kept on this computer: with its key where it has one, and whoever sits before it is asked where that is missing.

use super::{Answer, computer};
use crate::config::Config;
use crate::error::Error;
use crate::keychain::{DeviceCredential, Keychain};
use crate::profiles::{Profile, Profiles, Who};
use crate::window::{self, Way};
use protocol::ipc::CacheLimit;
use protocol::{Code, Problem};
use std::path::PathBuf;
use std::sync::Arc;
use sync_client::Device;
use sync_client::driver::{self, Computer, Quota};
use tauri::AppHandle;
use url::Url;

/// What there is to open.
#[derive(Debug)]
pub struct Kept {
    pub folder: PathBuf,
    pub server: Url,
    pub computer: Computer,
    pub keychain: Arc<Keychain>,
    pub profiles: Arc<Profiles>,
    pub profile: Profile,
    /// See [`Config::mark`].
    pub mark: Option<String>,
    pub quota: Quota,
}

/// As the person chose it.
pub const fn quota(limit: CacheLimit) -> Quota {
    Quota::new(limit.bytes(), limit.messages())
}

impl Kept {
    pub fn of(
        config: &Config,
        profiles: &Arc<Profiles>,
        profile: &Profile,
        keychain: Arc<Keychain>,
        limit: CacheLimit,
    ) -> Self {
        Self {
            folder: profiles.folder(&profile.name),
            server: profile.server.clone(),
            computer: computer(config),
            keychain,
            profiles: profiles.clone(),
            profile: profile.clone(),
            mark: config.mark(),
            quota: quota(limit),
        }
    }

    pub fn credential(&self) -> DeviceCredential {
        DeviceCredential {
            keychain: self.keychain.clone(),
            profiles: self.profiles.clone(),
            mark: self.mark.clone(),
        }
    }

    /// The record says whose this is, as the device found it.
    fn note(&self, device: &Device) {
        let who = device.me().as_ref().map(Who::from);
        if self.profile.is_known && self.profile.who == who {
            return;
        }
        if let Err(error) = self.profiles.note(&self.profile.name, who) {
            tracing::warn!(%error, "whose this account is could not be noted");
        }
    }
}

pub async fn open(app: AppHandle, kept: Kept) -> Answer<Device> {
    loop {
        let credential = kept.credential();
        let opened = Device::open_within(
            kept.quota,
            &kept.folder,
            kept.server.clone(),
            kept.computer.clone(),
            credential,
        );
        match opened.await {
            Err(problem) if problem.code == Code::KeychainUnavailable => {
                without_key(&app, &kept, problem).await?;
            }
            Ok(device) => {
                kept.note(&device);
                tell_of_what_is_aside(&app, &device);
                return Ok(device);
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// Answers where it is to be tried once more.
async fn without_key(app: &AppHandle, kept: &Kept, problem: Problem) -> Answer<()> {
    let keychain = kept.keychain.clone();
    let store = super::blocking(move || Ok(keychain.store())).await?;
    let way = window::ask_for_the_key(app, store).await?;
    tracing::warn!(?way, "what is kept here is sealed, and its key is not there");
    match way {
        Way::TryAgain => {
            let keychain = kept.keychain.clone();
            super::blocking(move || {
                keychain.look_again();
                Ok(())
            })
            .await
        }
        Way::BeginAnew => {
            let folder = kept.folder.clone();
            super::blocking(move || driver::begin_without_key(&folder).map_err(Error::from)).await
        }
        Way::Quit => {
            app.exit(0);
            Err(problem)
        }
    }
}

fn tell_of_what_is_aside(app: &AppHandle, device: &Device) {
    if !device.has_put_aside() {
        return;
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if let Err(error) = window::tell_of_what_is_aside(&app).await {
            tracing::warn!(%error, "that messages were put aside could not be told");
        }
    });
}
