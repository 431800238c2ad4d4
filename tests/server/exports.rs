//! A copy of everything that somebody has here: whole, for its owner alone, and gone after a day.

use harness::mailbox::path_of;
use harness::{Answer, Archive, Client, Person, Stack, browser, until};
use http::StatusCode;
use protocol::routes::page;
use protocol::sync::Message;
use std::path::PathBuf;

async fn ask(client: &Client) -> Answer {
    let page = client.get(page::SECURITY).await;
    client.submit(&page, page::FORM_EXPORT, &[]).await
}

/// The link of the letter that says that it is ready.
async fn ready(stack: &Stack, person: &Person) -> String {
    let letter = stack.letter_about(person.email.as_str(), "data is ready").await;
    path_of(&letter.link.expect("a link"))
        .trim_end_matches('?')
        .to_owned()
}

/// A form as the page has it while a copy can be asked for, kept for later.
async fn page_with_the_button(client: &Client) -> Answer {
    let page = client.get(page::SECURITY).await;
    assert!(page.text().contains("data-testid=\"export\""), "{page:?}");
    page
}

fn unpack(answer: &Answer) -> Archive {
    answer.succeeds();
    assert_eq!(answer.header("content-type"), Some("application/zip"));
    let disposition = answer.header("content-disposition").unwrap_or_default();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    Archive::of(answer.body.clone())
}

fn archives(stack: &Stack) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(stack.workspaces().join("exports"));
    folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[tokio::test]
