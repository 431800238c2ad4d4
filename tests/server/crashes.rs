//! Power cuts: what ends at once with all that it has in memory, while people write. What was acknowledged is there, once.

use harness::{Client, DeviceClient, Person, PostgresServer, Reply, Sent, Socket, Stack, until, within};
use http::Method;
use protocol::mutation::{Batch, BatchAnswer, Op, OpResult, RunMode};
use protocol::run::Status;
use protocol::sync::Role;
use protocol::{MessageId, SessionId, routes};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a device may take to be in step again, and replies to end, if no lease has to run out.
const HEALED: Duration = Duration::from_secs(40);
/// What is written after the power cut, so that some of it was on its way.
const AFTER: usize = 5;
/// Between two texts: a person types no faster.
const PACE: Duration = Duration::from_millis(15);

/// Writes on until the power is cut, and a little more.
async fn write_through(
    device: &DeviceClient,
    session: SessionId,
    called: &str,
    is_cut: &AtomicBool,
) -> Vec<String> {
    let mut written = Vec::new();
    let mut after = 0;
    while after < AFTER {
        after += usize::from(is_cut.load(Ordering::Relaxed));
        let text = format!("{called} {}", written.len());
        device.send(session, &text).await.expect("written here");
        written.push(text);
        tokio::time::sleep(PACE).await;
    }
    written
}

/// Texts that the server itself acknowledged, as one who tries nothing twice knows them.
async fn acknowledged(client: &Client, session: SessionId, is_cut: &AtomicBool) -> Vec<String> {
    let (mut acknowledged, mut after) = (Vec::new(), 0);
    while after < AFTER {
        after += usize::from(is_cut.load(Ordering::Relaxed));
        let content = format!("noted {} {after}", acknowledged.len());
        let note = harness::mutation(Op::MessageCreate {
            id: MessageId::fresh(),
            session,
            parent: None,
            content: content.clone(),
            run: RunMode::Manual,
        });
        let batch = Batch { ops: vec![note] };
        let request = client.request(Method::POST, routes::MUTATIONS).json(&batch);
        let answer = client.try_send(request).await.ok();
        let answer = answer.filter(|answer| answer.status == 200);
        let applied = answer.is_some_and(|answer| {
            let results = answer.expect::<BatchAnswer>().results;
            results
                .iter()
                .all(|outcome| matches!(outcome.result, OpResult::Applied { .. }))
        });
        if applied {
            acknowledged.push(content);
        }
        tokio::time::sleep(PACE).await;
    }
    acknowledged
}

/// So many texts are at the server: what follows falls amid the writing.
async fn some_are_kept(stack: &Stack, count: i64) {
    until("some texts at the server", async || {
        let kept = "select count(*) from conversations where role = 'user'";
        (stack.number(kept).await >= count).then_some(())
    })
    .await;
}

/// Every text is there once and nothing else is, every reply has ended, and the devices are as the server is.
async fn must_be_whole(
    stack: &Stack,
    client: &Client,
    session: SessionId,
    devices: &[&DeviceClient],
    texts: &[&[String]],
) {
    within(HEALED, "all to be sent and every reply to end", async || {
        let running = stack.number("select count(*) from runs where status < 2").await;
        let mut waiting = 0;
        for device in devices {
            waiting += device.storage().await.map_or(1, |numbers| numbers.waiting);
        }
        (running == 0 && waiting == 0).then_some(())
    })
    .await;
    let history = client.history(session).await.messages;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for message in history.iter().filter(|message| message.role == Role::User) {
        *counts.entry(&message.content).or_default() += 1;
    }
    for text in texts.iter().copied().flatten() {
        assert_eq!(counts.remove(text.as_str()), Some(1), "{text}");
    }
    assert!(counts.is_empty(), "nobody wrote {counts:?}");
    for text in texts {
        let kept = history.iter().filter(|message| text.contains(&message.content));
        let order: Vec<&String> = kept.map(|message| &message.content).collect();
        assert!(
            order.iter().copied().eq(text.iter()),
            "in another order: {order:?}"
        );
    }
    assert!(history.iter().all(|message| message.status.is_terminal()));
    for device in devices {
        until("the device to be as the server is", async || {
            (device.compare().await == Ok(0)).then_some(())
        })
        .await;
    }
    assert!(!stack.logs().contains("panicked at"), "a server panicked");
}

