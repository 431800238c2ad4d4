//! What a page asks the core for: it says which page it is and numbers what it asks, and each is done once.

use crate::Scene;
use crate::accounts::{joined_by, listed};
use harness::{Screen, Seat, Stack, until};
use protocol::MessageId;
use serde_json::{Value, json};

/// The script that calls the core sends again what it has no answer to when the page goes.
#[tokio::test]
async fn what_a_page_asks_as_it_goes_away_is_done_once() {
    const PRESSES: u32 = 12;
    const NEW: &str = "[data-testid=\"new-session\"]";
    let scene = Scene::signed_in().await;
    for press in 0..PRESSES {
        scene.screen.wait("new-session").await;
        // before the core has it, while it is at it, and after it has answered
        let millis = press * 5;
        let goes = format!(
            "document.querySelector('{NEW}').click(); setTimeout(() => location.reload(), {millis}); done();"
        );
        scene.screen.evaluate_later(&goes).await;
    }
    scene.screen.wait("new-session").await;
    let made = until("a session", async || {
        let rows = scene.screen.texts_in("[data-testid=\"session-row\"]").await;
        u32::try_from(rows.len()).ok().filter(|made| *made > 0)
    })
    .await;
    assert!(made <= PRESSES, "{made} sessions of {PRESSES} presses");
}

/// Calls the core as the page does: `done` with its answer, or `refused` with the problem.
async fn ask(screen: &Screen, command: &str, payload: &str) -> Value {
    let script = format!(
        "window.__TAURI_INTERNALS__.invoke('{command}', {payload})
             .then((answer) => done({{done: answer}}), (problem) => done({{refused: problem.code}}));"
    );
    screen.evaluate_later(&script).await
}

async fn at_the_door() -> (Stack, Seat, Screen) {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    (stack, seat, screen)
}

/// What `accounts` answers where there is one, and nothing waits in it.
fn nobody_else() -> Value {
    json!({"done": {"waits": "", "others": []}})
}

#[tokio::test]
async fn what_no_page_of_ours_asks_is_refused() {
    let (_stack, _seat, screen) = at_the_door().await;
    for payload in [
        "{ask: {go: null}}",
        "{ask: {go: null}, page: 7}",
        "{ask: {go: null}, number: 0}",
        "{ask: {go: null}, page: '7', number: 0}",
        "{ask: {go: null}, page: 7, number: '0'}",
        "{ask: {go: null}, page: -7, number: 0}",
        "{ask: {go: null}, page: 7, number: 0.5}",
        "{ask: {go: null}, page: null, number: null}",
        "new Uint8Array([7, 0])",
    ] {
        let answer = ask(&screen, "accounts", payload).await;
        assert_eq!(answer, json!({"refused": "invalid"}), "{payload}");
    }
    let asked = ask(&screen, "accounts", "{ask: {go: null}, page: 7, number: 0}").await;
    assert_eq!(asked, nobody_else(), "none of them counted");
}

#[tokio::test]
async fn what_a_page_asks_twice_by_one_number_is_refused_the_second_time() {
    let (_stack, _seat, screen) = at_the_door().await;
    let (done, refused) = (nobody_else(), json!({"refused": "conflict"}));
    for (page, number, wanted) in [
        (7, 0, &done),
        (7, 0, &refused),
        (7, 1, &done),
        (7, 0, &refused),
        (7, 1, &refused),
        (8, 0, &done),
        (7, 2, &done),
    ] {
        let payload = format!("{{ask: {{go: null}}, page: {page}, number: {number}}}");
        let answer = ask(&screen, "accounts", &payload).await;
        assert_eq!(&answer, wanted, "page {page}, number {number}");
    }
}

/// The answer to it was lost, and the script that calls the core sends it again.
#[tokio::test]
async fn a_message_that_a_page_sends_twice_is_one_and_both_times_it_is_told_so() {
    let scene = Scene::signed_in().await;
    let session = scene.elsewhere.create_session("Log book").await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Log book").await;
    let (id, done) = (MessageId::fresh(), json!({"done": null}));
    let reused = json!({"refused": "mutation_reuse"});
    for (number, text, wanted) in [
        (0, "Calm sea", &done),
        (0, "Calm sea", &done),
        (1, "Calm sea", &done),
        (2, "Rough sea", &reused),
    ] {
        let message = json!({"session": session, "message": id, "text": text});
        let payload = format!("{{ask: {message}, page: 7, number: {number}}}");
        let answer = ask(screen, "send", &payload).await;
        assert_eq!(&answer, wanted, "{text}, {number}");
    }
    until("the message at the server", async || {
        (scene.elsewhere.times_kept(session, "Calm sea").await > 0).then_some(())
    })
    .await;
    screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
    screen
        .wait_gone("[data-testid=\"message\"][data-delivery=\"waiting\"]")
        .await;
    assert_eq!(scene.elsewhere.times_kept(session, "Calm sea").await, 1);
    assert_eq!(scene.elsewhere.times_kept(session, "Rough sea").await, 0);
}

/// Commands run when there is time for them, and another account may come on the screen between the one and the next.
#[tokio::test]
async fn what_a_page_asks_while_another_account_comes_is_not_done_to_that_one() {
    let scene = Scene::signed_in().await;
    scene.elsewhere.create_session("Log book").await;
    scene.screen.wait_text("session-list", "Log book").await;
    joined_by(&scene, &scene.stack).await;
    let screen = &scene.screen;
    let others = listed(screen).await;
    let first: Value = serde_json::from_str(&others[0]).expect("an account");
    let name = &first["name"];
    let all_at_once = format!(
        "const ask = (command, number, ask) =>
             window.__TAURI_INTERNALS__.invoke(command, {{ask, page: 7, number}}).catch(() => {{}});
         ask('accounts', 0, {{go: {{to: {name}}}}});
         ask('sign_out', 1, {{even_if_waiting: true}});
         for (let number = 2; number < 30; number++) ask('create', number, {{}});
         done();"
    );
    screen.evaluate_later(&all_at_once).await;
    screen.wait_text("session-list", "Log book").await;
    // It waits until whoever was there before it has gone and come.
    let payload = format!("{{ask: {{go: {{to: {name}}}}}, page: 8, number: 0}}");
    let answer = ask(screen, "accounts", &payload).await;
    assert!(answer["done"]["others"].is_array(), "{answer}");
    screen.wait_text("session-list", "Log book").await;
    screen.wait_connection("online").await;
    assert_eq!(screen.count("[data-testid=\"session-row\"]").await, 1);
    assert_eq!(scene.elsewhere.sessions().await.len(), 1);
    assert_eq!(scene.elsewhere.devices().await.len(), 2, "it is signed in");
}

/// It is told by the page's frame, which has no name.
#[tokio::test]
async fn that_a_page_broke_is_taken_from_whoever_says_it() {
    let (_stack, seat, screen) = at_the_door().await;
    for times in 1..=2 {
        let answer = ask(&screen, "page_broke", "{ask: {what: 'by a test'}}").await;
        assert_eq!(answer, json!({"done": null}));
        until("the app to write it down", async || {
            (seat.log().matches("the page broke").count() == times).then_some(())
        })
        .await;
    }
}
