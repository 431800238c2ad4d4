//! Refresh tokens that are bound to a key (RFC 9449): a copy without the key is worth nothing, and no clock keeps anybody out.

use crate::device_code::{press, type_code};
use crate::native_sign_in::{App, consent, oauth_error, param};
use crate::second_step::Careful;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use harness::{Answer, Client, DeviceClient, Person, ProofMaker, Stack, native, unsigned};
use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use protocol::auth::{Password, SecondStep, SignIn, SignedIn, Tokens};
use protocol::oauth::{CLIENT_ID, DPOP, DPOP_NONCE, DeviceCodeAnswer, Grant, ServerMetadata};
use protocol::{Code, routes};
use serde::Serialize;
use serde_json::{Value, json};
use sync_client::driver::Clock;

const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

/// Posts with these proofs.
async fn post(client: &Client, path: &str, body: &impl Serialize, proofs: &[&str]) -> Answer {
    let mut request = client.bare(Method::POST, path);
    request = if path.starts_with("/api/") {
        request.json(body)
    } else {
        request.form(body)
    };
    for proof in proofs {
        request = request.header(DPOP, *proof);
    }
    client.send(request).await
}

fn tokens(answer: &Answer) -> Tokens {
    let signed_in: SignedIn = answer.expect();
    signed_in.tokens.expect("tokens")
}

fn token_address(stack: &Stack) -> String {
    format!("{}{}", stack.url(), routes::TOKEN)
}

async fn sign_in(stack: &Stack, person: &Person, proof: Option<&str>) -> Answer {
    let ask = SignIn {
        email: person.email.clone(),
        password: Password::typed(&person.password),
        binding: None,
        client: native("Laptop"),
        stay: false,
    };
    let client = Client::native(&stack.url());
    post(&client, routes::SIGN_IN, &ask, proof.as_slice()).await
}

/// Signed in with this key: a client, and the refresh token that is bound to it.
async fn bound(stack: &Stack, key: &ProofMaker) -> (Client, String) {
    let (person, _) = Person::join(stack).await;
    let proof = key.proof(&format!("{}{}", stack.url(), routes::SIGN_IN));
    let answer = sign_in(stack, &person, Some(&proof)).await;
    let client = Client::native(&stack.url());
    client.hold(tokens(&answer));
    let token = client.tokens().refresh_token;
    (client, token)
}

fn renewal(refresh_token: &str) -> Grant {
    Grant::RefreshToken {
        refresh_token: refresh_token.to_owned(),
        client_id: CLIENT_ID.to_owned(),
    }
}

async fn renew(client: &Client, refresh_token: &str, proofs: &[&str]) -> Answer {
    post(client, routes::TOKEN, &renewal(refresh_token), proofs).await
}

async fn suspected(stack: &Stack) -> i64 {
    stack
        .number("select count(*) from audit_events where event = 'refresh' and reason like '%suspicious%'")
        .await
}

