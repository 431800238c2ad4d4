//! The native app's way in through the browser: pushed request, consent, one-use code, tokens.

use crate::email_change::while_held;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::mailbox::path_of;
use harness::{Answer, Client, OpenIdProvider, Person, Stack, Visitor, keep_secret, native, within};
use protocol::auth::SignedIn;
use protocol::oauth::{CLIENT_ID, Grant, PushedAnswer, PushedRequest, REDIRECT_DEEP_LINK, TokenError};
use protocol::routes;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// An app that begins to sign in: what it keeps until the link comes home.
pub(super) struct App {
    pub client: Client,
    pub verifier: String,
    state: String,
    key: Option<String>,
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

impl App {
    pub fn new(stack: &Stack) -> Self {
        let (verifier, state) = (random(), random());
        keep_secret(&verifier);
        keep_secret(&state);
        Self {
            client: Client::native(&stack.url()),
            verifier,
            state,
            key: None,
        }
    }

    /// One that holds the key with this thumbprint.
    pub fn with_key(stack: &Stack, thumbprint: &str) -> Self {
        Self {
            key: Some(thumbprint.to_owned()),
            ..Self::new(stack)
        }
    }

    pub fn request(&self) -> PushedRequest {
        PushedRequest {
            client_id: CLIENT_ID.to_owned(),
            code_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes())),
            code_challenge_method: "S256".to_owned(),
            state: self.state.clone(),
            redirect_uri: REDIRECT_DEEP_LINK.to_owned(),
            device: native("Laptop <of Ana>"),
            provider: None,
            dpop_jkt: self.key.clone(),
        }
    }

    pub async fn push(&self) -> String {
        let answer = self.client.post(routes::PAR, &self.request()).await;
        let pushed: PushedAnswer = answer.expect();
        assert!(pushed.expires_in > 0 && pushed.expires_in <= 600);
        authorize_path(&pushed.request_uri)
    }

    /// What redeems a code.
    pub fn grant(&self, code: &str) -> Grant {
        Grant::AuthorizationCode {
            code: code.to_owned(),
            code_verifier: self.verifier.clone(),
            redirect_uri: REDIRECT_DEEP_LINK.to_owned(),
            client_id: CLIENT_ID.to_owned(),
        }
    }

    pub async fn redeem(&self, code: &str, verifier: &str) -> Answer {
        self.client
            .token(&Grant::AuthorizationCode {
                code: code.to_owned(),
                code_verifier: verifier.to_owned(),
                redirect_uri: REDIRECT_DEEP_LINK.to_owned(),
                client_id: CLIENT_ID.to_owned(),
            })
            .await
    }
}

pub fn authorize_path(request_uri: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("request_uri", request_uri)
        .finish();
    format!("{}?{query}", routes::AUTHORIZE)
}

/// Presses "Open CompyMac" in a signed-in browser and gives the link that leads home.
pub(super) async fn consent(browser: &Client, path: &str) -> url::Url {
    let page = browser.visit(path).await;
    assert_eq!(page.status, 200, "{page:?}");
    let pressed = browser.submit(&page, routes::AUTHORIZE, &[]).await;
    home_link(&browser.follow(pressed).await)
}

fn home_link(page: &Answer) -> url::Url {
    let link = page
        .links()
        .into_iter()
        .chain([page.location()])
        .find(|link| link.starts_with(REDIRECT_DEEP_LINK))
        .unwrap_or_else(|| panic!("no link home: {page:?}"));
    let link = url::Url::parse(&link).expect("a link is a URL");
    keep_secret(&param(&link, "code"));
    link
}

/// The browser is asked whether the app may go on, says yes, and the app is in.
async fn goes_on_into(app: &App, browser: &Client, answer: Answer) {
    let question = browser.follow(answer).await;
    let pressed = browser.submit(&question, routes::AUTHORIZE, &[]).await;
    let link = home_link(&browser.follow(pressed).await);
    app.redeem(&param(&link, "code"), &app.verifier).await.succeeds();
}

