//! Accounts at sign-in services that somebody connects to their own, and takes away again.

use super::providers::{at_the_provider, leave_by, sign_in, stack_with};
use futures_util::future::join_all;
use harness::{Answer, Client, OpenIdProvider, Person, SESSION_COOKIE, Stack, Visitor, browser};
use http::StatusCode;
use protocol::Code;
use protocol::routes::page;

/// Presses "Connect …" on the security page and gives what the browser comes back with.
async fn set_out(stack: &Stack, client: &Client, provider: &str) -> String {
    let page = client.get(page::SECURITY).await;
    let address = leave_by(client, &page, &page::form_link(provider)).await;
    at_the_provider(stack, &address).await
}

pub(super) async fn connect(stack: &Stack, client: &Client, provider: &str) -> Answer {
    let back = set_out(stack, client, provider).await;
    let answer = client.get(&back).await;
    client.follow(answer).await
}

/// Presses "Take … away" of an account here.
async fn disconnect(client: &Client, account: &str) -> Answer {
    let page = client.get(page::SECURITY).await;
    client
        .submit(&page, page::FORM_UNLINK, &[("account", account)])
        .await
}

/// The ids on the page.
fn connected(page: &Answer) -> Vec<String> {
    let text = page.text();
    let tags = text.split('<').filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| tag.contains("name=\"account\""))
        .filter_map(|tag| tag.split("value=\"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect()
}

async fn count(stack: &Stack) -> i64 {
    stack.number("select count(*) from accounts").await
}

fn says(answer: &Answer, code: Code) {
    assert!(
        answer.text().contains(&format!("data-code=\"{code}\"")),
        "{code}: {answer:?}"
    );
}

#[tokio::test]
async fn an_account_elsewhere_is_connected_whatever_its_address_and_signs_in_from_then_on() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (person, client) = Person::join(&stack).await;
    let elsewhere = Person::fresh().email;
    provider.seat(&Visitor {
        is_verified: Some(false),
        ..Visitor::with_address(elsewhere.as_str())
    });
    let page = connect(&stack, &client, "google").await;
    assert!(page.succeeds().text().contains(elsewhere.as_str()), "{page:?}");
    assert!(page.text().contains("Connecting another way to sign in (google)"));
    let letter = stack.letter_about(person.email.as_str(), "Another way").await;
    assert!(letter.text.contains("Google") && letter.text.contains(page::SECURITY));
    assert_eq!(client.me().await.email, person.email, "the address stays");

    let other = browser(&stack);
    sign_in(&stack, &other, "google").await;
    assert_eq!(other.me().await.user, client.me().await.user);

    // once more is once
    assert!(!page.text().contains(&page::form_link("google")));
    let account = connected(&page).pop().expect("an account");
    let gone = disconnect(&client, &account).await;
    assert!(gone.succeeds().text().contains("taken away"), "{gone:?}");
    stack.letter_about(person.email.as_str(), "is gone").await;
    let third = browser(&stack);
    sign_in(&stack, &third, "google").await;
    assert!(third.cookie(SESSION_COOKIE).is_none());
}

#[tokio::test]
async fn nothing_is_connected_or_taken_away_without_a_fresh_proof() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (_, client) = Person::join(&stack).await;
    let back = set_out(&stack, &client, "github").await;
    let page = connect(&stack, &client, "google").await;
    stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    for action in [&page::form_link("github"), page::FORM_UNLINK] {
        let refused = client.submit(&page, action, &[]).await;
        assert_eq!(refused.location(), page::PROVE, "{action}: {refused:?}");
    }
    // who left with a proof and came back too late
    let late = client.get(&back).await;
    says(&client.follow(late).await, Code::ProofRequired);
    assert_eq!(count(&stack).await, 1);
    let stale = client.get(page::SECURITY).await;
    assert!(!stale.text().contains("data-testid=\"disconnect\""));
}

#[tokio::test]
async fn somebody_elses_identity_is_told_and_stays_theirs() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (_, owner) = Person::join(&stack).await;
    let (_, other) = Person::join(&stack).await;
    connect(&stack, &owner, "google").await;
    says(&connect(&stack, &other, "google").await, Code::IdentityInUse);
    let fresh = browser(&stack);
    sign_in(&stack, &fresh, "google").await;
    assert_eq!(fresh.me().await.user, owner.me().await.user);
    // nor is it taken away by them
    let account = connected(&owner.get(page::SECURITY).await)
        .pop()
        .expect("an account");
    connect(&stack, &other, "github").await;
    let refused = disconnect(&other, &account).await;
    says(&refused, Code::NotFound);
    assert_eq!(count(&stack).await, 2);
}

/// Whoever makes somebody else's browser come back with an answer of their own would sign in to that account afterwards.
#[tokio::test]
async fn an_answer_connects_only_in_the_browser_and_for_the_person_that_asked() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (victim, victims) = Person::join(&stack).await;
    let (_, attackers) = Person::join(&stack).await;
    let planted = set_out(&stack, &attackers, "google").await;
    let answer = victims.get(&planted).await;
    victims.follow(answer).await;
    assert_eq!(count(&stack).await, 0);

    // the same browser, where somebody else is in by now
    let (_, shared) = Person::join(&stack).await;
    let begun = set_out(&stack, &shared, "google").await;
    shared.sign_out().await;
    victim
        .try_sign_in(&shared, protocol::auth::Client::Browser)
        .await
        .succeeds();
    let answer = shared.get(&begun).await;
    says(&shared.follow(answer).await, Code::StateMismatch);
    assert_eq!(count(&stack).await, 0);

    // and nobody
    let (_, leaving) = Person::join(&stack).await;
    let begun = set_out(&stack, &leaving, "google").await;
    leaving.sign_out().await;
    let answer = leaving.get(&begun).await;
    leaving.follow(answer).await;
    assert_eq!(count(&stack).await, 0);
}

#[tokio::test]
async fn the_only_way_in_is_never_taken_away_however_many_press_at_once() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    provider.seat(&Visitor::with_address(Person::fresh().email.as_str()));
    let client = browser(&stack);
    sign_in(&stack, &client, "google").await;
    let only = connected(&client.get(page::SECURITY).await)
        .pop()
        .expect("an account");
    let refused = disconnect(&client, &only).await;
    refused.has_status(StatusCode::CONFLICT);
    says(&refused, Code::LastWayIn);

    let page = connect(&stack, &client, "github").await;
    let two = connected(&page);
    assert_eq!(two.len(), 2, "{page:?}");
    let presses: Vec<[(&str, &str); 1]> = two
        .iter()
        .cycle()
        .take(20)
        .map(|account| [("account", account.as_str())])
        .collect();
    let pressing = presses
        .iter()
        .map(|account| client.submit(&page, page::FORM_UNLINK, account));
    for answer in join_all(pressing).await {
        assert!(answer.status < 500, "{answer:?}");
    }
    assert_eq!(count(&stack).await, 1);
}
