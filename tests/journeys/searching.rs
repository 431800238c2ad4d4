//! Looking for what was once said: by a word or in a script without spaces, and going there.

use crate::{MINE, Scene};
use harness::{Body, until};

in_both_bodies! {
    what_was_said_is_found_by_a_word_and_gone_to,
}

const ESCAPE: &str = "\u{E00C}";
const ENTER: &str = "\u{E007}";
const DOWN: &str = "\u{E015}";
const CONTROL: &str = "\u{E009}";

async fn what_was_said_is_found_by_a_word_and_gone_to(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    let trip = scene.elsewhere.create_session("Trip to Japan").await;
    scene.elsewhere.note(trip, "来週、東京タワーへ行きます。").await;
    let log = scene.elsewhere.create_session("Log book").await;
    scene
        .elsewhere
        .note(log, "Calm sea near the lighthouse, light wind")
        .await;
    for day in 1..=12 {
        let page = format!("Day {day} at sea. {}", "Nothing to write home about. ".repeat(12));
        scene.elsewhere.note(log, &page).await;
    }
    screen.wait_text("session-list", "Log book").await;
    for (session, said) in [(trip, "東京"), (log, "Day 12")] {
        screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
        screen.wait_text_in(MINE, said).await;
    }

    screen.click("search").await;
    screen.wait_for("dialog[open]").await;
    screen.wait_text("search-status", "Type a word").await;
    screen.fill("search-input", "lightho").await;
    screen.wait_text("search-status", "1 result").await;
    screen
        .wait_text_in("[data-testid=\"found\"] mark", "lighthouse")
        .await;
    screen.picture(&format!("search-{body:?}").to_lowercase()).await;
    screen.keys(ENTER).await;
    in_sight(&scene, "lighthouse").await;
    screen
        .picture(&format!("search-gone-to-{body:?}").to_lowercase())
        .await;

    screen.keys(&format!("{CONTROL}k")).await;
    screen.fill("search-input", "東京").await;
    screen.wait_text_in("[data-testid=\"found\"] mark", "東京").await;
    screen.keys(ENTER).await;
    in_sight(&scene, "東京タワー").await;

    // by the arrows through titles and messages, and away again without going anywhere
    screen.keys(&format!("{CONTROL}k")).await;
    screen.fill("search-input", "log").await;
    screen.wait_text("search-status", "1 result").await;
    screen.fill("search-input", "sea").await;
    screen.wait_text("search-status", "13 results").await;
    screen.keys(DOWN).await;
    until("the second result to be the choice", async || {
        let chosen = screen.attribute("[data-testid=\"search-input\"]", "aria-activedescendant");
        (chosen.await.as_deref() == Some("found-1")).then_some(())
    })
    .await;
    for theme in ["light", "dark"] {
        screen
            .evaluate(&format!("document.documentElement.dataset.theme = '{theme}'"))
            .await;
        let name = format!("search-many-{theme}-{body:?}");
        screen.picture(&name.to_lowercase()).await;
    }
    screen.resize(375, 812).await;
    screen
        .picture(&format!("search-narrow-{body:?}").to_lowercase())
        .await;
    screen.fill("search-input", "unheard of").await;
    screen.wait_text("search-status", "Nothing found").await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("dialog[open]").await;
    screen.wait_text("session-title", "Trip to Japan").await;
    screen.click_on("a[href=\"/\"]").await;
    screen.wait("new-session").await;
    screen
        .picture(&format!("search-button-narrow-{body:?}").to_lowercase())
        .await;
}

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
