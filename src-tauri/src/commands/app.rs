//! The app itself: what it keeps here, what it was chosen to do, what it opens outside, and the channel to the page.

use super::opening::quota;
use super::{Answer, Shell, blocking};
use crate::diagnostics::{self, Known};
use crate::error::Error;
use crate::export::{self, Format};
use crate::keychain::{Keychain, Owner};
use crate::preferences::{Chosen, Step};
use crate::profiles::Profile;
use crate::sync::Turn;
use crate::{autostart, clipboard, crash, folder, outside, window};
use protocol::SessionId;
use protocol::ipc::{self, AppAct, CacheLimit, SecretStore};
use protocol::view::{Connection, Push};
use tauri::ipc::Channel;
use tauri::{AppHandle, Manager as _, State};
use tauri_plugin_opener::OpenerExt as _;

#[tauri::command]
pub async fn storage(ask: ipc::GetStorage, turn: Turn, shell: State<'_, Shell>) -> Answer<ipc::Storage> {
    let ipc::GetStorage {} = ask;
    held(turn, &shell).await
}

async fn held(turn: Turn, shell: &Shell) -> Answer<ipc::Storage> {
    let profile = shell.profile(turn)?;
    let keychain = shell.keychain_of(&profile);
    let secrets = blocking(move || Ok(keychain.store())).await?;
    let numbers = shell.device(turn).await?.storage().await?;
    let aside = (numbers.aside > 0).then(|| ipc::Aside {
        files: numbers.aside,
        bytes: numbers.aside_bytes,
        folder: folder_of(&profile, shell),
    });
    Ok(ipc::Storage {
        secrets,
        cache_bytes: numbers.cache_bytes,
        sessions: numbers.sessions,
        messages: numbers.messages,
        most_bytes: numbers.most_bytes,
        most_messages: numbers.most_messages,
        limit: shell.preferences.chosen().limit,
        kept: numbers.kept,
        waiting: numbers.waiting,
        is_paused: numbers.is_paused,
        protection: protection(secrets, numbers.is_sealed).to_owned(),
        aside,
    })
}

/// Where an account is kept.
fn folder_of(profile: &Profile, shell: &Shell) -> String {
    shell.profiles.folder(&profile.name).display().to_string()
}

/// How far what is kept here is from whoever reads the disk. No more is said than is so.
const fn protection(secrets: Option<SecretStore>, is_sealed: bool) -> &'static str {
    match (is_sealed, secrets) {
        (true, Some(SecretStore::Keychain)) => "encrypted, with a key in this computer’s keychain",
        (true, Some(SecretStore::File)) => {
            "encrypted, with a key in a file beside it: whoever can read this disk can read it"
        }
        (true, Some(SecretStore::Memory) | None) => "encrypted until the app is started again",
        (false, Some(SecretStore::Keychain | SecretStore::File)) => {
            "not encrypted yet: it will be when the app is started again"
        }
        (false, Some(SecretStore::Memory) | None) => {
            "not encrypted: there is no place for a key that outlasts the app"
        }
    }
}

#[tauri::command]
pub async fn prefer(ask: ipc::Prefer, app: AppHandle) -> Answer<ipc::Preferences> {
    if let Some(wanted) = ask.to {
        app.state::<Shell>().tray.choose(&app, wanted.tray).await?;
    }
    blocking(move || {
        let shell = app.state::<Shell>();
        if let Some(wanted) = ask.to {
            if autostart::is_on(&app) != wanted.autostart {
                autostart::set(&app, wanted.autostart)?;
            }
            shell.preferences.change(|chosen| Chosen {
                notify: wanted.notify,
                notify_text: wanted.notify_text,
                tray: wanted.tray,
                ..chosen
            })?;
        }
        let chosen = shell.preferences.chosen();
        Ok(ipc::Preferences {
            notify: chosen.notify,
            notify_text: chosen.notify_text,
            autostart: autostart::is_on(&app),
            tray: chosen.tray,
        })
    })
    .await
}

#[tauri::command]
pub async fn act(ask: ipc::Act, turn: Turn, app: AppHandle) -> Answer<String> {
    perform(turn, app, ask.act).await
}

