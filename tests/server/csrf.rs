//! A page of another site cannot act for somebody who is signed in, nor sign them in as somebody else.

use crate::forms::{self, About};
use harness::{Client, Person, Stack, browser};
use http::Method;
use protocol::auth::SignIn;
use protocol::{Code, routes};
use serde_json::json;

/// Header sets of requests that a foreign page can cause.
const FOREIGN: &[&[(&str, &str)]] = &[
    &[],
    &[("Origin", "https://evil.example")],
    &[("Origin", "null")],
    &[("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Origin", "http://127.0.0.1")],
    &[("Origin", "http://localhost:1"), ("Sec-Fetch-Site", "same-site")],
];

fn with(mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

#[tokio::test]
async fn a_write_by_cookie_from_another_site_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    for headers in FOREIGN {
        for path in [routes::MUTATIONS, routes::SIGN_OUT, routes::SOCKET_TICKET] {
            let request = with(client.bare(Method::POST, path), headers).json(&json!({"ops": []}));
            let answer = client.send(request).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}: {answer:?}");
            assert!(matches!(
                answer.problem().code,
                Code::OriginDenied | Code::CsrfFailed
            ));
        }
        let device = client.me().await.device;
        let request = with(client.bare(Method::DELETE, &routes::device(device)), headers);
        assert_eq!(client.send(request).await.status, 403, "{headers:?}");
    }
    assert!(client.me().await.email.as_str().contains('@'), "still signed in");
}

#[tokio::test]
async fn a_foreign_page_cannot_sign_a_browser_in() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let client = Client::browser(&stack.url(), &stack.url());
    let body = SignIn {
        email: person.email.clone(),
        password: protocol::auth::Password::typed(&person.password),
        binding: None,
        client: protocol::auth::Client::Browser,
        stay: false,
    };
    let foreign = [
        [
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ],
        [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
    ];
    for headers in &foreign {
        let answer = client
            .send(with(client.bare(Method::POST, routes::SIGN_IN), headers).json(&body))
            .await;
        assert_eq!(answer.status, 403, "{headers:?}: {answer:?}");
        let token = forms::token(&client, routes::page::SIGN_IN, routes::page::FORM_SIGN_IN).await;
        let fields = [
            ("email", person.email.as_str()),
            ("password", person.password.as_str()),
            ("csrf", token.as_str()),
        ];
        let form = with(client.bare(Method::POST, routes::page::FORM_SIGN_IN), headers).form(&fields);
        client.send(form).await.refused(Code::OriginDenied);
    }
    assert!(client.cookie(harness::SESSION_COOKIE).is_none());
}

#[tokio::test]
async fn a_foreign_page_can_neither_sign_anybody_up_nor_cause_a_letter() {
    let stack = Stack::start().await;
    let person = Person::fresh();
    let client = Client::browser(&stack.url(), &stack.url());
    person.sign_up(&client).await.succeeds();
    stack.letter_to(person.email.as_str(), 1).await;
    let device = harness::native("Laptop");
    let bodies = [
        (
            routes::SIGN_UP,
            json!({"email": Person::fresh().email, "password": person.password}),
        ),
        (routes::RESEND, json!({"email": person.email})),
        (
            routes::PAR,
            json!({"client_id": protocol::oauth::CLIENT_ID, "code_challenge": "c".repeat(43),
                   "code_challenge_method": "S256", "state": "s".repeat(43), "device": device,
                   "redirect_uri": protocol::oauth::REDIRECT_DEEP_LINK}),
        ),
    ];
    for headers in FOREIGN.iter().filter(|headers| !headers.is_empty()) {
        for (path, body) in &bodies {
            // of a browser that was never here, so that no cookie gives it away
            let stranger = Client::native(&stack.url());
            let request = with(stranger.bare(Method::POST, path), headers).json(body);
            let answer = stranger.send(request).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}: {answer:?}");
        }
    }
    let letters = stack.number("select count(*) from email_outbox").await;
    assert_eq!(letters, 1, "the first alone");
    // and asked from nowhere in particular, as programs ask, each is a sound request
    for (path, body) in &bodies {
        Client::native(&stack.url()).post(path, body).await.succeeds();
    }
}

#[tokio::test]
async fn a_form_without_the_pages_token_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let (_, stranger) = Person::join(&stack).await;
    let page = stranger.visit(routes::page::HOME).await;
    let foreign_token = page
        .form(routes::page::FORM_NEW_SESSION)
        .field("csrf")
        .unwrap_or_default()
        .to_owned();
    for token in [None, Some(""), Some("x"), Some(foreign_token.as_str())] {
        let fields: Vec<(&str, &str)> = token.iter().map(|token| ("csrf", *token)).collect();
        let request = client
            .request(Method::POST, routes::page::FORM_NEW_SESSION)
            .form(&fields);
        let answer = client.send(request).await;
        assert_eq!(answer.status, 403, "{token:?}: {answer:?}");
    }
    assert!(client.sessions().await.is_empty());
}

