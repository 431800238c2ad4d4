//! Runs in bad times: whose worker is gone, whose session is gone, that somebody stopped while nobody could hear it.

use futures_util::future::join_all;
use harness::{Person, Reply, Socket, Stack, until, within};
use protocol::frame::ServerFrame;
use protocol::mutation::Op;
use protocol::run::Status;
use protocol::sync::Change;
use protocol::{RunId, routes};
use std::time::Duration;

/// Goes on for longer than any test waits.
const ENDLESS: &str =
    "/slow 1s a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r";

#[tokio::test]
async fn runs_that_lost_their_session_hold_nobody_up() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (gone, kept) = (
        client.create_session("Gone").await,
        client.create_session("Kept").await,
    );
    let orphan = client.say(gone, ENDLESS).await.run();
    client.say(gone, "waits behind it").await;
    let sent = client.say(kept, ENDLESS).await;
    stack.server.kill();
    // a tombstone that left its messages and runs behind, more than one look takes in, and all of them lost before the other
    let orphans = format!(
        "update agent_sessions set deleted_at = now() where id = '{gone}';
         insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, status, run_id, content)
         select user_id, gen_random_uuid(), agent_session_id, 1000000 + n, 1000000 + n, 1000 + n, 'assistant', 1,
                gen_random_uuid(), 'left behind'
         from conversations, generate_series(1, 150) n where run_id = '{orphan}';
         insert into runs (user_id, run_id, session_id, message_id, prompt_id, attempt, status, owner_node)
         select user_id, run_id, agent_session_id, id, id, 1, 1, 'nobody' from conversations where seq > 1000000;
         update runs set lease_until = now() - case when session_id = '{gone}' then interval '2 hours' else interval '1 hour' end
         where status = 1"
    );
    stack.execute(&orphans).await;

    let second = stack.second_server().await;
    let survivor = client.at(&second.url());
    let ended = survivor.committed(kept, sent.reply()).await;
    assert_eq!(ended.status, Status::Interrupted, "{ended:?}");
    until("the orphans to be gone", async || {
        let left = "select count(*) from runs where status in (0, 1)";
        (stack.number(left).await == 0).then_some(())
    })
    .await;
    let text =
        format!("select count(*) from conversations where agent_session_id = '{gone}' and content <> ''");
    assert_eq!(
        stack.number(&text).await,
        0,
        "no text of a deleted session is left"
    );
}

#[tokio::test]
async fn a_run_that_waits_in_a_session_that_is_gone_is_not_begun() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Gone").await;
    client.say(session, ENDLESS).await;
    client.say(session, "waits behind it").await;
    stack.server.kill();
    let waits_alone = format!(
        "update agent_sessions set deleted_at = now() where id = '{session}'; delete from runs where status = 1"
    );
    stack.execute(&waits_alone).await;
    let _second = stack.second_server().await;
    until("the run that waits to be gone", async || {
        (stack.number("select count(*) from runs").await == 0).then_some(())
    })
    .await;
    assert!(!stack.logs().contains("ended a run that lost its worker"));
}

#[tokio::test]
async fn lost_runs_are_ended_and_leases_renewed_while_redis_gives_no_answer() {
    let stack = Stack::builder().with_gates().start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let lost = join_all((0..16).map(async |number| {
        let session = client.create_session(&format!("Lost {number}")).await;
        (session, client.say(session, ENDLESS).await.reply())
    }))
    .await;
    stack.server.kill();
    let second = stack.second_server().await;
    let survivor = client.at(&second.url());
    let own = survivor.create_session("Own").await;
    let own = survivor.say(own, ENDLESS).await.run();
    let lease = format!("select extract(epoch from lease_until)::bigint from runs where run_id = '{own}'");
    let begun = stack.number(&lease).await;
    stack.redis_gate().slow(Duration::from_mins(10));
    stack
        .execute(&format!(
            "update runs set lease_until = now() - interval '1 hour' where run_id <> '{own}'"
        ))
        .await;
    // one look after at most five seconds, and one answer of Redis's waited for
    within(
        Duration::from_secs(12),
        "sixteen lost runs to be ended",
        async || {
            let left =
                "select count(*) from runs where status = 1 and lease_until < now() - interval '1 minute'";
            (stack.number(left).await == 0).then_some(())
        },
    )
    .await;
    until("the lease of the run that is alive to be renewed", async || {
        (stack.number(&lease).await > begun).then_some(())
    })
    .await;
    stack.redis_gate().open();
    for (session, reply) in lost {
        assert_eq!(
            survivor.committed(session, reply).await.status,
            Status::Interrupted
        );
    }
}

