//! What a hand waits for, as the page itself tells it: a session that is turned to, and a letter that is typed into it
//! while a reply comes.

use super::account::{Account, LAST_WORDS};
use super::figures::{Figure, spread};
use anyhow::{Context as _, ensure};
use harness::{Screen, Seat};
use serde_json::Value;
use std::time::Duration;

const TURNS: usize = 20;
/// As fast as a quick hand, over a reply of forty seconds at most.
const TYPED: &str = "the quick brown fox jumps over the lazy dog and then goes home";
const BETWEEN_KEYS_MILLIS: &str = "90";
const REPLY_WORDS: usize = 1_500;

/// In milliseconds.
const SWITCH_GOAL: f64 = 100.0;
const KEY_GOAL: f64 = 50.0;

/// Answers once what was changed is painted: in the second frame from now the first one is.
const PAINTED: &str = "const painted = (then) => requestAnimationFrame(() => requestAnimationFrame(then));";

pub async fn measure(seat: &Seat, screen: &Screen, account: &Account) -> anyhow::Result<Vec<Figure>> {
    let mut switched = Vec::new();
    let long = format!("[data-session=\"{}\"] a", account.long);
    let other = "[data-testid=\"session-row\"]:nth-of-type(2) a";
    for _ in 0..TURNS {
        turn_to(screen, other, "Matter number 1", "Answer 100 of").await?;
        switched.push(turn_to(screen, &long, "The long session", LAST_WORDS).await?);
    }
    let (switch, slowest) = spread(switched, 1.0);
    let (key, nearly_all) = spread(type_into_a_reply(seat, screen, account).await?, 0.95);
    Ok(vec![
        Figure::time("to a session of 2,000 messages, press to paint, p50", switch).at_most(SWITCH_GOAL),
        Figure::time("the same, worst", slowest).at_most(SWITCH_GOAL),
        Figure::time("a key while a reply comes, press to paint, p50", key).at_most(KEY_GOAL),
        Figure::time("the same, p95", nearly_all).at_most(KEY_GOAL),
    ])
}

/// Presses a row, and waits until its last words are there and painted.
async fn turn_to(screen: &Screen, link: &str, title: &str, words: &str) -> anyhow::Result<Duration> {
    let (link, title, words) = (quoted(link), quoted(title), quoted(words));
    let script = format!(
        "{PAINTED}
         const there = () => {{
             const head = document.querySelector('[data-testid=session-title]');
             const said = [...document.querySelectorAll('[data-testid=message-text]')];
             return head?.textContent.includes({title}) && said.some((text) => text.textContent.includes({words}));
         }};
         const begun = performance.now();
         const look = () => {{
             if (!there()) return false;
             watch.disconnect();
             painted(() => done(performance.now() - begun));
             return true;
         }};
         const watch = new MutationObserver(look);
         watch.observe(document.body, {{ childList: true, subtree: true, characterData: true }});
         document.querySelector({link}).click();
         look();"
    );
    took(&screen.evaluate_later(&script).await).context("turning to a session")
}

/// Real keys on the display, each timed from when the display had it until it was painted.
async fn type_into_a_reply(seat: &Seat, screen: &Screen, account: &Account) -> anyhow::Result<Vec<Duration>> {
    let reply = format!("/slow 20ms {}", "word ".repeat(REPLY_WORDS));
    account.elsewhere.say(account.long, &reply).await;
    screen.wait("stop").await;
    screen.click("composer-input").await;
    let listen = format!(
        "{PAINTED}
         window.struck = [];
         addEventListener('keydown', (event) => {{
             const now = performance.now(), waited = now - event.timeStamp;
             // another clock's time would be far away
             const begun = waited >= 0 && waited < 5000 ? event.timeStamp : now;
             painted(() => struck.push(performance.now() - begun));
         }}, true);"
    );
    screen.evaluate(&listen).await;
    seat.look_at(".*CompyMac").await;
    seat.strike(&["type", "--delay", BETWEEN_KEYS_MILLIS, TYPED]);
    let is_coming = screen.is_seen("[data-testid=\"stop\"]").await;
    ensure!(is_coming, "the reply was over before the keys were");
    let written = screen
        .evaluate("return document.querySelector('[data-testid=composer-input]').value")
        .await;
    ensure!(written == TYPED, "the keys wrote {written}");
    let struck = screen.evaluate("return struck").await;
    screen.click("stop").await;
    let struck = struck.as_array().context("the page told nothing")?;
    struck.iter().map(took).collect()
}

/// Milliseconds that the page told.
fn took(told: &Value) -> anyhow::Result<Duration> {
    let millis = told.as_f64().with_context(|| format!("the page told {told}"))?;
    Ok(Duration::try_from_secs_f64(millis / 1000.0)?)
}

/// As script has it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
