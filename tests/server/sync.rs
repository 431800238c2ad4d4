//! The change feed: dense, ordered, honest about where a device stands, the same by every way of reading it.

use futures_util::future::join_all;
use harness::{Client, DeviceClient, Person, Socket, Stack, mutation, until};
use protocol::frame::ServerFrame;
use protocol::mutation::{Op, OpResult, RunMode};
use protocol::sync::{
    Change, Cursor, Digest, Message, ResetReason, Session, SyncPage, VerifyAnswer, VerifyAsk, row_hash,
};
use protocol::{Code, MessageId, SessionId, limits, routes};
use std::collections::BTreeMap;

/// A device's rows, by the rules that devices keep: a row gives way only to a newer one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    pub sessions: BTreeMap<SessionId, Session>,
    pub messages: BTreeMap<MessageId, Message>,
}

impl Rows {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Session(session) => self.put_session(session),
            Change::Message(message) => self.put_message(message),
            Change::SessionGone { id, .. } => {
                self.sessions.remove(id);
                self.messages.retain(|_, message| message.session != *id);
            }
        }
    }

    fn put_session(&mut self, session: &Session) {
        if self
            .sessions
            .get(&session.id)
            .is_none_or(|own| own.seq < session.seq)
        {
            self.sessions.insert(session.id, session.clone());
        }
    }

    fn put_message(&mut self, message: &Message) {
        if self
            .messages
            .get(&message.id)
            .is_none_or(|own| own.seq < message.seq)
        {
            self.messages.insert(message.id, message.clone());
        }
    }
}

/// Where a device with nothing stands.
async fn beginning(client: &Client) -> Cursor {
    Cursor {
        epoch: client.bootstrap().await.as_of.epoch,
        seq: 0,
    }
}

#[track_caller]
fn check_page(page: &SyncPage, from: Cursor) {
    assert_eq!(page.from, from);
    let mut last = from.seq;
    for change in &page.changes {
        assert!(change.seq() > last, "ascending by seq: {page:?}");
        last = change.seq();
    }
    assert!(last <= page.to.seq && page.to.seq <= page.head, "{page:?}");
    assert_eq!(page.more, page.to.seq < page.head, "{page:?}");
}

/// All that a device gets which begins with nothing, each page checked.
pub async fn everything(client: &Client, limit: usize) -> Rows {
    let mut rows = Rows::default();
    let mut at = beginning(client).await;
    for page in client.pull_all(at, limit).await {
        check_page(&page, at);
        page.changes.iter().for_each(|change| rows.apply(change));
        at = page.to;
    }
    rows
}

/// Twelve messages, by turns into the shared session and one of the writer's own.
async fn write_much(client: Client, shared: SessionId, writer: usize) {
    let own = client.create_session(&format!("Of writer {writer}")).await;
    for number in 0..12 {
        let session = if number % 2 == 0 { shared } else { own };
        client.note(session, &format!("{writer}.{number}")).await;
    }
}

/// PrefixVisibility, DenseSeq and OrdContiguous, on two real servers.
#[tokio::test]
async fn eight_writers_at_once_leave_no_hole_and_no_repeat() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (_, client) = Person::join_natively(&stack).await;
    let elsewhere = client.at(&second.url());
    let shared = client.create_session("Shared").await;
    let writers = join_all((0..8).map(|writer| {
        let client = if writer % 2 == 0 {
            client.clone()
        } else {
            elsewhere.clone()
        };
        write_much(client, shared, writer)
    }));
    // while they write, every page that shows a number shows all before it
    let reading = async {
        let start = beginning(&client).await;
        let (mut at, mut rows) = (start, Rows::default());
        let mut seen = 0;
        while seen < 8 * 12 {
            let page: SyncPage = elsewhere.pull(at).await.expect();
            check_page(&page, at);
            page.changes.iter().for_each(|change| rows.apply(change));
            at = page.to;
            seen = rows.messages.len();
            let snapshot = everything(&client, 500).await;
            for (id, message) in &snapshot.messages {
                let own = rows.messages.get(id);
                assert!(
                    message.seq > at.seq || own.is_some_and(|own| own.seq >= message.seq),
                    "passed over {message:?}"
                );
            }
        }
        rows
    };
    let (_, read) = tokio::join!(writers, reading);

    let whole = everything(&client, 500).await;
    assert_eq!(
        read.messages, whole.messages,
        "the reader who followed has what the late one gets"
    );
    let holes = "select coalesce(sum(holes), 0)::bigint from (
        select max(ord) - count(*) + (min(ord) - 1) as holes from conversations group by user_id, agent_session_id) h";
    assert_eq!(stack.number(holes).await, 0, "ords are 1..n");
    let stale = "select count(*) from agent_sessions s where last_ord <>
        (select count(*) from conversations c where c.user_id = s.user_id and c.agent_session_id = s.id)";
    assert_eq!(stack.number(stale).await, 0);
}

