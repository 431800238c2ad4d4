//! What is somebody else's is not there: by every route that names a thing, and whatever a body says of whose it is.

use harness::{Client, Person, Stack, mutation};
use http::Method;
use protocol::mutation::{Batch, Op};
use protocol::{SessionId, routes};
use serde_json::Value;
use uuid::Uuid;

/// The routes that name a thing by its id, as the document has them, with their methods.
async fn routes_with_ids(client: &Client) -> Vec<(Method, String)> {
    let document: Value = client.get(routes::OPENAPI).await.expect();
    let paths = document.get("paths").and_then(Value::as_object).cloned();
    let mut all = Vec::new();
    for (path, methods) in paths.expect("paths") {
        let methods = methods.as_object().cloned().unwrap_or_default();
        for method in methods.keys().filter(|_| path.contains('{')) {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            all.push((method, path.clone()));
        }
    }
    all
}

fn filled(path: &str, id: Uuid) -> String {
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            id.to_string()
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Isolation.
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
    let all = routes_with_ids(&browser).await;
    assert!(all.len() >= 6, "{all:?}");
    for (method, path) in all {
        let thing = things.iter().find(|(part, _)| path.contains(part));
        let (_, theirs) = thing.unwrap_or_else(|| panic!("whose things does {path} name?"));
        for stranger in [&browser, &laptop] {
            let ask = async |id: Uuid| {
                let request = stranger.request(method.clone(), &filled(&path, id));
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
