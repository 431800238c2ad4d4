//! The keys that work wherever one is: one table, which is followed (`app/keyboard.rs`), shown in a dialog, and tried by tests.

use super::found::by_id;
use super::keys::key_of;
use protocol::ipc::AppAct;
use protocol::view::Body;
use web_sys::HtmlDialogElement;
use yew::prelude::*;

const DIALOG: &str = "shortcuts";

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    NewSession,
    Search,
    FindHere,
    NextSession,
    PreviousSession,
    /// Opens the session that stands so far down in the list, from 0.
    Session(usize),
    Compose,
    Rename,
    Archive,
    CopyReply,
    CopyCode,
    NextMessage,
    PreviousMessage,
    Side,
    Settings,
    /// What the app does by itself.
    Act(AppAct),
    Shortcuts,
}

/// Where a key is ours: a browser keeps some for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    Both,
    App,
    Browser,
}

#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    /// As [`struck`] writes them; the first is shown.
    pub keys: &'static [&'static str],
    /// For a person; none: the line before it says it.
    pub words: &'static str,
    pub on: Where,
    pub does: Does,
}

const fn row(keys: &'static [&'static str], words: &'static str, on: Where, does: Does) -> Shortcut {
    Shortcut {
        keys,
        words,
        on,
        does,
    }
}

pub const SHORTCUTS: &[Shortcut] = &[
    row(
        &["Mod+N", "Mod+Shift+O"],
        "New session",
        Where::App,
        Does::NewSession,
    ),
    row(&["Mod+Shift+O"], "New session", Where::Browser, Does::NewSession),
    row(
        &["Mod+K", "Mod+Shift+F", "Mod+Shift+P"],
        "Search everything",
        Where::Both,
        Does::Search,
    ),
    row(&["Mod+F"], "Find in this session", Where::Both, Does::FindHere),
    row(
        &["Mod+Tab", "Alt+ArrowDown"],
        "Next session",
        Where::App,
        Does::NextSession,
    ),
    row(
        &["Mod+Shift+Tab", "Alt+ArrowUp"],
        "Previous session",
        Where::App,
        Does::PreviousSession,
    ),
    row(
        &["Alt+ArrowDown"],
        "Next session",
        Where::Browser,
        Does::NextSession,
    ),
    row(
        &["Alt+ArrowUp"],
        "Previous session",
        Where::Browser,
        Does::PreviousSession,
    ),
    row(
        &["Mod+1", "Alt+1"],
        "First session of the list (to 9)",
        Where::App,
        Does::Session(0),
    ),
    row(
        &["Alt+1"],
        "First session of the list (to 9)",
        Where::Browser,
        Does::Session(0),
    ),
    row(&["Alt+2", "Mod+2"], "", Where::Both, Does::Session(1)),
    row(&["Alt+3", "Mod+3"], "", Where::Both, Does::Session(2)),
    row(&["Alt+4", "Mod+4"], "", Where::Both, Does::Session(3)),
    row(&["Alt+5", "Mod+5"], "", Where::Both, Does::Session(4)),
    row(&["Alt+6", "Mod+6"], "", Where::Both, Does::Session(5)),
    row(&["Alt+7", "Mod+7"], "", Where::Both, Does::Session(6)),
    row(&["Alt+8", "Mod+8"], "", Where::Both, Does::Session(7)),
    row(&["Alt+9", "Mod+9"], "", Where::Both, Does::Session(8)),
    row(
        &["Shift+Escape", "/"],
        "Go to the message box",
        Where::Both,
        Does::Compose,
    ),
    row(
        &["J", "ArrowDown"],
        "Next message, in the conversation",
        Where::Both,
        Does::NextMessage,
    ),
    row(
        &["K", "ArrowUp"],
        "The one before",
        Where::Both,
        Does::PreviousMessage,
    ),
    row(&["F2"], "Rename this session", Where::Both, Does::Rename),
    row(
        &["Mod+Shift+E"],
        "Archive it, or bring it back",
        Where::Both,
        Does::Archive,
    ),
    row(
        &["Mod+Shift+C"],
        "Copy the last reply",
        Where::App,
        Does::CopyReply,
    ),
    row(
        &["Alt+Shift+C"],
        "Copy the last reply",
        Where::Browser,
        Does::CopyReply,
    ),
    row(&["Mod+:"], "Copy its last code", Where::Both, Does::CopyCode),
    row(
        &["Mod+P"],
        "Print this session",
        Where::App,
        Does::Act(AppAct::Print(None)),
    ),
    row(&["Mod+B"], "Show or hide the list", Where::Both, Does::Side),
    row(&["Mod+,"], "Settings", Where::App, Does::Settings),
    row(
        &["Mod++", "Mod+="],
        "Larger",
        Where::App,
        Does::Act(AppAct::ZoomIn),
    ),
    row(&["Mod+-"], "Smaller", Where::App, Does::Act(AppAct::ZoomOut)),
    row(
        &["Mod+0"],
        "As large as usual",
        Where::App,
        Does::Act(AppAct::ZoomBack),
    ),
    row(
        &["Mod+W"],
        "Close the window",
        Where::App,
        Does::Act(AppAct::Close),
    ),
    row(&["Mod+Q"], "Quit", Where::App, Does::Act(AppAct::Quit)),
    row(&["Mod+/"], "This list", Where::Both, Does::Shortcuts),
];