/// Writes down every number that a row ever got: rows keep only their last.
const NOTING: &str = "create table given (user_id uuid, seq bigint);
    create function note_given() returns trigger language plpgsql as $$
    begin
        if tg_op = 'INSERT' or new.seq is distinct from old.seq then
            insert into given values (new.user_id, new.seq);
        end if;
        return null;
    end $$;
    create trigger given after insert or update on agent_sessions for each row execute function note_given();
    create trigger given after insert or update on conversations for each row execute function note_given();";

/// DenseSeq: the numbers of what was committed are 1 to the head, each once, whoever writes and whatever is refused.
#[tokio::test]
async fn every_seq_up_to_the_head_was_given_out_once() {
    let stack = Stack::start().await;
    stack.execute(NOTING).await;
    let (_, client) = Person::join_natively(&stack).await;
    let shared = client.create_session("Dense").await;
    join_all((0..8).map(|writer| {
        let client = client.clone();
        async move {
            for number in 0..6 {
                client.note(shared, &format!("{writer} {number}")).await;
                let own = client.create_session("Of one writer").await;
                client.note(own, "/long 2").await;
                let title = format!("{writer} renamed it");
                let rename = |base| Op::SessionRename {
                    session: own,
                    title: title.clone(),
                    base,
                };
                // The second is refused or superseded, and takes no number that nobody gets.
                client.push(&[mutation(rename(1)), mutation(rename(0))]).await;
                client.push(&[mutation(Op::SessionDelete { session: own })]).await;
                client.push(&[mutation(Op::SessionDelete { session: own })]).await;
            }
        }
    }))
    .await;
    let head = stack.number("select max(head_seq) from sync_heads").await;
    assert!(head > 8 * 6 * 4, "{head}");
    let given = stack.number("select count(*) from given").await;
    assert_eq!(given, head, "as many as the head says");
    let different = stack
        .number("select count(distinct seq) from given where seq between 1 and (select max(head_seq) from sync_heads)")
        .await;
    assert_eq!(different, head, "each once");
}

#[tokio::test]
async fn a_mutation_sent_many_times_has_one_effect_and_one_outcome() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let session = client.create_session("Once").await;
    let write = mutation(Op::MessageCreate {
        id: MessageId::fresh(),
        session,
        parent: None,
        content: "Only once".to_owned(),
        run: RunMode::Auto,
    });
    let answers = join_all((0..10).map(|_| client.push(std::slice::from_ref(&write)))).await;
    let outcomes: Vec<&OpResult> = answers.iter().map(|answer| &answer.results[0].result).collect();
    assert!(
        outcomes.iter().all(|outcome| *outcome == outcomes[0]),
        "{outcomes:?}"
    );
    assert!(
        matches!(
            outcomes[0],
            OpResult::Applied {
                run: Some(_),
                reply: Some(_),
                ..
            }
        ),
        "{outcomes:?}"
    );
    assert_eq!(
        client.history(session).await.messages.len(),
        2,
        "the message and its reply"
    );
    assert_eq!(stack.number("select count(*) from runs").await, 1);
}

#[tokio::test]
async fn the_same_mutation_id_with_other_content_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let first = mutation(Op::SessionCreate {
        id: SessionId::fresh(),
        title: "First".to_owned(),
    });
    let mut other = mutation(Op::SessionCreate {
        id: SessionId::fresh(),
        title: "Other".to_owned(),
    });
    other.id = first.id;
    client.push(std::slice::from_ref(&first)).await;
    let answer = client.push(&[other]).await;
    assert!(
        matches!(&answer.results[0].result, OpResult::Refused { problem, .. } if problem.code == Code::MutationReuse),
        "{answer:?}"
    );
    let again = client.push(&[first]).await;
    assert!(matches!(again.results[0].result, OpResult::Applied { .. }));
    assert_eq!(client.sessions().await.len(), 1);
}

