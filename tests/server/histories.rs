//! The newest messages of many sessions in one answer: whole, bounded, and nobody else's.

use harness::{Client, DeviceClient, Person, Stack, mutation, until};
use http::Method;
use protocol::mutation::{Op, RunMode};
use protocol::sync::{Histories, HistoriesAsk, History};
use protocol::{Code, MessageId, SessionId, limits, routes};
use std::time::Duration;

async fn ask(client: &Client, sessions: &[SessionId]) -> Histories {
    let ask = HistoriesAsk {
        sessions: sessions.to_vec(),
    };
    client.post(routes::HISTORIES, &ask).await.expect()
}

/// A session with so many messages of this text.
async fn with_messages(client: &Client, messages: usize, text: &str) -> SessionId {
    let session = client.create_session("One of many").await;
    let say = |_| {
        mutation(Op::MessageCreate {
            id: MessageId::fresh(),
            session,
            parent: None,
            content: text.to_owned(),
            run: RunMode::Manual,
        })
    };
    let said: Vec<_> = (0..messages).map(say).collect();
    // not more text at once than a batch may have
    for batch in said.chunks(if text.len() > 1_000 { 2 } else { limits::BATCH_OPS }) {
        client.push(batch).await;
    }
    session
}

fn stretches(histories: &Histories) -> Vec<(SessionId, i64, i64)> {
    let stretch = |history: &History| (history.session, history.lo, history.hi);
    histories.histories.iter().map(stretch).collect()
}

#[tokio::test]
async fn the_newest_messages_of_many_sessions_come_in_the_order_asked_and_all_from_one_moment() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (short, long) = (
        with_messages(&client, 3, "Short").await,
        with_messages(&client, 130, "Long").await,
    );
    let empty = client.create_session("Empty").await;
    let nowhere = SessionId::fresh();
    let read = ask(&client, &[long, nowhere, short, empty, short]).await;
    assert_eq!(
        stretches(&read),
        [(long, 31, 130), (short, 1, 3)],
        "a hundred of each, each once, and nothing of what is empty or not there"
    );
    assert_eq!(read.as_of, client.bootstrap().await.as_of);
    for history in &read.histories {
        assert_eq!(history.as_of, read.as_of);
        let alone = client.history(history.session).await;
        assert!(
            alone.messages.ends_with(&history.messages) || history.messages.ends_with(&alone.messages),
            "as when read by itself"
        );
    }
    let none = ask(&client, &[]).await;
    assert_eq!((none.histories.len(), none.as_of), (0, read.as_of));
}

#[tokio::test]
async fn an_answer_about_many_sessions_ends_where_it_grows_large() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let text = "x".repeat(200 * 1024);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(with_messages(&client, 6, &text).await);
    }
    let read = ask(&client, &sessions).await;
    assert_eq!(
        stretches(&read),
        [(sessions[0], 1, 6), (sessions[1], 2, 6)],
        "2 MiB of text and the message that crosses it, the newest first"
    );
    let rest = ask(&client, &sessions[2..]).await;
    assert_eq!(stretches(&rest), [(sessions[2], 1, 6)]);

    let mut many = Vec::new();
    for _ in 0..21 {
        many.push(with_messages(&client, 100, "Words").await);
    }
    let read = ask(&client, &many).await;
    let messages: usize = read.histories.iter().map(|history| history.messages.len()).sum();
    assert_eq!((read.histories.len(), messages), (20, limits::HISTORIES_MESSAGES));

    let too_many = HistoriesAsk {
        sessions: (0..=limits::SESSION_PAGE).map(|_| SessionId::fresh()).collect(),
    };
    let refused = client.post(routes::HISTORIES, &too_many).await;
    assert_eq!(refused.refused(Code::TooLarge).limit, Some(200));
}

#[tokio::test]
async fn nobody_reads_somebody_elses_messages_among_many() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let private = with_messages(&owner, 2, "Nobody's business").await;
    let own = with_messages(&stranger, 1, "My own").await;
    let read = ask(&stranger, &[private, own]).await;
    assert_eq!(stretches(&read), [(own, 1, 1)]);
    assert_eq!(read.as_of, stranger.bootstrap().await.as_of);
    // deleted ones have nothing to read
    owner.write(Op::SessionDelete { session: private }).await;
    assert!(ask(&owner, &[private]).await.histories.is_empty());
}

/// How often this address was answered.
async fn answered(client: &Client, route: &str) -> u64 {
    let text = client.get(routes::METRICS).await.text();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("http_requests_total") && line.contains(&format!("\"{route}\"")));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[tokio::test]
async fn a_device_fetches_many_small_sessions_in_few_requests() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let many = 90;
    for number in 0..many {
        with_messages(&client, 2, &format!("word{number}")).await;
    }
    let device = DeviceClient::of(&person, &stack.url()).await;
    until("all of it here", async || {
        (device.storage().await.ok()?.messages == many * 2).then_some(())
    })
    .await;
    let (together, alone) = (
        answered(&client, routes::HISTORIES).await,
        answered(&client, routes::MESSAGES).await,
    );
    assert!(
        (1..=3).contains(&together) && alone == 0,
        "{together} for many, {alone} for one"
    );
    let found = device.search("word0", None).await.expect("a search");
    assert_eq!(found.count(), 2, "the oldest of them too");
}

#[tokio::test]
async fn two_connections_serve_on_whatever_those_before_stopped_at() {
    let stack = Stack::builder().with("DATABASE_CONNECTIONS", "2").start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = with_messages(&client, 3, "Short").await;
    let newest = format!("{}?limit=1", routes::messages(session));
    for _ in 0..4 {
        // a page whose other rows nobody takes
        let page: History = client.get(&newest).await.expect();
        assert_eq!((page.lo, page.hi), (3, 3));
        // a write that the database refuses
        let nowhere = Op::SessionDelete {
            session: SessionId::fresh(),
        };
        client.write(nowhere).await;
        // who asks has gone before there is an answer
        let whole = routes::messages(session);
        let asked = client.try_send(client.request(Method::GET, &whole));
        let _gone = tokio::time::timeout(Duration::from_millis(1), asked).await;
    }
    let whole = client.history(session).await;
    assert_eq!((whole.lo, whole.hi, whole.messages.len()), (1, 3, 3));
}
