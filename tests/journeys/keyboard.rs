//! The keys that work wherever one is: each does what the list of keys says, and none of the list goes untried.

use crate::{COMPLETE, MINE, REPLIES, Scene, say};
use harness::{Body, KEYS_OF_THE_WINDOW, KeyList, Screen, until};
use protocol::SessionId;
use serde_json::json;

in_both_bodies! {
    every_key_of_the_list_does_what_it_says,
    each_of_the_first_nine_sessions_has_a_digit,
    escape_takes_one_step_back_at_a_time,
    keys_that_compose_a_word_send_nothing,
}

const ESCAPE: &str = "\u{E00C}";
const BACKSPACE: &str = "\u{E003}";
const DOWN: &str = "\u{E015}";
const UP: &str = "\u{E013}";
const CONTROL: &str = "\u{E009}";
const SHIFT: &str = "\u{E008}";
const ALT: &str = "\u{E00A}";
const F2: &str = "\u{E032}";

const STREAMING: &str = "[data-testid=\"message\"][data-status=\"streaming\"]";
const CANCELLED: &str = "[data-testid=\"message\"][data-status=\"cancelled\"]";
/// Takes half a minute to be said.
const LONG: &str =
    "/slow 2s amber basalt cedar dune ember fjord grove harbor island jetty kelp lagoon meadow north ocean";

async fn wait_open(scene: &Scene, session: SessionId) {
    scene
        .screen
        .wait_for(&format!("[data-session=\"{session}\"] a[aria-current]"))
        .await;
}

async fn wait_count(screen: &Screen, selector: &str, wanted: usize) {
    until(&format!("{wanted} of {selector}"), async || {
        (screen.count(selector).await == wanted).then_some(())
    })
    .await;
}

async fn wait_written(screen: &Screen, text: &str) {
    until(&format!("{text:?} in the composer"), async || {
        let typed = screen
            .evaluate("return document.getElementById('composer-input').value")
            .await;
        (typed == text).then_some(())
    })
    .await;
}

async fn every_key_of_the_list_does_what_it_says(body: Body) {
    let scene = Scene::signed_in(body).await;
    let older = scene.elsewhere.create_session("Older").await;
    scene.elsewhere.note(older, "calm before it").await;
    scene.elsewhere.note(older, "a storm of long ago").await;
    let newer = scene.elsewhere.create_session("Newer").await;
    scene.elsewhere.note(newer, "a storm of today").await;
    scene.screen.wait_text_in("[data-session]", "Newer").await;
    let mut keys = KeyList::read(&scene.screen).await;
    the_list_is_shown(&scene.screen, body).await;
    sessions_are_walked_through(&scene, &mut keys, older, newer).await;
    messages_are_walked_through(&scene.screen, &mut keys).await;
    what_is_open_is_looked_through(&scene.screen, &mut keys).await;
    what_is_beside_the_session(&scene, &mut keys, older).await;
    what_is_written_and_answered(&scene, &mut keys, older).await;
    what_is_done_with_a_session(&scene, &mut keys, older).await;
    let left: &[&str] = match body {
        Body::Browser => &[],
        Body::Desktop => &KEYS_OF_THE_WINDOW,
    };
    assert_eq!(keys.untried(), left, "nobody strikes these");
}

async fn the_list_is_shown(screen: &Screen, body: Body) {
    for theme in ["light", "dark"] {
        let wear = format!("document.documentElement.dataset.theme = '{theme}'");
        screen.evaluate(&wear).await;
        screen
            .picture(&format!("shortcuts-{theme}-{body:?}").to_lowercase())
            .await;
    }
    screen.keys(ESCAPE).await;
    screen.wait_gone("[data-testid=\"shortcuts\"][open]").await;
}