#[tokio::test]
async fn a_refused_mutation_is_refused_the_same_way_again() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Title").await;
    let base = client.session(id).await.title_seq;
    client
        .write(Op::SessionRename {
            session: id,
            title: "Newer".to_owned(),
            base,
        })
        .await;
    let late = mutation(Op::SessionRename {
        session: id,
        title: "Late".to_owned(),
        base: 0,
    });
    let first = client.push(std::slice::from_ref(&late)).await;
    let second = client.push(&[late]).await;
    assert_eq!(first.results, second.results);
}

#[tokio::test]
async fn a_cursor_of_another_epoch_is_reset() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    client.create_session("Before the restore").await;
    let at = client.bootstrap().await.as_of;
    client.pull(at).await.succeeds();
    let foreign = Cursor {
        epoch: uuid::Uuid::now_v7(),
        seq: at.seq,
    };
    assert_eq!(
        client.pull(foreign).await.refused(Code::Reset).reason,
        Some(ResetReason::Epoch)
    );
    stack
        .execute("update sync_heads set epoch = gen_random_uuid()")
        .await;
    assert_eq!(
        client.pull(at).await.refused(Code::Reset).reason,
        Some(ResetReason::Epoch)
    );
}

#[tokio::test]
async fn an_answer_to_writes_names_the_history_that_they_are_in() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = SessionId::fresh();
    let create = mutation(Op::SessionCreate {
        id,
        title: "Before the restore".to_owned(),
    });
    let unread = mutation(Op::SessionRename {
        session: id,
        title: String::new(),
        base: 0,
    });
    // applied, answered from the ledger, refused by a second look, refused unasked, and nothing at all
    let missing = mutation(Op::SessionDelete {
        session: SessionId::fresh(),
    });
    let batches = [&[create.clone()][..], &[create], &[missing], &[unread], &[]];
    let before = client.bootstrap().await.as_of.epoch;
    for batch in batches {
        assert_eq!(client.push(batch).await.epoch, before, "{batch:?}");
    }
    stack
        .execute("update sync_heads set epoch = gen_random_uuid()")
        .await;
    let after = client.bootstrap().await.as_of.epoch;
    assert_ne!(after, before);
    for batch in batches {
        assert_eq!(client.push(batch).await.epoch, after, "{batch:?}");
    }
}

/// Isolation, by writes.
#[tokio::test]
async fn a_mutation_id_of_somebody_elses_is_ones_own() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let theirs = owner.create_session("Private").await;
    let write = |session| {
        let mut write = mutation(Op::MessageCreate {
            id: MessageId::fresh(),
            session,
            parent: None,
            content: "Not yours".to_owned(),
            run: RunMode::Manual,
        });
        write.id = protocol::MutationId(theirs.0);
        write
    };
    let first = write(theirs);
    let accepted = owner.push(std::slice::from_ref(&first)).await.results;
    // the same again by another is about a session that is not there, and tells no outcome of the owner's
    let answer = stranger.push(std::slice::from_ref(&first)).await;
    assert!(
        matches!(&answer.results[0].result, OpResult::Refused { problem, .. } if problem.code == Code::NotFound),
        "{answer:?}"
    );
    // and under the same id they write of their own
    let own = stranger.create_session("Mine").await;
    let answer = stranger.push(&[write(own)]).await;
    assert!(
        matches!(&answer.results[0].result, OpResult::Applied { .. }),
        "{answer:?}"
    );
    assert_eq!(owner.push(&[first]).await.results, accepted);
    assert_eq!(owner.history(theirs).await.messages.len(), 1);
    assert_eq!(stranger.history(own).await.messages.len(), 1);
}

#[tokio::test]
async fn a_cursor_ahead_below_the_floor_or_too_far_behind_is_reset() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for number in 0..5 {
        client.create_session(&number.to_string()).await;
    }
    let at = client.bootstrap().await.as_of;
    let ahead = Cursor {
        seq: at.seq + 1,
        ..at
    };
    assert_eq!(
        client.pull(ahead).await.refused(Code::Reset).reason,
        Some(ResetReason::Ahead)
    );
    stack.execute("update sync_heads set floor_seq = 3").await;
    let below = Cursor { seq: 2, ..at };
    assert_eq!(
        client.pull(below).await.refused(Code::Reset).reason,
        Some(ResetReason::Floor)
    );
    client.pull(Cursor { seq: 3, ..at }).await.succeeds();
    stack
        .execute("update sync_heads set floor_seq = 0, head_seq = head_seq + 30000")
        .await;
    assert_eq!(
        client
            .pull(Cursor { seq: 0, ..at })
            .await
            .refused(Code::Reset)
            .reason,
        Some(ResetReason::TooFar)
    );
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_out_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for text in ["x", "", "MXx4fDE", "%00", &"A".repeat(5000)] {
        let answer = client.get(&format!("{}?cursor={text}", routes::SYNC)).await;
        assert!((400..500).contains(&answer.status), "{text}: {answer:?}");
        answer.problem();
    }
}

