//! How the states look that only the living app has: in light and in dark, in a large window and in a small one. Those that can be
//! drawn from data alone are in `tests/journeys/gallery.rs`.

use crate::{give_password, leave_by};
use harness::{Person, Seat, Stack};

/// As the browser tells of a program that ended by a fault of its own.
const TRAP: &str = "const error = new WebAssembly.RuntimeError('unreachable'); \
                    dispatchEvent(new ErrorEvent('error', { error }));";

#[tokio::test]
async fn what_only_the_app_shows_can_be_read_in_light_and_dark_in_a_large_window_and_in_a_small_one() {
    let stack = Stack::start().await;
    let (person, _elsewhere) = Person::join_natively(&stack).await;
    let seat = Seat::without_keychain(&stack).await;
    let screen = seat.launch().await;
    let mut faults = Vec::new();

    give_password(&screen, &person).await;
    screen.wait_text("problem", "no place for secrets").await;
    let words = "This computer offers no place for secrets.";
    faults.extend(screen.faults_in_all_looks("app-no-keychain", words).await);
    screen.click("consent-file").await;
    screen.wait_gone("[data-testid=\"consent-file\"]").await;

    leave_by(&screen, &seat, "provider-browser").await;
    screen.wait("waiting").await;
    let words = "Waiting for your browser…";
    faults.extend(screen.faults_in_all_looks("app-waiting", words).await);
    screen.click("cancel-sign-in").await;
    screen.wait("sign-in-form").await;

    give_password(&screen, &person).await;
    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    screen.click("settings").await;
    screen.wait_text("secret-store", "in a file").await;
    let show = "document.getElementById('storage').scrollIntoView({block: 'center'})";
    screen.evaluate(show).await;
    faults.extend(
        screen
            .faults_in_all_looks("app-storage", "On this computer")
            .await,
    );

    stack.server.gate().shut();
    screen.wait_connection("offline").await;
    screen.click("new-session").await;
    screen.wait("transcript").await;
    screen.fill("composer-input", "Written in the tunnel").await;
    screen.click("send").await;
    let waiting = "[data-testid=\"message\"][data-delivery=\"waiting\"]";
    screen.wait_text_in(waiting, "Written in the tunnel").await;
    let words = "Written in the tunnel";
    faults.extend(screen.faults_in_all_looks("app-offline", words).await);

    screen.evaluate(TRAP).await;
    screen.wait_text_in(".broken", "Something broke.").await;
    let words = "Your messages are safe.";
    faults.extend(screen.faults_in_all_looks("app-broken", words).await);
    assert!(faults.is_empty(), "{faults:#?}");
}
