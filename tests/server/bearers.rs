//! Each secret opens its own door alone: none but an access token opens anything as a bearer.

use crate::forgotten;
use crate::letter;
use crate::native_sign_in::{App, consent, param};
use crate::providers;
use harness::{Client, Headless, OpenIdProvider, Person, SESSION_COOKIE, Stack, Visitor, browser};
use http::Method;
use protocol::{Code, routes};

/// The secret that a letter's link carries, by its path.
fn secret_of(path: &str) -> String {
    let link = url::Url::parse("http://localhost")
        .and_then(|base| base.join(path))
        .expect("a link");
    param(&link, "t")
}

#[tokio::test]
async fn no_secret_of_another_kind_passes_for_an_access_token() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    // the confirmation, and the word of the new device
    stack.letter_to(person.email.as_str(), 2).await;
    let app = App::new(&stack);
    let handed_over = consent(&browser, &app.push().await).await;
    let tower = Headless::on(&stack, "Tower").await;
    let asked = letter::Asked::by(&stack, &person, 3).await;
    let reset = forgotten::letter_of(&stack, &person, 4).await;
    let secrets = [
        ("socket ticket", browser.ticket().await),
        (
            "session cookie",
            browser.cookie(SESSION_COOKIE).expect("a cookie"),
        ),
        ("secret of a letter", secret_of(&asked.link)),
        ("code of a letter", asked.code.clone()),
        ("secret of a reset letter", secret_of(&reset)),
        ("OAuth code", param(&handed_over, "code")),
        ("verifier", app.verifier.clone()),
        ("device code", tower.codes.device_code.clone()),
        ("user code", tower.codes.user_code.clone()),
        ("refresh token", laptop.tokens().refresh_token),
        ("password", person.password.clone()),
    ];
    let stranger = Client::native(&stack.url());
    let show = async |secret: &str, path: &str| {
        let request = stranger.bare(Method::GET, path).bearer_auth(secret);
        stranger.send(request).await
    };
    for (name, secret) in &secrets {
        assert!(secret.len() >= 8, "a {name}");
        for path in [routes::ME, routes::BOOTSTRAP, routes::SESSIONS, routes::DEVICES] {
            let answer = show(secret, path).await;
            assert_eq!(answer.status, 401, "{name} at {path}: {answer:?}");
            assert_eq!(answer.problem().code, Code::SignInRequired, "{name} at {path}");
        }
    }
    // what is one opens them, so it was not the way of asking
    let token = laptop.tokens().access_token;
    show(&token, routes::ME).await.succeeds();
}

/// It is signed, in time and of somebody who is here, and says who they are at their provider: that is for nobody but us at the end of
/// a sign-in.
#[tokio::test]
async fn an_id_token_of_a_provider_passes_for_no_access_token() {
    let provider = OpenIdProvider::start().await;
    let stack = providers::stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let window = browser(&stack);
    providers::sign_in(&stack, &window, "google").await;
    assert_eq!(window.me().await.email, person.email);
    let token = provider.id_token();
    let stranger = Client::native(&stack.url());
    for path in [routes::ME, routes::BOOTSTRAP, routes::SESSIONS, routes::DEVICES] {
        let request = stranger.bare(Method::GET, path).bearer_auth(&token);
        let answer = stranger.send(request).await;
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_eq!(answer.problem().code, Code::SignInRequired, "{path}");
    }
}
