//! What the doors say of an address, to the last letter, is the same whether somebody has it, waits for it, or nobody does.

use crate::providers::{Newcomer, at_the_provider, begin, stack_with, unconfirmed};
use harness::{Answer, OpenIdProvider, Person, Stack, browser};
use protocol::auth::SignUpStarted;
use protocol::routes::{self, page};
use serde_json::json;

const CHOSEN: &str = "walnut-ferry-copper-drizzle";

/// A whole answer without what differs each time: the address, secrets, and the time.
fn masked(answer: &Answer, email: &str) -> String {
    let body = answer.text();
    let mut said = body.replace(email, "…").replace(&email.replace('@', "%40"), "…");
    let tags = body.split('<').filter_map(|rest| rest.split('>').next());
    for tag in tags.filter(|tag| tag.contains("name=\"csrf\"")) {
        let value = tag
            .split(" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        if let Some(token) = value.filter(|token| !token.is_empty()) {
            said = said.replace(token, "…");
        }
    }
    if let Ok(started) = serde_json::from_str::<SignUpStarted>(&body) {
        said = said.replace(&started.binding, "…");
    }
    if let Some((before, after)) = said.split_once("\"now\":") {
        let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        said = format!("{before}{after}");
    }
    let mut head: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    for cookie in answer.set_cookies() {
        let (name, rest) = cookie.split_once('=').unwrap_or_default();
        let (_, attributes) = rest.split_once(';').unwrap_or_default();
        head.push(format!("{name}={attributes}"));
    }
    head.sort();
    format!("{} {}\n{said}", answer.status, head.join(", "))
}

async fn said_of_a_forgotten_password(stack: &Stack, email: &str) -> String {
    let window = browser(stack);
    let form = window.get(page::FORGOT).await;
    let sent = window.submit(&form, page::FORGOT, &[("email", email)]).await;
    masked(sent.succeeds(), email)
}

/// By the pages and by the routes beside them, with a password that nobody has.
async fn said_of_signing_up(stack: &Stack, email: &str) -> Vec<String> {
    let window = browser(stack);
    let form = window.get(page::SIGN_UP).await;
    let fields = [("email", email), ("password", CHOSEN)];
    let begun = window.submit(&form, page::FORM_SIGN_UP, &fields).await;
    let twice = window.submit(&form, page::FORM_SIGN_UP, &fields).await;
    let again = [("email", email)];
    let again = window.submit(begun.succeeds(), page::FORM_RESEND, &again).await;
    let wrong = [("email", email), ("code", "00000000")];
    let wrong = window.submit(&begun, page::FORM_CHECK_MAIL, &wrong).await;
    assert!(wrong.status >= 400, "{wrong:?}");
    let program = browser(stack);
    let body = json!({"email": email, "password": CHOSEN});
    let joined = program.post(routes::SIGN_UP, &body).await;
    let resent = browser(stack)
        .post(routes::RESEND, &json!({"email": email}))
        .await;
    let all = [
        &begun,
        twice.succeeds(),
        again.succeeds(),
        &wrong,
        joined.succeeds(),
        resent.succeeds(),
    ];
    Vec::from(all.map(|answer| masked(answer, email)))
}

/// Somebody whom the operator has locked.
async fn locked(stack: &Stack) -> Person {
    let (person, _) = Person::join(stack).await;
    stack
        .execute(&format!(
            "update users set disabled_at = now() where email_key = '{}'",
            person.email.key()
        ))
        .await;
    person
}

#[tokio::test]
async fn whole_answers_are_the_same_whoever_has_the_address() {
    let stack = Stack::start().await;
    let (known, _) = Person::join(&stack).await;
    let closed = locked(&stack).await;
    let (waiting, free) = (Person::fresh(), Person::fresh());
    waiting.sign_up(&browser(&stack)).await.succeeds();
    let of_known = said_of_a_forgotten_password(&stack, known.email.as_str()).await;
    for other in [&closed, &waiting, &free] {
        let said = said_of_a_forgotten_password(&stack, other.email.as_str()).await;
        assert_eq!(said, of_known);
    }
    let of_known = said_of_signing_up(&stack, known.email.as_str()).await;
    for other in [&closed, &waiting, &free] {
        let said = said_of_signing_up(&stack, other.email.as_str()).await;
        assert_eq!(said, of_known);
    }
}

/// Somebody for whose address a provider does not vouch: the way back, the page, a wrong code and another letter.
async fn said_to_a_newcomer(stack: &Stack, provider: &OpenIdProvider, email: &str) -> Vec<String> {
    let visitor = unconfirmed(email);
    provider.seat(&visitor);
    let window = browser(stack);
    let back = at_the_provider(stack, &begin(&window, "google").await).await;
    let returned = window.get(&back).await;
    let newcomer = Newcomer::by(stack, provider, "google", &visitor).await;
    let wrong = newcomer.types("00000000").await;
    let again = newcomer.asks_again().await;
    let all = [&returned, &newcomer.shown, &wrong, again.succeeds()];
    Vec::from(all.map(|answer| masked(answer, email)))
}

#[tokio::test]
async fn what_a_newcomer_is_told_is_the_same_whoever_has_the_address() {
    let provider = OpenIdProvider::start().await;
    let stack = stack_with(&provider).await;
    let (known, _) = Person::join(&stack).await;
    let closed = locked(&stack).await;
    let (waiting, free) = (Person::fresh(), Person::fresh());
    waiting.sign_up(&browser(&stack)).await.succeeds();
    let of_known = said_to_a_newcomer(&stack, &provider, known.email.as_str()).await;
    for other in [&closed, &waiting, &free] {
        let said = said_to_a_newcomer(&stack, &provider, other.email.as_str()).await;
        assert_eq!(said, of_known);
    }
}
