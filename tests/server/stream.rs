//! Replies that stream: in order, to every viewer, to exactly one end, whatever happens to the server.

use harness::{Person, Reply, Socket, Stack, within};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::run::Status;
use protocol::sync::Role;
use protocol::{Code, RunId, routes};
use serde_json::json;
use std::time::{Duration, Instant};

/// Takes some seconds to be said, in many pieces.
const SLOW: &str = "/slow 60ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen \
    fifteen sixteen seventeen eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five";

#[tokio::test]
async fn a_reply_streams_in_order_and_equals_what_is_kept() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Stream").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, SLOW).await;
    let reply = socket.watch(sent.run()).await;
    assert_eq!((reply.status, reply.ends), (Some(Status::Complete), 1));
    assert!(reply.pieces > 5, "it streams: {} pieces", reply.pieces);
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(
        (kept.content.as_str(), kept.role, kept.status),
        (reply.text.as_str(), Role::Assistant, Status::Complete)
    );
    assert_eq!(kept.run, Some(sent.run()));
    assert_eq!(
        kept.seq, reply.seq,
        "the end names the change that holds the message"
    );
    assert_eq!(kept.ord, sent.ord.unwrap_or_default() + 1);
    assert!(!client.session(session).await.running);
}

#[tokio::test]
async fn viewers_of_a_session_are_told_that_a_reply_begins() {
    let stack = Stack::start().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    let session = desk.create_session("Two views").await;
    let mut socket = Socket::open(&browser).await;
    let sent = desk.say(session, SLOW).await;
    let live = socket
        .find("the run's beginning", |frame| match frame {
            ServerFrame::Start(live) => Some(live),
            _ => None,
        })
        .await;
    assert_eq!(
        (live.run, live.session, live.message),
        (sent.run(), session, sent.reply())
    );
    assert!(browser.session(session).await.running);
    let late = Socket::open(&browser).await.welcome.expect("a welcome");
    assert!(
        late.live.iter().any(|run| run.run == sent.run()),
        "also those who come later"
    );
}

#[tokio::test]
async fn two_devices_on_two_nodes_see_one_text() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = desk.create_session("Everywhere").await;
    let (mut here, mut there) = (Socket::open(&desk).await, Socket::open(&laptop).await);
    let sent = desk.say(session, SLOW).await;
    let (one, other) = tokio::join!(here.watch(sent.run()), there.watch(sent.run()));
    assert_eq!(
        (one.text, one.status, one.ends),
        (other.text, other.status, other.ends)
    );
}

#[tokio::test]
async fn somebody_who_comes_in_the_middle_gets_the_whole_text() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = desk.create_session("Late").await;
    let mut here = Socket::open(&desk).await;
    let sent = desk.say(session, SLOW).await;
    let mut first = Reply::default();
    here.attach(sent.run()).await;
    here.watch_until(sent.run(), &mut first, 20).await;
    assert_eq!(first.status, None, "still being said");
    let mut there = Socket::open(&laptop).await;
    let late = there.watch(sent.run()).await;
    here.watch_on(sent.run(), &mut first).await;
    assert_eq!(
        (late.text.as_str(), late.status),
        (first.text.as_str(), Some(Status::Complete))
    );
}

/// As whoever has seen this much of it asks for the rest.
fn attach_at(run: RunId, seen: &Reply) -> ClientFrame {
    ClientFrame::Attach {
        run,
        at: seen.at,
        bytes: seen.text.len() as u64,
    }
}

#[tokio::test]
async fn a_viewer_who_reconnects_goes_on_where_they_were_at_another_node_too() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Reconnect").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, SLOW).await;
    let mut reply = Reply::default();
    socket.attach(sent.run()).await;
    socket.watch_until(sent.run(), &mut reply, 15).await;
    stack.server.gate().cut();
    let second = stack.second_server().await;
    let mut elsewhere = Socket::open(&client.at(&second.url())).await;
    elsewhere.send(&attach_at(sent.run(), &reply)).await;
    elsewhere.watch_until(sent.run(), &mut reply, 40).await;
    drop(elsewhere);
    let mut again = Socket::open(&client).await;
    again.send(&attach_at(sent.run(), &reply)).await;
    again.watch_on(sent.run(), &mut reply).await;
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!((kept.content, reply.ends), (reply.text, 1));
}

#[tokio::test]
async fn a_reply_that_is_over_can_still_be_watched() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Over").await;
    let sent = client.say(session, "quick").await;
    let kept = client.committed(session, sent.reply()).await;
    let mut socket = Socket::open(&client).await;
    let reply = socket.watch(sent.run()).await;
    assert_eq!(reply.status, Some(Status::Complete));
    assert!(reply.text.is_empty() || reply.text == kept.content);
}

