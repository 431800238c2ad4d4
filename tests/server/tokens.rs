//! Access tokens that were tampered with, and refresh tokens that were stolen, lost or used twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Client, Person, Socket, Stack, within};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use protocol::auth::SignedIn;
use protocol::oauth::{Grant, TokenError};
use protocol::{Code, routes};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn parts(token: &str) -> (Value, Value, String) {
    let mut parts = token.split('.');
    let mut json = || {
        let bytes = URL_SAFE_NO_PAD
            .decode(parts.next().unwrap_or_default())
            .expect("base64url");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let (header, claims) = (json(), json());
    (header, claims, parts.next().unwrap_or_default().to_owned())
}

async fn is_accepted(client: &Client, token: &str) -> bool {
    let request = client.request(http::Method::GET, routes::SESSIONS);
    let request = request.headers(
        [(
            http::header::AUTHORIZATION,
            format!("Bearer {token}").parse().expect("a header"),
        )]
        .into_iter()
        .collect(),
    );
    client.send(request).await.status == 200
}

#[tokio::test]
async fn an_access_token_is_what_the_documents_say() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let tokens = client.tokens();
    let (header, claims, _) = parts(&tokens.access_token);
    assert_eq!(
        (header["alg"].as_str(), header["typ"].as_str()),
        (Some("EdDSA"), Some("at+jwt"))
    );
    for name in ["iss", "aud", "sub", "sid", "gen", "exp", "nbf", "iat"] {
        assert!(!claims[name].is_null(), "{name} in {claims}");
    }
    assert_eq!(
        claims["iss"].as_str().map(|iss| iss.trim_end_matches('/')),
        Some(stack.url().as_str())
    );
    assert!((300..=900).contains(&tokens.expires_in), "{}", tokens.expires_in);
    assert!(tokens.refresh_token.starts_with("cmr_"));
    assert!(is_accepted(&Client::native(&stack.url()), &tokens.access_token).await);
}

#[tokio::test]
async fn a_tampered_access_token_opens_nothing() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, other) = Person::join_natively(&stack).await;
    let token = client.tokens().access_token;
    let (header, claims, signature) = parts(&token);
    let (_, other_claims, other_signature) = parts(&other.tokens().access_token);
    let jwks = client.get(routes::JWKS).await.text();

    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().map(|claims| claims.remove(name));
        claims
    };
    let hs256 = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("a token")
    };
    let public_key = serde_json::from_str::<Value>(&jwks)
        .ok()
        .and_then(|keys| keys["keys"][0]["x"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let forged = |header: &Value, claims: &Value| format!("{}.{}.{signature}", part(header), part(claims));

    let mut attacks = vec![
        (
            "alg none",
            format!(
                "{}.{}.",
                part(&json!({"alg": "none", "typ": "at+jwt"})),
                part(&claims)
            ),
        ),
        (
            "alg None",
            format!(
                "{}.{}.",
                part(&json!({"alg": "None", "typ": "at+jwt"})),
                part(&claims)
            ),
        ),
        (
            "alg none with the signature",
            forged(&json!({"alg": "none", "typ": "at+jwt"}), &claims),
        ),
        ("HS256 by the key set", hs256(jwks.as_bytes())),
        (
            "HS256 by the public key",
            hs256(&URL_SAFE_NO_PAD.decode(&public_key).unwrap_or_default()),
        ),
        ("HS256 by the public key's text", hs256(public_key.as_bytes())),
        ("HS256 by nothing", hs256(b"")),
        ("no signature", format!("{}.{}.", part(&header), part(&claims))),
        (
            "another's signature",
            format!("{}.{}.{other_signature}", part(&header), part(&claims)),
        ),
        (
            "another person",
            forged(&header, &changed("sub", other_claims["sub"].clone())),
        ),
        (
            "another device",
            forged(&header, &changed("sid", other_claims["sid"].clone())),
        ),
        (
            "longer",
            forged(&header, &changed("exp", json!(4_102_444_800_u64))),
        ),
        ("no audience", forged(&header, &without("aud"))),
        (
            "other type",
            forged(&json!({"alg": "EdDSA", "typ": "JWT"}), &claims),
        ),
        (
            "traversing kid",
            forged(
                &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "../../dev/null"}),
                &claims,
            ),
        ),
        (
            "own key in the header",
            forged(
                &json!({"alg": "EdDSA", "typ": "at+jwt", "jwk": {"kty": "OKP"}}),
                &claims,
            ),
        ),
        (
            "key by address",
            forged(
                &json!({"alg": "EdDSA", "typ": "at+jwt", "jku": "http://127.0.0.1/"}),
                &claims,
            ),
        ),
    ];
    attacks.push(("refresh token", client.tokens().refresh_token));
    // as soundly signed as one of ours, by a key that the token itself brings along, names or leads to
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a listener");
    let address = elsewhere.local_addr().expect("an address");
    let kid = header["kid"].as_str().expect("our key's name");
    attacks.extend(signed_by_a_stranger(
        kid,
        &format!("http://{address}/keys"),
        &claims,
    ));
    for (name, attack) in attacks {
        assert!(!is_accepted(&client, &attack).await, "{name} was accepted");
    }
    assert!(is_accepted(&client, &token).await);
    let asked = elsewhere.accept().map_err(|error| error.kind());
    assert!(
        matches!(asked, Err(std::io::ErrorKind::WouldBlock)),
        "nobody asks where a token says: {asked:?}"
    );
}

