//! Signing in through the system's browser, and coming home by link: to the running app, and to one that is not.

use crate::{leave_by, sign_in};
use harness::{OpenIdProvider, Person, Screen, Seat, Stack, Visitor, until};
use protocol::oauth::REDIRECT_DEEP_LINK;

/// The app at its door, and a provider where somebody is known.
struct Door {
    screen: Screen,
    seat: Seat,
    person: Person,
    stack: Stack,
    provider: OpenIdProvider,
}

impl Door {
    async fn open() -> Self {
        let provider = OpenIdProvider::start().await;
        let person = Person::fresh();
        provider.seat(&Visitor::with_address(person.email.as_str()));
        provider.ask_first();
        let stack = Stack::builder()
            .with("PROVIDERS", provider.settings())
            .start()
            .await;
        let seat = Seat::fresh(&stack).await;
        let screen = seat.launch().await;
        Self {
            screen,
            seat,
            person,
            stack,
            provider,
        }
    }

    /// Presses a way in, and gives the address that the app wants opened.
    async fn leave_by(&self, way: &str) -> String {
        leave_by(&self.screen, &self.seat, way).await
    }

    /// What a person does in their browser, up to the page with the link home; gives the link.
    async fn consent(&self, browser: &Screen, address: &str) -> String {
        assert!(
            address.starts_with(&self.stack.url()),
            "only the configured server is opened: {address}"
        );
        browser.open(address).await;
        browser.click("provider-google").await;
        browser.click_on("#approve").await;
        agree(browser).await
    }

    /// A browser that is signed in at nothing yet.
    async fn browser(&self) -> Screen {
        Screen::browser(&self.stack).await
    }
}

/// Agrees to what the app asks, and gives the link home.
pub(super) async fn agree(browser: &Screen) -> String {
    browser.click("authorize").await;
    let link = until("the link home", async || {
        browser.attribute("[data-testid=\"open-app\"]", "href").await
    })
    .await;
    assert!(link.starts_with(REDIRECT_DEEP_LINK), "{link}");
    link
}

