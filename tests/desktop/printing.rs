//! A session on paper, by the dialog of the system.

use crate::Scene;
use harness::{Seat, until};
use std::path::Path;

const CONTROL: &str = "\u{E009}";
const DIALOG: &str = "Print session";
/// More than the window has mounted.
const MANY: usize = 130;
/// A page of Letter or A4 holds no more of such messages.
const ON_A_PAGE: usize = 16;

async fn ask(scene: &Scene) {
    scene.screen.keys(&format!("{CONTROL}p")).await;
    scene.seat.look_at(DIALOG).await;
}

async fn is_answered(seat: &Seat) {
    until("the dialog to be gone", async || {
        seat.window(DIALOG).is_none().then_some(())
    })
    .await;
}

/// How many pages a finished PDF has.
fn pages(file: &Path) -> Option<usize> {
    let bytes = std::fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.trim_end().ends_with("%%EOF") {
        return None;
    }
    let counted = text.split("/Count ").nth(1)?;
    counted.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn a_session_is_printed_whole_without_a_network_and_the_app_goes_on_meanwhile() {
    let scene = Scene::signed_in_by_a_file().await;
    scene.screen.keys(&format!("{CONTROL}p")).await;
    scene.screen.wait_text_in(".flash", "Open the session").await;
    let id = scene.elsewhere.create_session("Log book").await;
    for day in 1..=MANY {
        scene.elsewhere.note(id, &format!("Day {day}: <b>calm</b>")).await;
    }
    let newest = format!("Day {MANY}:");
    scene.screen.wait_text("session-list", &newest).await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text("transcript", &newest).await;

    // what comes while the dialog stands is shown behind it
    ask(&scene).await;
    scene.elsewhere.note(id, "Written meanwhile").await;
    scene.screen.wait_text("transcript", "Written meanwhile").await;
    scene.seat.strike(&["key", "Escape"]);
    is_answered(&scene.seat).await;

    until("all of it here", async || {
        scene.seat.keeps("Day 1: <b>").then_some(())
    })
    .await;
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    ask(&scene).await;
    // the only printer is a file, where the app was started; it is in the dialog a moment after the dialog itself
    let file = scene.seat.home().with_file_name("output.pdf");
    let pages = until("the session on paper", async || {
        if scene.seat.window(DIALOG).is_some() {
            scene.seat.strike(&["key", "Down", "key", "alt+p"]);
        }
        pages(&file)
    })
    .await;
    assert!(pages >= MANY / ON_A_PAGE, "{pages} pages");
    scene.screen.wait_text_in(".flash", "Session printed").await;
    is_answered(&scene.seat).await;
}
