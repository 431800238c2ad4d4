//! The list of keys, as the app shows it, struck by what it says: so that no line of it goes untried.

use crate::screen::Screen;
use crate::wait::until;
use std::collections::BTreeSet;

/// Lines of the list that only the desktop app has and that belong to its window: its own tests strike them.
pub const KEYS_OF_THE_WINDOW: [&str; 6] = [
    "As large as usual",
    "Close the window",
    "Larger",
    "Print this session",
    "Quit",
    "Smaller",
];

/// Every line of the list, and whether it was struck yet.
#[derive(Debug)]
pub struct KeyList {
    lines: Vec<(String, Vec<String>)>,
    untried: BTreeSet<String>,
}

impl KeyList {
    /// Opens the list and reads it; it is open then.
    pub async fn read(screen: &Screen) -> Self {
        screen.keys(&format!("{}/", typed("Ctrl"))).await;
        screen.wait_for("[data-testid=\"shortcuts\"][open]").await;
        let script = "return [...document.querySelectorAll('[data-testid=shortcuts] dt')].map(words => \
                      [words.textContent, [...words.nextElementSibling.children].map(cap => cap.textContent)])";
        let lines = screen.evaluate(script).await;
        let lines: Vec<(String, Vec<String>)> =
            serde_json::from_value(lines).unwrap_or_else(|error| panic!("reading the list of keys: {error}"));
        let mut untried: BTreeSet<String> = lines.iter().map(|(words, _)| words.clone()).collect();
        assert_eq!(untried.len(), lines.len(), "two lines say the same: {lines:?}");
        // it is what opened it
        untried.remove("This list");
        Self { lines, untried }
    }

    /// Strikes what the list says does this, wherever the focus is.
    pub async fn strike(&mut self, screen: &Screen, words: &str) {
        let keys: String = self.caps(words).iter().map(|cap| typed(cap)).collect();
        screen.keys(&keys).await;
    }

    /// What stands on these keys, which count as struck from now on.
    pub fn caps(&mut self, words: &str) -> Vec<String> {
        self.untried.remove(words);
        let line = self.lines.iter().find(|(line, _)| line == words);
        let (_, caps) = line.unwrap_or_else(|| panic!("{words:?} is not in the list: {:?}", self.lines));
        caps.clone()
    }

    /// What was not struck.
    pub fn untried(&self) -> Vec<&str> {
        self.untried.iter().map(String::as_str).collect()
    }
}

/// As a driver types it.
fn typed(cap: &str) -> String {
    match cap {
        "Ctrl" => "\u{E009}",
        "Shift" => "\u{E008}",
        "Alt" => "\u{E00A}",
        "Tab" => "\u{E004}",
        "Enter" => "\u{E007}",
        "Esc" => "\u{E00C}",
        "End" => "\u{E010}",
        "Home" => "\u{E011}",
        "↑" => "\u{E013}",
        "↓" => "\u{E015}",
        "F2" => "\u{E032}",
        // WebKit's driver strikes the key that it stands on, and nothing else.
        ":" => "\u{E008}:",
        letter => return letter.to_lowercase(),
    }
    .to_owned()
}

impl Screen {
    /// Waits until this has the focus, by its test id.
    pub async fn wait_focus(&self, test_id: &str) {
        until(&format!("the focus on {test_id}"), async || {
            (self.focus().await.as_deref() == Some(test_id)).then_some(())
        })
        .await;
    }
}
