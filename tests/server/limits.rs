//! Too much at once is refused in words, with when to come back, and only for the one who does it.

use harness::{Answer, Client, Person, Socket, Stack, native, until};
use protocol::auth::{Client as Kind, SignedIn};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::oauth::{CLIENT_ID, REDIRECT_DEEP_LINK};
use protocol::{Code, routes};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio_tungstenite::tungstenite;

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
    let (person, _) = Person::join(&stack).await;
    let client = Client::native(&stack.url());
    let password = "a password that is long enough";
    let fresh = |number: usize| format!("x{number}@example.org");
    let sign_up = |email: String| (routes::SIGN_UP, json!({"email": email, "password": password}));
    let try_code = |email: String| {
        let body = json!({"email": email, "code": "00000000", "binding": "x", "client": native("Laptop")});
        (routes::VERIFY, body)
    };
    let asks: [(&str, usize, Ask<'_>); 4] = [
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
    let asks: [(&str, usize, Ask<'_>); 2] = [
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

/// What strangers show, and what lost a race, counts for none of it: `tests/server/tokens.rs`.
#[tokio::test]
async fn a_device_renews_thirty_times_in_five_minutes_wherever_it_is() {
    const MOST: usize = 30;
    let stack = behind_a_proxy().await;
    let (person, app) = Person::join_natively(&stack).await;
    let tablet = person.native(&stack, "Tablet").await;
    let begun = Instant::now();
    let mut renewed = 0;
    let limited = loop {
        let token = app.tokens().refresh_token;
        let renewal = app
            .bare(http::Method::POST, routes::TOKEN)
            .header("X-Forwarded-For", network(renewed))
            .form(&refresh(&token));
        let answer = app.send(renewal).await;
        if answer.status == 429 {
            break answer;
        }
        let tokens = answer.expect::<SignedIn>().tokens.expect("tokens");
        assert_ne!(tokens.refresh_token, token, "a new one");
        app.hold(tokens);
        renewed += 1;
        assert!(renewed <= 2 * MOST, "no limit within {renewed} renewals");
    };
    must_say_when(&limited);
    must_be_within(renewed, MOST, 10.0, begun);
    // it stays in with what it has, and another device of theirs is its own
    app.me().await;
    goes_on(&tablet, &network(0)).await;
}

/// So many at once, and one more each time that so many seconds have passed.
#[track_caller]
fn must_be_within(passed: usize, most: usize, each: f64, begun: Instant) {
    let more = begun.elapsed().as_secs_f64() / each;
    let (least, passed) = (u32::try_from(most), u32::try_from(passed));
    let (least, passed) = (f64::from(least.expect("few")), f64::from(passed.expect("few")));
    assert!(
        passed >= least && passed <= least + more + 1.0,
        "{passed} and not {least}, nor {more} more"
    );
}

/// Asks for this from a network until one is asked to wait: how many were answered, and the answer that says so.
async fn ask_until_limited(
    client: &Client,
    path: &str,
    from: impl Fn(usize) -> String,
    status: u16,
) -> (usize, Answer) {
    const AT_ONCE: usize = 20;
    let mut answered = 0;
    loop {
        assert!(answered < 5_000, "no limit within {answered}");
        let asking = (answered..answered + AT_ONCE).map(|number| {
            let request = client
                .request(http::Method::GET, path)
                .header("X-Forwarded-For", from(number));
            client.send(request)
        });
        let mut limited = None;
        for answer in futures_util::future::join_all(asking).await {
            if answer.status == 429 {
                limited = Some(answer);
            } else {
                assert_eq!(answer.status, status, "{answer:?}");
                answered += 1;
            }
        }
        if let Some(limited) = limited {
            return (answered, limited);
        }
    }
}

fn must_say_when(limited: &Answer) {
    let problem = limited.refused(Code::RateLimited);
    let seconds = problem.retry_after.expect("a time");
    assert!(seconds >= 1);
    assert_eq!(limited.header("retry-after"), Some(seconds.to_string().as_str()));
}

#[tokio::test]
async fn strangers_of_a_network_ask_for_six_hundred_things_a_minute_and_others_as_ever() {
    let stack = behind_a_proxy().await;
    let (_, app) = Person::join_natively(&stack).await;
    let stranger = Client::native(&stack.url());
    let begun = Instant::now();
    let (answered, limited) = ask_until_limited(&stranger, routes::page::SIGN_IN, |_| network(1), 200).await;
    must_be_within(answered, 600, 0.1, begun);
    must_say_when(&limited);
    let get = async |path: &str, from: usize, accept: &str| {
        let request = stranger
            .bare(http::Method::GET, path)
            .header("X-Forwarded-For", network(from))
            .header("Accept", accept);
        stranger.send(request).await
    };
    // who is signed in there, the same stranger elsewhere, and whatever tells how the server is
    goes_on(&app, &network(1)).await;
    get(routes::HEALTH, 1, "*/*").await.succeeds();
    get(routes::JWKS, 1, "*/*").await.succeeds();
    let page = get(routes::page::SIGN_IN, 2, "text/html").await;
    page.succeeds();
    let text = page.text();
    let script = text
        .split('"')
        .find(|part| part.starts_with("/app/"))
        .expect("a file of the page");
    // a node gives one back each tenth of a second, so nobody asks for a moment in which there is none
    let mut asked = 0;
    let refused = loop {
        let pages = (0..20).map(|_| get(routes::page::SIGN_IN, 1, "text/html"));
        let answers = futures_util::future::join_all(pages).await;
        asked += answers.len();
        assert!(asked < 1_000, "no limit within {asked} pages");
        if let Some(refused) = answers.into_iter().find(|answer| answer.status == 429) {
            break refused;
        }
    };
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let kind = refused.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "a person gets a page: {kind}");
    get(script, 1, "*/*").await.succeeds();
}

/// Otherwise showing any token would be the way round the count.
#[tokio::test]
async fn sign_ins_that_do_not_hold_are_counted_by_network() {
    let stack = behind_a_proxy().await;
    let (_, app) = Person::join_natively(&stack).await;
    let liar = Client::native(&stack.url());
    let begun = Instant::now();
    let mut refused = 0;
    let limited = loop {
        let asking = (0..20).map(|_| {
            let request = liar
                .bare(http::Method::GET, routes::ME)
                .header("X-Forwarded-For", network(1))
                .header("Authorization", "Bearer not.a.token");
            liar.send(request)
        });
        let answers = futures_util::future::join_all(asking).await;
        refused += answers.iter().filter(|answer| answer.status == 401).count();
        assert!(refused < 1_000, "no limit within {refused}");
        if let Some(limited) = answers.into_iter().find(|answer| answer.status == 429) {
            break limited;
        }
    };
    must_be_within(refused, 600, 0.1, begun);
    must_say_when(&limited);
    // nor is one a way round where nobody has to be signed in
    let mut asked = 0;
    loop {
        let asking = (0..20).map(|_| {
            let request = liar
                .bare(http::Method::GET, routes::page::SIGN_IN)
                .header("X-Forwarded-For", network(1))
                .header("Cookie", "__Host-compymac_sid=made-up");
            liar.send(request)
        });
        let answers = futures_util::future::join_all(asking).await;
        asked += answers.len();
        assert!(asked < 1_000, "no limit within {asked} pages");
        if answers.iter().any(|answer| answer.status == 429) {
            break;
        }
    }
    goes_on(&app, &network(1)).await;
}

#[tokio::test]
async fn a_device_asks_for_twelve_hundred_things_a_minute_from_wherever_and_others_as_ever() {
    let stack = behind_a_proxy().await;
    let (person, app) = Person::join_natively(&stack).await;
    let tablet = person.native(&stack, "Tablet").await;
    let begun = Instant::now();
    let (answered, limited) = ask_until_limited(&app, routes::ME, |number| network(number % 10), 200).await;
    must_be_within(answered, 1_200, 0.05, begun);
    must_say_when(&limited);
    let who = tablet
        .request(http::Method::GET, routes::ME)
        .header("X-Forwarded-For", network(0));
    tablet.send(who).await.succeeds();
}

/// The status with which a socket is refused, and after how many seconds to come again.
async fn socket_refusal(client: &Client, path: &str, from: &str) -> Option<(u16, Option<u32>)> {
    let error = Socket::connect_from(client, path, from).await.err()?;
    match *error {
        tungstenite::Error::Http(response) => {
            let seconds = response.headers().get("retry-after");
            let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
            Some((response.status().as_u16(), seconds))
        }
        other => panic!("{path}: {other}"),
    }
}

#[tokio::test]
async fn strangers_of_a_network_ask_for_sixty_sockets_a_minute_and_others_as_ever() {
    let stack = behind_a_proxy().await;
    let (_, app) = Person::join_natively(&stack).await;
    let stranger = Client::native(&stack.url());
    let begun = Instant::now();
    let mut asked = 0;
    let wait = loop {
        match socket_refusal(&stranger, routes::SOCKET, &network(1)).await {
            Some((401, _)) => asked += 1,
            Some((429, wait)) => break wait,
            other => panic!("{other:?}"),
        }
        assert!(asked < 500, "no limit within {asked} sockets");
    };
    must_be_within(asked, 60, 1.0, begun);
    assert_eq!(wait, Some(1));
    // who is signed in there is counted by device
    assert!(
        Socket::connect_from(&app, routes::SOCKET, &network(1))
            .await
            .is_ok()
    );
    goes_on(&app, &network(1)).await;
}

#[tokio::test]
async fn a_device_asks_for_ten_sockets_a_minute_of_whatever_kind_and_others_as_ever() {
    let stack = behind_a_proxy().await;
    let (person, app) = Person::join_natively(&stack).await;
    let tablet = person.native(&stack, "Tablet").await;
    let talk = routes::session_socket(app.create_session("Talk").await);
    let begun = Instant::now();
    let mut open = Vec::new();
    let limited = loop {
        let path = [routes::SOCKET, &talk][open.len() % 2];
        match Socket::connect_from(&app, path, &network(open.len())).await {
            Ok(socket) => open.push(socket),
            Err(error) => break *error,
        }
        assert!(open.len() < 60, "no limit");
    };
    must_be_within(open.len(), 10, 6.0, begun);
    assert!(
        matches!(&limited, tungstenite::Error::Http(response) if response.status() == 429),
        "{limited}"
    );
    for path in [routes::SOCKET, &talk] {
        let refusal = socket_refusal(&app, path, &network(100)).await;
        let wait = refusal
            .filter(|(status, _)| *status == 429)
            .and_then(|(_, wait)| wait);
        assert!(wait.is_some_and(|wait| wait <= 6), "{path}: {refusal:?}");
    }
    assert!(Socket::connect_from(&tablet, &talk, &network(0)).await.is_ok());
}

/// An app has shown a token when it asks; of a page nothing but the cookie is known, which comes along whoever asks.
#[tokio::test]
async fn twenty_sockets_of_a_network_wait_for_a_ticket_and_one_more_is_refused() {
    const MOST: usize = 20;
    let stack = behind_a_proxy().await;
    let (person, app) = Person::join_natively(&stack).await;
    let (other, _) = Person::join(&stack).await;
    let browsers = [
        person.browser(&stack).await,
        person.browser(&stack).await,
        other.browser(&stack).await,
    ];
    let ticket = browsers[0].ticket().await;
    let connecting = (0..MOST)
        .map(|place| Socket::connect_from(&browsers[place % browsers.len()], routes::SOCKET, "198.18.0.1"));
    let mut silent: Vec<Socket> = futures_util::future::join_all(connecting)
        .await
        .into_iter()
        .map(|socket| socket.expect("a socket"))
        .collect();
    let refusal = socket_refusal(&browsers[2], routes::SOCKET, "198.18.0.1").await;
    assert_eq!(refusal, Some((429, Some(2))), "whoever they are");
    let elsewhere = Socket::connect_from(&browsers[2], routes::SOCKET, "198.18.0.2").await;
    assert!(elsewhere.is_ok(), "another network has its own");
    let of_an_app = Socket::connect_from(&app, routes::SOCKET, "198.18.0.1").await;
    assert!(of_an_app.is_ok(), "and apps are not counted");
    // one that shows whose it is makes room for one
    let hello = ClientFrame::Hello {
        ticket: Some(ticket),
        cursor: None,
        enc: Vec::new(),
    };
    let shown = silent.first_mut().expect("a socket");
    shown.send(&hello).await;
    assert!(matches!(shown.next().await, Ok(ServerFrame::Welcome { .. })));
    let last = Socket::connect_from(&browsers[1], routes::SOCKET, "198.18.0.1").await;
    assert!(last.is_ok());
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
    // behind the answers one has led to a letter, and a minute has to pass before the next
    until("every try to be over", async || {
        let metrics = client.get(routes::METRICS).await.text();
        metrics
            .contains("rate_limited_total{class=\"letter\"} 7")
            .then_some(())
    })
    .await;
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

/// Each comparison takes 19 MiB: all of these at once would be over 9 GiB.
#[tokio::test]
async fn five_hundred_sign_ins_at_once_take_bounded_memory_and_others_are_answered_meanwhile() {
    const MOST_KIB: u64 = 256 * 1024;
    // so slow that they cannot all have their turn, however many cores there are
    let stack = Stack::builder().with("ARGON2_PASSES", "20").start().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let client = Client::browser(&stack.url(), &stack.url());
    let before = stack.server.memory();
    let is_over = AtomicBool::new(false);
    let storm = async {
        let asking = (0..500).map(async |number| {
            let body =
                json!({"email": format!("x{number}@example.org"), "password": "a guess that is long enough"});
            client.post(routes::SIGN_IN, &body).await
        });
        let answers = futures_util::future::join_all(asking).await;
        is_over.store(true, Ordering::Relaxed);
        answers
    };
    let meanwhile = async {
        let (mut looks, mut most) = (0, before);
        while !is_over.load(Ordering::Relaxed) {
            client.get(routes::HEALTH).await.succeeds();
            laptop.me().await;
            laptop.sessions().await;
            most = most.max(stack.server.memory());
            looks += 1;
        }
        (looks, most)
    };
    let (answers, (looks, most)) = tokio::join!(storm, meanwhile);
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    let compared = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(busy.len() + compared, 500, "answered, or asked to wait");
    assert!(!busy.is_empty() && compared > 0, "{compared} were compared");
    for answer in busy {
        let wait = answer.refused(Code::Busy).retry_after.expect("when to come back");
        assert_eq!(answer.header("retry-after"), Some(wait.to_string().as_str()));
    }
    assert!(looks >= 10, "{looks} looks while they waited");
    let grown = most.saturating_sub(before);
    assert!(grown < MOST_KIB, "{grown} KiB more than before");
}

/// Guesses with a password of their own number until one is asked to wait; gives how many were answered.
async fn guess_until_limited(client: &Client, person: &Person) -> usize {
    for number in 0..30 {
        let guess = Person {
            password: format!("a guess of number {number}"),
            ..person.clone()
        };
        if guess.try_sign_in(client, Kind::Browser).await.status == 429 {
            return number;
        }
    }
    panic!("no limit within 30 guesses")
}

/// Otherwise anybody could keep somebody from their account for as long as they like.
#[tokio::test]
async fn guesses_from_elsewhere_keep_nobody_out_where_they_are_at_home() {
    let stack = strict().await;
    let (person, at_home) = Person::join(&stack).await;
    let (other, _) = Person::join(&stack).await;
    at_home.sign_out().await.succeeds();
    let stranger = Client::browser(&stack.url(), &stack.url());
    assert_eq!(guess_until_limited(&stranger, &person).await, 10);
    person
        .try_sign_in(&stranger, Kind::Browser)
        .await
        .refused(Code::RateLimited);
    person.try_sign_in(&at_home, Kind::Browser).await.succeeds();
    // what makes it at home there makes it at home nowhere else, and no tries are without end
    at_home.sign_out().await.succeeds();
    let known = at_home.cookie("__Host-compymac_known").expect("a cookie");
    for value in [known.as_str(), "AAAA", &"A".repeat(64)] {
        let forger = Client::browser(&stack.url(), &stack.url());
        forger.put_cookie("__Host-compymac_known", value);
        let (whom, is_in) = (if value == known { &other } else { &person }, value == known);
        let answer = whom.try_sign_in(&forger, Kind::Browser).await;
        assert_eq!(answer.status == 200, is_in, "{value}: {answer:?}");
    }
    stack.forget_redis().await;
    assert_eq!(guess_until_limited(&at_home, &person).await, 10);
}

#[tokio::test]
async fn many_pairs_from_one_network_shut_its_door_for_passwords_for_a_day() {
    let stack = behind_a_proxy().await;
    let (person, at_home) = Person::join(&stack).await;
    let app = person.native(&stack, "Laptop").await;
    at_home.sign_out().await.succeeds();
    let program = Client::native(&stack.url());
    let from = async |client: &Client, place: usize, email: &str, password: &str| {
        let kind = if client.is_browser() {
            Kind::Browser
        } else {
            native("Laptop")
        };
        let request = client
            .request(http::Method::POST, routes::SIGN_IN)
            .header("X-Forwarded-For", network(place))
            .json(&json!({"email": email, "password": password, "client": kind}));
        client.send(request).await
    };
    // the same pair again and again is a program with an old password, and no more than that
    for _ in 0..4 {
        let answer = from(&program, 1, "old@example.org", "an old password of theirs").await;
        answer.refused(Code::InvalidCredentials);
    }
    for number in 0..14 {
        let answer = from(
            &program,
            1,
            &format!("x{number}@example.org"),
            "the same for all of them",
        )
        .await;
        answer.refused(Code::InvalidCredentials);
    }
    let (email, password) = (person.email.as_str(), person.password.as_str());
    let shut = from(&program, 1, email, password).await;
    let seconds = shut.refused(Code::RateLimited).retry_after.expect("a time");
    assert!((80_000..=86_400).contains(&seconds), "{seconds}");
    // others come in, and there too whoever is at home
    from(&program, 2, email, password).await.succeeds();
    from(&at_home, 1, email, password).await.succeeds();
    goes_on(&app, &network(1)).await;
    let noted = "select count(*) from audit_events where reason = 'password: credential stuffing' and user_id is null";
    assert_eq!(stack.number(noted).await, 1);
    let counted = program.get(routes::METRICS).await.text();
    assert!(counted.contains("stuffing_found_total 1\n"), "{counted}");
    let kept = stack.redis_dump().await;
    assert!(!kept.contains("the same for all of them") && !kept.contains("x3@example.org"));
}

/// An app that is in stays in, from wherever it comes, and renews its tokens there.
async fn goes_on(app: &Client, address: &str) {
    let renewal = app
        .bare(http::Method::POST, routes::TOKEN)
        .header("X-Forwarded-For", address)
        .form(&refresh(&app.tokens().refresh_token));
    let renewed: SignedIn = app.send(renewal).await.expect();
    app.hold(renewed.tokens.expect("tokens"));
    let who = app
        .bare(http::Method::GET, routes::ME)
        .header("X-Forwarded-For", address);
    app.send(who).await.succeeds();
}

/// Who holds a site has 65,536 networks, and could try a pair in each.
#[tokio::test]
async fn pairs_from_all_networks_of_an_ipv6_site_shut_the_whole_site_out_and_no_app_that_is_in() {
    let stack = behind_a_proxy().await;
    let (person, app) = Person::join_natively(&stack).await;
    let program = Client::native(&stack.url());
    let from = async |address: &str, email: &str, password: &str| {
        let request = program
            .request(http::Method::POST, routes::SIGN_IN)
            .header("X-Forwarded-For", address)
            .json(&json!({"email": email, "password": password, "client": native("Laptop")}));
        program.send(request).await
    };
    let mut tried = 0;
    while tried < 170 {
        let (address, email) = (
            format!("2001:db8:1:{tried:x}::1"),
            format!("x{tried}@example.org"),
        );
        if from(&address, &email, "the same for all of them").await.status == 429 {
            break;
        }
        tried += 1;
    }
    // ten times as many as one network; a sketch is right within a hundredth or so
    assert!((145..=155).contains(&tried), "{tried}");
    let (email, password) = (person.email.as_str(), person.password.as_str());
    let unused = "2001:db8:1:ffff::1";
    let shut = from(unused, email, password).await;
    let seconds = shut.refused(Code::RateLimited).retry_after.expect("a time");
    assert!((80_000..=86_400).contains(&seconds), "{seconds}");
    from("2001:db8:2::1", email, password).await.succeeds();
    goes_on(&app, unused).await;
    let noted = "select count(*) from audit_events where reason = 'password: credential stuffing'";
    assert_eq!(stack.number(noted).await, 1);
}

#[tokio::test]
async fn a_site_with_many_ipv6_networks_tries_as_often_as_ten() {
    let stack = behind_a_proxy().await;
    let client = Client::native(&stack.url());
    let ask = async |site: usize, number: usize| {
        let request = client
            .request(http::Method::POST, routes::DEVICE_AUTHORIZATION)
            .header("X-Forwarded-For", format!("2001:db8:{site}:{number:x}::1"))
            .form(&json!({"client_id": CLIENT_ID, "name": "Box", "os": "linux", "version": "0.1.0"}));
        client.send(request).await.status
    };
    for number in 0..100 {
        assert_eq!(ask(1, number).await, 200, "{number}");
    }
    assert_eq!(ask(1, 100).await, 429);
    assert_eq!(ask(2, 0).await, 200);
}

#[tokio::test]
async fn letters_that_anybody_can_cause_have_an_end_and_those_about_ones_own_account_have_none() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("LETTERS_AN_HOUR", "2")
        .start()
        .await;
    let (person, browser) = Person::join(&stack).await;
    let client = Client::browser(&stack.url(), &stack.url());
    let second = Person::fresh().sign_up(&client).await;
    let third = Person::fresh().sign_up(&client).await;
    assert_eq!((second.status, third.status), (202, 202), "nobody is told");
    assert_eq!(stack.number("select count(*) from email_outbox").await, 2);
    for path in [routes::page::FORGOT, routes::page::LETTER_ASK] {
        let page = client.get(path).await;
        let fields = [("email", person.email.as_str())];
        client.submit(&page, path, &fields).await;
    }
    let page = browser.get(routes::page::SECURITY).await;
    let fields = [("password", "walnut-ferry-copper-drizzle")];
    browser
        .submit(&page, routes::page::FORM_PASSWORD, &fields)
        .await
        .succeeds();
    stack
        .letter_about(person.email.as_str(), "password was changed")
        .await;
    let caused = "select count(*) from email_outbox where template in ('verify', 'reset', 'sign_in')";
    assert_eq!(stack.number(caused).await, 2);
}

/// A count that made-up addresses or letters that never went used up would keep the letters of everybody from them.
#[tokio::test]
async fn what_goes_to_nobody_uses_up_nobodys_letters() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .with("LETTERS_AN_HOUR", "3")
        .start()
        .await;
    let (person, _) = Person::join(&stack).await;
    let stranger = Client::browser(&stack.url(), &stack.url());
    let page = stranger.get(routes::page::LETTER_ASK).await;
    for number in 0..4 {
        let hidden = page.form(routes::page::LETTER_ASK).hidden;
        let mut fields = hidden;
        fields.push(("email".to_owned(), format!("made.up{number}@example.org")));
        let ask = stranger
            .request(http::Method::POST, routes::page::LETTER_ASK)
            .header("X-Forwarded-For", network(number))
            .form(&fields);
        stranger.send(ask).await.succeeds();
        let again = stranger
            .request(http::Method::POST, routes::RESEND)
            .header("X-Forwarded-For", network(number))
            .json(&json!({"email": person.email}));
        assert_eq!(stranger.send(again).await.status, 202);
    }
    // such letters are written behind the answer
    until("every try to be over", async || {
        let asked = "select count(*) from verification_tokens where purpose = 'sign_in'";
        (stack.number(asked).await == 4).then_some(())
    })
    .await;
    let client = Client::browser(&stack.url(), &stack.url());
    let page = client.get(routes::page::FORGOT).await;
    let fields = [("email", person.email.as_str())];
    client
        .submit(&page, routes::page::FORGOT, &fields)
        .await
        .succeeds();
    stack.letter_about(person.email.as_str(), "password").await;
}

#[tokio::test]
async fn guesses_at_once_by_every_door_count_one_by_one() {
    let stack = behind_a_proxy().await;
    let (person, window) = Person::join(&stack).await;
    let door = Client::browser(&stack.url(), &stack.url());
    let hidden = door
        .get(routes::page::SIGN_IN)
        .await
        .form(routes::page::FORM_SIGN_IN)
        .hidden;
    let guess = |number: usize| {
        let (door, person, hidden) = (door.clone(), person.clone(), hidden.clone());
        async move {
            let password = format!("a guess of number {number}");
            let (path, kind, next) = match number % 4 {
                0 => (routes::page::FORM_SIGN_IN, Kind::Browser, routes::page::HOME),
                // where a program without a browser is let in
                1 => (
                    routes::page::FORM_SIGN_IN,
                    Kind::Browser,
                    routes::page::DEVICE_CODE,
                ),
                2 => (routes::SIGN_IN, Kind::Browser, ""),
                _ => (routes::SIGN_IN, native("Laptop"), ""),
            };
            let request = door
                .request(http::Method::POST, path)
                .header("X-Forwarded-For", network(number));
            let request = if path == routes::SIGN_IN {
                request.json(&json!({"email": person.email, "password": password, "client": kind}))
            } else {
                let mut fields = hidden;
                fields.retain(|(name, _)| name != "next");
                fields.extend([
                    ("next".to_owned(), next.to_owned()),
                    ("email".to_owned(), person.email.to_string()),
                    ("password".to_owned(), password),
                ]);
                request.form(&fields)
            };
            door.send(request).await.status
        }
    };
    let statuses = futures_util::future::join_all((0..100).map(guess)).await;
    let answered = |statuses: &[u16]| statuses.iter().filter(|status| **status != 429).count();
    // some may have been asked to wait for a free thread instead, and were counted
    assert_eq!(answered(&statuses), 10, "{statuses:?}");
    // who took a window that is signed in guesses there: a count of its own, which strangers do not use up, and which is no wider
    let page = window.get(routes::page::PROVE).await;
    let statuses = futures_util::future::join_all((0..50).map(|number| {
        let (window, page) = (&window, &page);
        async move {
            let password = format!("a guess of number {number}");
            let fields = [("password", password.as_str())];
            window.submit(page, routes::page::PROVE, &fields).await.status
        }
    }))
    .await;
    assert_eq!(answered(&statuses), 10, "{statuses:?}");
}
