//! The small protocol of one session: history, a message in, deltas and a complete reply out.

use harness::{Client, Person, Socket, Stack};
use protocol::run::Status;
use protocol::session_socket::{Answer, Ask, Line};
use protocol::sync::Role;
use protocol::{Code, MessageId, MutationId, SessionId, limits, routes};

async fn open(client: &Client, session: SessionId) -> (Socket, Vec<Line>) {
    let origin = client.is_browser().then(|| client.origin().to_owned());
    let mut socket = Socket::connect_as(client, &routes::session_socket(session), origin.as_deref())
        .await
        .expect("a socket");
    match socket.next_as().await {
        Answer::History { messages } => (socket, messages),
        other => panic!("history first, not {other:?}"),
    }
}

fn message(content: &str) -> Ask {
    Ask::UserMessage {
        content: content.to_owned(),
        mutation: None,
    }
}

/// Joins the deltas up to the complete reply.
async fn reply(socket: &mut Socket) -> (MessageId, String, Status) {
    let mut joined = String::new();
    loop {
        match socket.next_as().await {
            Answer::AssistantMessageDelta { content, .. } => joined.push_str(&content),
            Answer::AssistantMessageComplete { id, content, status } => {
                assert!(
                    content.starts_with(&joined),
                    "the deltas lead to the whole: {joined:?} {content:?}"
                );
                return (id, content, status);
            }
            Answer::History { .. } => {}
            Answer::Error { code, detail } => panic!("{code}: {detail}"),
        }
    }
}

#[tokio::test]
async fn a_script_talks_with_a_session() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Script").await;
    let (mut socket, history) = open(&client, session).await;
    assert!(history.is_empty());
    socket.send(&message("hello there")).await;
    let (id, content, status) = reply(&mut socket).await;
    assert_eq!(status, Status::Complete);
    assert!(
        content.contains("hello there"),
        "the echo agent answers with what was said: {content}"
    );

    let (_, history) = open(&client, session).await;
    let lines: Vec<(Role, &str)> = history
        .iter()
        .map(|line| (line.role, line.content.as_str()))
        .collect();
    assert_eq!(
        lines,
        [(Role::User, "hello there"), (Role::Assistant, content.as_str())]
    );
    assert_eq!(history.get(1).map(|line| line.id), Some(id));
}

#[tokio::test]
async fn a_browser_may_use_it_with_its_cookie_from_its_own_site() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let session = client.create_session("Browser").await;
    let (mut socket, _) = open(&client, session).await;
    socket.send(&message("from a page")).await;
    reply(&mut socket).await;
    let path = routes::session_socket(session);
    assert_eq!(
        Socket::refusal(&client, &path, Some("https://evil.example")).await,
        403
    );
    assert_eq!(Socket::refusal(&client, &path, None).await, 403);
}

#[tokio::test]
async fn a_named_message_sent_twice_is_said_once() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Twice").await;
    let ask = Ask::UserMessage {
        content: "just once".to_owned(),
        mutation: Some(MutationId::fresh()),
    };
    let (mut socket, _) = open(&client, session).await;
    socket.send(&ask).await;
    reply(&mut socket).await;
    let (mut again, history) = open(&client, session).await;
    let first = history.last().map(|line| line.id);
    again.send(&ask).await;
    let (repeated, ..) = reply(&mut again).await;
    assert_eq!(Some(repeated), first, "the same message has the same reply");
    again.send(&message("and another")).await;
    let (fresh, ..) = reply(&mut again).await;
    assert_ne!(Some(fresh), first);
    let user: Vec<String> = client
        .history(session)
        .await
        .messages
        .into_iter()
        .filter(|message| message.role == Role::User)
        .map(|message| message.content)
        .collect();
    assert_eq!(user, ["just once", "and another"]);
}

