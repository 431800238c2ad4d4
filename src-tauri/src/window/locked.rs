//! What is asked, and told, where the key of what is kept on this computer is not there: by a dialog of the system, since without
//! the key there is nothing that a page could show.

use super::choose;
use crate::error::Result;
use tauri::AppHandle;

const HEADING: &str = "CompyMac cannot open what it keeps on this computer";
const TEXT: &str = "It is encrypted, and its key is in this computer’s keychain, which does not answer. Unlock the keychain \
     and try again.\n\nOr begin anew: your sessions are loaded from the server once you have signed in. Messages that still \
     waited to be sent stay aside, and are sent when the key is found again.";

const ASIDE_HEADING: &str = "Some messages could not be opened";
const ASIDE_TEXT: &str = "What waited on this computer to be sent does not open with the key that is in its keychain now, or is \
     damaged. It was put aside, and nothing of it was deleted. If its key comes back, so do the messages. The rest is \
     loaded from the server.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    TryAgain,
    /// Without what is sealed.
    BeginAnew,
    Quit,
}

impl Way {
    const ALL: [Self; 3] = [Self::TryAgain, Self::BeginAnew, Self::Quit];

    const fn label(self) -> &'static str {
        match self {
            Self::TryAgain => "_Try again",
            Self::BeginAnew => "_Begin anew",
            Self::Quit => "_Quit",
        }
    }
}

/// Shutting the dialog is to quit: nothing is touched.
pub async fn ask_for_the_key(app: &AppHandle) -> Result<Way> {
    let labels = Way::ALL.map(Way::label).to_vec();
    let chosen = choose(app, HEADING, TEXT.to_owned(), labels).await?;
    let way = chosen.and_then(|number| Way::ALL.get(number));
    Ok(way.copied().unwrap_or(Way::Quit))
}

/// An outbox was put aside.
pub async fn tell_of_what_is_aside(app: &AppHandle) -> Result<()> {
    let chosen = choose(app, ASIDE_HEADING, ASIDE_TEXT.to_owned(), vec!["_OK"]).await;
    chosen.map(drop)
}