async fn has_native_device(stack: &Stack, count: i64) {
    until("the app's device at the server", async || {
        let devices = "select count(*) from sessions where kind = 1 and revoked_at is null";
        (stack.number(devices).await == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_link_brings_the_sign_in_home_to_the_running_app() {
    let door = Door::open().await;
    let address = door.leave_by("provider-google").await;
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    door.seat.hand_over(&link);
    door.screen.wait("new-session").await;
    door.screen.click("settings").await;
    door.screen.wait_text("account", door.person.email.as_str()).await;
    has_native_device(&door.stack, 1).await;
    assert_eq!(door.provider.url().split(':').count(), 3);
}

#[tokio::test]
async fn a_link_starts_the_app_that_is_not_running_and_signs_it_in() {
    let door = Door::open().await;
    let address = door.leave_by("provider-google").await;
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    let Door {
        screen, seat, stack, ..
    } = door;
    screen.close().await;
    seat.hand_over(&link);
    has_native_device(&stack, 1).await;
    until("the app that the link started to be in step", async || {
        seat.log().contains("to=Live").then_some(())
    })
    .await;
    seat.end_app();
    let screen = seat.launch().await;
    screen.wait("new-session").await;
}

#[tokio::test]
async fn a_second_start_with_a_link_hands_it_to_the_first() {
    let door = Door::open().await;
    let address = door.leave_by("provider-google").await;
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    door.seat.start_with(&link);
    door.screen.wait("new-session").await;
    has_native_device(&door.stack, 1).await;
}

#[tokio::test]
async fn the_code_from_the_browser_can_be_pasted_instead() {
    let door = Door::open().await;
    let address = door.leave_by("provider-google").await;
    let browser = door.browser().await;
    door.consent(&browser, &address).await;
    let code = browser.texts_in("[data-testid=\"code-copy\"]").await.concat();
    door.screen.fill("sign-in-code", &code).await;
    door.screen.click("finish-sign-in").await;
    door.screen.wait("new-session").await;
}

#[tokio::test]
async fn somebody_already_signed_in_at_the_browser_only_has_to_agree() {
    let door = Door::open().await;
    let (person, _) = Person::join(&door.stack).await;
    let browser = door.browser().await;
    sign_in(&browser, &person).await;
    let address = door.leave_by("provider-browser").await;
    browser.open(&address).await;
    door.seat.hand_over(&agree(&browser).await);
    door.screen.wait("new-session").await;
}

#[tokio::test]
async fn links_that_nobody_here_asked_for_are_dropped() {
    let door = Door::open().await;
    // a sign-in of somebody else's, begun on another computer
    let elsewhere = Seat::fresh(&door.stack).await;
    let other = elsewhere.launch().await;
    let address = leave_by(&other, &elsewhere, "provider-google").await;
    let browser = door.browser().await;
    let theirs = door.consent(&browser, &address).await;
    let huge = format!("{REDIRECT_DEEP_LINK}?code={}", "x".repeat(100_000));
    let links = [
        theirs.as_str(),
        "compymac://auth/callback?code=x&state=y&iss=z",
        "compymac://auth/callback",
        "compymac://auth/callback/../session/1",
        "compymac://evil",
        "compymac://session/not-an-id",
        &huge,
    ];
    for link in links {
        door.seat.start_with(link);
    }
    until("the links to have been looked at", async || {
        (door.seat.log().matches("dropped").count() >= 4).then_some(())
    })
    .await;
    // still at the door, and still able to sign in
    door.screen.wait("sign-in-form").await;
    let address = door.leave_by("provider-google").await;
    // another browser: the first one asks its owner whether to open the app, and hears nothing else meanwhile
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    door.seat.hand_over(&link);
    door.screen.wait("new-session").await;
}

#[tokio::test]
async fn a_sign_in_comes_home_to_the_account_that_began_it() {
    let door = Door::open().await;
    let (other, _) = Person::join_natively(&door.stack).await;
    sign_in(&door.screen, &other).await;
    door.screen.click("settings").await;
    door.screen.click("add-account").await;
    let address = door.leave_by("provider-google").await;
    // back to the one that is signed in, while the browser is still at it
    door.screen.reload().await;
    door.screen.click("account-row").await;
    door.screen.wait("new-session").await;
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    door.seat.hand_over(&link);
    until("the account that began it on the screen", async || {
        let listed = door
            .seat
            .log()
            .matches("another account is on the screen")
            .count();
        (listed == 3).then_some(())
    })
    .await;
    door.screen.wait_gone("[data-testid=\"sign-in-form\"]").await;
    door.screen.click("settings").await;
    door.screen.wait_text("account", door.person.email.as_str()).await;
    door.screen
        .wait_text("settings-accounts", other.email.as_str())
        .await;
}

#[tokio::test]
async fn who_waits_for_the_browser_may_copy_the_address_or_call_it_off() {
    let door = Door::open().await;
    let screen = &door.screen;
    let address = door.leave_by("provider-google").await;
    screen.wait("waiting").await;
    screen.picture("waiting-for-browser").await;
    screen.click_on(".gate-row button:first-child").await;
    screen.wait_text_in(".gate-row", "Copied").await;
    screen.click("sign-in-code").await;
    screen.keys("\u{E009}v").await;
    until("the address to be pasted", async || {
        let pasted = "return document.querySelector('[data-testid=\"sign-in-code\"]').value";
        (screen.evaluate(pasted).await == address.as_str()).then_some(())
    })
    .await;
    screen.click("cancel-sign-in").await;
    screen.wait("sign-in-form").await;
    // the browser goes on all the same
    let browser = door.browser().await;
    let link = door.consent(&browser, &address).await;
    door.seat.hand_over(&link);
    until("the link to be ignored", async || {
        door.seat.log().contains("none was begun here").then_some(())
    })
    .await;
    screen.wait("sign-in-form").await;
    has_native_device(&door.stack, 0).await;
}

/// A link of ours that leads to nothing: it shows where links arrive.
const NOTHING: &str = "compymac://nothing";

async fn has_said(seat: &Seat, words: &str, times: usize) {
    until(&format!("the app to say {times} times: {words}"), async || {
        (seat.log().matches(words).count() == times).then_some(())
    })
    .await;
}

/// The program itself says to the system where it lies, as an AppImage and a build from source do.
#[tokio::test]
async fn a_program_that_was_moved_is_opened_by_links_once_it_was_started_there() {
    let stack = Stack::start().await;
    let mut seat = Seat::fresh(&stack).await;
    seat.start(&[]);
    has_said(&seat, "the page is drawn", 1).await;
    until("links to lead to the app", async || {
        (!seat.runs_for("compymac").is_empty()).then_some(())
    })
    .await;
    seat.end_app();
    let place = seat.move_app().display().to_string();
    assert!(!seat.runs_for("compymac").contains(&place));
    seat.start(&[]);
    has_said(&seat, "the page is drawn", 2).await;
    for scheme in ["compymac", "app.compymac.desktop"] {
        until("links to lead to its new place", async || {
            (seat.runs_for(scheme) == format!("{place} %u")).then_some(())
        })
        .await;
    }
    seat.hand_over(NOTHING);
    has_said(&seat, "not one of ours was dropped", 1).await;
    seat.end_app();
    seat.hand_over(NOTHING);
    has_said(&seat, "not one of ours was dropped", 2).await;
    assert!(seat.runs_app(), "the one that was moved");
}

#[tokio::test]
async fn of_several_that_are_started_at_once_one_stays() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    for _ in 0..3 {
        seat.start(&[]);
    }
    until("one of them to be left, with its page", async || {
        let drawn = seat.log().matches("the page is drawn").count();
        (seat.copies() == 1 && drawn == 1).then_some(())
    })
    .await;
    assert_eq!(seat.log().matches("the app starts").count(), 1);
}