#[tokio::test]
async fn what_is_bound_to_a_key_is_renewed_with_that_key_alone() {
    let stack = Stack::start().await;
    let (key, other) = (ProofMaker::fresh(), ProofMaker::fresh());
    let (client, token) = bound(&stack, &key).await;
    let address = token_address(&stack);
    let by_another = renew(&client, &token, &[&other.proof(&address)]).await;
    assert_eq!(oauth_error(&by_another), "invalid_grant");
    let by_none = renew(&client, &token, &[]).await;
    assert_eq!(oauth_error(&by_none), "invalid_grant");
    assert_eq!(suspected(&stack).await, 2, "both are noted");

    // nobody was signed out by it
    let renewed = tokens(&renew(&client, &token, &[&key.proof(&address)]).await);
    assert_ne!(renewed.refresh_token, token);
    assert_eq!(renewed.token_type, "Bearer");
    client.hold(renewed.clone());
    client.me().await;
    let again = renew(&client, &renewed.refresh_token, &[&key.proof(&address)]).await;
    again.succeeds();
    assert_eq!(suspected(&stack).await, 2);
    let metrics = client.get(routes::METRICS).await.text();
    assert!(
        metrics.contains(r#"refresh_total{result="another_key"} 2"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn who_showed_no_key_is_asked_for_none() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    client.refresh().await;
    // one that is shown all the same is looked at, and binds nothing
    let address = token_address(&stack);
    let token = client.tokens().refresh_token;
    let answer = renew(&client, &token, &[&ProofMaker::fresh().proof(&address)]).await;
    client.hold(tokens(&answer));
    client.refresh().await;
}

#[tokio::test]
async fn a_proof_is_good_for_one_request() {
    let stack = Stack::start().await;
    let key = ProofMaker::fresh();
    let (client, token) = bound(&stack, &key).await;
    let proof = key.proof(&token_address(&stack));
    let renewed = tokens(&renew(&client, &token, &[&proof]).await);
    let again = renew(&client, &renewed.refresh_token, &[&proof]).await;
    assert_eq!(oauth_error(&again), "invalid_dpop_proof");
    let second = stack.second_server().await;
    let elsewhere = renew(&client.at(&second.url()), &renewed.refresh_token, &[&proof]).await;
    assert_eq!(oauth_error(&elsewhere), "invalid_dpop_proof");
}

/// What is no proof, and by which word it is called.
fn no_proofs(key: &ProofMaker, address: &str) -> Vec<(&'static str, String)> {
    let (head, claims) = (key.head(), key.claims(address));
    let with = |value: &Value, name: &str, new: Value| {
        let mut value = value.as_object().cloned().unwrap_or_default();
        value.insert(name.to_owned(), new);
        Value::Object(value)
    };
    let told = with(&key.jwk(), "d", key.secret().into());
    let mut symmetric = Header::new(Algorithm::HS256);
    symmetric.typ = Some("dpop+jwt".to_owned());
    let public = EncodingKey::from_secret(key.jwk().to_string().as_bytes());
    let signature_of_another = {
        let other = ProofMaker::fresh().signed(&head, &claims);
        let (_, signature) = other.rsplit_once('.').expect("a signature");
        format!("{}.{signature}", unsigned(&head, &claims))
    };
    let other_address = address.replace("/oauth/token", "/oauth/par");
    vec![
        ("nothing", String::new()),
        ("words", "no proof at all".to_owned()),
        (
            "another address",
            key.signed(&head, &with(&claims, "htu", other_address.into())),
        ),
        (
            "another site",
            key.signed(
                &head,
                &with(&claims, "htu", "https://evil.example/oauth/token".into()),
            ),
        ),
        (
            "another method",
            key.signed(&head, &with(&claims, "htm", "GET".into())),
        ),
        (
            "alg none",
            format!("{}.", unsigned(&with(&head, "alg", "none".into()), &claims)),
        ),
        (
            "alg none, and signed",
            key.signed(&with(&head, "alg", "none".into()), &claims),
        ),
        (
            "HS256 by the public key",
            jsonwebtoken::encode(&symmetric, &claims, &public).expect("a token"),
        ),
        (
            "HS256 by name",
            key.signed(&with(&head, "alg", "HS256".into()), &claims),
        ),
        (
            "the secret half told",
            key.signed(&with(&head, "jwk", told), &claims),
        ),
        ("no key", key.signed(&with(&head, "jwk", json!({})), &claims)),
        (
            "a key of another kind",
            key.signed(&with(&head, "alg", "EdDSA".into()), &claims),
        ),
        (
            "of another type",
            key.signed(&with(&head, "typ", "JWT".into()), &claims),
        ),
        (
            "something critical",
            key.signed(&with(&head, "crit", json!(["x"])), &claims),
        ),
        ("another's signature", signature_of_another),
        ("no signature", format!("{}.", unsigned(&head, &claims))),
        ("no id", key.signed(&head, &with(&claims, "jti", "".into()))),
        (
            "a long id",
            key.signed(&head, &with(&claims, "jti", "x".repeat(129).into())),
        ),
        ("no time", key.signed(&head, &with(&claims, "iat", Value::Null))),
    ]
}

#[tokio::test]
async fn what_is_no_proof_is_refused_as_none_and_signs_nobody_out() {
    let stack = Stack::start().await;
    let key = ProofMaker::fresh();
    let (client, token) = bound(&stack, &key).await;
    let address = token_address(&stack);
    for (name, proof) in no_proofs(&key, &address) {
        let answer = renew(&client, &token, &[&proof]).await;
        assert_eq!(oauth_error(&answer), "invalid_dpop_proof", "{name}");
    }
    let two = [key.proof(&address), key.proof(&address)];
    let answer = renew(&client, &token, &[&two[0], &two[1]]).await;
    assert_eq!(oauth_error(&answer), "invalid_dpop_proof", "two proofs");
    assert_eq!(suspected(&stack).await, 0);
    // what a request says of its host decides nothing
    let request = client
        .bare(Method::POST, routes::TOKEN)
        .header("Host", "evil.example")
        .header("X-Forwarded-Host", "evil.example")
        .header(DPOP, key.proof("http://evil.example/oauth/token"))
        .form(&renewal(&token));
    assert_eq!(oauth_error(&client.send(request).await), "invalid_dpop_proof");
    renew(&client, &token, &[&key.proof(&address)]).await.succeeds();
}

#[tokio::test]
async fn a_wrong_clock_is_replaced_by_the_servers_nonce() {
    let stack = Stack::start().await;
    let address = token_address(&stack);
    let key = ProofMaker::fresh();
    let (client, token) = bound(&stack, &key).await;
    let mut token = token;
    for wrong_by in [-TEN_YEARS, TEN_YEARS, -120, 120] {
        let key = key.wrong_by(wrong_by);
        let refused = renew(&client, &token, &[&key.proof(&address)]).await;
        assert_eq!(oauth_error(&refused), "use_dpop_nonce", "{wrong_by}");
        let nonce = refused.header(DPOP_NONCE).expect("a nonce").to_owned();
        let made_up = key.proof_with(&address, &nonce.replace(&nonce[..8], "AAAAAAAA"));
        let refused = renew(&client, &token, &[&made_up]).await;
        assert_eq!(oauth_error(&refused), "use_dpop_nonce", "{wrong_by}, made up");
        let proof = key.proof_with(&address, &nonce);
        token = tokens(&renew(&client, &token, &[&proof]).await).refresh_token;
        let replayed = renew(&client, &token, &[&proof]).await;
        assert_eq!(oauth_error(&replayed), "invalid_dpop_proof", "{wrong_by}, again");
    }
    // any node's will do
    let key = key.wrong_by(TEN_YEARS);
    let second = stack.second_server().await;
    let refused = renew(&client.at(&second.url()), &token, &[&key.proof(&address)]).await;
    let nonce = refused.header(DPOP_NONCE).expect("a nonce");
    renew(&client, &token, &[&key.proof_with(&address, nonce)])
        .await
        .succeeds();
}

#[tokio::test]
async fn a_wrong_clock_keeps_nobody_from_signing_in() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let key = ProofMaker::fresh().wrong_by(-TEN_YEARS);
    let address = format!("{}{}", stack.url(), routes::SIGN_IN);
    // more often than a password may be tried
    for _ in 0..12 {
        let refused = sign_in(&stack, &person, Some(&key.proof(&address))).await;
        let problem = refused.refused(Code::UseDpopNonce);
        assert_eq!(problem.challenge.as_deref(), refused.header(DPOP_NONCE));
    }
    let refused = sign_in(&stack, &person, Some(&key.proof(&address))).await;
    let nonce = refused.header(DPOP_NONCE).expect("a nonce");
    let answer = sign_in(&stack, &person, Some(&key.proof_with(&address, nonce))).await;
    tokens(&answer);
    let refused = sign_in(&stack, &person, Some("no proof")).await;
    refused.refused(Code::InvalidDpopProof);
}

#[tokio::test]
async fn fifty_renewals_at_once_each_with_its_proof_give_one_token() {
    let stack = Stack::start().await;
    let key = ProofMaker::fresh();
    let (client, token) = bound(&stack, &key).await;
    let address = token_address(&stack);
    let answers = join_all((0..50).map(|_| {
        let proof = key.proof(&address);
        let (client, token) = (&client, &token);
        async move { renew(client, token, &[&proof]).await }
    }))
    .await;
    let given: std::collections::BTreeSet<String> = answers
        .iter()
        .map(|answer| tokens(answer).refresh_token)
        .collect();
    assert_eq!(given.len(), 1);
}

#[tokio::test]
async fn a_code_is_redeemed_with_the_key_that_it_was_asked_for() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let (key, other) = (ProofMaker::fresh(), ProofMaker::fresh());
    let address = token_address(&stack);
    let by_another = other.proof(&address);
    for proof in [None, Some(by_another.as_str())] {
        let app = App::with_key(&stack, &key.thumbprint());
        let code = param(&consent(&browser, &app.push().await).await, "code");
        let refused = post(&app.client, routes::TOKEN, &app.grant(&code), proof.as_slice()).await;
        assert_eq!(oauth_error(&refused), "invalid_grant", "{proof:?}");
    }
    let app = App::with_key(&stack, &key.thumbprint());
    let code = param(&consent(&browser, &app.push().await).await, "code");
    // a proof that is to be made again uses no code up
    let late = key.wrong_by(TEN_YEARS);
    let refused = post(
        &app.client,
        routes::TOKEN,
        &app.grant(&code),
        &[&late.proof(&address)],
    )
    .await;
    let nonce = refused.header(DPOP_NONCE).expect("a nonce");
    let proof = late.proof_with(&address, nonce);
    let token = tokens(&post(&app.client, routes::TOKEN, &app.grant(&code), &[&proof]).await).refresh_token;
    assert_eq!(
        oauth_error(&renew(&app.client, &token, &[]).await),
        "invalid_grant"
    );
    renew(&app.client, &token, &[&key.proof(&address)])
        .await
        .succeeds();
}

