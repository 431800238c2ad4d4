//! Devices without a window against the real server: written anywhere, arrives once, and all of them converge.

use harness::{Client, DeviceClient, Passed, Person, Stack, holds, mutation, until};
use protocol::frame::HELLO_HEADER;
use protocol::mutation::{Op, RunMode};
use protocol::sync::Role;
use protocol::view::{Connection, Delivery};
use protocol::{Code, MessageId, SessionId, limits};
use std::path::Path;
use sync_client::driver::Quota;

async fn person(stack: &Stack) -> (Person, Client) {
    Person::join_natively(stack).await
}

/// What the person wrote, as the server has it.
async fn at_the_server(client: &Client, session: SessionId) -> Vec<String> {
    let history = client.history(session).await;
    history
        .messages
        .into_iter()
        .filter(|message| message.role == Role::User)
        .map(|message| message.content)
        .collect()
}

#[tokio::test]
async fn a_device_signs_up_confirms_and_talks() {
    let stack = Stack::start().await;
    let person = Person::fresh();
    let device = DeviceClient::fresh(&stack.url()).await;
    let password = protocol::auth::Password::typed(&person.password);
    device
        .sign_up(person.email.clone(), password)
        .await
        .expect("signing up");
    let code = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .code
        .expect("a code");
    let me = device
        .verify(person.email.clone(), code)
        .await
        .expect("confirming");
    assert_eq!(me.email, person.email);
    let session = device.create().await.expect("a session");
    device
        .send(session, "hello from a device")
        .await
        .expect("a message");
    device.wait_sent(session, "hello from a device").await;
    until("the reply here", async || {
        let messages = device.messages(session).await.ok()?;
        let reply = messages.iter().find(|message| message.role == Role::Assistant)?;
        (reply.status == protocol::run::Status::Complete && reply.content.contains("hello from a device"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_written_offline_arrives_once_when_the_server_is_back() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "before").await.expect("a message");
    device.wait_sent(session, "before").await;
    stack.server.kill();
    stack.server.gate().shut();
    device.wait_offline().await;
    for text in ["first in the dark", "second in the dark", "third in the dark"] {
        device.send(session, text).await.expect("written here");
        assert!(device.is_waiting(session, text).await, "{text} is shown at once");
    }
    stack.server.start_again().await;
    stack.server.gate().open();
    device.wait_sent(session, "third in the dark").await;
    let expected = [
        "before",
        "first in the dark",
        "second in the dark",
        "third in the dark",
    ];
    assert_eq!(
        at_the_server(&client, session).await,
        expected,
        "once each, in order"
    );
    until("the same here", async || {
        (device.own_texts(session).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_outlives_the_program_and_arrives_once() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "before").await.expect("a message");
    device.wait_sent(session, "before").await;
    stack.server.gate().shut();
    device.wait_offline().await;
    device
        .send(session, "through the night")
        .await
        .expect("written here");
    let device = device.restart(|_| {}).await;
    assert!(device.is_waiting(session, "through the night").await);
    assert_eq!(
        device.own_texts(session).await.len(),
        2,
        "what was read is here too"
    );
    stack.server.gate().open();
    device.wait_sent(session, "through the night").await;
    assert_eq!(
        at_the_server(&client, session).await,
        ["before", "through the night"]
    );
}

/// As a page does whose answer was lost on its way.
#[tokio::test]
async fn a_message_sent_again_by_its_id_is_one_message_while_it_waits_and_long_after() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let (session, id) = (device.create().await.expect("a session"), MessageId::fresh());
    stack.server.gate().shut();
    device.wait_offline().await;
    for _ in 0..2 {
        device.send_as(id, session, "once").await.expect("written here");
    }
    let other = device.send_as(id, session, "twice").await;
    assert_eq!(other.expect_err("another message").code, Code::MutationReuse);
    stack.server.gate().open();
    device.wait_sent(session, "once").await;
    until("the reply here", async || {
        (device.messages(session).await.ok()?.len() == 2).then_some(())
    })
    .await;
    let device = device.restart(|_| {}).await;
    device
        .send_as(id, session, "once")
        .await
        .expect("the same message");
    let nobodys: MessageId = "00000000-0000-0000-0000-000000000000".parse().expect("an id");
    let reply = device.messages(session).await.expect("messages")[1].id;
    for (id, text, why) in [
        (id, "twice", Code::MutationReuse),
        (reply, "once", Code::MutationReuse),
        (nobodys, "once", Code::Invalid),
    ] {
        let answer = device.send_as(id, session, text).await;
        assert_eq!(answer.expect_err("another message").code, why, "{text}");
    }
    assert_eq!(device.unsent().messages, 0, "nothing of it went out again");
    assert_eq!(at_the_server(&client, session).await, ["once"]);
}

/// The welcome names the head; a device that stands there has nothing to ask for.
#[tokio::test]
async fn a_device_that_missed_nothing_comes_back_by_its_socket_alone() {
    let stack = Stack::start().await;
    let (person, _) = person(&stack).await;
    let gate = stack.server.gate();
    let device = DeviceClient::of(&person, &stack.url()).await;
    gate.shut();
    device.wait_offline().await;
    let before = gate.passed();
    gate.open();
    device.wake();
    device.wait_online().await;
    let after = gate.passed();
    assert_eq!(after.connections - before.connections, 1);
    let asked = after.round_trips - before.round_trips;
    assert_eq!(asked, 1, "opening the socket, with the hello in it");
    let heads = gate.heads();
    let bytes = |passed: Passed| passed.inward + passed.outward;
    let frames = bytes(after) - bytes(before) - (heads.inward.len() + heads.outward.len()) as u64;
    let hello = heads.inward.lines().find(|line| line.starts_with(HELLO_HEADER));
    let said = frames + hello.expect("a hello").len() as u64 + 2;
    assert!(said < 300, "{said} bytes of hello and welcome, {heads:?}");
}

#[tokio::test]
async fn a_cut_network_duplicates_and_loses_nothing() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    let mut expected = Vec::new();
    for number in 0..30 {
        let text = format!("number {number}");
        device.send(session, &text).await.expect("written here");
        expected.push(text);
        if number % 3 == 0 {
            stack.server.gate().cut();
        }
    }
    device.wait_sent(session, "number 29").await;
    assert_eq!(at_the_server(&client, session).await, expected);
}

/// Writes noise over each file whose name begins so.
fn spoil(folder: &Path, name: &str) -> usize {
    let mut spoiled = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            spoiled += spoil(&path, name);
        } else if entry.file_name().to_string_lossy().starts_with(name) {
            let noise: Vec<u8> = (0..16_384).map(|_| rand::random()).collect();
            std::fs::write(&path, noise).expect("writing noise");
            spoiled += 1;
        }
    }
    spoiled
}

#[tokio::test]
async fn a_cache_full_of_noise_is_built_anew_and_the_outbox_is_untouched() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "on the server").await.expect("a message");
    device.wait_sent(session, "on the server").await;
    stack.server.gate().shut();
    device.wait_offline().await;
    device
        .send(session, "only in the outbox")
        .await
        .expect("written here");
    let device = device
        .restart(|folder| assert!(spoil(folder, "cache.db") > 0, "a cache to spoil"))
        .await;
    assert!(device.is_waiting(session, "only in the outbox").await);
    stack.server.gate().open();
    device.wait_online().await;
    device.wait_sent(session, "only in the outbox").await;
    assert_eq!(
        at_the_server(&client, session).await,
        ["on the server", "only in the outbox"]
    );
    until("the cache whole again", async || {
        let texts = device.own_texts(session).await;
        (texts == ["on the server", "only in the outbox"]).then_some(())
    })
    .await;
}