/// As where the page did not ask for it: what there is to tell is in the log.
pub fn act_by_itself(app: &AppHandle, act: AppAct) {
    let turn = app.state::<Shell>().sync.now();
    tauri::async_runtime::spawn(perform(turn, app.clone(), act));
}

async fn perform(turn: Turn, app: AppHandle, act: AppAct) -> Answer<String> {
    match act {
        AppAct::CopyDiagnostics => {
            let report = report(turn, &app, &app.state::<Shell>()).await?;
            clipboard::copy(&app, report).await?;
            Ok("Diagnostics copied. Please look through them before you send them on.".to_owned())
        }
        AppAct::ZoomIn => zoom(app, Step::In).await,
        AppAct::ZoomOut => zoom(app, Step::Out).await,
        AppAct::ZoomBack => zoom(app, Step::Back).await,
        AppAct::Export(session) => export(turn, &app, session).await,
        AppAct::Print(session) => print(turn, &app, session).await,
        AppAct::Keep(session, is_kept) => {
            let device = app.state::<Shell>().device(turn).await?;
            device.keep(session, is_kept).await?;
            Ok(if is_kept {
                "All of this session stays on this computer."
            } else {
                "This session stays as long as there is room for it."
            }
            .to_owned())
        }
        AppAct::ShowAside => show_aside(turn, app).await,
        AppAct::RemoveAside => remove_aside(turn, &app).await,
        AppAct::Close => {
            window::close(&app)?;
            Ok(String::new())
        }
        AppAct::Quit => {
            app.exit(0);
            Ok(String::new())
        }
        AppAct::Limit(limit) => bound(turn, app, limit).await,
        AppAct::ClearCache => clear_cache(turn, &app).await,
    }
}

/// At once, and for the next starts.
async fn bound(turn: Turn, app: AppHandle, limit: CacheLimit) -> Answer<String> {
    let device = app.state::<Shell>().device(turn).await?;
    blocking(move || {
        let shell = app.state::<Shell>();
        shell.preferences.change(|chosen| Chosen { limit, ..chosen })
    })
    .await?;
    device.limit(quota(limit));
    Ok(String::new())
}

async fn clear_cache(turn: Turn, app: &AppHandle) -> Answer<String> {
    let device = app.state::<Shell>().device(turn).await?;
    if !window::may_cache_go(app).await? {
        return Ok(String::new());
    }
    let is_reached = matches!(device.connection(), Connection::Online | Connection::Connecting);
    device.clear().await?;
    tracing::info!("what was kept of the server's was removed, as the person wished");
    Ok(if is_reached {
        "Cleared. Your sessions are loaded again now."
    } else {
        "Cleared. Your sessions come back once you are online."
    }
    .to_owned())
}

async fn show_aside(turn: Turn, app: AppHandle) -> Answer<String> {
    let shell = app.state::<Shell>();
    let folder = folder_of(&shell.profile(turn)?, &shell);
    let shown = blocking(move || app.opener().open_path(folder, None::<&str>).map_err(Error::from));
    let told = "The folder could not be opened. Please look for it by its name, which stands there.";
    shown.await.map_err(|problem| problem.detail(told))?;
    Ok(String::new())
}

async fn remove_aside(turn: Turn, app: &AppHandle) -> Answer<String> {
    let device = app.state::<Shell>().device(turn).await?;
    let may_open = device.storage().await?.locked > 0;
    if !window::may_aside_go(app, may_open).await? {
        return Ok(String::new());
    }
    device.remove_aside().await?;
    tracing::info!("what was put aside was removed, as the person wished");
    Ok("What was kept aside is removed.".to_owned())
}

/// One step, at once and for the next starts.
async fn zoom(app: AppHandle, by: Step) -> Answer<String> {
    blocking(move || {
        let chosen = app
            .state::<Shell>()
            .preferences
            .change(|chosen| chosen.zoomed(by))?;
        window::zoom(&app, chosen)
    })
    .await?;
    Ok(String::new())
}

