//! A mailbox whose scanner opens every link in a browser of its own before its owner does: it gets nothing, and takes nothing away.

use crate::{sign_in, sign_out};
use harness::{Person, SESSION_COOKIE, Screen, Stack};
use protocol::routes::page;

const NEW_PASSWORD: &str = "walnut-ferry-copper-drizzle";

/// Opens a link as what looks at mail does, lets the page do all that it does by itself, and leaves it alone.
async fn scan(scanner: &Screen, link: &str) {
    scanner.open(link).await;
    scanner.wait_quiet().await;
    let cookies = scanner.cookie_names().await;
    assert!(!cookies.is_empty(), "they can be read");
    assert!(
        !cookies.iter().any(|name| name == SESSION_COOKIE),
        "{link}: {cookies:?}"
    );
}

/// The link of the newest letter about something, which the scanner has opened.
async fn scanned(stack: &Stack, scanner: &Screen, address: &str, subject: &str) -> String {
    let letter = stack.letter_about(address, subject).await;
    let link = letter.link.expect("a letter with a link");
    scan(scanner, &link).await;
    link
}

#[tokio::test]
async fn every_link_that_a_scanner_opened_first_works_for_its_owner_and_signs_no_scanner_in() {
    let stack = Stack::start().await;
    let (screen, scanner) = tokio::join!(Screen::browser(&stack), Screen::browser(&stack));
    let mut person = Person::fresh();
    let address = person.email.to_string();

    screen.click("to-sign-up").await;
    screen.wait("sign-up").await;
    screen.fill("email", &address).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-up").await;
    screen.wait("check-mail").await;
    let link = scanned(&stack, &scanner, &address, "Confirm").await;
    screen.open(&link).await;
    screen.click("confirm").await;
    screen.wait("new-session").await;
    sign_out(&screen).await;

    screen.open(page::LETTER_ASK).await;
    screen.fill("email", &address).await;
    screen.click("send-letter").await;
    screen.wait("letter-sent").await;
    let link = scanned(&stack, &scanner, &address, "Sign in").await;
    screen.open(&link).await;
    screen.click("enter").await;
    screen.wait("new-session").await;
    sign_out(&screen).await;

    screen.open(page::FORGOT).await;
    screen.fill("email", &address).await;
    screen.click("send-letter").await;
    screen.wait("forgot-sent").await;
    let link = scanned(&stack, &scanner, &address, "Choose a new password").await;
    screen.open(&link).await;
    NEW_PASSWORD.clone_into(&mut person.password);
    screen.fill("password", NEW_PASSWORD).await;
    screen.click("change-password").await;
    screen.click("to-sign-in").await;
    sign_in(&screen, &person).await;

    let new = Person::fresh().email.to_string();
    screen.open(page::SECURITY).await;
    screen.fill("new-email", &new).await;
    screen.click("change-email").await;
    screen.wait("email-waiting").await;
    let at_the_new = scanned(&stack, &scanner, &new, "Confirm your new").await;
    let at_the_old = scanned(&stack, &scanner, &address, "to be changed").await;
    for link in [at_the_new, at_the_old] {
        screen.open(&link).await;
        screen.click("email-agree").await;
        screen.wait_gone("[data-testid=\"email-agree\"]").await;
    }
    let taken_back = scanned(&stack, &scanner, &address, "address was changed").await;
    let changed = format!("select count(*) from users where email_key = '{new}'");
    assert_eq!(stack.number(&changed).await, 1, "looking takes nothing back");
    screen.open(&taken_back).await;
    screen.click("email-undo").await;
    screen.wait_gone("[data-testid=\"email-undo\"]").await;
    let back = format!("select count(*) from users where email_key = '{address}'");
    assert_eq!(stack.number(&back).await, 1);
}
