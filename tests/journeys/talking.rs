//! Sending messages and watching the replies.

use crate::{COMPLETE, MINE, REPLIES, Scene, say, sign_in};
use harness::{Body, Person, Screen, Stack, until};
use protocol::run::Status;
use serde_json::{Value, json};

in_both_bodies! {
    a_message_begins_a_session_and_the_reply_streams_in,
    what_one_device_writes_the_other_shows,
    a_reply_begun_elsewhere_streams_here_too,
    a_reply_can_be_stopped_and_keeps_what_was_said,
    a_failed_reply_says_so,
    what_people_write_is_shown_as_text,
    what_is_written_from_the_right_stands_at_the_right_and_code_does_not,
    what_a_reply_has_said_stays_as_it_was_drawn_while_it_grows,
    a_message_kept_without_an_answer_gets_one_when_asked,
    what_is_being_written_is_kept_for_each_session,
}

const SLOW: &str = "/slow 250ms amber basalt cedar dune ember fjord grove harbor island jetty kelp lagoon meadow north ocean pine";

async fn a_message_begins_a_session_and_the_reply_streams_in(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, SLOW).await;
    scene.screen.wait_text_in(MINE, "amber").await;
    let mut lengths = Vec::new();
    until("the reply to be complete", async || {
        let text = scene.screen.texts_in(REPLIES).await.concat();
        if lengths.last() != Some(&text.len()) {
            lengths.push(text.len());
        }
        (scene.screen.count(COMPLETE).await == 1).then_some(())
    })
    .await;
    assert!(lengths.len() > 2, "the reply grew before their eyes: {lengths:?}");
    scene.screen.wait_text_in(COMPLETE, "pine").await;
    let kept = scene
        .elsewhere
        .history(scene.elsewhere.newest_session().await)
        .await;
    assert_eq!(kept.messages.len(), 2);
    scene
        .screen
        .picture(&format!("conversation-{body:?}").to_lowercase())
        .await;
}

async fn what_one_device_writes_the_other_shows(body: Body) {
    let scene = Scene::signed_in(body).await;
    let other = Screen::browser(&scene.stack).await;
    sign_in(&other, &scene.person).await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, "The heron flies at dawn").await;
    other.wait_text("session-list", "The heron flies at dawn").await;
    other.click_on("[data-testid=\"session-row\"] a").await;
    other.wait_text_in(MINE, "The heron flies at dawn").await;
    other.wait_for(COMPLETE).await;
    // and back
    say(&other, "And rests at noon").await;
    scene.screen.wait_text_in(MINE, "And rests at noon").await;
    until("both replies here", async || {
        (scene.screen.count(COMPLETE).await == 2).then_some(())
    })
    .await;
    assert_eq!(scene.screen.count(MINE).await, 2, "nothing twice");
}

async fn a_reply_begun_elsewhere_streams_here_too(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("From afar").await;
    scene.screen.wait_text("session-list", "From afar").await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text("session-title", "From afar").await;
    scene.elsewhere.say(id, SLOW).await;
    scene.screen.wait_text_in(REPLIES, "cedar").await;
    assert_eq!(scene.screen.count(COMPLETE).await, 0, "still being said");
    scene.screen.wait_text_in(COMPLETE, "pine").await;
}

async fn a_reply_can_be_stopped_and_keeps_what_was_said(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, SLOW).await;
    scene.screen.wait_text_in(REPLIES, "basalt").await;
    scene.screen.click("stop").await;
    scene
        .screen
        .wait_text_in("[data-testid=\"message\"][data-status=\"cancelled\"]", "basalt")
        .await;
    let kept = scene
        .elsewhere
        .history(scene.elsewhere.newest_session().await)
        .await;
    let reply = kept.messages.last().expect("a reply");
    assert_eq!(reply.status, Status::Cancelled);
    assert!(
        reply.content.contains("basalt") && !reply.content.contains("pine"),
        "{}",
        reply.content
    );
}

async fn a_failed_reply_says_so(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, "/fail after a few words").await;
    scene
        .screen
        .wait_for("[data-testid=\"message\"][data-status=\"failed\"]")
        .await;
    say(&scene.screen, "And now?").await;
    scene.screen.wait_for(COMPLETE).await;
}

async fn a_message_kept_without_an_answer_gets_one_when_asked(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Second thoughts").await;
    scene.elsewhere.note(id, "Is anybody there").await;
    scene.screen.wait_text("session-list", "Second thoughts").await;
    scene.screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    scene.screen.wait_text_in(MINE, "Is anybody there").await;
    scene.screen.click("answer").await;
    scene.screen.wait_text_in(COMPLETE, "Is anybody there").await;
    scene.screen.wait_gone("[data-testid=\"answer\"]").await;
    assert_eq!(scene.elsewhere.history(id).await.messages.len(), 2);
}

async fn what_people_write_is_shown_as_text(body: Body) {
    let scene = Scene::signed_in(body).await;
    let nasty = "<img src=x onerror=\"document.title='owned'\"> <b>bold</b> </script>";
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, nasty).await;
    scene.screen.wait_text_in(MINE, "<b>bold</b>").await;
    scene.screen.wait_for(COMPLETE).await;
    assert_eq!(scene.screen.count("[data-testid=\"message-text\"] img").await, 0);
    assert_ne!(scene.screen.evaluate("return document.title").await, "owned");
}