/// All that a form can change, as one number. A letter that leaves changes only its row.
const EVERYTHING: &str = "
    select hashtextextended(string_agg(it, ';' order by it), 0) from (
              select t::text as it from users t       union all select t::text from accounts t
    union all select t::text from agent_sessions t    union all select t::text from conversations t
    union all select t::text from mutations t         union all select t::text from runs t
    union all select t::text from passkeys t          union all select t::text from second_factors t
    union all select t::text from recovery_codes t    union all select t::text from challenges t
    union all select t::text from deletions t         union all select t::text from exports t
    union all select t::text from email_changes t     union all select t::text from letter_choices t
    union all select t::text from oauth_codes t       union all select t::text from device_codes t
    union all select t::text from verification_tokens t
    union all select id::text from email_outbox
    union all select concat_ws(' ', id, user_id, gen, revoked_at, proven_at) from sessions) as everything";

/// Somebody with something for each form to act on.
async fn dweller(stack: &Stack) -> (Client, About) {
    let (person, client) = Person::join(stack).await;
    let laptop = person.native(stack, "Laptop").await;
    let session = client.create_session("Mine").await;
    let user = client.me().await.user;
    let about = About {
        email: person.email.to_string(),
        session: session.to_string(),
        message: client.note(session, "Mine").await.id.to_string(),
        device: laptop.me().await.device.to_string(),
        passkey: uuid::Uuid::now_v7().to_string(),
    };
    stack
        .execute(&format!(
            "insert into passkeys (user_id, id, credential_id, name, credential)
             values ('{user}', '{}', 'mine', 'Mine', '{{}}')",
            about.passkey
        ))
        .await;
    (client, about)
}

#[tokio::test]
async fn every_form_wants_its_pages_token_and_is_sent_from_this_site_alone() {
    let stack = Stack::start().await;
    let (client, about) = dweller(&stack).await;
    let (_, neighbour) = Person::join(&stack).await;
    let stranger = browser(&stack);
    let security = (routes::page::SECURITY, routes::page::FORM_LEAVE);
    let own = forms::token(&client, security.0, security.1).await;
    let neighbours = forms::token(&neighbour, security.0, security.1).await;
    let door = (routes::page::SIGN_IN, routes::page::FORM_SIGN_IN);
    let strangers = forms::token(&stranger, door.0, door.1).await;
    let from_here: &[(&str, &str)] = &[("Origin", client.origin()), ("Sec-Fetch-Site", "same-origin")];
    // asked of nobody who is not in, before anything else
    let asks_who = [
        routes::page::PROVE_PASSKEY_OPTIONS,
        routes::page::PASSKEY_ADD_OPTIONS,
    ];
    let before = stack.number(EVERYTHING).await;
    for route in forms::all(&stack.url()).await {
        let path = about.path(&route);
        let send = async |client: &Client, headers: &[(&str, &str)], token: Option<&str>| {
            let request = with(client.bare(Method::POST, &path), headers);
            let answer = client.send(request.form(&about.fields(token))).await;
            assert_eq!(answer.set_cookies(), Vec::<String>::new(), "{path}: {answer:?}");
            (answer.status, answer.problem().code)
        };
        for (who, right) in [(&client, own.as_str()), (&stranger, strangers.as_str())] {
            for token in [None, Some(""), Some("x"), Some(neighbours.as_str())] {
                let refused = send(who, from_here, token).await;
                let refusal = if who.is_in() || !asks_who.contains(&route.as_str()) {
                    (403, Code::CsrfFailed)
                } else {
                    (401, Code::SignInRequired)
                };
                assert_eq!(refused, refusal, "{path} with {token:?}");
            }
            for headers in FOREIGN.iter().copied().filter(|headers| !headers.is_empty()) {
                let refused = send(who, headers, Some(right)).await;
                assert_eq!(refused, (403, Code::OriginDenied), "{path} {headers:?}");
            }
        }
    }
    assert_eq!(stack.number(EVERYTHING).await, before, "nothing is done");
    // and it was the right token all the while
    let archive = client.bare(Method::POST, &about.path(routes::page::FORM_ARCHIVE));
    let archive = with(archive, from_here).form(&about.fields(Some(&own)));
    client.send(archive).await.has_status(http::StatusCode::SEE_OTHER);
    assert_ne!(stack.number(EVERYTHING).await, before);
}

#[tokio::test]
async fn json_dressed_as_plain_text_does_not_pass() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let request = client
        .request(Method::POST, routes::MUTATIONS)
        .header("Content-Type", "text/plain")
        .body("{\"ops\":[]}");
    client.send(request).await.refused(Code::UnsupportedMediaType);
}

#[tokio::test]
async fn tokens_need_no_origin_since_no_foreign_page_has_them() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    client.create_session("From a program").await;
}