#[tokio::test]
async fn a_stopped_reply_keeps_what_was_said() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = desk.create_session("Stop").await;
    let mut socket = Socket::open(&desk).await;
    let sent = desk.say(session, SLOW).await;
    let mut reply = Reply::default();
    socket.attach(sent.run()).await;
    socket.watch_until(sent.run(), &mut reply, 20).await;
    // from another device, at another node
    laptop
        .post(&routes::run_cancel(sent.run()), &json!({}))
        .await
        .succeeds();
    socket.watch_on(sent.run(), &mut reply).await;
    assert_eq!((reply.status, reply.ends), (Some(Status::Cancelled), 1));
    let kept = desk.committed(session, sent.reply()).await;
    assert_eq!(kept.status, Status::Cancelled);
    assert!(
        !kept.content.is_empty() && kept.content.len() < SLOW.len() - 20,
        "{}",
        kept.content
    );
    assert!(kept.content.starts_with(&reply.text) || reply.text.starts_with(&kept.content));
    // asking twice is harmless
    laptop
        .post(&routes::run_cancel(sent.run()), &json!({}))
        .await
        .succeeds();
    assert_eq!(
        desk.committed(session, sent.reply()).await.status,
        Status::Cancelled
    );
}

/// CancelWins. The agent says a word each ten milliseconds and never sooner, so the number of words tells when they were said, however
/// slow the machine is.
#[tokio::test]
async fn once_a_stop_is_answered_nothing_more_is_said_than_one_flush_holds() {
    const WORD: Duration = Duration::from_millis(10);
    /// Text is shown this often.
    const FLUSH: Duration = Duration::from_millis(40);
    /// Another node is told through Redis.
    const TOLD: Duration = Duration::from_secs(1);
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let mut socket = Socket::open(&desk).await;
    let text = format!("/slow 10ms {}", "word ".repeat(2_000));
    for (by, slack) in [(&desk, Duration::ZERO), (&laptop, TOLD)] {
        let session = desk.create_session("Stop").await;
        let begun = Instant::now();
        let sent = desk.say(session, text.trim()).await;
        let run = sent.run();
        socket.attach(run).await;
        let mut reply = Reply::default();
        socket.watch_until(run, &mut reply, 100).await;
        by.post(&routes::run_cancel(run), &json!({})).await.succeeds();
        let most = (begun.elapsed() + FLUSH + slack).as_millis() / WORD.as_millis() + 2;
        socket.watch_on(run, &mut reply).await;
        assert_eq!((reply.status, reply.ends), (Some(Status::Cancelled), 1));
        let kept = desk.committed(session, sent.reply()).await;
        assert_eq!(kept.content, reply.text, "and nothing else is kept");
        let said = kept.content.matches("word").count() as u128;
        assert!((10..=most).contains(&said), "{said} words, {most} at most");
    }
}

#[tokio::test]
async fn a_reply_can_be_stopped_over_the_socket() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Stop").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, SLOW).await;
    let mut reply = Reply::default();
    socket.attach(sent.run()).await;
    socket.watch_until(sent.run(), &mut reply, 5).await;
    socket.send(&ClientFrame::Cancel { run: sent.run() }).await;
    socket.watch_on(sent.run(), &mut reply).await;
    assert_eq!(reply.status, Some(Status::Cancelled));
}

#[tokio::test]
async fn stopping_a_run_that_is_not_there_is_a_404() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let answer = client.post(&routes::run_cancel(RunId::fresh()), &json!({})).await;
    answer.refused(Code::NotFound);
}

#[tokio::test]
async fn a_reply_that_fails_says_so_and_keeps_what_was_said() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Fail").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, "/fail some words before the end").await;
    let reply = socket.watch(sent.run()).await;
    assert_eq!((reply.status, reply.ends), (Some(Status::Failed), 1));
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(kept.status, Status::Failed);
    assert!(!kept.metadata["error"].is_null(), "{:?}", kept.metadata);
    // and the session goes on
    let next = client.say(session, "again").await;
    assert_eq!(
        client.committed(session, next.reply()).await.status,
        Status::Complete
    );
}

#[tokio::test]
async fn a_long_reply_arrives_whole() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Long").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, "/long 100kb").await;
    let reply = socket.watch(sent.run()).await;
    assert_eq!(reply.status, Some(Status::Complete));
    let kept = client.committed(session, sent.reply()).await;
    assert!(kept.content.len() >= 90_000, "{} bytes", kept.content.len());
    assert_eq!(kept.content, reply.text);
}

