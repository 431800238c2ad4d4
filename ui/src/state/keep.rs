//! What this browser or window remembers by itself: drafts and the chosen look. Nothing here is secret or synced.
//!
//! Storage may be full or forbidden: then nothing is remembered, and nothing else happens.

use protocol::SessionId;
use web_sys::Storage;

const THEME: &str = "theme";

/// How the page looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the computer is set.
    #[default]
    System,
    Light,
    Dark,
    HighContrast,
}

impl Theme {
    pub const ALL: [Self; 4] = [Self::System, Self::Light, Self::Dark, Self::HighContrast];

    pub const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
            Self::HighContrast => "high-contrast",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "Like this computer",
            Self::Light => "Light",
            Self::Dark => "Dark",
            Self::HighContrast => "High contrast",
        }
    }
}

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

pub fn theme() -> Theme {
    let word = storage().and_then(|storage| storage.get_item(THEME).ok()?);
    Theme::ALL
        .into_iter()
        .find(|theme| Some(theme.word()) == word.as_deref())
        .unwrap_or_default()
}

/// Remembers the look and puts it on.
pub fn choose_theme(theme: Theme) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(THEME, theme.word());
    }
    wear(theme);
}

/// The style sheet reads the attribute; without it the computer's setting decides.
pub fn wear(theme: Theme) {
    let Some(root) = web_sys::window().and_then(|window| window.document()?.document_element()) else {
        return;
    };
    let _ = match theme {
        Theme::System => root.remove_attribute("data-theme"),
        Theme::Light | Theme::Dark | Theme::HighContrast => root.set_attribute("data-theme", theme.word()),
    };
}

fn draft_key(session: Option<SessionId>) -> String {
    session.map_or_else(|| "draft".to_owned(), |session| format!("draft {session}"))
}

/// What was being written; `None`: in the pane for a new session.
pub fn draft(session: Option<SessionId>) -> String {
    storage()
        .and_then(|storage| storage.get_item(&draft_key(session)).ok()?)
        .unwrap_or_default()
}

pub fn keep_draft(session: Option<SessionId>, text: &str) {
    let Some(storage) = storage() else { return };
    let _ = if text.is_empty() {
        storage.remove_item(&draft_key(session))
    } else {
        storage.set_item(&draft_key(session), text)
    };
}

/// After signing out nothing that was written stays behind; the look does.
pub fn forget_drafts() {
    let Some(storage) = storage() else { return };
    let count = storage.length().unwrap_or_default();
    let keys: Vec<String> = (0..count).filter_map(|index| storage.key(index).ok()?).collect();
    for key in keys.iter().filter(|key| key.starts_with("draft")) {
        let _ = storage.remove_item(key);
    }
}
