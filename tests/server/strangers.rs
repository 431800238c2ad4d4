//! What is somebody else's is not there: by every route that names a thing, and whatever a body says of whose it is.

use crate::documented::{Endpoint, endpoints, filled};
use harness::{Person, Stack, mutation};
use protocol::mutation::{Batch, Op};
use protocol::{SessionId, routes};
use serde_json::Value;
use uuid::Uuid;

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
    let mut all = endpoints(&browser).await;
    all.retain(|endpoint| endpoint.path.contains('{'));
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
