//! Starting together with the desktop, for whoever wants it.

use crate::Scene;
use harness::until;

#[tokio::test]
async fn the_app_starts_with_the_desktop_only_where_it_is_wanted() {
    let scene = Scene::signed_in().await;
    let entry = scene
        .seat
        .settings()
        .join("autostart/dev.compymac.desktop.desktop");
    scene.screen.click("settings").await;
    scene.screen.wait("autostart").await;
    assert!(!entry.exists(), "nobody asked for it");
    scene.screen.click("autostart").await;
    let text = until("the entry", async || std::fs::read_to_string(&entry).ok()).await;
    let exec = text
        .lines()
        .find_map(|line| line.strip_prefix("Exec="))
        .unwrap_or_default();
    assert!(std::path::Path::new(exec.trim_matches('"')).is_file(), "{text}");
    // as the page shows it when it comes back
    scene.screen.click("home-link").await;
    scene.screen.click("settings").await;
    scene.screen.wait_for("[data-testid=\"autostart\"]:checked").await;
    scene.screen.click("autostart").await;
    until("the entry to be gone", async || (!entry.exists()).then_some(())).await;
}
