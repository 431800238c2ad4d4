//! Newer versions: looked for now and then, told of once by a notification, and put in place only where a person says so.
//!
//! A package of the system is left to the system: the person is told the command. Off where the app was built without a key.
//! **Invariant:** what is not signed with that key changes nothing, whoever sent it; nothing is written before it is known to be.

mod fetch;
mod installed;
mod manifest;
mod question;
#[cfg(test)]
mod signer;

use crate::clipboard;
use crate::commands::Shell;
use crate::config::{self, UpdateSource};
use crate::error::Error;
use crate::window;
use fetch::fetch;
use installed::Installed;
use manifest::{Offer, Replacement};
use question::Choice;
use semver::Version;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tauri::{AppHandle, Builder, Context, Manager as _, Wry};
use tauri_plugin_opener::OpenerExt as _;
use tauri_plugin_updater::UpdaterExt as _;
use url::Url;

/// A start has better things to do.
const FIRST: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_hours(6);
/// Not all apps at once.
const SPREAD: u64 = 30 * 60;

/// A few files' addresses and signatures.
const MANIFEST_BYTES: usize = 64 * 1024;
const SIGNATURE_BYTES: usize = 4 * 1024;
const EXCHANGE: Duration = Duration::from_secs(30);
/// An AppImage brings its web view along.
const FILE_BYTES: usize = 300 * 1024 * 1024;
const DOWNLOAD: Duration = Duration::from_mins(30);

/// Why there is no newer version here, as a person is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("This app does not look for updates. A newer version is installed as this one was.")]
    NotBuiltIn,
    #[error(
        "The updates lie at an address that others can read and change (http), so nothing was taken from there."
    )]
    Insecure,
    #[error("The server that tells of new versions could not be reached. Please try again later.")]
    Unreachable,
    #[error("The server sent far more than an update is. Nothing was changed.")]
    TooLarge,
    #[error("What the server sent is not signed by the makers of this app. Nothing was changed.")]
    NotSigned,
    #[error("What the server told of new versions makes no sense. Nothing was changed.")]
    Unreadable,
    #[error("There is a newer version, but none for this kind of computer yet.")]
    NotForThis,
    #[error("The new version could not be put in place. The one that you have still works.")]
    NotPutInPlace,
}

/// Lets the app put a newer version in its own place, where it was built to. The page gets no word of it: none of the
/// plugin's commands is granted.
pub fn join(builder: Builder<Wry>, context: &mut Context<Wry>) -> Builder<Wry> {
    let Some(source) = config::update_source() else {
        return builder;
    };
    // It asks nobody by itself: addresses are ours to judge, in `fetch`.
    let settings = serde_json::json!({"pubkey": source.key, "requireSignedVersion": true});
    context
        .config_mut()
        .plugins
        .0
        .insert("updater".to_owned(), settings);
    builder.plugin(tauri_plugin_updater::Builder::new().build())
}

/// Looks now and then, as long as the app runs.
pub fn watch(app: AppHandle) {
    let Some(source) = config::update_source() else {
        return;
    };
    tauri::async_runtime::spawn(async move {
        let mut pause = FIRST;
        loop {
            tokio::time::sleep(pause + Duration::from_secs(rand::random_range(0..SPREAD))).await;
            pause = EVERY;
            match look(&source, &Installed::here(&app)).await {
                Ok(offer) => tell(&app, offer.version()),
                Err(refusal) => tracing::info!(%refusal, "looked for a newer version"),
            }
        }
    });
}

/// Each version once.
fn tell(app: &AppHandle, newer: Option<&Version>) {
    let newer = newer.map(ToString::to_string);
    app.state::<Shell>().updates.newer.send_if_modified(|told| {
        let is_news = newer.is_some() && *told != newer;
        if is_news {
            told.clone_from(&newer);
        }
        is_news
    });
}

async fn look(source: &UpdateSource, installed: &Installed) -> Result<Offer, Refusal> {
    let told = fetch(&source.manifest, MANIFEST_BYTES, EXCHANGE).await?;
    let mut beside = source.manifest.clone();
    beside.set_path(&format!("{}.sig", source.manifest.path()));
    let signature = fetch(&beside, SIGNATURE_BYTES, EXCHANGE).await?;
    manifest::offer(&told, &signature, &source.key, &running()?, installed)
}

fn running() -> Result<Version, Refusal> {
    Version::parse(env!("CARGO_PKG_VERSION")).map_err(|_ours| Refusal::Unreadable)
}

/// Looks at once and says by a dialog what came of it; once at a time.
pub fn ask(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let shell = app.state::<Shell>();
        if shell.updates.is_asking.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = talk(&app).await {
            tracing::error!(%error, "what is new could not be told");
        }
        shell.updates.is_asking.store(false, Ordering::Relaxed);
    });
}

