//! What is somebody else's is not there: by every route that names a thing, and whatever a body says of whose it is.

use crate::documented::{Endpoint, endpoints, filled};
use crate::native_sign_in::App;
use harness::{Client, Person, Stack, mutation, native, until};
use http::Method;
use protocol::auth::SignedIn;
use protocol::mutation::{Batch, Op, RunMode};
use protocol::oauth::CLIENT_ID;
use protocol::routes::page;
use protocol::{Code, MessageId, RunId, SessionId, UserId, routes};
use serde_json::{Value, json};
use uuid::Uuid;

/// Isolation, by addresses.
#[tokio::test]
async fn every_route_says_of_somebody_elses_things_what_it_says_of_nothing() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join(&stack).await;
    let session = owner.create_session("Sealed orders").await;
    let run = owner.say(session, "/slow 10s hello").await.run();
    let device = owner.me().await.device;
    let things = [
        ("/sessions/", session.0),
        ("/ws/", session.0),
        ("/runs/", run.0),
        ("/devices/", device.0),
    ];
    let (_, browser) = Person::join(&stack).await;
    let (_, laptop) = Person::join_natively(&stack).await;
    let mut all = endpoints(&browser).await;
    // a provider is nobody's
    all.retain(|endpoint| endpoint.path.contains('{') && endpoint.path != routes::PROVIDER_EVENTS);
    assert!(all.len() >= 6, "{all:?}");
    for Endpoint { method, path, .. } in all {
        let thing = things.iter().find(|(part, _)| path.contains(part));
        let (_, theirs) = thing.unwrap_or_else(|| panic!("whose things does {path} name?"));
        for stranger in [&browser, &laptop] {
            let ask = async |id: Uuid| {
                let request = stranger.request(method.clone(), &filled(&path, &id.to_string()));
                stranger.send(request).await.status
            };
            let (of_theirs, of_nothing) = (ask(*theirs).await, ask(Uuid::now_v7()).await);
            assert_eq!(of_theirs, of_nothing, "{method} {path}");
            assert!((400..500).contains(&of_theirs), "{method} {path}: {of_theirs}");
        }
    }
    owner.me().await;
    assert_eq!(owner.session(session).await.title, "Sealed orders");
}

/// Names somebody in every object of a body, by whatever names a server may listen to.
fn plant(body: &mut Value, user: UserId) {
    if let Some(items) = body.as_array_mut() {
        for item in items.iter_mut() {
            plant(item, user);
        }
    }
    if let Some(fields) = body.as_object_mut() {
        fields.values_mut().for_each(|field| plant(field, user));
        for name in ["user", "user_id", "userId", "owner", "owner_id", "sub"] {
            fields.insert(name.to_owned(), json!(user));
        }
    }
}

/// Whatever may be done to a session: one of one's own is made, and somebody else's is changed, written to and deleted.
fn writes(theirs: SessionId) -> Batch {
    let title = || "Planted".to_owned();
    let ops = [
        Op::SessionCreate {
            id: SessionId::fresh(),
            title: title(),
        },
        Op::SessionRename {
            session: theirs,
            title: title(),
            base: 0,
        },
        Op::SessionArchive {
            session: theirs,
            archived: true,
        },
        Op::MessageCreate {
            id: MessageId::fresh(),
            session: theirs,
            parent: None,
            content: title(),
            run: RunMode::Auto,
        },
        Op::SessionDelete { session: theirs },
    ];
    Batch {
        ops: ops.map(mutation).to_vec(),
    }
}

