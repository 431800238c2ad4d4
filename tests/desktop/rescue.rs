//! The page that never comes: the app asks what to do, without the page.

use harness::{Seat, Stack, until};

const QUESTION: &str = "CompyMac could not draw its window";

/// How often the app has written this to its log.
fn times(seat: &Seat, words: &str) -> usize {
    seat.log().matches(words).count()
}

async fn said(seat: &Seat, words: &str, wanted: usize) {
    until(&format!("the app to say {wanted} times: {words}"), async || {
        (times(seat, words) == wanted).then_some(())
    })
    .await;
}

/// The app, where its page cannot come, and the question that follows.
async fn stuck(stack: &Stack) -> Seat {
    let mut seat = Seat::fresh(stack).await;
    seat.take_webassembly_away();
    seat.start(&[]);
    said(&seat, "the page was not drawn", 1).await;
    seat
}

#[tokio::test]
async fn a_page_that_never_comes_can_be_tried_without_the_graphics_card() {
    let stack = Stack::start().await;
    let seat = stuck(&stack).await;
    assert_eq!(times(&seat, "is_safe=false"), 1);
    seat.answer(QUESTION, "s").await;
    said(&seat, "is_safe=true", 1).await;
    // the same program again, in the same folder, and not handed over to the one that ends
    said(&seat, "the page was not drawn", 2).await;
    seat.answer(QUESTION, "w").await;
    said(&seat, "choice=Wait", 1).await;
    assert_eq!(times(&seat, "the app starts"), 2);
}

#[tokio::test]
async fn a_page_that_never_comes_leaves_the_logs_and_the_browser() {
    let stack = Stack::start().await;
    let seat = stuck(&stack).await;
    seat.answer(QUESTION, "l").await;
    let logs = seat.app_home().join("logs").display().to_string();
    let opened = |wanted: String| {
        let seat = &seat;
        async move {
            until(&format!("{wanted} to be opened"), async || {
                seat.opened().contains(&wanted).then_some(())
            })
            .await;
        }
    };
    opened(logs).await;
    // the question is still there
    seat.answer(QUESTION, "b").await;
    opened(format!("{}/", stack.url())).await;
}

#[tokio::test]
async fn the_page_is_drawn_without_the_graphics_card_and_nothing_is_asked() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    seat.start(&["--safe-rendering"]);
    said(&seat, "the page is drawn", 1).await;
    assert_eq!(times(&seat, "is_safe=true"), 1);
    assert_eq!(seat.window(QUESTION), None);
}
