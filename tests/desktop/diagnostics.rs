//! What is copied for whoever helps: enough to help, and nothing private.

use crate::Scene;
use harness::until;
use std::io::Write as _;

/// As a careless line of some library would have it.
const PLANTED: &[&str] = &[
    "bert@example.org",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl",
    "cmr_0123456789abcdefghijABCDEFGHIJ",
    "Bearer s3cr3t",
    "compymac://auth/callback?code=c0de&state=st4te",
    "https://example.org/x?token=t0ken",
    "\"The lighthouse keeper knows where the gold is buried\"",
];

const PRIVATE: &[&str] = &[
    "bert@",
    "eyJ",
    "cmr_",
    "s3cr3t",
    "c0de",
    "st4te",
    "t0ken",
    "lighthouse",
    "Sealed",
];

const KNOWN: &[&str] = &[
    concat!("CompyMac: ", env!("CARGO_PKG_VERSION")),
    "System: linux",
    "Web view: 2.",
    "Server: 127.0.0.1",
    "Connection: online",
    "Kept here: 1 sessions",
    "Sign-in kept in: Some(Keychain)",
    "WARN careless: was given",
    "the page is drawn",
];

fn plant(scene: &Scene, secret: &str) {
    let log = scene.seat.app_home().join("logs/desktop.log");
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(log)
        .expect("opening the log");
    writeln!(
        log,
        "2026-01-01T00:00:00.000000Z  WARN careless: was given {secret} now"
    )
    .expect("planting");
}

/// The app's own words alone, which are looked through at the end of every test.
fn take_back(scene: &Scene) {
    let log = scene.seat.app_home().join("logs/desktop.log");
    let text = std::fs::read_to_string(&log).expect("reading the log");
    let own: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("WARN careless"))
        .collect();
    std::fs::write(&log, own.join("\n")).expect("writing the log");
}

/// What the clipboard holds, as somebody gets it who pastes it.
async fn pasted(scene: &Scene) -> String {
    scene.screen.click("home-link").await;
    scene.screen.click_on("#composer-input").await;
    scene.screen.keys("\u{E009}v").await;
    until("the report to be pasted", async || {
        let typed = scene
            .screen
            .evaluate("return document.getElementById('composer-input').value")
            .await;
        typed.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn diagnostics_tell_of_the_app_and_nothing_of_its_person() {
    let scene = Scene::signed_in().await;
    let id = scene.elsewhere.create_session("Sealed orders").await;
    scene.elsewhere.note(id, "The lighthouse keeper knows").await;
    scene.screen.wait_text("session-list", "Sealed orders").await;
    let email = scene.elsewhere.me().await.email.to_string();
    let home = scene.seat.home().display().to_string();
    for secret in PLANTED.iter().copied().chain([email.as_str(), home.as_str()]) {
        plant(&scene, secret);
    }
    scene.screen.click("settings").await;
    scene.screen.wait("autostart").await;
    scene.screen.click("copy-diagnostics").await;
    scene.screen.wait_text_in(".flash", "Diagnostics copied").await;
    scene.screen.picture("settings-desktop").await;

    let report = pasted(&scene).await;
    for known in KNOWN {
        assert!(report.contains(known), "{known} in {report}");
    }
    for private in PRIVATE.iter().copied().chain([email.as_str(), home.as_str()]) {
        assert!(!report.contains(private), "{private} in {report}");
    }
    assert!(report.lines().count() <= 115, "{report}");
    take_back(&scene);
}