#[tokio::test]
async fn a_bad_frame_is_answered_in_words() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Bad frames").await;
    let (mut socket, _) = open(&client, session).await;
    for ask in [message(""), message(" \n ")] {
        socket.send(&ask).await;
        match socket.next_as().await {
            Answer::Error { code, .. } => assert_eq!(code, Code::Invalid),
            other => panic!("an empty message is refused: {other:?}"),
        }
    }
    // the largest message is a message, and a longer one is refused by its length
    let largest = "x".repeat(limits::MESSAGE_BYTES);
    socket.send(&message(&largest)).await;
    // an echo of it is longer than a reply may be, so how it ends is not the point
    reply(&mut socket).await;
    let history = client.history(session).await;
    assert!(history.messages.iter().any(|kept| kept.content == largest));
    socket.send(&message(&"x".repeat(300_000))).await;
    match socket.next_as().await {
        Answer::Error { code, detail } => {
            assert_eq!(code, Code::TooLarge, "{detail}");
            let limit = format!("{} KiB", limits::MESSAGE_BYTES / 1024);
            assert!(detail.contains(&limit), "the limit is named: {detail}");
        }
        other => panic!("a message over the limit is refused: {other:?}"),
    }
    // the socket is still good
    socket.send(&message("short again")).await;
    reply(&mut socket).await;
    // a frame that no message could need closes it, well written as it is
    let huge = message(&"x".repeat(limits::SESSION_FRAME_BYTES));
    let _ = socket
        .send_text(&serde_json::to_string(&huge).expect("JSON"))
        .await;
    let code = socket.closed().await;
    assert!([protocol::frame::close::PROTOCOL, 1006].contains(&code), "{code}");

    let (mut socket, _) = open(&client, session).await;
    socket.send_text("no json").await.expect("a frame");
    match socket.next_text().await {
        Ok(text) => assert!(
            matches!(serde_json::from_str(&text), Ok(Answer::Error { .. })),
            "{text}"
        ),
        Err(code) => assert_eq!(code, protocol::frame::close::PROTOCOL),
    }
}

#[tokio::test]
async fn a_long_history_comes_as_far_as_one_frame_holds() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Long").await;
    let (mut socket, _) = open(&client, session).await;
    let mut replies = Vec::new();
    for _ in 0..5 {
        socket.send(&message("/long 250kb")).await;
        let (id, content, _) = reply(&mut socket).await;
        assert!(content.len() > 200_000, "{}", content.len());
        replies.push(id);
    }
    let (mut socket, history) = open(&client, session).await;
    let bytes = serde_json::to_string(&history).map_or(0, |json| json.len());
    assert!(bytes <= limits::HISTORY_BYTES, "{bytes}");
    let told: Vec<MessageId> = history
        .iter()
        .filter(|line| line.role == Role::Assistant)
        .map(|line| line.id)
        .collect();
    assert!((3..5).contains(&told.len()), "{}", told.len());
    assert!(
        replies.ends_with(&told),
        "the newest, in their order: {told:?} of {replies:?}"
    );
    // and the socket is good for more
    socket.send(&message("go on")).await;
    reply(&mut socket).await;
}

#[tokio::test]
async fn a_message_at_its_worst_comes_back_whole() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Worst").await;
    // each of these takes six bytes in JSON
    let worst = "\u{1}".repeat(limits::MESSAGE_BYTES);
    client.note(session, &worst).await;
    client.note(session, &worst).await;
    let (_, history) = open(&client, session).await;
    assert_eq!(history.len(), 1, "the newest alone");
    assert!(history.iter().all(|line| line.content == worst));
}

#[tokio::test]
async fn a_device_that_is_signed_out_loses_it() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Signed out").await;
    let (mut socket, _) = open(&client, session).await;
    client.sign_out().await.succeeds();
    assert_eq!(socket.closed().await, protocol::frame::close::REVOKED);
}

#[tokio::test]
async fn there_is_no_socket_without_a_session_or_a_sign_in() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    assert_eq!(
        Socket::refusal(&client, &routes::session_socket(SessionId::fresh()), None).await,
        404
    );
    let session = client.create_session("Mine").await;
    let stranger = Client::native(&stack.url());
    assert_eq!(
        Socket::refusal(&stranger, &routes::session_socket(session), None).await,
        401
    );
}