/// So that a reply costs the stores little: its tokens are gathered, and where nobody looks for longer.
#[tokio::test]
async fn tokens_are_gathered_where_somebody_watches_and_more_of_them_where_nobody_does() {
    const TOKENS: u32 = 400;
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (seen, unseen) = (
        client.create_session("Seen").await,
        client.create_session("Unseen").await,
    );
    let mut socket = Socket::open(&client).await;
    let words: Vec<String> = (0..TOKENS).map(|number| format!("w{number}")).collect();
    let text = format!("/slow 5ms {}", words.join(" "));
    let begun = Instant::now();
    let (seen_run, unseen_run) = tokio::join!(client.say(seen, &text), client.say(unseen, &text));
    let reply = socket.watch(seen_run.run()).await;
    for (session, sent) in [(seen, &seen_run), (unseen, &unseen_run)] {
        let kept = client.committed(session, sent.reply()).await;
        assert!(kept.content.ends_with("w399"), "{}", kept.content);
    }
    let took = begun.elapsed();
    let log = stack.redis_dump().await;
    let entries = |run: RunId| {
        let mut logs = log
            .lines()
            .filter(|line| line.contains(&format!("run:{run}:log")));
        logs.next().map_or(0, |log| log.matches(r#""k":"d""#).count())
    };
    let (seen, unseen) = (entries(seen_run.run()), entries(unseen_run.run()));
    // the first is shown at once and the last with the end; between them no two come sooner than the gathering takes
    let most = |gathered: usize| 2 + usize::try_from(took.as_millis()).expect("a time") / gathered;
    assert!((1..=most(40)).contains(&seen), "{seen} entries in {took:?}");
    assert!((1..=most(250)).contains(&unseen), "{unseen} entries in {took:?}");
    assert!(unseen * 2 < seen, "{unseen} entries unseen, {seen} seen");
    assert!(
        (2..=seen + 1).contains(&reply.pieces),
        "{} pieces of {seen} entries",
        reply.pieces
    );
}

#[tokio::test]
async fn replies_of_one_session_come_one_after_another() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("In turn").await;
    let first = client.say(session, "/slow 20ms a b c d e f g h").await;
    let second = client.say(session, "second").await;
    let one = client.committed(session, first.reply()).await;
    let two = client.committed(session, second.reply()).await;
    assert_eq!((one.status, two.status), (Status::Complete, Status::Complete));
    assert!(one.seq < two.seq, "the second waited for the first");
}

#[tokio::test]
async fn a_server_that_goes_down_leaves_what_it_had_no_time_to_say_interrupted() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Going down").await;
    let second = stack.second_server().await;
    let survivor = client.at(&second.url());
    let words = "/slow 500ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
        seventeen eighteen nineteen twenty and so on for longer than a server that goes down waits";
    let sent = client.say(session, words).await;
    let mut socket = Socket::open(&survivor).await;
    let mut reply = Reply::default();
    socket.send(&attach_at(sent.run(), &reply)).await;
    socket.watch_until(sent.run(), &mut reply, 5).await;
    assert_eq!(stack.server.stop().await, Some(0));
    socket.watch_on(sent.run(), &mut reply).await;
    let kept = survivor.committed(session, sent.reply()).await;
    assert_eq!(
        (kept.status, reply.status, reply.ends),
        (Status::Interrupted, Some(Status::Interrupted), 1)
    );
    assert!(
        kept.content.starts_with(&reply.text),
        "{:?} then {:?}",
        reply.text,
        kept.content
    );
}

#[tokio::test]
async fn a_killed_server_leaves_an_interrupted_reply_with_its_text() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Power cut").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, "/slow 100ms alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi \
        omicron pi rho sigma tau upsilon phi chi psi omega and all the other letters that somebody may think of later on")
        .await;
    let mut reply = Reply::default();
    socket.attach(sent.run()).await;
    socket.watch_until(sent.run(), &mut reply, 20).await;
    stack.server.kill();

    let second = stack.second_server().await;
    let survivor = client.at(&second.url());
    // a lease that has run out, without the wait for it
    stack
        .execute("update runs set lease_until = now() - interval '1 hour' where status in (0, 1)")
        .await;
    let kept = survivor.committed(session, sent.reply()).await;
    assert_eq!(kept.status, Status::Interrupted, "{kept:?}");
    assert!(
        kept.content.starts_with(&reply.text),
        "what was shown is kept: {:?} then {:?}",
        reply.text,
        kept.content
    );
    let mut socket = Socket::open(&survivor).await;
    let ended = socket.watch(sent.run()).await;
    assert_eq!((ended.status, ended.ends), (Some(Status::Interrupted), 1));
    // the session goes on at the other node
    let next = survivor.say(session, "hello again").await;
    assert_eq!(
        survivor.committed(session, next.reply()).await.status,
        Status::Complete
    );
    assert!(!person.email.as_str().is_empty());
}

