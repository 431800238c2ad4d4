//! A session as a file of its own, by the dialog of the system.

use crate::Scene;
use harness::until;

/// Shift and F10, as WebDriver spells them.
const MENU_KEYS: &str = "\u{E008}\u{E03A}";
const DIALOG: &str = "Export session";
/// More than the window has mounted.
const MANY: usize = 130;

/// Opens the menu of the only session, exports it and answers the dialog with this file's name.
async fn export(scene: &Scene, name: &str) -> String {
    let path = scene.seat.home().join(name);
    scene
        .screen
        .press_on("[data-testid=\"session-row\"] a", MENU_KEYS)
        .await;
    scene.screen.click("menu-export").await;
    scene.seat.look_at(DIALOG).await;
    scene.seat.strike(&[
        "key",
        "--clearmodifiers",
        "ctrl+a",
        "type",
        &path.display().to_string(),
    ]);
    scene.seat.strike(&["key", "Return"]);
    until(&format!("the file {name}"), async || {
        std::fs::read_to_string(&path).ok()
    })
    .await
}

#[tokio::test]
async fn a_session_is_exported_whole_and_in_the_chosen_format() {
    let scene = Scene::signed_in().await;
    let id = scene.elsewhere.create_session("Log book").await;
    for day in 1..=MANY {
        scene.elsewhere.note(id, &format!("Day {day}: <calm>")).await;
    }
    scene
        .screen
        .wait_text("session-list", &format!("Day {MANY}"))
        .await;
    let markdown = export(&scene, "log.md").await;
    assert!(markdown.starts_with("# Log book\n"), "{markdown}");
    for day in 1..=MANY {
        assert!(markdown.contains(&format!("\nDay {day}: <calm>\n")), "day {day}");
    }
    scene.screen.wait_text_in(".flash", "Session exported").await;
    let page = export(&scene, "log.html").await;
    assert!(page.contains("Day 1: &lt;calm&gt;"), "{page}");
    let data: serde_json::Value = serde_json::from_str(&export(&scene, "log.json").await).expect("JSON");
    assert_eq!(data["messages"].as_array().map(Vec::len), Some(MANY));
}
