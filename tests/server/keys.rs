//! The keys that access tokens are signed with: rotated so that nobody notices, revoked so that nothing is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Client, Person, Stack, until, within};
use protocol::{Code, routes};
use serde_json::Value;
use std::time::Duration;

/// The key that a client's access token names.
fn key_of(client: &Client) -> String {
    let token = client.tokens().access_token;
    let header = URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap_or_default())
        .expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    let id = header.get("kid").and_then(Value::as_str);
    id.expect("a key's id").to_owned()
}

/// The keys that a node tells others of.
async fn told(client: &Client) -> Vec<String> {
    let keys: Value = client.get(routes::JWKS).await.expect();
    let keys = keys.get("keys").and_then(Value::as_array);
    let keys = keys.cloned().unwrap_or_default();
    let mut ids: Vec<String> = keys
        .iter()
        .filter_map(|key| key["kid"].as_str().map(str::to_owned))
        .collect();
    ids.sort();
    ids
}

async fn states(stack: &Stack) -> Vec<String> {
    let keys = stack.admin_json(&["keys", "list"]).await;
    let keys = keys.as_array().cloned().unwrap_or_default();
    keys.iter()
        .filter_map(|key| key["state"].as_str().map(str::to_owned))
        .collect()
}

/// As if ten minutes had gone by.
async fn has_waited(stack: &Stack) {
    stack.execute("update signing_keys set active_from = now()").await;
}

#[tokio::test]
async fn a_fresh_key_is_told_of_first_then_signs_and_nobody_notices() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let elsewhere = laptop.at(&second.url());
    let first = key_of(&laptop);
    assert_eq!(told(&laptop).await, std::slice::from_ref(&first));

    let made = stack.admin_json(&["keys", "rotate"]).await;
    let fresh = made["id"].as_str().expect("an id").to_owned();
    for node in [&laptop, &elsewhere] {
        within(
            Duration::from_secs(2),
            "the fresh key to be told of",
            async || (told(node).await.contains(&fresh)).then_some(()),
        )
        .await;
    }
    laptop.refresh().await;
    assert_eq!(key_of(&laptop), first, "it waits");
    stack.admin(&["keys", "rotate"]).await.refused("waits already");
    assert_eq!(states(&stack).await, ["pending", "active"]);

    has_waited(&stack).await;
    for server in [&stack.server, &second] {
        server.stop().await;
        server.start_again().await;
    }
    assert_eq!(states(&stack).await, ["active", "retiring"]);
    laptop.me().await;
    elsewhere.me().await;
    laptop.refresh().await;
    assert_eq!(key_of(&laptop), fresh);
    laptop.me().await;
    assert_eq!(
        told(&laptop).await.len(),
        2,
        "what the one before signed is believed still"
    );
}

#[tokio::test]
async fn a_node_that_was_not_told_of_a_key_finds_it_when_a_token_names_it() {
    let stack = Stack::builder().with_gates().start().await;
    let second = stack.second_server().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    stack.redis_gate().shut();
    let made = stack.admin_json(&["keys", "rotate"]).await;
    has_waited(&stack).await;
    stack.redis_gate().open();
    stack.server.stop().await;
    stack.server.start_again().await;
    laptop.refresh().await;
    assert_eq!(key_of(&laptop), made["id"].as_str().expect("an id"));
    laptop.at(&second.url()).me().await;
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_refused_on_every_node_and_renewed() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let window = person.browser(&stack).await;
    let elsewhere = laptop.at(&second.url());
    elsewhere.me().await;
    laptop.me().await;
    let first = key_of(&laptop);
    let revoked = stack.admin_json(&["keys", "revoke", &first]).await;
    let fresh = revoked["fresh"]
        .as_str()
        .expect("none other was there")
        .to_owned();
    for node in [&laptop, &elsewhere] {
        until("the old token to be refused", async || {
            let answer = node.get(routes::ME).await;
            (answer.status == 401).then(|| assert_eq!(answer.problem().code, Code::TokenExpired))
        })
        .await;
        assert_eq!(told(node).await, std::slice::from_ref(&fresh));
    }
    window.me().await;
    laptop.refresh().await;
    assert_eq!(key_of(&laptop), fresh);
    laptop.me().await;
    laptop.at(&second.url()).me().await;

    stack
        .admin(&["keys", "revoke", &first])
        .await
        .refused("revoked already");
    stack
        .admin(&["keys", "revoke", "nonsense"])
        .await
        .refused("no key");
    assert_eq!(states(&stack).await, ["active", "revoked"]);
    stack.server.stop().await;
    stack.server.start_again().await;
    assert_eq!(told(&laptop).await, [fresh], "a restart does not bring it back");
    laptop.me().await;
    let events = stack.admin_json(&["audit", "tail"]).await;
    let of_keys = events.as_array().expect("events").iter();
    let of_keys: Vec<&str> = of_keys
        .filter(|event| event["operator"] == "olga")
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(of_keys, ["key_revoked", "key_made"]);
}