/// A body for every endpoint that takes one, good for the account of whoever sends it.
async fn bodies(
    stack: &Stack,
    (person, browser): (&Person, &Client),
    theirs: SessionId,
) -> Vec<(&'static str, Value)> {
    let page = browser.get(page::SECURITY).await;
    let csrf = json!({"csrf": page.form(page::FORM_PASSWORD).field("csrf").expect("a token")});
    let spare = person.native(stack, "Spare").await;
    let cursor = spare.bootstrap().await.as_of;
    let (email, password, client) = (&person.email, &person.password, native("Laptop"));
    let new = Person::fresh();
    let pushed = serde_json::to_value(App::new(stack).request()).expect("JSON");
    vec![
        (
            routes::SIGN_UP,
            json!({"email": new.email, "password": new.password}),
        ),
        (routes::RESEND, json!({"email": email})),
        (
            routes::VERIFY,
            json!({"email": email, "code": "00000000", "binding": "x", "client": client}),
        ),
        (
            routes::SIGN_IN,
            json!({"email": email, "password": password, "client": client}),
        ),
        (
            routes::SECOND_STEP,
            json!({"challenge": "made-up", "code": "000000"}),
        ),
        (routes::PROVIDER_EVENTS, json!({"payload": "made-up"})),
        (routes::PAR, pushed),
        (
            routes::DEVICE_AUTHORIZATION,
            json!({"client_id": CLIENT_ID, "name": "Tower", "os": "linux", "version": "1"}),
        ),
        (
            routes::TOKEN,
            json!({"grant_type": "refresh_token", "client_id": CLIENT_ID,
                   "refresh_token": spare.tokens().refresh_token}),
        ),
        (routes::MUTATIONS, json!(writes(theirs))),
        (routes::HISTORIES, json!({"sessions": [theirs]})),
        (routes::VERIFY_CACHE, json!({"cursor": cursor, "sessions": []})),
        (page::PASSKEY_OPTIONS, csrf.clone()),
        (page::PROVE_PASSKEY_OPTIONS, csrf.clone()),
        (page::PASSKEY_ADD_OPTIONS, csrf),
    ]
}

/// The rows in which somebody stands. Without their devices, whose times of last use are written now and then.
async fn rows_of(stack: &Stack, needles: &[String]) -> Vec<String> {
    let dump = stack.dump().await;
    let (mut table, mut rows) = ("", Vec::new());
    for line in dump.lines() {
        if let Some(copied) = line.strip_prefix("COPY ") {
            table = copied.split(' ').next().unwrap_or_default();
        }
        if table != "public.sessions" && needles.iter().any(|needle| line.contains(needle.as_str())) {
            rows.push(format!("{table}: {line}"));
        }
    }
    rows.sort();
    rows
}

/// By every endpoint of the document that takes a body.
#[tokio::test]
async fn a_body_that_says_whose_it_is_says_nothing() {
    let stack = Stack::builder().with_name().start().await;
    let (person, owner) = Person::join(&stack).await;
    let session = owner.create_session("Sealed orders").await;
    owner.note(session, "To be opened at sea").await;
    let (devices, user) = (owner.devices().await.len(), owner.me().await.user);
    until("all letters to be gone", async || {
        let waiting = "select count(*) from email_outbox where sent_at is null";
        (stack.number(waiting).await == 0).then_some(())
    })
    .await;
    let (stranger, browser) = Person::join(&stack).await;
    let laptop = stranger.native(&stack, "Laptop").await;
    let bodies = bodies(&stack, (&stranger, &browser), session).await;
    let needles = [user.to_string(), person.email.to_string()];
    let before = rows_of(&stack, &needles).await;
    assert!(before.len() >= 4, "{before:?}");
    let mut taken = Vec::new();
    for endpoint in endpoints(&laptop).await {
        let Endpoint {
            method, path, takes, ..
        } = endpoint;
        let Some(takes) = takes else { continue };
        let body = bodies.iter().find(|(known, _)| *known == path);
        let mut body = body.unwrap_or_else(|| panic!("what does {path} take?")).1.clone();
        plant(&mut body, user);
        let is_page = !path.starts_with("/api/") && !path.starts_with("/oauth/");
        let sender = if is_page { &browser } else { &laptop };
        let request = sender.request(method, &filled(&path, "google"));
        let answer = sender
            .send(if takes == "application/json" {
                request.json(&body)
            } else {
                request.form(&body)
            })
            .await;
        for theirs in ["Sealed orders", "To be opened at sea", person.email.as_str()] {
            assert!(!answer.text().contains(theirs), "{path}: {answer:?}");
        }
        if [routes::SIGN_IN, routes::TOKEN].contains(&path.as_str()) {
            assert_eq!(answer.expect::<SignedIn>().me.email, stranger.email, "{path}");
        }
        if answer.status < 300 {
            taken.push(path);
        }
    }
    assert!(taken.len() >= 8, "the bodies were in order: {taken:?}");
    assert_eq!(rows_of(&stack, &needles).await, before);
    assert_eq!(owner.devices().await.len(), devices);
    assert_eq!(owner.session(session).await.title, "Sealed orders");
    assert_eq!(owner.times_kept(session, "Planted").await, 0);
}

