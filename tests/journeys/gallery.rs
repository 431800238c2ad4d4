//! How every state looks that can be drawn from data alone: with the style that is shipped, in light and in dark, in a large window
//! and in a small one. What only the living app shows is in `tests/desktop/pictures.rs`.

use harness::{SCHEMES, SIZES, Screen, Stack, run_with_arguments, ui_dist};
use serde_json::Value;
use std::path::Path;

/// What a state is there to say, which is in sight wherever it is shown. Pages of forms have their fields.
const STATES: [(&str, &str); 21] = [
    ("sign-in", "Sign in to CompyMac"),
    ("sign-in-refused", "That e-mail and password do not match"),
    ("sign-in-desktop", "Sign in with your browser"),
    ("no-keychain", "This computer offers no place for secrets."),
    ("waiting", "Waiting for your browser…"),
    ("sign-up", "Create an account"),
    ("check-mail", "Check your mail"),
    ("home", "What should we work on?"),
    ("home-empty", "What should we work on?"),
    ("home-offline", "Offline"),
    ("new-session", "What should we work on?"),
    ("loading", "Release 1.2"),
    ("not-here", "This session isn’t on this computer yet."),
    ("conversation", "A test that waits for a condition is slower"),
    ("running", "The cause is a race"),
    ("troubled", "Offline"),
    ("signed-out-elsewhere", "The server asks you to sign in again."),
    ("archived", "Archived sessions"),
    ("archived-session", "Keep this for later."),
    ("settings", "Settings"),
    ("missing", "There is nothing at this address"),
];

/// In place of the gallery's own.
fn wear_what_is_shipped(folder: &Path) {
    let shipped = ui_dist();
    let manifest = std::fs::read(shipped.join("app/manifest.json")).expect("the page's manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
    let style = manifest.get("style").and_then(Value::as_str).expect("a style");
    let style = shipped.join(style.trim_start_matches('/'));
    std::fs::copy(style, folder.join("style.css")).expect("the style that is shipped");
}

#[tokio::test]
async fn every_state_can_be_read_in_light_and_dark_in_a_large_window_and_in_a_small_one() {
    let stack = Stack::start().await;
    let folder = stack.folder().join("gallery");
    let written = run_with_arguments("gallery", &[&folder.display().to_string()]).await;
    let names: Vec<&str> = written.succeeds().said.lines().collect();
    for (name, _) in STATES {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    wear_what_is_shipped(&folder);
    let screen = Screen::browser(&stack).await;
    let (mut faults, mut grounds) = (Vec::new(), Vec::new());
    for scheme in SCHEMES {
        for size in SIZES {
            screen.wear_at(size, scheme).await;
            for &name in &names {
                let page = folder.join(format!("{name}-{scheme}.html"));
                screen.open(&format!("file://{}", page.display())).await;
                let sight = screen.sight().await;
                grounds.push((scheme, sight.ground.clone()));
                let [width, height] = size;
                let at = format!("{name}-{scheme}-{width}x{height}");
                let words = STATES.iter().find(|(state, _)| *state == name);
                faults.extend(sight.faults_of(&at, words.map_or("", |(_, words)| *words)));
                screen.whole_picture(&format!("state-{at}")).await;
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    grounds.sort();
    grounds.dedup();
    assert_eq!(
        grounds.len(),
        2,
        "one ground for light and one for dark: {grounds:?}"
    );
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_seen() {
    let stack = Stack::start().await;
    let screen = Screen::browser(&stack).await;
    screen.wear_at(SIZES[1], "light").await;
    let page = stack.folder().join("bad.html");
    let bad = "<!doctype html><meta charset=utf-8><body style='background: #fff'>\
               <p style='color: #999'>Pale</p>\
               <p style='width: 60px; overflow: hidden; white-space: nowrap'>Cut in the middle of a word</p>\
               <p style='width: 60px; overflow: hidden; white-space: nowrap; text-overflow: ellipsis'>Said to go on</p>\
               <pre style='width: 60px; overflow: auto'>Reached by whoever scrolls</pre>\
               <div style='width: 3000px'>Wide</div><p style='margin-top: 2000px'>Far below</p>";
    std::fs::write(&page, bad).expect("a page written");
    screen.open(&format!("file://{}", page.display())).await;
    let sight = screen.sight().await;
    let told = sight.faults.join("\n");
    for seen in [
        "\"Pale\" stands out",
        "\"Cut in the middle",
        "pixels wide in a window of",
    ] {
        assert!(told.contains(seen), "{seen} in {told}");
    }
    for fine in ["Said to go on", "Reached by", "Wide", "Far below"] {
        assert!(!told.contains(fine), "that can be read: {told}");
    }
    assert!(sight.seen.contains("Pale") && !sight.seen.contains("Far below"));
    assert_eq!(sight.faults_of("here", "Far below").len(), 4);
}
