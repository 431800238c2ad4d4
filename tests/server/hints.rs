//! How a device hears that there is something new: what is small comes as it is, what is large as a number, and what no hint
//! told of is found all the same.

use harness::{Client, Person, Socket, Stack, until};
use protocol::frame::ServerFrame;
use protocol::limits::PUSH_BYTES;
use protocol::sync::{Change, Cursor, Seq};
use protocol::{SessionId, UserId, routes};

/// A counter of a node; what was never counted is not there.
async fn counter(client: &Client, name: &str) -> u64 {
    let metrics = client.get(routes::METRICS).await.text();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a count"))
}

/// Renames a session behind everybody's back: the row and the head as a write leaves them, and no hint.
async fn change_unheard(stack: &Stack, user: UserId, session: SessionId) {
    let renamed = stack
        .execute(&format!(
            "with head as (update sync_heads set head_seq = head_seq + 1 where user_id = '{user}' returning head_seq)
             update agent_sessions set title = 'Unheard', seq = (select head_seq from head)
             where user_id = '{user}' and id = '{session}'"
        ))
        .await;
    assert_eq!(renamed, 1, "the session is there");
}

/// What the device reads once it asks.
async fn titles_since(client: &Client, cursor: Cursor) -> Vec<String> {
    let pages = client.pull_all(cursor, 500).await;
    let changes = pages.into_iter().flat_map(|page| page.changes);
    changes
        .filter_map(|change| match change {
            Change::Session(session) => Some(session.title),
            _ => None,
        })
        .collect()
}

fn head_in(frame: &ServerFrame) -> Option<Seq> {
    match frame {
        ServerFrame::Head { seq, .. } => Some(*seq),
        _ => None,
    }
}

fn head_in_ping(frame: &ServerFrame) -> Option<Seq> {
    match frame {
        ServerFrame::Ping { head, .. } => Some(*head),
        _ => None,
    }
}

#[tokio::test]
async fn a_page_of_more_than_sixteen_kib_is_told_as_a_number_and_any_smaller_comes_as_it_is() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Large and small").await;
    let mut socket = Socket::open(&client).await;
    for (text, is_pushed) in [
        ("small".to_owned(), true),
        // the page that carries it is larger than it
        ("x".repeat(PUSH_BYTES), false),
        ("x".repeat(PUSH_BYTES - 2 * 1024), true),
        // short, and long as JSON
        ("\u{1}".repeat(PUSH_BYTES / 4), false),
    ] {
        client.note(session, &text).await;
        let head = client.bootstrap().await.as_of.seq;
        let was_pushed = socket
            .find("the note", |frame| match frame {
                ServerFrame::Sync(page) => {
                    let bytes = serde_json::to_string(&page).expect("a page").len();
                    assert!(bytes <= PUSH_BYTES, "{bytes} bytes were pushed");
                    (page.to.seq == head).then_some(true)
                }
                ServerFrame::Head { seq, .. } => (seq == head).then_some(false),
                _ => None,
            })
            .await;
        assert_eq!(was_pushed, is_pushed, "a text of {} bytes", text.len());
    }
}

#[tokio::test]
async fn what_was_written_while_redis_was_cut_off_is_told_once_it_is_back() {
    let stack = Stack::builder().with_gates().start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let mut there = Socket::open(&laptop).await;
    let before = laptop.bootstrap().await.as_of;
    stack.redis_gate().shut();
    desk.create_session("Nobody hears of it").await;
    until("the hint to be lost", async || {
        (counter(&desk, "hint_dropped_total").await > 0).then_some(())
    })
    .await;
    stack.redis_gate().open();
    let told = there.find("where the head is", |frame| head_in(&frame)).await;
    let head = desk.bootstrap().await.as_of.seq;
    assert_eq!(told, head);
    assert_eq!(counter(&laptop, "hint_lost_total").await, 1);
    assert_eq!(titles_since(&laptop, before).await, ["Nobody hears of it"]);
}

/// Twice: found by the look at the database that every node takes each half a minute, and by somebody else who came first.
#[tokio::test]
async fn a_change_that_no_hint_told_of_is_found_within_half_a_minute() {
    let stack = Stack::start().await;
    let found_by_looking = async {
        let (_, client) = Person::join_natively(&stack).await;
        let session = client.create_session("Looked for").await;
        let mut socket = Socket::open(&client).await;
        let before = client.bootstrap().await.as_of;
        change_unheard(&stack, client.me().await.user, session).await;
        let told = socket.find_in_time("a frame with the head", head_in).await;
        assert_eq!(told, before.seq + 1);
        assert_eq!(titles_since(&client, before).await, ["Unheard"]);
    };
    let found_by_another = async {
        let (person, client) = Person::join_natively(&stack).await;
        let other = person.native(&stack, "Laptop").await;
        let session = client.create_session("Seen by another").await;
        let mut socket = Socket::open(&client).await;
        let before = client.bootstrap().await.as_of;
        change_unheard(&stack, client.me().await.user, session).await;
        // the node reads the head for the one who comes, and so has no reason to look for it any more
        let welcome = Socket::open(&other).await.welcome.expect("a welcome");
        assert_eq!(welcome.head.seq, before.seq + 1);
        let told = socket.find_in_time("a ping", head_in_ping).await;
        assert_eq!(told, before.seq + 1, "every ping says where the head is");
    };
    tokio::join!(found_by_looking, found_by_another);
    let (_, client) = Person::join_natively(&stack).await;
    assert!(counter(&client, "hint_lost_total").await >= 1, "it is counted");
}
