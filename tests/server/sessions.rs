//! Keeping sessions: making, listing, renaming, archiving, deleting, and whose they are.

use harness::{Person, Stack, mutation};
use protocol::mutation::{Op, OpResult};
use protocol::sync::{Session, SessionsPage};
use protocol::{Code, SessionId, routes};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

#[track_caller]
fn applied(result: &OpResult) {
    assert!(matches!(result, OpResult::Applied { .. }), "{result:?}");
}

#[track_caller]
fn refused(result: &OpResult) -> Code {
    match result {
        OpResult::Refused { problem, .. } => problem.code,
        OpResult::Applied { .. } | OpResult::Skipped => panic!("not refused: {result:?}"),
    }
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id).collect()
}

#[tokio::test]
async fn a_session_is_made_renamed_archived_brought_back_and_deleted() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Plans").await;
    let made = client.session(id).await;
    assert_eq!(
        (made.title.as_str(), made.archived, made.last_ord),
        ("Plans", false, 0)
    );

    let rename = Op::SessionRename {
        session: id,
        title: "Better plans".to_owned(),
        base: made.title_seq,
    };
    applied(&client.write(rename).await);
    let renamed = client.session(id).await;
    assert_eq!(renamed.title, "Better plans");
    assert!(renamed.seq > made.seq && renamed.title_seq > made.title_seq);

    applied(
        &client
            .write(Op::SessionArchive {
                session: id,
                archived: true,
            })
            .await,
    );
    assert!(client.session(id).await.archived);
    assert!(
        client.sessions().await.is_empty(),
        "archived ones are listed apart"
    );
    let apart: SessionsPage = client
        .get(&format!("{}?archived=true", routes::SESSIONS))
        .await
        .expect();
    assert_eq!(ids(&apart.sessions), [id]);

    applied(
        &client
            .write(Op::SessionArchive {
                session: id,
                archived: false,
            })
            .await,
    );
    assert_eq!(ids(&client.sessions().await), [id]);

    applied(&client.write(Op::SessionDelete { session: id }).await);
    assert!(client.sessions().await.is_empty());
    client.get(&routes::session(id)).await.refused(Code::NotFound);
    client.get(&routes::messages(id)).await.refused(Code::NotFound);
}

