//! One run by server-sent events: the same text as by a socket, to the same end, for the same people.

use harness::{Client, DeviceClient, EventStream, Person, Reply, Stack, until};
use protocol::limits::STREAMED_RUNS;
use protocol::run::Status;
use protocol::{Code, RunId, routes};
use serde_json::json;

/// Takes some seconds to be said, in many pieces.
const SLOW: &str = "/slow 60ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen \
    fifteen sixteen seventeen eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five";
/// Takes longer than any test waits.
const ENDLESS: &str =
    "/slow 2000ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

#[tokio::test]
async fn a_reply_read_by_events_equals_what_is_kept_on_both_nodes_and_in_a_browser() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let browser = person.browser(&stack).await;
    let session = desk.create_session("Without sockets").await;
    let run = desk.say(session, SLOW).await;
    let watch = async |client: &Client| {
        let mut reply = Reply::default();
        let mut stream = EventStream::open(client, run.run(), None).await;
        stream.watch_on(&mut reply).await;
        (reply, stream.last_id)
    };
    let ((here, end), (there, _), (page, _)) = tokio::join!(watch(&desk), watch(&laptop), watch(&browser));
    let kept = desk.committed(session, run.reply()).await;
    for reply in [&here, &there, &page] {
        assert_eq!((reply.status, reply.ends), (Some(Status::Complete), 1));
        assert_eq!((&reply.text, reply.seq), (&kept.content, kept.seq));
        assert!(reply.pieces > 5, "it streams: {} pieces", reply.pieces);
    }
    // a browser comes back by itself after every end: it is told that there is nothing more
    let request = desk.request(http::Method::GET, &routes::run(run.run()));
    let again = desk
        .send(request.header("Last-Event-ID", end.expect("an id")))
        .await;
    assert_eq!(again.status, 204);
}

#[tokio::test]
async fn a_stream_that_was_cut_off_goes_on_where_it_was() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Cut off").await;
    let sent = client.say(session, SLOW).await;
    let (mut reply, mut asked) = (Reply::default(), Reply::default());
    let mut stream = EventStream::open(&client, sent.run(), None).await;
    stream.watch_until(&mut reply, 20).await;
    asked.clone_from(&reply);
    let place = stream.last_id.take().expect("an id");
    drop(stream);
    // a piece that does not join what is there would fail either
    let mut back = EventStream::resume(&client, sent.run(), &place).await;
    let mut by_query = EventStream::open(&client, sent.run(), Some(&place)).await;
    tokio::join!(back.watch_on(&mut reply), by_query.watch_on(&mut asked));
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!((&reply.text, &asked.text), (&kept.content, &kept.content));
    assert_eq!((reply.ends, asked.ends), (1, 1));
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_and_one_that_cannot_be_gets_the_whole_text() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Elsewhere").await;
    let sent = client.say(session, SLOW).await;
    for nonsense in ["x", "1-", "1-2:x", "-1-2"] {
        let path = format!("{}?from={nonsense}", routes::run(sent.run()));
        client.get(&path).await.refused(Code::BadRequest);
        let request = client.request(http::Method::GET, &routes::run(sent.run()));
        let answer = client.send(request.header("Last-Event-ID", nonsense)).await;
        answer.refused(Code::BadRequest);
    }
    let mut reply = Reply::default();
    let mut stream = EventStream::open(&client, sent.run(), Some("9-9:999")).await;
    stream.watch_on(&mut reply).await;
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(reply.text, kept.content);
}

#[tokio::test]
async fn a_reply_that_is_over_ends_at_once_and_a_stopped_one_ends_for_who_watches() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = client.create_session("Over").await;
    let sent = client.say(session, SLOW).await;
    let mut reply = Reply::default();
    let mut stream = EventStream::open(&laptop, sent.run(), None).await;
    stream.watch_until(&mut reply, 10).await;
    client
        .post(&routes::run_cancel(sent.run()), &json!({}))
        .await
        .succeeds();
    stream.watch_on(&mut reply).await;
    assert_eq!((reply.status, reply.ends), (Some(Status::Cancelled), 1));
    let kept = client.committed(session, sent.reply()).await;
    for client in [&client, &laptop] {
        let mut late = Reply::default();
        EventStream::open(client, sent.run(), None)
            .await
            .watch_on(&mut late)
            .await;
        assert_eq!(
            (late.status, late.seq, late.ends),
            (Some(Status::Cancelled), kept.seq, 1)
        );
    }
}

#[tokio::test]
async fn nobody_reads_somebody_elses_reply_by_events() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let session = owner.create_session("Private").await;
    let sent = owner.say(session, SLOW).await;
    for run in [sent.run(), RunId::fresh()] {
        stranger.get(&routes::run(run)).await.refused(Code::NotFound);
    }
    let nobody = Client::native(&stack.url());
    nobody
        .get(&routes::run(sent.run()))
        .await
        .refused(Code::SignInRequired);
    owner.committed(session, sent.reply()).await;
    stranger
        .get(&routes::run(sent.run()))
        .await
        .refused(Code::NotFound);
}

#[tokio::test]
async fn a_device_has_a_few_streams_at_once_and_others_have_theirs() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let session = client.create_session("Many").await;
    let run = client.say(session, ENDLESS).await.run();
    let mut open = Vec::new();
    for _ in 0..STREAMED_RUNS {
        open.push(EventStream::open(&client, run, None).await);
    }
    let problem = client.get(&routes::run(run)).await.refused(Code::RateLimited);
    assert_eq!(problem.limit, Some(STREAMED_RUNS as u64));
    EventStream::open(&laptop, run, None).await;
    // one that is left makes room as soon as that is noticed
    open.pop();
    until("room for another", async || {
        let path = format!("{}?from=1-0", routes::run(run));
        let answer = client.bare(http::Method::GET, &path).send().await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_its_device_is_signed_out_and_when_its_node_goes_down() {
    let stack = Stack::builder()
        .with("DRAIN_AFTER", "1")
        .with("DRAIN_WITHIN", "1")
        .start()
        .await;
    let (person, client) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let session = client.create_session("Endless").await;
    let run = client.say(session, ENDLESS).await.run();
    let mut theirs = EventStream::open(&laptop, run, None).await;
    let mut ours = EventStream::open(&client, run, None).await;
    assert!(theirs.next().await.is_some());
    client.revoke(laptop.me().await.device).await.succeeds();
    let mut reply = Reply::default();
    theirs.watch_on(&mut reply).await;
    assert_eq!(reply.status, None, "it ended, and not with the reply");
    let (code, ()) = tokio::join!(stack.server.stop(), ours.watch_on(&mut reply));
    assert_eq!(code, Some(0), "it ended cleanly");
}

#[tokio::test]
async fn a_device_whose_sockets_are_refused_shows_a_reply_while_it_is_made() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join_natively(&stack).await;
    let client = client.at(&second.url());
    stack.server.gate().refuse_sockets();
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = client.create_session("No sockets here").await;
    let sent = client.say(session, &SLOW.replace("60ms", "150ms")).await;
    let reply = async || {
        let messages = device.messages(session).await.ok()?;
        messages.into_iter().find(|message| message.id == sent.reply())
    };
    let begun = until("a beginning of the reply", async || {
        reply().await.filter(|reply| !reply.content.is_empty())
    })
    .await;
    assert!(!begun.status.is_terminal(), "{begun:?}");
    let kept = client.committed(session, sent.reply()).await;
    assert!(kept.content.starts_with(&begun.content), "{begun:?}");
    until("the whole reply", async || {
        reply().await.filter(|reply| reply.content == kept.content)
    })
    .await;
}