async fn report(turn: Turn, app: &AppHandle, shell: &Shell) -> Answer<String> {
    let device = shell.device(turn).await?;
    let storage = held(turn, shell).await?;
    let mut private = vec![shell.config.computer.clone()];
    private.extend(app.path().home_dir().ok().map(|home| home.display().to_string()));
    if let Some(me) = device.me() {
        private.push(me.email.to_string());
        private.extend(me.name);
    }
    let (server, logs) = (device.server(), shell.logs.clone());
    let (connection, is_safe) = (device.connection(), shell.config.safe_rendering);
    let change = device.cursor().await?.map(|cursor| cursor.seq);
    blocking(move || {
        diagnostics::report(&Known {
            server: server.host_str().unwrap_or_default(),
            connection,
            change,
            storage: &storage,
            is_safe,
            logs: &logs,
            private: &private,
        })
    })
    .await
}

async fn export(turn: Turn, app: &AppHandle, session: SessionId) -> Answer<String> {
    let transcript = app.state::<Shell>().device(turn).await?.whole(session).await?;
    let kinds = Format::ALL.map(|format| (format.label(), format.ending()));
    let asked = window::ask_where(app, export::name(&transcript), kinds.to_vec()).await?;
    let Some(path) = asked else {
        return Ok(String::new());
    };
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let format = Format::of(&ending).unwrap_or(Format::Markdown);
    blocking(move || folder::write_whole(&path, format.write(&transcript).as_bytes())).await?;
    Ok("Session exported".to_owned())
}

/// As much of it as can be had; what is missing is said on the first page.
async fn print(turn: Turn, app: &AppHandle, session: Option<SessionId>) -> Answer<String> {
    let Some(session) = session.or_else(|| window::open_session(app)) else {
        return Ok("Open the session that you want to print.".to_owned());
    };
    let transcript = app.state::<Shell>().device(turn).await?.whole(session).await?;
    let page = blocking(move || Ok(export::page(&transcript))).await?;
    let said = if window::print(app, page, &export::policy()).await? {
        "Session printed"
    } else {
        ""
    };
    Ok(said.to_owned())
}

#[tauri::command]
pub async fn consent(ask: ipc::Consent, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    let keychain = shell.keychain_of(&shell.profile(turn)?);
    let all = shell.profiles.all();
    let others: Vec<Keychain> = all
        .iter()
        .map(|profile| keychain.of(Owner::new(profile, shell.config.mark().as_deref())))
        .collect();
    blocking(move || keychain.choose(ask.to, &others)).await
}

#[tauri::command]
pub async fn open_link(ask: ipc::OpenLink, app: AppHandle) -> Answer<()> {
    let url = outside::link(&ask.url)?;
    blocking(move || app.opener().open_url(url, None::<&str>).map_err(Error::from)).await
}

#[tauri::command]
pub async fn watch(
    ask: ipc::Watch,
    turn: Turn,
    channel: Channel<Push>,
    shell: State<'_, Shell>,
) -> Answer<()> {
    let ipc::Watch {} = ask;
    shell.sync.watch(turn, channel).await
}

#[tauri::command]
pub async fn ui_ready(ask: ipc::UiReady, shell: State<'_, Shell>) -> Answer<()> {
    let ipc::UiReady {} = ask;
    if !shell.is_drawn.send_replace(true) {
        let after = shell.config.begun.elapsed();
        tracing::info!(?after, "the page is drawn");
    }
    Ok(())
}

#[tauri::command]
pub async fn page_broke(ask: ipc::PageBroke, shell: State<'_, Shell>) -> Answer<()> {
    tracing::error!("the page broke");
    let logs = shell.logs.clone();
    blocking(move || crash::page_broke(&logs, &ask.what)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_sealed_is_called_encrypted() {
        for secrets in [
            None,
            Some(SecretStore::Keychain),
            Some(SecretStore::File),
            Some(SecretStore::Memory),
        ] {
            assert!(protection(secrets, true).starts_with("encrypted"), "{secrets:?}");
            assert!(
                protection(secrets, false).starts_with("not encrypted"),
                "{secrets:?}"
            );
        }
        let in_a_file = protection(Some(SecretStore::File), true);
        assert!(in_a_file.contains("can read it"), "{in_a_file}");
    }
}