/// A reply of so many words, ten a second, that is being said and watched.
async fn watched(client: &Client, socket: &mut Socket, words: usize) -> (SessionId, Sent, Reply) {
    let session = client.create_session("Watched").await;
    let text = format!("/slow 100ms {}", "and on ".repeat(words / 2));
    let sent = client.say(session, text.trim()).await;
    let run = sent.run();
    socket.attach(run).await;
    let mut reply = Reply::default();
    socket.watch_until(run, &mut reply, 10).await;
    assert_eq!(reply.status, None, "still being said");
    (session, sent, reply)
}

#[tokio::test]
async fn both_servers_are_killed_at_once_amid_writes_and_every_text_is_kept_once() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join_natively(&stack).await;
    let here = DeviceClient::of(&person, &stack.url()).await;
    let there = DeviceClient::of(&person, &second.url()).await;
    let session = client.create_session("Two at once").await;
    let mut socket = Socket::open(&client).await;
    // it would take longer than all before the power cut
    let (slow, sent, reply) = watched(&client, &mut socket, 200).await;
    let is_cut = AtomicBool::new(false);
    let cut = async {
        some_are_kept(&stack, 12).await;
        stack.server.kill();
        second.kill();
        is_cut.store(true, Ordering::Relaxed);
    };
    let (from_here, from_there, ()) = tokio::join!(
        write_through(&here, session, "here", &is_cut),
        write_through(&there, session, "there", &is_cut),
        cut,
    );
    let kept = stack
        .number("select count(*) from conversations where role = 'user'")
        .await;
    let written = from_here.len() + from_there.len() + 1;
    assert!(
        usize::try_from(kept).is_ok_and(|kept| kept < written),
        "they were killed amid the writing"
    );
    // a lease that has run out, without the wait for it
    stack
        .execute("update runs set lease_until = now() - interval '1 hour' where status in (0, 1)")
        .await;
    tokio::join!(stack.server.start_again(), second.start_again());
    here.wake();
    there.wake();
    must_be_whole(
        &stack,
        &client,
        session,
        &[&here, &there],
        &[&from_here, &from_there],
    )
    .await;
    let kept = client.committed(slow, sent.reply()).await;
    assert_eq!(kept.status, Status::Interrupted);
    assert!(
        kept.content.starts_with(&reply.text),
        "what was shown is kept: {:?} then {:?}",
        reply.text,
        kept.content
    );
    let again = Socket::open(&client).await.watch(sent.run()).await;
    assert_eq!((again.status, again.ends), (Some(Status::Interrupted), 1));
}

#[tokio::test]
async fn postgresql_is_killed_amid_writes_and_whatever_was_acknowledged_is_there_once() {
    let stack = Stack::builder()
        .with_postgres(PostgresServer::start().await)
        .start()
        .await;
    let (person, client) = Person::join_natively(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = client.create_session("Crash").await;
    let noted = client.create_session("Notes").await;
    let mut socket = Socket::open(&client).await;
    let (slow, sent, mut reply) = watched(&client, &mut socket, 20).await;
    let is_cut = AtomicBool::new(false);
    let crash = async {
        some_are_kept(&stack, 8).await;
        stack.own_postgres().kill();
        is_cut.store(true, Ordering::Relaxed);
        stack.own_postgres().start_again().await;
    };
    let (texts, acknowledged, ()) = tokio::join!(
        write_through(&device, session, "here", &is_cut),
        acknowledged(&client, noted, &is_cut),
        crash,
    );
    assert!(!acknowledged.is_empty());
    // who watched goes on watching: the reply was never the database's
    socket.watch_on(sent.run(), &mut reply).await;
    assert_eq!((reply.status, reply.ends), (Some(Status::Complete), 1));
    assert_eq!(client.committed(slow, sent.reply()).await.content, reply.text);
    device.wake();
    must_be_whole(&stack, &client, session, &[&device], &[&texts]).await;
    for text in &acknowledged {
        assert_eq!(client.times_kept(noted, text).await, 1, "{text}");
    }
}
