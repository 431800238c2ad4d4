//! What an operator sees: health, metrics, headers, the API's document, and how the server bears its stores going away.

use harness::{Client, Person, Stack, until};
use http::Method;
use protocol::Code;
use protocol::routes::{self, page};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn client(stack: &Stack) -> Client {
    Client::browser(&stack.url(), &stack.url())
}

#[tokio::test]
async fn postgres_away_is_not_ready_and_a_clear_problem_and_heals_by_itself() {
    let stack = Stack::builder().with_gates().start().await;
    let (_, person) = Person::join(&stack).await;
    client(&stack).get(routes::READY).await.succeeds();
    stack.postgres_gate().shut();
    let not_ready = until("the server to be unready", async || {
        let answer = client(&stack).get(routes::READY).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(
        !not_ready.text().contains("127.0.0.1"),
        "no addresses in the answer: {not_ready:?}"
    );
    client(&stack).get(routes::HEALTH).await.succeeds();
    let problem = person.get(routes::SESSIONS).await.refused(Code::Unavailable);
    assert!(problem.retry_after.is_some());
    let refused = Person::fresh().sign_up(&client(&stack)).await;
    refused.refused(Code::Unavailable);

    stack.postgres_gate().open();
    until("the server to be ready again", async || {
        (client(&stack).get(routes::READY).await.status == 200).then_some(())
    })
    .await;
    assert!(person.sessions().await.is_empty());
}

#[tokio::test]
async fn redis_away_is_not_ready_and_heals_by_itself() {
    let stack = Stack::builder().with_gates().start().await;
    let (person, browser) = Person::join(&stack).await;
    stack.redis_gate().shut();
    until("the server to be unready", async || {
        (client(&stack).get(routes::READY).await.status == 503).then_some(())
    })
    .await;
    browser.me().await;
    person.browser(&stack).await;
    stack.redis_gate().open();
    until("the server to be ready again", async || {
        (client(&stack).get(routes::READY).await.status == 200).then_some(())
    })
    .await;
    // hints work again
    let at = browser.bootstrap().await.as_of;
    let mut socket = harness::Socket::open_from(&browser, Some(at)).await;
    browser.create_session("After the night").await;
    socket
        .find("a hint", |frame| {
            matches!(
                frame,
                protocol::frame::ServerFrame::Sync(_) | protocol::frame::ServerFrame::Head { .. }
            )
            .then_some(())
        })
        .await;
}

#[tokio::test]
async fn slow_stores_slow_the_answers_and_break_none() {
    let stack = Stack::builder().with_gates().start().await;
    let (_, person) = Person::join(&stack).await;
    stack.postgres_gate().slow(Duration::from_millis(60));
    stack.redis_gate().slow(Duration::from_millis(60));
    let id = person.create_session("Slowly").await;
    person.note(id, "But surely").await;
    assert_eq!(person.history(id).await.messages.len(), 1);
}

#[tokio::test]
async fn a_restarted_server_knows_everybody_still() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let laptop = person.native(&stack, "Laptop").await;
    let id = browser.create_session("Before").await;
    stack.server.stop().await;
    stack.server.start_again().await;
    assert_eq!(browser.session(id).await.title, "Before");
    laptop.me().await;
    laptop.refresh().await;
}

#[tokio::test]
async fn every_page_carries_a_strict_policy() {
    let stack = Stack::start().await;
    let (_, person) = Person::join(&stack).await;
    let id = person.create_session("A page").await;
    let mut answers = Vec::new();
    for path in [
        page::HOME,
        page::ARCHIVED,
        page::SETTINGS,
        &page::session(id),
        page::SECURITY,
        page::PROVE,
        page::DEVICE_CODE,
        routes::API_DOCS,
        routes::OPENAPI,
        "/nothing-here",
    ] {
        answers.push((path.to_owned(), person.get(path).await));
    }
    for path in [
        page::SIGN_IN,
        page::SIGN_UP,
        page::CHECK_MAIL,
        page::VERIFY,
        page::FORGOT,
        page::RESET,
        page::LETTER_ASK,
        page::LETTER,
        page::NEWCOMER,
        page::SECOND_STEP,
        page::KEEP,
        page::EMAIL_LINK,
        page::EMAIL_UNDO,
        "/letters/unheard-of",
        routes::SESSIONS,
        routes::HEALTH,
    ] {
        answers.push((path.to_owned(), client(&stack).get(path).await));
    }
    for (path, page) in answers {
        let policy = page
            .header("content-security-policy")
            .unwrap_or_else(|| panic!("a policy at {path}: {page:?}"));
        for wanted in [
            "default-src",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(wanted), "{wanted} at {path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains(" *") && !policy.contains("http:"),
            "{path}: {policy}"
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(page.header("referrer-policy").is_some(), "{path}");
        assert!(page.header("cross-origin-opener-policy").is_some(), "{path}");
        assert!(page.header("permissions-policy").is_some(), "{path}");
        assert!(
            page.header("server").is_none() && page.header("x-powered-by").is_none(),
            "{path}"
        );
        let text = page.text();
        assert!(
            !text.contains(" style=\"") && !text.contains("<style"),
            "an inline style at {path}"
        );
        assert!(
            !text.contains(" onclick=") && !text.contains("javascript:"),
            "an inline script at {path}"
        );
        if path != page::SIGN_IN {
            assert!(
                page.header("cache-control")
                    .is_some_and(|value| value.contains("no-store")),
                "{path}: {page:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_can_be_found_in_the_log_by_its_number() {
    let stack = Stack::start().await;
    let answer = client(&stack).get(routes::ME).await;
    let problem = answer.refused(Code::SignInRequired);
    let id = answer.header("x-request-id").expect("a request id").to_owned();
    assert_eq!(problem.request_id.as_deref(), Some(id.as_str()));
    let logs = until("the request in the log", async || {
        Some(stack.logs()).filter(|logs| logs.contains(&id))
    })
    .await;
    assert!(logs.contains(routes::ME));
}

#[tokio::test]
async fn half_a_request_is_not_waited_for_and_nobody_else_waits() {
    let stack = Stack::start().await;
    let address = stack.url().replace("http://", "");
    let mut half = TcpStream::connect(&address).await.expect("a connection");
    let mut silent = TcpStream::connect(&address).await.expect("a connection");
    half.write_all(b"GET /healthz HT").await.expect("half a line");
    client(&stack).get(routes::HEALTH).await.succeeds();
    let (mut said, mut nothing) = (Vec::new(), Vec::new());
    let closed = async {
        // whether by a polite end or a reset
        let _ = tokio::join!(half.read_to_end(&mut said), silent.read_to_end(&mut nothing));
    };
    tokio::time::timeout(Duration::from_secs(18), closed)
        .await
        .expect("the server closes both");
    assert!(!String::from_utf8_lossy(&said).contains("200 OK"));
    assert!(nothing.is_empty());
    client(&stack).get(routes::HEALTH).await.succeeds();
}

#[tokio::test]
async fn a_gateway_and_a_worker_are_one_server_together() {
    let stack = Stack::builder().with("ROLE", "gateway").start().await;
    let worker = stack.second_server_with("ROLE", "worker").await;
    let (_, person) = Person::join(&stack).await;
    let session = person.create_session("Worked on elsewhere").await;
    let mut socket = harness::Socket::open(&person).await;
    let sent = person.say(session, "Who makes this?").await;
    let reply = socket.watch(sent.run()).await;
    assert_eq!(reply.status, Some(protocol::run::Status::Complete));
    let history = person.history(session).await;
    let said = history.messages.last().map(|message| message.content.as_str());
    assert!(
        said.is_some_and(|said| said.contains("Who makes this?")),
        "the worker's agent answers: {said:?}"
    );

    let operator = client(&stack).at(&worker.url());
    for path in [routes::HEALTH, routes::READY, routes::METRICS] {
        operator.get(path).await.succeeds();
    }
    for path in [
        page::HOME,
        page::SIGN_IN,
        routes::ME,
        routes::SESSIONS,
        routes::SOCKET,
        routes::OPENAPI,
        "/app/manifest.json",
    ] {
        operator.get(path).await.refused(Code::NotFound);
    }
}

#[tokio::test]
async fn a_browser_insists_on_https_where_the_installation_is_reached_by_it() {
    let stack = Stack::start().await;
    let insists = async |url: &str| {
        let answer = Client::browser(url, url).get(routes::HEALTH).await;
        let header = answer.succeeds().header("strict-transport-security");
        header.map(str::to_owned)
    };
    assert_eq!(insists(&stack.url()).await, None, "on this computer");
    let own = [("PUBLIC_URL", "https://compymac.test")];
    let elsewhere = stack.another_server("elsewhere", &own).await;
    let said = insists(&elsewhere.url()).await.expect("the header");
    assert!(said.starts_with("max-age=63072000"), "{said}");
}

/// Every address that a program may ask, and every other, as the protocol names them: a new one is among them by itself.
fn api_routes() -> (Vec<String>, Vec<String>) {
    let file = harness::root().join("protocol/src/routes.rs");
    let text = std::fs::read_to_string(file).expect("the addresses");
    let (for_programs, pages) = text.split_once("pub mod page").expect("the pages' addresses");
    let named = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.trim_start().starts_with("pub const "));
        lines
            .filter_map(|line| line.split('"').nth(1))
            .map(str::to_owned)
            .collect()
    };
    // the document itself, and what only people open
    let (others, for_programs): (Vec<String>, Vec<String>) = named(for_programs)
        .into_iter()
        .partition(|route| [routes::OPENAPI, routes::API_DOCS, routes::AUTHORIZE].contains(&route.as_str()));
    (for_programs, [others, named(pages)].concat())
}

/// What of the others answers to no person: the document says that it leaves them out.
const LED_TO: [&str; 5] = [
    routes::AUTHORIZE,
    page::PROVIDER_START,
    page::PROVIDER_CALLBACK,
    page::LETTERS_LINK,
    page::EXPORT,
];

#[tokio::test]
async fn the_api_document_lists_every_route_of_programs_and_says_what_it_leaves_out() {
    let stack = Stack::start().await;
    let document: Value = client(&stack).get(routes::OPENAPI).await.expect();
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
    let listed: Vec<&str> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    let (for_programs, others) = api_routes();
    assert!(
        for_programs.len() > 30 && others.len() > 60,
        "{for_programs:?} {others:?}"
    );
    for route in &for_programs {
        assert!(listed.contains(&route.as_str()), "{route} is not in the document");
    }
    // what a page's script asks, and a program might
    let of_scripts = [
        page::PASSKEY_OPTIONS,
        page::PROVE_PASSKEY_OPTIONS,
        page::PASSKEY_ADD_OPTIONS,
    ];
    for route in of_scripts {
        assert!(listed.contains(&route), "{route} is not in the document");
    }
    for route in others
        .iter()
        .filter(|route| !of_scripts.contains(&route.as_str()))
    {
        assert!(!listed.contains(&route.as_str()), "{route} is in the document");
    }
    let told = document["info"]["description"].as_str().expect("what it covers");
    for route in LED_TO {
        assert!(
            told.contains(&format!("`{route}`")),
            "{route} is left out: {told}"
        );
    }
    // and what is listed is there
    let person = client(&stack);
    for path in &listed {
        let concrete = path
            .replace("{id}", &uuid::Uuid::now_v7().to_string())
            .replace("{session_id}", &uuid::Uuid::now_v7().to_string())
            .replace("{provider}", "google");
        for method in document["paths"][path].as_object().expect("methods").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = person.send(person.request(method.clone(), &concrete)).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
            let is_nowhere =
                answer.status == 404 && !concrete.contains("019") && !concrete.contains("google");
            assert!(!is_nowhere, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_document_has_a_page_to_be_read() {
    let stack = Stack::start().await;
    let page = client(&stack).get(routes::API_DOCS).await;
    page.succeeds();
    assert!(
        page.text().contains(routes::MUTATIONS),
        "it lists the routes: {page:?}"
    );
}

#[tokio::test]
async fn metrics_count_and_name_nobody() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let id = browser.create_session("Counted").await;
    browser.get(&routes::session(id)).await.succeeds();
    let metrics = client(&stack).get(routes::METRICS).await;
    metrics.succeeds();
    let text = metrics.text();
    assert!(text.contains("# TYPE") && text.contains("http"), "{text}");
    assert!(
        !text.contains(person.email.as_str()) && !text.contains(&id.to_string()),
        "labels are bounded"
    );
}

#[tokio::test]
async fn every_foreign_key_has_an_index_that_covers_all_its_rows() {
    let stack = Stack::start().await;
    let bare = "select count(*) from pg_constraint c
        where c.contype = 'f' and not exists (
            select 1 from pg_index i
            where i.indrelid = c.conrelid and i.indpred is null and i.indisvalid
              and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)";
    assert_eq!(stack.number(bare).await, 0);
}

#[tokio::test]
async fn every_moment_is_kept_with_its_zone_and_every_key_of_a_person_s_rows_begins_with_them() {
    let stack = Stack::start().await;
    let zoneless = "select count(*) from information_schema.columns
        where table_schema = 'public' and data_type = 'timestamp without time zone' and table_name not like '\\_sqlx%'";
    assert_eq!(stack.number(zoneless).await, 0);
    let begins_with_the_person = "select count(*) from pg_index i
        join pg_class c on c.oid = i.indrelid
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where i.indisprimary and a.attname = 'user_id'
          and c.relname in ('sync_heads', 'agent_sessions', 'conversations', 'mutations', 'runs')";
    assert_eq!(stack.number(begins_with_the_person).await, 5);
}

#[tokio::test]
async fn an_unknown_address_is_a_page_for_people_and_a_problem_for_programs() {
    let stack = Stack::start().await;
    client(&stack)
        .get("/api/v1/unheard-of")
        .await
        .refused(Code::NotFound);
    let page = client(&stack).get("/unheard-of").await;
    assert_eq!(page.status, 404);
    let wrong_method = client(&stack).delete(routes::SIGN_UP).await;
    wrong_method.refused(Code::MethodNotAllowed);
}

#[tokio::test]
async fn the_built_page_is_small_and_cached_for_good() {
    let stack = Stack::start().await;
    let page = client(&stack).visit(page::SIGN_IN).await;
    let text = page.text();
    let named: Vec<&str> = text.split('"').filter(|part| part.starts_with("/app/")).collect();
    assert!(named.iter().any(|path| path.contains(".css")), "{text}");
    for path in &named {
        let asset = client(&stack).get(path).await;
        asset.succeeds();
        let cache = asset.header("cache-control").unwrap_or_default();
        assert!(cache.contains("immutable"), "{path}: {cache}");
        let kind = asset.header("content-type").unwrap_or_default();
        let is_text = ["css", "js"]
            .iter()
            .any(|kind| path.rsplit('.').next() == Some(kind));
        assert_eq!(kind.ends_with("; charset=utf-8"), is_text, "{path}: {kind}");
    }
    let manifest = harness::ui_dist().join("app/manifest.json");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(manifest).expect("the manifest")).expect("JSON");
    let wasm = manifest["wasm"].as_str().expect("the program's path");
    let request = client(&stack)
        .request(Method::GET, wasm)
        .header("Accept-Encoding", "br");
    let asset = client(&stack).send(request).await;
    assert_eq!(
        asset.header("content-encoding"),
        Some("br"),
        "{:?}",
        asset.headers
    );
    assert_eq!(asset.header("content-type"), Some("application/wasm"));
    assert!(
        asset.body.len() <= 400 * 1024,
        "{} KiB of WebAssembly",
        asset.body.len() / 1024
    );
    // what is not there may be there in a moment
    let missing = client(&stack).get("/app/main-0000000000000000.js").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.header("cache-control"), Some("no-store"), "{missing:?}");
    // nothing outside the folder
    for path in [
        "/app/../index.html",
        "/app/%2e%2e/index.html",
        "/app/..%2f..%2fCargo.toml",
        "/app//etc/passwd",
    ] {
        let answer = client(&stack).get(path).await;
        assert!(answer.status >= 400, "{path}: {answer:?}");
    }
}

/// A connection that is left inside of a transaction takes the next one's writes into it, and they are never committed.
#[tokio::test]
async fn who_leaves_while_their_transaction_begins_takes_nobodys_writes_with_them() {
    let stack = Stack::builder()
        .with_gates()
        .with("DATABASE_CONNECTIONS", "3")
        .start()
        .await;
    let (_, person) = Person::join_natively(&stack).await;
    let session = person.create_session("Written down").await;
    stack.postgres_gate().slow(Duration::from_millis(60));
    // ever sooner, so that none of them mends what the one before it left
    for moment in (3..36).rev() {
        let leaving = person
            .request(Method::GET, routes::BOOTSTRAP)
            .timeout(Duration::from_millis(moment * 12));
        let _ = person.try_send(leaving).await;
    }
    stack.postgres_gate().slow(Duration::ZERO);
    for number in 0..12 {
        person.note(session, &format!("Kept {number}")).await;
    }
    let kept = "select count(*) from conversations where content like 'Kept %'";
    assert_eq!(stack.number(kept).await, 12, "as another connection sees it");
}
