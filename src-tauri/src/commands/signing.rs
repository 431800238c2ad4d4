//! Signing up, in and out, and the person's devices.

use super::{Answer, Shell, blocking, now};
use crate::error::Error;
use crate::sign_in::Homecoming;
use protocol::auth::Device as SignedInDevice;
use protocol::ipc;
use protocol::{Code, Problem};
use tauri::{AppHandle, State};
use tauri_plugin_opener::OpenerExt as _;

/// Looked at before anything is sent: a sign-in that could not be kept would be lost at the next start.
async fn has_place_for_secrets(shell: &Shell) -> Answer<()> {
    let keychain = shell.keychain.clone();
    match blocking(move || Ok(keychain.store())).await? {
        Some(_) => Ok(()),
        None => Err(Problem::new(Code::KeychainUnavailable)),
    }
}

#[tauri::command]
pub async fn sign_up(ask: ipc::SignUp, shell: State<'_, Shell>) -> Answer<()> {
    has_place_for_secrets(&shell).await?;
    shell.device().await?.sign_up(ask.email, ask.password).await
}

#[tauri::command]
pub async fn verify(ask: ipc::Verify, shell: State<'_, Shell>) -> Answer<()> {
    has_place_for_secrets(&shell).await?;
    shell.device().await?.verify(ask.email, ask.code).await?;
    Ok(())
}

#[tauri::command]
pub async fn resend(ask: ipc::Resend, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.resend(ask.email).await
}

#[tauri::command]
pub async fn sign_in(ask: ipc::SignIn, shell: State<'_, Shell>) -> Answer<()> {
    has_place_for_secrets(&shell).await?;
    shell.device().await?.sign_in(ask.email, ask.password).await?;
    Ok(())
}

#[tauri::command]
pub async fn browser_sign_in(
    ask: ipc::BrowserSignIn,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Answer<ipc::BrowserSignInStarted> {
    has_place_for_secrets(&shell).await?;
    let device = shell.device().await?;
    let page = shell.sign_in.begin(&device, ask.provider, now()).await?;
    let link = page.to_string();
    let opening = link.clone();
    let opened = blocking(move || app.opener().open_url(opening, None::<&str>).map_err(Error::from));
    // The page offers "Copy link", so a browser that will not open is not the end.
    let _ = opened.await;
    Ok(ipc::BrowserSignInStarted { link })
}

#[tauri::command]
pub async fn cancel_sign_in(ask: ipc::CancelSignIn, shell: State<'_, Shell>) -> Answer<()> {
    let ipc::CancelSignIn {} = ask;
    Ok(shell.sign_in.cancel().await?)
}

#[tauri::command]
pub async fn finish_sign_in(ask: ipc::FinishSignIn, shell: State<'_, Shell>) -> Answer<()> {
    let device = shell.device().await?;
    match shell.sign_in.paste(&device, &ask.code, now()).await? {
        Homecoming::SignedIn => Ok(()),
        Homecoming::Ignored => Err(Problem::new(Code::StateMismatch)),
    }
}

#[tauri::command]
pub async fn sign_out(ask: ipc::SignOut, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.sign_out(ask.even_if_waiting).await?;
    Ok(shell.sign_in.cancel().await?)
}

#[tauri::command]
pub async fn devices(ask: ipc::Devices, shell: State<'_, Shell>) -> Answer<Vec<SignedInDevice>> {
    let ipc::Devices {} = ask;
    shell.device().await?.devices().await
}

#[tauri::command]
pub async fn revoke(ask: ipc::Revoke, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.revoke(ask.device).await
}
