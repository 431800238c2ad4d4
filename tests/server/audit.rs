//! What the audit holds: refusals by their owners, floods by one line, and nothing for longer than it says.

use crate::device_code;
use crate::email_change;
use crate::forgotten::{choose_blindly, forget, parts};
use crate::letter::Asked;
use crate::native_sign_in::{App, consent, param};
use harness::mailbox::path_of;
use harness::{Client, Headless, Person, Stack, browser, until};
use http::Method;
use protocol::auth::Client as Kind;
use protocol::routes::{self, page};
use protocol::{Code, UserId};
use serde_json::{Value, json};

/// As people get it, behind a proxy that tells whence they come.
async fn strict() -> Stack {
    Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await
}

async fn events(stack: &Stack) -> Vec<Value> {
    let events = stack.admin_json(&["audit", "tail", "--count", "10000"]).await;
    events.as_array().cloned().unwrap_or_default()
}

/// Those with this reason.
async fn with_reason(stack: &Stack, reason: &str) -> Vec<Value> {
    let mut events = events(stack).await;
    events.retain(|event| event["reason"] == reason);
    events
}

async fn post_from(client: &Client, network: &str, path: &str, body: &Value) -> u16 {
    let request = client.request(Method::POST, path);
    let request = request.header("X-Forwarded-For", network).json(body);
    client.send(request).await.status
}

#[tokio::test]
async fn too_many_guesses_at_an_account_are_noted_once_as_theirs() {
    let stack = strict().await;
    let (person, window) = Person::join(&stack).await;
    let client = browser(&stack);
    let mut statuses = Vec::new();
    for number in 0..40 {
        let body = json!({"email": person.email, "password": format!("a guess of number {number}")});
        statuses.push(post_from(&client, &format!("198.18.0.{number}"), routes::SIGN_IN, &body).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30);
    let noted = with_reason(&stack, "password: too often").await;
    assert_eq!(noted.len(), 1, "thirty refusals, one line: {noted:?}");
    let user: UserId = window.me().await.user;
    assert_eq!(noted[0]["user"], user.to_string().as_str());
    assert_eq!(
        (&noted[0]["event"], &noted[0]["outcome"]),
        (&"sign_in".into(), &"refused".into())
    );
    assert_eq!(noted[0]["network"], "198.18.0.0/24");
}

#[tokio::test]
async fn too_many_tries_from_one_address_are_noted_once_and_as_nobodys() {
    let stack = strict().await;
    let (person, _) = Person::join(&stack).await;
    let client = browser(&stack);
    for number in 0..40 {
        let body =
            json!({"email": format!("x{number}@example.org"), "password": "a guess that is long enough"});
        post_from(&client, "198.18.0.1", routes::SIGN_IN, &body).await;
    }
    // the account of the last try has nothing to do with it
    let body = json!({"email": person.email, "password": "a guess that is long enough"});
    assert_eq!(
        post_from(&client, "198.18.0.1", routes::SIGN_IN, &body).await,
        429
    );
    let noted = with_reason(&stack, "password: too often").await;
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(noted[0]["user"], Value::Null);
}

#[tokio::test]
async fn without_redis_too_many_tries_are_noted_once_too() {
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with_gates()
        .start()
        .await;
    let client = browser(&stack);
    stack.redis_gate().shut();
    for number in 0..30 {
        let body =
            json!({"email": format!("x{number}@example.org"), "password": "a guess that is long enough"});
        client.post(routes::SIGN_IN, &body).await;
    }
    stack.redis_gate().open();
    let noted = "select count(*) from audit_events where reason = 'password: too often'";
    assert_eq!(stack.number(noted).await, 1);
}

#[tokio::test]
async fn returns_that_nobody_left_for_fill_no_log() {
    let provider = harness::OpenIdProvider::start().await;
    let stack = Stack::builder()
        .with("RATE_LIMIT_FACTOR", "1")
        .with("PROVIDERS", provider.settings())
        .start()
        .await;
    let client = browser(&stack);
    for number in 0..100 {
        let path = page::PROVIDER_CALLBACK.replace("{provider}", "google");
        let back = client.get(&format!("{path}?code=x&state={number}")).await;
        assert!(back.location().contains("problem="), "{back:?}");
    }
    let noted = stack.number("select count(*) from audit_events").await;
    assert_eq!(noted, 61, "sixty made up, and that they were too many");
}

#[tokio::test]
async fn a_wrong_code_of_a_letter_is_noted_as_its_readers() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let user = window.me().await.user.to_string();
    let asked = Asked::by(&stack, &person, 2).await;
    for typed in ["00000000", "not a code"] {
        asked.type_code(&asked.window, typed).await;
    }
    let noted = with_reason(&stack, "letter: wrong code").await;
    assert_eq!(noted.len(), 2, "{noted:?}");
    assert!(
        noted.iter().all(|event| event["user"] == user.as_str()),
        "{noted:?}"
    );

    let newcomer = Person::fresh();
    let client = browser(&stack);
    newcomer.sign_up(&client).await.succeeds();
    newcomer
        .confirm(&client, "00000000", None, Kind::Browser)
        .await
        .refused(Code::InvalidOrExpiredLink);
    let noted = with_reason(&stack, "code: wrong code").await;
    assert_eq!(noted[0]["email"], newcomer.email.as_str(), "{noted:?}");
}