#[tokio::test]
async fn nothing_new_is_one_small_answer() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    client.create_session("One").await;
    let answer = client.pull(client.bootstrap().await.as_of).await;
    assert!(
        answer.body.len() < 300,
        "{} bytes: {}",
        answer.body.len(),
        answer.text()
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let page: SyncPage = answer.expect();
    assert!(page.changes.is_empty() && !page.more && page.from == page.to);
}

#[tokio::test]
async fn a_start_by_bootstrap_and_back_fill_equals_the_whole_feed() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    for number in 0..12 {
        let id = client.create_session(&format!("Session {number}")).await;
        for line in 0..number {
            client.note(id, &format!("{number}.{line}")).await;
        }
        if number == 3 {
            client
                .write(Op::SessionArchive {
                    session: id,
                    archived: true,
                })
                .await;
        }
        if number == 4 {
            client.write(Op::SessionDelete { session: id }).await;
        }
    }
    let begun = client.bootstrap().await;
    let mut rows = Rows::default();
    begun
        .sessions
        .iter()
        .for_each(|session| rows.put_session(session));
    assert!(
        begun.sessions.iter().any(|session| session.archived),
        "archived ones too"
    );
    for session in begun.sessions {
        let history = client.history(session.id).await;
        assert_eq!(history.as_of.epoch, begun.as_of.epoch);
        history
            .messages
            .iter()
            .for_each(|message| rows.put_message(message));
    }
    for history in &begun.histories {
        history
            .messages
            .iter()
            .for_each(|message| rows.put_message(message));
    }
    for limit in [500, 7, 1] {
        assert_eq!(rows, everything(&client, limit).await, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_page_applied_twice_or_late_changes_nothing() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Again").await;
    client.note(id, "One").await;
    client
        .write(Op::SessionArchive {
            session: id,
            archived: true,
        })
        .await;
    let pages = client.pull_all(beginning(&client).await, 1).await;
    let mut rows = Rows::default();
    pages
        .iter()
        .flat_map(|page| &page.changes)
        .for_each(|change| rows.apply(change));
    let once = rows.clone();
    pages
        .iter()
        .rev()
        .flat_map(|page| &page.changes)
        .for_each(|change| rows.apply(change));
    assert_eq!(rows, once);
}

#[tokio::test]
async fn what_is_written_at_one_node_is_felt_at_the_other() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, desk) = Person::join_natively(&stack).await;
    let laptop = person.native(&stack, "Laptop").await.at(&second.url());
    let at = laptop.bootstrap().await.as_of;
    let mut socket = Socket::open_from(&laptop, Some(at)).await;
    let id = desk.create_session("Felt at once").await;
    let seq = socket
        .find("a hint of the new session", |frame| match frame {
            ServerFrame::Sync(page) => {
                assert_eq!(page.from, at, "a pushed page joins the device's cursor");
                Some(page.to.seq)
            }
            ServerFrame::Head { seq, .. } => Some(seq),
            _ => None,
        })
        .await;
    assert!(seq > at.seq);
    let page: SyncPage = laptop.pull(at).await.expect();
    assert!(
        page.changes
            .iter()
            .any(|change| matches!(change, Change::Session(session) if session.id == id))
    );
}

#[tokio::test]
async fn a_device_that_missed_everything_is_told_the_head_in_its_welcome() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let at = client.bootstrap().await.as_of;
    client.create_session("Meanwhile").await;
    let socket = Socket::open_from(&client, Some(at)).await;
    let head = socket.welcome.expect("a welcome").head;
    assert!(head.seq > at.seq && head.epoch == at.epoch);
}

