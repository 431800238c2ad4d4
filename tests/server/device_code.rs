//! Signing in where no browser can be opened: a code is shown there and typed here, and nobody is led to it by a link.

use crate::email_change::while_held;
use futures_util::future::join_all;
use harness::{Answer, Client, Headless, Person, Stack};
use http::Method;
use protocol::oauth::{CLIENT_ID, DeviceCodeAnswer, Grant};
use protocol::routes::{self, page};

/// Time passes that no test waits for.
async fn after(stack: &Stack, seconds: u32) {
    let past = format!(
        "update device_codes set polled_at = polled_at - interval '{seconds} seconds',
                expires = expires - interval '{seconds} seconds', created_at = created_at - interval '{seconds} seconds'"
    );
    stack.execute(&past).await;
}

pub(super) async fn type_code(browser: &Client, code: &str) -> Answer {
    let form = browser.visit(page::DEVICE_CODE).await;
    browser.submit(&form, page::DEVICE_CODE, &[("code", code)]).await
}

pub(super) async fn press(browser: &Client, found: &Answer, answer: &str) -> Answer {
    browser
        .submit(found, page::DEVICE_CODE, &[("answer", answer)])
        .await
}

#[tokio::test]
async fn a_program_without_a_browser_is_signed_in_by_a_typed_code() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower <of Ana>").await;
    assert!(tower.codes.verification_uri.ends_with(page::DEVICE_CODE));
    assert!(!tower.codes.verification_uri.contains(&tower.codes.user_code));
    assert_eq!(tower.is_told().await, "authorization_pending");
    // whoever was sent a code is warned before it is typed, and before it is answered
    let form = browser.visit(page::DEVICE_CODE).await.text();
    assert!(
        form.contains("Only type a code that you see on a device of your own"),
        "{form}"
    );
    let found = type_code(&browser, &tower.codes.user_code.to_lowercase().replace('-', " ")).await;
    let warning = "Did somebody send you this code? Then cancel";
    assert!(found.text().contains(warning), "{}", found.text());
    assert!(found.text().contains("Tower &lt;of Ana&gt;"), "{}", found.text());
    assert!(found.text().contains(person.email.as_str()));
    assert!(
        found.text_of("asked-from").contains("127.0.0"),
        "{}",
        found.text()
    );
    let done = press(&browser, &found, "yes").await;
    assert!(done.text().contains("data-testid=\"allowed\""), "{}", done.text());
    let signed_in = tower.enters().await;
    assert_eq!(signed_in.me.email, person.email);
    assert_eq!(tower.client.me().await.device, signed_in.me.device);
    assert!(
        browser
            .devices()
            .await
            .iter()
            .any(|device| device.name.starts_with("Tower"))
    );
    assert_eq!(tower.is_told().await, "invalid_grant", "it works once");
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    assert!(letter.text.contains("Tower"), "and its owner is told: {letter:?}");
}

#[tokio::test]
async fn of_many_questions_at_once_one_is_answered_with_tokens() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    press(&browser, &found, "yes").await;
    let answers = join_all((0..20).map(|_| tower.ask())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test]
async fn a_program_that_comes_in_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let user = format!("'{}'", browser.me().await.user);
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    press(&browser, &found, "yes").await;
    let signed_in = while_held(&stack, &user, tower.enters()).await;
    assert_eq!(signed_in.me.email, person.email);
}

#[tokio::test]
async fn who_refuses_lets_nobody_in() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    let done = press(&browser, &found, "no").await;
    assert!(done.text().contains("data-testid=\"refused\""), "{}", done.text());
    assert_eq!(tower.is_told().await, "access_denied");
    assert_eq!(tower.is_told().await, "invalid_grant");
    assert_eq!(browser.devices().await.len(), 1);
}

#[tokio::test]
async fn the_browser_that_answered_is_told_so_at_its_next_press_and_no_other_is() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let (_, stranger) = Person::join(&stack).await;
    let elsewhere = person.browser(&stack).await;
    for (first, then, told) in [("yes", "no", "allowed-already"), ("no", "yes", "refused-already")] {
        let tower = Headless::on(&stack, "Tower").await;
        let code = tower.codes.user_code.as_str();
        let found = type_code(&browser, code).await;
        let marked = format!("data-testid=\"{told}\"");
        press(&browser, &found, first).await.succeeds();
        let again = press(&browser, &found, then).await;
        assert!(again.succeeds().text().contains(&marked), "{again:?}");
        assert!(again.text().contains("Tower"), "{again:?}");
        // what was answered first holds, and is told too once the program has heard it
        if first == "yes" {
            tower.enters().await;
        } else {
            assert_eq!(tower.is_told().await, "access_denied");
        }
        let late = press(&browser, &found, first).await;
        assert!(late.succeeds().text().contains(&marked), "{late:?}");
        assert_eq!(tower.is_told().await, "invalid_grant", "it works once");

        for other in [&stranger, &elsewhere] {
            let form = other.visit(page::DEVICE_CODE).await;
            for code in [code, "BBBB-BBBB"] {
                let guess = [("code", code), ("answer", "yes")];
                let guess = other.submit(&form, page::DEVICE_CODE, &guess).await;
                assert_eq!(guess.status, 410, "{guess:?}");
                assert!(guess.text().contains("There is no such code"), "{guess:?}");
                assert!(!guess.text().contains("Tower"), "{guess:?}");
            }
        }
        after(&stack, 601).await;
        assert_eq!(press(&browser, &found, first).await.status, 410);
    }
}

