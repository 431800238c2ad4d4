//! The keys that access tokens are signed with: rotated so that nobody notices, revoked so that nothing is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use harness::{Client, Person, Stack, until, within};
use protocol::{Code, routes};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// As if ten minutes had gone by for the key that waits.
async fn waits_no_longer(stack: &Stack) {
    let waiting = "update signing_keys set active_from = now() where active_from > now()";
    assert_eq!(stack.execute(waiting).await, 1);
}

#[tokio::test]
async fn two_rotations_go_by_while_apps_are_at_work_and_none_of_them_notices() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let apps = [
        laptop,
        person.native(&stack, "Tower").await.at(&second.url()),
        person.native(&stack, "Tablet").await,
    ];
    let is_over = AtomicBool::new(false);
    let works = async |app: &Client| {
        let mut rounds = 0;
        while !is_over.load(Ordering::Relaxed) {
            app.me().await;
            app.refresh().await;
            rounds += 1;
        }
        rounds
    };
    let rotates = async {
        let mut made = stack.admin_json(&["keys", "rotate"]).await;
        for _ in 0..2 {
            let fresh = made["id"].as_str().expect("an id").to_owned();
            waits_no_longer(&stack).await;
            // each node hears of the next one, and sees then that this one signs
            made = stack.admin_json(&["keys", "rotate"]).await;
            until("every app to have a token by the fresh key", async || {
                apps.iter().all(|app| key_of(app) == fresh).then_some(())
            })
            .await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let working = join_all(apps.iter().map(works));
    let (rounds, ()) = tokio::join!(working, rotates);
    assert!(rounds.iter().all(|rounds| *rounds >= 3), "{rounds:?}");
    assert_eq!(
        states(&stack).await,
        ["pending", "active", "retiring", "retiring"]
    );
}

/// How often a node has read the keys since it began.
async fn reads(stack: &Stack) -> u64 {
    let metrics = Client::native(&stack.url()).get(routes::METRICS).await.text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("signing_keys_read_total "));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

#[tokio::test]
async fn a_flood_of_unknown_keys_has_the_keys_read_once_and_keeps_nobody_out() {
    let stack = Stack::start().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    laptop.me().await;
    let token = laptop.tokens().access_token;
    let (_, rest) = token.split_once('.').expect("a token");
    let before = reads(&stack).await;
    let stranger = Client::native(&stack.url());
    let flood = (0..300).map(async |number| {
        let head = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"made-up-{number}"}}"#);
        let made_up = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(head));
        let request = stranger
            .request(http::Method::GET, routes::ME)
            .bearer_auth(&made_up);
        stranger.send(request).await.status
    });
    let at_work = async {
        for _ in 0..20 {
            laptop.me().await;
        }
    };
    let (statuses, ()) = tokio::join!(join_all(flood), at_work);
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    // and the look of each minute may have come meanwhile
    let by_flood = reads(&stack).await - before;
    assert!((1..=2).contains(&by_flood), "{by_flood} reads for 300 tokens");
}