#[tokio::test]
async fn a_device_can_have_its_cache_checked() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let (sound, broken) = (
        client.create_session("Sound").await,
        client.create_session("Broken").await,
    );
    let mut digests = Vec::new();
    for id in [sound, broken] {
        client.note(id, "One").await;
        client.note(id, "Two").await;
        let history = client.history(id).await;
        let xor = history
            .messages
            .iter()
            .fold(0, |xor, message| xor ^ row_hash(message.id, message.seq));
        digests.push(Digest {
            id,
            lo: history.lo,
            hi: history.hi,
            count: 2,
            xor: format!("{:016x}", if id == broken { xor ^ 1 } else { xor }),
        });
    }
    let ask = VerifyAsk {
        cursor: client.bootstrap().await.as_of,
        sessions: digests,
    };
    let answer: VerifyAnswer = client.post(routes::VERIFY_CACHE, &ask).await.expect();
    assert_eq!(answer.differ, [broken]);
}

/// Isolation, by checksums.
#[tokio::test]
async fn nobody_checks_a_cache_against_somebody_elses_rows() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join_natively(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let (kept, deleted) = (
        owner.create_session("Kept").await,
        owner.create_session("Deleted").await,
    );
    owner.note(kept, "A guess of this would be confirmed").await;
    let guess = digest(kept, &owner.history(kept).await.messages);
    owner.write(Op::SessionDelete { session: deleted }).await;
    // a head of the stranger's own that is no lower than the guessed rows
    for _ in 0..8 {
        stranger.create_session("Padding").await;
    }
    let ask = VerifyAsk {
        cursor: stranger.bootstrap().await.as_of,
        sessions: vec![
            guess,
            Digest {
                id: deleted,
                ..digest(deleted, &[])
            },
        ],
    };
    let answer: VerifyAnswer = stranger.post(routes::VERIFY_CACHE, &ask).await.expect();
    assert!(
        answer.differ.contains(&kept),
        "a right guess is told from no wrong one: {answer:?}"
    );
    assert!(
        answer.gone.is_empty(),
        "nor that there was such a session: {answer:?}"
    );
}

/// What a device with these rows says of them.
pub fn digest(id: SessionId, messages: &[Message]) -> Digest {
    let xor = messages
        .iter()
        .fold(0, |xor, message| xor ^ row_hash(message.id, message.seq));
    let ords = messages.iter().map(|message| message.ord);
    Digest {
        id,
        lo: ords.clone().min().unwrap_or(1),
        hi: ords.max().unwrap_or(i64::MAX),
        count: i64::try_from(messages.len()).unwrap_or(i64::MAX),
        xor: format!("{xor:016x}"),
    }
}

#[tokio::test]
async fn stretches_of_one_session_are_checked_each_by_itself() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("In stretches").await;
    for text in ["One", "Two", "Three", "Four", "Five"] {
        client.note(id, text).await;
    }
    let cursor = client.bootstrap().await.as_of;
    let messages = client.history(id).await.messages;
    let verify = async |sessions: Vec<Digest>| -> VerifyAnswer {
        client
            .post(routes::VERIFY_CACHE, &VerifyAsk { cursor, sessions })
            .await
            .expect()
    };
    let sound = vec![
        digest(id, &messages[..2]),
        digest(id, &messages[3..]),
        digest(id, &messages),
    ];
    assert!(verify(sound.clone()).await.differ.is_empty());
    let mut broken = sound;
    // a device that lacks one in the middle, and believes that it has all
    broken.push(Digest {
        lo: 1,
        hi: 5,
        ..digest(id, &[&messages[..1], &messages[2..]].concat())
    });
    assert_eq!(verify(broken).await.differ, [id]);
}

