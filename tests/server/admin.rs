//! What an operator does at the server's own machine: felt by everybody at once, noted with their name, and never by halves.

use crate::letter::{Asked, press};
use crate::native_sign_in::{App, consent, oauth_error, param};
use crate::second_step::{Careful, prove};
use harness::{
    Client, Notice, OpenIdProvider, Person, Socket, Stack, Visitor, browser, native, until, within,
};
use protocol::auth::Client as Kind;
use protocol::frame::close;
use protocol::routes::{self, page};
use protocol::{Code, DeviceId};
use serde_json::{Value, json};
use std::time::Duration;

const AT_ONCE: Duration = Duration::from_secs(2);

pub(super) async fn is_signed_out(client: &Client) {
    within(AT_ONCE, "the device to be refused", async || {
        (client.get(routes::ME).await.status == 401).then_some(())
    })
    .await;
}

pub(super) async fn must_close(sockets: &mut [&mut Socket]) {
    for socket in sockets {
        let closed = tokio::time::timeout(AT_ONCE, socket.closed()).await;
        assert_eq!(closed.expect("closed at once"), close::REVOKED);
    }
}

/// What an operator did: events and whose name stands beside them, the newest last.
async fn deeds(stack: &Stack) -> Vec<(String, String)> {
    let events = stack.admin_json(&["audit", "tail", "--count", "1000"]).await;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let events = events.as_array().expect("events").iter();
    events
        .filter(|event| event["operator"].is_string())
        .map(|event| (text(event, "event"), text(event, "operator")))
        .collect()
}

#[tokio::test]
async fn somebody_locked_is_out_on_every_node_within_two_seconds() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let window = person.browser(&stack).await;
    let elsewhere = laptop.at(&second.url());
    elsewhere.me().await;
    let (mut here, mut there) = (Socket::open(&window).await, Socket::open(&elsewhere).await);
    let (_, bystander) = Person::join(&stack).await;

    let locked = stack.admin(&["users", "lock", person.email.as_str()]).await;
    assert!(locked.succeeds().said.contains("2 devices"), "{locked:?}");
    must_close(&mut [&mut here, &mut there]).await;
    for client in [&window, &laptop, &elsewhere] {
        is_signed_out(client).await;
    }
    let refused = laptop.refresh_with(&laptop.tokens().refresh_token).await;
    assert_eq!(oauth_error(&refused), "invalid_grant");
    bystander.me().await;
    stack
        .admin(&["users", "lock", person.email.as_str()])
        .await
        .refused("locked already");
    assert_eq!(
        deeds(&stack).await,
        [("user_locked".to_owned(), "olga".to_owned())]
    );
}

#[tokio::test]
async fn every_way_in_refuses_somebody_locked_alike_and_only_who_proves_themselves_hears_why() {
    let provider = OpenIdProvider::start().await;
    let stack = crate::providers::stack_with(&provider).await;
    let person = Person::fresh();
    provider.seat(&Visitor::with_address(person.email.as_str()));
    let window = browser(&stack);
    crate::providers::sign_in(&stack, &window, "google")
        .await
        .succeeds();
    stack
        .admin_with(
            &[],
            &["password", "set", person.email.as_str()],
            Some(&format!("{}\n", person.password)),
        )
        .await
        .succeeds();
    let window = person.browser(&stack).await;
    let app = App::new(&stack);
    let home = consent(&window, &app.push().await).await;
    // of the password and of the new device
    stack.letter_to(person.email.as_str(), 2).await;
    let asked = Asked::by(&stack, &person, 3).await;

    stack
        .admin(&["users", "lock", person.email.as_str()])
        .await
        .succeeds();
    let stranger = Person {
        password: "a guess that is long enough".to_owned(),
        ..person.clone()
    };
    let guess = stranger.try_sign_in(&browser(&stack), Kind::Browser).await;
    guess.refused(Code::InvalidCredentials);
    for kind in [Kind::Browser, native("Laptop")] {
        let answer = person.try_sign_in(&browser(&stack), kind).await;
        answer.refused(Code::AccountDisabled);
    }
    let by_code = asked.type_code(&asked.window, &asked.code).await;
    let by_link = press(&asked.window, &asked.link, "here").await;
    let by_provider = crate::providers::sign_in(&stack, &browser(&stack), "google").await;
    for answer in [by_code, by_link, by_provider] {
        assert!(answer.text().contains("This account is closed"), "{answer:?}");
    }
    let redeemed = app.redeem(&param(&home, "code"), &app.verifier).await;
    assert_eq!(oauth_error(&redeemed), "invalid_grant");
    let devices = stack
        .number("select count(*) from sessions where revoked_at is null")
        .await;
    assert_eq!(devices, 0, "nobody got in");
}

