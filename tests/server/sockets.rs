//! Who gets a socket, and what becomes of one that breaks the rules.

use harness::{Client, Person, Socket, Stack, soon, until};
use protocol::frame::{ClientFrame, SUBPROTOCOL, ServerFrame, close};
use protocol::{RunId, limits, routes};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_credential_in_the_address_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let token = client.tokens().access_token;
    for query in [
        format!("token={token}"),
        format!("access_token={token}"),
        "token=x".to_owned(),
    ] {
        let path = format!("{}?{query}", routes::SOCKET);
        assert_eq!(Socket::refusal(&client, &path, None).await, 400, "{query}");
        let session = client.create_session("Small").await;
        let path = format!("{}?{query}", routes::session_socket(session));
        assert_eq!(Socket::refusal(&client, &path, None).await, 400, "{query}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_socket() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let foreign = [
        Some("https://evil.example"),
        Some("null"),
        Some("http://localhost"),
        Some("http://127.0.0.1"),
        Some("http://127.0.0.1.evil.example"),
        None,
    ];
    for origin in foreign {
        assert_eq!(
            Socket::refusal(&client, routes::SOCKET, origin).await,
            403,
            "{origin:?}"
        );
    }
    Socket::open(&client).await;
}

#[tokio::test]
async fn a_stranger_gets_no_further_than_hello() {
    let stack = Stack::start().await;
    let stranger = Client::native(&stack.url());
    let status = Socket::refusal(&stranger, routes::SOCKET, None).await;
    assert!(status == 401 || status == 403, "{status}");
    let browser = Client::browser(&stack.url(), &stack.url());
    let origin = stack.url();
    match Socket::connect_as(&browser, routes::SOCKET, Some(&origin)).await {
        Ok(mut socket) => {
            socket
                .send(&ClientFrame::Hello {
                    ticket: Some("made-up".to_owned()),
                    cursor: None,
                    enc: Vec::new(),
                })
                .await;
            let code = socket.closed().await;
            assert!(code / 100 == 42 || code / 100 == 43, "{code}");
        }
        Err(error) => assert!(error.to_string().contains("401"), "{error}"),
    }
}

#[tokio::test]
async fn the_welcome_says_where_the_head_is_to_a_device_that_is_behind_and_to_one_that_is_not() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let before = client.bootstrap().await.as_of;
    client.create_session("While it was away").await;
    let head = client.bootstrap().await.as_of;
    for at in [before, head] {
        let socket = Socket::open_from(&client, Some(at)).await;
        assert_eq!(socket.welcome.map(|welcome| welcome.head), Some(head), "{at}");
    }
    assert!(head.seq > before.seq);
}

#[tokio::test]
async fn a_hello_in_the_request_is_answered_before_anything_else_is_said() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Large").await;
    let hello = br#"{"t":"hello","enc":["zstd"]}"#;
    let mut socket = Socket::greet(&client, &[hello]).await;
    let first = socket.next().await;
    let head = client.bootstrap().await.as_of;
    assert!(
        matches!(&first, Ok(ServerFrame::Welcome { head: at, .. }) if *at == head),
        "{first:?}"
    );
    // a client that could not know says it again
    socket
        .send_text(std::str::from_utf8(hello).expect("text"))
        .await
        .expect("a frame");
    client
        .note(session, &"What it offered is heard too. ".repeat(100))
        .await;
    socket
        .find("the message", |frame| {
            matches!(frame, ServerFrame::Sync(_)).then_some(())
        })
        .await;
    assert_eq!(socket.packed, 1);
    let run = client.say(session, "still here?").await.run();
    socket.watch(run).await;
}

