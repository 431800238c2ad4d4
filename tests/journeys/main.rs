//! What a person does, from the first page to signing out: each claim in a browser and in the desktop app.

/// Gives each claim two bodies: a test in `browser` and one in `desktop`.
macro_rules! in_both_bodies {
    ($($claim:ident,)*) => {
        mod browser {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(harness::Body::Browser).await;
            })*
        }
        mod desktop {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(harness::Body::Desktop).await;
            })*
        }
    };
}

mod arriving;
mod by_letter;
mod device_code;
mod gallery;
mod keeping;
mod keyboard;
mod letters;
mod looking;
mod offline;
mod passkeys;
mod providers;
mod reading;
mod rights;
mod scanned;
mod searching;
mod talking;
mod without_script;

use harness::{Body, Person, Screen, Stack};

/// Somebody at a screen of an installation, signed in there; `elsewhere` is their program on another computer.
struct Scene {
    screen: Screen,
    elsewhere: harness::Client,
    person: Person,
    stack: Stack,
}

impl Scene {
    async fn signed_in(body: Body) -> Self {
        let stack = Stack::start().await;
        let (person, elsewhere) = Person::join_natively(&stack).await;
        let screen = Screen::fresh(body, &stack).await;
        sign_in(&screen, &person).await;
        Self {
            screen,
            elsewhere,
            person,
            stack,
        }
    }
}

async fn sign_in(screen: &Screen, person: &Person) {
    give_password(screen, person).await;
    screen.wait("new-session").await;
}

/// What is done at the door, wherever it leads.
async fn give_password(screen: &Screen, person: &Person) {
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
}

/// In a browser, from wherever it is.
async fn sign_out(screen: &Screen) {
    screen.open("/settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
}

/// Writes a message where the composer is, and sends it.
async fn say(screen: &Screen, text: &str) {
    screen.fill("composer-input", text).await;
    screen.click("send").await;
}

const REPLIES: &str = "[data-testid=\"message\"][data-role=\"assistant\"]";
const COMPLETE: &str = "[data-testid=\"message\"][data-role=\"assistant\"][data-status=\"complete\"]";
const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