#[tokio::test]
async fn a_second_step_is_no_way_in_for_somebody_locked_meanwhile() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let laptop = Client::native(&stack.url());
    let challenge = careful.challenge(&laptop, native("Laptop")).await;
    stack
        .admin(&["users", "lock", careful.person.email.as_str()])
        .await
        .succeeds();
    prove(&laptop, &challenge, &careful.phone.code())
        .await
        .refused(Code::AccountDisabled);
}

#[tokio::test]
async fn who_is_unlocked_signs_in_afresh_and_by_nothing_that_was_begun_before() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    let who = person.email.as_str();
    stack.admin(&["users", "unlock", who]).await.refused("not locked");
    stack.admin(&["users", "lock", who]).await.succeeds();
    stack
        .admin(&["users", "unlock", who, "--reason", "It was a mistake"])
        .await
        .succeeds();
    is_signed_out(&window).await;
    let late = asked.type_code(&asked.window, &asked.code).await;
    assert_eq!(late.status, 410, "{late:?}");
    person.browser(&stack).await.me().await;
    let events = stack.admin_json(&["audit", "tail", "--user", who]).await;
    let reasons = events.as_array().expect("events").iter();
    assert!(
        reasons
            .into_iter()
            .any(|event| event["reason"] == "It was a mistake"),
        "{events}"
    );
}

