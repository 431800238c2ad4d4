//! Keys that a browser keeps for itself, and that the app has.

use crate::Scene;
use crate::looks::is_as_wide_as;
use harness::{KEYS_OF_THE_WINDOW, KeyList, until};

const CONTROL: &str = "\u{E009}";
const ESCAPE: &str = "\u{E00C}";
const TITLE: &str = "CompyMac";

#[tokio::test]
async fn a_session_is_begun_and_the_settings_are_opened_by_keys() {
    let scene = Scene::signed_in().await;
    scene.screen.keys(&format!("{CONTROL},")).await;
    scene.screen.wait("storage").await;
    scene.screen.keys(&format!("{CONTROL}n")).await;
    scene.screen.wait("transcript").await;
    scene.screen.wait_for("#composer-input[data-of]:focus").await;
}

/// By real keys: no driver answers for an app that ends.
async fn end_by(scene: &Scene, keys: &mut KeyList, words: &str) {
    scene.seat.look_at(TITLE).await;
    let struck = keys.caps(words).join("+").to_lowercase();
    scene.seat.strike(&["key", &struck]);
    until("the app to end", async || (!scene.seat.runs_app()).then_some(())).await;
}

/// The others of the list are struck in `tests/journeys/keyboard.rs`.
#[tokio::test]
async fn every_key_of_the_window_does_what_the_list_says() {
    let scene = Scene::signed_in().await;
    let screen = &scene.screen;
    let mut keys = KeyList::read(screen).await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("[data-testid=\"shortcuts\"][open]").await;
    for (words, wide) in [
        ("Larger", 1280 * 100 / 110),
        ("Smaller", 1280),
        ("Larger", 1280 * 100 / 110),
        ("As large as usual", 1280),
    ] {
        keys.strike(screen, words).await;
        is_as_wide_as(screen, wide).await;
    }
    keys.strike(screen, "Print this session").await;
    screen.wait_text_in(".flash", "Open the session").await;
    end_by(&scene, &mut keys, "Close the window").await;
    let scene = scene.left().1.started().await;
    scene.screen.wait("new-session").await;
    end_by(&scene, &mut keys, "Quit").await;
    let untried = keys.untried();
    assert!(
        !KEYS_OF_THE_WINDOW.iter().any(|words| untried.contains(words)),
        "{untried:?}"
    );
}
