//! Another secret for a server: what the old one sealed opens, is sealed anew, and then does without it.

use crate::apple;
use crate::second_step::{Careful, prove};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Client, OpenIdProvider, Person, Stack, browser, native, run_to_end, until};
use protocol::Code;
use protocol::auth::{Client as Kind, SignedIn};
use serde_json::Value;

fn secret() -> String {
    STANDARD.encode(rand::random::<[u8; 32]>())
}

/// An installation with this secret, and somebody there with a second step.
async fn sealed_by(secret: &str) -> (Stack, Careful) {
    let stack = Stack::builder()
        .with("COMPYMAC_SECRET", secret.to_owned())
        .start()
        .await;
    let careful = Careful::join(&stack).await;
    (stack, careful)
}

/// What a check with these secrets says of those that are not the newest.
async fn said_of_others(stack: &Stack, newest: &str, others: &str) -> (String, String) {
    let own = [("COMPYMAC_SECRET", newest), ("COMPYMAC_OTHER_SECRETS", others)];
    let checked = stack
        .admin_with(&own, &["secrets", "check", "--json"], None)
        .await;
    let found: Vec<Value> = serde_json::from_value(checked.json()).expect("a list");
    let of_others = found
        .iter()
        .find(|found| found["setting"] == "COMPYMAC_OTHER_SECRETS");
    let of_others = of_others.expect("a word about the others");
    let text = |name: &str| of_others[name].as_str().unwrap_or_default().to_owned();
    (text("grade"), text("words"))
}

/// Once nothing is sealed by the old one any more.
async fn sealed_anew(stack: &Stack, new: &str, old: &str) {
    until("everything to be sealed by the new secret", async || {
        let (grade, words) = said_of_others(stack, new, old).await;
        (grade == "good" && words.contains("any more")).then_some(())
    })
    .await;
}

async fn signs_in(careful: &Careful, stack: &Stack, url: &str) {
    stack.execute("update second_factors set last_step = 0").await;
    let client = Client::native(url);
    let challenge = careful.challenge(&client, native("Another")).await;
    prove(&client, &challenge, &careful.phone.code())
        .await
        .expect::<SignedIn>();
}

#[tokio::test]
async fn a_secret_is_changed_and_nobody_is_signed_out_or_loses_their_second_step() {
    let (old, new) = (secret(), secret());
    let (stack, careful) = sealed_by(&old).await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let (_, asleep) = Person::join_natively(&stack).await;
    stack.admin(&["keys", "rotate"]).await.succeeds();
    let (grade, _) = said_of_others(&stack, &new, &old).await;
    assert_eq!(grade, "weak", "two values wait");

    // first everybody is told of it, then it is used
    let told = [("COMPYMAC_OTHER_SECRETS", new.as_str())];
    let hears = stack.another_server("hears", &told).await;
    let own = [
        ("COMPYMAC_SECRET", new.as_str()),
        ("COMPYMAC_OTHER_SECRETS", old.as_str()),
    ];
    let uses = stack.another_server("uses", &own).await;
    signs_in(&careful, &stack, &uses.url()).await;
    let here = laptop.at(&uses.url());
    here.refresh().await;
    // and back at a node that has only heard of it
    let there = here.at(&hears.url());
    there.refresh().await;
    there.me().await;
    let here = there.at(&uses.url());
    here.refresh().await;
    sealed_anew(&stack, &new, &old).await;

    // without the old one
    for server in [&stack.server, &hears, &uses] {
        server.kill();
    }
    let own = [("COMPYMAC_SECRET", new.as_str()), ("COMPYMAC_OTHER_SECRETS", "")];
    let after = stack.another_server("after", &own).await;
    signs_in(&careful, &stack, &after.url()).await;
    let here = here.at(&after.url());
    here.me().await;
    here.refresh().await;
    let keys = stack
        .admin_with(&own, &["keys", "list", "--json"], None)
        .await
        .json();
    let states: Vec<&str> = keys
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| key["state"].as_str())
        .collect();
    assert!(!states.contains(&"sealed by another secret"), "{states:?}");
    // whoever was away all the while signs in again
    let late = asleep.at(&after.url());
    let refused = late.refresh_with(&late.tokens().refresh_token).await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[tokio::test]