pub(super) fn param(link: &url::Url, name: &str) -> String {
    link.query_pairs()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

pub(super) fn oauth_error(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{answer:?}");
    let error: TokenError = serde_json::from_slice(&answer.body).expect("an OAuth error");
    error.error
}

#[tokio::test]
async fn an_app_signs_in_through_the_browser() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let path = app.push().await;

    let page = browser.visit(&path).await;
    let text = page.text();
    assert!(
        text.contains("Laptop &lt;of Ana&gt;"),
        "the page names the device, harmlessly: {text}"
    );
    assert!(text.contains(person.email.as_str()), "and the person");

    let link = consent(&browser, &path).await;
    assert_eq!(param(&link, "state"), app.state);
    assert_eq!(param(&link, "iss").trim_end_matches('/'), stack.url());
    let names: Vec<String> = link.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert!(
        names
            .iter()
            .all(|name| ["code", "state", "iss"].contains(&name.as_str())),
        "{names:?}"
    );
    assert!(link.as_str().len() <= protocol::limits::DEEP_LINK_BYTES);

    let signed_in: SignedIn = app.redeem(&param(&link, "code"), &app.verifier).await.expect();
    assert_eq!(signed_in.me.email, person.email);
    app.client.hold(signed_in.tokens.expect("tokens"));
    assert_eq!(app.client.me().await.email, person.email);
    assert!(
        browser
            .devices()
            .await
            .iter()
            .any(|device| device.name.contains("Laptop"))
    );
    assert_ne!(app.client.me().await.device, browser.me().await.device);
}

#[tokio::test]
async fn somebody_signed_out_signs_in_first_and_comes_back_to_the_question() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let app = App::new(&stack);
    let path = app.push().await;
    let browser = Client::browser(&stack.url(), &stack.url());
    let page = browser.visit(&path).await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    let signed_in = browser.submit(&page, routes::page::FORM_SIGN_IN, &fields).await;
    goes_on_into(&app, &browser, signed_in).await;
}

/// The link's page shows nothing of it: the browser that asked knows.
#[tokio::test]
async fn a_letters_link_leads_on_into_the_app_in_the_browser_that_asked() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let app = App::new(&stack);
    let browser = Client::browser(&stack.url(), &stack.url());
    let door = browser.visit(&app.push().await).await;
    let asking = browser.submit(&door, routes::page::LETTER_ASK, &[]).await;
    let fields = [("email", person.email.as_str())];
    browser
        .submit(&asking, routes::page::LETTER_ASK, &fields)
        .await
        .succeeds();
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    let opened = browser.get(&path_of(&letter.link.expect("a link"))).await;
    let here = [("answer", "here")];
    let entered = browser.submit(&opened, routes::page::LETTER, &here).await;
    goes_on_into(&app, &browser, entered).await;
}

#[tokio::test]
async fn the_link_that_confirms_an_address_leads_on_into_the_app_in_the_browser_that_signed_up() {
    let stack = Stack::start().await;
    let app = App::new(&stack);
    let next = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", &app.push().await)
        .finish();
    let door = format!("{}?{next}", routes::page::SIGN_UP);
    for is_elsewhere in [true, false] {
        let person = Person::fresh();
        let fields = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
        ];
        let window = Client::browser(&stack.url(), &stack.url());
        let form = window.visit(&door).await;
        let sent = window.submit(&form, routes::page::FORM_SIGN_UP, &fields).await;
        // asked for once more, its code leads there still, and so does its link
        let again = window.submit(&sent, routes::page::FORM_RESEND, &[]).await;
        let form = again.form(routes::page::FORM_CHECK_MAIL);
        let next = form.field("next").unwrap_or_default();
        assert!(next.starts_with(routes::AUTHORIZE), "{again:?}");
        let letter = stack.letter_to(person.email.as_str(), 2).await;
        let link = path_of(&letter.link.expect("a link"));
        if is_elsewhere {
            let other = Client::browser(&stack.url(), &stack.url());
            let opened = other.get(&link).await;
            let fields = [("password", person.password.as_str())];
            let entered = other.submit(&opened, routes::page::VERIFY, &fields).await;
            assert_eq!(entered.location(), routes::page::HOME);
            assert!(other.is_in());
        } else {
            let opened = window.get(&link).await;
            let entered = window.submit(&opened, routes::page::VERIFY, &[]).await;
            goes_on_into(&app, &window, entered).await;
        }
    }
}

