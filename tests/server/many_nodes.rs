//! Two nodes as a large installation has them: behind a pooler that lends its connections for one transaction, and on a
//! Redis Cluster, of which a part can die.

use crate::sync::{digest, everything};
use futures_util::future::join_all;
use harness::{Client, Person, Reply, Sent, Server, Socket, Stack};
use protocol::auth::Client as Kind;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::run::Status;
use protocol::sync::{Change, Cursor, VerifyAnswer, VerifyAsk};
use protocol::{Code, SessionId, routes};
use serde_json::json;

/// Goes on for longer than any test waits.
const ENDLESS: &str =
    "/slow 1s a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r";

/// Somebody with a computer at each of the two nodes.
async fn somebody(stack: &Stack, second: &Server) -> (Client, Client) {
    let (person, desk) = Person::join_natively(stack).await;
    let laptop = person.native(stack, "Laptop").await.at(&second.url());
    (desk, laptop)
}

/// Waits until a socket was told of a session. Only a hint brings the change itself; what was looked up says a number.
async fn hears_of(socket: &mut Socket, session: SessionId) {
    let is_it = |change: &Change| matches!(change, Change::Session(told) if told.id == session);
    socket
        .find("the session's change", |frame| match frame {
            ServerFrame::Sync(page) => page.changes.iter().any(is_it).then_some(()),
            _ => None,
        })
        .await;
}

/// Waits until a socket was told that there is as much.
async fn catches_up(socket: &mut Socket, with: Cursor) {
    socket
        .find("where the head is", |frame| match frame {
            ServerFrame::Sync(page) => (page.to.seq >= with.seq).then_some(()),
            ServerFrame::Head { seq, .. } => (seq >= with.seq).then_some(()),
            _ => None,
        })
        .await;
}

/// A reply that takes some seconds to say.
fn words() -> String {
    let words: Vec<String> = (0..80).map(|number| format!("word-{number}")).collect();
    words.join(" ")
}

/// Watches from the beginning until there is so much text.
async fn begin_to_watch(socket: &mut Socket, sent: &Sent, reply: &mut Reply, bytes: usize) {
    let run = sent.run();
    socket.attach(run).await;
    socket.watch_until(run, reply, bytes).await;
}

#[tokio::test]
async fn everything_works_where_a_connection_is_lent_for_one_transaction() {
    let stack = Stack::builder().with_pooler().start().await;
    let second = stack.second_server().await;
    let people = join_all((0..4).map(|_| somebody(&stack, &second))).await;
    // four times two computers, all at once, over three connections
    join_all(people.iter().map(async |(desk, laptop)| {
        let shared = desk.create_session("Shared").await;
        let write = async |client: &Client, name: &str| {
            for number in 0..12 {
                client.note(shared, &format!("{name} {number}")).await;
            }
        };
        tokio::join!(write(desk, "desk"), write(laptop, "laptop"));
        let (one, other) = tokio::join!(everything(desk, 7), everything(laptop, 500));
        assert_eq!(one, other, "both nodes say the same");
        assert_eq!(one.messages.len(), 24);

        let cursor = laptop.bootstrap().await.as_of;
        let messages = desk.history(shared).await.messages;
        let ords: Vec<i64> = messages.iter().map(|message| message.ord).collect();
        assert_eq!(ords, (1..=24).collect::<Vec<_>>(), "each has its own place");
        let sessions = vec![digest(shared, &messages)];
        let verified: VerifyAnswer = laptop
            .post(routes::VERIFY_CACHE, &VerifyAsk { cursor, sessions })
            .await
            .expect();
        assert!(verified.differ.is_empty());
    }))
    .await;

    let replies = join_all(people.iter().map(async |(desk, laptop)| {
        let session = desk.create_session("Streamed").await;
        let mut there = Socket::open(laptop).await;
        let sent = desk
            .say(
                session,
                "/slow 60ms one two three four five six seven eight nine ten",
            )
            .await;
        let reply = there.watch(sent.run()).await;
        (reply, desk.committed(session, sent.reply()).await)
    }));
    for (reply, kept) in replies.await {
        assert_eq!((reply.status, reply.ends), (Some(Status::Complete), 1));
        assert!(reply.pieces > 2, "it streams: {} pieces", reply.pieces);
        assert_eq!((reply.text, reply.seq), (kept.content, kept.seq));
    }
    assert!(
        !stack.logs().contains("prepared statement"),
        "no statement was left behind or lost"
    );
}

#[tokio::test]
async fn nodes_on_a_redis_cluster_hear_each_other() {
    let stack = Stack::builder().with_redis_cluster().start().await;
    let second = stack.second_server().await;
    // so many that their channels lie on every shard
    let people = join_all((0..8).map(|_| somebody(&stack, &second))).await;
    join_all(people.iter().map(async |(desk, laptop)| {
        let mut there = Socket::open(laptop).await;
        let session = desk.create_session("Told").await;
        hears_of(&mut there, session).await;
        let sent = desk
            .say(
                session,
                "/slow 60ms one two three four five six seven eight nine ten",
            )
            .await;
        let reply = there.watch(sent.run()).await;
        let kept = desk.committed(session, sent.reply()).await;
        assert_eq!((reply.status, reply.text), (Some(Status::Complete), kept.content));

        let endless = desk.say(session, ENDLESS).await;
        let mut reply = Reply::default();
        begin_to_watch(&mut there, &endless, &mut reply, 1).await;
        laptop
            .post(&routes::run_cancel(endless.run()), &json!({}))
            .await
            .succeeds();
        there.watch_on(endless.run(), &mut reply).await;
        assert_eq!(reply.status, Some(Status::Cancelled));
    }))
    .await;
    // a browser's ticket is good at the other node, once
    let (_, browser) = Person::join(&stack).await;
    let ticket = browser.ticket().await;
    let elsewhere = browser.at(&second.url());
    for is_first in [true, false] {
        let mut socket = Socket::connect(&elsewhere).await.expect("a socket");
        socket
            .send(&ClientFrame::Hello {
                ticket: Some(ticket.clone()),
                cursor: None,
                enc: Vec::new(),
            })
            .await;
        let is_welcome = matches!(socket.next().await, Ok(ServerFrame::Welcome { .. }));
        assert_eq!(is_welcome, is_first);
    }
}

