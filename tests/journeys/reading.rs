//! Reading a long session: however long it is, few of its messages stand in the page, and what is read stays where it is.

use crate::{COMPLETE, REPLIES, Scene};
use harness::{Body, Screen};
use protocol::SessionId;
use serde::Deserialize;

in_both_bodies! {
    a_long_session_stands_in_the_page_by_a_part_and_nothing_in_sight_moves,
    whoever_is_at_the_foot_follows_a_reply,
    whoever_went_up_a_little_or_selects_something_is_not_moved_by_a_reply,
}

const MESSAGES: usize = 230;
/// What may stand in the page at once.
const MOST: usize = 80;
/// Of most of a window each.
const STEPS: usize = 120;

/// Goes up by most of a window; tells how far that moved what is in sight then, how many messages there are, and the first's words.
const UP: &str = "
    const pane = document.querySelector('[data-testid=transcript]');
    pane.scrollTop -= pane.clientHeight * 0.8;
    const head = pane.getBoundingClientRect().top;
    const line = [...pane.querySelectorAll('article')].find((one) => one.getBoundingClientRect().bottom > head);
    const before = line.getBoundingClientRect().top;
    document.querySelector('[data-testid=earlier]:not([disabled])')?.click();
    const frames = (left) => left ? requestAnimationFrame(() => frames(left - 1)) : done({
        moved: line.isConnected ? Math.abs(line.getBoundingClientRect().top - before) : 1e6,
        many: pane.querySelectorAll('article').length,
        first: pane.querySelector('article').textContent,
    });
    frames(6);";

#[derive(Debug, Deserialize)]
struct Told {
    moved: f64,
    many: usize,
    first: String,
}

/// How many messages there are, and whether the newest is in sight.
const FOOT: &str = "
    const all = document.querySelectorAll('[data-testid=transcript] article');
    const newest = all[all.length - 1];
    const foot = document.querySelector('[data-testid=transcript]').getBoundingClientRect().bottom;
    return {
        many: all.length,
        is_there: newest.textContent.includes('Page 230.') && newest.getBoundingClientRect().bottom < foot + 2,
    };";

#[derive(Debug, Deserialize)]
struct Foot {
    many: usize,
    is_there: bool,
}

async fn a_long_session_stands_in_the_page_by_a_part_and_nothing_in_sight_moves(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    let session = scene.elsewhere.create_session("Log book").await;
    for page in 1..=MESSAGES {
        let said = format!("Page {page}. {}", "Calm sea. ".repeat(1 + page % 40));
        scene.elsewhere.note(session, &said).await;
    }
    screen.wait_text("session-list", "Log book").await;
    screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
    screen.wait_text("transcript", "Page 230.").await;
    let mut steps = 0;
    loop {
        let told = screen.evaluate_later(UP).await;
        let told: Told = serde_json::from_value(told).expect("what the page tells");
        assert!(told.moved <= 2.0, "after {steps} steps: {told:?}");
        assert!(told.many <= MOST, "{told:?}");
        if told.first.contains("Page 1.") {
            break;
        }
        steps += 1;
        assert!(steps < STEPS, "the first message does not come: {told:?}");
    }
    screen.click_on("#to-latest").await;
    screen.wait_gone("#to-latest").await;
    let told: Foot = serde_json::from_value(screen.evaluate(FOOT).await).expect("what the page tells");
    assert!(told.many <= MOST && told.is_there, "{told:?}");
    scene.elsewhere.note(session, "Land in sight.").await;
    screen.wait_text("transcript", "Land in sight.").await;
}

/// A session longer than a window, at its foot, and a reply that has begun to grow there.
async fn with_a_growing_reply(scene: &Scene, title: &str) -> SessionId {
    let screen = &scene.screen;
    let session = scene.elsewhere.create_session(title).await;
    for page in 1..=12 {
        let said = format!("Page {page} of {title}. {}", "Calm sea. ".repeat(40));
        scene.elsewhere.note(session, &said).await;
    }
    screen.wait_text("session-list", title).await;
    screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
    screen
        .wait_text("transcript", &format!("Page 12 of {title}."))
        .await;
    let words: Vec<String> = (1..=80).map(|word| format!("sounding{word}")).collect();
    let said = format!("/slow 100ms {}", words.join(" "));
    scene.elsewhere.say(session, &said).await;
    screen.wait_text_in(REPLIES, "sounding5").await;
    session
}

/// How far from the foot the pane is.
async fn below(screen: &Screen) -> f64 {
    let script = "return -document.querySelector('[data-testid=transcript]').scrollTop";
    screen.evaluate(script).await.as_f64().expect("a place")
}

async fn whoever_is_at_the_foot_follows_a_reply(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    with_a_growing_reply(&scene, "Log book").await;
    for word in ["sounding40", "sounding80"] {
        screen.wait_text_in(REPLIES, word).await;
        assert!(below(screen).await < 2.0, "at {word}");
        assert_eq!(screen.count("#to-latest").await, 0);
    }
}

/// Ways to leave the foot, each by less than what counts as near to it. The line that is looked at then is remembered.
const WAYS: [(&str, &str); 3] = [
    ("Arrow", "document.getElementById('conversation').focus()"),
    (
        "Pencil",
        "const said = [...document.querySelectorAll('.user .plain')].pop();
         getSelection().selectAllChildren(said);",
    ),
    (
        "Bar",
        "document.querySelector('[data-testid=transcript]').scrollTop -= 40",
    ),
];
const UP_KEY: &str = "\u{E013}";
/// Where the newest message of the person's ends, once it has been there for a third of a second: a key moves by and by.
const LINE_AT_REST: &str = "
    const line = () => [...document.querySelectorAll('.message.user')].pop().getBoundingClientRect().bottom;
    const rest = (before, frames) => {
        const now = line();
        const left = Math.abs(now - before) < 0.5 ? frames - 1 : 20;
        left ? requestAnimationFrame(() => rest(now, left)) : done(now);
    };
    rest(line(), 20);";
/// Where it ends at this moment.
const LINE: &str =
    "return [...document.querySelectorAll('.message.user')].pop().getBoundingClientRect().bottom";

async fn whoever_went_up_a_little_or_selects_something_is_not_moved_by_a_reply(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    for (title, way) in WAYS {
        let session = with_a_growing_reply(&scene, title).await;
        screen.evaluate(way).await;
        if title == "Arrow" {
            screen.keys(UP_KEY).await;
        }
        // what is selected is held from the next word on, and so is all else
        screen.wait_for("#to-latest").await;
        let before = screen
            .evaluate_later(LINE_AT_REST)
            .await
            .as_f64()
            .expect("a line");
        screen.wait_text_in(COMPLETE, "sounding80").await;
        let after = screen.evaluate(LINE).await.as_f64().expect("a line");
        assert!((after - before).abs() <= 2.0, "{title}: from {before} to {after}");
        assert!(below(screen).await > 24.0, "{title}: the reply grew below");
        scene.elsewhere.note(session, "Land in sight.").await;
        screen.wait_text_in("#to-latest", "1 new").await;
        screen.click_on("#to-latest").await;
        screen.wait_gone("#to-latest").await;
        screen.evaluate("getSelection().removeAllRanges()").await;
    }
}