/// A page of somebody else's that opens the address of a request would make a session here out of one at the provider.
#[tokio::test]
async fn nobody_is_sent_to_the_provider_that_an_app_names_without_a_press() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let app = App::new(&stack);
    let request = PushedRequest {
        provider: Some("google".to_owned()),
        ..app.request()
    };
    let pushed: PushedAnswer = app.client.post(routes::PAR, &request).await.expect();
    let path = authorize_path(&pushed.request_uri);
    let browser = Client::browser(&stack.url(), &stack.url());
    let asked = browser.get(&path).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.header("refresh").is_none() && asked.text().contains("Laptop &lt;of Ana"));
    assert!(
        asked
            .links()
            .iter()
            .any(|link| link.starts_with("/sign-in?next="))
    );

    let start = routes::page::provider_start("google");
    let address = crate::providers::leave_by(&browser, &asked, &start).await;
    let back = crate::providers::at_the_provider(&stack, &address).await;
    let answer = browser.get(&back).await;
    goes_on_into(&app, &browser, answer).await;
}

/// Whoever has to prove their address on the way goes on into the app.
#[tokio::test]
async fn somebody_new_with_an_unconfirmed_address_proves_it_on_the_way_into_the_app() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let visitor = crate::providers::unconfirmed(Person::fresh().email.as_str());
    provider.seat(&visitor);
    let app = App::new(&stack);
    let request = PushedRequest {
        provider: Some("google".to_owned()),
        ..app.request()
    };
    let pushed: PushedAnswer = app.client.post(routes::PAR, &request).await.expect();
    let path = authorize_path(&pushed.request_uri);
    let browser = Client::browser(&stack.url(), &stack.url());
    let asked = browser.get(&path).await;
    let start = routes::page::provider_start("google");
    let address = crate::providers::leave_by(&browser, &asked, &start).await;
    let back = crate::providers::at_the_provider(&stack, &address).await;
    let answer = browser.get(&back).await;
    let shown = browser.follow(answer).await;
    let code = stack.letter_to(&visitor.email, 1).await.code.expect("a code");
    let typed = browser
        .submit(&shown, routes::page::NEWCOMER, &[("code", &code)])
        .await;
    goes_on_into(&app, &browser, typed).await;
}

#[tokio::test]
async fn asking_always_shows_a_page_and_gives_no_code_by_itself() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let path = app.push().await;
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("code="), "no code before the button");
    assert!(
        page.header("content-security-policy")
            .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
            || page.header("x-frame-options") == Some("DENY"),
        "not to be framed"
    );
    // pressed by another site
    let form = page.form(routes::AUTHORIZE);
    let foreign = browser
        .bare(http::Method::POST, &form.action)
        .header("Origin", "https://evil.example")
        .header("Sec-Fetch-Site", "cross-site")
        .form(&form.hidden);
    assert_eq!(browser.send(foreign).await.status, 403);
    // pressed without the page's token
    let bare = browser.submit(&page, routes::AUTHORIZE, &[("csrf", "")]).await;
    assert_eq!(bare.status, 403, "{bare:?}");
}