#[tokio::test]
async fn a_reply_that_was_stopped_ends_as_stopped_although_its_worker_never_heard_of_it() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for text in [
        // shorter than a lease is renewed, and long enough for what happens below on a busy machine
        "/slow 300ms one two three four five six",
        "/slow 500ms /fail one two three",
    ] {
        let session = client.create_session("Stop").await;
        let mut socket = Socket::open(&client).await;
        let sent = client.say(session, text).await;
        let mut reply = Reply::default();
        socket.attach(sent.run()).await;
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
        let kept = client.committed(session, sent.reply()).await;
        assert_eq!(
            (kept.status, kept.seq, kept.content.as_str()),
            (Status::Cancelled, reply.seq, reply.text.as_str()),
            "the feed"
        );
        assert!(kept.metadata["error"].is_null(), "{:?}", kept.metadata);
    }
}

#[tokio::test]
async fn a_worker_whose_run_is_over_or_another_attempts_keeps_and_finishes_nothing() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (ended, short, long) = (
        client.create_session("Ended").await,
        client.create_session("Short").await,
        client.create_session("Long").await,
    );
    // of the one so much is said that it is kept again and again: 96 bytes at a time
    let much = "𝄞".repeat(40_000);
    client.say(long, &format!("/slow 10ms {much}")).await;
    let kept =
        "select coalesce(sum(octet_length(ck_text)), 0)::bigint from runs where octet_length(ck_text) > 8000";
    until("the long one to be kept once", async || {
        (stack.number(kept).await > 0).then_some(())
    })
    .await;
    // the others are over before anything of them is kept, and only finished
    let ended = client.say(ended, "/slow 1s one two three").await.run();
    client.say(short, "/slow 1s one two three").await;
    // somebody else has ended the one and has the others now, and their workers have not heard of it
    let interrupted = Status::Interrupted.number();
    let taken = format!("update runs set status = {interrupted} where run_id = '{ended}' and status = 1");
    assert_eq!(stack.execute(&taken).await, 1, "it was being made");
    let taken = "update runs set attempt = attempt + 1 where status = 1";
    assert_eq!(stack.execute(taken).await, 2, "both were being made");
    let before = stack.number(kept).await;
    // ends every worker: those who are at it still finish, or keep what they have as interrupted
    assert_eq!(stack.server.stop().await, Some(0));
    assert_eq!(stack.number(kept).await, before, "nothing more was kept");
    let left =
        "select count(*) from runs r join conversations m on m.user_id = r.user_id and m.id = r.message_id
                where r.attempt + r.status > 2 and m.status = 1 and m.content = ''";
    assert_eq!(stack.number(left).await, 3, "none was finished");
}

#[tokio::test]
async fn a_worker_stops_once_a_renewal_says_that_its_run_is_somebody_elses() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Elsewhere").await;
    client.say(session, ENDLESS).await;
    let taken = "update runs set owner_node = 'another' where status = 1";
    assert_eq!(stack.execute(taken).await, 1, "it was being made");
    // two looks, five seconds apart
    within(Duration::from_secs(15), "its worker to stop", async || {
        let metrics = client.get(routes::METRICS).await.text();
        metrics.contains("runs_total{status=\"lost\"} 1").then_some(())
    })
    .await;
    let left = "select count(*) from runs where status = 1 and owner_node = 'another'";
    assert_eq!(stack.number(left).await, 1, "and leaves it as it is");
}

