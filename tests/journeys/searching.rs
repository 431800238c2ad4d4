//! Looking for what was once said: by a word or in a script without spaces, and going there.

use crate::{MINE, Scene};
use harness::{Body, Screen, until};
use protocol::SessionId;
use protocol::mutation::Op;
use serde_json::json;

in_both_bodies! {
    what_was_said_is_found_and_gone_to,
    the_results_are_walked_through_and_left_by_the_keyboard,
    words_are_found_in_a_session_and_marked_where_they_stand,
}

const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";
const DOWN: &str = "\u{E015}";
const CONTROL: &str = "\u{E009}";
const SHIFT: &str = "\u{E008}";

/// A long session and a short one, both read on this screen.
async fn with_two_sessions(body: Body) -> (Scene, SessionId) {
    let scene = Scene::signed_in(body).await;
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
    scene.screen.wait_text("session-list", "Log book").await;
    for (session, said) in [(trip, "東京"), (log, "Day 12")] {
        scene
            .screen
            .click_on(&format!("[data-session=\"{session}\"] a"))
            .await;
        scene.screen.wait_text_in(MINE, said).await;
    }
    (scene, trip)
}

async fn what_was_said_is_found_and_gone_to(body: Body) {
    let (scene, _) = with_two_sessions(body).await;
    let screen = &scene.screen;
    let picture = async |name: &str| screen.picture(&format!("{name}-{body:?}").to_lowercase()).await;
    screen.click("search").await;
    screen.wait_for("dialog[open]").await;
    screen.wait_text("search-status", "Type a word").await;
    screen.fill("search-input", "lightho").await;
    screen.wait_text("search-status", "1 result").await;
    screen
        .wait_text_in("[data-testid=\"found\"] mark", "lighthouse")
        .await;
    picture("search").await;
    screen.keys(ENTER).await;
    screen.wait_at_message("lighthouse").await;
    picture("search-gone-to").await;

    screen.keys(&format!("{CONTROL}k")).await;
    screen.fill("search-input", "東京").await;
    screen.wait_text_in("[data-testid=\"found\"] mark", "東京").await;
    screen.keys(ENTER).await;
    screen.wait_at_message("東京タワー").await;
}

async fn the_results_are_walked_through_and_left_by_the_keyboard(body: Body) {
    let (scene, trip) = with_two_sessions(body).await;
    let screen = &scene.screen;
    let picture = async |name: &str| screen.picture(&format!("{name}-{body:?}").to_lowercase()).await;
    let chosen = async |wanted: &str| {
        until("the choice to move", async || {
            let field = "[data-testid=\"search-input\"]";
            let chosen = screen.attribute(field, "aria-activedescendant").await;
            (chosen.as_deref() == Some(wanted)).then_some(())
        })
        .await;
    };
    let archive = Op::SessionArchive {
        session: trip,
        archived: true,
    };
    scene.elsewhere.write(archive).await;
    screen.tab_to("search").await;
    screen.keys(ENTER).await;
    screen.fill("search-input", "trip").await;
    screen
        .wait_text_in("[data-testid=\"found\"] .chip", "Archived")
        .await;
    screen.fill("search-input", "sea").await;
    screen.wait_text("search-status", "13 results").await;
    screen.keys(DOWN).await;
    chosen("found-1").await;
    for theme in ["light", "dark"] {
        let wear = format!("document.documentElement.dataset.theme = '{theme}'");
        screen.evaluate(&wear).await;
        picture(&format!("search-many-{theme}")).await;
    }
    screen.resize(375, 812).await;
    picture("search-narrow").await;
    screen.fill("search-input", "unheard of").await;
    screen.wait_text("search-status", "Nothing found").await;
    screen.resize(1280, 800).await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("dialog[open]").await;
    assert_eq!(
        screen.focus().await.as_deref(),
        Some("search"),
        "back where it was"
    );
    screen.wait_text("session-title", "Log book").await;
    screen.resize(375, 812).await;
    screen.click_on(".head-back").await;
    screen.wait("search").await;
    picture("search-button-narrow").await;
}

/// More than stands in the page at once.
const DAYS: usize = 90;

/// The words that are marked now.
async fn wait_marked(screen: &Screen, wanted: &[&str]) {
    let script = "return [...(CSS.highlights?.get('find') ?? [])].map((mark) => mark.toString())";
    until(&format!("{wanted:?} to be marked"), async || {
        let marked = screen.evaluate(script).await;
        (marked == json!(wanted)).then_some(())
    })
    .await;
}

async fn wait_in_sight(screen: &Screen, text: &str) {
    let script = format!(
        "const it = [...document.querySelectorAll('.pane article')].find((it) => it.textContent.includes('{text}'));
         if (!it) return false;
         const [at, view] = [it.getBoundingClientRect(), it.closest('.pane').getBoundingClientRect()];
         return at.top >= view.top && at.top < view.bottom"
    );
    until(&format!("{text:?} in sight"), async || {
        screen.evaluate(&script).await.as_bool()?.then_some(())
    })
    .await;
}

/// Also where they are not mounted: from the newest around to the oldest, and back.
async fn words_are_found_in_a_session_and_marked_where_they_stand(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    let log = scene.elsewhere.create_session("Log book").await;
    for day in 1..=DAYS {
        let page = match day {
            3 => "A lighthouse.".to_owned(),
            45 => "Another Lighthouse, and the lighthouse keeper.".to_owned(),
            88 => "The last lighthouse.".to_owned(),
            _ => "Calm sea. ".repeat(20),
        };
        scene.elsewhere.note(log, &format!("Day {day}: {page}")).await;
    }
    screen.wait_text("session-list", "Log book").await;
    screen.click_on(&format!("[data-session=\"{log}\"] a")).await;
    screen.wait_text_in(MINE, "Day 90:").await;
    screen.keys(&format!("{SHIFT}{ESCAPE}")).await;
    screen.wait_focus("composer-input").await;

    screen.keys(&format!("{CONTROL}f")).await;
    screen.wait_focus("find-input").await;
    screen.fill("find-input", "lightho").await;
    screen.wait_text("find-status", "3 of 3").await;
    wait_in_sight(screen, "Day 88:").await;
    wait_marked(screen, &["lighthouse"]).await;
    screen.wait_for("#to-latest").await;
    screen.wait_focus("find-input").await;
    screen
        .picture(&format!("find-marked-{body:?}").to_lowercase())
        .await;
    screen.keys(ENTER).await;
    screen.wait_text("find-status", "1 of 3").await;
    wait_in_sight(screen, "Day 3:").await;
    wait_marked(screen, &["lighthouse", "Lighthouse", "lighthouse"]).await;
    screen.keys(&format!("{SHIFT}{ENTER}")).await;
    screen.wait_text("find-status", "3 of 3").await;
    wait_in_sight(screen, "Day 88:").await;
    screen.click("find-previous").await;
    screen.wait_text("find-status", "2 of 3").await;
    wait_in_sight(screen, "Day 45:").await;
    screen.click("find-next").await;
    screen.wait_text("find-status", "3 of 3").await;
    screen.fill("find-input", "unheard of").await;
    screen.wait_text("find-status", "Nothing found").await;
    wait_marked(screen, &[]).await;
    screen.fill("find-input", "keeper").await;
    screen.wait_text("find-status", "1 of 1").await;
    wait_marked(screen, &["keeper"]).await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("#find[open]").await;
    wait_marked(screen, &[]).await;
    screen.wait_focus("composer-input").await;
    // and by its button
    screen.click("find").await;
    screen.wait_focus("find-input").await;
    wait_marked(screen, &["keeper"]).await;
}