#[tokio::test]
async fn only_pkce_by_s256_may_ask() {
    let stack = Stack::start().await;
    let app = App::new(&stack);
    let sound = app.request();
    let wrong = [
        (
            "plain",
            PushedRequest {
                code_challenge_method: "plain".to_owned(),
                ..sound.clone()
            },
        ),
        (
            "no challenge",
            PushedRequest {
                code_challenge: String::new(),
                ..sound.clone()
            },
        ),
        (
            "short challenge",
            PushedRequest {
                code_challenge: "abc".to_owned(),
                ..sound.clone()
            },
        ),
        (
            "another client",
            PushedRequest {
                client_id: "evil".to_owned(),
                ..sound.clone()
            },
        ),
        (
            "no state",
            PushedRequest {
                state: String::new(),
                ..sound.clone()
            },
        ),
        (
            "huge state",
            PushedRequest {
                state: "x".repeat(5000),
                ..sound.clone()
            },
        ),
    ];
    for (name, request) in wrong {
        let answer = app.client.post(routes::PAR, &request).await;
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    for uri in [
        "https://evil.example/cb",
        "compymac://evil/callback",
        "compymac://auth/callback/../x",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:80/other",
        "http://localhost:4000/cb",
        "http://127.0.0.1:4000@evil.example/cb",
        "http://evil.example:4000/cb",
        "javascript:alert(1)",
        "",
    ] {
        let request = PushedRequest {
            redirect_uri: uri.to_owned(),
            ..sound.clone()
        };
        let answer = app.client.post(routes::PAR, &request).await;
        assert!((400..500).contains(&answer.status), "{uri}: {answer:?}");
    }
    let loopback = PushedRequest {
        redirect_uri: "http://127.0.0.1:49152/cb".to_owned(),
        ..sound
    };
    app.client.post(routes::PAR, &loopback).await.succeeds();
    let missing = app
        .client
        .post(routes::PAR, &json!({"client_id": CLIENT_ID}))
        .await;
    assert!((400..500).contains(&missing.status), "{missing:?}");
}

#[tokio::test]
async fn a_wrong_verifier_burns_the_code() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let link = consent(&browser, &app.push().await).await;
    let code = param(&link, "code");
    assert_eq!(oauth_error(&app.redeem(&code, &random()).await), "invalid_grant");
    assert_eq!(
        oauth_error(&app.redeem(&code, &app.verifier).await),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_code_without_its_verifier_is_worth_nothing() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let link = consent(&browser, &app.push().await).await;
    assert_eq!(
        oauth_error(&app.redeem(&param(&link, "code"), "").await),
        "invalid_grant"
    );
    let other = App::new(&stack);
    let link = consent(&browser, &other.push().await).await;
    let elsewhere = other
        .client
        .token(&Grant::AuthorizationCode {
            code: param(&link, "code"),
            code_verifier: other.verifier.clone(),
            redirect_uri: "http://127.0.0.1:49152/cb".to_owned(),
            client_id: CLIENT_ID.to_owned(),
        })
        .await;
    assert_eq!(oauth_error(&elsewhere), "invalid_grant");
}

#[tokio::test]
async fn a_replayed_code_signs_out_what_it_was_redeemed_for() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let code = param(&consent(&browser, &app.push().await).await, "code");
    let signed_in: SignedIn = app.redeem(&code, &app.verifier).await.expect();
    app.client.hold(signed_in.tokens.expect("tokens"));
    app.client.me().await;
    assert_eq!(
        oauth_error(&app.redeem(&code, &app.verifier).await),
        "invalid_grant"
    );
    within(
        Duration::from_secs(2),
        "the device to be signed out",
        async || (app.client.get(routes::ME).await.status == 401).then_some(()),
    )
    .await;
    browser.me().await;
}

#[tokio::test]
async fn twenty_redemptions_at_once_give_tokens_at_most_once() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let code = param(&consent(&browser, &app.push().await).await, "code");
    let answers = futures_util::future::join_all((0..20).map(|_| app.redeem(&code, &app.verifier))).await;
    let successes = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(successes, 1);
}