/// An account with some history: sessions of this many messages each, written elsewhere.
async fn with_history(client: &Client, sessions: usize, messages: usize) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for session in 0..sessions {
        let id = client.create_session(&format!("Volume {session}")).await;
        let said: Vec<_> = (0..messages)
            .map(|number| {
                mutation(Op::MessageCreate {
                    id: MessageId::fresh(),
                    session: id,
                    parent: None,
                    content: format!("page{number} of volume{session}"),
                    run: RunMode::Manual,
                })
            })
            .collect();
        for batch in said.chunks(limits::BATCH_OPS) {
            client.push(batch).await;
        }
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn everything_written_elsewhere_comes_to_the_device_and_is_found_there() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    // more sessions than a first page holds messages of, and longer ones than a page
    with_history(&client, 30, 130).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    until("all of it here", async || {
        (device.storage().await.ok()?.messages == 30 * 130).then_some(())
    })
    .await;
    stack.server.gate().shut();
    device.wait_offline().await;
    let found = device.search("page0 volume0", None).await.expect("a search");
    assert_eq!(
        found.count(),
        1,
        "the oldest page of the oldest volume: {found:?}"
    );
}

#[tokio::test]
async fn a_device_with_little_room_keeps_what_was_opened_last_and_loads_the_rest_when_it_is_wanted() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let sessions = with_history(&client, 30, 40).await;
    let quota = Quota::new(Quota::LEAST_BYTES, 500);
    let device = DeviceClient::of_within(quota, &person, &stack.url()).await;
    let held = async || device.storage().await.expect("its numbers");
    let is_here = async |session: SessionId| device.messages(session).await.expect("messages").len() == 40;
    until("the whole list, within the room there is", async || {
        let held = held().await;
        (held.sessions == 30 && (1..=500).contains(&held.messages)).then_some(())
    })
    .await;
    assert!(is_here(*sessions.last().expect("the newest")).await);
    assert!(!is_here(sessions[0]).await, "the oldest is in the list only");

    // opened one after the other, more than there is room for
    for session in sessions.iter().take(16) {
        device.show(*session).await.expect("a session of the list");
        until("it to be here", async || is_here(*session).await.then_some(())).await;
    }
    until("what was opened longest ago to be given up", async || {
        (held().await.messages <= 500).then_some(())
    })
    .await;
    assert!(is_here(sessions[15]).await, "the one before the person");
    assert!(!is_here(sessions[0]).await);
    let outcome = device.compare().await.expect("a comparison");
    assert_eq!(outcome, 0, "what is left is as it is on the server");

    // written without a network, it has a reason to stay and arrives
    device.show(sessions[0]).await.expect("opened again");
    until("it to be loaded again", async || {
        is_here(sessions[0]).await.then_some(())
    })
    .await;
    stack.server.gate().shut();
    device.wait_offline().await;
    device
        .send(sessions[0], "written without a network")
        .await
        .expect("written");
    stack.server.gate().open();
    device.wait_sent(sessions[0], "written without a network").await;
}