#[tokio::test]
async fn a_program_without_a_browser_is_bound_as_well() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let (key, other) = (ProofMaker::fresh(), ProofMaker::fresh());
    let address = token_address(&stack);
    let client = Client::native(&stack.url());
    let thumbprint = key.thumbprint();
    let mut form = vec![
        ("client_id", CLIENT_ID),
        ("name", "A server"),
        ("os", "linux"),
        ("version", "1"),
        ("dpop_jkt", "no thumbprint"),
    ];
    let refused = post(&client, routes::DEVICE_AUTHORIZATION, &form, &[]).await;
    assert_eq!(oauth_error(&refused), "invalid_request");
    form.pop();
    form.push(("dpop_jkt", &thumbprint));
    let codes: DeviceCodeAnswer = post(&client, routes::DEVICE_AUTHORIZATION, &form, &[])
        .await
        .expect();
    let found = type_code(&browser, &codes.user_code).await;
    press(&browser, &found, "yes").await;
    let grant = Grant::DeviceCode {
        device_code: codes.device_code,
        client_id: CLIENT_ID.to_owned(),
    };
    for proofs in [vec![], vec![other.proof(&address)]] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let refused = post(&client, routes::TOKEN, &grant, &proofs).await;
        assert_eq!(oauth_error(&refused), "invalid_grant");
    }
    let noted = format!(
        "select count(*) from audit_events where user_id = '{}' and reason = 'device code: another key'",
        browser.me().await.user
    );
    assert_eq!(stack.number(&noted).await, 2, "whoever let it in reads so");
    let answer = post(&client, routes::TOKEN, &grant, &[&key.proof(&address)]).await;
    let token = tokens(&answer).refresh_token;
    assert_eq!(oauth_error(&renew(&client, &token, &[]).await), "invalid_grant");
    renew(&client, &token, &[&key.proof(&address)]).await.succeeds();
}