/// Whose refusals of this kind there are, as often as there are.
async fn refused_as(stack: &Stack, name: &str, reason: &str) -> Vec<Value> {
    let mut events = with_reason(stack, reason).await;
    events.retain(|event| event["event"] == name && event["outcome"] == "refused");
    events.iter().map(|event| event["user"].clone()).collect()
}

/// In a window, which it signs in, and in another that had the page before.
async fn press_twice(stack: &Stack, window: &Client, link: &str, (action, fields): (&str, &[(&str, &str)])) {
    let late = browser(stack);
    let (shown, shown_late) = (window.get(link).await, late.get(link).await);
    let entered = window.submit(&shown, action, fields).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    let refused = late.submit(&shown_late, action, fields).await;
    assert_eq!(refused.status, 410, "{refused:?}");
}

#[tokio::test]
async fn a_link_that_opens_nothing_any_more_is_noted_as_its_readers_and_one_made_up_as_nobodys() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let user: Value = window.me().await.user.to_string().into();

    let asked = Asked::by(&stack, &person, 2).await;
    let here = [("answer", "here")];
    press_twice(&stack, &asked.window, &asked.link, (page::LETTER, &here)).await;
    assert_eq!(
        refused_as(&stack, "sign_in", "letter, link: not valid").await,
        std::slice::from_ref(&user)
    );

    forget(&browser(&stack), person.email.as_str()).await.succeeds();
    let letter = stack
        .letter_about(person.email.as_str(), "Choose a new password")
        .await;
    let link = path_of(&letter.link.expect("a link"));
    let (id, _) = parts(&link);
    let made_up = format!("{}?id={id}&t=made-up", page::RESET);
    for (link, status) in [(&made_up, 410), (&link, 200), (&link, 410)] {
        let chosen = choose_blindly(&stack, link, "walnut-ferry-copper-drizzle").await;
        assert_eq!(chosen.status, status, "{chosen:?}");
    }
    assert_eq!(
        refused_as(&stack, "reset", "link: not valid").await,
        [Value::Null, user]
    );

    let (newcomer, client) = (Person::fresh(), browser(&stack));
    newcomer.sign_up(&client).await.succeeds();
    let letter = stack.letter_to(newcomer.email.as_str(), 1).await;
    let link = path_of(&letter.link.expect("a link"));
    press_twice(&stack, &client, &link, (page::VERIFY, &[])).await;
    let user: Value = client.me().await.user.to_string().into();
    assert_eq!(refused_as(&stack, "verify", "link: not valid").await, [user]);
}