#[tokio::test]
async fn a_bad_hello_closes_alike_in_the_request_and_as_the_first_frame() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let long = format!(
        "{{\"t\":\"hello\",\"ticket\":\"{}\"}}",
        "x".repeat(limits::HELLO_BYTES)
    );
    let bad = [
        ("no json", close::PROTOCOL),
        ("", close::PROTOCOL),
        (r#"["hello"]"#, close::PROTOCOL),
        (long.as_str(), close::PROTOCOL),
        (r#"{"t":"pong","n":1}"#, close::NO_HELLO),
        (r#"{"t":"from.the.future"}"#, close::NO_HELLO),
        (r#"{"t":"hello","cursor":"nowhere"}"#, close::NO_HELLO),
    ];
    for (hello, code) in bad {
        let mut by_header = Socket::greet(&client, &[hello.as_bytes()]).await;
        let mut by_frame = Socket::connect(&client).await.expect("a socket");
        by_frame.send_text(hello).await.expect("a frame");
        let codes = (by_header.closed().await, by_frame.closed().await);
        assert_eq!(codes, (code, code), "{hello:?}");
    }
    let hello: &[u8] = br#"{"t":"hello"}"#;
    let mut twice = Socket::greet(&client, &[hello, hello]).await;
    assert_eq!(twice.closed().await, close::PROTOCOL);
}

#[tokio::test]
async fn a_hello_in_the_request_lets_no_browser_off_its_ticket() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let mut without = Socket::greet(&client, &[br#"{"t":"hello"}"#]).await;
    assert_eq!(without.closed().await, close::NO_HELLO);
    let ticket = person.browser(&stack).await.ticket().await;
    let hello = format!("{{\"t\":\"hello\",\"ticket\":\"{ticket}\"}}");
    let mut with_anothers = Socket::greet(&client, &[hello.as_bytes()]).await;
    assert_eq!(with_anothers.closed().await, close::TOKEN_EXPIRED);
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let ticket = client.ticket().await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::connect(&client).await.expect("a socket");
        socket
            .send(&ClientFrame::Hello {
                ticket: Some(ticket.clone()),
                cursor: None,
                enc: Vec::new(),
            })
            .await;
        codes.push(
            socket
                .next()
                .await
                .map(|frame| matches!(frame, ServerFrame::Welcome { .. })),
        );
    }
    assert_eq!(codes.first(), Some(&Ok(true)));
    assert!(
        matches!(codes.get(1), Some(Err(code)) if code / 100 == 42 || code / 100 == 43),
        "{codes:?}"
    );
}

#[tokio::test]
async fn a_ticket_opens_no_socket_of_another_device() {
    let stack = Stack::start().await;
    let (person, client) = Person::join(&stack).await;
    let other = person.browser(&stack).await;
    let mut socket = Socket::connect(&other).await.expect("a socket");
    socket
        .send(&ClientFrame::Hello {
            ticket: Some(client.ticket().await),
            cursor: None,
            enc: Vec::new(),
        })
        .await;
    assert_eq!(socket.closed().await, close::TOKEN_EXPIRED);
}

#[tokio::test]
async fn a_socket_without_hello_is_closed_after_five_seconds() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let mut socket = Socket::connect(&client).await.expect("a socket");
    let begun = Instant::now();
    assert_eq!(socket.closed().await, close::NO_HELLO);
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(12)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_large_first_frame_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let mut socket = Socket::connect(&client).await.expect("a socket");
    let huge = "x".repeat(limits::HELLO_BYTES * 2);
    let _ = socket
        .send_text(&format!("{{\"t\":\"hello\",\"ticket\":\"{huge}\"}}"))
        .await;
    assert_eq!(socket.closed().await, close::PROTOCOL);
}

#[tokio::test]
async fn a_frame_that_is_no_json_closes_with_protocol() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for text in ["no json", "", "{", "[", "\u{0}", "{\"t\":"] {
        let mut socket = Socket::open(&client).await;
        socket.send_text(text).await.expect("a frame");
        assert_eq!(socket.closed().await, close::PROTOCOL, "{text:?}");
    }
}

#[tokio::test]
async fn a_frame_of_an_unknown_kind_is_passed_over() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut socket = Socket::open(&client).await;
    socket
        .send_text("{\"t\":\"from.the.future\",\"x\":1}")
        .await
        .expect("a frame");
    socket
        .send_text("{\"t\":\"run.detach\",\"run\":\"018f0000-0000-7000-8000-000000000001\",\"more\":true}")
        .await
        .expect("a frame");
    // it still answers
    socket.attach(RunId::fresh()).await;
    socket
        .find("a refusal", |frame| {
            matches!(frame, ServerFrame::Refused { .. }).then_some(())
        })
        .await;
}

