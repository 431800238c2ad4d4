//! What is asked, and told, where the key of what is kept on this computer is not there: by a dialog of the system, since without
//! the key there is nothing that a page could show.

use super::choose;
use crate::error::Result;
use protocol::ipc::SecretStore;
use tauri::AppHandle;

const HEADING: &str = "CompyMac cannot open what it keeps on this computer";
const KEYCHAIN: &str = "It is encrypted, and its key is in this computer’s keychain, which does not give it. Unlock the keychain \
     and try again.";
const GONE: &str = "It is encrypted, and its key is in this computer’s keychain, which is not there any more, or stays locked. Start or \
     unlock it and try again.";
const FILE: &str = "It is encrypted, and its key is in a file in CompyMac’s own folder, as you chose. That file is missing, or \
     cannot be read. Put it back, as from a backup of the whole folder, and try again.";
const NOWHERE: &str = "It is encrypted, and its key is neither in this computer’s keychain nor in a file of CompyMac’s. Since you \
     chose to have secrets kept only while the app runs, no other is made.";
const ANEW: &str = "Or begin anew: your sessions are loaded from the server once you have signed in. Messages that still \
     waited to be sent stay aside, and are sent when the key is found again.";

const ASIDE_HEADING: &str = "Some messages could not be opened";
const ASIDE_TEXT: &str = "What waited on this computer to be sent does not open with the key that is kept here now, or is \
     damaged. It was put aside, and nothing of it was deleted. If its key comes back, so do the messages. The rest is \
     loaded from the server. Settings tell where it lies.";

const REMOVE_HEADING: &str = "Remove what is kept aside?";
const REMOVE_TEXT: &str = "It holds messages that you wrote and that were never sent, and cannot be read. Removed, they are gone \
     for good.";
const REMOVE_LOCKED: &str =
    "Some of it is only locked: it would open by itself, and be sent, once its key is there again.";

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

/// Where the key was, by the store that is in use; `None`: nothing has answered, as a keychain that is not there.
fn text(store: Option<SecretStore>) -> String {
    let why = match store {
        Some(SecretStore::Keychain) => KEYCHAIN,
        None => GONE,
        Some(SecretStore::File) => FILE,
        Some(SecretStore::Memory) => NOWHERE,
    };
    format!("{why}\n\n{ANEW}")
}

/// Shutting the dialog is to quit: nothing is touched.
pub async fn ask_for_the_key(app: &AppHandle, store: Option<SecretStore>) -> Result<Way> {
    let labels = Way::ALL.map(Way::label).to_vec();
    let chosen = choose(app, HEADING, text(store), labels).await?;
    let way = chosen.and_then(|number| Way::ALL.get(number));
    Ok(way.copied().unwrap_or(Way::Quit))
}

/// An outbox was put aside.
pub async fn tell_of_what_is_aside(app: &AppHandle) -> Result<()> {
    let chosen = choose(app, ASIDE_HEADING, ASIDE_TEXT.to_owned(), vec!["_OK"]).await;
    chosen.map(drop)
}

/// Whether the person wants it gone. Shutting the dialog keeps it.
pub async fn may_aside_go(app: &AppHandle, may_open: bool) -> Result<bool> {
    let text = if may_open {
        format!("{REMOVE_TEXT}\n\n{REMOVE_LOCKED}")
    } else {
        REMOVE_TEXT.to_owned()
    };
    let chosen = choose(app, REMOVE_HEADING, text, vec!["_Keep it", "_Remove it"]).await?;
    Ok(chosen == Some(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_sent_to_where_the_key_was() {
        for (store, is_named, is_not) in [
            (None, "is not there any more", "a file"),
            (Some(SecretStore::Keychain), "Unlock the keychain", "a file"),
            (Some(SecretStore::File), "a file", "keychain"),
            (Some(SecretStore::Memory), "only while the app runs", "Unlock"),
        ] {
            let text = text(store);
            assert!(text.contains(is_named) && !text.contains(is_not), "{text}");
            assert!(text.ends_with(ANEW), "{text}");
        }
    }
}
