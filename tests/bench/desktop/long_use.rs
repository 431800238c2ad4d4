//! An hour of use in a few minutes: turning from session to session, reading upwards, looking for words, writing. Then both
//! apps are weighed, and left alone for a minute.

use super::figures::{Figure, mebibytes};
use crate::weight::{between, held, worked};
use harness::{Screen, Seat, until};
use std::time::{Duration, Instant};

/// In MiB, more than the empty app.
const MEMORY_GOAL: f64 = 120.0;
/// In percent of one core.
const REST_GOAL: f64 = 0.5;
const REST: Duration = Duration::from_mins(1);
/// What was begun is done by then: replies, what is written down later, memory that is given back.
const SETTLING: Duration = Duration::from_secs(20);

/// In every tenth message, in one session's, in nearly all.
const SOUGHT: [&str; 4] = ["lighthouse", "matter 512", "beside", "orchard"];
/// Pages upwards in one session.
const PAGES: usize = 6;

pub async fn measure(ours: &Seat, empty: &Seat, long: Duration) -> anyhow::Result<Vec<Figure>> {
    let (screen, empty_screen) = (ours.launch().await, empty.launch().await);
    screen.wait_connection("online").await;
    let at_first = held(&ours.app_processes())?;
    let begun = Instant::now();
    let mut turn = 0;
    let mut most = at_first;
    while begun.elapsed() < long {
        one_turn(&screen, turn).await;
        most = most.max(held(&ours.app_processes())?);
        turn += 1;
    }
    tokio::time::sleep(SETTLING).await;
    let (after, after_empty) = (held(&ours.app_processes())?, held(&empty.app_processes())?);
    let (busy, busy_empty) = at_rest(ours, empty).await;
    screen.close().await;
    empty_screen.close().await;
    let empty_memory = mebibytes(after_empty);
    Ok(vec![
        Figure::bytes("memory (PSS) as it comes up", at_first),
        Figure::bytes("memory (PSS) after use of 100,000 messages", after)
            .beside(empty_memory)
            .at_most(empty_memory + MEMORY_GOAL),
        Figure::bytes("the most at any time of it", most),
        share("processor over a minute of rest", busy)
            .beside(busy_empty)
            .at_most(REST_GOAL),
        Figure {
            unit: "",
            ..share("turns of use before that, at a session each", f64::from(turn))
        },
    ])
}

fn share(what: &'static str, percent: f64) -> Figure {
    Figure {
        what,
        unit: "%",
        ours: percent,
        empty: None,
        goal: None,
    }
}

/// How much of one core either takes while nobody does anything.
async fn at_rest(ours: &Seat, empty: &Seat) -> (f64, f64) {
    let look = || [ours, empty].map(|seat| worked(&seat.app_processes()));
    let ([before, before_empty], begun) = (look(), Instant::now());
    tokio::time::sleep(REST).await;
    let [after, after_empty] = look();
    let of_a_core = |worked: Duration| worked.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    (
        of_a_core(between(&before, &after)),
        of_a_core(between(&before_empty, &after_empty)),
    )
}

/// What somebody does in one session.
async fn one_turn(screen: &Screen, turn: u32) {
    open_another(screen, turn).await;
    for _ in 0..PAGES {
        read_upwards(screen).await;
    }
    if turn.is_multiple_of(4) {
        let place = usize::try_from(turn / 4).unwrap_or_default() % SOUGHT.len();
        look_for(screen, SOUGHT.get(place).copied().unwrap_or_default()).await;
    }
    if turn.is_multiple_of(10) {
        screen.press("composer-input", "/markdown").await;
        screen.click("send").await;
        screen
            .wait_text_in("[data-testid=\"message-text\"]", "/markdown")
            .await;
    } else if turn.is_multiple_of(3) {
        screen.press("composer-input", "Half a thought").await;
    }
}

/// The next session of the list, which is scrolled along, and from its end to its beginning.
async fn open_another(screen: &Screen, turn: u32) {
    let script = format!(
        "const list = document.querySelector('[data-testid=session-list]');
         const rows = list.querySelectorAll('[data-testid=session-row] a');
         list.scrollTop = list.scrollTop + list.clientHeight + 10 < list.scrollHeight
             ? list.scrollTop + list.clientHeight : 0;
         const row = rows[({turn} * 7) % rows.length];
         row.click();
         return row.parentElement.dataset.session"
    );
    let opened = screen.evaluate(&script).await;
    let opened = opened.as_str().unwrap_or_default().to_owned();
    until("another session", async || {
        let is_there = screen.address().await.ends_with(&opened)
            && screen
                .is_seen("[data-testid=\"transcript\"] [data-testid=\"message\"]")
                .await;
        is_there.then_some(())
    })
    .await;
}

async fn read_upwards(screen: &Screen) {
    screen
        .evaluate_later(
            "const pane = document.querySelector('[data-testid=transcript]');
             pane.scrollTop -= pane.clientHeight;
             document.querySelector('[data-testid=earlier]:not([disabled])')?.click();
             requestAnimationFrame(() => requestAnimationFrame(() => done(1)));",
        )
        .await;
}

async fn look_for(screen: &Screen, words: &str) {
    screen.click("search").await;
    screen.fill("search-input", words).await;
    screen.wait("found").await;
    // Enter opens what was found first, Escape goes back
    screen.press("search-input", "\u{E00C}").await;
    screen.wait_gone("dialog[open]").await;
}
