//! The keys that work wherever one is: each does what the list of keys says.

use crate::{COMPLETE, Scene};
use harness::{Body, until};
use protocol::SessionId;

in_both_bodies! {
    every_key_of_the_list_does_what_it_says,
}

const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";
const DOWN: &str = "\u{E015}";
const UP: &str = "\u{E013}";
const TAB: &str = "\u{E004}";
const CONTROL: &str = "\u{E009}";
const SHIFT: &str = "\u{E008}";
const ALT: &str = "\u{E00A}";

async fn wait_open(scene: &Scene, session: SessionId) {
    scene
        .screen
        .wait_for(&format!("[data-session=\"{session}\"] a[aria-current]"))
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
    the_list_is_shown(&scene, body).await;
    sessions_are_walked_through(&scene, body, older, newer).await;
    messages_are_walked_through(&scene).await;
    the_open_session_is_looked_through_alone(&scene, body).await;
    what_is_done_with_a_session(&scene, body, older).await;
}

async fn the_list_is_shown(scene: &Scene, body: Body) {
    let screen = &scene.screen;
    screen.keys(&format!("{CONTROL}/")).await;
    screen.wait_for("[data-testid=\"shortcuts\"][open]").await;
    let listed = screen.texts_in("[data-testid=\"shortcuts\"] dt").await;
    for words in [
        "New session",
        "Search everything",
        "Next session",
        "Rename this session",
        "Send",
    ] {
        assert!(listed.iter().any(|line| line == words), "{words} in {listed:?}");
    }
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

async fn sessions_are_walked_through(scene: &Scene, body: Body, older: SessionId, newer: SessionId) {
    let mut steps = vec![
        (format!("{ALT}{DOWN}"), newer),
        (format!("{ALT}{DOWN}"), older),
        (format!("{ALT}{UP}"), newer),
        (format!("{ALT}2"), older),
    ];
    if body == Body::Desktop {
        steps.push((format!("{CONTROL}{TAB}"), newer));
        steps.push((format!("{CONTROL}{SHIFT}{TAB}"), older));
        steps.push((format!("{CONTROL}1"), newer));
        steps.push((format!("{CONTROL}2"), older));
    }
    for (keys, opened) in steps {
        scene.screen.keys(&keys).await;
        wait_open(scene, opened).await;
    }
}

/// By letters, which are letters where one writes.
async fn messages_are_walked_through(scene: &Scene) {
    let screen = &scene.screen;
    screen.wait_text("transcript", "a storm of long ago").await;
    screen
        .evaluate("document.getElementById('conversation').focus()")
        .await;
    for (key, message) in [
        ("k", "a storm of long ago"),
        ("k", "calm before it"),
        ("k", "calm before it"),
        ("j", "a storm of long ago"),
    ] {
        screen.keys(key).await;
        screen.wait_at_message(message).await;
    }
    screen.keys("/").await;
    until("the caret in the composer", async || {
        (screen.focus().await.as_deref() == Some("composer-input")).then_some(())
    })
    .await;
    screen.keys("k/j").await;
    until("what was typed", async || {
        let typed = screen
            .evaluate("return document.getElementById('composer-input').value")
            .await;
        (typed == "k/j").then_some(())
    })
    .await;
    screen.fill("composer-input", "").await;
}

/// Words that stand in both sessions are found in this one.
async fn the_open_session_is_looked_through_alone(scene: &Scene, body: Body) {
    let screen = &scene.screen;
    screen.wait_text("transcript", "a storm of long ago").await;
    if body == Body::Desktop {
        screen.keys(&format!("{CONTROL}f")).await;
    } else {
        screen.keys(&format!("{CONTROL}k")).await;
        screen.fill("search-input", "storm").await;
        screen.click("search-here").await;
    }
    screen.fill("search-input", "storm").await;
    screen.wait_text("search-status", "1 result").await;
    screen
        .picture(&format!("search-here-{body:?}").to_lowercase())
        .await;
    screen.keys(ESCAPE).await;
    screen.wait_gone("dialog[open]").await;
}

async fn what_is_done_with_a_session(scene: &Scene, body: Body, session: SessionId) {
    let screen = &scene.screen;
    screen.click("settings").await;
    screen.wait("show-shortcuts").await;
    screen.keys(&format!("{ALT}2")).await;
    wait_open(scene, session).await;
    screen.keys(&format!("{SHIFT}{ESCAPE}")).await;
    until("the caret in the composer", async || {
        (screen.focus().await.as_deref() == Some("composer-input")).then_some(())
    })
    .await;
    screen.keys(&format!("/long 3{ENTER}")).await;
    screen.wait_for(COMPLETE).await;
    until("what copies it", async || {
        (screen.count(".copy-reply").await == 1).then_some(())
    })
    .await;
    let copy = match body {
        Body::Desktop => format!("{CONTROL}{SHIFT}c"),
        Body::Browser => format!("{ALT}{SHIFT}c"),
    };
    screen.keys(&copy).await;
    screen.wait_text_in(".copy-reply", "Copied").await;
    screen.keys(&format!("{CONTROL}{SHIFT}e")).await;
    until("the session archived", async || {
        scene.elsewhere.session(session).await.archived.then_some(())
    })
    .await;
    let rows = async |wanted: usize| {
        until("the rows of the list", async || {
            (screen.count("[data-session]").await == wanted).then_some(())
        })
        .await;
    };
    rows(1).await;
    screen.keys(&format!("{CONTROL}{SHIFT}o")).await;
    rows(2).await;
}