/// Keys that belong to one thing on the page; they are shown, and followed there.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Enter", "Send"),
    ("Shift+Enter", "New line"),
    ("Home", "First message, in the conversation"),
    ("End", "The last one"),
    ("Escape", "Stop the reply"),
];

impl Shortcut {
    pub fn is_on(&self, body: Body) -> bool {
        match self.on {
            Where::Both => true,
            Where::App => body == Body::Desktop,
            Where::Browser => body == Body::Browser,
        }
    }
}

/// A letter or a sign by itself: it is ours in the conversation alone, so that nobody who speaks to their computer, or whose
/// hand slips, does something by it elsewhere (WCAG 2.1.4). Arrows move a caret elsewhere.
pub fn is_of_the_conversation(keys: &str) -> bool {
    keys.chars().count() == 1 || keys == "ArrowDown" || keys == "ArrowUp"
}

/// What these keys do in this body. A browser's own digits with Ctrl choose its tabs.
pub fn does(keys: &str, body: Body) -> Option<Does> {
    let shortcut = SHORTCUTS
        .iter()
        .find(|shortcut| shortcut.is_on(body) && shortcut.keys.contains(&keys))?;
    let is_tab = matches!(shortcut.does, Does::Session(_)) && keys.starts_with("Mod+");
    (body == Body::Desktop || !is_tab).then_some(shortcut.does)
}

/// The keys that were struck together, in the order Mod, Alt, Shift. Mod is Ctrl, or ⌘ on a Mac.
///
/// Letters are capitals. Shift is said of letters and named keys alone: other characters may need it to be typed at all.
/// On a Mac Alt by itself types characters and moves the caret, so no key with it is ours there.
pub fn struck(event: &KeyboardEvent) -> Option<String> {
    let key = key_of(event)?;
    let is_tab = event.code() == "Tab";
    let has_mod = if is_mac() && !is_tab {
        event.meta_key()
    } else {
        event.ctrl_key() || event.meta_key()
    };
    if is_mac() && event.alt_key() && !has_mod {
        return None;
    }
    // WebKit has no name for Tab with Shift.
    let key = if is_tab { event.code() } else { key };
    let is_character = key.chars().count() == 1;
    // No key of the list is another letter; Unicode's table of large ones would be a hundredth of the page.
    let key = if is_character {
        key.to_ascii_uppercase()
    } else {
        key
    };
    let says_shift = !is_character || key.chars().all(char::is_alphabetic);
    let mut keys = String::new();
    for (is_held, word) in [
        (has_mod, "Mod+"),
        (event.alt_key(), "Alt+"),
        (event.shift_key() && says_shift, "Shift+"),
    ] {
        if is_held {
            keys.push_str(word);
        }
    }
    keys.push_str(&key);
    Some(keys)
}

fn is_mac() -> bool {
    web_sys::window()
        .and_then(|window| window.navigator().platform().ok())
        .is_some_and(|platform| platform.starts_with("Mac"))
}

/// Opens the list, or shuts it.
pub fn toggle_shortcuts() {
    if let Some(dialog) = by_id::<HtmlDialogElement>(DIALOG) {
        if dialog.open() {
            dialog.close();
        } else {
            // Refused only for a dialog that is open already or is not in the document.
            let _ = dialog.show_modal();
        }
    }
}

/// The dialog; drawn where script runs.
pub fn shortcuts(body: Body) -> Html {
    let is_mac = is_mac();
    let shown = SHORTCUTS
        .iter()
        .filter(|shortcut| shortcut.is_on(body) && !shortcut.words.is_empty())
        .filter_map(|shortcut| Some((*shortcut.keys.first()?, shortcut.words)))
        .filter(|(keys, _)| !(is_mac && keys.starts_with("Alt+")));
    html! {
        <dialog id={DIALOG} class="search shortcuts" aria-labelledby="shortcuts-title" data-testid={DIALOG}>
            <div class="search-head">
                <h2 id="shortcuts-title">{ "Keyboard shortcuts" }</h2>
                <form method="dialog"><button class="button button-quiet">{ "Close" }</button></form>
            </div>
            <dl class="facts">
                for (keys, words) in shown.chain(ELSEWHERE.iter().copied()) {
                    <dt>{ words }</dt>
                    <dd>
                        for key in caps(keys, is_mac) {
                            <kbd>{ key }</kbd>
                        }
                    </dd>
                }
            </dl>
        </dialog>
    }
}

