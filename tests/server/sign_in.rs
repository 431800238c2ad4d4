//! Signing in with a password, staying in, and signing out.

use harness::{Client, Person, SESSION_COOKIE, Socket, Stack, browser, native, within};
use http::Method;
use protocol::auth::{Client as Kind, SignedIn};
use protocol::frame::close;
use protocol::routes::page;
use protocol::{Code, routes};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_one_answer() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let wrong = Person {
        password: "wrong-but-long-enough".to_owned(),
        ..person
    };
    let client = browser(&stack);
    let for_wrong = wrong.try_sign_in(&client, Kind::Browser).await;
    let for_unknown = Person::fresh().try_sign_in(&client, Kind::Browser).await;
    let plain = |answer: &harness::Answer| {
        let mut problem = answer.refused(Code::InvalidCredentials);
        problem.request_id = None;
        problem
    };
    assert_eq!(plain(&for_wrong), plain(&for_unknown));
    assert!(client.cookie(SESSION_COOKIE).is_none());
}

#[tokio::test]
async fn the_address_is_compared_in_lower_case() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let shouted = Person {
        password: person.password.clone(),
        ..Person::with_address(&person.email.as_str().to_uppercase())
    };
    assert_eq!(shouted.browser(&stack).await.me().await.email, person.email);
}

#[tokio::test]
async fn the_cookie_is_locked_to_this_site_and_hidden_from_scripts() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let client = browser(&stack);
    let answer = person.try_sign_in(&client, Kind::Browser).await;
    let cookies = answer.set_cookies();
    let line = cookies
        .iter()
        .find(|line| line.starts_with(SESSION_COOKIE))
        .expect("the session's cookie");
    let attributes: Vec<String> = line
        .split(';')
        .skip(1)
        .map(|part| part.trim().to_lowercase())
        .collect();
    for wanted in ["secure", "httponly", "samesite=lax", "path=/"] {
        assert!(
            attributes.iter().any(|attribute| attribute == wanted),
            "{wanted} in {line}"
        );
    }
    assert!(
        !attributes.iter().any(|attribute| attribute.starts_with("domain")),
        "{line}"
    );
    let value = client.cookie(SESSION_COOKIE).expect("a cookie");
    assert!(value.len() >= 43, "256 bits");
    assert!(!answer.text().contains(&value), "a page's script never sees it");
    assert!(
        answer.expect::<SignedIn>().tokens.is_none(),
        "a browser gets no tokens"
    );
}

#[tokio::test]
async fn each_sign_in_gets_a_cookie_of_its_own() {
    let stack = Stack::start().await;
    let (person, first) = Person::join(&stack).await;
    let fixed = first.cookie(SESSION_COOKIE).expect("a cookie");
    let client = browser(&stack);
    // fixation: the browser comes with a cookie that somebody else chose
    client.put_cookie(SESSION_COOKIE, "chosen-by-somebody-else");
    person
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    let own = client.cookie(SESSION_COOKIE).expect("a cookie");
    assert!(own != "chosen-by-somebody-else" && own != fixed);
    assert_ne!(client.me().await.device, first.me().await.device);
}

#[tokio::test]
async fn signing_in_again_in_one_browser_leaves_the_old_cookie_dead() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let old = client.cookie(SESSION_COOKIE).expect("a cookie");
    person
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    let thief = browser(&stack);
    thief.put_cookie(SESSION_COOKIE, &old);
    assert_eq!(thief.get(routes::ME).await.status, 401);
}

#[tokio::test]
async fn signing_out_ends_the_cookie_everywhere() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let value = client.cookie(SESSION_COOKIE).expect("a cookie");
    client.sign_out().await.succeeds();
    assert!(client.cookie(SESSION_COOKIE).is_none(), "the browser forgets it");
    client.put_cookie(SESSION_COOKIE, &value);
    assert_eq!(client.get(routes::ME).await.status, 401, "and the server too");
}

#[tokio::test]
async fn a_native_sign_out_ends_both_tokens() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let tokens = client.tokens();
    client.sign_out().await.succeeds();
    assert_eq!(client.get(routes::ME).await.status, 401);
    let refused = client.refresh_with(&tokens.refresh_token).await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[tokio::test]
