//! Finding again, without the server, what was said long ago.

use crate::Scene;
use harness::{Person, Stack, until};

const ENTER: &str = "\u{E007}";
const CONTROL: &str = "\u{E009}";
/// More than a conversation shows when it is opened.
const LATER: usize = 130;

async fn look_for(scene: &Scene, typed: &str) {
    scene.screen.keys(&format!("{CONTROL}k")).await;
    scene.screen.fill("search-input", typed).await;
    scene.screen.wait_text("search-status", "1 result").await;
    scene.screen.keys(ENTER).await;
}

#[tokio::test]
async fn an_old_message_is_found_and_gone_to_without_the_server() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let id = elsewhere.create_session("Log book").await;
    elsewhere.note(id, "Set sail from Whitby").await;
    elsewhere.note(id, "来週、東京タワーへ行きます。").await;
    for day in 0..LATER {
        elsewhere.note(id, &format!("Day {day}: calm")).await;
    }
    let scene = Scene::of(stack, &person, elsewhere).await;
    // everything is here once the first word is found
    until("the oldest message on this computer", async || {
        scene.screen.keys(&format!("{CONTROL}k")).await;
        scene.screen.fill("search-input", "whitby").await;
        let said = scene.screen.texts_in("[data-testid=\"search-status\"]").await;
        scene.screen.keys("\u{E00C}").await;
        said.iter().any(|said| said == "1 result").then_some(())
    })
    .await;
    scene.stack.server.kill();
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    look_for(&scene, "whitb").await;
    scene.screen.wait_at_message("Set sail from Whitby").await;
    scene.screen.click("home-link").await;
    look_for(&scene, "京タワ").await;
    scene.screen.wait_at_message("東京タワー").await;
    scene.screen.picture("search-offline").await;
}
