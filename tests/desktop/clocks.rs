//! At a computer whose clock is set wrong.

use crate::sign_in;
use harness::{Person, Seat, Stack, until};
use protocol::UnixMillis;

const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
const NINE_YEARS: u64 = 9 * 365 * 24 * 60 * 60 * 1_000;

#[tokio::test]
async fn an_app_whose_clock_is_ten_years_off_signs_in_sends_reads_and_stays_in() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    for by in ["-10y", "+10y"] {
        let title = format!("Written at {by}");
        let id = elsewhere.create_session(&title).await;
        elsewhere.note(id, "Calm sea, light wind").await;
        let right: UnixMillis = elsewhere.history(id).await.messages[0].created_at;

        let seat = Seat::with_clock_off(&stack, by).await;
        let screen = seat.launch().await;
        sign_in(&screen, &person).await;
        screen.wait_connection("online").await;
        let told = screen.evaluate("return String(Date.now())").await;
        let told: UnixMillis = told.as_str().and_then(|told| told.parse().ok()).expect("a time");
        assert!(told.abs_diff(right) > NINE_YEARS, "its clock is right: {told}");
        screen.wait_text("session-list", &title).await;
        let row = format!("[data-session=\"{id}\"] a");
        screen.click_on(&row).await;
        screen.wait_text_in(MINE, "Calm sea").await;
        screen.fill("composer-input", "What year is it?").await;
        screen.click("send").await;
        until("the message at the server", async || {
            (elsewhere.times_kept(id, "What year is it?").await == 1).then_some(())
        })
        .await;
        elsewhere.note(id, "The one after the last").await;
        screen.wait_text_in(MINE, "The one after the last").await;
        screen.close().await;

        let screen = seat.launch().await;
        screen.wait_text("session-list", &title).await;
        screen.wait_connection("online").await;
        screen.close().await;
    }
}