#[tokio::test]
async fn tries_are_counted_together_on_a_redis_cluster() {
    let stack = Stack::builder()
        .with_redis_cluster()
        .with("RATE_LIMIT_FACTOR", "1")
        .start()
        .await;
    let second = stack.second_server().await;
    let nodes = [stack.url(), second.url()].map(|url| Client::browser(&url, &stack.url()));
    let mut passed = 0;
    // few guesses at each account and few different ones, so that the address alone is what is counted
    let people: Vec<Person> = (0..5).map(|_| Person::fresh()).collect();
    for (node, person) in nodes.iter().cycle().zip(people.iter().cycle()).take(40) {
        let answer = person.try_sign_in(node, Kind::Browser).await;
        if answer.status == 429 {
            break;
        }
        answer.refused(Code::InvalidCredentials);
        passed += 1;
    }
    // twenty in five minutes, and one more for each quarter of a minute that the guesses took
    assert!((20..=24).contains(&passed), "{passed} guesses at two nodes");
    assert!(!stack.logs().contains("counting tries in this process"));
}

#[tokio::test]
async fn a_reply_outlives_a_shard_of_redis_and_hints_come_again_by_themselves() {
    let stack = Stack::builder().with_redis_cluster().start().await;
    let second = stack.second_server().await;
    let (desk, laptop) = somebody(&stack, &second).await;
    let words = words();
    let session = desk.create_session("Through it").await;
    let (mut here, mut there) = (Socket::open(&desk).await, Socket::open(&laptop).await);
    let sent = desk.say(session, &format!("/slow 100ms {words}")).await;
    let (mut one, mut other) = (Reply::default(), Reply::default());
    begin_to_watch(&mut here, &sent, &mut one, 40).await;
    begin_to_watch(&mut there, &sent, &mut other, 40).await;

    let cluster = stack.redis_cluster();
    let holder = cluster.holder_of(&format!("run:{}:log", sent.run())).await;
    cluster.kill(holder);
    here.watch_until(sent.run(), &mut one, 200).await;
    assert_eq!(one.status, None, "still being said, without that shard");
    cluster.start_again(holder);
    tokio::join!(
        here.watch_on(sent.run(), &mut one),
        there.watch_on(sent.run(), &mut other)
    );
    let kept = desk.committed(session, sent.reply()).await;
    assert!(kept.content.contains(&words), "nothing is lost: {}", kept.content);
    assert_eq!(
        (one.status, one.ends, &one.text),
        (Some(Status::Complete), 1, &kept.content)
    );
    assert_eq!(
        (other.status, other.ends, &other.text),
        (Some(Status::Complete), 1, &kept.content)
    );

    let hints = format!("hint:{}", laptop.me().await.user);
    let holder = cluster.holder_of(&hints).await;
    cluster.kill(holder);
    cluster.start_again(holder);
    cluster.is_whole().await;
    cluster.is_heard_by(2, &hints).await;
    // what was missed meanwhile is looked up by now or soon; then hints follow each other again
    desk.create_session("After it").await;
    catches_up(&mut there, desk.bootstrap().await.as_of).await;
    let news = desk.create_session("And more").await;
    hears_of(&mut there, news).await;
}

#[tokio::test]
async fn what_moves_to_another_shard_is_found_there() {
    let stack = Stack::builder().with_redis_cluster().start().await;
    let second = stack.second_server().await;
    let (desk, laptop) = somebody(&stack, &second).await;
    let (words, session) = (words(), desk.create_session("On the move").await);
    let mut there = Socket::open(&laptop).await;
    let sent = desk.say(session, &format!("/slow 60ms {words}")).await;
    let mut reply = Reply::default();
    begin_to_watch(&mut there, &sent, &mut reply, 40).await;

    let (cluster, log) = (stack.redis_cluster(), format!("run:{}:log", sent.run()));
    let hints = format!("hint:{}", laptop.me().await.user);
    let before = (cluster.holder_of(&log).await, cluster.holder_of(&hints).await);
    cluster.move_away(&log).await;
    cluster.move_away(&hints).await;
    there.watch_on(sent.run(), &mut reply).await;
    let kept = desk.committed(session, sent.reply()).await;
    assert_eq!(
        (reply.status, &reply.text),
        (Some(Status::Complete), &kept.content)
    );
    assert!(kept.content.contains(&words));
    let after = (cluster.holder_of(&log).await, cluster.holder_of(&hints).await);
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    cluster.is_heard_by(1, &hints).await;
    // what was missed meanwhile is looked up by now or soon; then hints follow each other again
    desk.create_session("After it").await;
    catches_up(&mut there, desk.bootstrap().await.as_of).await;
    let news = desk.create_session("And more").await;
    hears_of(&mut there, news).await;
}
