//! Keys that a browser keeps for itself, and that the app has.

use crate::Scene;

const CONTROL: &str = "\u{E009}";

#[tokio::test]
async fn a_session_is_begun_and_the_settings_are_opened_by_keys() {
    let scene = Scene::signed_in().await;
    scene.screen.keys(&format!("{CONTROL},")).await;
    scene.screen.wait("storage").await;
    scene.screen.keys(&format!("{CONTROL}n")).await;
    scene.screen.wait("transcript").await;
    scene.screen.wait_for("#composer-input[data-of]:focus").await;
}
