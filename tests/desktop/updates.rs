//! Updates are asked for outside the page, of an app that runs or not, and the answer needs none either.

use harness::{Seat, Stack, until};

const UPDATES: &str = "CompyMac updates";
const CHECK: &str = "--check-for-updates";

#[tokio::test]
async fn updates_are_asked_for_at_a_start_and_while_the_app_runs() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    let asked = async |times: usize| {
        until(&format!("the app to be asked {times} times"), async || {
            let log = seat.log();
            // built without a key
            (log.matches("asked for a newer version outcome=Err(NotBuiltIn)")
                .count()
                == times)
                .then_some(())
        })
        .await;
    };
    seat.start(&[CHECK]);
    asked(1).await;
    seat.answer(UPDATES, "l").await;
    until("the dialog to be gone", async || {
        seat.window(UPDATES).is_none().then_some(())
    })
    .await;
    // the entry's second start is the first one's business
    seat.start(&[CHECK]);
    asked(2).await;
    seat.answer(UPDATES, "l").await;
    assert_eq!(seat.log().matches("the app starts").count(), 1);
}