/// What stands on the keys.
fn caps(keys: &str, is_mac: bool) -> Vec<String> {
    let (held, last) = match keys.strip_suffix("++") {
        Some(held) => (held, "+"),
        None => keys.rsplit_once('+').unwrap_or(("", keys)),
    };
    let name = |key: &str| {
        match (key, is_mac) {
            ("Mod", true) => "⌘",
            ("Mod", false) => "Ctrl",
            ("Alt", true) => "⌥",
            ("ArrowDown", _) => "↓",
            ("ArrowUp", _) => "↑",
            ("Escape", _) => "Esc",
            _ => key,
        }
        .to_owned()
    };
    let held = held.split('+').filter(|key| !key.is_empty());
    held.chain([last]).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODIES: [Body; 2] = [Body::Desktop, Body::Browser];

    #[test]
    fn no_key_does_two_things_and_each_is_found() {
        for body in BODIES {
            let here = SHORTCUTS.iter().filter(|shortcut| shortcut.is_on(body));
            let mut seen = std::collections::HashMap::new();
            for shortcut in here {
                for keys in shortcut.keys {
                    let before = seen.insert(*keys, shortcut.does);
                    assert_eq!(before, None, "{keys} in {body:?}");
                }
            }
            for (keys, wanted) in seen {
                let is_tab =
                    body == Body::Browser && matches!(wanted, Does::Session(_)) && keys.starts_with("Mod+");
                assert_eq!(
                    does(keys, body),
                    (!is_tab).then_some(wanted),
                    "{keys} in {body:?}"
                );
            }
        }
    }

    #[test]
    fn a_browser_keeps_the_keys_that_are_its_own() {
        for keys in [
            "Mod+N", "Mod+T", "Mod+W", "Mod+1", "Mod+9", "Mod+Tab", "Mod+P", "Mod+0", "Mod+,", "Mod+Q",
        ] {
            assert_eq!(does(keys, Body::Browser), None, "{keys}");
        }
    }

    /// What a person may expect to have a key, and which; or why there is none.
    const EXPECTED: &[(&str, Result<&str, &str>)] = &[
        ("new session", Ok("Mod+N")),
        ("everything, by typing", Ok("Mod+K")),
        ("the same as other programs call it", Ok("Mod+Shift+P")),
        ("search messages", Ok("Mod+Shift+F")),
        ("find here", Ok("Mod+F")),
        ("next session", Ok("Mod+Tab")),
        ("previous session", Ok("Mod+Shift+Tab")),
        ("a session by its place", Ok("Mod+9")),
        ("composer", Ok("Shift+Escape")),
        ("composer, from the conversation", Ok("/")),
        ("next message", Ok("J")),
        ("previous message", Ok("K")),
        ("next message, by an arrow", Ok("ArrowDown")),
        ("previous message, by an arrow", Ok("ArrowUp")),
        ("list", Ok("Mod+B")),
        ("side panel", Err("there is none")),
        ("how much of an agent's work is shown", Err("all of it is")),
        ("rename", Ok("F2")),
        ("pin", Err("the list is by time alone")),
        ("archive", Ok("Mod+Shift+E")),
        ("copy reply", Ok("Mod+Shift+C")),
        ("copy code", Ok("Mod+:")),
        ("reply once more", Err("a reply is made once")),
        ("edit a message", Err("what was sent stays")),
        ("send now", Err("nothing waits behind a reply")),
        ("allow, reject", Err("no agent asks")),
        ("print", Ok("Mod+P")),
        ("settings", Ok("Mod+,")),
        ("larger", Ok("Mod++")),
        ("smaller", Ok("Mod+-")),
        ("as usual", Ok("Mod+0")),
        ("close", Ok("Mod+W")),
        ("quit", Ok("Mod+Q")),
        ("this list", Ok("Mod+/")),
    ];

    #[test]
    fn what_has_a_key_elsewhere_has_one_in_the_app_or_is_not_there() {
        for (what, key) in EXPECTED {
            match key {
                Ok(keys) => assert!(does(keys, Body::Desktop).is_some(), "{what}: {keys}"),
                Err(why) => assert!(!why.is_empty(), "{what}"),
            }
        }
        let expected: Vec<_> = EXPECTED
            .iter()
            .filter_map(|(_, key)| does((*key).ok()?, Body::Desktop))
            .collect();
        for shortcut in SHORTCUTS.iter().filter(|shortcut| shortcut.is_on(Body::Desktop)) {
            let is_place = matches!(shortcut.does, Does::Session(_));
            assert!(is_place || expected.contains(&shortcut.does), "{shortcut:?}");
        }
    }

    #[test]
    fn a_key_by_itself_is_the_conversations_alone() {
        assert!(
            ["J", "K", "/", "ArrowUp", "ArrowDown"]
                .iter()
                .all(|keys| is_of_the_conversation(keys))
        );
        assert!(
            !["F2", "Mod+/", "Shift+Escape", "Alt+ArrowUp"]
                .iter()
                .any(|keys| is_of_the_conversation(keys))
        );
    }

    #[test]
    fn keys_are_shown_as_they_stand_on_the_keyboard() {
        assert_eq!(caps("Mod+Shift+E", false), ["Ctrl", "Shift", "E"]);
        assert_eq!(caps("Mod+Shift+E", true), ["⌘", "Shift", "E"]);
        assert_eq!(caps("Mod++", false), ["Ctrl", "+"]);
        assert_eq!(caps("F2", true), ["F2"]);
        assert_eq!(caps("Alt+ArrowDown", false), ["Alt", "↓"]);
    }
}
