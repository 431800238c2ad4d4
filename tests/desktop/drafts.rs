//! What is being written outlives the app that it is written in.

use crate::Scene;
use harness::{Screen, until};

pub(super) const COMPOSER: &str = "composer-input";
pub(super) const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";

pub(super) async fn stands_written(screen: &Screen, text: &str) {
    until(&format!("the composer to hold {text:?}"), async || {
        let typed = screen
            .evaluate("return document.getElementById('composer-input').value")
            .await;
        (typed == text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_being_written_survives_a_killed_app_and_is_gone_once_sent() {
    let scene = Scene::signed_in_by_a_file().await;
    let id = scene.elsewhere.create_session("Log book").await;
    let row = format!("[data-session=\"{id}\"] a");
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.fill(COMPOSER, "A beginning that nobody sent").await;
    scene.screen.click_on(&row).await;
    scene.screen.wait_text("session-title", "Log book").await;
    scene.screen.fill(COMPOSER, "Half a thought about whales").await;
    until("both to be on the disk", async || {
        let is_kept = |text| scene.seat.keeps(text);
        (is_kept("A beginning that nobody sent") && is_kept("Half a thought about whales")).then_some(())
    })
    .await;

    // The key is there now: this start seals what the killed app left open.
    let scene = scene.killed().started().await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Log book").await;
    stands_written(screen, "A beginning that nobody sent").await;
    assert!(
        !scene.seat.keeps("A beginning that nobody sent"),
        "a draft can be read on the disk"
    );
    screen.click_on(&row).await;
    screen.wait_text("session-title", "Log book").await;
    stands_written(screen, "Half a thought about whales").await;
    screen.press(COMPOSER, ", and more").await;
    screen.click("send").await;
    screen
        .wait_text_in(MINE, "Half a thought about whales, and more")
        .await;

    let scene = scene.killed().started().await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Log book").await;
    stands_written(screen, "A beginning that nobody sent").await;
    screen.click_on(&row).await;
    screen.wait_text_in(MINE, "and more").await;
    stands_written(screen, "").await;
    assert_eq!(scene.elsewhere.sessions().await.len(), 1);
}

#[tokio::test]
async fn signing_out_leaves_no_draft_behind() {
    let scene = Scene::signed_in_by_a_file().await;
    scene.screen.fill(COMPOSER, "Nobody else may read this").await;
    until("the draft to be on the disk", async || {
        scene.seat.keeps("Nobody else may read this").then_some(())
    })
    .await;
    scene.screen.click("settings").await;
    scene.screen.click("sign-out").await;
    scene.screen.wait("sign-in-form").await;
    until("the draft to be gone", async || {
        (!scene.seat.keeps("Nobody else may read this")).then_some(())
    })
    .await;
}