#[tokio::test]
async fn both_steps_of_a_sign_in_are_proven_with_one_key() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let (key, other) = (ProofMaker::fresh(), ProofMaker::fresh());
    let client = Client::native(&stack.url());
    let first = key.proof(&format!("{}{}", stack.url(), routes::SIGN_IN));
    let refused = sign_in(&stack, &careful.person, Some(&first)).await;
    let problem = refused.refused(Code::SecondStepRequired);
    let ask = SecondStep {
        challenge: problem.challenge.expect("a challenge"),
        code: careful.phone.code(),
    };
    let address = format!("{}{}", stack.url(), routes::SECOND_STEP);
    for proofs in [vec![], vec![other.proof(&address)]] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let refused = post(&client, routes::SECOND_STEP, &ask, &proofs).await;
        refused.refused(Code::InvalidDpopProof);
    }
    let answer = post(&client, routes::SECOND_STEP, &ask, &[&key.proof(&address)]).await;
    let token = tokens(&answer).refresh_token;
    assert_eq!(oauth_error(&renew(&client, &token, &[]).await), "invalid_grant");
    renew(&client, &token, &[&key.proof(&token_address(&stack))])
        .await
        .succeeds();
}

#[tokio::test]
async fn without_redis_the_key_is_wanted_all_the_same() {
    let stack = Stack::builder().with_gates().start().await;
    let (key, other) = (ProofMaker::fresh(), ProofMaker::fresh());
    let (client, token) = bound(&stack, &key).await;
    let address = token_address(&stack);
    stack.redis_gate().shut();
    let by_another = renew(&client, &token, &[&other.proof(&address)]).await;
    assert_eq!(oauth_error(&by_another), "invalid_grant");
    renew(&client, &token, &[&key.proof(&address)]).await.succeeds();
}

