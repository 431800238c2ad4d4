//! The server gone, in a browser as at the app: what was read stays open, what is written waits, and arrives once.

use crate::{COMPLETE, MINE, Scene, say, sign_in};
use harness::{Body, Person, Screen, Stack, until};
use protocol::SessionId;

in_both_bodies! {
    a_message_written_without_the_server_waits_and_arrives_once,
    a_message_whose_answer_was_lost_arrives_once,
}

const WAITING: &str = "[data-testid=\"message\"][data-delivery=\"waiting\"]";

/// A conversation that was read while the server was there.
async fn with_a_read_conversation(body: Body) -> (Scene, SessionId) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Log book").await;
    scene.elsewhere.note(id, "Calm sea, light wind").await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text_in(MINE, "Calm sea").await;
    (scene, id)
}

async fn arrives_once(scene: &Scene, id: SessionId, text: &str) {
    scene.screen.wait_gone(WAITING).await;
    until("the message at the server", async || {
        (scene.elsewhere.times_kept(id, text).await == 1).then_some(())
    })
    .await;
    scene.screen.wait_text_in(COMPLETE, text).await;
    assert_eq!(scene.elsewhere.times_kept(id, text).await, 1, "and once only");
    let shown = scene.screen.texts_in(MINE).await;
    let times = shown.iter().filter(|shown| shown.contains(text)).count();
    assert_eq!(times, 1, "{shown:?}");
}

async fn a_message_written_without_the_server_waits_and_arrives_once(body: Body) {
    let (scene, id) = with_a_read_conversation(body).await;
    scene.stack.server.kill();
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    scene.screen.click("home-link").await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text_in(MINE, "Calm sea").await;
    say(&scene.screen, "Storm coming").await;
    scene.screen.wait_text_in(WAITING, "Storm coming").await;
    scene
        .screen
        .picture(&format!("waiting-{body:?}").to_lowercase())
        .await;

    scene.stack.server.start_again().await;
    scene.stack.server.gate().open();
    scene.screen.wait_connection("online").await;
    arrives_once(&scene, id, "Storm coming").await;
}

async fn a_message_whose_answer_was_lost_arrives_once(body: Body) {
    let (scene, id) = with_a_read_conversation(body).await;
    // the server hears it, and its answer does not come back
    scene.stack.server.freeze();
    say(&scene.screen, "Heard but not answered").await;
    scene.screen.wait_text_in(WAITING, "Heard but not answered").await;
    scene.stack.server.gate().cut();
    scene.stack.server.thaw();
    arrives_once(&scene, id, "Heard but not answered").await;
}

#[tokio::test]
async fn what_waited_in_a_page_that_was_closed_is_sent_by_the_next() {
    let (scene, id) = with_a_read_conversation(Body::Browser).await;
    scene.stack.server.gate().shut();
    scene.screen.wait_connection("offline").await;
    say(&scene.screen, "Written before the tab was closed").await;
    scene
        .screen
        .wait_text_in(WAITING, "Written before the tab was closed")
        .await;
    scene.screen.leave().await;
    scene.stack.server.gate().open();
    assert_eq!(
        scene
            .elsewhere
            .times_kept(id, "Written before the tab was closed")
            .await,
        0
    );
    scene.screen.open(&protocol::routes::page::session(id)).await;
    arrives_once(&scene, id, "Written before the tab was closed").await;
}

/// Well before a draft would be kept by itself.
#[tokio::test]
async fn what_is_typed_a_moment_before_the_page_goes_is_kept() {
    const TYPED_AND_GONE: &str = "const field = document.getElementById('composer-input');
        field.value = 'Half a thought'; field.dispatchEvent(new InputEvent('input', { bubbles: true }));
        location.assign('/settings'); done();";
    let scene = Scene::signed_in(Body::Browser).await;
    let screen = &scene.screen;
    screen.wait_connection("online").await;
    screen.evaluate_later(TYPED_AND_GONE).await;
    screen.wait("sign-out").await;
    screen.open("/").await;
    stands_written(screen, "Half a thought").await;
}

/// Not signed out by themselves, which would leave nothing to be found.
#[tokio::test]
async fn what_somebody_was_writing_waits_for_them_and_is_shown_to_nobody_else() {
    let scene = Scene::signed_in(Body::Browser).await;
    let screen = &scene.screen;
    let (other, others) = Person::join_natively(&scene.stack).await;
    screen.fill("composer-input", "For nobody else").await;
    until("the draft to be kept", async || {
        let kept = "return Object.values(localStorage).includes('For nobody else')";
        (screen.evaluate(kept).await == true).then_some(())
    })
    .await;
    put_out(screen, &scene.elsewhere).await;
    sign_in(screen, &other).await;
    screen.wait_connection("online").await;
    stands_written(screen, "").await;
    put_out(screen, &others).await;
    sign_in(screen, &scene.person).await;
    stands_written(screen, "For nobody else").await;
}

/// Signs the browser out from this device of the same person, and leads it to the door.
async fn put_out(screen: &Screen, elsewhere: &harness::Client) {
    let own = elsewhere.me().await.device;
    let devices = elsewhere.devices().await;
    let browser = devices
        .iter()
        .find(|device| device.id != own)
        .expect("the browser");
    elsewhere.revoke(browser.id).await.succeeds();
    screen
        .wait_text_in(".bar-warn", "asks you to sign in again")
        .await;
    screen.open("/sign-in").await;
}

async fn stands_written(screen: &Screen, text: &str) {
    until(&format!("the composer to hold {text:?}"), async || {
        let typed = "return document.getElementById('composer-input')?.value";
        (screen.evaluate(typed).await == text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_writes_where_the_browser_keeps_nothing_is_told_that_it_may_be_lost() {
    let stack = Stack::start().await;
    let (person, _) = Person::join_natively(&stack).await;
    let screen = Screen::browser_that_keeps_nothing(&stack).await;
    sign_in(&screen, &person).await;
    screen.click("new-session").await;
    screen.wait_connection("online").await;
    stack.server.gate().shut();
    screen.wait_connection("offline").await;
    say(&screen, "Written on sand").await;
    screen.wait_text("flash", "does not keep what you write").await;
    stack.server.gate().open();
    screen.wait_text_in(COMPLETE, "Written on sand").await;
}
