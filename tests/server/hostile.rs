//! Clients that mean no good, or are broken: what they do ends with them.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use harness::{Client, Person, SESSION_COOKIE, Socket, Stack, browser, mutation, soon, until, within};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::frame::{ClientFrame, ServerFrame, close};
use protocol::limits::ATTACHED_RUNS;
use protocol::mutation::{Mutation, Op, OpResult, RunMode};
use protocol::sync::Cursor;
use protocol::{Code, MessageId, RunId, SessionId, routes};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sockets that one person may hold on one node.
const PER_USER: usize = 64;
/// Takes longer than any test waits.
const ENDLESS: &str =
    "/slow 2000ms one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

fn message(session: SessionId, text: String, run: RunMode) -> Mutation {
    mutation(Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content: text,
        run,
    })
}

/// Lets this process and the servers that it starts have so many files open.
fn allow_open_files(count: usize) {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    assert!(
        most > count as u64 + 1_000,
        "only {most} open files are allowed here: raise the hard limit"
    );
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("raising it");
}

/// Browsers of so many people, as they are when all of them have signed in. Nobody waits for their passwords and letters.
async fn crowd(stack: &Stack, size: usize) -> Vec<Client> {
    let (_, pattern) = Person::join(stack).await;
    let device = pattern.me().await.device;
    let secrets: Vec<String> = (0..size).map(|place| format!("{place:043}")).collect();
    let people = format!(
        "insert into users (email, email_key, email_verified)
         select a, a, now() from (select 'crowd.' || n || '@example.org' as a from generate_series(1, {size}) n) them"
    );
    stack.execute(&people).await;
    let devices = format!(
        "insert into sessions
         select (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'user_id', u.id, 'session_token',
                   encode(sha256(convert_to(lpad((row_number() over () - 1)::text, 43, '0'), 'UTF8')), 'hex')))).*
           from sessions s, users u where s.id = '{device}' and u.email_key like 'crowd.%'"
    );
    assert_eq!(stack.execute(&devices).await, size as u64);
    let with_cookie = |secret: &String| {
        let client = browser(stack);
        client.put_cookie(SESSION_COOKIE, secret);
        // past the gate, which would hold two files more for each
        client.at(&format!("http://{}", stack.server.own_address()))
    };
    secrets.iter().map(with_cookie).collect()
}

#[tokio::test]
async fn ten_thousand_sockets_that_never_say_hello_are_closed_and_others_do_not_feel_them() {
    const MANY: usize = 10_000;
    allow_open_files(MANY);
    let stack = Stack::start().await;
    let crowd = crowd(&stack, MANY.div_ceil(PER_USER)).await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let mut calm = Socket::open(&neighbour).await;
    let session = neighbour.create_session("Undisturbed").await;
    let silent = futures_util::stream::iter(0..MANY)
        .map(|place| Socket::connect(&crowd[place % crowd.len()]))
        .buffer_unordered(50)
        .map(|socket| {
            let mut socket = socket.expect("a socket");
            tokio::spawn(async move { socket.closed().await })
        })
        .collect::<Vec<_>>();
    let talking = async {
        let run = neighbour.say(session, "quick").await.run();
        calm.watch(run).await;
    };
    let (silent, ()) = tokio::join!(silent, talking);
    let codes = join_all(silent).await;
    assert_eq!(codes.len(), MANY);
    for code in codes {
        assert_eq!(code.expect("a watcher"), close::NO_HELLO);
    }
    let run = neighbour.say(session, "and after").await.run();
    calm.watch(run).await;
    Socket::open(&client).await;
}

/// BoundedMemory: all ten thousand are held at once, and each costs little until its time is over.
#[tokio::test]
async fn ten_thousand_connections_that_say_half_a_request_are_closed_and_others_do_not_feel_them() {
    const MANY: usize = 10_000;
    /// KiB of an unoptimised server; an idle and signed-in socket may take as much.
    const EACH: u64 = 32;
    allow_open_files(MANY);
    let stack = Stack::start().await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let mut calm = Socket::open(&neighbour).await;
    let session = neighbour.create_session("Undisturbed").await;
    let before = stack.server.memory();
    let half = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
        routes::SOCKET
    );
    let silent: Vec<TcpStream> = futures_util::stream::iter(0..MANY)
        .map(async |_| {
            let connecting = TcpStream::connect(stack.server.own_address());
            let mut stream = connecting.await.expect("a connection");
            stream.write_all(half.as_bytes()).await.expect("half a request");
            stream
        })
        .buffer_unordered(50)
        .collect()
        .await;
    let run = neighbour.say(session, "quick").await.run();
    calm.watch(run).await;
    let held = stack.server.memory().saturating_sub(before);
    assert!(held < MANY as u64 * EACH, "{held} KiB for {MANY} connections");
    let mut answer = [0; 64];
    for mut stream in silent {
        // an answer that says so, or none; then the end
        let ended = async { while let Ok(1..) = stream.read(&mut answer).await {} };
        soon("the end of a connection", ended).await;
    }
    let run = neighbour.say(session, "and after").await.run();
    calm.watch(run).await;
}