async fn what_a_provider_gave_is_sealed_anew_and_taken_back_without_the_old_secret() {
    let (old, new) = (secret(), secret());
    let provider = OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("COMPYMAC_SECRET", old.clone())
        .with("PROVIDERS", provider.settings_with_apple())
        .start()
        .await;
    apple::joined(&provider, &stack).await;
    let (grade, words) = said_of_others(&stack, &new, &old).await;
    assert_eq!(grade, "weak", "{words}");
    stack.server.kill();
    let both = [
        ("COMPYMAC_SECRET", new.as_str()),
        ("COMPYMAC_OTHER_SECRETS", old.as_str()),
    ];
    let uses = stack.another_server("uses", &both).await;
    sealed_anew(&stack, &new, &old).await;
    uses.kill();
    let own = [("COMPYMAC_SECRET", new.as_str()), ("COMPYMAC_OTHER_SECRETS", "")];
    let _after = stack.another_server("after", &own).await;
    // by whatever way it goes: the token stays behind by the table's own rule
    stack.execute("delete from accounts").await;
    apple::nothing_is_kept(&stack).await;
    assert_eq!(provider.revoked(), provider.kept());
}

/// A browser in which somebody was is known by what any of the secrets has stamped.
#[tokio::test]
async fn nobody_is_a_stranger_at_home_for_a_change_of_the_secret() {
    let (old, new) = (secret(), secret());
    let stack = Stack::builder()
        .with("COMPYMAC_SECRET", old.clone())
        .with("RATE_LIMIT_FACTOR", "1")
        .start()
        .await;
    let (person, at_home) = Person::join(&stack).await;
    at_home.sign_out().await.succeeds();
    let both = [
        ("COMPYMAC_SECRET", new.as_str()),
        ("COMPYMAC_OTHER_SECRETS", old.as_str()),
    ];
    let swapped = stack.another_server("swapped", &both).await;
    let stranger = browser(&stack).at(&swapped.url());
    let guess = Person {
        password: "not-the-password-at-all".to_owned(),
        ..person.clone()
    };
    until("the account's tries to be used up", async || {
        let answer = guess.try_sign_in(&stranger, Kind::Browser).await;
        (answer.status == 429).then_some(())
    })
    .await;
    person
        .try_sign_in(&stranger, Kind::Browser)
        .await
        .refused(Code::RateLimited);
    let there = at_home.at(&swapped.url());
    person.try_sign_in(&there, Kind::Browser).await.succeeds();
}

#[tokio::test]
async fn what_no_secret_opens_is_left_as_it_is_for_the_secret_that_does() {
    let (old, new) = (secret(), secret());
    let (stack, careful) = sealed_by(&old).await;
    let (newcomer, _) = Person::join(&stack).await;
    stack.server.kill();
    stack
        .execute("update users set email_verified = now() - interval '2 days'")
        .await;
    let third = secret();
    let wrong = [
        ("COMPYMAC_SECRET", new.as_str()),
        ("COMPYMAC_OTHER_SECRETS", third.as_str()),
    ];
    let forgot = stack.another_server("forgot", &wrong).await;
    // a tip leaves at the end of a sweep, which has tried to seal anew before
    stack.letter_about(newcomer.email.as_str(), "How to begin").await;
    forgot.kill();
    let own = [
        ("COMPYMAC_SECRET", new.as_str()),
        ("COMPYMAC_OTHER_SECRETS", old.as_str()),
    ];
    let remembers = stack.another_server("remembers", &own).await;
    signs_in(&careful, &stack, &remembers.url()).await;
}

#[tokio::test]
async fn another_secret_that_is_none_stops_the_start_and_is_not_shown() {
    let stack = Stack::start().await;
    let url = stack.url();
    for wrong in ["hidden-word", "c2hvcnQ=", "hidden word,,"] {
        let mut settings = stack.settings();
        settings.extend([("PUBLIC_URL", url.as_str()), ("COMPYMAC_OTHER_SECRETS", wrong)]);
        let ended = run_to_end("sync-server", &settings).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.said.contains("COMPYMAC_OTHER_SECRETS"), "{}", ended.said);
        assert!(!ended.said.contains("hidden"), "{}", ended.said);
    }
}
