//! What grows with the people is read by its indexes: every statement of the server, explained over a database of size.

use harness::Stack;
use std::path::Path;

/// What grows. The statements' own tables are all of them but the letters, codes and notes, which are forgotten.
const GROWING: [&str; 7] = [
    "users",
    "sync_heads",
    "sessions",
    "agent_sessions",
    "conversations",
    "mutations",
    "runs",
];

/// Reads of a whole table that are meant: a part of the statement, and why.
const MEANT: [(&str, &str); 2] = [
    (
        "delete from mutations where (user_id, mutation_id) in (",
        "so many at a time; a plan that does not know how many expects a tenth of all",
    ),
    (
        "where least(expires, absolute_expires",
        "now and then by the sweep; an index on a device's end would be written at each renewal",
    ),
];

/// 400 people with 25 sessions each, ten messages and as many writes in every session, and half as many replies; and
/// 10,000 who only signed up.
const GROWN: &str = "
    insert into users (email, email_key) select 'q' || n || '@example.org', 'q' || n || '@example.org' from generate_series(1, 10000) n;
    insert into sync_heads (user_id) select id from users on conflict (user_id) do nothing;
    insert into users (email, email_key) select 'p' || n || '@example.org', 'p' || n || '@example.org' from generate_series(1, 400) n;
    insert into sync_heads (user_id, head_seq) select id, 1000 from users on conflict (user_id) do nothing;
    insert into sessions (id, user_id, kind, session_token, name, expires, absolute_expires)
        select gen_random_uuid(), id, 0, md5(id::text || n), 'Browser', now() + interval '1 day', now() + interval '1 day'
        from users, generate_series(1, 3) n;
    insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path, last_ord, last_active)
        select u.id, gen_random_uuid(), n, n, 'Matter ' || n, '/nowhere', 10, now() - n * interval '1 minute'
        from users u, generate_series(1, 25) n where u.email like 'p%';
    insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
        select s.user_id, gen_random_uuid(), s.id, 25 + (s.seq - 1) * 10 + n, 25 + (s.seq - 1) * 10 + n, n,
               case n % 2 when 1 then 'user' else 'assistant' end, 'Words'
        from agent_sessions s, generate_series(1, 10) n;
    insert into mutations (user_id, mutation_id, request, outcome, seq)
        select user_id, gen_random_uuid(), '\\x00', '{}', seq from conversations;
    insert into runs (user_id, run_id, session_id, message_id, prompt_id, status)
        select user_id, gen_random_uuid(), agent_session_id, id, id, 2 from conversations where role = 'assistant';";

/// What the server was compiled with, each with how many parameters it takes.
fn statements() -> Vec<(String, usize)> {
    let folder = harness::root().join(".sqlx");
    let files = std::fs::read_dir(&folder).expect("the queries' types");
    let read = |path: &Path| -> (String, usize) {
        let text = std::fs::read_to_string(path).expect("a query's types");
        let query: serde_json::Value = serde_json::from_str(&text).expect("a query's types");
        let parameters = query.pointer("/describe/parameters/Left");
        let parameters = parameters.and_then(|types| types.as_array()).map_or(0, Vec::len);
        let query = query.pointer("/query").and_then(|query| query.as_str());
        (query.expect("a query").to_owned(), parameters)
    };
    let mut statements: Vec<(String, usize)> = files.flatten().map(|file| read(&file.path())).collect();
    statements.sort();
    statements
}

/// The grown tables that a plan reads from end to end.
fn read_whole(plan: &[String]) -> Vec<&'static str> {
    let is_read = |table: &&str| {
        let scan = format!("Seq Scan on {table}");
        plan.iter()
            .any(|line| line.trim_end().ends_with(&scan) || line.contains(&format!("{scan} ")))
    };
    GROWING.into_iter().filter(|table| is_read(table)).collect()
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows() {
    let stack = Stack::start().await;
    stack.server.kill();
    stack.execute(GROWN).await;
    // by itself: it takes no part in a transaction
    stack.execute("vacuum analyze").await;
    let statements = statements();
    assert!(statements.len() > 50, "{} statements", statements.len());
    let plans = stack.plans(&statements).await;
    let mut faults = Vec::new();
    for ((statement, _), plan) in statements.iter().zip(&plans) {
        let is_meant = MEANT.iter().any(|(part, _why)| statement.contains(part));
        let whole = read_whole(plan);
        if !whole.is_empty() && !is_meant {
            faults.push(format!("{whole:?} by\n{statement}\n{}", plan.join("\n")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// 64 people with one session each of two hundred messages; the first person's and session's id are known.
const LONG: &str = "
    insert into users (id, email, email_key)
        select case n when 1 then '00000000-0000-7000-8000-000000000001' else gen_random_uuid() end,
               'p' || n || '@example.org', 'p' || n || '@example.org' from generate_series(1, 64) n;
    insert into sync_heads (user_id, head_seq) select id, 1000 from users on conflict (user_id) do nothing;
    insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path, last_ord)
        select id, id, 1, 1, 'Long', '/nowhere', 200 from users;
    insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
        select s.user_id, gen_random_uuid(), s.id, s.seq * 200 + n, s.seq * 200 + n, n, 'user', repeat('Words ', 50)
        from agent_sessions s, generate_series(1, 200) n;";

/// How the newest page of a long session is read, of each length that has a statement, once the database has looked at its tables.
async fn plans_of_a_page(stack: &Stack) -> Vec<String> {
    const ID: &str = "'00000000-0000-7000-8000-000000000001'";
    stack.server.kill();
    stack.execute(LONG).await;
    stack.execute("vacuum analyze").await;
    let statements = statements();
    let pages = statements
        .iter()
        .filter(|(statement, _)| statement.contains("ord < $3") && statement.contains("from conversations"));
    let mut plans = Vec::new();
    for (page, _) in pages {
        let plan = stack.plan(page, &[ID, ID, "9223372036854775807"]).await;
        plans.push(plan.join("\n"));
    }
    assert_eq!(plans.len(), 2, "{plans:?}");
    plans
}

const READS_ALL: &str = "Sort Key: m.ord";

#[tokio::test]
async fn a_page_of_a_long_session_reads_the_page_and_not_the_session() {
    let stack = Stack::start().await;
    for plan in plans_of_a_page(&stack).await {
        assert!(!plan.contains(READS_ALL), "{plan}");
        assert!(plan.contains("Index Scan Backward"), "{plan}");
    }
}

#[tokio::test]
async fn without_its_statistics_a_page_is_seen_to_read_and_sort_the_whole_session() {
    let stack = Stack::start().await;
    stack.execute("drop statistics conversations_of_session").await;
    let plans = plans_of_a_page(&stack).await;
    assert!(plans.iter().any(|plan| plan.contains(READS_ALL)), "{plans:?}");
}

#[tokio::test]
async fn without_its_index_the_list_is_seen_to_be_read_from_end_to_end() {
    let stack = Stack::start().await;
    stack.server.kill();
    stack
        .execute(&format!(
            "alter table conversations drop constraint conversations_user_id_agent_session_id_ord_key;
             alter table runs drop constraint runs_user_id_message_id_fkey;
             drop index conversations_seq; alter table conversations drop constraint conversations_pkey; {GROWN}"
        ))
        .await;
    stack.execute("vacuum analyze").await;
    let plans = stack.plans(&statements()).await;
    assert!(
        plans
            .iter()
            .any(|plan| read_whole(plan).contains(&"conversations"))
    );
}
