//! Reading a long session: however long it is, few of its messages stand in the page, and what is read stays where it is.

use crate::Scene;
use harness::Body;
use serde::Deserialize;

in_both_bodies! {
    a_long_session_stands_in_the_page_by_a_part_and_nothing_in_sight_moves,
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
