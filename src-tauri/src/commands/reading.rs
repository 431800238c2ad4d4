//! What the page shows. Nothing here waits for the network, save for the ways to sign in and a session that is not here.

use super::{Answer, Shell, now};
use crate::sync::Turn;
use protocol::auth::Provider;
use protocol::ipc;
use protocol::search::Found;
use protocol::view::{Body, Boot, LIST_ROWS, SessionRow, Transcript, Typed};
use std::sync::PoisonError;
use std::time::Duration;
use tauri::State;

/// The sign-in page comes without the providers rather than late.
const PROVIDERS_WAIT: Duration = Duration::from_secs(3);

#[tauri::command]
pub async fn boot(ask: ipc::GetBoot, turn: Turn, shell: State<'_, Shell>) -> Answer<Boot> {
    let boot = kept(&ask, turn, &shell).await?;
    if boot.me.is_none() {
        let providers = known_providers(turn, &shell).await?;
        return Ok(Boot { providers, ..boot });
    }
    match ask.open.filter(|_| boot.open.is_none()) {
        // A link to a session that is not to be had is the page's to tell.
        Some(session) => Ok(Boot {
            open: shell.device(turn).await?.show(session).await.ok(),
            ..boot
        }),
        None => Ok(boot),
    }
}

#[tauri::command]
pub async fn providers(ask: ipc::GetProviders, turn: Turn, shell: State<'_, Shell>) -> Answer<Vec<Provider>> {
    let ipc::GetProviders {} = ask;
    known_providers(turn, &shell).await
}

/// What there is to show on this computer, without a word with the network.
pub async fn kept(ask: &ipc::GetBoot, turn: Turn, shell: &Shell) -> Answer<Boot> {
    let device = shell.device(turn).await?;
    let me = device.me();
    let is_someone = me.is_some();
    let list = if is_someone {
        device.list(ask.archived, LIST_ROWS).await?
    } else {
        Vec::new()
    };
    let open = match ask.open.filter(|_| is_someone) {
        Some(session) => {
            shell.sync.shows(turn, session);
            match device.transcript(session).await {
                // Opening what is here asks nobody.
                Ok(_here) => device.show(session).await.ok(),
                Err(_not_here) => None,
            }
        }
        None => None,
    };
    Ok(Boot {
        body: Body::Desktop,
        csrf: String::new(),
        providers: Vec::new(),
        me,
        list,
        open,
        devices: Vec::new(),
        problem: None,
        typed: Typed::default(),
        server: device.server().origin().ascii_serialization(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        connection: device.connection(),
        now: now(),
    })
}

async fn known_providers(turn: Turn, shell: &Shell) -> Answer<Vec<Provider>> {
    let device = shell.device(turn).await?;
    let heard = tokio::time::timeout(PROVIDERS_WAIT, device.providers()).await;
    let mut known = shell.providers.lock().unwrap_or_else(PoisonError::into_inner);
    // Another's server may have other ones.
    shell.sync.still(turn)?;
    if let Ok(Ok(providers)) = heard {
        *known = providers;
    }
    Ok(known.clone())
}

#[tauri::command]
pub async fn list(ask: ipc::List, turn: Turn, shell: State<'_, Shell>) -> Answer<Vec<SessionRow>> {
    shell.device(turn).await?.list(ask.archived, ask.rows).await
}

#[tauri::command]
pub async fn open(ask: ipc::Open, turn: Turn, shell: State<'_, Shell>) -> Answer<Transcript> {
    shell.sync.shows(turn, ask.session);
    shell.device(turn).await?.show(ask.session).await
}

#[tauri::command]
pub async fn earlier(ask: ipc::Earlier, turn: Turn, shell: State<'_, Shell>) -> Answer<Transcript> {
    shell.device(turn).await?.earlier(ask.session).await
}

#[tauri::command]
pub async fn reach(ask: ipc::Reach, turn: Turn, shell: State<'_, Shell>) -> Answer<Transcript> {
    shell.sync.shows(turn, ask.session);
    shell.device(turn).await?.reach(ask.session, ask.message).await
}

#[tauri::command]
pub async fn draft(ask: ipc::GetDraft, turn: Turn, shell: State<'_, Shell>) -> Answer<String> {
    Ok(shell.device(turn).await?.draft(ask.session))
}

#[tauri::command]
pub async fn search(ask: ipc::Search, turn: Turn, shell: State<'_, Shell>) -> Answer<Found> {
    shell.device(turn).await?.search(&ask.typed, ask.within).await
}