#[tokio::test]
async fn a_device_that_may_keep_less_gives_up_and_one_that_may_keep_more_loads() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    with_history(&client, 20, 40).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let held = async || device.storage().await.expect("its numbers").messages;
    until("all of it", async || (held().await == 800).then_some(())).await;
    device.limit(Quota::new(Quota::LEAST_BYTES, 500));
    until("what there is no room for to be given up", async || {
        (held().await <= 500).then_some(())
    })
    .await;
    assert_eq!(device.storage().await.expect("its numbers").most_messages, 500);
    device.limit(Quota::default());
    until("all of it again", async || (held().await == 800).then_some(())).await;
}

/// More often than a server may send a device back to the beginning.
#[tokio::test]
async fn what_a_person_clears_is_loaded_again_and_nothing_that_they_wrote_is_lost() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let sessions = with_history(&client, 3, 4).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    device.keep(sessions[0], true).await.expect("marked");
    for round in 0..6 {
        until(&format!("all of it, round {round}"), async || {
            let held = device.storage().await.ok()?;
            (held.sessions == 3 && held.messages == 12).then_some(())
        })
        .await;
        device.clear().await.expect("cleared");
    }
    stack.server.gate().shut();
    device.wait_offline().await;
    device
        .send(sessions[1], "written without a network")
        .await
        .expect("written");
    device.clear().await.expect("cleared");
    let held = device.storage().await.expect("its numbers");
    assert_eq!((held.sessions, held.messages), (0, 0));
    assert_eq!((held.waiting, held.kept), (1, 1));
    stack.server.gate().open();
    device.wait_sent(sessions[1], "written without a network").await;
    until("all the rest", async || {
        let held = device.storage().await.ok()?;
        // with what was written, and perhaps its answer
        (held.sessions == 3 && held.messages >= 13).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_to_stay_on_a_device_is_loaded_whole_and_never_given_up() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let sessions = with_history(&client, 16, 40).await;
    let quota = Quota::new(Quota::LEAST_BYTES, 500);
    let mut device = DeviceClient::of_within(quota, &person, &stack.url()).await;
    until("the whole list", async || {
        (device.storage().await.ok()?.sessions == 16).then_some(())
    })
    .await;
    let oldest = sessions[0];
    device.keep(oldest, true).await.expect("marked");
    // the second time its cache is gone as well, and nobody opens it any more
    for _ in 0..2 {
        until("all of it, whatever room there is", async || {
            (device.messages(oldest).await.ok()?.len() == 40).then_some(())
        })
        .await;
        for session in sessions.iter().skip(1).take(14) {
            device.show(*session).await.expect("a session of the list");
            until("it to be here", async || {
                (device.messages(*session).await.ok()?.len() == 40).then_some(())
            })
            .await;
        }
        until("what there is no room for to be given up", async || {
            (device.storage().await.ok()?.messages <= 500).then_some(())
        })
        .await;
        assert_eq!(device.messages(oldest).await.expect("messages").len(), 40);
        assert_eq!(device.storage().await.expect("its numbers").kept, 1);
        device = device
            .restart(|folder| std::fs::remove_file(folder.join("cache.db")).expect("the cache to lose"))
            .await;
    }
    until("the list again", async || {
        (device.storage().await.ok()?.sessions == 16).then_some(())
    })
    .await;
    device.keep(oldest, false).await.expect("let go of");
    assert_eq!(device.storage().await.expect("its numbers").kept, 0);
}

#[tokio::test]
async fn a_cache_that_differs_is_noticed_and_healed() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let ids = with_history(&client, 2, 20).await;
    let session = *ids.first().expect("a session");
    let device = DeviceClient::of(&person, &stack.url()).await;
    until("all of it here", async || {
        (device.storage().await.ok()?.messages == 40).then_some(())
    })
    .await;
    assert_eq!(device.compare().await.expect("a comparison"), 0);
    // a row goes, and the file still says that its stretch is whole
    let device = device
        .restart(|folder| {
            let cache = rusqlite::Connection::open(folder.join("cache.db")).expect("the cache");
            // the index is kept by triggers, which call the app's function; these texts come out of it as they are
            let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
            cache
                .create_scalar_function("segmented", 1, flags, |context| context.get::<String>(0))
                .expect("the app's function");
            let gone = cache
                .execute(
                    "delete from messages where session_id = ?1 and ord = 7",
                    [session.to_string()],
                )
                .expect("a row to delete");
            assert_eq!(gone, 1);
        })
        .await;
    device.wait_online().await;
    assert_eq!(
        device.own_texts(session).await.len(),
        19,
        "a hole that nobody sees"
    );
    assert_eq!(device.compare().await.expect("a comparison"), 1);
    until("the hole filled", async || {
        (device.own_texts(session).await.len() == 20).then_some(())
    })
    .await;
    assert_eq!(device.compare().await.expect("a comparison"), 0);
}

