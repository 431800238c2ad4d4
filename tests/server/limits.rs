//! Too much at once is refused in words, with when to come back, and only for the one who does it.

use harness::{Client, Person, Stack};
use protocol::auth::Client as Kind;
use protocol::{Code, routes};
use serde_json::json;

/// As people get it, not as the other tests do.
async fn strict() -> Stack {
    Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_and_says_until_when() {
    let stack = strict().await;
    let victim = Person::fresh();
    let client = Client::browser(&stack.url(), &stack.url());
    let mut limited = None;
    for guess in 0..40 {
        let guess = Person {
            password: format!("a guess of number {guess}"),
            ..victim.clone()
        };
        let answer = guess.try_sign_in(&client, Kind::Browser).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        answer.refused(Code::InvalidCredentials);
    }
    let answer = limited.expect("a limit within 40 guesses");
    let problem = answer.refused(Code::RateLimited);
    let seconds: u32 = answer
        .header("retry-after")
        .and_then(|value| value.parse().ok())
        .expect("Retry-After");
    assert_eq!(problem.retry_after, Some(seconds));
    assert!(seconds >= 1);
    // the rest of the site goes on
    client.get(routes::page::SIGN_IN).await.succeeds();
    client.get(routes::HEALTH).await.succeeds();
}

#[tokio::test]
async fn a_forged_forwarded_address_gives_no_second_budget() {
    let stack = strict().await;
    let client = Client::browser(&stack.url(), &stack.url());
    let mut statuses = Vec::new();
    for number in 0..60 {
        let body =
            json!({"email": format!("x{number}@example.org"), "password": "a guess that is long enough"});
        let request = client
            .request(http::Method::POST, routes::SIGN_IN)
            .header("X-Forwarded-For", format!("10.1.2.{number}"))
            .header("Forwarded", format!("for=10.1.3.{number}"))
            .header("X-Real-IP", format!("10.1.4.{number}"))
            .json(&body);
        statuses.push(client.send(request).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn letters_to_one_address_are_limited_without_telling() {
    let stack = strict().await;
    let (person, client) = (Person::fresh(), Client::browser(&stack.url(), &stack.url()));
    person.sign_up(&client).await.succeeds();
    stack.letter_to(person.email.as_str(), 1).await;
    for _ in 0..8 {
        let answer = client.post(routes::RESEND, &json!({"email": person.email})).await;
        assert!(
            answer.status == 202 || answer.status == 200 || answer.status == 204 || answer.status == 429,
            "{answer:?}"
        );
    }
    let queued = stack.number("select count(*) from email_outbox").await;
    assert!(queued <= 4, "{queued} letters to one address");
}

#[tokio::test]
async fn limits_hold_while_redis_is_away_and_nobody_is_locked_out() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with_gates()
        .start()
        .await;
    let (person, _) = Person::join(&stack).await;
    stack.redis_gate().shut();
    person.browser(&stack).await;
    let client = Client::browser(&stack.url(), &stack.url());
    let mut statuses = Vec::new();
    for number in 0..40 {
        let guess = Person {
            password: format!("a guess of number {number}"),
            ..person.clone()
        };
        statuses.push(guess.try_sign_in(&client, Kind::Browser).await.status);
    }
    assert!(statuses.contains(&429), "never open: {statuses:?}");
}

#[tokio::test]
async fn many_sign_ins_at_once_are_answered_or_asked_to_wait_and_others_stay_quick() {
    let stack = Stack::start().await;
    let client = Client::browser(&stack.url(), &stack.url());
    let storm = futures_util::future::join_all((0..100).map(|number| {
        let client = client.clone();
        async move {
            let body =
                json!({"email": format!("x{number}@example.org"), "password": "a guess that is long enough"});
            client.post(routes::SIGN_IN, &body).await.status
        }
    }));
    let quick = async {
        let begun = std::time::Instant::now();
        for _ in 0..10 {
            client.get(routes::HEALTH).await.succeeds();
        }
        begun.elapsed()
    };
    let (statuses, elapsed) = tokio::join!(storm, quick);
    assert!(
        statuses.iter().all(|status| [401, 429, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(elapsed < std::time::Duration::from_secs(5), "{elapsed:?}");
}