/// BoundedMemory: what is held for sockets that hear nothing of all that happens. The library's own buffers would take 128 KiB for each.
#[tokio::test]
async fn a_socket_that_is_open_and_idle_costs_less_than_sixty_four_kib() {
    const PEOPLE: usize = 4;
    /// KiB of an unoptimised server.
    const EACH: u64 = 64;
    allow_open_files(1_000);
    let stack = Stack::start().await;
    let joining = (0..PEOPLE).map(|_| Person::join_natively(&stack));
    let clients: Vec<Client> = join_all(joining)
        .await
        .into_iter()
        .map(|(_, client)| client.at(&format!("http://{}", stack.server.own_address())))
        .collect();
    // what the first of a kind costs is not the others'
    for client in &clients {
        drop(Socket::open(client).await);
    }
    let before = stack.server.memory();
    let opening = clients
        .iter()
        .flat_map(|client| (0..PER_USER - 1).map(|_| Socket::open(client)));
    let open = join_all(opening).await;
    let held = stack.server.memory().saturating_sub(before);
    assert!(
        held < open.len() as u64 * EACH,
        "{held} KiB for {} sockets",
        open.len()
    );
}

/// As many devices of one person as hear everything and take nothing of it.
const UNREAD: usize = 8;
/// KiB that the server may hold more because of them, all together: a frame on its way to each, the texts of sixty-four replies once,
/// and what an unoptimised server takes for its work. A queue for each would hold many times as much.
const HELD: u64 = UNREAD as u64 * 2 * 1024 + 64 * 256 + 8 * 1024;

/// A long reply that all of these would see.
async fn say_at_length(client: &Client, session: SessionId, unread: &mut [Socket]) {
    let run = client.say(session, "/long 200kb").await.run();
    for socket in unread {
        let (at, bytes) = (None, 0);
        let attach = serde_json::to_string(&ClientFrame::Attach { run, at, bytes });
        // some may be closed already
        let _ = socket.send_text(&attach.expect("a frame")).await;
    }
}

/// BoundedMemory: the queue of one who reads nothing ends at its bound, and the socket with it.
#[tokio::test]
async fn who_reads_nothing_is_let_go_of_while_others_are_served_and_finds_all_of_it_afterwards() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let mut calm = Socket::open(&neighbour).await;
    let quiet = neighbour.create_session("Undisturbed").await;
    let session = client.create_session("Much").await;
    let long = client.create_session("Long").await;
    // they hear of everything and take nothing from the line
    let mut unread = join_all((0..UNREAD).map(|_| Socket::open(&client))).await;
    let (mut written, mut before, mut most) = (0, None, 0);
    within(
        Duration::from_mins(1),
        "the slow reader to be closed",
        async || {
            let text = "Words that nobody reads. ".repeat(500);
            let batch = (0..50).map(|_| message(session, text.clone(), RunMode::Manual));
            let answer = client.push(&batch.collect::<Vec<_>>()).await;
            written += answer.results.len();
            say_at_length(&client, long, &mut unread).await;
            let run = neighbour.say(quiet, "quick").await.run();
            calm.watch(run).await;
            // what the first of a kind costs is not theirs
            let memory = stack.server.memory();
            most = most.max(memory.saturating_sub(*before.get_or_insert(memory)));
            let metrics = client.get(routes::METRICS).await.text();
            let closed = format!("sockets_closed_total{{code=\"{}\"}}", close::SLOW_CONSUMER);
            metrics.contains(&closed).then_some(())
        },
    )
    .await;
    drop(unread);
    assert!(most < HELD, "{most} KiB more for {UNREAD} who read nothing");
    let last = client.session(session).await.last_ord;
    assert_eq!(usize::try_from(last).ok(), Some(written));
    let welcome = Socket::open(&client).await.welcome.expect("a welcome");
    assert_eq!(welcome.head, client.bootstrap().await.as_of);
}

#[tokio::test]
async fn more_frames_than_fifty_a_second_are_too_many_even_if_each_is_right() {
    let stack = Stack::builder().with("RATE_LIMIT_FACTOR", "1").start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut loud = Socket::open(&client).await;
    for n in 0..200 {
        let frame = format!("{{\"t\":\"pong\",\"n\":{n}}}");
        if loud.send_text(&frame).await.is_err() {
            break;
        }
    }
    assert_eq!(loud.closed().await, close::RATE_LIMITED);
}

#[tokio::test]
async fn a_person_has_sixty_four_sockets_and_one_more_is_closed_and_no_other() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let mut open = join_all((0..PER_USER).map(|_| Socket::open(&client))).await;
    let mut one_more = Socket::connect(&client).await.expect("a socket");
    one_more
        .send(&ClientFrame::Hello {
            ticket: None,
            cursor: None,
            enc: Vec::new(),
        })
        .await;
    assert_eq!(one_more.closed().await, close::TOO_MANY);
    Socket::open(&neighbour).await;
    client.create_session("Felt by all").await;
    for socket in &mut open {
        socket
            .find("the change", |frame| {
                matches!(frame, ServerFrame::Sync(_) | ServerFrame::Head { .. }).then_some(())
            })
            .await;
    }
}

