//! What only the desktop app does: links that come home, the cache, the outbox, the keychain, coming back.

mod accounts;
mod asks;
mod autostart;
mod clocks;
mod deep_link;
mod diagnostics;
mod drafts;
mod exporting;
mod full_disk;
mod hostile;
mod keys;
mod killed;
mod linked_prompts;
mod looks;
mod notifications;
mod offline;
mod pictures;
mod printing;
mod rescue;
mod rights;
mod searching;
mod shut_in;
mod storage;
mod tray;
mod updates;
mod ways_in;
mod window;

use harness::{Client, Person, Screen, Seat, Stack, until};

/// Somebody signed in at the app; `elsewhere` is their program on another computer.
struct Scene {
    screen: Screen,
    seat: Seat,
    elsewhere: Client,
    stack: Stack,
}

/// The same while the app does not run.
struct Away {
    seat: Seat,
    elsewhere: Client,
    stack: Stack,
}

impl Scene {
    async fn signed_in() -> Self {
        let stack = Stack::start().await;
        let (person, elsewhere) = Person::join_natively(&stack).await;
        Self::of(stack, &person, elsewhere).await
    }

    /// Somebody who did something elsewhere first.
    async fn of(stack: Stack, person: &Person, elsewhere: Client) -> Self {
        let seat = Seat::fresh(&stack).await;
        let screen = seat.launch().await;
        sign_in(&screen, person).await;
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

    /// The app was closed and started again, at the same seat.
    async fn started_again(self) -> Self {
        self.closed().await.started().await
    }

    /// Its window was closed.
    async fn closed(self) -> Away {
        let (screen, away) = self.left();
        screen.close().await;
        away
    }

    /// It ended without a word, as when the battery is taken out.
    fn killed(self) -> Away {
        self.seat.end_app();
        self.left().1
    }

    fn left(self) -> (Screen, Away) {
        let Self {
            screen,
            seat,
            elsewhere,
            stack,
        } = self;
        let away = Away {
            seat,
            elsewhere,
            stack,
        };
        (screen, away)
    }
}

impl Away {
    async fn started(self) -> Scene {
        let Self {
            seat,
            elsewhere,
            stack,
        } = self;
        Scene {
            screen: seat.launch().await,
            seat,
            elsewhere,
            stack,
        }
    }
}

/// Presses what leads to the browser, and gives the address that the app wants opened there.
async fn leave_by(screen: &Screen, seat: &Seat, way: &str) -> String {
    let before = seat.opened().len();
    screen.click(way).await;
    until("the app to open the browser", async || {
        seat.opened().get(before).cloned()
    })
    .await
}

async fn sign_in_by_a_file(screen: &Screen, person: &Person) {
    give_password(screen, person).await;
    screen.click("consent-file").await;
    screen.wait_gone("[data-testid=\"consent-file\"]").await;
    screen.click("sign-in").await;
    screen.wait("new-session").await;
}

async fn sign_in(screen: &Screen, person: &Person) {
    give_password(screen, person).await;
    screen.wait("new-session").await;
}

/// What is done at the door, of the app or of a browser, wherever it leads.
async fn give_password(screen: &Screen, person: &Person) {
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
}
