//! The window comes back where it was, if that place is still there; and its page comes back when it was lost.

use harness::{Screen, Seat, Stack, until};
use serde_json::json;

const CHOSEN: [u32; 4] = [60, 40, 900, 640];

async fn at(screen: &Screen, wanted: [u64; 4]) {
    until(&format!("the window to be at {wanted:?}"), async || {
        (screen.window_place().await == wanted).then_some(())
    })
    .await;
}

/// What the app keeps of its window's place.
fn place_file(seat: &Seat) -> std::path::PathBuf {
    seat.app_home().join("window.json")
}

/// Waits until the app has written this place down.
async fn kept(seat: &Seat, [x, y, width, height]: [u32; 4]) {
    let wanted = json!({"x": x, "y": y, "width": width, "height": height, "maximized": false});
    until("the place to be kept", async || {
        let text = std::fs::read(place_file(seat)).ok()?;
        (serde_json::from_slice::<serde_json::Value>(&text).ok()? == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_window_comes_back_where_it_was_closed() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    screen.place_window(CHOSEN).await;
    kept(&seat, CHOSEN).await;
    screen.close().await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    at(&screen, CHOSEN.map(u64::from)).await;
}

#[tokio::test]
async fn a_window_left_on_a_screen_that_is_gone_comes_into_sight() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    std::fs::create_dir_all(seat.app_home()).expect("making the app's folder");
    // A corner of it alone is on the screen that is left.
    let elsewhere = json!({"x": 1270, "y": 890, "width": 900, "height": 640});
    std::fs::write(place_file(&seat), elsewhere.to_string()).expect("moving the kept place");
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    until("the window to be in the middle of 1280 by 900", async || {
        (screen.window_place().await == [190, 130, 900, 640]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_place_that_cannot_be_read_is_forgotten() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    std::fs::create_dir_all(seat.app_home()).expect("making the app's folder");
    std::fs::write(place_file(&seat), "{\"main\": [1, 2").expect("spoiling the kept place");
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    let [_, _, width, height] = screen.window_place().await;
    assert_eq!([width, height], [1280, 800]);
}

/// How often the page was drawn, by the app's log.
fn times_drawn(seat: &Seat) -> usize {
    seat.log().matches("the page is drawn").count()
}

#[tokio::test]
async fn a_page_whose_process_was_lost_is_drawn_again() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    // without a driver, which takes the process for its own
    seat.start_with("compymac://");
    until("the page to be drawn", async || {
        (times_drawn(&seat) == 1).then_some(())
    })
    .await;
    for times in 2..=3 {
        seat.end_page_process();
        until("the page to be drawn again", async || {
            (times_drawn(&seat) == times).then_some(())
        })
        .await;
    }
}
