//! The app itself: what it keeps here, what it opens outside, and the channel to the page.

use super::{Answer, Shell, blocking};
use crate::error::Error;
use crate::outside;
use protocol::ipc;
use protocol::view::Push;
use tauri::ipc::Channel;
use tauri::{AppHandle, State};
use tauri_plugin_opener::OpenerExt as _;

#[tauri::command]
pub async fn storage(ask: ipc::GetStorage, shell: State<'_, Shell>) -> Answer<ipc::Storage> {
    let ipc::GetStorage {} = ask;
    let keychain = shell.keychain.clone();
    let secrets = blocking(move || Ok(keychain.store())).await?;
    let numbers = shell.device().await?.storage().await?;
    Ok(ipc::Storage {
        secrets,
        cache_bytes: numbers.cache_bytes,
        sessions: numbers.sessions,
        messages: numbers.messages,
        waiting: numbers.waiting,
    })
}

#[tauri::command]
pub async fn consent(ask: ipc::Consent, shell: State<'_, Shell>) -> Answer<()> {
    let keychain = shell.keychain.clone();
    blocking(move || keychain.choose(ask.to)).await
}

#[tauri::command]
pub async fn open_link(ask: ipc::OpenLink, app: AppHandle) -> Answer<()> {
    let url = outside::link(&ask.url)?;
    blocking(move || app.opener().open_url(url, None::<&str>).map_err(Error::from)).await
}

#[tauri::command]
pub async fn watch(ask: ipc::Watch, channel: Channel<Push>, shell: State<'_, Shell>) -> Answer<()> {
    let ipc::Watch {} = ask;
    Ok(shell.sync.watch(channel).await?)
}

#[tauri::command]
pub async fn ui_ready(ask: ipc::UiReady, shell: State<'_, Shell>) -> Answer<()> {
    let ipc::UiReady {} = ask;
    if !shell.is_drawn.send_replace(true) {
        tracing::info!("the page is drawn");
    }
    Ok(())
}
