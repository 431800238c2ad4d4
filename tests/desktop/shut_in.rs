//! The page of the app is shut in: whatever came to be written into it runs nothing, fetches nothing and leads nowhere.

use harness::{Seat, Stack, until};
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpListener;

/// What a foreign text could try, were it ever taken for a part of the page; `THERE` is somebody else's address.
const TRY: &str = "
    const tried = {};
    const script = document.createElement('script');
    script.textContent = 'window.ranInline = true';
    document.body.append(script);
    tried.inline = window.ranInline === true;
    try { tried.evaluated = Function('return true')(); } catch { tried.evaluated = false; }
    const box = document.createElement('p');
    box.setAttribute('style', 'position: fixed');
    document.body.append(box);
    tried.styled = getComputedStyle(box).position === 'fixed';
    box.remove();
    tried.frozen = Object.isFrozen(Object.prototype);
    const shown = new Promise((then) => {
        const image = new Image();
        image.onload = image.onerror = then;
        image.src = 'THERE';
    });
    const succeeds = (promise) => promise.then(() => true, () => false);
    const asks = (name, what) => succeeds(window.__TAURI_INTERNALS__.invoke(name, what));
    const opened = asks('plugin:opener|open_url', { url: 'https://example.org/' });
    const link = asks('plugin:deep-link|get_current', {});
    Promise.all([succeeds(fetch('THERE')), opened, link, shown])
        .then(([fetched, opened, link]) => done({ ...tried, fetched, opened, link }));";

/// In a moment: the driver waits for no page that goes.
const LEAVE: &str = "setTimeout(() => { window.open('THERE'); location.href = 'THERE'; })";

#[tokio::test]
async fn the_page_runs_nothing_foreign_fetches_nothing_and_never_leaves() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).expect("somebody else's door");
    elsewhere.set_nonblocking(true).expect("looking without waiting");
    let there = format!("http://{}/", elsewhere.local_addr().expect("an address"));
    let tried = screen.evaluate_later(&TRY.replace("THERE", &there)).await;
    let nothing = json!({
        "inline": false,
        "evaluated": false,
        "styled": false,
        "frozen": true,
        "fetched": false,
        "opened": false,
        "link": false,
    });
    assert_eq!(tried, nothing);
    screen.evaluate(&LEAVE.replace("THERE", &there)).await;
    until("the page to be kept here", async || {
        seat.log()
            .contains("the page was kept from leaving the app")
            .then_some(())
    })
    .await;
    screen.wait("sign-in-form").await;
    let came = elsewhere.accept().map(drop).expect_err("nobody comes");
    assert_eq!(came.kind(), ErrorKind::WouldBlock);
    assert_eq!(seat.opened(), Vec::<String>::new());
}
