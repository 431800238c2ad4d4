//! The app on a disk without room: it says so, goes on showing what is here, loses nothing, and goes on by itself.

use crate::Scene;
use harness::{Screen, until, within};
use std::time::Duration;

const COMPOSER: &str = "composer-input";
const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";

/// What the app waits before it tries again by itself, and a little.
const BY_ITSELF: Duration = Duration::from_secs(50);

/// As somebody does who has a long text in the clipboard.
const PASTE: &str = "
    const field = document.getElementById('composer-input');
    field.value = 'Ink and paper. '.repeat(30000);
    field.dispatchEvent(new InputEvent('input', {bubbles: true}));";

async fn typed(screen: &Screen) -> String {
    let typed = screen
        .evaluate("return document.getElementById('composer-input').value")
        .await;
    typed.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn on_a_full_disk_the_app_says_so_loses_nothing_and_goes_on_once_there_is_room() {
    let scene = Scene::signed_in().await;
    let Scene {
        screen,
        seat,
        elsewhere,
        ..
    } = &scene;
    let id = elsewhere.create_session("Log book").await;
    elsewhere.note(id, "Calm sea, light wind").await;
    screen.wait_text("session-list", "Log book").await;
    screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    // both files have something in them, so that they are past what they may become
    let letters = elsewhere.create_session("Old letters").await;
    for _ in 0..40 {
        elsewhere.note(letters, &"Ink and paper. ".repeat(700)).await;
    }
    screen.evaluate(PASTE).await;
    until("long files", async || {
        (seat.is_past_room("cache.db-wal") && seat.is_past_room("outbox.db-wal")).then_some(())
    })
    .await;

    seat.fill_disk(true);
    elsewhere.note(id, "Written elsewhere meanwhile").await;
    screen.wait_text("stopped", "disk is full").await;
    screen.wait_connection("stopped").await;
    screen.wait_text_in(MINE, "Calm sea").await;
    let shown = screen.texts_in(MINE).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    screen.fill(COMPOSER, "Written on a full disk").await;
    screen.click("send").await;
    screen.wait_text("flash", "Your disk is full").await;
    until("what could not be kept to stand in its field", async || {
        (typed(screen).await == "Written on a full disk").then_some(())
    })
    .await;
    assert_eq!(screen.count(MINE).await, 1, "it is not shown as written");

    seat.fill_disk(false);
    within(BY_ITSELF, "what came meanwhile", async || {
        let shown = screen.texts_in(MINE).await;
        let is_it = |text: &String| text.contains("Written elsewhere meanwhile");
        shown.iter().any(is_it).then_some(())
    })
    .await;
    screen.wait_connection("online").await;
    screen.wait_gone("[data-testid=\"stopped\"]").await;
    screen.click("send").await;
    until("the message at the server", async || {
        (elsewhere.times_kept(id, "Written on a full disk").await == 1).then_some(())
    })
    .await;
}