async fn nobody_gets_in_with_a_made_up_credential() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    client.get(routes::ME).await.refused(Code::SignInRequired);
    for value in ["x", "", "' or 1=1 --", &"A".repeat(43), &"A".repeat(8000)] {
        let request = client
            .request(Method::GET, routes::ME)
            .header("Cookie", format!("{SESSION_COOKIE}={value}"));
        let answer = client.send(request).await;
        assert!(
            answer.status == 401 || answer.status == 431,
            "{value}: {answer:?}"
        );
        let request = client
            .request(Method::GET, routes::ME)
            .header("Authorization", format!("Bearer {value}"));
        let answer = client.send(request).await;
        assert!(
            answer.status == 401 || answer.status == 431,
            "{value}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn every_private_route_wants_a_sign_in() {
    let stack = Stack::start().await;
    let client = Client::native(&stack.url());
    let id = protocol::SessionId::fresh();
    let gets = [
        routes::ME.to_owned(),
        routes::DEVICES.to_owned(),
        routes::SESSIONS.to_owned(),
        routes::session(id),
        routes::messages(id),
        routes::BOOTSTRAP.to_owned(),
        routes::SYNC.to_owned(),
    ];
    for path in gets {
        assert_eq!(client.get(&path).await.status, 401, "{path}");
    }
    let posts = [
        routes::MUTATIONS,
        routes::VERIFY_CACHE,
        routes::HISTORIES,
        routes::SOCKET_TICKET,
    ];
    for path in posts {
        assert_eq!(client.post(path, &json!({})).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_in_words() {
    let stack = Stack::start().await;
    let client = browser(&stack);
    let send = async |kind: &str, body: &str| {
        let request = client
            .request(Method::POST, routes::SIGN_IN)
            .header("Content-Type", kind)
            .body(body.to_owned());
        client.send(request).await
    };
    send("application/json", "{").await.refused(Code::BadRequest);
    send("application/json", "{\"email\": 3}").await.problem();
    send("text/plain", "{\"email\":\"a@b.cd\",\"password\":\"x\"}")
        .await
        .refused(Code::UnsupportedMediaType);
    let get = client.get(routes::SIGN_IN).await;
    get.refused(Code::MethodNotAllowed);
}

#[tokio::test]
async fn a_person_can_be_in_on_several_devices_at_once() {
    let stack = Stack::start().await;
    let (person, first) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let second = person.browser(&stack).await;
    let devices = second.devices().await;
    assert_eq!(devices.len(), 3, "{devices:?}");
    let this: Vec<_> = devices.iter().filter(|device| device.is_this).collect();
    assert!(matches!(this.as_slice(), [one] if one.id == second.me().await.device));
    assert!(
        devices
            .iter()
            .any(|device| device.name == "Laptop" && device.os == "linux")
    );
    first.sign_out().await.succeeds();
    assert_eq!(laptop.devices().await.len(), 2);
    let other = Client::native(&stack.url());
    person
        .try_sign_in(&other, native("Tower"))
        .await
        .expect::<SignedIn>();
}

#[tokio::test]
async fn somebody_who_is_disabled_gets_in_nowhere() {
    let stack = Stack::start().await;
    let (person, device) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    stack.execute("update users set disabled_at = now()").await;
    let again = Client::browser(&stack.url(), &stack.url());
    let answer = person.try_sign_in(&again, Kind::Browser).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let renewed = device.refresh_with(&device.tokens().refresh_token).await;
    assert_eq!(renewed.status, 400, "{renewed:?}");
    // a node that has heard nothing of these devices yet believes nothing of them
    let second = stack.second_server().await;
    for client in [&device, &browser] {
        let answer = client.at(&second.url()).get(routes::ME).await;
        answer.refused(Code::SessionRevoked);
    }
}

/// Shows at the security page who it is.
async fn prove(client: &Client, person: &Person) {
    let page = client.get(page::PROVE).await;
    let fields = [("password", person.password.as_str())];
    let proven = client.submit(&page, page::PROVE, &fields).await;
    assert_eq!(proven.location(), page::SECURITY, "{proven:?}");
}

/// Whoever copied the cookie before has shown nothing, and gets no ten minutes of their own by it.
#[tokio::test]
async fn a_fresh_proof_gets_a_cookie_of_its_own_and_leaves_the_old_one_dead_on_every_node() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join(&stack).await;
    let before = client.cookie(SESSION_COOKIE).expect("a cookie");
    let mut socket = Socket::open(&client).await;
    let (thief, thief_elsewhere) = (browser(&stack), client.at(&second.url()));
    thief.put_cookie(SESSION_COOKIE, &before);
    thief.me().await;
    let device = thief_elsewhere.me().await.device;

    prove(&client, &person).await;
    let after = client.cookie(SESSION_COOKIE).expect("a cookie");
    assert_ne!(before, after);
    // nothing follows from the proof for whoever has the cookie of before, while that of now is on its way
    thief.delete(routes::DEVICES).await.refused(Code::ProofRequired);
    assert_eq!(client.me().await.device, device, "it is the same device");
    assert_eq!(client.at(&second.url()).me().await.device, device);
    for stolen in [&thief, &thief_elsewhere] {
        within(Duration::from_secs(2), "the old cookie to be dead", async || {
            (stolen.get(routes::ME).await.status == 401).then_some(())
        })
        .await;
    }
    let page = thief.get(page::SECURITY).await;
    assert_ne!(page.status, 200, "{page:?}");
    // what the former cookie opened is told to come again, and goes on by the one of now
    assert_eq!(socket.closed().await, close::TOKEN_EXPIRED);
    let mut socket = Socket::open(&client).await;
    client.create_session("Still here").await;
    socket.next().await.expect("a socket that goes on");
    // and the number of days does not grow by it
    let days =
        "select round(extract(epoch from absolute_expires - created_at) / 86400)::bigint from sessions";
    assert_eq!(stack.number(days).await, 30);
}

/// A lid is shut, a train enters a tunnel: the server has changed the cookie, and the browser does not know.
#[tokio::test]
async fn a_proof_whose_answer_is_lost_signs_nobody_out_and_is_worth_nothing() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join(&stack).await;
    let device = client.me().await.device;
    let before = client.cookie(SESSION_COOKIE).expect("a cookie");
    let mut socket = Socket::open(&client).await;
    let mut unseen = Vec::new();
    for _ in 0..2 {
        let lost = client.at(&stack.url());
        prove(&lost, &person).await;
        unseen.push(lost.cookie(SESSION_COOKIE).expect("a cookie"));
        for node in [client.at(&stack.url()), client.at(&second.url())] {
            assert_eq!(node.me().await.device, device);
            node.delete(routes::DEVICES).await.refused(Code::ProofRequired);
            let page = node.get(page::SECURITY).await;
            assert!(!page.succeeds().text().contains(page::FORM_PASSWORD));
        }
    }
    client.create_session("Still here").await;
    socket.next().await.expect("a socket that goes on");

    // this answer comes, and what it brought is used
    prove(&client, &person).await;
    client.delete(routes::DEVICES).await.succeeds();
    assert_eq!(socket.closed().await, close::TOKEN_EXPIRED);
    unseen.push(before);
    for dead in unseen {
        for base in [stack.url(), second.url()] {
            let thief = browser(&stack).at(&base);
            thief.put_cookie(SESSION_COOKIE, &dead);
            within(Duration::from_secs(2), "the old cookie to be dead", async || {
                (thief.get(routes::ME).await.status == 401).then_some(())
            })
            .await;
        }
    }
    assert_eq!(client.at(&second.url()).me().await.device, device);
}

/// Signing in again in a browser ends what it came with, also where that is the cookie of before a proof.
#[tokio::test]
async fn who_signs_in_again_after_a_proof_that_was_lost_leaves_no_device_behind() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let before = client.cookie(SESSION_COOKIE).expect("a cookie");
    let lost = client.at(&stack.url());
    prove(&lost, &person).await;
    person
        .try_sign_in(&client, Kind::Browser)
        .await
        .expect::<SignedIn>();
    let unseen = lost.cookie(SESSION_COOKIE).expect("a cookie");
    for dead in [before, unseen] {
        let thief = browser(&stack);
        thief.put_cookie(SESSION_COOKIE, &dead);
        assert_eq!(thief.get(routes::ME).await.status, 401);
    }
    assert_eq!(client.devices().await.len(), 1);
}

#[tokio::test]
async fn a_browser_that_rests_for_a_week_is_signed_out() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let days = "select round(extract(epoch from expires - created_at) / 86400)::bigint from sessions";
    assert_eq!(stack.number(days).await, 7);
    stack
        .execute(
            "update sessions set expires = now() - interval '1 second', last_active = now() - interval '7 days'",
        )
        .await;
    let second = stack.second_server().await;
    let late = client.at(&second.url());
    late.get(routes::ME).await.refused(Code::SessionExpired);
    // asking changes nothing about it: what has ended is not begun again
    assert_eq!(second.stop().await, Some(0));
    let ended = "select count(*) from sessions where expires < now()";
    assert_eq!(stack.number(ended).await, 1);
}

#[tokio::test]
async fn a_browser_in_use_may_rest_again_within_its_thirty_days() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let left = "select round(extract(epoch from expires - now()) / 3600)::bigint from sessions";
    for (absolute, hours) in [("20 days", 7 * 24), ("5 hours", 5)] {
        stack
            .execute(&format!(
                "update sessions set expires = now() + interval '1 hour', last_active = now() - interval '1 day',
                        absolute_expires = now() + interval '{absolute}'"
            ))
            .await;
        // a node writes down who was there before it ends, at the latest
        let second = stack.second_server().await;
        client.at(&second.url()).me().await;
        assert_eq!(second.stop().await, Some(0));
        assert_eq!(stack.number(left).await, hours);
    }
}