/// With a good token of the stranger's own, so that nothing else refuses them.
#[tokio::test]
async fn every_form_says_of_somebody_elses_things_what_it_says_of_nothing() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join(&stack).await;
    let session = owner.create_session("Sealed orders").await;
    let sent = owner.say(session, "/slow 10s hello").await;
    let device = owner.me().await.device;
    let (_, stranger) = Person::join(&stack).await;
    let fields = async |client: &Client, run: RunId, message: MessageId| {
        let page = client.get(page::SECURITY).await;
        let csrf = page.form(page::FORM_PASSWORD).field("csrf").map(str::to_owned);
        [
            ("csrf", csrf.expect("a token")),
            ("text", "Planted".to_owned()),
            ("title", "Planted".to_owned()),
            ("base", "0".to_owned()),
            ("archived", "true".to_owned()),
            ("message", message.to_string()),
            ("run", run.to_string()),
        ]
    };
    let of_theirs = fields(&stranger, sent.run(), sent.id).await;
    let of_nothing = fields(&stranger, RunId::fresh(), MessageId::fresh()).await;
    for (route, theirs) in [
        (page::FORM_SEND, session.0),
        (page::FORM_ANSWER, session.0),
        (page::FORM_RENAME, session.0),
        (page::FORM_ARCHIVE, session.0),
        (page::FORM_STOP, session.0),
        (page::FORM_DELETE, session.0),
        (page::FORM_SIGN_OUT_DEVICE, device.0),
    ] {
        let mut told = Vec::new();
        for (id, fields) in [(theirs, &of_theirs), (Uuid::now_v7(), &of_nothing)] {
            let request = stranger.request(Method::POST, &page::with_id(route, id));
            told.push(stranger.send(request.form(fields)).await.status);
        }
        assert_eq!(told, [404, 404], "{route}");
    }
    let looked = stranger.get(&page::session(session)).await;
    assert_eq!(looked.status, 404, "{looked:?}");
    assert_eq!(owner.session(session).await.title, "Sealed orders");
    let history = owner.history(session).await;
    assert!(
        history
            .messages
            .iter()
            .all(|message| message.content != "Planted"),
        "{history:?}"
    );
    // the fields were in order: its owner's own form is taken
    let own = fields(&owner, sent.run(), sent.id).await;
    let request = owner.request(Method::POST, &page::with_id(page::FORM_ARCHIVE, session));
    let archived = owner.send(request.form(&own)).await;
    assert_eq!(archived.status, 303, "{archived:?}");
}

#[tokio::test]
async fn a_form_that_says_whose_it_is_changes_its_senders_own_account() {
    let stack = Stack::start().await;
    let (owner, owners) = Person::join(&stack).await;
    let owners_laptop = owner.native(&stack, "Laptop").await;
    let (person, sender) = Person::join(&stack).await;
    let senders_laptop = person.native(&stack, "Laptop").await;
    let user = owners.me().await.user.to_string();
    let new = "walnut-ferry-copper-drizzle";
    for action in [page::FORM_SIGN_OUT_OTHERS, page::FORM_PASSWORD] {
        let form = sender.get(page::SECURITY).await;
        let fields = [
            ("password", new),
            ("user", user.as_str()),
            ("user_id", user.as_str()),
            ("sub", user.as_str()),
            ("email", owner.email.as_str()),
        ];
        let done = sender.submit(&form, action, &fields).await;
        assert!(done.status < 400, "{action}: {done:?}");
    }
    senders_laptop.get(routes::ME).await.refused(Code::SessionRevoked);
    let with_new = Person {
        password: new.to_owned(),
        ..person
    };
    with_new.browser(&stack).await;
    owners.me().await;
    owners_laptop.me().await;
    owner.browser(&stack).await;
}
