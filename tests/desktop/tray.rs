//! The icon in the tray, for whoever wants one, and where closing the window leads with it and without it.

use crate::Scene;
use harness::{Panel, Seat, until};

const TITLE: &str = "CompyMac";
const CHOSEN: &str = "[data-testid=\"tray\"]:checked";

async fn wait_window(seat: &Seat, is_seen: bool) {
    until(&format!("the window to be seen: {is_seen}"), async || {
        (seat.window(TITLE).is_some() == is_seen).then_some(())
    })
    .await;
}

async fn wait_end(seat: &Seat) {
    until("the app to end", async || (!seat.runs_app()).then_some(())).await;
}

/// By its key. The driver is not waited for: the app may end with it.
async fn close(scene: &Scene) {
    let strike =
        "setTimeout(() => window.dispatchEvent(new KeyboardEvent('keydown', {key: 'w', ctrlKey: true})))";
    scene.screen.evaluate(strike).await;
}

#[tokio::test]
async fn closing_the_window_leaves_the_app_in_the_tray_where_that_is_chosen() {
    let scene = Scene::signed_in().await;
    let panel = Panel::at(&scene.seat).await;
    scene.screen.click("settings").await;
    scene.screen.wait("tray").await;
    assert_eq!(panel.icons(), 0, "nobody asked for it");
    scene.screen.click("tray").await;
    scene.screen.wait_for(CHOSEN).await;
    assert_eq!(panel.lines().await, ["Open CompyMac", "New session", "Quit"]);
    scene.screen.picture("tray-desktop").await;

    close(&scene).await;
    wait_window(&scene.seat, false).await;
    panel.click().await;
    wait_window(&scene.seat, true).await;
    close(&scene).await;
    wait_window(&scene.seat, false).await;
    panel.choose("New session").await;
    wait_window(&scene.seat, true).await;
    scene.screen.wait_for("#composer-input[data-of]").await;

    // a panel that ends leaves nobody with neither
    close(&scene).await;
    wait_window(&scene.seat, false).await;
    panel.end().await;
    wait_window(&scene.seat, true).await;
    // and one that comes back has the icon again
    let panel = Panel::at(&scene.seat).await;
    assert_eq!(panel.lines().await.len(), 3);
    panel.choose("Quit").await;
    wait_end(&scene.seat).await;
}

#[tokio::test]
async fn a_desktop_without_a_tray_says_so_and_closing_the_window_ends_the_app() {
    let scene = Scene::signed_in().await;
    scene.screen.click("settings").await;
    scene.screen.click("tray").await;
    scene.screen.wait_text_in(".flash", "shows no tray").await;
    until("nothing to be chosen", async || {
        (scene.screen.count(CHOSEN).await == 0).then_some(())
    })
    .await;
    scene.screen.picture("no-tray-desktop").await;
    assert!(scene.seat.runs_app());
    close(&scene).await;
    wait_end(&scene.seat).await;
}