async fn sessions_are_walked_through(scene: &Scene, keys: &mut KeyList, older: SessionId, newer: SessionId) {
    for (words, opened) in [
        ("Next session", newer),
        ("Next session", older),
        ("Previous session", newer),
        ("Next session", older),
        ("First session of the list (to 9)", newer),
    ] {
        keys.strike(&scene.screen, words).await;
        wait_open(scene, opened).await;
    }
    // the second keys for the same, where there are some
    for (struck, opened) in [(DOWN, older), (UP, newer), ("2", older)] {
        scene.screen.keys(&format!("{ALT}{struck}")).await;
        wait_open(scene, opened).await;
    }
}

/// By letters, which are letters where one writes, and by arrows.
async fn messages_are_walked_through(screen: &Screen, keys: &mut KeyList) {
    screen.wait_text("transcript", "a storm of long ago").await;
    screen
        .evaluate("document.getElementById('conversation').focus()")
        .await;
    for (words, message) in [
        ("The one before", "a storm of long ago"),
        ("The one before", "calm before it"),
        ("The one before", "calm before it"),
        ("Next message, in the conversation", "a storm of long ago"),
        ("First message, in the conversation", "calm before it"),
        ("The last one", "a storm of long ago"),
    ] {
        keys.strike(screen, words).await;
        screen.wait_at_message(message).await;
    }
    for (key, message) in [(UP, "calm before it"), (DOWN, "a storm of long ago")] {
        screen.keys(key).await;
        screen.wait_at_message(message).await;
    }
    screen.keys("/").await;
    screen.wait_focus("composer-input").await;
    screen.keys("k/j").await;
    wait_written(screen, "k/j").await;
    screen.keys(&format!("{CONTROL}a")).await;
    screen.keys(BACKSPACE).await;
    wait_written(screen, "").await;
    screen
        .evaluate("document.getElementById('conversation').focus()")
        .await;
    keys.strike(screen, "Go to the message box").await;
    screen.wait_focus("composer-input").await;
}

/// Words that stand in both sessions are found in all of them, and in this one alone.
async fn what_is_open_is_looked_through(screen: &Screen, keys: &mut KeyList) {
    let body = screen.body();
    keys.strike(screen, "Search everything").await;
    screen.fill("search-input", "storm").await;
    screen.wait_text("search-status", "2 results").await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("dialog[open]").await;
    keys.strike(screen, "Find in this session").await;
    screen.wait_focus("find-input").await;
    screen.fill("find-input", "storm").await;
    screen.wait_text("find-status", "1 of 1").await;
    screen.picture(&format!("find-{body:?}").to_lowercase()).await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("dialog[open]").await;
}

async fn what_is_beside_the_session(scene: &Scene, keys: &mut KeyList, session: SessionId) {
    let screen = &scene.screen;
    keys.strike(screen, "Show or hide the list").await;
    wait_count(screen, ":root[data-side=\"shut\"]", 1).await;
    keys.strike(screen, "Show or hide the list").await;
    screen.wait_gone(":root[data-side=\"shut\"]").await;
    if screen.body() == Body::Desktop {
        keys.strike(screen, "Settings").await;
    } else {
        screen.click("settings").await;
    }
    screen.wait("show-shortcuts").await;
    screen.keys(&format!("{ALT}2")).await;
    wait_open(scene, session).await;
    keys.strike(screen, "Rename this session").await;
    screen.wait_focus("rename-input").await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("#rename[open]").await;
}

async fn what_is_written_and_answered(scene: &Scene, keys: &mut KeyList, session: SessionId) {
    let screen = &scene.screen;
    keys.strike(screen, "Go to the message box").await;
    screen.wait_focus("composer-input").await;
    screen.keys("/slow 2s calm").await;
    keys.strike(screen, "New line").await;
    screen.keys("sea and a light wind").await;
    wait_written(screen, "/slow 2s calm\nsea and a light wind").await;
    keys.strike(screen, "Send").await;
    screen.wait_text_in(MINE, "sea and a light wind").await;
    screen.wait_text_in(REPLIES, "calm").await;
    screen.wait_focus("composer-input").await;
    keys.strike(screen, "Stop the reply").await;
    screen.wait_for(CANCELLED).await;
    scene.elsewhere.say(session, "/markdown").await;
    screen.wait_text_in(COMPLETE, "The end.").await;
    keys.strike(screen, "Copy its last code").await;
    screen.wait_text_in(".code button", "Copied").await;
    keys.strike(screen, "Copy the last reply").await;
    let newest = format!("{COMPLETE} .copy-reply");
    screen.wait_text_in(&newest, "Copied").await;
}