#[tokio::test]
async fn a_code_holds_the_user_before_all_else() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let user = format!("'{}'", browser.me().await.user);
    let app = App::new(&stack);
    let code = param(&consent(&browser, &app.push().await).await, "code");
    let redeeming = app.redeem(&code, &app.verifier);
    while_held(&stack, &user, redeeming).await.succeeds();
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let code = param(&consent(&browser, &app.push().await).await, "code");
    stack
        .execute("update oauth_codes set expires = expires - interval '61 seconds'")
        .await;
    assert_eq!(
        oauth_error(&app.redeem(&code, &app.verifier).await),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_code_is_worth_nothing_once_the_browser_that_gave_it_is_signed_out() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let other = person.browser(&stack).await;
    let app = App::new(&stack);
    let code = param(&consent(&browser, &app.push().await).await, "code");
    other.revoke(browser.me().await.device).await.succeeds();
    assert_eq!(
        oauth_error(&app.redeem(&code, &app.verifier).await),
        "invalid_grant"
    );
    // what another browser lets in is let in
    let app = App::new(&stack);
    let code = param(&consent(&other, &app.push().await).await, "code");
    app.redeem(&code, &app.verifier).await.succeeds();
    // the operator's words end the codes too
    let app = App::new(&stack);
    let code = param(&consent(&other, &app.push().await).await, "code");
    stack
        .admin(&["devices", "kill", "--user", person.email.as_str()])
        .await;
    assert_eq!(
        stack
            .number("select count(*) from oauth_codes where consumed_at is null")
            .await,
        0
    );
    assert_eq!(
        oauth_error(&app.redeem(&code, &app.verifier).await),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_pushed_request_is_answered_once() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    for answer in ["yes", "no"] {
        let app = App::new(&stack);
        let path = app.push().await;
        let question = browser.visit(&path).await;
        let first = browser
            .submit(&question, routes::AUTHORIZE, &[("answer", answer)])
            .await;
        home_link(&browser.follow(first).await);
        // the question is still open in another tab
        for again in [
            browser
                .submit(&question, routes::AUTHORIZE, &[("answer", "yes")])
                .await,
            browser.get(&path).await,
        ] {
            assert!((400..500).contains(&again.status), "{answer}: {again:?}");
            let leads_home = again
                .links()
                .iter()
                .any(|link| link.starts_with(REDIRECT_DEEP_LINK));
            assert!(!leads_home, "{answer}: {again:?}");
        }
    }
    let codes = stack.number("select count(*) from oauth_codes").await;
    assert_eq!(codes, 1, "one consent, one code");
    for (outcome, reason) in [("done", "native"), ("refused", "native: cancelled")] {
        let noted = format!(
            "select count(*) from audit_events
              where event = 'authorize' and outcome = '{outcome}' and reason = '{reason}'"
        );
        assert_eq!(stack.number(&noted).await, 1, "{reason}");
    }
}

#[tokio::test]
async fn an_apps_own_token_cannot_say_yes_to_another_app() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let path = App::new(&stack).push().await;
    let question = client.get(&path).await;
    let cookies: Vec<String> = question
        .set_cookies()
        .iter()
        .filter_map(|line| line.split(';').next().map(str::to_owned))
        .collect();
    let form = question.form(routes::AUTHORIZE);
    // everything that a browser would send, and the token in place of its session
    let pressed = client
        .bare(http::Method::POST, &form.action)
        .header("Cookie", cookies.join("; "))
        .header("Origin", stack.url())
        .header("Sec-Fetch-Site", "same-origin")
        .form(&form.hidden);
    let answer = client.send(pressed).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(stack.number("select count(*) from oauth_codes").await, 0);
}

#[tokio::test]
async fn an_unknown_request_gets_a_page_in_words() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let unknown = [
        "urn:ietf:params:oauth:request_uri:unknown",
        "",
        "https://evil.example/request",
    ];
    for request_uri in unknown {
        let page = browser.get(&authorize_path(request_uri)).await;
        assert!((400..500).contains(&page.status), "{page:?}");
        assert!(page.location().is_empty());
    }
    let plain = browser
        .get(&format!(
            "{}?client_id={CLIENT_ID}&response_type=code&redirect_uri=compymac://auth/callback",
            routes::AUTHORIZE
        ))
        .await;
    assert!(
        (400..500).contains(&plain.status),
        "a request that was not pushed: {plain:?}"
    );
}

#[tokio::test]
async fn after_signing_in_one_is_sent_only_to_pages_of_this_site() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let evil = [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "%2f%2fevil.example",
        "/%2fevil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/\t/evil.example",
        "http:evil.example",
        " //evil.example",
        "/auth/../..//evil.example",
    ];
    for next in evil {
        let browser = Client::browser(&stack.url(), &stack.url());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", next)
            .finish();
        let page = browser.get(&format!("{}?{query}", routes::page::SIGN_IN)).await;
        let fields = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
            ("next", next),
        ];
        let answer = browser.submit(&page, routes::page::FORM_SIGN_IN, &fields).await;
        assert_eq!(answer.status, 303, "{next}: {answer:?}");
        let base = url::Url::parse(&stack.url()).expect("a URL");
        let target = base.join(&answer.location()).expect("a location");
        assert_eq!(target.origin(), base.origin(), "{next} led to {target}");
    }
    let browser = Client::browser(&stack.url(), &stack.url());
    let page = browser
        .get(&format!("{}?next=/settings", routes::page::SIGN_IN))
        .await;
    let fields = [
        ("email", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    let answer = browser.submit(&page, routes::page::FORM_SIGN_IN, &fields).await;
    assert!(answer.location().ends_with(routes::page::SETTINGS), "{answer:?}");
}

/// What a browser handed out before the password was changed opens nothing afterwards.
#[tokio::test]
async fn a_code_from_before_a_new_password_is_worth_nothing() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let app = App::new(&stack);
    let link = consent(&browser, &app.push().await).await;
    let anybody = Client::browser(&stack.url(), &stack.url());
    let form = anybody.get(routes::page::FORGOT).await;
    let fields = [("email", person.email.as_str())];
    anybody.submit(&form, routes::page::FORGOT, &fields).await;
    let letter = stack.letter_to(person.email.as_str(), 2).await;
    let form = anybody.get(&path_of(&letter.link.expect("a link"))).await;
    let fields = [("password", "walnut-ferry-copper-drizzle")];
    let changed = anybody.submit(&form, routes::page::RESET, &fields).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let refused = app.redeem(&param(&link, "code"), &app.verifier).await;
    assert_eq!(oauth_error(&refused), "invalid_grant");
}

