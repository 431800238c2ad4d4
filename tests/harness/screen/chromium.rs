//! Chromium with an empty profile, driven by chromedriver.

use super::{Body, Screen};
use crate::offspring::{Offspring, system_program};
use crate::programs::free_port;
use serde_json::json;
use std::sync::Arc;

const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--window-size=1280,900",
];

pub(super) async fn start(home: &str, has_script: bool) -> Screen {
    let folder = tempfile::Builder::new()
        .prefix("compymac-chromium-")
        .tempdir()
        .unwrap_or_else(|error| panic!("making a folder: {error}"));
    let programs = Offspring::new();
    let mut command = programs.command("chromedriver", folder.path());
    // Given port 0 it takes a free one of IPv6 and ends where that of IPv4 is not free too.
    let port = free_port();
    command.arg(format!("--port={port}")).env("TMPDIR", folder.path());
    programs
        .start_reading(&mut command, &folder.path().join("chromedriver.log"), |line| {
            line.contains("started successfully").then_some(())
        })
        .await;
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
    arguments.push(format!(
        "--user-data-dir={}",
        folder.path().join("profile").display()
    ));
    let script = if has_script { 1 } else { 2 };
    let capabilities = json!({
        "goog:chromeOptions": {
            "binary": system_program("chromium"),
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.javascript": script},
        },
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    let driver = format!("http://127.0.0.1:{port}");
    Screen::over(
        &driver,
        capabilities,
        Body::Browser,
        home.to_owned(),
        Arc::new(programs),
        Arc::new(folder),
    )
    .await
}