#[tokio::test]
async fn a_link_about_another_address_that_opens_nothing_any_more_is_noted_as_its_readers() {
    let stack = Stack::start().await;
    let asked = email_change::Asked::begin(&stack).await;
    let user: Value = asked.client.me().await.user.to_string().into();
    let reader = browser(&stack);
    let shown = reader.get(&asked.old_link).await;
    for (answer, status) in [("no", 200), ("no", 410), ("yes", 410)] {
        let pressed = reader
            .submit(&shown, page::EMAIL_LINK, &[("answer", answer)])
            .await;
        assert_eq!(pressed.status, status, "{answer}: {pressed:?}");
    }
    for name in ["email_stopped", "email_agreed"] {
        assert_eq!(
            refused_as(&stack, name, "link: not valid").await,
            std::slice::from_ref(&user),
            "{name}"
        );
    }
    // the same link is none that takes a change back
    let token = shown.form(page::EMAIL_LINK).hidden;
    let taking_back = reader.request(Method::POST, page::EMAIL_UNDO).form(&token);
    assert_eq!(reader.send(taking_back).await.status, 410);
    assert_eq!(
        refused_as(&stack, "email_undone", "link: not valid").await,
        [user]
    );
    let text = asked.client.get(page::SECURITY).await.text();
    for words in [
        "Refused: calling off the change of the e-mail address (link: not valid)",
        "Refused: agreeing to another e-mail address (link: not valid)",
        "Refused: taking the e-mail address back (link: not valid)",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_mistyped_code_of_a_program_is_noted_as_whose_browser_it_was_typed_in() {
    let stack = Stack::start().await;
    let (_, window) = Person::join(&stack).await;
    let user: Value = window.me().await.user.to_string().into();
    let tower = Headless::on(&stack, "Tower").await;
    for typed in ["BBBB-BBBB", "no code"] {
        let wrong = device_code::type_code(&window, typed).await;
        assert_eq!(wrong.status, 410, "{wrong:?}");
    }
    // nobody has looked at it
    let form = window.visit(page::DEVICE_CODE).await;
    let blind = [("code", tower.codes.user_code.as_str()), ("answer", "yes")];
    let blind = window.submit(&form, page::DEVICE_CODE, &blind).await;
    assert_eq!(blind.status, 410, "{blind:?}");
    assert_eq!(
        refused_as(&stack, "authorize", "device code: wrong code").await,
        [user.clone(), user.clone(), user]
    );
    let text = window.get(page::SECURITY).await.text();
    let words = "Refused: letting an app in (device code: wrong code)";
    assert!(text.contains(words), "{text}");
}

#[tokio::test]
async fn codes_and_tokens_that_were_made_up_are_noted_as_nobodys_and_no_more_than_they_may_be_tried() {
    let stack = strict().await;
    let (_, window) = Person::join(&stack).await;
    let user: Value = window.me().await.user.to_string().into();
    let app = App::new(&stack);
    let code = param(&consent(&window, &app.push().await).await, "code");
    app.redeem(&code, &app.verifier).await.succeeds();
    for _ in 0..2 {
        assert_eq!(app.redeem(&code, &app.verifier).await.status, 400);
    }
    // the first time it signed out what it was redeemed for
    assert_eq!(
        refused_as(&stack, "sign_in", "native: unknown code").await,
        [user]
    );
    let tower = Headless::on(&stack, "Tower").await;
    let stranger = Client::native(&stack.url());
    assert_eq!(app.redeem("made-up", &app.verifier).await.status, 400);
    let last = refused_as(&stack, "sign_in", "native: unknown code").await;
    assert_eq!(last.last(), Some(&Value::Null), "{last:?}");
    let grant = json!({"grant_type": "refresh_token", "refresh_token": "cmr_made-up",
        "client_id": protocol::oauth::CLIENT_ID});
    let mut refused = 0;
    for _ in 0..150 {
        let request = stranger
            .request(Method::POST, routes::TOKEN)
            .header("X-Forwarded-For", "198.18.7.1")
            .form(&grant);
        if stranger.send(request).await.status == 400 {
            refused += 1;
        }
    }
    assert!((120..150).contains(&refused), "{refused} of 150");
    let noted = refused_as(&stack, "refresh", "native: unknown token").await;
    assert_eq!(noted.len(), refused, "none of those that were too many");
    assert!(noted.iter().all(Value::is_null), "{noted:?}");
    // what was made up harms nobody who waits
    assert_eq!(tower.is_told().await, "authorization_pending");
}

#[tokio::test]
async fn whatever_strangers_try_a_person_still_sees_what_they_did() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    person.native(&stack, "Laptop").await;
    let user = window.me().await.user;
    make_room(&stack).await;
    // of four days, more than a page holds on each
    stack
        .execute(&format!(
            "insert into audit_events (at, user_id, event, outcome, reason, ip_prefix)
             select now() - n * interval '1 minute', '{user}', 'sign_in', 'refused', 'password: invalid_credentials',
                    '198.18.' || n % 200 || '.0/24'
             from generate_series(1, 5000) n;
             insert into audit_events (at, user_id, event, outcome, reason)
             select now() - n * interval '30 minutes', '{user}', 'letter', 'done', 'itself' from generate_series(1, 200) n"
        ))
        .await;
    let text = window.get(page::SECURITY).await.text();
    let lines: Vec<&str> = text.split("<li data-done").skip(1).collect();
    assert!(lines.len() < 40, "{} lines", lines.len());
    let holds = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(holds(">Signing in (password)<"), 1, "the laptop's own: {text}");
    assert_eq!(holds("Signing in (code)"), 1, "and the first");
    assert!(
        holds("times on that day") >= 4,
        "what was tried is told by its number: {text}"
    );
}

/// As if the server had been here for long.
async fn make_room(stack: &Stack) {
    stack
        .number("select audit_events_make_room(now() - interval '500 days', now())::bigint")
        .await;
}

/// The tables of months before this one, or after.
async fn months(stack: &Stack, which: &str) -> i64 {
    stack
        .number(&format!(
            "select count(*) from pg_inherits
              where inhparent in ('audit_events_done'::regclass, 'audit_events_refused'::regclass)
                and right(inhrelid::regclass::text, 7) {which} to_char(now() at time zone 'UTC', 'YYYY_MM')"
        ))
        .await
}

#[tokio::test]
async fn months_are_made_ahead_and_go_as_a_whole() {
    let stack = Stack::start().await;
    until("three months of each outcome", async || {
        (months(&stack, ">").await == 6).then_some(())
    })
    .await;
    // it would take away what is made here
    stack.server.kill();
    make_room(&stack).await;
    assert!(months(&stack, "<").await >= 32, "sixteen months of each outcome");
    stack
        .execute(
            "do $$ declare name text; begin
                 for name in select inhrelid::regclass::text from pg_inherits where inhparent = 'audit_events_done'::regclass
                              and right(inhrelid::regclass::text, 7) >= to_char(now() at time zone 'UTC', 'YYYY_MM') loop
                     execute 'drop table ' || name;
                 end loop;
             end $$",
        )
        .await;
    stack.server.start_again().await;
    // without the month's table nobody could sign in
    Person::join(&stack).await;
    assert_eq!(months(&stack, ">").await, 6);
    until("old months to go", async || {
        // twelve and what is left of a thirteenth, three and what is left of a fourth
        let left = months(&stack, "<").await;
        (left <= 12 + 1 + 3 + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_noted_is_neither_changed_nor_removed_whoever_tries() {
    let stack = Stack::start().await;
    let (_, window) = Person::join(&stack).await;
    let user = window.me().await.user;
    let month = stack
        .number("select to_char(now() at time zone 'UTC', 'YYYYMM')::bigint")
        .await
        .to_string();
    let (year, month) = month.split_at(4);
    let own = format!("audit_events_done_{year}_{month}");
    for tried in [
        "delete from audit_events".to_owned(),
        format!("delete from {own}"),
        "truncate audit_events".to_owned(),
        "update audit_events set reason = 'nothing'".to_owned(),
        "update audit_events set at = now() - interval '1 second'".to_owned(),
        "update audit_events set outcome = 'refused'".to_owned(),
        // who is gone loses all that leads to them, and not their name alone
        "update audit_events set user_id = gen_random_uuid()".to_owned(),
        "update audit_events set user_id = null, device_id = null, ip_prefix = null, request_id = null"
            .to_owned(),
    ] {
        stack
            .execute(&format!(
                "do $$ begin {tried}; raise 'it went through: {}'; exception when restrict_violation then null; end $$",
                tried.replace('\'', "")
            ))
            .await;
    }
    let left = format!("select count(*) from audit_events where user_id = '{user}'");
    assert!(stack.number(&left).await > 0);
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_is_not_is_kept() {
    let stack = Stack::start().await;
    let (person, window) = Person::join(&stack).await;
    let user = window.me().await.user;
    let device = window.me().await.device;
    make_room(&stack).await;
    stack
        .execute(&format!(
            "insert into audit_events (at, event, outcome, reason)
             select now() - days * interval '1 day', 'sign_in', outcome, 'test'
             from (values (397, 'done'), (364, 'done'), (122, 'refused'), (89, 'refused')) old (days, outcome);
             insert into audit_events (at, event, outcome, reason)
             select now() - interval '122 days', 'sign_in', 'refused', 'flood' from generate_series(1, 12000);
             insert into users (email, email_key, updated_at, email_verified)
             select name || '@example.org', name || '@example.org', now() - days * interval '1 day', proven
             from (values ('old', 31, null), ('young', 29, null), ('proven', 400, now())) u (name, days, proven);
             insert into users (email, email_key, updated_at) values ('w@example.org', 'w@example.org', now() - interval '31 days');
             insert into verification_tokens (id, purpose, identifier, user_id, token, code_hash, binding_hash, expires)
             select gen_random_uuid(), 'verify', who || '@example.org', u.id, who::bytea, '', '', now() - days * interval '1 day'
             from (values ('w', -1), ('t-old', 8), ('t-young', 6)) t (who, days)
             left join users u on u.email_key = who || '@example.org';
             insert into oauth_codes (code_hash, user_id, code_challenge, redirect_uri, client, expires)
             select days::text::bytea, '{user}', '', '', '{{}}', now() - days * interval '1 day' from (values (3), (1)) c (days);
             insert into challenges (secret_hash, user_id, method, client, expires)
             select hours::text::bytea, '{user}', '', '{{}}', now() - hours * interval '1 hour' from (values (25), (23)) c (hours);
             insert into second_factors (user_id, secret, created_at)
             select id, '', now() - interval '25 hours' from users where email_key = 'proven@example.org';
             insert into email_outbox (id, recipient, template, context, sent_at)
             select gen_random_uuid(), 'purged@example.org', 'reset', '{{}}', now() - days * interval '1 day'
             from (values (31), (29)) l (days);
             insert into sessions (id, user_id, kind, session_token, name, expires, absolute_expires)
             select gen_random_uuid(), '{user}', 0, 'old' || days, 'Browser', now() - days * interval '1 day', now()
             from (values (91), (89)) d (days)"
        ))
        .await;
    stack.server.stop().await;
    stack.server.start_again().await;
    for (what, left) in [
        ("audit_events where reason in ('test', 'flood')", 2),
        (
            "users where email_key in ('old@example.org', 'young@example.org', 'proven@example.org', 'w@example.org')",
            3,
        ),
        (
            "verification_tokens where identifier in ('t-old@example.org', 't-young@example.org')",
            1,
        ),
        ("oauth_codes", 1),
        ("challenges", 1),
        ("second_factors", 0),
        ("email_outbox where recipient = 'purged@example.org'", 1),
        ("sessions where session_token like 'old%'", 1),
    ] {
        until(&format!("{left} to be left of {what}"), async || {
            (stack.number(&format!("select count(*) from {what}")).await == left).then_some(())
        })
        .await;
    }
    assert_eq!(window.me().await.device, device);
    person.browser(&stack).await;
}
