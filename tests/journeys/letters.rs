//! How letters look: each one as it came, at the widths of a computer and of a phone, in light and in dark.

use harness::{Screen, Stack, root};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

const MEASURE: &str = include_str!("letters.js");
/// As long as what people call things gets, and an address that breaks nowhere by itself.
const LONG: &str =
    "maximiliane.wolkenstein-rodenegg-von-der-trostburg@mailbox.department-of-meteorology.example.org";

/// What can be seen of a page.
#[derive(Debug, Deserialize)]
struct Measured {
    faults: Vec<String>,
    link: Option<String>,
    code: Option<String>,
    ground: String,
}

/// Every occasion for which there is a letter.
fn occasions() -> Vec<String> {
    let folder = root().join("sync-server/letters");
    let files = std::fs::read_dir(&folder).expect("the letters' folder");
    let mut names: Vec<String> = files
        .flatten()
        .filter_map(|file| {
            file.file_name()
                .to_str()?
                .strip_suffix(".html")
                .map(str::to_owned)
        })
        .filter(|name| name != "frame")
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    names
}

/// All that any letter says; each takes its own.
fn context(stack: &Stack) -> Value {
    let link = |path: &str| format!("{}{path}", stack.url());
    json!({
        "link": link("/auth/verify?id=0198c0de-0000-7000-8000-000000000000&t=b3V0IG9mIG1pbmQsIG91dCBvZiBzaWdodCwgYnV0"),
        "stop": link("/letters/0198c0de-0000-7000-8000-000000000000"),
        "code": "7KM2QX9T",
        "device": "Maximiliane’s second-best computer in the observatory on the mountain",
        "name": "Maximiliane’s second-best key",
        "provider": "Microsoft",
        "is_asked_for": true,
        "when": "23 September 2026, 23:59 UTC, from Llanfairpwllgwyngyllgogerychwyrndrobwll, United Kingdom",
        "until": "30 September 2026, 23:59 UTC",
        "old": LONG,
        "new": LONG,
        "left": 9,
    })
}

fn address_of(occasion: &str) -> String {
    format!("{occasion}@example.org")
}

/// All of them at once: the server looks for letters that nobody told it of now and then only.
async fn write_all(stack: &Stack, occasions: &[String]) {
    let context = context(stack).to_string().replace('\'', "''");
    let rows: Vec<String> = occasions
        .iter()
        .map(|occasion| {
            let address = address_of(occasion);
            format!("(gen_random_uuid(), '{address}', '{occasion}', '{context}')")
        })
        .collect();
    let rows = rows.join(", ");
    stack
        .execute(&format!(
            "insert into email_outbox (id, recipient, template, context) values {rows}"
        ))
        .await;
}

async fn measure(screen: &Screen, page: &Path) -> Measured {
    screen.open(&format!("file://{}", page.display())).await;
    let measured = screen.evaluate(MEASURE).await;
    serde_json::from_value(measured).expect("what was measured")
}

#[tokio::test]
async fn every_letter_can_be_read_in_light_and_dark_at_the_width_of_a_computer_and_of_a_phone() {
    let stack = Stack::start().await;
    let screen = Screen::browser(&stack).await;
    let occasions = occasions();
    write_all(&stack, &occasions).await;
    let mut letters = Vec::new();
    for occasion in occasions {
        let letter = stack.letter_to(&address_of(&occasion), 1).await;
        let page = stack.folder().join(format!("{occasion}.html"));
        let html = letter.html.as_deref().unwrap_or_default();
        std::fs::write(&page, html).expect("a letter kept");
        letters.push((occasion, letter, page));
    }
    let mut faults = Vec::new();
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        for width in [600, 360] {
            screen.wear(width, scheme).await;
            for (occasion, letter, page) in &letters {
                let Measured {
                    faults: own,
                    link,
                    code,
                    ground,
                } = measure(&screen, page).await;
                let at = format!("{occasion}, {scheme}, {width} pixels");
                faults.extend(own.into_iter().map(|fault| format!("{at}: {fault}")));
                if link.as_ref() != letter.link.as_ref() {
                    faults.push(format!("{at}: its link is not to be seen, only {link:?}"));
                }
                let code = code.map(|code| code.replace('-', ""));
                if code != letter.code {
                    faults.push(format!("{at}: its code is not to be seen, only {code:?}"));
                }
                grounds.push((scheme, ground));
                screen
                    .whole_picture(&format!("letter-{occasion}-{scheme}-{width}"))
                    .await;
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
async fn a_letter_that_cannot_be_read_is_seen() {
    let stack = Stack::start().await;
    let screen = Screen::browser(&stack).await;
    screen.wear(360, "light").await;
    let page = stack.folder().join("bad.html");
    let bad = "<!doctype html><meta charset=utf-8><body style='background: #fff'>\
               <p style='color: #999'>Pale</p><p style='width: 500px'>Wide</p><p style='font-size: 9px'>Small</p>\
               <p style='background: #000'><span style='color: rgb(255 255 255 / 40%)'>Thin</span></p>\
               <a class=button href='https://c.example/x' style='position: absolute; left: -900px'>Away</a>";
    std::fs::write(&page, bad).expect("a letter written");
    let Measured {
        faults, link, code, ..
    } = measure(&screen, &page).await;
    let told = faults.join("\n");
    for seen in [
        "in a window of 360",
        "\"Pale\"",
        "\"Thin\"",
        "\"Small\"",
        "reaches from -900",
    ] {
        assert!(told.contains(seen), "{seen} in {told}");
    }
    assert!(!told.contains("\"Wide\""), "that can be read: {told}");
    assert_eq!((link, code), (None, None));
}
