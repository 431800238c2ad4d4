//! A passkey in a real browser: made on the security page, and then the one thing that somebody needs to sign in.

use crate::sign_in;
use harness::{Person, Screen, Stack};

#[tokio::test]
async fn somebody_adds_a_passkey_and_signs_in_with_it() {
    let stack = Stack::builder().with_name().start().await;
    let (person, _elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::browser(&stack).await;
    screen.hold_passkeys().await;
    sign_in(&screen, &person).await;

    screen.open("/settings/security").await;
    screen.fill("passkey-name", "This laptop").await;
    assert!(!screen.is_seen(".without-passkeys").await);
    screen.click("passkey-add").await;
    screen.wait_text("done", "The passkey is added").await;
    screen.wait_text("passkeys", "This laptop").await;
    screen.picture("passkeys").await;
    // the same holder again
    screen.click("passkey-add").await;
    screen
        .wait_text_in(".told", "has a passkey for your account already")
        .await;
    screen.picture("passkey-refused").await;

    screen.open("/settings").await;
    screen.click("sign-out").await;
    screen.wait("by-passkey").await;
    screen.picture("sign-in-with-passkey").await;
    screen.click("by-passkey").await;
    screen.wait("new-session").await;

    // it shows too that it is still them
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    screen.open("/settings/security").await;
    screen.click("prove").await;
    screen.wait("prove-passkey").await;
    screen.picture("prove-by-passkey").await;
    screen.click("prove-passkey").await;
    screen.click_on("[data-testid=\"passkey-more\"] summary").await;
    screen.fill("passkey-new-name", "Old laptop").await;
    screen.picture("passkey-more").await;
    screen.click("passkey-rename").await;
    screen.wait_text("passkeys", "Old laptop").await;
    screen.click_on("[data-testid=\"passkey-more\"] summary").await;
    screen.click("passkey-remove").await;
    screen.wait_text("done", "The passkey is removed").await;

    // and then it opens nothing
    screen.open("/settings").await;
    screen.click("sign-out").await;
    screen.click("by-passkey").await;
    screen
        .wait_text("problem", "That passkey did not work here")
        .await;
    screen.picture("passkey-gone").await;
}

#[tokio::test]
async fn without_script_nothing_is_offered_that_would_not_work() {
    let stack = Stack::builder().with_name().start().await;
    let (person, _elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::browser_without_script(&stack).await;
    screen.wait("by-letter").await;
    assert!(!screen.is_seen("[data-testid=\"by-passkey\"]").await);
    sign_in(&screen, &person).await;
    screen.open("/settings/security").await;
    screen.wait("passkeys-section").await;
    assert!(!screen.is_seen("[data-testid=\"passkey-add\"]").await);
    assert!(screen.is_seen(".without-passkeys").await);
    screen.picture("passkeys-without-script").await;
}