#[tokio::test]
async fn two_devices_that_wrote_apart_converge() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = person(&stack).await;
    let desk = DeviceClient::of(&person, &stack.url()).await;
    let laptop = DeviceClient::of(&person, &second.url()).await;
    let session = desk.create().await.expect("a session");
    desk.send(session, "together").await.expect("a message");
    desk.wait_sent(session, "together").await;
    until("the session on the laptop", async || {
        (laptop.list(false, usize::MAX).await.ok()?.len() == 1).then_some(())
    })
    .await;

    stack.server.gate().shut();
    second.gate().shut();
    desk.wait_offline().await;
    laptop.wait_offline().await;
    for number in 0..5 {
        desk.send(session, &format!("desk {number}"))
            .await
            .expect("written here");
        laptop
            .send(session, &format!("laptop {number}"))
            .await
            .expect("written there");
    }
    laptop
        .rename(session, "Named on the laptop")
        .await
        .expect("a title");
    let own = laptop.create().await.expect("another session");
    laptop.send(own, "only there so far").await.expect("a message");

    stack.server.gate().open();
    second.gate().open();
    for device in [&desk, &laptop] {
        device.wait_online().await;
        device.wait_sent(session, "desk 4").await;
        device.wait_sent(session, "laptop 4").await;
        device.wait_sent(own, "only there so far").await;
    }
    let truth = at_the_server(&client, session).await;
    assert_eq!(truth.len(), 11, "{truth:?}");
    for from in ["desk", "laptop"] {
        let in_order: Vec<&String> = truth.iter().filter(|text| text.starts_with(from)).collect();
        assert!(
            in_order.is_sorted(),
            "each device's own order stands: {in_order:?}"
        );
    }
    for device in [&desk, &laptop] {
        until("the same texts in the same order", async || {
            (device.own_texts(session).await == truth).then_some(())
        })
        .await;
        until("the same titles", async || {
            let rows = device.list(false, usize::MAX).await.ok()?;
            rows.iter()
                .any(|row| row.title == "Named on the laptop")
                .then_some(())
        })
        .await;
    }
    until("the same cursor", async || {
        let (one, other) = (desk.cursor().await.ok()??, laptop.cursor().await.ok()??);
        (one == other).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_into_a_session_deleted_elsewhere_keeps_its_text() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "before").await.expect("a message");
    device.wait_sent(session, "before").await;
    stack.server.gate().shut();
    device.wait_offline().await;
    device
        .send(session, "not to be lost")
        .await
        .expect("written here");
    let aside = stack.second_server().await;
    let delete = Op::SessionDelete { session };
    client.at(&aside.url()).write(delete).await;
    stack.server.gate().open();
    until("the text kept as not sent", async || {
        let messages = device.messages(session).await.ok()?;
        messages
            .iter()
            .any(|message| {
                message.content == "not to be lost" && matches!(message.delivery, Delivery::NotSent { .. })
            })
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restored_server_makes_the_device_start_afresh_and_give_back_what_was_lost() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    for text in ["one", "two", "three"] {
        device.send(session, text).await.expect("a message");
        device.wait_sent(session, text).await;
    }
    stack.server.gate().shut();
    device.wait_offline().await;
    // as after a backup from before the last message
    stack
        .execute(
            "delete from runs; delete from mutations where seq > (select seq from conversations where content = 'two');
             delete from conversations where ord > (select ord from conversations where content = 'two');
             update agent_sessions set last_ord = (select max(ord) from conversations);
             update sync_heads set epoch = gen_random_uuid()",
        )
        .await;
    stack.server.gate().open();
    until("the lost message back at the server", async || {
        (at_the_server(&client, session).await == ["one", "two", "three"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_device_signed_out_elsewhere_stops_and_keeps_what_was_written() {
    let stack = Stack::start().await;
    let (person, client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "before").await.expect("a message");
    device.wait_sent(session, "before").await;
    let id = device.me().expect("somebody signed in").device;
    client.revoke(id).await.succeeds();
    until("the device to know", async || {
        (device.connection() == Connection::SignedOut).then_some(())
    })
    .await;
    device.send(session, "after").await.expect("writing still works");
    assert_eq!(device.own_texts(session).await, ["before", "after"]);
    // signed in again, it goes out
    let password = protocol::auth::Password::typed(&person.password);
    device
        .sign_in(person.email.clone(), password)
        .await
        .expect("signing in again");
    device.wait_sent(session, "after").await;
    assert_eq!(at_the_server(&client, session).await, ["before", "after"]);
}

#[tokio::test]
async fn signing_out_wants_to_know_about_waiting_messages_and_then_wipes_all() {
    let stack = Stack::start().await;
    let (person, _client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    device.send(session, "already sent").await.expect("a message");
    device.wait_sent(session, "already sent").await;
    stack.server.gate().shut();
    device.wait_offline().await;
    device.send(session, "still waiting").await.expect("written here");
    let refused = device.sign_out(false).await.expect_err("messages wait");
    assert_eq!(refused.code, Code::OutboxNotEmpty);
    device.sign_out(true).await.expect("signing out");
    assert!(device.me().is_none());
    let folder = device.folder();
    until("nothing to be left", async || {
        (!holds(&folder, b"already sent") && !holds(&folder, b"still waiting")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tokens_are_renewed_before_they_end_and_a_long_night_signs_nobody_out() {
    let stack = Stack::start().await;
    let (person, _client) = person(&stack).await;
    let device = DeviceClient::of(&person, &stack.url()).await;
    let session = device.create().await.expect("a session");
    // the device sleeps for long: its access token is refused at the next request
    stack.server.gate().shut();
    device.wait_offline().await;
    stack.server.stop().await;
    stack.server.start_again().await;
    stack.server.gate().open();
    device.wake();
    device.wait_online().await;
    device.send(session, "awake").await.expect("a message");
    device.wait_sent(session, "awake").await;
}