async fn talk(app: &AppHandle) -> Result<(), Error> {
    let outcome = match config::update_source() {
        Some(source) => look(&source, &Installed::here(app)).await,
        None => Err(Refusal::NotBuiltIn),
    };
    tracing::info!(?outcome, "asked for a newer version");
    let asked = question::about(&outcome);
    let Some(choice) = choose(app, asked).await? else {
        return Ok(());
    };
    match choice {
        Choice::Close => {}
        Choice::Copy(command) => clipboard::copy(app, command).await?,
        Choice::Download(at) => open(app, at).await?,
        Choice::Replace(replacement) => {
            if let Err(refusal) = replace(app, &replacement).await {
                choose(app, question::about(&Err(refusal))).await?;
            }
        }
    }
    Ok(())
}

async fn choose(app: &AppHandle, asked: question::Question) -> Result<Option<Choice>, Error> {
    let labels = asked.choices.iter().map(Choice::label).collect();
    let chosen = window::choose(app, question::HEADING, asked.text, labels).await?;
    Ok(chosen.and_then(|number| asked.choices.into_iter().nth(number)))
}

async fn open(app: &AppHandle, at: Url) -> Result<(), Error> {
    let app = app.clone();
    let opened = tokio::task::spawn_blocking(move || app.opener().open_url(at, None::<&str>));
    Ok(opened.await??)
}

/// Fetches it, looks at its signature, puts it in this app's place, and starts it.
async fn replace(app: &AppHandle, replacement: &Replacement) -> Result<(), Refusal> {
    let source = config::update_source().ok_or(Refusal::NotBuiltIn)?;
    let content = fetch(&replacement.at, FILE_BYTES, DOWNLOAD).await?;
    if !manifest::is_signed(&content, &replacement.signature, &source.key) {
        return Err(Refusal::NotSigned);
    }
    let failed = |error: tauri_plugin_updater::Error| {
        tracing::error!(%error, "the new version could not be put in place");
        Refusal::NotPutInPlace
    };
    let updater = app
        .updater_builder()
        .target(&replacement.platform)
        .endpoints(vec![source.manifest])
        .and_then(tauri_plugin_updater::UpdaterBuilder::build)
        .map_err(failed)?;
    let update = updater.restore_update(replacement.told.clone()).map_err(failed)?;
    let update = update.ok_or(Refusal::NotPutInPlace)?;
    // It looks at the signature once more, and for which version it was given.
    let put = tokio::task::spawn_blocking(move || update.install(content));
    put.await
        .map_err(|_ended| Refusal::NotPutInPlace)?
        .map_err(failed)?;
    let version = &replacement.version;
    tracing::info!(%version, "a new version is in place and starts");
    app.state::<Shell>()
        .updates
        .starts_again
        .store(true, Ordering::Relaxed);
    app.exit(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fetch::tests::{serve, with_body};
    use super::signer::Signer;
    use super::*;
    use std::collections::BTreeMap;

    async fn looked(told: &str, signature: &str, key: String) -> Result<Offer, Refusal> {
        let base = serve(BTreeMap::from([
            ("/latest.json", with_body(told.as_bytes())),
            ("/latest.json.sig", with_body(signature.as_bytes())),
        ]))
        .await;
        let source = UpdateSource {
            manifest: base.join("latest.json").unwrap(),
            key,
        };
        look(&source, &Installed::ByHand).await
    }

    #[tokio::test]
    async fn a_server_is_believed_what_our_key_signed_and_nothing_else() {
        let (ours, theirs) = (Signer::new(1), Signer::new(2));
        let newer = r#"{"version": "900.0.0"}"#;
        assert_eq!(
            looked(newer, &ours.sign(newer.as_bytes()), ours.key()).await,
            Ok(Offer::Elsewhere {
                version: Version::new(900, 0, 0)
            })
        );
        let older = r#"{"version": "0.0.1"}"#;
        assert_eq!(
            looked(older, &ours.sign(older.as_bytes()), ours.key()).await,
            Ok(Offer::Newest)
        );
        for (told, signature, refusal) in [
            (newer, theirs.sign(newer.as_bytes()), Refusal::NotSigned),
            (newer, ours.sign(older.as_bytes()), Refusal::NotSigned),
            (newer, String::new(), Refusal::NotSigned),
            (newer, "x".repeat(SIGNATURE_BYTES + 1), Refusal::TooLarge),
            ("garbage", ours.sign(b"garbage"), Refusal::Unreadable),
        ] {
            assert_eq!(looked(told, &signature, ours.key()).await, Err(refusal));
        }
        let giant = format!("{newer}{}", " ".repeat(MANIFEST_BYTES));
        assert_eq!(
            looked(&giant, &ours.sign(giant.as_bytes()), ours.key()).await,
            Err(Refusal::TooLarge)
        );
    }
}