async fn a_copy_holds_everything_and_nothing_that_opens_a_door() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let (_, other) = Person::join(&stack).await;
    let foreign = other.create_session("Somebody else's").await;
    other.note(foreign, "Not for Ana").await;
    person.native(&stack, "Ana's tower").await;
    let session = client.create_session("Greenhouse \"plans\"").await;
    let mut texts = Vec::new();
    // more than a page of them
    for number in 0..620 {
        let text = format!("Line {number} of <b>many</b>\n# no heading");
        client.note(session, &text).await;
        texts.push(text);
    }
    let sent = client.say(session, "And an answer").await;
    let reply = client.committed(session, sent.reply()).await;
    let archived = client.create_session("").await;
    let user = client.me().await.user;
    let workspace = stack
        .workspaces()
        .join(user.to_string())
        .join(session.to_string());
    std::fs::create_dir_all(workspace.join("src")).expect("a folder");
    std::fs::write(workspace.join("src/main.rs"), "fn main() {}").expect("a file");
    std::os::unix::fs::symlink("/etc/passwd", workspace.join("src/outside")).expect("a link");

    stack
        .execute(&format!(
            "insert into passkeys (user_id, id, credential_id, name, credential)
             values ('{user}', gen_random_uuid(), 'key-id', 'Ana''s phone', '{{\"key\": \"kept\"}}')"
        ))
        .await;

    let asked = ask(&client).await;
    assert_eq!(asked.location(), page::SECURITY, "{asked:?}");
    let link = ready(&stack, &person).await;
    let shown = client.get(page::SECURITY).await;
    assert_eq!(
        shown.attribute_of("export-fetch", "href").as_deref(),
        Some(link.as_str())
    );
    let mut opened = unpack(&client.get(&link).await);

    let account = opened.json("account.json");
    assert_eq!(account["email"], person.email.as_str());
    assert_eq!(account["has_password"], true);
    let passkey = account["passkeys"][0].as_object().expect("a passkey");
    assert_eq!(passkey["name"], "Ana's phone");
    let fields: Vec<&str> = passkey.keys().map(String::as_str).collect();
    assert_eq!(fields, ["added_at", "last_used", "name"], "and no key");
    let devices = opened.text("devices.json");
    assert!(devices.contains("Ana's tower"), "{devices}");
    assert!(
        opened
            .json("devices.json")
            .as_array()
            .is_some_and(|list| list.len() == 2)
    );
    let events = opened.json("events.json");
    assert!(
        events
            .as_array()
            .is_some_and(|list| list.iter().any(|event| event["event"] == "export")),
        "{events}"
    );
    let folder = format!("{session}/");
    let whole = opened.json(&format!("{folder}messages.json"));
    assert_eq!(whole["session"]["title"], "Greenhouse \"plans\"");
    let messages: Vec<Message> = serde_json::from_value(whole["messages"].clone()).expect("messages");
    let said: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    let mut wanted: Vec<&str> = texts.iter().map(String::as_str).collect();
    wanted.extend(["And an answer", reply.content.as_str()]);
    assert_eq!(said, wanted, "each message, once, in its order");
    let markdown = opened.text(&format!("{folder}messages.md"));
    assert!(markdown.starts_with("# Greenhouse \"plans\""), "{markdown}");
    assert!(texts.iter().all(|text| markdown.contains(text.as_str())));
    assert_eq!(opened.text(&format!("{folder}files/src/main.rs")), "fn main() {}");
    assert!(
        opened
            .text(&format!("{archived}/messages.md"))
            .contains("Untitled")
    );

    let names = opened.names();
    assert!(
        !names.iter().any(|name| name.contains("outside")),
        "a link leads out: {names:?}"
    );
    let all: String = names.iter().map(|name| opened.text(name)).collect();
    for secret in ["Not for Ana", "argon2", "session_token", "password_hash", "root:"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn it_is_its_owners_alone_and_needs_a_fresh_proof_both_times() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let (_, other) = Person::join(&stack).await;
    let fresh = page_with_the_button(&client).await;
    let make_stale = "update sessions set proven_at = now() - interval '11 minutes'";
    stack.execute(make_stale).await;
    let stale = client.submit(&fresh, page::FORM_EXPORT, &[]).await;
    assert_eq!(stale.location(), page::PROVE, "{stale:?}");
    assert_eq!(stack.number("select count(*) from exports").await, 0);
    let prove = async || {
        let form = client.get(page::PROVE).await;
        let fields = [("password", person.password.as_str())];
        client
            .submit(&form, page::PROVE, &fields)
            .await
            .has_status(StatusCode::SEE_OTHER);
    };
    prove().await;
    ask(&client).await;
    let link = ready(&stack, &person).await;

    stack.execute(make_stale).await;
    assert_eq!(client.get(&link).await.location(), page::PROVE);
    prove().await;
    client.get(&link).await.succeeds();

    let stranger = browser(&stack).get(&link).await;
    let next = url::Url::parse(&format!("https://c.example{}", stranger.location())).expect("a way");
    assert_eq!(next.path(), page::SIGN_IN);
    assert!(
        next.query_pairs()
            .any(|(name, value)| name == "next" && value == link),
        "{next}"
    );
    let others = other.get(&link).await;
    assert_eq!(others.status, StatusCode::NOT_FOUND, "{others:?}");
    let made_up = page::with_id(page::EXPORT, uuid::Uuid::now_v7());
    assert_eq!(client.get(&made_up).await.status, StatusCode::NOT_FOUND);
    let mode = std::fs::metadata(&archives(&stack)[0])
        .expect("a file")
        .permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}

#[tokio::test]
async fn one_is_made_at_a_time() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let page = page_with_the_button(&client).await;
    let user = client.me().await.user;
    stack
        .execute(&format!(
            "insert into exports (id, user_id, attempts, lease_until)
             values (gen_random_uuid(), '{user}', 1, now() + interval '1 hour')"
        ))
        .await;
    let second = client.submit(&page, page::FORM_EXPORT, &[]).await;
    assert_eq!(second.status, StatusCode::CONFLICT, "{second:?}");
    assert!(second.text().contains("being made"), "{second:?}");
    assert_eq!(stack.number("select count(*) from exports").await, 1);
    // its worker gives no sign of life any more
    stack.execute("update exports set lease_until = now()").await;
    let link = ready(&stack, &person).await;
    unpack(&client.get(&link).await);
}

