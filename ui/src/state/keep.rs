//! What this browser or window remembers by itself: the chosen look. Nothing here is secret or synced.
//!
//! Storage may be full or forbidden: then nothing is remembered, and nothing else happens.

use std::cell::Cell;
use wasm_bindgen::JsCast as _;
use web_sys::{HtmlElement, Storage};

/// Where the look is kept: in the storage …
const THEME: &str = "theme";
/// … and as a cookie for the server, which no other host and no plain connection can set.
pub const WORN: &str = "__Host-theme";
const SIDE: &str = "side";

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

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }

    /// What the root of a page in this look says; nothing where the computer decides.
    pub const fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light | Self::Dark | Self::HighContrast => Some(self.word()),
        }
    }

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
    word.and_then(|word| Theme::named(&word)).unwrap_or_default()
}

/// Remembers the look and puts it on.
pub fn choose_theme(theme: Theme) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(THEME, theme.word());
    }
    wear(theme);
}

/// The style sheet reads the attribute; without it the computer's setting decides. The cookie tells the server, so that
/// the next page comes in that look and does not change under the eyes.
pub fn wear(theme: Theme) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else {
        return;
    };
    let cookie = format!(
        "{WORN}={}; path=/; secure; max-age=31536000; samesite=lax",
        theme.word()
    );
    let _ = js_sys::Reflect::set(&document, &"cookie".into(), &cookie.into());
    let Some(root) = document.document_element() else {
        return;
    };
    let _ = match theme.attribute() {
        None => root.remove_attribute("data-theme"),
        Some(word) => root.set_attribute("data-theme", word),
    };
}

/// The list beside the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// In pixels.
    pub width: i32,
    pub is_shut: bool,
}

impl Side {
    pub const LEAST: i32 = 220;
    pub const MOST: i32 = 400;
    const USUAL: Self = Self {
        width: 280,
        is_shut: false,
    };

    /// Open, and as wide as is wanted and allowed.
    pub fn at(wanted: i32) -> Self {
        Self {
            width: wanted.clamp(Self::LEAST, Self::MOST),
            is_shut: false,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (width, is_shut) = match text.strip_suffix(" shut") {
            Some(width) => (width, true),
            None => (text, false),
        };
        let side = Self::at(width.parse().ok()?);
        Some(Self { is_shut, ..side })
    }

    fn write(self) -> String {
        let shut = if self.is_shut { " shut" } else { "" };
        format!("{}{shut}", self.width)
    }
}

thread_local! {
    static SIDE_NOW: Cell<Option<Side>> = const { Cell::new(None) };
}

/// As it is, or as it was kept.
pub fn side() -> Side {
    let kept = || storage()?.get_item(SIDE).ok()?.and_then(|text| Side::read(&text));
    let side = SIDE_NOW.get().or_else(kept).unwrap_or(Side::USUAL);
    SIDE_NOW.set(Some(side));
    side
}

/// Remembers it and shows it so.
pub fn choose_side(side: Side) {
    SIDE_NOW.set(Some(side));
    if let Some(storage) = storage() {
        let _ = storage.set_item(SIDE, &side.write());
    }
    lay_out(side);
}

pub fn toggle_side() {
    let side = side();
    choose_side(Side {
        is_shut: !side.is_shut,
        ..side
    });
}

/// By the style object: the policy forbids style attributes, and allows this.
pub fn lay_out(side: Side) {
    let root = web_sys::window().and_then(|window| window.document()?.document_element());
    let Some(root) = root.and_then(|root| root.dyn_into::<HtmlElement>().ok()) else {
        return;
    };
    let _ = root.style().set_property("--side", &format!("{}px", side.width));
    let _ = if side.is_shut {
        root.set_attribute("data-side", "shut")
    } else {
        root.remove_attribute("data-side")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_kept_within_its_bounds_and_read_back() {
        assert_eq!(Side::at(10).width, Side::LEAST);
        assert_eq!(Side::at(9_999).width, Side::MOST);
        for side in [
            Side::USUAL,
            Side {
                width: 300,
                is_shut: true,
            },
        ] {
            assert_eq!(Side::read(&side.write()), Some(side));
        }
        for noise in ["", "wide", "300 closed", "1e9"] {
            assert_eq!(Side::read(noise), None, "{noise}");
        }
    }
}
