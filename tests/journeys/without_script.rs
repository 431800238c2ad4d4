//! With script switched off in the browser, or WebAssembly alone, the way in, the list and a conversation still work.

use crate::{COMPLETE, MINE, say, sign_in};
use harness::{OpenIdProvider, Person, Screen, Stack, Visitor, until};

async fn signed_in() -> (Stack, harness::Client, Screen) {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::browser_without_script(&stack).await;
    sign_in(&screen, &person).await;
    (stack, elsewhere, screen)
}

/// The reply, where nothing in the page fetches it.
async fn comes_by_reloading(screen: &Screen) {
    until("the reply on the page", async || {
        if screen.count(COMPLETE).await == 1 {
            return Some(());
        }
        screen.reload().await;
        None
    })
    .await;
}

#[tokio::test]
async fn somebody_signs_in_and_sees_their_sessions() {
    let (_stack, elsewhere, screen) = signed_in().await;
    elsewhere.create_session("Seen without script").await;
    screen.reload().await;
    screen.wait_text("session-list", "Seen without script").await;
    screen.click_on("[data-testid=\"session-row\"] a").await;
    screen.wait_text("session-title", "Seen without script").await;
}

#[tokio::test]
async fn somebody_signs_in_at_a_provider_on_another_site() {
    let (provider, person) = (OpenIdProvider::start().await, Person::fresh());
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let stack = Stack::builder()
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    let screen = Screen::browser_without_script(&stack).await;
    screen.click("provider-google").await;
    screen.wait("new-session").await;
}

#[tokio::test]
async fn somebody_sends_a_message_and_reads_the_reply() {
    let (_stack, elsewhere, screen) = signed_in().await;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    say(&screen, "By hand").await;
    screen.wait_text_in(MINE, "By hand").await;
    comes_by_reloading(&screen).await;
    let session = elsewhere.newest_session().await;
    assert_eq!(
        elsewhere.history(session).await.messages.len(),
        2,
        "reloading sent nothing again"
    );
}

#[tokio::test]
async fn without_webassembly_alone_somebody_signs_in_sends_and_reads() {
    let stack = Stack::start().await;
    let (person, _elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::browser_without_webassembly(&stack).await;
    let has = screen.evaluate("return typeof WebAssembly").await;
    assert_eq!(has, "undefined", "it is off");
    sign_in(&screen, &person).await;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    say(&screen, "By half").await;
    screen.wait_text_in(MINE, "By half").await;
    comes_by_reloading(&screen).await;
    assert_eq!(screen.count(".broken").await, 0, "nothing is said to be broken");
}

#[tokio::test]
async fn somebody_renames_archives_and_signs_out() {
    let (_stack, elsewhere, screen) = signed_in().await;
    let id = elsewhere.create_session("By form").await;
    screen.reload().await;
    screen.click_on("[data-testid=\"session-row\"] a").await;
    screen.click("rename").await;
    screen.fill("rename-input", "By hand").await;
    screen.press("rename-input", "\u{E007}").await;
    screen.wait_text("session-title", "By hand").await;
    screen.click("archive").await;
    until("the archive", async || {
        elsewhere.session(id).await.archived.then_some(())
    })
    .await;
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
}

#[tokio::test]
async fn somebody_who_forgot_their_password_chooses_a_new_one() {
    let stack = Stack::start().await;
    let (person, _elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::browser_without_script(&stack).await;
    screen.click("to-forgot").await;
    screen.fill("email", person.email.as_str()).await;
    screen.click("send-letter").await;
    screen.wait("forgot-sent").await;
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    screen.open(&letter.link.expect("a link")).await;
    screen.fill("password", "walnut-ferry-copper-drizzle").await;
    screen.picture("new-password").await;
    screen.click("change-password").await;
    screen.click("to-sign-in").await;
    let changed = Person {
        password: "walnut-ferry-copper-drizzle".to_owned(),
        ..person
    };
    sign_in(&screen, &changed).await;
}