#[tokio::test]
async fn the_server_says_where_proofs_are_for() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let metadata: ServerMetadata = Client::native(&second.url())
        .get(routes::OAUTH_METADATA)
        .await
        .expect();
    assert_eq!(metadata.issuer, stack.url());
    assert_eq!(metadata.token_endpoint, token_address(&stack));
    assert_eq!(metadata.dpop_signing_alg_values_supported, ["ES256", "EdDSA"]);
    assert!(
        !metadata
            .code_challenge_methods_supported
            .contains(&"plain".to_owned())
    );
}

/// How many devices are bound to a key.
async fn bound_devices(stack: &Stack) -> i64 {
    stack
        .number("select count(*) from sessions where kind = 1 and dpop_jkt is not null")
        .await
}

#[tokio::test]
async fn a_device_whose_clock_is_ten_years_off_signs_in_and_stays_in() {
    let stack = Stack::start().await;
    for (number, wrong_by) in [-TEN_YEARS, TEN_YEARS].into_iter().enumerate() {
        let (person, _) = Person::join(&stack).await;
        let clock = move || Clock::wrong_by(wrong_by * 1000);
        let device = DeviceClient::of_by(clock, &person, &stack.url()).await;
        assert_eq!(
            bound_devices(&stack).await,
            i64::try_from(number).expect("few") + 1
        );
        // what is kept is all that there is after this
        let device = device.restart_by(clock).await;
        device.wait_online().await;
        let session = device.create().await.expect("a session");
        device.send(session, "what year is it").await.expect("a message");
        device.wait_sent(session, "what year is it").await;
    }
    assert_eq!(suspected(&stack).await, 0);
    assert_eq!(
        stack
            .number("select count(*) from sessions where kind = 1 and gen < 2")
            .await,
        0,
        "both have renewed"
    );
}

#[tokio::test]
async fn a_device_that_reaches_the_server_by_another_address_is_bound_as_well() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, _) = Person::join(&stack).await;
    let device = DeviceClient::of(&person, &second.url()).await;
    assert_eq!(bound_devices(&stack).await, 1);
    let device = device.restart(|_| ()).await;
    device.wait_online().await;
    assert_eq!(suspected(&stack).await, 0);
}

/// The key that a device was bound to stays where its refresh token is.
#[tokio::test]
async fn a_refresh_token_taken_from_a_device_opens_nothing_by_itself() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let token = device.refresh_token();
    let thief = Client::native(&stack.url());
    assert_eq!(oauth_error(&thief.refresh_with(&token).await), "invalid_grant");
    let device = device.restart(|_| ()).await;
    device.wait_online().await;
    assert_eq!(suspected(&stack).await, 1);
}

/// No claim of an access token says where the key is; it is of no use to whoever sees one.
#[tokio::test]
async fn an_access_token_is_a_bearers() {
    let stack = Stack::start().await;
    let (client, _) = bound(&stack, &ProofMaker::fresh()).await;
    let access = client.tokens().access_token;
    let claims = access.split('.').nth(1).expect("claims");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    assert!(claims.get("cnf").is_none());
    client.me().await;
}
