//! Signing in through a certified OpenID provider that somebody else wrote, set up as Google, Microsoft and Apple are.

use crate::providers::begin;
use harness::{Answer, CertifiedProvider, Client, Person, Stack, browser};
use http::Method;
use protocol::routes::page;
use url::Url;

const KINDS: [&str; 3] = ["google", "microsoft", "apple"];

async fn stack_with(provider: &CertifiedProvider) -> Stack {
    let stack = Stack::builder()
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    provider.admit(&stack.url()).await;
    stack
}

/// The way back that the provider gives a browser, as path and query at the server; a form that it posts is posted first, without
/// our cookies, as browsers post another site's.
async fn way_back(stack: &Stack, provider: &CertifiedProvider, address: &str, email: &str) -> String {
    let answer = provider.sign_in(address, email).await;
    let location = answer.location();
    if let Some(back) = location.strip_prefix(&stack.url()) {
        return back.to_owned();
    }
    let callback = page::PROVIDER_CALLBACK.replace("{provider}", "apple");
    let form = answer.form(&format!("{}{callback}", stack.url()));
    let bare = browser(stack);
    let request = bare
        .bare(Method::POST, &callback)
        .header("Origin", provider.url())
        .header("Sec-Fetch-Site", "cross-site")
        .form(&form.hidden);
    let sent_on = bare.send(request).await;
    assert_eq!(sent_on.status, 303, "{sent_on:?}");
    sent_on.location()
}

async fn come_back(client: &Client, back: &str) -> Answer {
    let answer = client.get(back).await;
    client.follow(answer).await
}

async fn sign_in(
    stack: &Stack,
    provider: &CertifiedProvider,
    client: &Client,
    kind: &str,
    email: &str,
) -> Answer {
    let address = begin(client, kind).await;
    let back = way_back(stack, provider, &address, email).await;
    come_back(client, &back).await
}

fn sent(address: &str, name: &str) -> Option<String> {
    let address = Url::parse(address).expect("a URL");
    let mut pairs = address.query_pairs();
    let found = pairs.find(|(other, _)| other == name);
    found.map(|(_, value)| value.into_owned())
}

/// The provider gives no code for a challenge that is missing, nor tokens for a verifier or a secret that is wrong, and it answers in
/// the way that was asked for: whoever is in came by all of that.
#[tokio::test]
async fn a_person_signs_in_by_a_certified_provider_and_is_the_same_the_second_time() {
    let provider = CertifiedProvider::start().await;
    let stack = stack_with(&provider).await;
    for kind in KINDS {
        let email = Person::fresh().email;
        let first = browser(&stack);
        let address = begin(&first, kind).await;
        let has_challenge = sent(&address, "code_challenge_method").as_deref() == Some("S256");
        assert_eq!(has_challenge, kind != "apple", "{address}");
        assert!(sent(&address, "nonce").is_some_and(|nonce| nonce.len() >= 22));
        let posts = sent(&address, "response_mode").as_deref() == Some("form_post");
        assert_eq!(posts, kind == "apple", "{address}");
        let back = way_back(&stack, &provider, &address, email.as_str()).await;
        let told = come_back(&first, &back).await;
        assert!(first.is_in(), "{kind}: {told:?}");
        let me = first.me().await;
        assert_eq!(me.email, email, "{kind}");
        let again = browser(&stack);
        sign_in(&stack, &provider, &again, kind, email.as_str()).await;
        assert_eq!(again.me().await.user, me.user, "{kind}");
        // the same answer counts once
        let third = browser(&stack);
        let told = come_back(&third, &back).await;
        assert!(!third.is_in(), "{kind}: {told:?}");
    }
}

#[tokio::test]
async fn keys_that_a_certified_provider_rotates_are_found_at_the_next_sign_in() {
    let provider = CertifiedProvider::start().await;
    let stack = stack_with(&provider).await;
    for round in ["by the first key", "by another one"] {
        for kind in KINDS {
            let client = browser(&stack);
            let email = Person::fresh().email;
            let told = sign_in(&stack, &provider, &client, kind, email.as_str()).await;
            assert!(client.is_in(), "{kind} {round}: {told:?}");
        }
        provider.rotate_keys().await;
    }
}

/// By the verifier, which the provider looks at, and where it knows of none, by the nonce, which the server looks at.
#[tokio::test]
async fn a_code_that_a_certified_provider_gave_to_another_browser_gets_nobody_in() {
    let provider = CertifiedProvider::start().await;
    let stack = stack_with(&provider).await;
    for kind in KINDS {
        let (thief, victim) = (browser(&stack), browser(&stack));
        let of_thief = begin(&thief, kind).await;
        let of_victim = begin(&victim, kind).await;
        let email = Person::fresh().email;
        let back = way_back(&stack, &provider, &of_victim, email.as_str()).await;
        let states = [&of_victim, &of_thief].map(|address| sent(address, "state").expect("a state"));
        let [own, others] = &states;
        let stolen = back.replace(own, others);
        assert_ne!(stolen, back);
        let told = come_back(&thief, &stolen).await;
        assert!(!thief.is_in(), "{kind}: {told:?}");
        assert!(
            told.text().contains("data-testid=\"problem\""),
            "{kind}: {told:?}"
        );
    }
}