#[tokio::test]
async fn a_session_that_is_gone_is_no_difference() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Short-lived").await;
    client.note(id, "One").await;
    let before = client.bootstrap().await.as_of;
    let digest = digest(id, &client.history(id).await.messages);
    client.write(Op::SessionDelete { session: id }).await;
    for cursor in [before, client.bootstrap().await.as_of] {
        let ask = VerifyAsk {
            cursor,
            sessions: vec![digest.clone()],
        };
        let answer: VerifyAnswer = client.post(routes::VERIFY_CACHE, &ask).await.expect();
        assert!(answer.differ.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_check_of_too_many_messages_is_refused_with_the_limit() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Long").await;
    let huge = Digest {
        id,
        lo: 1,
        hi: i64::MAX,
        count: limits::VERIFY_MESSAGES / 200 + 1,
        xor: format!("{:016x}", 0),
    };
    let ask = VerifyAsk {
        cursor: client.bootstrap().await.as_of,
        sessions: vec![huge; 200],
    };
    let answer = client.post(routes::VERIFY_CACHE, &ask).await;
    let problem = answer.refused(Code::TooLarge);
    assert_eq!(problem.limit, u64::try_from(limits::VERIFY_MESSAGES).ok());
}

#[tokio::test]
async fn a_person_whose_writes_wait_for_each_other_keeps_nobody_else_waiting() {
    let stack = Stack::start().await;
    let (_, busy) = Person::join_natively(&stack).await;
    let (_, other) = Person::join_natively(&stack).await;
    let (shared, own) = (
        busy.create_session("Busy").await,
        other.create_session("Quiet").await,
    );
    let hold = format!(
        "do $$ begin
             perform 1 from sync_heads h join agent_sessions s using (user_id) where s.id = '{shared}' for update of h;
             perform pg_sleep(1.5);
         end $$"
    );
    let held = stack.execute(&hold);
    let writes = async {
        until("the head to be held", async || {
            let sleepers = "select count(*) from pg_stat_activity
                            where datname = current_database() and wait_event = 'PgSleep'";
            (stack.number(sleepers).await == 1).then_some(())
        })
        .await;
        let many = join_all((0..30).map(|_| busy.note(shared, "Mine")));
        let quick = async {
            until("the busy person's writes to wait", async || {
                let waiting = "select count(*) from pg_stat_activity
                               where datname = current_database() and wait_event_type = 'Lock'";
                (stack.number(waiting).await > 0).then_some(())
            })
            .await;
            let begun = std::time::Instant::now();
            for number in 0..10 {
                other.note(own, &number.to_string()).await;
            }
            begun.elapsed()
        };
        tokio::join!(many, quick).1
    };
    let (_, took) = tokio::join!(held, writes);
    assert!(
        took < std::time::Duration::from_millis(700),
        "ten writes took {took:?}"
    );
    assert_eq!(
        busy.history(shared).await.messages.len(),
        30,
        "and all of theirs went through"
    );
}

#[tokio::test]
async fn writing_and_reading_go_on_while_redis_is_away() {
    let stack = Stack::builder().with_gates().start().await;
    let (person, client) = Person::join_natively(&stack).await;
    let browser = person.browser(&stack).await;
    stack.redis_gate().shut();
    let id = client.create_session("Without Redis").await;
    client.note(id, "Kept").await;
    assert_eq!(client.history(id).await.messages.len(), 1);
    browser.me().await;
    assert_eq!(browser.sessions().await.len(), 1);
}

/// What the server keeps for ninety days is looked at when it starts, and every hour.
#[tokio::test]
async fn what_is_old_goes_and_a_device_that_was_away_for_longer_begins_afresh() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (person, client) = Person::join_natively(&stack).await;
    let kept = client.create_session("Kept").await;
    let old = client.create_session("Old").await;
    client.note(old, "Nobody needs this any more").await;
    let device = DeviceClient::of(&person, &second.url()).await;
    until("both sessions at the device", async || {
        (device.list(false, usize::MAX).await.ok()?.len() == 2).then_some(())
    })
    .await;
    let before = client.bootstrap().await.as_of;
    second.gate().shut();
    device.wait_offline().await;

    let deleted = client.write(Op::SessionDelete { session: old }).await;
    assert!(matches!(deleted, OpResult::Applied { .. }), "{deleted:?}");
    let recent = client.create_session("Recent").await;
    client.write(Op::SessionDelete { session: recent }).await;
    stack
        .execute(
            "update mutations set created_at = now() - interval '91 days'
             where seq < (select max(seq) from mutations);
             update agent_sessions set deleted_at = now() - interval '91 days' where id = (
                 select id from agent_sessions where deleted_at is not null order by seq limit 1)",
        )
        .await;
    stack.server.kill();
    stack.server.start_again().await;
    until("what is old to be purged", async || {
        let tombstones = "select count(*) from agent_sessions where deleted_at is not null";
        (stack.number(tombstones).await == 1).then_some(())
    })
    .await;
    assert_eq!(
        stack.number("select count(*) from mutations").await,
        1,
        "what is not old stays"
    );
    let refused = client.pull(before).await.refused(Code::Reset);
    assert_eq!(refused.reason, Some(ResetReason::Floor));

    second.gate().open();
    device.wake();
    until("the device to have begun afresh", async || {
        let listed = device.list(false, usize::MAX).await.ok()?;
        let ids: Vec<SessionId> = listed.iter().map(|row| row.id).collect();
        (ids == [kept]).then_some(())
    })
    .await;
    device.wait_online().await;
    assert_eq!(device.compare().await.expect("comparing"), 0);
}
