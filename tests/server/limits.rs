//! Too much at once is refused in words, with when to come back, and only for the one who does it.

use harness::{Client, Person, Stack, native};
use protocol::auth::Client as Kind;
use protocol::oauth::{CLIENT_ID, REDIRECT_DEEP_LINK};
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

/// Behind a proxy, as where people come from many networks.
async fn behind_a_proxy() -> Stack {
    Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await
}

/// A network of its own for each number, none of them anybody's (RFC 2544).
fn network(number: usize) -> String {
    format!("198.18.{}.{}", number / 250, number % 250 + 1)
}

#[tokio::test]
async fn guesses_at_one_account_are_counted_together_wherever_they_come_from() {
    let stack = behind_a_proxy().await;
    let (person, _) = Person::join(&stack).await;
    let client = Client::browser(&stack.url(), &stack.url());
    let guess = async |email: &str, number: usize| {
        let body = json!({"email": email, "password": format!("a guess of number {number}")});
        let request = client
            .request(http::Method::POST, routes::SIGN_IN)
            .header("X-Forwarded-For", network(number))
            .json(&body);
        client.send(request).await.status
    };
    for (email, who) in [
        (person.email.as_str(), "known"),
        ("nobody@example.org", "unknown"),
    ] {
        let mut statuses = Vec::new();
        for number in 0..11 {
            statuses.push(guess(email, number).await);
        }
        let (allowed, last) = statuses.split_at(10);
        assert!(allowed.iter().all(|status| *status == 401), "{who}: {statuses:?}");
        assert_eq!(last, [429], "{who}");
    }
}

/// What is asked the nth time: where, and with what.
type Ask<'a> = Box<dyn Fn(usize) -> (&'a str, serde_json::Value) + 'a>;

#[tokio::test]
async fn whatever_a_stranger_can_cause_is_counted_by_network_and_by_account() {
    let stack = behind_a_proxy().await;
    let (person, device) = Person::join_natively(&stack).await;
    let client = Client::native(&stack.url());
    let password = "a password that is long enough";
    let fresh = |number: usize| format!("x{number}@example.org");
    let sign_up = |email: String| (routes::SIGN_UP, json!({"email": email, "password": password}));
    let try_code = |email: String| {
        let body = json!({"email": email, "code": "00000000", "binding": "x", "client": native("Laptop")});
        (routes::VERIFY, body)
    };
    let asks: [(&str, usize, Ask<'_>); 5] = [
        (
            "sign-ups of a network",
            5,
            Box::new(|number| sign_up(fresh(number))),
        ),
        (
            "letters of a network",
            10,
            Box::new(|number| (routes::RESEND, json!({"email": fresh(number)}))),
        ),
        (
            "codes of a network",
            30,
            Box::new(|number| try_code(fresh(number))),
        ),
        ("ways out of a network", 60, Box::new(|_| (routes::PAR, pushed()))),
        (
            "tokens of a network",
            120,
            Box::new(|_| (routes::TOKEN, refresh("cmr_made-up"))),
        ),
    ];
    for (place, (what, most, ask)) in asks.iter().enumerate() {
        let from = |_: usize| network(1_000 + place);
        must_end_after(&client, what, *most, from, ask).await;
    }
    let token = device.tokens().refresh_token;
    let asks: [(&str, usize, Ask<'_>); 3] = [
        (
            "sign-ups of an account",
            3,
            Box::new(|_| sign_up("one@example.org".to_owned())),
        ),
        (
            "codes of an account",
            10,
            Box::new(|_| try_code(person.email.to_string())),
        ),
        (
            "tokens of a device",
            30,
            Box::new(|_| (routes::TOKEN, refresh(&token))),
        ),
    ];
    for (place, (what, most, ask)) in asks.iter().enumerate() {
        let from = |number: usize| network(2_000 + 200 * place + number);
        must_end_after(&client, what, *most, from, ask).await;
    }
}

fn pushed() -> serde_json::Value {
    json!({"client_id": CLIENT_ID, "code_challenge": "c".repeat(43), "code_challenge_method": "S256",
           "state": "s".repeat(43), "redirect_uri": REDIRECT_DEEP_LINK, "device": native("Laptop")})
}

fn refresh(token: &str) -> serde_json::Value {
    json!({"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT_ID})
}

/// Just so many are answered, and the next is asked to wait.
async fn must_end_after<'a>(
    client: &Client,
    what: &str,
    most: usize,
    from: impl Fn(usize) -> String,
    ask: impl Fn(usize) -> (&'a str, serde_json::Value),
) {
    for number in 0..=most {
        let (path, body) = ask(number);
        let request = client
            .request(http::Method::POST, path)
            .header("X-Forwarded-For", from(number));
        let request = if path == routes::TOKEN {
            request.form(&body)
        } else {
            request.json(&body)
        };
        let answer = client.send(request).await;
        assert_eq!(
            answer.status == 429,
            number == most,
            "{what}, number {number}: {answer:?}"
        );
    }
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