#[tokio::test]
async fn only_the_browser_that_looked_first_may_answer() {
    let stack = Stack::start().await;
    let (_, mallory) = Person::join(&stack).await;
    let (_, victim) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let seen = type_code(&mallory, &tower.codes.user_code).await;
    let late = type_code(&victim, &tower.codes.user_code).await;
    assert_eq!(late.status, 410, "{}", late.text());
    let form = victim.visit(page::DEVICE_CODE).await;
    let forced = [("code", tower.codes.user_code.as_str()), ("answer", "yes")];
    let forced = victim.submit(&form, page::DEVICE_CODE, &forced).await;
    assert_eq!(forced.status, 410);
    assert_eq!(tower.is_told().await, "authorization_pending");
    press(&mallory, &seen, "yes").await;
    let signed_in = tower.enters().await;
    assert_eq!(signed_in.me.email, mallory.me().await.email);
}

#[tokio::test]
async fn a_code_that_nobody_looked_at_cannot_be_answered() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let form = browser.visit(page::DEVICE_CODE).await;
    let blind = [("code", tower.codes.user_code.as_str()), ("answer", "yes")];
    assert_eq!(browser.submit(&form, page::DEVICE_CODE, &blind).await.status, 410);
    assert_eq!(tower.is_told().await, "authorization_pending");
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_slow_down_and_waits_longer() {
    let stack = Stack::start().await;
    let tower = Headless::on(&stack, "Tower").await;
    assert_eq!(tower.is_told().await, "authorization_pending");
    assert_eq!(tower.is_told().await, "slow_down");
    after(&stack, 6).await;
    assert_eq!(tower.is_told().await, "slow_down", "ten seconds from now on");
    after(&stack, 16).await;
    assert_eq!(tower.is_told().await, "authorization_pending");
}

#[tokio::test]
async fn after_ten_minutes_both_codes_are_worth_nothing() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    after(&stack, 601).await;
    assert_eq!(press(&browser, &found, "yes").await.status, 410);
    assert_eq!(tower.is_told().await, "expired_token");
    assert_eq!(type_code(&browser, &tower.codes.user_code).await.status, 410);
}

#[tokio::test]
async fn what_a_browser_allowed_goes_with_it_when_it_is_signed_out_or_the_password_changes() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    press(&browser, &found, "yes").await;
    browser.sign_out().await;
    assert_eq!(tower.is_told().await, "access_denied");
    let browser = person.browser(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    let found = type_code(&browser, &tower.codes.user_code).await;
    press(&browser, &found, "yes").await;
    stack
        .execute("update sessions set revoked_at = now() where kind = 0")
        .await;
    assert_eq!(tower.is_told().await, "access_denied");
}

#[tokio::test]
async fn wrong_codes_are_counted_for_each_browser() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, browser) = Person::join(&stack).await;
    let tower = Headless::on(&stack, "Tower").await;
    for _ in 0..5 {
        let wrong = type_code(&browser, "BBBB-BBBB").await;
        assert_eq!(wrong.status, 410, "{}", wrong.text());
    }
    assert_eq!(type_code(&browser, &tower.codes.user_code).await.status, 429);
    assert_eq!(tower.is_told().await, "authorization_pending");
}

#[tokio::test]
async fn answers_to_codes_that_nobody_looked_at_are_counted_too_and_good_ones_are_not() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, browser) = Person::join(&stack).await;
    for _ in 0..6 {
        let tower = Headless::on(&stack, "Tower").await;
        let found = type_code(&browser, &tower.codes.user_code).await;
        press(&browser, &found, "no").await.succeeds();
        press(&browser, &found, "no").await.succeeds();
    }
    let form = browser.visit(page::DEVICE_CODE).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let blind = [("code", "BBBB-BBBB"), ("answer", "yes")];
        statuses.push(browser.submit(&form, page::DEVICE_CODE, &blind).await.status);
    }
    assert_eq!(statuses, [410, 410, 410, 410, 410, 429]);
}

#[tokio::test]
async fn a_stranger_is_led_to_the_door_and_noise_is_refused() {
    let stack = Stack::start().await;
    let stranger = Client::browser(&stack.url(), &stack.url());
    let door = stranger.get(page::DEVICE_CODE).await;
    assert!(door.location().contains(page::SIGN_IN), "{door:?}");
    let long = "x".repeat(5_000);
    let named: DeviceCodeAnswer = Headless::begin(&stack, &long).await.expect();
    assert_eq!(named.interval, 5);
    let client = Client::native(&stack.url());
    let post = |form: Vec<(&'static str, &'static str)>| {
        let request = client
            .request(Method::POST, routes::DEVICE_AUTHORIZATION)
            .form(&form);
        client.send(request)
    };
    let fields = |id| vec![("client_id", id), ("name", "n"), ("os", "o"), ("version", "v")];
    let refused = post(fields("another-app")).await;
    assert_eq!(
        (refused.status, refused.oauth_error().as_str()),
        (400, "invalid_client")
    );
    assert_eq!(post(vec![("client_id", CLIENT_ID)]).await.status, 400);
    let other = Grant::DeviceCode {
        device_code: named.device_code,
        client_id: "another-app".to_owned(),
    };
    assert_eq!(client.token(&other).await.oauth_error(), "invalid_grant");
}
