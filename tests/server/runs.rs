//! Runs in bad times: whose worker is gone, whose session is gone, that somebody stopped while nobody could hear it.

use harness::{Client, Person, Reply, Socket, Stack, until};
use protocol::frame::ClientFrame;
use protocol::run::Status;
use protocol::sync::Message;
use protocol::{MessageId, SessionId};

/// The committed reply, once it has come to an end.
async fn committed(client: &Client, session: SessionId, reply: MessageId) -> Message {
    until("the reply to be committed", async || {
        let history = client.history(session).await;
        history
            .messages
            .into_iter()
            .find(|message| message.id == reply && message.status.is_terminal())
    })
    .await
}

#[tokio::test]
async fn a_reply_that_was_stopped_ends_as_stopped_although_its_worker_never_heard_of_it() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for text in [
        "/slow 40ms one two three four five six",
        "/slow 40ms /fail one two three",
    ] {
        let session = client.create_session("Stop").await;
        let mut socket = Socket::open(&client).await;
        let sent = client.say(session, text).await;
        let mut reply = Reply::default();
        socket
            .send(&ClientFrame::Attach {
                run: sent.run(),
                at: None,
                bytes: 0,
            })
            .await;
        socket.watch_until(sent.run(), &mut reply, 1).await;
        // what a cancel writes; the word to the worker is lost
        let run = sent.run();
        let asked = format!("update runs set cancel_requested = true where run_id = '{run}' and status = 1");
        assert_eq!(stack.execute(&asked).await, 1, "it is still being made");
        socket.watch_on(run, &mut reply).await;
        assert_eq!(
            (reply.status, reply.ends),
            (Some(Status::Cancelled), 1),
            "viewers"
        );
        let kept = committed(&client, session, sent.reply()).await;
        assert_eq!(
            (kept.status, kept.seq, kept.content.as_str()),
            (Status::Cancelled, reply.seq, reply.text.as_str()),
            "the feed"
        );
        assert!(kept.metadata["error"].is_null(), "{:?}", kept.metadata);
    }
}