#[tokio::test]
async fn it_is_asked_for_a_few_times_a_day() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, client) = Person::join(&stack).await;
    let page = page_with_the_button(&client).await;
    for count in 1..=3 {
        let asked = client.submit(&page, page::FORM_EXPORT, &[]).await;
        assert_eq!(asked.location(), page::SECURITY, "{asked:?}");
        until("a copy to be ready", async || {
            let made = "select count(*) from exports where ready_at is null";
            (stack.number(made).await == 0).then_some(())
        })
        .await;
        // those before have given way
        let kept = "select count(*) from exports where expires > now()";
        assert_eq!(stack.number(kept).await, 1, "{count}");
    }
    for _ in 0..2 {
        let another = client.submit(&page, page::FORM_EXPORT, &[]).await;
        assert_eq!(another.status, StatusCode::TOO_MANY_REQUESTS, "{another:?}");
    }
    let noted = "select count(*) from audit_events
                  where event = 'export' and reason = 'export: too often' and user_id is not null";
    assert_eq!(stack.number(noted).await, 1, "two refusals, one line");
    assert_eq!(
        stack
            .number("select count(*) from exports where ready_at is null")
            .await,
        0
    );
}

#[tokio::test]
async fn after_a_day_it_is_gone() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    ask(&client).await;
    let link = ready(&stack, &person).await;
    let hours = "select round(extract(epoch from expires - now()) / 3600)::bigint from exports";
    assert_eq!(stack.number(hours).await, 24);
    client.get(&link).await.succeeds();
    stack
        .execute("update exports set expires = now() - interval '1 second'")
        .await;
    let late = client.get(&link).await;
    assert_eq!(late.status, StatusCode::NOT_FOUND, "{late:?}");
    assert_eq!(archives(&stack).len(), 1);
    page_with_the_button(&client).await;
    // files are looked after at each start, and every ten minutes
    stack.server.stop().await;
    stack.server.start_again().await;
    until("the archive to be removed", async || {
        archives(&stack).is_empty().then_some(())
    })
    .await;
    assert_eq!(stack.number("select count(*) from exports").await, 0);
}

#[tokio::test]
async fn a_copy_whose_node_died_is_made_anew() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let session = client.create_session("Long").await;
    for _ in 0..50 {
        client.note(session, &"word ".repeat(20_000)).await;
    }
    ask(&client).await;
    stack.server.kill();
    // it was not done, or its letter tells
    if stack
        .number("select count(*) from exports where ready_at is not null")
        .await
        == 0
    {
        stack
            .execute("update exports set attempts = 1, lease_until = now()")
            .await;
    }
    stack.server.start_again().await;
    let link = ready(&stack, &person).await;
    let mut opened = unpack(&client.get(&link).await);
    assert_eq!(
        opened.json("messages.json")["messages"].as_array().map(Vec::len),
        Some(50)
    );
    until("what the first try left to be swept up", async || {
        (archives(&stack).len() <= 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_made_is_given_up_and_told() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    // no folder can be made where a file lies
    std::fs::write(stack.workspaces().join("exports"), "in the way").expect("a file");
    ask(&client).await;
    until("a try", async || {
        let tried =
            "select count(*) from exports where attempts = 1 and lease_until < now() + interval '30 seconds'";
        (stack.number(tried).await == 1).then_some(())
    })
    .await;
    let page = client.get(page::SECURITY).await;
    assert!(page.text().contains("being made"), "it is tried again: {page:?}");
    // as after the last try
    stack
        .execute("update exports set attempts = 5, lease_until = now()")
        .await;
    let letter = stack.letter_about(person.email.as_str(), "could not be").await;
    assert!(
        letter.text.contains("Nothing of yours is lost"),
        "{}",
        letter.text
    );
    std::fs::remove_file(stack.workspaces().join("exports")).expect("out of the way");
    ask(&client).await;
    ready(&stack, &person).await;
}