#[tokio::test]
async fn a_sign_in_that_is_refused_to_somebody_locked_stands_in_the_audit_as_theirs() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let asked = Asked::by(&stack, &person, 2).await;
    stack
        .admin(&["users", "lock", person.email.as_str()])
        .await
        .succeeds();
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::AccountDisabled);
    asked.type_code(&asked.window, &asked.code).await;
    until("both refusals to be noted", async || {
        let events = stack
            .admin_json(&["audit", "tail", "--user", person.email.as_str()])
            .await;
        let reasons: Vec<&str> = events
            .as_array()?
            .iter()
            .filter_map(|e| e["reason"].as_str())
            .collect();
        let has = |reason: &str| reasons.contains(&reason);
        (has("password: account_disabled") && has("letter, code: account_disabled")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn killing_a_device_closes_its_socket_on_whatever_node_and_touches_no_other() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    let window = person.browser(&stack).await;
    let elsewhere = laptop.at(&second.url());
    let mut there = Socket::open(&elsewhere).await;
    let mut here = Socket::open(&window).await;
    let device = laptop.me().await.device.to_string();

    let listed = stack
        .admin_json(&["devices", "list", person.email.as_str()])
        .await;
    let listed = listed.as_array().expect("devices");
    assert_eq!(listed.len(), 2);
    assert!(
        listed.iter().any(|listed| listed["id"] == device.as_str()),
        "{listed:?}"
    );

    let trial = stack.admin_json(&["devices", "kill", &device, "--dry-run"]).await;
    assert_eq!(
        (&trial["is_done"], &trial["devices"][0]),
        (&false.into(), &device.as_str().into())
    );
    laptop.me().await;
    assert!(deeds(&stack).await.is_empty(), "nothing was done");

    stack.admin(&["devices", "kill", &device]).await.succeeds();
    must_close(&mut [&mut there]).await;
    is_signed_out(&laptop).await;
    is_signed_out(&elsewhere).await;
    window.me().await;
    stack
        .admin(&["devices", "kill", &device])
        .await
        .refused("no signed-in device");

    let all = stack
        .admin_json(&["devices", "kill", "--user", person.email.as_str()])
        .await;
    assert_eq!(all["devices"].as_array().map(Vec::len), Some(1), "{all}");
    must_close(&mut [&mut here]).await;
    is_signed_out(&window).await;
    let signed_out = ("sign_out".to_owned(), "olga".to_owned());
    assert_eq!(deeds(&stack).await, [signed_out.clone(), signed_out]);
}

#[tokio::test]
async fn somebody_is_locked_while_redis_is_away() {
    let stack = Stack::builder().with_gates().start().await;
    let (person, laptop) = Person::join_natively(&stack).await;
    laptop.me().await;
    let mut socket = Socket::open(&laptop).await;
    stack.redis_gate().shut();
    stack
        .admin(&["users", "lock", person.email.as_str()])
        .await
        .succeeds();
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::AccountDisabled);
    // nobody could be told, so the nodes' own looking has to find it, in the time that `docs/operations.md` says
    let closed = tokio::time::timeout(Duration::from_secs(15), socket.closed()).await;
    assert_eq!(closed.expect("closed in time"), close::REVOKED);
    assert_eq!(laptop.get(routes::ME).await.status, 401);
}

#[tokio::test]
async fn of_several_devices_one_that_is_not_there_leaves_all_signed_in() {
    let stack = Stack::start().await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let device = laptop.me().await.device.to_string();
    let nobodys = DeviceId::fresh().to_string();
    stack
        .admin(&["devices", "kill", &device, &nobodys])
        .await
        .refused(&nobodys);
    stack
        .admin(&["devices", "kill", "me"])
        .await
        .refused("no device's id");
    stack.admin(&["devices", "kill"]).await.refused("--user");
    laptop.me().await;
    assert!(deeds(&stack).await.is_empty());
}

#[tokio::test]
async fn a_password_is_set_by_the_rules_from_standard_input_and_signs_everybody_out() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let who = person.email.as_str();
    let set = async |input: Option<&str>| stack.admin_with(&[], &["password", "set", who], input).await;
    set(Some("short\n")).await.refused("12 characters");
    set(Some("password1234\n")).await.refused("easy to guess");
    set(Some("two lines\nof a password\n")).await.refused("one line");
    set(Some(&"x".repeat(5_000))).await.refused("too long");
    set(None).await.refused("12 characters");
    stack
        .admin(&["password", "set", who, "as an argument"])
        .await
        .refused("unexpected argument");
    window.me().await;
    assert!(deeds(&stack).await.is_empty());

    let fresh = Person {
        password: "violet-lantern-harbour-plum".to_owned(),
        ..person.clone()
    };
    let ended = set(Some("violet-lantern-harbour-plum\n")).await;
    assert!(!ended.succeeds().said.contains("lantern"), "{ended:?}");
    is_signed_out(&window).await;
    let letter = stack.letter_to(who, 2).await;
    assert!(letter.text.contains("password"), "{letter:?}");
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    fresh.browser(&stack).await.me().await;
    assert_eq!(deeds(&stack).await, [("password".to_owned(), "olga".to_owned())]);
}

#[tokio::test]
async fn who_lost_phone_and_codes_signs_in_with_the_password_alone_again() {
    let stack = Stack::start().await;
    let careful = Careful::join(&stack).await;
    let who = careful.person.email.as_str();
    let shown = stack.admin_json(&["users", "show", who]).await;
    assert_eq!(shown["second_step"]["recovery_codes_left"], 10, "{shown}");
    stack.admin(&["second-step", "reset", who]).await.succeeds();
    let letter = stack.letter_to(who, 3).await;
    assert!(letter.text.contains("turned off"), "{letter:?}");
    careful.person.browser(&stack).await.me().await;
    careful.browser.me().await;
    stack
        .admin(&["second-step", "reset", who])
        .await
        .refused("no second step");
    assert_eq!(
        deeds(&stack).await,
        [("second_step_off".to_owned(), "olga".to_owned())]
    );
}