#[tokio::test]
async fn the_list_is_newest_first_and_pages_without_gap_or_repeat() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let mut made = Vec::new();
    for number in 0..25 {
        made.push(client.create_session(&format!("Session {number}")).await);
    }
    made.reverse();
    assert_eq!(ids(&client.sessions().await), made);
    // a message brings its session to the top
    let oldest = made.pop().expect("25 sessions");
    client.note(oldest, "Still here").await;
    made.insert(0, oldest);

    let mut seen = Vec::new();
    let mut path = format!("{}?limit=7", routes::SESSIONS);
    loop {
        let page: SessionsPage = client.get(&path).await.expect();
        assert!(page.sessions.len() <= 7);
        seen.extend(ids(&page.sessions));
        match page.more {
            Some(before) => path = format!("{}?limit=7&before={before}", routes::SESSIONS),
            None => break,
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_page_key_that_is_none_is_refused() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    for query in ["before=x", "before=1~x", "limit=x", "limit=-1", "archived=maybe"] {
        let answer = client.get(&format!("{}?{query}", routes::SESSIONS)).await;
        answer.refused(Code::BadRequest);
    }
    // more than a page holds is cut to a page
    client
        .get(&format!("{}?limit=100000", routes::SESSIONS))
        .await
        .succeeds();
}

#[tokio::test]
async fn nobody_reaches_somebody_elses_session_by_its_id() {
    let stack = Stack::start().await;
    let (_, owner) = Person::join(&stack).await;
    let (_, stranger) = Person::join_natively(&stack).await;
    let id = owner.create_session("Private").await;
    let message = owner.note(id, "Nobody's business").await;
    let run = owner
        .say(id, "/slow 20ms a reply that takes a while to be said")
        .await
        .run();

    for path in [routes::session(id), routes::messages(id)] {
        let other = stranger.get(&path).await.refused(Code::NotFound);
        let none = stranger
            .get(&path.replace(&id.to_string(), &SessionId::fresh().to_string()))
            .await;
        assert_eq!(
            other.detail,
            none.refused(Code::NotFound).detail,
            "no word on whether it exists"
        );
    }
    let cancel = stranger.post(&routes::run_cancel(run), &json!({})).await;
    cancel.refused(Code::NotFound);
    let status = harness::Socket::refusal(&stranger, &routes::session_socket(id), None).await;
    assert_eq!(status, 404);

    let attempts = [
        Op::SessionRename {
            session: id,
            title: "Mine".to_owned(),
            base: 0,
        },
        // as if the newest title had been seen: nothing but its owner stands in the way
        Op::SessionRename {
            session: id,
            title: "Mine".to_owned(),
            base: i64::MAX,
        },
        Op::SessionArchive {
            session: id,
            archived: true,
        },
        Op::SessionDelete { session: id },
        Op::MessageCreate {
            id: protocol::MessageId::fresh(),
            session: id,
            parent: None,
            content: "In your house".to_owned(),
            run: protocol::mutation::RunMode::Manual,
        },
    ];
    for op in attempts {
        let result = stranger.write(op.clone()).await;
        assert_eq!(refused(&result), Code::NotFound, "{op:?}");
    }
    let page = stranger.get(&routes::page::session(id)).await;
    assert!(
        page.status == 404 || (300..400).contains(&page.status),
        "{page:?}"
    );

    let session = owner.session(id).await;
    assert_eq!((session.title.as_str(), session.archived), ("Private", false));
    let history = owner.history(id).await;
    assert!(history.messages.iter().any(|kept| kept.id == message.id));
    // the same id made by the stranger is simply another session
    applied(
        &stranger
            .write(Op::SessionCreate {
                id,
                title: "Mine".to_owned(),
            })
            .await,
    );
    assert_eq!(stranger.session(id).await.title, "Mine");
    assert_eq!(owner.session(id).await.title, "Private");
    assert!(stranger.history(id).await.messages.is_empty());
}

#[tokio::test]
async fn each_session_has_a_folder_that_only_the_server_may_enter() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let first = client.create_session("One").await;
    let second = client.create_session("Two").await;
    let mut folders = Vec::new();
    for id in [first, second] {
        let folder = harness::until("the session's folder", async || {
            find_folder(&stack.workspaces(), &id.to_string())
        })
        .await;
        let mode = std::fs::metadata(&folder).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        folders.push(folder);
    }
    assert_ne!(folders.first(), folders.get(1));
    let root = std::fs::metadata(stack.workspaces())
        .expect("the root")
        .permissions()
        .mode();
    assert_eq!(root & 0o777, 0o700);
    applied(&client.write(Op::SessionDelete { session: first }).await);
    harness::until("the deleted session's folder to be gone", async || {
        find_folder(&stack.workspaces(), &first.to_string())
            .is_none()
            .then_some(())
    })
    .await;
    assert!(find_folder(&stack.workspaces(), &second.to_string()).is_some());
}

#[tokio::test]
async fn a_deleted_session_made_again_gets_no_folder() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = SessionId::fresh();
    let create = Op::SessionCreate {
        id,
        title: "Short-lived".to_owned(),
    };
    let first = mutation(create.clone());
    client.push(std::slice::from_ref(&first)).await;
    applied(&client.write(Op::SessionDelete { session: id }).await);
    let folder = || find_folder(&stack.workspaces(), &id.to_string());
    harness::until("the folder to be gone", async || folder().is_none().then_some(())).await;
    // the same mutation, and the same session by another one
    let again = client.push(&[first]).await;
    applied(&again.results[0].result);
    assert_eq!(folder(), None);
    assert_eq!(refused(&client.write(create).await), Code::Gone);
    assert_eq!(folder(), None);
}