/// Tokens with these claims that are soundly signed by a key of somebody else's (the one of RFC 8037, appendix A), whatever
/// their headers say of it.
fn signed_by_a_stranger(our_kid: &str, elsewhere: &str, claims: &Value) -> Vec<(&'static str, String)> {
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    // PKCS #8 for Ed25519: these bytes, then the key (RFC 8410)
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(URL_SAFE_NO_PAD.decode(PRIVATE).expect("base64url"));
    let private = EncodingKey::from_ed_der(&der);
    let public = DecodingKey::from_ed_components(PUBLIC).expect("a key");
    let mut check = Validation::new(Algorithm::EdDSA);
    check.validate_aud = false;
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": PUBLIC});
    let named = |kid: &str| {
        let mut jwk = jwk.as_object().cloned().unwrap_or_default();
        jwk.insert("kid".to_owned(), json!(kid));
        jwk
    };
    let heads = [
        ("signed by a stranger", json!({})),
        ("a stranger's, as ours", json!({"kid": our_kid})),
        ("a stranger's, by its name", json!({"kid": "stranger"})),
        ("a stranger's, brought along", json!({"jwk": jwk})),
        (
            "a stranger's, brought along as ours",
            json!({"kid": our_kid, "jwk": named(our_kid)}),
        ),
        (
            "a stranger's, brought along by its name",
            json!({"kid": "stranger", "jwk": named("stranger")}),
        ),
        ("a stranger's, by address", json!({"jku": elsewhere})),
        (
            "a stranger's, by address as ours",
            json!({"kid": our_kid, "jku": elsewhere}),
        ),
        (
            "a stranger's, by address and name",
            json!({"kid": "stranger", "jku": elsewhere}),
        ),
        ("a stranger's certificate", json!({"x5u": elsewhere})),
        (
            "a stranger's certificate as ours",
            json!({"kid": our_kid, "x5u": elsewhere}),
        ),
        ("an address for a name", json!({"kid": elsewhere})),
    ];
    let sign = |(name, says): (&'static str, Value)| {
        let mut head = says.as_object().cloned().unwrap_or_default();
        head.insert("alg".to_owned(), json!("EdDSA"));
        head.insert("typ".to_owned(), json!("at+jwt"));
        let head: Header = serde_json::from_value(Value::Object(head)).expect("a header");
        let token = jsonwebtoken::encode(&head, claims, &private).expect("a token");
        let sound = jsonwebtoken::decode::<Value>(&token, &public, &check);
        assert!(sound.is_ok(), "{name} is soundly signed: {sound:?}");
        (name, token)
    };
    heads.into_iter().map(sign).collect()
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_the_old_access_still_works_until_it_ends() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let before = client.tokens();
    let after = client.refresh().await;
    assert_ne!(before.refresh_token, after.refresh_token);
    assert_ne!(before.access_token, after.access_token);
    assert_eq!(client.get(routes::ME).await.status, 200);
}