/// Its viewers look for it again, and must not keep a node of one thread from everything else while they do.
#[tokio::test]
async fn a_run_that_is_lost_under_its_viewers_stops_no_node() {
    let stack = Stack::builder().with("TOKIO_WORKER_THREADS", "1").start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Elsewhere").await;
    let mut socket = Socket::open(&client).await;
    let sent = client.say(session, ENDLESS).await;
    let mut reply = begin_to_watch(&mut socket, sent.run()).await;
    let taken = "update runs set owner_node = 'another' where status = 1";
    assert_eq!(stack.execute(taken).await, 1, "it was being made");
    within(Duration::from_secs(15), "its worker to stop", async || {
        let metrics = client.get(routes::METRICS).await.text();
        metrics.contains("runs_total{status=\"lost\"} 1").then_some(())
    })
    .await;
    // whoever watches is told by the next one who holds it
    let ended = "update runs set status = 5 where status = 1";
    assert_eq!(stack.execute(ended).await, 1);
    socket.watch_on(sent.run(), &mut reply).await;
    assert_eq!(reply.status, Some(Status::Interrupted));
}

#[tokio::test]
async fn a_session_that_is_deleted_under_its_viewers_stops_no_node() {
    let stack = Stack::start().await;
    let second = stack.second_server_with("TOKIO_WORKER_THREADS", "1").await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = desk.create_session("Short-lived").await;
    let sent = desk.say(session, ENDLESS).await;
    let mut socket = Socket::open(&laptop).await;
    begin_to_watch(&mut socket, sent.run()).await;
    desk.write(Op::SessionDelete { session }).await;
    let is_it = |change: &Change| matches!(change, Change::SessionGone { id, .. } if *id == session);
    socket
        .find("the deletion", |frame| match frame {
            ServerFrame::Sync(page) => page.changes.iter().any(is_it).then_some(()),
            ServerFrame::Head { .. } => Some(()),
            _ => None,
        })
        .await;
    // whoever asks the node is answered, and a reply begun there is watched to its end
    let other = laptop.create_session("Goes on").await;
    let sent = laptop.say(other, "quick").await;
    assert_eq!(socket.watch(sent.run()).await.status, Some(Status::Complete));
}

/// Watches from its beginning, until there is text.
async fn begin_to_watch(socket: &mut Socket, run: RunId) -> Reply {
    socket.attach(run).await;
    let mut reply = Reply::default();
    socket.watch_until(run, &mut reply, 1).await;
    reply
}

#[tokio::test]
async fn after_redis_lost_its_data_a_follower_asks_the_database_now_and_then_only() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let session = desk.create_session("Forgetful").await;
    let mut here = Socket::open(&desk).await;
    let words: Vec<String> = (0..60).map(|number| format!("word-{number}")).collect();
    let sent = desk
        .say(session, &format!("/slow 50ms {}", words.join(" ")))
        .await;
    let mut reply = Reply::default();
    here.attach(sent.run()).await;
    here.watch_until(sent.run(), &mut reply, 40).await;
    stack.forget_redis().await;
    let mut there = Socket::open(&laptop).await;
    let followed = there.watch(sent.run()).await;
    assert_eq!(followed.status, Some(Status::Complete));
    let kept = laptop.committed(session, sent.reply()).await;
    assert!(kept.content.contains("word-59"), "{}", kept.content);
    let metrics = laptop.get(routes::METRICS).await.text();
    let asked = metrics
        .lines()
        .find_map(|line| line.strip_prefix("run_rewind_total ")?.parse::<u64>().ok());
    assert!(
        asked.is_some_and(|asked| (1..=4).contains(&asked)),
        "three seconds, asked {asked:?} times"
    );
}
