//! What is asked before the copy of the server's rows is removed from this computer: by a dialog of the system, since a page could ask
//! and answer by itself.

use super::choose;
use crate::error::Result;
use tauri::AppHandle;

const HEADING: &str = "Clear what is kept here?";
const TEXT: &str = "Sessions and their messages are removed from this computer. The server keeps them, and they are loaded again while \
     you are online; until then they cannot be read here.\n\nWhat you wrote stays: messages that wait to be sent, and drafts. \
     Sessions that you always keep on this computer are loaded again first.";

/// Whether the person wants it gone. Shutting the dialog keeps it.
pub async fn may_cache_go(app: &AppHandle) -> Result<bool> {
    let chosen = choose(app, HEADING, TEXT.to_owned(), vec!["_Keep it", "_Clear it"]).await?;
    Ok(chosen == Some(1))
}