/// With the limits that a server has by itself: who comes second in a race has renewed nothing.
#[tokio::test]
async fn fifty_refreshes_at_once_get_the_same_new_token_and_strangers_use_up_none_of_them() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let token = client.tokens().refresh_token;
    let made_up = forged(&token);
    for answer in futures_util::future::join_all((0..40).map(|_| client.refresh_with(&made_up))).await {
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let answers = futures_util::future::join_all((0..50).map(|_| client.refresh_with(&token))).await;
    let mut given: Vec<String> = answers
        .iter()
        .map(|answer| answer.expect::<SignedIn>().tokens.expect("tokens").refresh_token)
        .collect();
    given.dedup();
    assert_eq!(given.len(), 1, "one successor");
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_asked_again_much_later() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let token = client.tokens().refresh_token;
    let lost = client
        .refresh_with(&token)
        .await
        .expect::<SignedIn>()
        .tokens
        .expect("tokens");
    stack
        .execute("update sessions set gen_rotated_at = gen_rotated_at - interval '10 minutes'")
        .await;
    let again = client
        .refresh_with(&token)
        .await
        .expect::<SignedIn>()
        .tokens
        .expect("tokens");
    assert_eq!(
        lost.refresh_token, again.refresh_token,
        "the same successor, not a fork"
    );
    client.hold(again);
    client.me().await;
}

#[tokio::test]
async fn a_replayed_refresh_token_signs_out_only_the_device_it_was_stolen_from() {
    let stack = Stack::start().await;
    let (person, victim) = Person::join_natively(&stack).await;
    let bystander = person.native(&stack, "Tower").await;
    let stolen = victim.tokens().refresh_token;
    victim.refresh().await;
    victim.me().await;
    victim.refresh().await;
    victim.me().await;
    let mut socket = Socket::open(&victim).await;

    let theft = victim.refresh_with(&stolen).await;
    assert_eq!(theft.status, 400);
    let error: TokenError = serde_json::from_slice(&theft.body).expect("an OAuth error");
    assert_eq!(error.error, "invalid_grant");

    assert_eq!(socket.closed().await, protocol::frame::close::REVOKED);
    within(
        Duration::from_secs(2),
        "the stolen device to be signed out",
        async || (victim.get(routes::ME).await.status == 401).then_some(()),
    )
    .await;
    assert_eq!(
        victim.refresh_with(&victim.tokens().refresh_token).await.status,
        400
    );
    bystander.me().await;
    bystander.refresh().await;
    let told = stack
        .letter_about(person.email.as_str(), "signed one of your devices out")
        .await;
    assert!(told.text.contains("Laptop"), "which one: {}", told.text);
    let noted = "select count(*) from audit_events where event = 'refresh' and reason = 'native: used twice'";
    assert_eq!(stack.number(noted).await, 1);
}

#[tokio::test]
async fn the_previous_token_dies_a_minute_after_its_successor_was_used() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let previous = client.tokens().refresh_token;
    client.refresh().await;
    client.me().await;
    // within the minute it is a race, not a theft
    client.refresh_with(&previous).await.succeeds();
    let marked = "select count(*) from sessions where gen_seen_at is not null";
    harness::until("the new generation to be seen used", async || {
        (stack.number(marked).await > 0).then_some(())
    })
    .await;
    stack
        .execute("update sessions set gen_rotated_at = gen_rotated_at - interval '2 minutes'")
        .await;
    assert_eq!(client.refresh_with(&previous).await.status, 400);
    assert_eq!(client.get(routes::ME).await.status, 401);
}

