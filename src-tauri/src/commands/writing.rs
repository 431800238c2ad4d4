//! What a person writes and changes. It is on the disk when these answer, whatever the network does.

use super::{Answer, Shell};
use crate::sync::Turn;
use protocol::ipc;
use protocol::{MutationId, SessionId};
use tauri::State;

#[tauri::command]
pub async fn create(ask: ipc::Create, turn: Turn, shell: State<'_, Shell>) -> Answer<SessionId> {
    let ipc::Create {} = ask;
    shell.device(turn).await?.create().await
}

/// In the order in which the page asks, which commands that wait do not have.
#[tauri::command]
pub fn keep_draft(ask: ipc::KeepDraft, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.sync.device_now(turn)?.keep_draft(ask.session, ask.text)
}

#[tauri::command]
pub async fn send(ask: ipc::Send, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    let device = shell.device(turn).await?;
    device.send_as(ask.message, ask.session, &ask.text).await
}

#[tauri::command]
pub async fn answer(ask: ipc::Answer, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.answer(ask.session, ask.message).await
}

#[tauri::command]
pub async fn rename(ask: ipc::Rename, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.rename(ask.session, &ask.title).await
}

#[tauri::command]
pub async fn archive(ask: ipc::Archive, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.archive(ask.session, ask.archived).await
}

#[tauri::command]
pub async fn delete(ask: ipc::Delete, turn: Turn, shell: State<'_, Shell>) -> Answer<MutationId> {
    shell.device(turn).await?.delete(ask.session).await
}

#[tauri::command]
pub async fn undo(ask: ipc::Undo, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.undo(ask.mutation).await
}

#[tauri::command]
pub async fn retry(ask: ipc::Retry, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.retry(ask.mutation).await
}

#[tauri::command]
pub async fn stop(ask: ipc::Stop, turn: Turn, shell: State<'_, Shell>) -> Answer<()> {
    shell.device(turn).await?.stop(ask.run).await
}
