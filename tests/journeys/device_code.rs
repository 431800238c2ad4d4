//! A program that can open no browser, and its person, who types the code that it shows into theirs.

use crate::give_password;
use harness::{Headless, Person, Screen, Stack};
use protocol::routes::page;

/// As people type: in small letters, and without the dash.
async fn type_code(screen: &Screen, code: &str) {
    let typed = code.to_lowercase().replace('-', " ");
    screen.fill("code", &typed).await;
    screen.click("look").await;
}

#[tokio::test]
async fn a_program_without_a_browser_is_let_in_or_refused_by_whoever_types_its_code() {
    let stack = Stack::start().await;
    let (person, _laptop) = Person::join_natively(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    assert_eq!(tower.is_told().await, "authorization_pending");
    let screen = Screen::browser(&stack).await;
    screen.open(&tower.codes.verification_uri).await;
    // by the door, and on to where one was going
    give_password(&screen, &person).await;
    screen.wait("look").await;
    type_code(&screen, "BBBB-BBBB").await;
    screen.wait_text("problem", "no such code").await;
    type_code(&screen, &tower.codes.user_code).await;
    screen.wait("allow").await;
    screen.wait_text_in(".gate-text", "Tower").await;
    screen.picture("device-code").await;
    screen.click("allow").await;
    screen.wait_text("allowed", "Tower").await;
    assert_eq!(tower.enters().await.me.email, person.email);
    screen.click_on("a[href=\"/settings\"]").await;
    screen.wait_text("devices", "Tower").await;

    let workshop = Headless::on(&stack, "Workshop").await;
    screen.open(page::DEVICE_CODE).await;
    type_code(&screen, &workshop.codes.user_code).await;
    screen.click("refuse").await;
    screen.wait_text("refused", "Workshop").await;
    assert_eq!(workshop.is_told().await, "access_denied");
}
