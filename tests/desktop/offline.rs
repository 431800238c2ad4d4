//! Started without the server, or gone from it for long: everything arrives once.

use crate::Scene;
use harness::until;
use protocol::SessionId;
use protocol::mutation::Op;
use std::time::Duration;

/// As WebDriver spells them.
const ENTER: &str = "\u{E007}";

const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
const WAITING: &str = "[data-testid=\"message\"][data-delivery=\"waiting\"]";

async fn say(scene: &Scene, text: &str) {
    scene.screen.fill("composer-input", text).await;
    scene.screen.click("send").await;
}

/// A conversation that was read while the server was there.
async fn with_a_read_conversation() -> (Scene, SessionId) {
    let scene = Scene::signed_in().await;
    let id = scene.elsewhere.create_session("Log book").await;
    scene.elsewhere.note(id, "Calm sea, light wind").await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text_in(MINE, "Calm sea").await;
    (scene, id)
}

#[tokio::test]
async fn the_app_started_without_the_server_shows_what_it_kept_and_sends_what_waited() {
    let (scene, id) = with_a_read_conversation().await;
    scene.stack.server.kill();
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    say(&scene, "Written before the night").await;
    scene
        .screen
        .wait_text_in(WAITING, "Written before the night")
        .await;
    let scene = scene.started_again().await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Log book").await;
    screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    screen.wait_text_in(WAITING, "Written before the night").await;
    scene.stack.server.start_again().await;
    scene.stack.server.gate().open();
    screen.wait_gone(WAITING).await;
    until("the message at the server", async || {
        (scene.elsewhere.times_kept(id, "Written before the night").await == 1).then_some(())
    })
    .await;
}

/// Without a word, as when the battery is taken out: right after the button, once it is seen, and while the answer is on its way.
#[tokio::test]
async fn an_app_that_is_killed_while_it_sends_loses_and_doubles_nothing() {
    let (mut scene, id) = with_a_read_conversation().await;
    let texts = ["Killed at once", "Killed once seen", "Killed while answered"];
    for (round, text) in texts.into_iter().enumerate() {
        scene.stack.server.freeze();
        say(&scene, text).await;
        if round > 0 {
            scene.screen.wait_text_in(MINE, text).await;
        }
        if round > 1 {
            scene.stack.server.gate().slow(Duration::from_millis(300));
            scene.stack.server.thaw();
        }
        let away = scene.killed();
        away.stack.server.gate().open();
        if round < 2 {
            away.stack.server.thaw();
        }
        scene = away.started().await;
        let screen = &scene.screen;
        screen.wait_text("session-list", "Log book").await;
        screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
        screen.wait_text_in(MINE, "Calm sea").await;
    }
    until("what was seen at the server", async || {
        let seen = (
            scene.elsewhere.times_kept(id, texts[1]).await,
            scene.elsewhere.times_kept(id, texts[2]).await,
        );
        (seen == (1, 1)).then_some(())
    })
    .await;
    scene.screen.wait_gone(WAITING).await;
    let at_once = scene.elsewhere.times_kept(id, texts[0]).await;
    assert!(at_once <= 1, "{at_once} times");
    let shown = scene.screen.texts_in(MINE).await;
    for text in texts {
        let times = shown.iter().filter(|shown| shown.contains(text)).count();
        assert_eq!(times, scene.elsewhere.times_kept(id, text).await, "{shown:?}");
    }
}

#[tokio::test]
async fn a_thousand_sessions_are_listed_from_this_computer_without_the_server() {
    const ROWS: &str = "[data-testid=\"session-row\"]";
    let scene = Scene::signed_in().await;
    let titles: Vec<String> = (0..1000).map(|number| format!("Voyage {number}")).collect();
    for some in titles.chunks(protocol::limits::BATCH_OPS) {
        let made = some.iter().map(|title| {
            harness::mutation(Op::SessionCreate {
                id: SessionId::fresh(),
                title: title.clone(),
            })
        });
        scene.elsewhere.push(&made.collect::<Vec<_>>()).await;
    }
    scene.screen.wait_text_in(ROWS, "Voyage 999").await;
    let listed = scene.screen.count(ROWS).await;
    let away = scene.closed().await;
    away.stack.server.gate().shut();
    let scene = away.started().await;
    scene.screen.wait_text_in(ROWS, "Voyage 999").await;
    scene.screen.wait_connection("offline").await;
    assert_eq!(scene.screen.count(ROWS).await, listed);
    let log = scene.seat.log();
    let drawn: Vec<_> = log
        .lines()
        .filter(|line| line.contains("the page is drawn"))
        .collect();
    assert_eq!(drawn.len(), 2, "{log}");
    eprintln!("{}", drawn.join("\n"));
}

/// The core draws it: where the page's program never comes, it is seen and answers nothing.
#[tokio::test]
async fn the_list_comes_with_the_document_before_the_pages_program() {
    let (scene, _) = with_a_read_conversation().await;
    let mut away = scene.closed().await;
    away.stack.server.gate().shut();
    away.seat.take_webassembly_away();
    let scene = away.started().await;
    let screen = &scene.screen;
    let listed = "return document.querySelector('#app[inert] [data-testid=session-list]')?.textContent";
    until("the list without a program", async || {
        let listed = screen.evaluate(listed).await;
        listed.as_str()?.contains("Log book").then_some(())
    })
    .await;
    let told = "return document.querySelector('.broken')?.textContent";
    until("a word about the program", async || {
        let told = screen.evaluate(told).await;
        told.as_str()?.contains("could not start").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_begun_offline_is_there_afterwards() {
    let scene = Scene::signed_in().await;
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene, "Begun in the tunnel").await;
    scene.screen.wait_text_in(WAITING, "Begun in the tunnel").await;
    scene.stack.server.gate().open();
    until("the session at the server", async || {
        let sessions = scene.elsewhere.sessions().await;
        (sessions.len() == 1 && sessions[0].title.contains("Begun in the tunnel")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_renamed_and_archived_offline_is_so_after_a_start_and_at_the_server() {
    let (scene, id) = with_a_read_conversation().await;
    let screen = &scene.screen;
    scene.stack.server.gate().shut();
    screen.wait_connection("offline").await;
    screen.click("rename").await;
    screen.fill("rename-input", "Old log book").await;
    screen.press("rename-input", ENTER).await;
    screen.wait_text("session-title", "Old log book").await;
    screen.click("archive").await;
    let row = format!("[data-session=\"{id}\"]");
    screen.wait_gone(&row).await;

    let scene = scene.started_again().await;
    let screen = &scene.screen;
    screen.wait("new-session").await;
    assert_eq!(screen.count(&row).await, 0, "it is not among the others any more");
    screen.click("archived-link").await;
    screen.wait_text_in(&row, "Old log book").await;
    scene.stack.server.gate().open();
    until("both at the server", async || {
        let session = scene.elsewhere.session(id).await;
        (session.archived && session.title == "Old log book").then_some(())
    })
    .await;
}
