//! A link that brings a prompt: it stands where a session begins and says where it came from, and only whoever reads it sends it.

use crate::drafts::{COMPOSER, MINE, stands_written};
use crate::{Scene, sign_in};
use harness::{Person, Seat, Stack, until};
use url::form_urlencoded::Serializer;

const LINE: &str = "[data-testid=\"from-link\"]";
const OFFER: &str = "[data-testid=\"link-offer\"]";

/// As a page would write it.
fn link(prompt: &str) -> String {
    let query = Serializer::new(String::new())
        .append_pair("prompt", prompt)
        .finish();
    format!("compymac://new?{query}")
}

#[tokio::test]
async fn a_link_brings_a_prompt_to_the_running_app_and_nothing_of_it_is_sent_or_kept() {
    let prompt = "Why do herons\nstand on 1+1 legs?";
    let scene = Scene::signed_in_by_a_file().await;
    let screen = &scene.screen;
    let id = scene.elsewhere.create_session("Log book").await;
    screen.wait_text("session-list", "Log book").await;
    screen.click("settings").await;
    scene.seat.hand_over(&link(prompt));
    screen.wait_text("from-link", "Read it before you send it.").await;
    stands_written(screen, prompt).await;
    screen.picture("prompt-from-a-link").await;
    // a key that was on its way when the link came
    until("the line to have the keyboard", async || {
        (screen.focus().await.as_deref() == Some("from-link")).then_some(())
    })
    .await;
    scene.seat.look_at("CompyMac").await;
    scene.seat.strike(&["key", "Return"]);

    // what is written after it is on the disk, and it is not
    screen.click_on(&format!("[data-session=\"{id}\"] a")).await;
    screen.wait_text("session-title", "Log book").await;
    screen.fill(COMPOSER, "Half a thought about whales").await;
    until("the draft to be on the disk", async || {
        scene.seat.keeps("Half a thought about whales").then_some(())
    })
    .await;
    assert!(!scene.seat.keeps("Why do herons"), "nobody has written in it");
    assert_eq!(scene.elsewhere.sessions().await.len(), 1, "nothing was begun");

    screen.click("home-link").await;
    stands_written(screen, prompt).await;
    screen.wait_for(LINE).await;
    screen.click("send").await;
    screen.wait_text_in(MINE, "Why do herons").await;
    until("it to be at the server once it was sent", async || {
        (scene.elsewhere.sessions().await.len() == 2).then_some(())
    })
    .await;
    screen.click("home-link").await;
    screen.wait_for("#composer-input:not([data-of])").await;
    stands_written(screen, "").await;
    assert_eq!(screen.count(LINE).await, 0);
}

#[tokio::test]
async fn what_somebody_is_writing_stays_and_the_prompt_is_offered_beside_it() {
    let scene = Scene::signed_in().await;
    let screen = &scene.screen;
    screen.fill(COMPOSER, "My own words").await;
    scene.seat.start_with(&link("Theirs, first"));
    screen.wait_for(OFFER).await;
    stands_written(screen, "My own words").await;
    screen.picture("prompt-offered").await;
    screen.click("leave-linked").await;
    screen.wait_gone(OFFER).await;
    screen.press(COMPOSER, ", and more").await;
    stands_written(screen, "My own words, and more").await;

    scene.seat.start_with(&link("Theirs, second"));
    screen.click("use-linked").await;
    stands_written(screen, "Theirs, second").await;
    screen.wait_for(LINE).await;
    // looked at and not written in, it has taken the place of nothing
    screen.click("settings").await;
    screen.click("home-link").await;
    screen.wait_for(OFFER).await;
    stands_written(screen, "My own words, and more").await;
    screen.click("use-linked").await;
    stands_written(screen, "Theirs, second").await;
    screen.press(COMPOSER, ", changed").await;
    // now it is what is being written, and still says where it came from
    screen.click("settings").await;
    screen.click("home-link").await;
    screen.wait_for(LINE).await;
    stands_written(screen, "Theirs, second, changed").await;
    assert!(scene.elsewhere.sessions().await.is_empty());
    screen.click("send").await;
    screen.wait_text_in(MINE, "Theirs, second, changed").await;
}

#[tokio::test]
async fn a_prompt_waits_at_the_door_and_comes_along_when_a_link_starts_the_app() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    seat.start_with(&link("List the files"));
    screen.wait_text("flash", "until you have signed in").await;
    sign_in(&screen, &person).await;
    screen.wait_for(LINE).await;
    stands_written(&screen, "List the files").await;
    screen.close().await;

    let screen = seat.launch_by(&link("Count the files")).await;
    screen.wait_for(LINE).await;
    stands_written(&screen, "Count the files").await;
    assert!(elsewhere.sessions().await.is_empty());
}

#[tokio::test]
async fn a_link_that_hides_something_or_brings_too_much_is_dropped() {
    let scene = Scene::signed_in().await;
    let links = [
        link(&"a".repeat(5001)),
        link("list\u{202e}files"),
        "compymac://new?prompt=list\u{2066}files".to_owned(),
        link("list\u{1b}[8mfiles"),
        link("list\u{e0041}files"),
        link("list\u{200b}files"),
        format!("{}&send=1", link("list files")),
        "compymac://new".to_owned(),
    ];
    for link in &links {
        scene.seat.start_with(link);
    }
    until("the links to have been looked at", async || {
        let dropped = scene.seat.log().matches("not one of ours was dropped").count();
        (dropped == links.len()).then_some(())
    })
    .await;
    stands_written(&scene.screen, "").await;
    assert_eq!(scene.screen.count(LINE).await, 0);
    // and the longest that may be
    let whole = "\u{1f680}".repeat(5000);
    scene.seat.start_with(&link(&whole));
    scene.screen.wait_for(LINE).await;
    stands_written(&scene.screen, &whole).await;
    assert!(scene.elsewhere.sessions().await.is_empty());
}
