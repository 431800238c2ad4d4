//! Large frames go packed to clients that say that they take such, and nobody sends the server any.

use harness::{DeviceClient, Person, Socket, Stack, until};
use protocol::frame::{Encoding, ServerFrame, close};
use protocol::routes;
use protocol::run::Status;
use protocol::sync::Change;
use protocol::view::Connection;

/// Some kilobytes that shrink well, and still fit a push.
fn words() -> String {
    "Words of a message that is not short. ".repeat(200)
}

async fn pushed(socket: &mut Socket) -> String {
    socket
        .find("the message", |frame| {
            let ServerFrame::Sync(page) = frame else {
                return None;
            };
            page.changes.into_iter().find_map(|change| match change {
                Change::Message(message) => Some(message.content),
                _ => None,
            })
        })
        .await
}

#[tokio::test]
async fn a_large_page_comes_packed_to_who_offers_it_and_as_text_to_all_others() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut packed = Socket::open_packed(&client).await;
    let mut plain = Socket::open(&client).await;
    let session = client.create_session("Large").await;
    client.note(session, &words()).await;
    assert_eq!((pushed(&mut packed).await, packed.packed), (words(), 1));
    assert_eq!((pushed(&mut plain).await, plain.packed), (words(), 0));
    client.note(session, "a short one").await;
    assert_eq!(pushed(&mut packed).await, "a short one");
    assert_eq!(packed.packed, 1, "what is small is text");
    // and so is a reply
    let sent = client.say(session, "/long 100kb").await;
    let reply = packed.watch(sent.run()).await;
    assert_eq!(reply.status, Some(Status::Complete));
    let kept = client.committed(session, sent.reply()).await;
    assert_eq!(kept.content, reply.text);
}

#[tokio::test]
async fn a_device_takes_what_comes_packed() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = client.create_session("Large").await;
    client.note(session, &words()).await;
    until("the message on the device", async || {
        let texts = device.own_texts(session).await;
        (texts == [words()]).then_some(())
    })
    .await;
    assert_eq!(device.connection(), Connection::Online);
    let metrics = client.get(routes::METRICS).await.text();
    assert!(metrics.contains("frames_packed_total"), "{metrics}");
}

#[tokio::test]
async fn a_binary_frame_closes_the_socket_that_it_came_by() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let bomb = zstd::bulk::compress(&vec![b' '; 64 * 1024 * 1024], 1).expect("a bomb");
    let bomb = [&[Encoding::ZSTD][..], &bomb].concat();
    let frame = zstd::bulk::compress(br#"{"t":"pong","n":1}"#, 1).expect("a frame");
    let frame = [&[Encoding::ZSTD][..], &frame].concat();
    for bytes in [
        &bomb[..],
        &frame,
        b"{\"t\":\"pong\",\"n\":1}",
        &[Encoding::ZSTD],
        &[],
    ] {
        for mut socket in [Socket::open(&client).await, Socket::open_packed(&client).await] {
            socket.send_binary(bytes).await.expect("a frame");
            assert_eq!(socket.closed().await, close::PROTOCOL, "{} bytes", bytes.len());
        }
    }
}