/// What the token endpoint answers to each thing that whoever began knows, shown as each kind of grant.
async fn told_of(app: &App, request_uri: &str) -> Vec<String> {
    let id = request_uri.rsplit(':').next().unwrap_or_default();
    let challenge = app.request().code_challenge;
    let mut told = Vec::new();
    for known in [
        request_uri,
        id,
        app.state.as_str(),
        app.verifier.as_str(),
        challenge.as_str(),
    ] {
        let grants = [
            app.grant(known),
            Grant::DeviceCode {
                device_code: known.to_owned(),
                client_id: CLIENT_ID.to_owned(),
            },
            Grant::RefreshToken {
                refresh_token: known.to_owned(),
                client_id: CLIENT_ID.to_owned(),
            },
        ];
        for grant in grants {
            let answer = app.client.token(&grant).await;
            assert_eq!(oauth_error(&answer), "invalid_grant", "{grant:?}");
            told.push(answer.text());
        }
    }
    told
}

/// Somebody begins, and gets another to say yes. What comes of it goes to the program that the other's browser opens.
#[tokio::test]
async fn who_began_cannot_ask_what_came_of_it() {
    let stack = Stack::start().await;
    let (_, victim) = Person::join(&stack).await;
    let app = App::new(&stack);
    let pushed: PushedAnswer = app.client.post(routes::PAR, &app.request()).await.expect();
    let path = authorize_path(&pushed.request_uri);
    let (_, attacker) = Person::join(&stack).await;
    let stranger = Client::browser(&stack.url(), &stack.url());
    let looks = async || {
        let (asked, led) = (attacker.get(&path).await, stranger.get(&path).await);
        let csrf = asked
            .form(routes::AUTHORIZE)
            .field("csrf")
            .unwrap_or_default()
            .to_owned();
        let said = asked.text().replace(&csrf, "");
        (asked.status, said, led.status, led.location())
    };
    let (before, seen) = (told_of(&app, &pushed.request_uri).await, looks().await);
    let link = consent(&victim, &path).await;
    let after = told_of(&app, &pushed.request_uri).await;
    assert_eq!(before, after, "waiting and answered are one to whoever asks");
    assert_eq!(looks().await, seen, "and to whoever opens the address again");
    let question = attacker.get(&path).await;
    let late = attacker
        .submit(&question, routes::AUTHORIZE, &[("answer", "yes")])
        .await;
    assert!((400..500).contains(&late.status), "{late:?}");
    let own = victim.get(&path).await;
    assert!((400..500).contains(&own.status), "{own:?}");
    // nor does the page say anything to them, nor to the same request pushed again
    let again = authorize_path(
        &app.client
            .post(routes::PAR, &app.request())
            .await
            .expect::<PushedAnswer>()
            .request_uri,
    );
    for path in [&path, &again] {
        let page = stranger.visit(path).await;
        let leads_home = page.location().contains(REDIRECT_DEEP_LINK);
        assert!(
            !leads_home && !page.text().contains(REDIRECT_DEEP_LINK),
            "{page:?}"
        );
    }
    assert_eq!(stack.number("select count(*) from oauth_codes").await, 1);
    // asking has taken nothing from the program that the code is for
    app.redeem(&param(&link, "code"), &app.verifier).await.succeeds();
}