/// All that one has may come back at once, and not more: the rest would be memory and file handles for whoever wants to take them.
#[tokio::test]
async fn sixty_four_sockets_of_a_person_may_wait_to_say_hello_and_one_more_is_refused() {
    let stack = Stack::start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let tablet = person.browser(&stack).await;
    let (_, neighbour) = Person::join_natively(&stack).await;
    let silent = join_all((0..PER_USER).map(|_| Socket::connect(&client))).await;
    let mut silent: Vec<Socket> = silent
        .into_iter()
        .map(|socket| socket.expect("a socket"))
        .collect();
    let path = routes::session_socket(client.create_session("One more").await);
    assert_eq!(Socket::refusal(&client, routes::SOCKET, None).await, 429);
    assert_eq!(
        Socket::refusal(&client, &path, None).await,
        429,
        "of whatever kind"
    );
    let origin = Some(tablet.origin());
    assert_eq!(
        Socket::refusal(&tablet, routes::SOCKET, origin).await,
        429,
        "from wherever"
    );
    Socket::open(&neighbour).await;
    // one that is greeted makes room for one
    let mut greeted = silent.pop().expect("a socket");
    let hello = ClientFrame::Hello {
        ticket: None,
        cursor: None,
        enc: Vec::new(),
    };
    greeted.send(&hello).await;
    assert!(matches!(greeted.next().await, Ok(ServerFrame::Welcome { .. })));
    let mut last = Socket::connect(&client).await.expect("a socket");
    assert_eq!(Socket::refusal(&client, routes::SOCKET, None).await, 429);
    assert_eq!(last.closed().await, close::NO_HELLO);
    for socket in &mut silent {
        assert_eq!(socket.closed().await, close::NO_HELLO);
    }
    Socket::open(&client).await;
}

#[tokio::test]
async fn a_person_s_long_polls_are_counted_with_their_sockets() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let head = client.bootstrap().await.as_of;
    let mut open = join_all((0..PER_USER).map(|_| Socket::open(&client))).await;
    let polled = format!("{}?cursor={head}&wait=20", routes::SYNC);
    let refused = client.get(&polled).await;
    assert_eq!((refused.status, refused.problem().code), (429, Code::RateLimited));
    assert_eq!(refused.problem().limit, Some(PER_USER as u64));
    let at_once = client.get(&format!("{}?cursor={head}", routes::SYNC)).await;
    assert_eq!(at_once.status, 200, "what does not wait is answered");
    open.truncate(1);
    until("room for one that waits", async || {
        let polled = client
            .get(&format!("{}?cursor={head}&wait=1", routes::SYNC))
            .await;
        (polled.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_socket_watches_sixty_four_replies_and_is_refused_one_more() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let mut runs: Vec<RunId> = Vec::new();
    while runs.len() <= ATTACHED_RUNS {
        let batch: Vec<Mutation> = (0..13)
            .flat_map(|_| {
                let id = SessionId::fresh();
                let title = String::new();
                let create = mutation(Op::SessionCreate { id, title });
                [create, message(id, ENDLESS.to_owned(), RunMode::Auto)]
            })
            .collect();
        let answer = client.push(&batch).await;
        runs.extend(answer.results.iter().filter_map(|outcome| match &outcome.result {
            OpResult::Applied { run, .. } => *run,
            _ => None,
        }));
    }
    let mut socket = Socket::open(&client).await;
    for run in runs.iter().take(ATTACHED_RUNS + 1) {
        socket.attach(*run).await;
    }
    let code = socket
        .find("a refusal", |frame| match frame {
            ServerFrame::Refused { code, .. } => Some(code),
            _ => None,
        })
        .await;
    assert_eq!(code, Code::TooLarge);
    // it goes on, and one less makes room
    let last = runs.get(ATTACHED_RUNS).copied().expect("one more");
    socket.send(&ClientFrame::Detach { run: runs[0] }).await;
    socket.attach(last).await;
    socket
        .find("its text", |frame| {
            matches!(frame, ServerFrame::Delta { run, .. } if run == last).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_hello_from_another_history_or_from_the_future_is_told_the_true_head() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    client.create_session("Here").await;
    let head = client.bootstrap().await.as_of;
    let epoch = uuid::Uuid::now_v7();
    for wrong in [
        Cursor { epoch, ..head },
        Cursor {
            seq: i64::MAX,
            ..head
        },
    ] {
        let socket = Socket::open_from(&client, Some(wrong)).await;
        assert_eq!(socket.welcome.map(|welcome| welcome.head), Some(head), "{wrong}");
    }
}
