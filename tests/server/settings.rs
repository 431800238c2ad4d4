//! A server with a missing or wrong setting names it and does not start.

use harness::{Ended, Stack, run_to_end};

/// Runs the server with a stack's settings but these changes, and expects it to end with a word about `name`.
async fn refuses(stack: &Stack, name: &str, value: Option<&str>) -> Ended {
    let url = stack.url();
    let mut settings = stack.settings();
    settings.push(("PUBLIC_URL", &url));
    settings.retain(|(other, _)| *other != name);
    settings.extend(value.map(|value| (name, value)));
    let ended = run_to_end("sync-server", &settings).await;
    assert!(
        ended.code.is_some_and(|code| code != 0),
        "{name}={value:?}: {ended:?}"
    );
    let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
    assert!(
        ended.said.contains(name) || ended.said.contains(&flag),
        "{name}={value:?}: {}",
        ended.said
    );
    assert!(!ended.said.contains("panicked"), "{}", ended.said);
    ended
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let stack = Stack::start().await;
    for name in ["PUBLIC_URL", "DATABASE_URL", "REDIS_URL", "SMTP_URL"] {
        refuses(&stack, name, None).await;
    }
    let ended = refuses(&stack, "COMPYMAC_SECRET", None).await;
    assert!(
        ended.said.contains("COMPYMAC_SECRET") || ended.said.contains("--secret"),
        "{}",
        ended.said
    );
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_its_secret_is_not_shown() {
    let stack = Stack::start().await;
    let wrong = [
        ("PUBLIC_URL", "compymac.example.org"),
        ("PUBLIC_URL", "https://compymac.example.org/path"),
        ("PUBLIC_URL", "http://compymac.example.org"),
        ("LISTEN", "everywhere"),
        ("DATABASE_URL", "mysql://hidden-word@127.0.0.1/x"),
        ("DATABASE_URL", "postgres://postgres:hidden-word@127.0.0.1:9/x"),
        ("REDIS_URL", "http://hidden-word@127.0.0.1/"),
        ("REDIS_URL", "redis://127.0.0.1:9/"),
        ("REDIS_URL", "redis://127.0.0.1:9/,hidden-word"),
        ("REDIS_PREFIX", "of{one}:"),
        ("DATABASE_POOLER", "session"),
        ("SMTP_URL", "gopher://hidden-word@127.0.0.1"),
        ("PROVIDERS", "hidden-word"),
        ("BREACHED_PASSWORDS", "on"),
        ("BREACHED_PASSWORDS", "http://list.example.org/range/"),
        (
            "PROVIDERS",
            "[{\"id\":\"google\",\"client_secret\":\"hidden-word\"}]",
        ),
        ("ARGON2_MEMORY_KIB", "1024"),
        ("RATE_LIMIT_FACTOR", "0"),
        ("DATABASE_CONNECTIONS", "0"),
        ("UI_DIST", "/nowhere/hidden"),
        // neither a folder nor a place for one, for root either
        ("WORKSPACES", "/dev/null"),
        ("WORKSPACES", "/dev/null/workspaces"),
        ("WORKSPACES", "/proc/workspaces"),
        ("MAIL_FROM", "nobody"),
        ("COMPYMAC_SECRET", "hidden-word"),
        ("COMPYMAC_SECRET", "c2hvcnQ="),
    ];
    for (name, value) in wrong {
        let ended = refuses(&stack, name, Some(value)).await;
        assert!(!ended.said.contains("hidden-word"), "{name}: {}", ended.said);
    }
}

#[tokio::test]
async fn behind_a_pooler_the_way_for_the_migrations_is_asked_for() {
    let stack = Stack::start().await;
    let ended = refuses(&stack, "DATABASE_POOLER", Some("transaction")).await;
    assert!(ended.said.contains("DATABASE_MIGRATION_URL"), "{}", ended.said);
}

#[tokio::test]
async fn several_addresses_of_a_redis_that_is_no_cluster_are_refused() {
    let stack = Stack::start().await;
    let settings = stack.settings();
    let url = settings
        .iter()
        .find(|(name, _)| *name == "REDIS_URL")
        .expect("a Redis")
        .1;
    refuses(&stack, "REDIS_URL", Some(&format!("{url},{url}"))).await;
}

#[tokio::test]
async fn the_workspaces_folder_is_made_at_the_start_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let stack = Stack::start().await;
    let folder = std::fs::metadata(stack.workspaces()).expect("the folder");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let left = std::fs::read_dir(stack.workspaces()).expect("the folder").count();
    assert_eq!(left, 0, "the trial leaves nothing behind");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let stack = Stack::start().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = refuses(&stack, "LISTEN", Some(&address)).await;
    assert!(
        ended.said.contains(&address) || ended.said.contains("in use"),
        "{}",
        ended.said
    );
}

#[tokio::test]
async fn help_is_the_manual() {
    let ended = harness::run_with_arguments("sync-server", &["--help"]).await;
    assert_eq!(ended.code, Some(0));
    for name in [
        "LISTEN",
        "PUBLIC_URL",
        "DATABASE_URL",
        "DATABASE_POOLER",
        "DATABASE_MIGRATION_URL",
        "REDIS_URL",
        "COMPYMAC_SECRET",
        "SMTP_URL",
        "PROVIDERS",
        "WORKSPACES",
        "DRAIN_AFTER",
        "DRAIN_WITHIN",
    ] {
        assert!(ended.said.contains(name), "{name} in {}", ended.said);
    }
}