/// A token with another proof and a checksum to match: all that anybody can make who lacks the key.
fn forged(token: &str) -> String {
    let encoded = token.strip_prefix("cmr_").expect("our prefix");
    let mut bytes = URL_SAFE_NO_PAD.decode(encoded).expect("base64url");
    bytes.truncate(bytes.len() - 4);
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let sum = Sha256::digest(&bytes);
    bytes.extend(sum.iter().take(4));
    format!("cmr_{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test]
async fn a_token_from_after_a_restored_backup_is_refused_and_accuses_nobody() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let before = client.tokens().refresh_token;
    let after = client.refresh().await.refresh_token;
    stack
        .execute("update sessions set gen = gen - 1, gen_seen_at = null")
        .await;
    client.get(routes::ME).await.refused(Code::SignInRequired);
    assert_eq!(client.refresh_with(&after).await.status, 400);
    let signed_out = "select count(*) from sessions where revoked_at is not null";
    assert_eq!(stack.number(signed_out).await, 0);
    client.refresh_with(&before).await.succeeds();
}

#[tokio::test]
async fn a_made_up_refresh_token_is_an_invalid_grant_and_signs_nobody_out() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let real = client.tokens().refresh_token;
    let mut flipped = real.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("text");
    let forged = forged(&real);
    for token in [
        "",
        "cmr_",
        "cmr_AAAA",
        "x",
        &flipped,
        &forged,
        &real[..real.len() - 4],
        &client.tokens().access_token,
    ] {
        let answer = client.refresh_with(token).await;
        assert_eq!(answer.status, 400, "{token}: {answer:?}");
    }
    let other_client = client
        .token(&Grant::RefreshToken {
            refresh_token: real,
            client_id: "somebody-else".to_owned(),
        })
        .await;
    assert!((400..=401).contains(&other_client.status), "{other_client:?}");
    client.refresh().await;
}

#[tokio::test]
async fn an_expired_device_has_to_sign_in_again() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, browser) = Person::join(&stack).await;
    stack
        .execute("update sessions set expires = now() - interval '1 second', absolute_expires = now() - interval '1 second'")
        .await;
    assert_eq!(
        client.refresh_with(&client.tokens().refresh_token).await.status,
        400
    );
    // a cached answer may live for some seconds, never for long
    within(Duration::from_secs(40), "the cookie to be refused", async || {
        (browser.get(routes::ME).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tokens_and_passwords_are_in_no_log() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let before = client.tokens();
    client.refresh().await;
    let browser = person.browser(&stack).await;
    let _socket = Socket::open(&browser).await;
    let _other = Socket::open(&client).await;
    client
        .get(&format!(
            "{}?token={}",
            routes::SOCKET,
            client.tokens().access_token
        ))
        .await;
    client.refresh_with(&before.refresh_token).await;
    let logs = stack.logs();
    assert!(!logs.is_empty());
    let cookie = browser.cookie(harness::SESSION_COOKIE).expect("a cookie");
    for secret in [
        "cmr_",
        "eyJ",
        person.password.as_str(),
        cookie.as_str(),
        person.email.as_str(),
    ] {
        assert!(!logs.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_revoked_device_hears_that_it_was_signed_out() {
    let stack = Stack::start().await;
    let (person, first) = Person::join_natively(&stack).await;
    let second = person.browser(&stack).await;
    second.revoke(first.me().await.device).await.succeeds();
    within(Duration::from_secs(2), "the token to be refused", async || {
        let answer = first.get(routes::ME).await;
        (answer.status == 401).then(|| assert_ne!(answer.problem().code, Code::TokenExpired))
    })
    .await;
}