/// Which way each of them is written.
async fn ways(screen: &Screen, selector: &str) -> Value {
    let script = format!(
        "return [...document.querySelectorAll('{selector}')].map((it) => getComputedStyle(it).direction)"
    );
    screen.evaluate(&script).await
}

/// Block by block, by its own first letter.
async fn what_is_written_from_the_right_stands_at_the_right_and_code_does_not(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    screen.fill("composer-input", "مرحبا").await;
    assert_eq!(ways(screen, "#composer-input").await, json!(["rtl"]));
    screen.fill("composer-input", "/rtl").await;
    screen.click("send").await;
    screen.wait_text_in(COMPLETE, "שורה").await;
    assert_eq!(ways(screen, ".assistant .block p").await, json!(["rtl"]));
    screen
        .picture(&format!("from-the-right-{body:?}").to_lowercase())
        .await;
    let mixed = "a\n\nاكتب `let x` هنا\n\n```rust\nlet x = 1; // مرحبا\n```\n\nand so on";
    let session = scene.elsewhere.newest_session().await;
    scene.elsewhere.say(session, mixed).await;
    screen.wait_text_in(COMPLETE, "and so on").await;
    let last = ".assistant:last-of-type";
    assert_eq!(
        ways(screen, &format!("{last} .block p")).await,
        json!(["ltr", "rtl", "ltr"])
    );
    assert_eq!(
        ways(screen, &format!("{last} :is(p code, .code, pre)")).await,
        json!(["ltr", "ltr", "ltr"])
    );
}

/// Keeps an eye on the first block of the newest reply, and gives it a mark that no new one would have.
const WATCH: &str = "
    const first = document.querySelector('.assistant .block');
    first.isMarked = true;
    window.touched = 0;
    const watching = {subtree: true, childList: true, characterData: true, attributes: true};
    new MutationObserver((seen) => { window.touched += seen.length; }).observe(first, watching);";
const WATCHED: &str = "
    const blocks = document.querySelectorAll('.assistant .block');
    return [blocks[0].isMarked === true, window.touched, blocks.length > 5]";

async fn what_a_reply_has_said_stays_as_it_was_drawn_while_it_grows(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    say(screen, "/slow 150ms /markdown").await;
    let growing = "[data-testid=\"message\"][data-status=\"streaming\"]";
    screen.wait_text_in(growing, "A paragraph").await;
    screen.evaluate(WATCH).await;
    screen.wait_text_in(COMPLETE, "The end.").await;
    let drawn = screen.evaluate(WATCHED).await;
    assert_eq!(
        drawn,
        json!([true, 0, true]),
        "drawn once, touched by nothing, and more came"
    );
}

async fn stands_written(screen: &Screen, text: &str) {
    until(&format!("the composer to hold {text:?}"), async || {
        let typed = screen
            .evaluate("return document.getElementById('composer-input')?.value")
            .await;
        (typed == text).then_some(())
    })
    .await;
}

async fn what_is_being_written_is_kept_for_each_session(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Log book").await;
    let row = format!("[data-session=\"{id}\"] a");
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.fill("composer-input", "A beginning").await;
    scene.screen.click_on(&row).await;
    scene.screen.wait_text("session-title", "Log book").await;
    stands_written(&scene.screen, "").await;
    scene.screen.fill("composer-input", "Half a thought").await;
    scene.screen.click("home-link").await;
    stands_written(&scene.screen, "A beginning").await;
    scene.screen.click_on(&row).await;
    stands_written(&scene.screen, "Half a thought").await;
    scene.screen.reload().await;
    stands_written(&scene.screen, "Half a thought").await;
    // sent at once after the last key
    scene
        .screen
        .press("composer-input", " and the rest\u{E007}")
        .await;
    scene
        .screen
        .wait_text_in(MINE, "Half a thought and the rest")
        .await;
    stands_written(&scene.screen, "").await;
    scene.screen.click("home-link").await;
    stands_written(&scene.screen, "A beginning").await;
    scene.screen.click_on(&row).await;
    scene
        .screen
        .wait_text_in(MINE, "Half a thought and the rest")
        .await;
    stands_written(&scene.screen, "").await;
}

/// By long polls and server-sent events: proxies that let no socket through are not rare.
#[tokio::test]
async fn a_browser_whose_sockets_are_refused_shows_a_reply_while_it_is_made() {
    let stack = Stack::start().await;
    stack.server.gate().refuse_sockets();
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::fresh(Body::Browser, &stack).await;
    sign_in(&screen, &person).await;
    screen.wait_connection("online").await;
    let session = elsewhere.create_session("No sockets here").await;
    screen.wait_text("session-list", "No sockets here").await;
    screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
    let words: Vec<String> = (1..=40).map(|word| format!("word{word}")).collect();
    let sent = elsewhere
        .say(session, &format!("/slow 250ms {}", words.join(" ")))
        .await;
    let growing = "[data-testid=\"message\"][data-status=\"streaming\"]";
    let begun = screen.wait_text_in(growing, "word3").await;
    assert!(!begun.contains("word40"), "{begun}");
    screen.wait_text_in(COMPLETE, "word40").await;
    let kept = elsewhere.committed(session, sent.reply()).await;
    assert_eq!(screen.texts_in(COMPLETE).await.len(), 1);
    assert!(kept.content.contains("word40"));
}
