//! What the desktop is asked to show when a reply ends and nobody looks, and where a click on it leads.

use crate::Scene;
use harness::{Dock, Notifications, until};
use protocol::SessionId;

const SLOW: &str = "/slow 150ms heron amber basalt cedar dune ember fjord";

/// The reply of this session has ended, here too.
async fn has_ended(scene: &Scene, session: SessionId) {
    until("the reply to have ended", async || {
        let history = scene.elsewhere.history(session).await;
        let last = history.messages.last()?;
        last.status.is_terminal().then_some(())
    })
    .await;
    let row = format!("[data-session=\"{session}\"] .ring");
    scene.screen.wait_gone(&row).await;
}

async fn set(scene: &Scene, switch: &str, on: bool) {
    scene.screen.click("settings").await;
    let selector = format!("[data-testid=\"{switch}\"]");
    scene.screen.wait_for(&selector).await;
    let is_on = format!("return document.querySelector('{selector}').checked");
    if scene.screen.evaluate(&is_on).await != on {
        scene.screen.click_on(&selector).await;
    }
    until("the switch", async || {
        (scene.screen.evaluate(&is_on).await == on).then_some(())
    })
    .await;
    scene.screen.click("home-link").await;
}

#[tokio::test]
async fn a_reply_that_ends_unseen_is_told_of_and_a_click_leads_to_it() {
    let scene = Scene::signed_in().await;
    let desktop = Notifications::at(&scene.seat).await;
    let id = scene.elsewhere.create_session("Log <b>book").await;
    scene.screen.wait_text("session-list", "book").await;
    scene.elsewhere.say(id, SLOW).await;
    let shown = desktop.titled("Log <b>book").await;
    assert_eq!(shown.body, "The reply is ready.", "and not what it says");
    assert!(shown.actions.contains(&"default".to_owned()), "{shown:?}");
    desktop.click(&shown).await;
    scene.screen.wait_text("session-title", "book").await;

    // another of the same session takes its place, with what it says where that is wanted
    set(&scene, "notify-text", true).await;
    scene.elsewhere.say(id, SLOW).await;
    let newer = until("the next one", async || desktop.shown().get(1).cloned()).await;
    assert_eq!(newer.replaces, shown.number);
    assert!(newer.body.contains("heron"), "{newer:?}");
}

#[tokio::test]
async fn a_failed_reply_is_told_of_as_one() {
    let scene = Scene::signed_in().await;
    let desktop = Notifications::at(&scene.seat).await;
    let id = scene.elsewhere.create_session("Log book").await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.elsewhere.say(id, "/slow 150ms /fail no more tokens").await;
    assert_eq!(desktop.titled("Log book").await.body, "The reply failed.");
}

#[tokio::test]
async fn what_somebody_looks_at_or_does_not_want_told_is_not_told() {
    let scene = Scene::signed_in().await;
    let desktop = Notifications::at(&scene.seat).await;
    let seen = scene.elsewhere.create_session("Looked at").await;
    let other = scene.elsewhere.create_session("Elsewhere").await;
    scene.screen.wait_text("session-list", "Elsewhere").await;
    scene
        .screen
        .click_on(&format!("[data-session=\"{seen}\"] a"))
        .await;
    scene.screen.wait_text("session-title", "Looked at").await;
    scene.seat.look_at("CompyMac").await;
    scene.elsewhere.say(seen, SLOW).await;
    has_ended(&scene, seen).await;
    scene.elsewhere.say(other, SLOW).await;
    desktop.titled("Elsewhere").await;
    assert_eq!(
        desktop.shown().len(),
        1,
        "the one that was looked at is not among them"
    );

    set(&scene, "notify", false).await;
    scene.elsewhere.say(other, SLOW).await;
    has_ended(&scene, other).await;
    set(&scene, "notify", true).await;
    scene.elsewhere.say(seen, SLOW).await;
    desktop.titled("Looked at").await;
    assert_eq!(desktop.shown().len(), 2, "{:?}", desktop.shown());
}

/// A dialog of the app's own, which has the keyboard while the app's window waits.
const DIALOG: &str = "CompyMac updates";

#[tokio::test]
async fn the_icon_bears_how_many_replies_nobody_has_looked_at() {
    let scene = Scene::signed_in().await;
    let dock = Dock::at(&scene.seat).await;
    let one = scene.elsewhere.create_session("First").await;
    let other = scene.elsewhere.create_session("Second").await;
    scene.screen.wait_text("session-list", "Second").await;

    scene.seat.start(&["--check-for-updates"]);
    scene.seat.look_at(DIALOG).await;
    scene.elsewhere.say(one, SLOW).await;
    dock.shows(1).await;
    scene.elsewhere.say(other, SLOW).await;
    dock.shows(2).await;
    // back in the window
    scene.seat.answer(DIALOG, "l").await;
    scene.seat.look_at("CompyMac").await;
    dock.shows(0).await;

    // and in the window, with none of them open
    scene.elsewhere.say(one, SLOW).await;
    dock.shows(1).await;
    scene.elsewhere.say(other, SLOW).await;
    dock.shows(2).await;
    let open = async |session: SessionId| {
        let row = format!("[data-session=\"{session}\"] a");
        scene.screen.click_on(&row).await;
    };
    open(one).await;
    dock.shows(1).await;
    open(other).await;
    dock.shows(0).await;
}