#[tokio::test]
async fn a_message_that_meets_a_deletion_leaves_nothing_behind() {
    let stack = Stack::start().await;
    let second = stack.second_server().await;
    let (_, here) = Person::join_natively(&stack).await;
    let there = here.at(&second.url());
    for round in 0..20 {
        let id = here.create_session(&format!("Round {round}")).await;
        let say = |client: &harness::Client, text: &str| {
            let (client, op) = (client.clone(), message(id, text));
            async move { client.write(op).await }
        };
        let delete = async {
            applied(&there.write(Op::SessionDelete { session: id }).await);
        };
        tokio::join!(say(&here, "One"), say(&there, "Two"), delete, say(&here, "Three"));
    }
    let text = "select count(*) from conversations where content <> ''";
    assert_eq!(stack.number(text).await, 0, "no text of theirs is left");
    let live = "select count(*) from runs where status in (0, 1)";
    assert_eq!(stack.number(live).await, 0, "no reply is being made for them");
}

#[tokio::test]
async fn a_deletion_takes_along_the_message_that_it_waited_for() {
    let stack = Stack::start().await;
    let (_, client) = Person::join_natively(&stack).await;
    let id = client.create_session("Contended").await;
    let waiting = async |count: i64, state: &str| {
        let sql =
            format!("select count(*) from pg_stat_activity where datname = current_database() and {state}");
        harness::until(state, async || (stack.number(&sql).await >= count).then_some(())).await;
    };
    let held = stack.execute(
        "do $$ begin
             perform 1 from sync_heads for update;
             perform pg_sleep(1.5);
         end $$",
    );
    let both_wait = async {
        waiting(2, "wait_event_type = 'Lock'").await;
    };
    let writes = async {
        waiting(1, "wait_event = 'PgSleep'").await;
        let said = client.write(message(id, "Just before"));
        let deleted = async {
            waiting(1, "wait_event_type = 'Lock'").await;
            client.write(Op::SessionDelete { session: id }).await
        };
        tokio::join!(said, deleted)
    };
    let (_, (said, deleted), ()) = tokio::join!(held, writes, both_wait);
    applied(&said);
    applied(&deleted);
    assert_eq!(stack.number("select count(*) from conversations").await, 0);
    assert_eq!(stack.number("select count(*) from runs").await, 0);
}

fn message(session: SessionId, content: &str) -> Op {
    Op::MessageCreate {
        id: protocol::MessageId::fresh(),
        session,
        parent: None,
        content: content.to_owned(),
        run: protocol::mutation::RunMode::Auto,
    }
}

/// A folder named by the id, at any depth below.
fn find_folder(below: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(below).ok()?.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy() == name {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find_folder(&path, name)
        {
            return Some(found);
        }
    }
    None
}

#[tokio::test]
async fn an_unknown_session_is_a_clear_404() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let unknown = SessionId::fresh();
    client
        .get(&routes::session(unknown))
        .await
        .refused(Code::NotFound);
    client
        .get(&routes::messages(unknown))
        .await
        .refused(Code::NotFound);
    let not_an_id = client.get(&routes::SESSION.replace("{id}", "nonsense")).await;
    assert!(
        not_an_id.status == 404 || not_an_id.status == 400,
        "{not_an_id:?}"
    );
    not_an_id.problem();
    let result = client
        .write(Op::SessionArchive {
            session: unknown,
            archived: true,
        })
        .await;
    assert_eq!(refused(&result), Code::NotFound);
    client.get("/api/v1/nothing-here").await.refused(Code::NotFound);
}

#[tokio::test]
async fn a_rename_based_on_an_older_title_is_reported_and_not_applied() {
    let stack = Stack::start().await;
    let (person, desk) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let id = desk.create_session("Draft").await;
    let base = laptop.session(id).await.title_seq;
    applied(
        &desk
            .write(Op::SessionRename {
                session: id,
                title: "From the desk".to_owned(),
                base,
            })
            .await,
    );
    let late = laptop
        .write(Op::SessionRename {
            session: id,
            title: "From the laptop".to_owned(),
            base,
        })
        .await;
    match late {
        OpResult::Refused {
            problem,
            current: Some(current),
        } => {
            assert_eq!(problem.code, Code::Superseded);
            assert_eq!(current.title, "From the desk");
            let again = Op::SessionRename {
                session: id,
                title: "From the laptop".to_owned(),
                base: current.title_seq,
            };
            applied(&laptop.write(again).await);
        }
        other => panic!("not superseded: {other:?}"),
    }
    assert_eq!(desk.session(id).await.title, "From the laptop");
}