#[tokio::test]
async fn people_are_listed_made_shown_and_deleted_with_all_that_is_theirs() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let session = window.create_session("Mine").await;
    window.note(session, "Words").await;
    let made = stack
        .admin_json(&["users", "create", "Bo@Example.org", "--name", "Bo"])
        .await;
    stack
        .admin(&["users", "create", "bo@example.org"])
        .await
        .refused("already");
    let listed = stack.admin_json(&["users", "list"]).await;
    let addresses: Vec<&str> = listed
        .as_array()
        .expect("people")
        .iter()
        .filter_map(|user| user["email"].as_str())
        .collect();
    assert_eq!(addresses, [person.email.as_str(), "Bo@Example.org"], "by address");
    let after = stack.admin_json(&["users", "list", "--after", "b"]).await;
    assert_eq!(after.as_array().map(Vec::len), Some(1), "{after}");
    let bo = Person::with_address("Bo@Example.org");
    let asked = Asked::by(&stack, &bo, 1).await;
    asked.type_code(&asked.window, &asked.code).await;
    assert_eq!(asked.window.me().await.name.as_deref(), Some("Bo"));

    let id = made["id"].as_str().expect("an id");
    stack.admin(&["users", "show", id]).await.succeeds();
    stack
        .admin(&["users", "show", "nobody@example.org"])
        .await
        .refused("There is no user");
    stack
        .admin(&["users", "show", "nobody"])
        .await
        .refused("e-mail address");

    let who = person.email.as_str();
    for words in [
        vec!["users", "delete", who],
        vec!["users", "delete", who, "--dry-run"],
    ] {
        let trial = stack.admin_json(&words).await;
        assert_eq!(
            (&trial["is_deleted"], &trial["messages"]),
            (&false.into(), &1.into())
        );
    }
    let folder = stack.workspaces().join(window.me().await.user.to_string());
    assert!(folder.exists());
    let mut socket = Socket::open(&window).await;
    stack.admin(&["users", "delete", who, "--yes"]).await.succeeds();
    must_close(&mut [&mut socket]).await;
    is_signed_out(&window).await;
    assert!(!folder.exists(), "and the workspaces");
    person
        .try_sign_in(&browser(&stack), Kind::Browser)
        .await
        .refused(Code::InvalidCredentials);
    stack
        .admin(&["users", "show", who])
        .await
        .refused("There is no user");
    let by_olga = |event: &str| (event.to_owned(), "olga".to_owned());
    assert_eq!(
        deeds(&stack).await,
        [by_olga("user_made"), by_olga("user_deleted")]
    );
}

#[tokio::test]
async fn who_gives_no_name_changes_nothing_and_may_look() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let who = person.email.as_str();
    let nameless = [("COMPYMAC_OPERATOR", "")];
    stack
        .admin_with(&nameless, &["users", "lock", who], None)
        .await
        .refused("who you are");
    stack
        .admin_with(&nameless, &["devices", "kill", "--user", who], None)
        .await
        .refused("who you are");
    window.me().await;
    stack
        .admin_with(&nameless, &["users", "show", who], None)
        .await
        .succeeds();
    stack
        .admin_with(&nameless, &["users", "lock", who, "--operator", "otto"], None)
        .await
        .succeeds();
    assert_eq!(
        deeds(&stack).await,
        [("user_locked".to_owned(), "otto".to_owned())]
    );
}

#[tokio::test]
async fn a_person_sees_what_the_operator_did_and_not_who_that_is() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let who = person.email.as_str();
    stack
        .admin(&["users", "lock", who, "--reason", "for her own good"])
        .await
        .succeeds();
    stack.admin(&["users", "unlock", who]).await.succeeds();
    let page = person.browser(&stack).await.get(page::SECURITY).await.text();
    assert!(
        page.contains("Closing the account by whoever runs this server"),
        "{page}"
    );
    assert!(
        !page.contains("olga") && !page.contains("for her own good"),
        "{page}"
    );
}

#[tokio::test]
async fn the_secrets_are_checked_and_never_shown() {
    let stack = Stack::start().await;
    Careful::join(&stack).await;
    let checked = stack.admin(&["secrets", "check"]).await;
    assert!(
        checked.succeeds().said.contains("opens 1 sealed secret"),
        "{checked:?}"
    );
    let weak = "dGhlIHNhbWUgd29yZCBhZ2FpbiBhbmQgYWdhaW4gYW5kIGFnYWlu";
    let other = stack
        .admin_with(&[("COMPYMAC_SECRET", weak)], &["secrets", "check"], None)
        .await;
    other.refused("cannot be opened");
    assert!(
        other.said.contains("drawn by chance") && !other.said.contains(weak),
        "{other:?}"
    );
}

