//! Messages: kept once, in order, within their bounds.

use futures_util::future::join_all;
use harness::{Client, Person, Stack, mutation, until};
use protocol::mutation::{Op, OpResult, RunMode};
use protocol::run::Status;
use protocol::sync::{History, Role};
use protocol::{Code, MessageId, SessionId, limits, routes};
use serde_json::json;
use std::time::Duration;

fn message(session: SessionId, content: &str) -> Op {
    Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content: content.to_owned(),
        run: RunMode::Manual,
    }
}

#[track_caller]
fn refused(result: &OpResult) -> Code {
    match result {
        OpResult::Refused { problem, .. } => problem.code,
        OpResult::Applied { .. } | OpResult::Skipped => panic!("not refused: {result:?}"),
    }
}

#[tokio::test]
async fn messages_are_kept_in_order_with_their_text_untouched() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Text").await;
    let texts = [
        "Plain",
        "  leading and trailing  \n",
        "<script>alert(1)</script> & \"quotes\" 'n' `code`",
        "مرحبا 漢字 👩‍👩‍👧 e\u{301}",
        "{\"op\":\"session.delete\"}",
        "'; drop table conversations; --",
    ];
    for text in texts {
        client.note(id, text).await;
    }
    let history = client.history(id).await;
    let kept: Vec<&str> = history
        .messages
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    assert_eq!(kept, texts);
    let ords: Vec<i64> = history.messages.iter().map(|message| message.ord).collect();
    assert_eq!(ords, [1, 2, 3, 4, 5, 6]);
    assert!(history.messages.iter().all(|message| message.role == Role::User));
}

#[tokio::test]
async fn a_message_of_300_kb_is_refused_with_the_limit() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Large").await;
    let just_fits = client
        .write(message(id, &"x".repeat(limits::MESSAGE_BYTES)))
        .await;
    assert!(matches!(just_fits, OpResult::Applied { .. }), "{just_fits:?}");
    let too_large = client.write(message(id, &"x".repeat(300_000))).await;
    match too_large {
        OpResult::Refused { problem, .. } => {
            assert_eq!((problem.code, problem.status), (Code::TooLarge, 413));
            assert_eq!(problem.limit, Some(limits::MESSAGE_BYTES as u64));
        }
        other => panic!("not refused: {other:?}"),
    }
    // and without a page's script
    let page = client.visit(&routes::page::session(id)).await;
    let form = client
        .submit(
            &page,
            &routes::page::with_id(routes::page::FORM_SEND, id),
            &[("text", &"x".repeat(300_000))],
        )
        .await;
    assert_eq!(form.status, 413, "{form:?}");
    assert_eq!(client.history(id).await.messages.len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_too_large_or_too_long_is_refused_whole() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Batches").await;
    let many: Vec<_> = (0..=limits::BATCH_OPS)
        .map(|number| mutation(message(id, &number.to_string())))
        .collect();
    let answer = client.post(routes::MUTATIONS, &json!({"ops": many})).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let huge: Vec<_> = (0..10)
        .map(|_| mutation(message(id, &"y".repeat(250_000))))
        .collect();
    let answer = client.post(routes::MUTATIONS, &json!({"ops": huge})).await;
    let problem = answer.refused(Code::TooLarge);
    assert_eq!(problem.limit, Some(limits::BATCH_BYTES as u64));
    assert!(client.history(id).await.messages.is_empty());
}

#[tokio::test]
async fn nothing_is_no_message() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Empty").await;
    for text in ["", "   ", "\n\t\n", "a\0b"] {
        assert_eq!(
            refused(&client.write(message(id, text)).await),
            Code::Invalid,
            "{text:?}"
        );
    }
    assert_eq!(
        refused(&client.write(message(SessionId::fresh(), "hi")).await),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_message_sent_again_by_its_id_is_there_once() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Repeats").await;
    let op = message(id, "Once");
    // the same message under another mutation id: its own id says that it is the same
    let first = client.write(op.clone()).await;
    let second = client.write(op).await;
    assert!(matches!(first, OpResult::Applied { .. }), "{first:?}");
    assert!(!matches!(second, OpResult::Skipped), "{second:?}");
    assert_eq!(client.history(id).await.messages.len(), 1);
}