async fn what_is_done_with_a_session(scene: &Scene, keys: &mut KeyList, session: SessionId) {
    keys.strike(&scene.screen, "Archive it, or bring it back").await;
    until("the session archived", async || {
        scene.elsewhere.session(session).await.archived.then_some(())
    })
    .await;
    wait_count(&scene.screen, "[data-session]", 1).await;
    keys.strike(&scene.screen, "New session").await;
    wait_count(&scene.screen, "[data-session]", 2).await;
}

async fn each_of_the_first_nine_sessions_has_a_digit(body: Body) {
    let scene = Scene::signed_in(body).await;
    let mut sessions = Vec::new();
    for number in 1..=9 {
        let session = scene.elsewhere.create_session(&format!("Number {number}")).await;
        // what was said last stands first
        scene.elsewhere.note(session, "Here").await;
        sessions.insert(0, session);
    }
    wait_count(&scene.screen, "[data-session] a", 9).await;
    let order = json!(sessions.iter().map(SessionId::to_string).collect::<Vec<_>>());
    let shown = "return [...document.querySelectorAll('[data-session]')].map((row) => row.dataset.session)";
    until("the newest first", async || {
        (scene.screen.evaluate(shown).await == order).then_some(())
    })
    .await;
    let held: &[&str] = match body {
        Body::Browser => &[ALT],
        Body::Desktop => &[ALT, CONTROL],
    };
    for held in held {
        for (place, session) in sessions.iter().enumerate() {
            scene.screen.keys(&format!("{held}{}", place + 1)).await;
            wait_open(&scene, *session).await;
        }
    }
}

/// What lies open, the bar, the reply, the caret.
async fn escape_takes_one_step_back_at_a_time(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    say(screen, LONG).await;
    screen.wait_text_in(STREAMING, "amber").await;
    screen.wait_focus("composer-input").await;
    screen.keys(&format!("{CONTROL}f")).await;
    screen.wait_focus("find-input").await;
    screen.keys(F2).await;
    screen.wait_focus("rename-input").await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("#rename[open]").await;
    assert_eq!(screen.count("#find[open]").await, 1, "the bar is still there");
    screen.keys(ESCAPE).await;
    screen.wait_gone("#find[open]").await;
    assert_eq!(screen.count(STREAMING).await, 1, "the reply goes on");
    screen.keys(ESCAPE).await;
    screen.wait_for(CANCELLED).await;
    screen.keys(&format!("{SHIFT}{ESCAPE}")).await;
    screen.wait_focus("composer-input").await;
    screen.keys(ESCAPE).await;
    screen.wait_focus("transcript").await;
}

/// An input method ends a word by Enter: in Chromium while it still composes, in WebKit just after, by its old code alone.
/// What is made here is what they send; no input method runs under a driver.
const STRIKE: &str = "
    const field = document.getElementById('composer-input');
    const strike = (init, code) => {
        const event = new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true, ...init});
        Object.defineProperty(event, 'keyCode', {value: code});
        return field.dispatchEvent(event);
    };";

async fn keys_that_compose_a_word_send_nothing(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    screen.fill("composer-input", "東京").await;
    let composing = "return [strike({isComposing: true}, 13), strike({}, 229), field.value]";
    let left = screen.evaluate(&format!("{STRIKE} {composing}")).await;
    assert_eq!(left, json!([true, true, "東京"]), "they are the input method's");
    let plain = screen
        .evaluate(&format!("{STRIKE} return strike({{}}, 13)"))
        .await;
    assert_eq!(plain, false, "and this one is ours");
    screen.wait_text_in(MINE, "東京").await;
    screen.wait_for(COMPLETE).await;
    assert_eq!(screen.count(MINE).await, 1, "sent once");
}
