//! What only the desktop app does: links that come home, the cache, the outbox, the keychain, coming back.

mod accounts;
mod autostart;
mod deep_link;
mod diagnostics;
mod drafts;
mod exporting;
mod keys;
mod looks;
mod notifications;
mod offline;
mod printing;
mod rescue;
mod searching;
mod storage;
mod tray;
mod updates;
mod window;

use harness::{Person, Screen, Seat, Stack};

/// Somebody signed in at the app; `elsewhere` is their program on another computer.
struct Scene {
    screen: Screen,
    seat: Seat,
    elsewhere: harness::Client,
    stack: Stack,
}

impl Scene {
    async fn signed_in() -> Self {
        let stack = Stack::start().await;
        let (person, elsewhere) = Person::join_natively(&stack).await;
        let seat = Seat::fresh(&stack).await;
        let screen = seat.launch().await;
        sign_in(&screen, &person).await;
        screen.wait_connection("online").await;
        Self {
            screen,
            seat,
            elsewhere,
            stack,
        }
    }

    /// At a computer without a keychain: until the app is started again its files can be read.
    async fn signed_in_by_a_file() -> Self {
        let stack = Stack::start().await;
        let (person, elsewhere) = Person::join_natively(&stack).await;
        let seat = Seat::without_keychain(&stack).await;
        let screen = seat.launch().await;
        sign_in_by_a_file(&screen, &person).await;
        screen.wait_connection("online").await;
        Self {
            screen,
            seat,
            elsewhere,
            stack,
        }
    }
}

async fn sign_in_by_a_file(screen: &Screen, person: &Person) {
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
    screen.click("consent-file").await;
    screen.wait_gone("[data-testid=\"consent-file\"]").await;
    screen.click("sign-in").await;
    screen.wait("new-session").await;
}

async fn sign_in(screen: &Screen, person: &Person) {
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
    screen.wait("new-session").await;
}
