//! Signing in with Apple: its answer is another site's form, its secret is signed for each request, and what its form says
//! of itself proves nothing.

use crate::providers::begin;
use harness::{
    Answer, Client, Fault, OpenIdProvider, PageForm, Person, SESSION_COOKIE, Stack, Visitor, browser,
};
use http::Method;
use protocol::routes::page;

async fn stack_with(provider: &OpenIdProvider) -> Stack {
    Stack::builder()
        .with("PROVIDERS", provider.settings_with_apple())
        .start()
        .await
}

fn callback() -> String {
    page::PROVIDER_CALLBACK.replace("{provider}", "apple")
}

/// What the provider's page would post.
async fn answered(stack: &Stack, address: &str) -> PageForm {
    let outside = Client::browser(address, address);
    let at_the_provider = outside.get(address).await;
    at_the_provider.form(&format!("{}{}", stack.url(), callback()))
}

/// As a browser posts another site's form: without our cookies, which are not for that.
async fn post(stack: &Stack, form: &PageForm) -> Answer {
    let bare = browser(stack);
    let request = bare
        .bare(Method::POST, &callback())
        .header("Origin", "https://appleid.apple.com")
        .header("Sec-Fetch-Site", "cross-site")
        .form(&form.hidden);
    bare.send(request).await
}

async fn sign_in(stack: &Stack, client: &Client) -> Answer {
    let address = begin(client, "apple").await;
    let form = answered(stack, &address).await;
    let sent_on = post(stack, &form).await;
    assert_eq!(sent_on.status, 303, "{sent_on:?}");
    let answer = client.get(&sent_on.location()).await;
    client.follow(answer).await
}

#[tokio::test]
async fn a_new_person_signs_in_with_apple_and_is_called_as_the_form_says_and_no_more() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let client = browser(&stack);
    sign_in(&stack, &client).await;
    let me = client.me().await;
    assert_eq!(me.email, person.email, "by the signed claim, and not by the form");
    assert_eq!(me.name.as_deref(), Some("Ana Ruiz"));
    let again = browser(&stack);
    sign_in(&stack, &again).await;
    assert_eq!(again.me().await.user, me.user);
}

#[tokio::test]
async fn the_answer_works_only_in_the_browser_that_left_and_only_once() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    let address = begin(&client, "apple").await;
    let form = answered(&stack, &address).await;
    let back = post(&stack, &form).await.location();
    let other = browser(&stack);
    other.get(&back).await;
    assert!(other.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()));
    client.get(&back).await;
    assert!(
        client.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()),
        "the wrong browser has used it up"
    );
}

#[tokio::test]
async fn who_cancels_or_whom_apple_does_not_vouch_for_is_told_at_the_door() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let stranger = Visitor {
        is_verified: Some(false),
        ..Visitor::with_address(Person::fresh().email.as_str())
    };
    provider.seat(&stranger);
    let client = browser(&stack);
    let page = sign_in(&stack, &client).await;
    assert!(
        !client.is_in() && page.text().contains("data-testid=\"newcomer\""),
        "{page:?}"
    );
    provider.misbehave(Fault::Cancelled);
    let page = sign_in(&stack, &client).await;
    assert!(page.text().contains("cancelled"), "{page:?}");
    for fault in [
        Fault::WrongNonce,
        Fault::WrongAudience,
        Fault::BrokenSignature,
        Fault::Unsigned,
    ] {
        provider.misbehave(fault);
        sign_in(&stack, &client).await;
        assert!(
            client.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_form_at_a_provider_that_posts_none_is_refused_and_so_is_noise() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let client = browser(&stack);
    let google = page::PROVIDER_CALLBACK.replace("{provider}", "google");
    let request = client
        .bare(Method::POST, &google)
        .form(&[("code", "1"), ("state", "2")]);
    assert_eq!(client.send(request).await.status, 405);
    let form = PageForm {
        action: String::new(),
        hidden: vec![
            ("user".to_owned(), "[".to_owned()),
            ("state".to_owned(), "made up".to_owned()),
        ],
    };
    let back = post(&stack, &form).await.location();
    let page = client.get(&back).await;
    let page = client.follow(page).await;
    assert!(
        client.cookie(SESSION_COOKIE).is_none_or(|value| value.is_empty()),
        "{page:?}"
    );
}

#[tokio::test]
async fn a_form_with_an_error_or_without_a_code_lets_nobody_in_and_asks_apple_for_nothing() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    for (has_code, error, told) in [
        (false, Some("user_cancelled_authorize"), "provider_cancelled"),
        (true, Some("user_cancelled_authorize"), "provider_cancelled"),
        (false, None, "provider_cancelled"),
        (false, Some("server_error"), "provider_failed"),
        (true, Some("server_error"), "provider_failed"),
    ] {
        let client = browser(&stack);
        let address = begin(&client, "apple").await;
        let mut form = answered(&stack, &address).await;
        form.hidden.retain(|(name, _)| has_code || name != "code");
        form.hidden
            .extend(error.map(|error| ("error".to_owned(), error.to_owned())));
        let back = post(&stack, &form).await.location();
        let answer = client.get(&back).await;
        assert!(
            answer.location().contains(told),
            "{has_code} {error:?}: {answer:?}"
        );
        assert!(!client.is_in(), "{has_code} {error:?}");
    }
    assert_eq!(provider.asked().tokens, 0);
    assert_eq!(stack.number("select count(*) from users").await, 0);
}

/// Where somebody hides their address, Apple's relay is theirs: one person each, as with any other.
#[tokio::test]
async fn an_address_of_apples_relay_is_an_address() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    for _ in 0..2 {
        let relayed = format!("{:08x}@privaterelay.appleid.com", rand::random::<u32>());
        provider.seat(&Visitor::with_address(&relayed));
        let client = browser(&stack);
        sign_in(&stack, &client).await;
        assert_eq!(client.me().await.email.as_str(), relayed);
    }
    assert_eq!(stack.number("select count(*) from users").await, 2);
}