/// EndEventually: no hint tells of it, its worker says nothing any more, and it is ended by a node that nobody watches from.
#[tokio::test]
async fn who_watches_sees_the_end_of_a_lost_reply_within_its_lease_and_two_looks_though_nobody_tells() {
    const LEASE: Duration = Duration::from_secs(15);
    /// Of whoever ends what lost its worker; and of whoever follows a reply for those who watch.
    const LOOK: Duration = Duration::from_secs(5);
    const LOOK_OF_FOLLOWER: Duration = Duration::from_secs(2);
    /// For a busy machine.
    const SLACK: Duration = Duration::from_secs(5);
    let stack = Stack::builder()
        .with("ROLE", "gateway")
        .with_gates()
        .start()
        .await;
    let worker = stack.another_server("worker", &[("ROLE", "worker")]).await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Lost").await;
    let mut socket = Socket::open(&client).await;
    let sent = client
        .say(session, &format!("/slow 100ms {}", "and on ".repeat(300).trim()))
        .await;
    let run = sent.run();
    socket.attach(run).await;
    let mut reply = Reply::default();
    socket.watch_until(run, &mut reply, 20).await;
    let _other = stack.another_server("other", &[("ROLE", "worker")]).await;
    assert_eq!(reply.status, None, "still being said");
    stack.redis_gate().shut();
    worker.kill();
    let killed = Instant::now();
    let status = socket
        .find_in_time("the end", |frame| match frame {
            ServerFrame::End {
                run: ended, status, ..
            } if *ended == run => Some(*status),
            _ => None,
        })
        .await;
    let took = killed.elapsed();
    assert_eq!(status, Status::Interrupted);
    assert!(took < LEASE + 2 * LOOK + LOOK_OF_FOLLOWER + SLACK, "{took:?}");
    stack.redis_gate().open();
    let again = socket.watch(run).await;
    assert_eq!((again.status, again.ends), (Some(Status::Interrupted), 1));
}

/// Whoever makes a reply waits for no answer of Redis's: each costs a second where none comes, and this one has some twenty pieces.
#[tokio::test]
async fn a_reply_keeps_its_pace_while_redis_takes_everything_and_answers_nothing() {
    const SAID: Duration = Duration::from_secs(4);
    /// For a busy machine.
    const SLACK: Duration = Duration::from_secs(6);
    let stack = Stack::builder().with_gates().start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("At its pace").await;
    let sent = client
        .say(session, &format!("/slow 20ms {}", "word ".repeat(200).trim()))
        .await;
    stack.redis_gate().stall();
    within(SAID + SLACK, "the reply to be whole", async || {
        let whole = "select count(*) from conversations where role = 'assistant' and status = 2";
        (stack.number(whole).await == 1).then_some(())
    })
    .await;
    stack.redis_gate().open();
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(kept.content.matches("word").count(), 200);
}

#[tokio::test]
async fn a_reply_is_kept_whole_although_redis_went_away_while_it_was_said() {
    let stack = Stack::builder().with_gates().start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Without Redis").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, SLOW).await;
    let mut reply = Reply::default();
    socket.attach(sent.run()).await;
    socket.watch_until(sent.run(), &mut reply, 10).await;
    stack.redis_gate().shut();
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(kept.status, Status::Complete);
    assert!(kept.content.contains("twenty-five"), "{}", kept.content);
    stack.redis_gate().open();
}

/// Isolation, by frames.
#[tokio::test]
async fn nobody_watches_somebody_elses_reply() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let session = owner.create_session("Private").await;
    let mut eyes = Socket::open(&stranger).await;
    let sent = owner
        .say(session, "/slow 20ms classified words follow here")
        .await;
    for run in [sent.run(), RunId::fresh()] {
        eyes.attach(run).await;
        let code = eyes
            .find("a refusal", |frame| match frame {
                ServerFrame::Refused { code, .. } => Some(code),
                ServerFrame::Delta { .. }
                | ServerFrame::Snap { .. }
                | ServerFrame::Start(_)
                | ServerFrame::End { .. } => {
                    panic!("a stranger sees the reply")
                }
                _ => None,
            })
            .await;
        assert_eq!(code, Code::NotFound, "no word on whether it exists");
    }
    let late = Socket::open(&stranger).await;
    assert!(
        late.welcome.is_some_and(|welcome| welcome.live.is_empty()),
        "a welcome names only one's own"
    );
    eyes.send(&ClientFrame::Cancel { run: sent.run() }).await;
    assert_eq!(
        owner.committed(session, sent.reply()).await.status,
        Status::Complete
    );
    // a reply that is over is read from the database, where it is no more the stranger's
    let mut eyes = Socket::open(&stranger).await;
    eyes.attach(sent.run()).await;
    let answer = eyes.next().await;
    assert!(
        matches!(
            answer,
            Ok(ServerFrame::Refused {
                code: Code::NotFound,
                ..
            })
        ),
        "{answer:?}"
    );
}
