//! A copy of everything, and an account that is to go: the app leads to both in the system's browser, and goes on honestly
//! afterwards.

use crate::deep_link::agree;
use crate::{Scene, give_password, leave_by, sign_in_by_a_file};
use harness::{Archive, Person, Screen, Seat, Stack, until};
use protocol::routes::page;

const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
const WAITING: &str = "[data-testid=\"message\"][data-delivery=\"waiting\"]";
const COMPLETE: &str = "[data-testid=\"message\"][data-role=\"assistant\"][data-status=\"complete\"]";

/// From the app's settings to the page of the account, in a browser that is signed in at nothing yet.
async fn at_the_account(screen: &Screen, seat: &Seat, stack: &Stack, person: &Person) -> Screen {
    screen.click("settings").await;
    let address = leave_by(screen, seat, "to-security").await;
    assert_eq!(address, format!("{}{}", stack.url(), page::SECURITY));
    let browser = Screen::browser(stack).await;
    browser.open(&address).await;
    give_password(&browser, person).await;
    browser
}

/// Asks in the browser for the account to be deleted; the app has heard of it.
async fn leave(browser: &Screen, screen: &Screen, person: &Person) {
    browser.fill("leave-email", person.email.as_str()).await;
    browser.click("leave").await;
    browser.wait_text("told", "It goes for good on").await;
    screen.wait_connection("signed_out").await;
    screen
        .wait_text_in(".bar-warn", "asks you to sign in again")
        .await;
}

async fn say(screen: &Screen, text: &str) {
    screen.fill("composer-input", text).await;
    screen.click("send").await;
}

#[tokio::test]
async fn a_copy_of_everything_is_asked_for_from_the_app_and_holds_what_was_written_there() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let scene = Scene::of(stack, &person, elsewhere).await;
    scene.screen.click("new-session").await;
    scene.screen.wait("transcript").await;
    say(&scene.screen, "Tomatoes by the window").await;
    scene.screen.wait_for(COMPLETE).await;

    let browser = at_the_account(&scene.screen, &scene.seat, &scene.stack, &person).await;
    browser.click("export").await;
    scene
        .stack
        .letter_about(person.email.as_str(), "data is ready")
        .await;
    browser.open(page::SECURITY).await;
    browser.wait_text("export-ready", "kept until").await;
    let mut archive = Archive::of(browser.download("export-fetch", "compymac-data.zip").await);
    let messages = archive.text("messages.md");
    assert!(messages.contains("Tomatoes by the window"), "{messages}");
    assert!(archive.text("account.json").contains(person.email.as_str()));
}

#[tokio::test]
async fn an_account_that_is_to_go_keeps_what_waits_in_the_app_and_is_kept_by_a_sign_in_from_there() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let id = elsewhere.create_session("Worth keeping").await;
    elsewhere.note(id, "Calm sea, light wind").await;
    let scene = Scene::of(stack, &person, elsewhere).await;
    let screen = &scene.screen;
    let row = format!("[data-session=\"{id}\"] a");
    screen.click_on(&row).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    let browser = at_the_account(screen, &scene.seat, &scene.stack, &person).await;
    leave(&browser, screen, &person).await;

    // nothing is taken away, and what is written now waits
    screen.click_on(&row).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    say(screen, "Written meanwhile").await;
    screen.wait_text_in(WAITING, "Written meanwhile").await;
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait_text("problem", "have not been sent yet").await;
    screen.wait("sign-out-anyway").await;

    // the door says how it stands, and where it is answered
    screen.click_on(".bar-warn a").await;
    give_password(screen, &person).await;
    screen.wait_text("problem", "will be deleted on").await;
    screen
        .wait_text("problem", "sign in with your browser before then")
        .await;
    screen.picture("leaving-desktop").await;
    let address = leave_by(screen, &scene.seat, "provider-browser").await;
    browser.open(&address).await;
    give_password(&browser, &person).await;
    browser.wait_text("leaving-until", person.email.as_str()).await;
    browser.click("keep").await;
    scene.seat.hand_over(&agree(&browser).await);

    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    let laptop = person.native(&scene.stack, "Laptop").await;
    until("the message at the server", async || {
        (laptop.times_kept(id, "Written meanwhile").await == 1).then_some(())
    })
    .await;
    screen.click_on(&row).await;
    screen.wait_text_in(MINE, "Written meanwhile").await;
    screen.wait_gone(WAITING).await;
}

#[tokio::test]
async fn whoever_lets_their_account_go_signs_out_of_the_app_and_leaves_nothing_there() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let id = elsewhere.create_session("Sealed orders").await;
    elsewhere.note(id, "The lighthouse keeper knows").await;
    // at a computer without a keychain, whose files can be read
    let seat = Seat::without_keychain(&stack).await;
    let screen = seat.launch().await;
    sign_in_by_a_file(&screen, &person).await;
    until("the cache to hold it", async || {
        seat.keeps("lighthouse keeper").then_some(())
    })
    .await;
    let browser = at_the_account(&screen, &seat, &stack, &person).await;
    leave(&browser, &screen, &person).await;
    assert!(
        seat.keeps("lighthouse keeper"),
        "it is its owner's until they say"
    );

    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
    until("the cache to be wiped", async || {
        (!seat.keeps("lighthouse keeper") && !seat.keeps("Sealed orders")).then_some(())
    })
    .await;
    screen.close().await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
}
