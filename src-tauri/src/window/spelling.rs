//! What is written in the page is looked through for mistakes, where the system has a dictionary of its owner's language. WebKitGTK
//! does that only where it is told to; other web views do it by themselves.

use crate::error::Result;
use tauri::WebviewWindow;
use webkit2gtk::{WebContextExt as _, WebViewExt as _};

/// Where the system names no language.
const USUAL: &str = "en_US";

pub fn check(window: &WebviewWindow) -> Result<()> {
    window.with_webview(|webview| {
        let names = gtk::glib::language_names();
        let languages = languages(names.iter().map(webkit2gtk::glib::GString::as_str));
        if let Some(context) = webview.inner().context() {
            // Named first: without a language nothing is switched on.
            context.set_spell_checking_languages(&languages);
            context.set_spell_checking_enabled(true);
        }
    })?;
    Ok(())
}

/// Of the names that a system has for its languages (`de_AT.UTF-8`, `de_AT`, `de`, `C`) those that dictionaries are called by.
fn languages<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let is_of_dictionary = |name: &&str| {
        name.split('_').count() == 2 && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
    };
    let found: Vec<_> = names.filter(is_of_dictionary).collect();
    if found.is_empty() { vec![USUAL] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_held_against_the_languages_of_the_system() {
        let found = |names: &[&'static str]| languages(names.iter().copied());
        assert_eq!(found(&["de_AT.UTF-8", "de_AT", "de.UTF-8", "de", "C"]), ["de_AT"]);
        assert_eq!(found(&["pt_BR", "pt", "en_GB", "en", "C"]), ["pt_BR", "en_GB"]);
        assert_eq!(found(&["C.UTF-8", "C"]), [USUAL]);
        assert_eq!(found(&[]), [USUAL]);
    }
}