#[tokio::test]
async fn ten_megabytes_of_frames_close_one_socket_and_trouble_nobody_else() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let mut calm = Socket::open(&neighbour).await;
    let mut loud = Socket::open(&client).await;
    // a thousand of them, which is twenty seconds' worth: however slow the machine, they are too many
    let frame = format!("{{\"t\":\"x\",\"fill\":\"{}\"}}", "x".repeat(10_000));
    let mut sent = 0;
    while sent < 10 * 1024 * 1024 {
        if loud.send_text(&frame).await.is_err() {
            break;
        }
        sent += frame.len();
    }
    assert_eq!(loud.closed().await, close::RATE_LIMITED);
    let session = neighbour.create_session("Undisturbed").await;
    let run = neighbour.say(session, "quick").await.run();
    calm.watch(run).await;
}

#[tokio::test]
async fn one_frame_over_the_limit_closes_the_socket() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut socket = Socket::open(&client).await;
    // well written and of an unknown kind: nothing but its length is wrong with it
    let fill = "x".repeat(limits::FRAME_BYTES);
    let _ = socket
        .send_text(&format!("{{\"t\":\"from.the.future\",\"fill\":\"{fill}\"}}"))
        .await;
    assert_eq!(socket.closed().await, close::PROTOCOL);
}

/// A reset would take the close frame from whoever has not read it yet.
#[tokio::test]
async fn who_is_still_sending_a_frame_over_the_limit_is_told_why_it_ends_and_may_send_the_rest() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut stream = TcpStream::connect(stack.server.own_address())
        .await
        .expect("a connection");
    let token = client.tokens().access_token;
    let opening = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {token}\r\n\r\n",
        routes::SOCKET
    );
    stream.write_all(opening.as_bytes()).await.expect("asked");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = soon("the handshake", stream.read_u8()).await.expect("an answer");
        answer.push(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    // masked by nothing (RFC 6455 §5.2)
    let length = limits::FRAME_BYTES as u64 + 1;
    let head = [[0x81, 0xff].as_slice(), &length.to_be_bytes(), &[0; 4]].concat();
    let piece = vec![b'x'; limits::FRAME_BYTES / 8];
    // far more of it lies there than is looked at before it is refused
    stack.server.freeze();
    stream.write_all(&head).await.expect("the head");
    stream.write_all(&piece).await.expect("some of the rest");
    stack.server.thaw();
    let mut last_words = [0; 4];
    soon("the close frame", stream.read_exact(&mut last_words))
        .await
        .expect("a close frame");
    let [high, low] = close::PROTOCOL.to_be_bytes();
    assert_eq!(last_words, [0x88, 2, high, low]);
    for _ in 0..7 {
        stream.write_all(&piece).await.expect("the rest");
    }
    stream.shutdown().await.expect("the end");
    let mut more = Vec::new();
    soon("their end", stream.read_to_end(&mut more))
        .await
        .expect("an end and no reset");
    assert!(more.is_empty(), "{more:?}");
}

#[tokio::test]
async fn a_renewed_token_is_taken_in_band_and_anothers_is_not() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let mut socket = Socket::open(&client).await;
    let token = client.refresh().await.access_token;
    socket.send(&ClientFrame::Auth { token }).await;
    let expires_in = socket
        .find("the renewal", |frame| match frame {
            ServerFrame::AuthOk { expires_in } => Some(expires_in),
            _ => None,
        })
        .await;
    assert!(expires_in > 60);
    socket
        .send(&ClientFrame::Auth {
            token: stranger.tokens().access_token,
        })
        .await;
    assert_eq!(socket.closed().await, close::REVOKED);
}