#[tokio::test]
async fn the_parameters_that_are_measured_are_safe_and_the_server_takes_them() {
    let stack = Stack::start().await;
    let found = stack.admin_json(&["argon2-bench", "--memory-mib", "19"]).await;
    let (memory, passes) = (
        found["ARGON2_MEMORY_KIB"].to_string(),
        found["ARGON2_PASSES"].to_string(),
    );
    assert_eq!(memory, "19456");
    assert!(passes.parse::<u32>().expect("a number") >= 2);
    let settings = [
        ("ARGON2_MEMORY_KIB", memory.as_str()),
        ("ARGON2_PASSES", passes.as_str()),
    ];
    stack
        .admin_with(&settings, &["users", "list"], None)
        .await
        .succeeds();
}

#[tokio::test]
async fn the_addresses_to_register_are_those_that_providers_are_told() {
    let provider = OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("PROVIDERS", provider.settings_with_apple())
        .start()
        .await;
    let urls = stack.admin_json(&["urls"]).await;
    let google = format!("{}/auth/google/callback", stack.url());
    assert_eq!(urls[0]["redirect_uri"], google.as_str(), "{urls}");
    assert_eq!(urls[0]["events_uri"], Value::Null, "{urls}");
    // whom the provider knows by another address is refused there
    provider.seat(&Visitor::with_address("ana@example.org"));
    let signed_in = crate::providers::sign_in(&stack, &browser(&stack), "google").await;
    signed_in.succeeds();
    // Apple's notices are taken where it is to send them
    let events = urls[2]["events_uri"].as_str().expect("Apple's");
    let visitor = Visitor::with_address("bo@example.org");
    let payload = provider.tell(&Notice::of(&visitor, "consent-revoked"));
    let apple = Client::native(&stack.url());
    let path = events.strip_prefix(&stack.url()).expect("an address here");
    apple.post(path, &json!({ "payload": payload })).await.succeeds();
    let told = stack.admin(&["urls"]).await.succeeds().said.clone();
    assert!(told.contains(events), "{told}");
    let none = stack.admin_with(&[("PROVIDERS", "[]")], &["urls"], None).await;
    assert!(none.succeeds().said.contains("No sign-in providers"), "{none:?}");
}

#[tokio::test]
async fn a_command_that_cannot_reach_its_stores_says_so_in_a_sentence() {
    let stack = Stack::start().await;
    let away = [("DATABASE_URL", "postgres://postgres@127.0.0.1:9/x")];
    stack
        .admin_with(&away, &["users", "list"], None)
        .await
        .refused("reaching PostgreSQL");
    stack.admin(&["users", "frobnicate"]).await.refused("frobnicate");
    let helped = stack.admin(&["--help"]).await;
    for word in [
        "users",
        "devices",
        "password",
        "second-step",
        "secrets",
        "argon2-bench",
        "audit",
        "urls",
    ] {
        assert!(helped.said.contains(word), "{word} in {helped:?}");
    }
}

/// Pressed and typed while the account is closed: nothing of it is kept for when it is open again.
#[tokio::test]
async fn a_letter_that_met_a_closed_account_opens_nothing_once_it_is_open_again() {
    let stack = Stack::start().await;
    let (person, _) = Person::join(&stack).await;
    let who = person.email.as_str();
    let asked = Asked::by(&stack, &person, 2).await;
    let looked = asked.window.get(&asked.link).await;
    let push = async || {
        let fields = [("answer", "here")];
        asked.window.submit(&looked, page::LETTER, &fields).await
    };
    stack.admin(&["users", "lock", who]).await.succeeds();
    assert_eq!(push().await.status, Code::AccountDisabled.status());
    let typed = asked.type_code(&asked.window, &asked.code).await;
    assert!(typed.status >= 400 && !asked.window.is_in(), "{typed:?}");
    stack.admin(&["users", "unlock", who]).await.succeeds();
    let pushed = push().await;
    assert_eq!(pushed.status, 410, "{pushed:?}");
    let typed = asked.type_code(&asked.window, &asked.code).await;
    assert_eq!(typed.status, 410, "{typed:?}");
    assert!(!asked.window.is_in());
}
