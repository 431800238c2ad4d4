//! What is somebody else's is not there: by every route that names a thing, and whatever a body says of whose it is.

use crate::documented::{Endpoint, endpoints, filled};
use harness::{Person, Stack, mutation};
use http::Method;
use protocol::mutation::{Batch, Op};
use protocol::routes::page;
use protocol::{Code, MessageId, RunId, SessionId, routes};
use serde_json::Value;
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

#[tokio::test]
async fn a_body_that_says_whose_it_is_says_nothing() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join(&stack).await;
    let (_, stranger) = Person::join(&stack).await;
    let user = owner.me().await.user;
    let id = SessionId::fresh();
    let title = "Planted".to_owned();
    let batch = Batch {
        ops: vec![mutation(Op::SessionCreate { id, title })],
    };
    let mut body = serde_json::to_value(&batch).expect("JSON");
    for place in ["", "/ops/0", "/ops/0/op"] {
        if let Some(Value::Object(fields)) = body.pointer_mut(place) {
            fields.insert("user_id".to_owned(), Value::String(user.to_string()));
            fields.insert("user".to_owned(), Value::String(user.to_string()));
        }
    }
    stranger.post(routes::MUTATIONS, &body).await;
    assert!(owner.sessions().await.is_empty());
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
    let fields = async |client: &harness::Client, run: RunId, message: MessageId| {
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
