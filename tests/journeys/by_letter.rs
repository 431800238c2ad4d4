//! A letter to sign in by that is opened on another device than the one on which it was asked for.

use crate::sign_out;
use harness::mailbox::written;
use harness::{Letter, Person, SESSION_COOKIE, Screen, Stack, until};

/// Asks for a letter, and gives what came after the `before`th of all letters.
async fn ask(stack: &Stack, screen: &Screen, person: &Person, before: usize) -> Letter {
    screen.click("by-letter").await;
    screen.wait("send-letter").await;
    screen.fill("email", person.email.as_str()).await;
    screen.click("send-letter").await;
    screen.wait("letter-sent").await;
    until("the letter to sign in by", async || {
        let letters = stack.mailbox.letters_to(person.email.as_str());
        letters
            .into_iter()
            .find(|letter| letter.id > before && letter.subject.starts_with("Sign in to"))
    })
    .await
}

async fn is_in(screen: &Screen) -> bool {
    let cookies = screen.cookie_names().await;
    cookies.iter().any(|name| name == SESSION_COOKIE)
}

#[tokio::test]
async fn a_letter_opened_elsewhere_shows_its_code_for_the_first_window_or_signs_in_there() {
    let stack = Stack::start().await;
    let (person, _laptop) = Person::join_natively(&stack).await;
    let (asking, phone) = tokio::join!(Screen::browser(&stack), Screen::browser(&stack));

    let first = ask(&stack, &asking, &person, 0).await;
    phone.open(&first.link.expect("a link")).await;
    phone.click("show-code").await;
    phone.wait("code-copy").await;
    let shown = phone.texts_in("[data-testid=\"code-copy\"]").await.concat();
    assert_eq!(
        Some(&shown),
        first.code.as_deref().map(written).as_ref(),
        "as the letter has it"
    );
    phone.picture("letter-code").await;
    asking.fill("code", &shown).await;
    asking.click("enter").await;
    asking.wait("new-session").await;
    assert!(!is_in(&phone).await, "showing it signs nobody in");

    sign_out(&asking).await;
    let second = ask(&stack, &asking, &person, first.id).await;
    phone.open(&second.link.expect("a link")).await;
    phone.click("enter").await;
    phone.wait("new-session").await;
    // a letter lets in once, and whoever clicks lets nobody in who waits elsewhere
    asking.fill("code", &second.code.expect("a code")).await;
    asking.click("enter").await;
    asking.wait_text("problem", "no longer valid").await;
    assert!(!is_in(&asking).await);
}