#[tokio::test]
async fn the_first_message_names_a_session_and_never_a_named_one() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let unnamed = client.create_session("").await;
    client.note(unnamed, "How do tides work?\nI never knew.").await;
    assert_eq!(client.session(unnamed).await.title, "How do tides work?");
    client.note(unnamed, "And the moon?").await;
    assert_eq!(client.session(unnamed).await.title, "How do tides work?");
    let named = client.create_session("Tides").await;
    client.note(named, "How do tides work?").await;
    assert_eq!(client.session(named).await.title, "Tides");
    assert_eq!(client.session(named).await.preview, "How do tides work?");
}

#[tokio::test]
async fn a_deleted_session_stays_deleted() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let id = client.create_session("Short-lived").await;
    client.note(id, "A secret").await;
    applied(&client.write(Op::SessionDelete { session: id }).await);
    let patches = [
        Op::SessionRename {
            session: id,
            title: "Back".to_owned(),
            base: i64::MAX,
        },
        Op::SessionArchive {
            session: id,
            archived: false,
        },
    ];
    for patch in patches {
        let result = client.write(patch).await;
        assert_eq!(refused(&result), Code::Gone);
    }
    let again = client
        .write(Op::SessionCreate {
            id,
            title: "Again".to_owned(),
        })
        .await;
    assert!(!matches!(again, OpResult::Applied { .. }), "{again:?}");
    let message = Op::MessageCreate {
        id: protocol::MessageId::fresh(),
        session: id,
        parent: None,
        content: "Too late".to_owned(),
        run: protocol::mutation::RunMode::Auto,
    };
    assert_eq!(refused(&client.write(message).await), Code::SessionDeleted);
    assert!(client.sessions().await.is_empty());
    assert_eq!(
        stack
            .number("select count(*) from conversations where content <> ''")
            .await,
        0,
        "its text is gone"
    );
}

#[tokio::test]
async fn titles_are_one_line_of_at_most_255_characters() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let fits = "é".repeat(255);
    let id = client.create_session(&fits).await;
    assert_eq!(client.session(id).await.title, fits);
    for bad in ["é".repeat(256), "two\nlines".to_owned(), "nul\0".to_owned()] {
        let result = client
            .write(Op::SessionCreate {
                id: SessionId::fresh(),
                title: bad,
            })
            .await;
        assert_eq!(refused(&result), Code::Invalid);
    }
    let empty = client
        .write(Op::SessionRename {
            session: id,
            title: "  ".to_owned(),
            base: i64::MAX,
        })
        .await;
    assert_eq!(refused(&empty), Code::Invalid);
}

#[tokio::test]
async fn a_failed_op_stops_only_the_later_ops_of_its_session() {
    let stack = Stack::start().await;
    let (_, client) = Person::join(&stack).await;
    let (broken, sound) = (SessionId::fresh(), SessionId::fresh());
    let ops = [
        mutation(Op::SessionCreate {
            id: broken,
            title: "x".repeat(300),
        }),
        mutation(Op::SessionArchive {
            session: broken,
            archived: true,
        }),
        mutation(Op::SessionCreate {
            id: sound,
            title: "Sound".to_owned(),
        }),
        mutation(Op::SessionArchive {
            session: sound,
            archived: true,
        }),
    ];
    let answer = client.push(&ops).await;
    let results: Vec<&OpResult> = answer.results.iter().map(|outcome| &outcome.result).collect();
    assert!(
        matches!(
            results.as_slice(),
            [
                OpResult::Refused { .. },
                OpResult::Skipped,
                OpResult::Applied { .. },
                OpResult::Applied { .. }
            ]
        ),
        "{results:?}"
    );
    assert!(client.session(sound).await.archived);
}
