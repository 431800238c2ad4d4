//! What a person writes and changes. It is on the disk when these answer, whatever the network does.

use super::{Answer, Shell};
use protocol::ipc;
use protocol::{MessageId, MutationId, SessionId};
use tauri::State;

#[tauri::command]
pub async fn create(ask: ipc::Create, shell: State<'_, Shell>) -> Answer<SessionId> {
    let ipc::Create {} = ask;
    shell.device().await?.create().await
}

/// In the order in which the page asks, which commands that wait do not have.
#[tauri::command]
pub fn keep_draft(ask: ipc::KeepDraft, shell: State<'_, Shell>) -> Answer<()> {
    shell.sync.device_now()?.keep_draft(ask.session, ask.text)
}

#[tauri::command]
pub async fn send(ask: ipc::Send, shell: State<'_, Shell>) -> Answer<MessageId> {
    shell.device().await?.send(ask.session, &ask.text).await
}

#[tauri::command]
pub async fn answer(ask: ipc::Answer, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.answer(ask.session, ask.message).await
}

#[tauri::command]
pub async fn rename(ask: ipc::Rename, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.rename(ask.session, &ask.title).await
}

#[tauri::command]
pub async fn archive(ask: ipc::Archive, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.archive(ask.session, ask.archived).await
}

#[tauri::command]
pub async fn delete(ask: ipc::Delete, shell: State<'_, Shell>) -> Answer<MutationId> {
    shell.device().await?.delete(ask.session).await
}

#[tauri::command]
pub async fn undo(ask: ipc::Undo, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.undo(ask.mutation).await
}

#[tauri::command]
pub async fn retry(ask: ipc::Retry, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.retry(ask.mutation).await
}

#[tauri::command]
pub async fn stop(ask: ipc::Stop, shell: State<'_, Shell>) -> Answer<()> {
    shell.device().await?.stop(ask.run).await
}
