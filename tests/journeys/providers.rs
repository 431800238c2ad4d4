//! Signing in through somebody else: over to their own pages and back, and what connects an account there to one's own.

use crate::{sign_in, sign_out};
use harness::{CertifiedProvider, OpenIdProvider, Person, SESSION_COOKIE, Screen, Stack, Visitor};
use serde_json::Value;

const CONNECTED: &str = "[data-testid=\"connected\"]";

/// GitHub as our own provider is one; Microsoft and any issuer as a certified one is.
fn settings(github: &OpenIdProvider, certified: &CertifiedProvider) -> String {
    let listed = |settings: &str| -> Vec<Value> { serde_json::from_str(settings).expect("a list") };
    let mut all = listed(&github.settings());
    all.retain(|one| one.get("id").and_then(Value::as_str) == Some("github"));
    all.extend(listed(&certified.settings()));
    Value::from(all).to_string()
}

async fn is_in_as(screen: &Screen, person: &Person) {
    screen.wait("new-session").await;
    screen.click("settings").await;
    screen.wait_text("account", person.email.as_str()).await;
}

/// All of it on two sites: `localhost` is another than `127.0.0.1`.
#[tokio::test]
async fn somebody_signs_in_at_github_at_microsoft_and_at_any_issuer() {
    let (github, certified) = tokio::join!(OpenIdProvider::start(), CertifiedProvider::start());
    github.ask_first();
    let stack = Stack::builder()
        .with_name()
        .with("PROVIDERS", settings(&github, &certified))
        .start()
        .await;
    certified.admit(&stack.url()).await;
    let screen = Screen::browser(&stack).await;

    let person = Person::fresh();
    github.seat(&Visitor::with_address(person.email.as_str()));
    screen.click("provider-github").await;
    screen.click_on("#approve").await;
    is_in_as(&screen, &person).await;

    for provider in ["microsoft", "google"] {
        sign_out(&screen).await;
        // nor does the provider know who was here before
        screen.forget_cookies().await;
        screen.open("/").await;
        let person = Person::fresh();
        screen.click(&format!("provider-{provider}")).await;
        let form = "form[data-testid=\"sign-in\"]";
        screen
            .press_on(&format!("{form} input[type=\"email\"]"), person.email.as_str())
            .await;
        screen.click_on(&format!("{form} button")).await;
        is_in_as(&screen, &person).await;
    }
}

#[tokio::test]
async fn accounts_elsewhere_are_connected_by_a_sign_in_or_in_the_settings_and_taken_away_there() {
    let provider = OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    let (person, _laptop) = Person::join_natively(&stack).await;
    let address = person.email.as_str();
    provider.seat(&Visitor::with_address(address));
    let screen = Screen::browser(&stack).await;

    // the same address opens nothing: whoever has the account shows it by signing in
    screen.click("provider-github").await;
    screen.wait_text("problem", "already an account").await;
    sign_in(&screen, &person).await;
    stack.letter_about(address, "Another way to sign in").await;
    sign_out(&screen).await;
    screen.click("provider-github").await;
    screen.wait("new-session").await;

    // what is left to connect is Google
    screen.click("settings").await;
    screen.click("to-security").await;
    screen.click("connect").await;
    screen.wait_text_in(CONNECTED, "Google").await;
    screen.picture("connected").await;
    let second = format!("{CONNECTED}:nth-of-type(2) [data-testid=\"disconnect\"]");
    screen.click_on(&second).await;
    screen.wait_text("done", "taken away").await;
    assert_eq!(screen.count(CONNECTED).await, 1, "GitHub stays");
    stack.letter_about(address, "is gone").await;

    // it is a stranger's again
    sign_out(&screen).await;
    screen.click("provider-google").await;
    screen.wait_text("problem", "already an account").await;
    let cookies = screen.cookie_names().await;
    assert!(!cookies.iter().any(|name| name == SESSION_COOKIE), "{cookies:?}");
}
