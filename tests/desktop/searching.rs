//! Finding again, without the server, what was said long ago.

use crate::{Scene, sign_in};
use harness::{Person, Seat, Stack, until};

const ENTER: &str = "\u{E007}";
const CONTROL: &str = "\u{E009}";
/// More than a conversation shows when it is opened.
const LATER: usize = 130;

/// Waits until a message that says so has the focus and lies inside the pane.
async fn in_sight(scene: &Scene, text: &str) {
    let script = "const it = document.activeElement, pane = document.getElementById('conversation'); \
        if (document.querySelector('dialog[open]') || !it.matches('article')) return ''; \
        const [at, view] = [it.getBoundingClientRect(), pane.getBoundingClientRect()]; \
        return at.top >= view.top && at.top < view.bottom ? it.innerText : '';";
    until(&format!("{text:?} in sight"), async || {
        let seen = scene.screen.evaluate(script).await;
        seen.as_str()
            .is_some_and(|seen| seen.contains(text))
            .then_some(())
    })
    .await;
}

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
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    sign_in(&screen, &person).await;
    screen.wait_connection("online").await;
    let scene = Scene {
        screen,
        seat,
        elsewhere,
        stack,
    };
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
    in_sight(&scene, "Set sail from Whitby").await;
    scene.screen.click("home-link").await;
    look_for(&scene, "京タワ").await;
    in_sight(&scene, "東京タワー").await;
    scene.screen.picture("search-offline").await;
}