#[tokio::test]
async fn a_server_that_goes_down_says_so_first() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut socket = Socket::open(&client).await;
    let (code, ()) = tokio::join!(stack.server.stop(), async {
        socket
            .find("the drain", |frame| {
                matches!(frame, ServerFrame::Drain { .. }).then_some(())
            })
            .await;
        let code = socket.closed().await;
        assert!(
            code / 100 == 40 || code == 1006 || code == 1001 || code == 1005,
            "{code}"
        );
    });
    assert_eq!(code, Some(0), "it ended cleanly");
}

#[tokio::test]
async fn a_server_that_goes_down_is_unready_first_then_lets_devices_leave_then_closes_who_stays() {
    let stack = Stack::builder()
        .with("DRAIN_AFTER", "1")
        .with("DRAIN_WITHIN", "2")
        .start()
        .await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Last words").await;
    let mut staying = Socket::open(&client).await;
    let path = routes::session_socket(session);
    let mut small = Socket::connect_as(&client, &path, None).await.expect("a socket");
    let (code, ()) = tokio::join!(stack.server.stop(), async {
        until("the server to be unready", async || {
            (client.get(routes::READY).await.status == 503).then_some(())
        })
        .await;
        // until the balancer has noticed, everything is served as ever
        let late = Socket::open(&client).await;
        let run = client.say(session, "still here?").await.run();
        staying.watch(run).await;
        drop(late);
        let within = staying
            .find("the drain", |frame| match frame {
                ServerFrame::Drain { within_ms } => Some(within_ms),
                _ => None,
            })
            .await;
        assert_eq!(within, 2_000);
        // others open their sockets elsewhere from now on, while requests are still answered
        assert_eq!(Socket::refusal(&client, routes::SOCKET, None).await, 503);
        client.me().await;
        let told = Instant::now();
        let (stayed, closed) = tokio::join!(staying.closed(), small.closed());
        assert_eq!((stayed, closed), (close::DRAIN, close::DRAIN));
        assert!(
            told.elapsed() >= Duration::from_millis(1_500),
            "they had their time"
        );
    });
    assert_eq!(code, Some(0), "it ended cleanly");
}

/// How long Redis keeps each ticket that it has, in seconds.
async fn lives_of_tickets(stack: &Stack) -> Vec<i64> {
    let settings = stack.settings();
    let setting = |wanted: &str| {
        let found = settings.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| (*value).to_owned()).expect("a setting")
    };
    let client = redis::Client::open(setting("REDIS_URL")).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let tickets: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}ticket:*", setting("REDIS_PREFIX")))
        .query_async(&mut connection)
        .await
        .expect("keys");
    let mut lives = Vec::new();
    for ticket in tickets {
        let seconds: i64 = redis::cmd("TTL")
            .arg(&ticket)
            .query_async(&mut connection)
            .await
            .expect("a time to live");
        lives.push(seconds);
    }
    lives
}

#[tokio::test]
async fn a_ticket_is_good_for_half_a_minute_and_for_nothing_once_it_is_gone() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let ticket = client.ticket().await;
    let lives = lives_of_tickets(&stack).await;
    assert!(
        matches!(lives.as_slice(), [seconds] if (1..=30).contains(seconds)),
        "{lives:?}"
    );
    stack.forget_redis().await;
    let mut socket = Socket::connect(&client).await.expect("a socket");
    socket
        .send(&ClientFrame::Hello {
            ticket: Some(ticket),
            cursor: None,
            enc: Vec::new(),
        })
        .await;
    assert_eq!(socket.closed().await, close::TOKEN_EXPIRED);
}