#[tokio::test]
async fn a_message_from_the_future_or_with_a_foreign_shape_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    for ops in [
        json!([{"m": "x", "v": 1, "op": "session.create", "body": {}}]),
        json!([{"m": MessageId::fresh(), "v": 1, "op": "session.explode", "body": {}}]),
        json!([{"m": MessageId::fresh(), "v": 1, "op": "session.create", "body": {"id": 3, "title": "x"}}]),
        json!({}),
        json!("x"),
    ] {
        let answer = client.post(routes::MUTATIONS, &json!({ "ops": ops })).await;
        assert!(answer.status == 400 || answer.status == 422, "{answer:?}");
        answer.problem();
    }
    let mut future = mutation(Op::SessionCreate {
        id: SessionId::fresh(),
        title: "Later".to_owned(),
    });
    future.v = 999;
    let answer = client.post(routes::MUTATIONS, &json!({"ops": [future]})).await;
    assert!(
        answer.status != 500 && !answer.text().contains("\"applied\""),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_message_kept_without_an_answer_gets_one_when_somebody_asks_and_never_two() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let (_, stranger) = Person::join(&stack).await;
    let session = client.create_session("Late").await;
    let sent = client.note(session, "Still wondering").await;
    let ask = Op::MessageAnswer {
        session,
        message: sent.id,
    };
    assert_eq!(refused(&stranger.write(ask.clone()).await), Code::NotFound);
    let asked = join_all((0..20).map(|_| client.write(ask.clone()))).await;
    let mut runs: Vec<_> = asked
        .iter()
        .map(|result| match result {
            OpResult::Applied {
                run: Some(run),
                reply: Some(_),
                ..
            } => *run,
            other => panic!("an answer: {other:?}"),
        })
        .collect();
    runs.dedup();
    assert_eq!(runs.len(), 1, "twenty times asked, answered once");
    let history = until("the answer", async || {
        let history = client.history(session).await;
        let last = history.messages.last()?;
        (last.role == Role::Assistant && last.status.is_terminal()).then_some(history)
    })
    .await;
    assert_eq!(history.messages.len(), 2);
    let answer = history.messages.last().expect("an answer");
    assert!(answer.content.contains("Still wondering"), "{answer:?}");
    // an answer has no answer, and a session that is gone keeps nothing
    let of_answer = Op::MessageAnswer {
        session,
        message: answer.id,
    };
    assert_eq!(refused(&client.write(of_answer).await), Code::Invalid);
    client.write(Op::SessionDelete { session }).await;
    assert!(matches!(
        refused(&client.write(ask).await),
        Code::SessionDeleted | Code::NotFound
    ));
}

#[tokio::test]
async fn older_messages_come_page_by_page() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Long").await;
    for number in 1..=45 {
        client.note(id, &format!("Number {number}")).await;
    }
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("{}?limit=20{before}", routes::messages(id));
        let page: History = client.get(&path).await.expect();
        let ords: Vec<i64> = page.messages.iter().map(|message| message.ord).collect();
        assert_eq!(
            ords,
            (page.lo..=page.hi).collect::<Vec<_>>(),
            "a page fills its range"
        );
        seen.splice(0..0, ords);
        if page.lo <= 1 {
            break;
        }
        before = format!("&before_ord={}", page.lo);
    }
    assert_eq!(seen, (1..=45).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_people_never_see_each_others_messages() {
    let stack = Stack::start().await;
    let (_, ana) = Person::join(&stack).await;
    let (_, ben) = Person::join(&stack).await;
    let of = async |client: &Client, text: &str| {
        let id = client.create_session(text).await;
        client.note(id, text).await;
    };
    tokio::join!(of(&ana, "of-ana"), of(&ben, "of-ben"));
    for (client, own, other) in [(&ana, "of-ana", "of-ben"), (&ben, "of-ben", "of-ana")] {
        let bootstrap = client.get(routes::BOOTSTRAP).await.text();
        let sync = client.get(routes::SYNC).await.text();
        let page = client.visit(routes::page::HOME).await.text();
        assert!(bootstrap.contains(own) && page.contains(own));
        assert!(![bootstrap, sync, page].iter().any(|text| text.contains(other)));
    }
}

/// Between the commit of a prompt and the start of its reply lies a moment in which its sender may be gone.
#[tokio::test]
async fn whoever_leaves_while_a_prompt_is_stored_finds_its_whole_reply() {
    const PROMPTS: u64 = 6;
    let stack = Stack::builder().with_gates().start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut sessions = Vec::new();
    for number in 0..PROMPTS {
        sessions.push(client.create_session(&format!("Left {number}")).await);
    }
    // each statement takes a while, so that some leave before it and some in the middle of it
    stack.postgres_gate().slow(Duration::from_millis(100));
    let leaving = sessions.iter().zip(1..).map(|(session, number)| {
        let prompt = Op::MessageCreate {
            id: MessageId::fresh(),
            session: *session,
            parent: None,
            content: "quick".to_owned(),
            run: RunMode::Auto,
        };
        tokio::time::timeout(Duration::from_millis(100 * number), client.write(prompt))
    });
    join_all(leaving).await;
    stack.postgres_gate().open();
    let mut answered = 0;
    for session in sessions {
        let history = until("what was stored to be answered", async || {
            let history = client.history(session).await;
            let is_over = history
                .messages
                .iter()
                .all(|message| message.status.is_terminal());
            is_over.then_some(history)
        })
        .await;
        if let [_, reply] = history.messages.as_slice() {
            assert_eq!(reply.status, Status::Complete, "{reply:?}");
            answered += 1;
        }
    }
    assert!(answered > 0, "somebody left after their prompt was on its way");
}
