//! Every way in that a browser has lets the app in, also where links to the app open another program; a password that was
//! forgotten at the app is chosen anew there; whoever has no phone at hand gives a recovery code; and where no browser can be opened,
//! a code is typed into one elsewhere.

use crate::{give_password, leave_by, sign_in};
use harness::mailbox::path_of;
use harness::{
    Answer, Authenticator, Client, OpenIdProvider, Person, Screen, Seat, Stack, Visitor, browser, keep_code,
    until,
};
use protocol::routes::page;

/// The app at its door, and the browser beside it, which is signed in at nothing. The browser comes home by a local door, and is
/// free for the next way then: at a link it asks its owner whether to open the app, and hears nothing else meanwhile.
struct Computer {
    screen: Screen,
    seat: Seat,
    browser: Screen,
    stack: Stack,
    provider: OpenIdProvider,
}

impl Computer {
    async fn start() -> Self {
        let provider = OpenIdProvider::start().await;
        let stack = Stack::builder()
            .with_name()
            .with("PROVIDERS", provider.settings_with_all())
            .start()
            .await;
        let seat = Seat::fresh(&stack).await;
        seat.lead_links_elsewhere();
        let (screen, browser) = tokio::join!(seat.launch(), Screen::browser(&stack));
        Self {
            screen,
            seat,
            browser,
            stack,
            provider,
        }
    }

    /// Presses a way in, and opens the page that the app wants opened.
    async fn leave_by(&self, way: &str) {
        let address = leave_by(&self.screen, &self.seat, way).await;
        self.browser.open(&address).await;
    }

    /// Agrees in the browser, which is signed in by now; the app is in as this person, and out again, at a door with all its buttons.
    async fn come_home_as(&self, email: &str) {
        self.browser.click("authorize").await;
        self.browser.wait_text_in("h1", "Back to CompyMac").await;
        self.screen.wait("new-session").await;
        self.screen.click("settings").await;
        self.screen.wait_text("account", email).await;
        self.screen.click("sign-out").await;
        self.screen.wait("sign-in-form").await;
        self.browser.forget_cookies().await;
    }

    /// By a button at the app's door that leads to a service, where somebody new is known.
    async fn by_provider(&self, id: &str) {
        let visitor = Visitor::with_address(Person::fresh().email.as_str());
        self.provider.seat(&visitor);
        let button = format!("provider-{id}");
        self.leave_by(&button).await;
        self.browser.click(&button).await;
        if id == "apple" {
            // its own page, whose form comes from another site
            self.browser.click_on("form button:not([data-testid])").await;
        }
        self.come_home_as(&visitor.email).await;
    }

    /// The letter's link is opened on a phone, which shows the code for the browser that asked.
    async fn by_letter(&self, person: &Person) {
        let email = person.email.as_str();
        self.leave_by("provider-browser").await;
        self.browser.click("by-letter").await;
        self.browser.wait("letter-form").await;
        self.browser.fill("email", email).await;
        self.browser.click("send-letter").await;
        self.browser.wait("letter-sent").await;
        let letter = self.stack.letter_about(email, "Sign in").await;
        let phone = browser(&self.stack);
        let opened = phone.get(&path_of(&letter.link.expect("a link"))).await;
        let shown = phone.submit(&opened, page::LETTER, &[("answer", "code")]).await;
        self.browser.fill("code", &shown.text_of("code-copy")).await;
        self.browser.click("enter").await;
        self.come_home_as(email).await;
    }

    async fn by_passkey(&self, person: &Person) {
        self.leave_by("provider-browser").await;
        self.browser.click("by-passkey").await;
        self.come_home_as(person.email.as_str()).await;
    }

    /// Gives the browser a passkey of this person's.
    async fn add_passkey(&self, person: &Person) {
        self.browser.hold_passkeys().await;
        sign_in(&self.browser, person).await;
        self.browser.open(page::SECURITY).await;
        self.browser.fill("passkey-name", "This laptop").await;
        self.browser.click("passkey-add").await;
        self.browser.wait_text("done", "The passkey is added").await;
        self.browser.forget_cookies().await;
    }
}

#[tokio::test]
async fn every_way_in_of_the_browser_lets_the_app_in_where_no_link_leads_to_it() {
    let computer = Computer::start().await;
    let (person, _elsewhere) = Person::join_natively(&computer.stack).await;
    computer.add_passkey(&person).await;
    computer.by_passkey(&person).await;
    computer.by_letter(&person).await;
    for provider in ["github", "microsoft", "apple"] {
        computer.by_provider(provider).await;
    }
}

#[tokio::test]
async fn a_password_forgotten_at_the_app_is_chosen_anew_in_the_browser_and_signs_in() {
    let stack = Stack::start().await;
    let (mut person, _elsewhere) = Person::join_natively(&stack).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    let address = leave_by(&screen, &seat, "to-forgot").await;
    assert_eq!(address, format!("{}{}", stack.url(), page::FORGOT));

    let (browser, email) = (browser(&stack), person.email.as_str());
    let asking = browser.get(page::FORGOT).await;
    let asked = browser.submit(&asking, page::FORGOT, &[("email", email)]).await;
    asked.succeeds();
    let letter = stack.letter_about(email, "Choose a new password").await;
    let choosing = browser.get(&path_of(&letter.link.expect("a link"))).await;
    person.password = "walnut-ferry-copper-drizzle".to_owned();
    let chosen = [("password", person.password.as_str())];
    browser.submit(&choosing, page::RESET, &chosen).await.succeeds();

    sign_in(&screen, &person).await;
}

/// Turns the second step on by its pages, and gives the recovery codes.
async fn protect(browser: &Client) -> Vec<String> {
    let page = browser.get(page::SECURITY).await;
    let set_up = browser.submit(&page, page::SECOND_STEP_BEGIN, &[]).await;
    let code = Authenticator::told(&set_up.text_of("secret")).code();
    let on = [("code", code.as_str())];
    let on = browser.submit(&set_up, page::FORM_SECOND_STEP_ON, &on).await;
    on.recovery_codes()
}

/// At the question that the password leads to.
async fn give_code(screen: &Screen, code: &str) {
    screen.fill("code", code).await;
    screen.click("second-step").await;
}

#[tokio::test]
async fn a_recovery_code_lets_the_app_in_once_and_the_next_one_once_more() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let codes = protect(&browser).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    give_password(&screen, &person).await;
    // as people type: in small letters, and without the dashes
    give_code(&screen, &codes[0].to_lowercase().replace('-', " ")).await;
    screen.wait("new-session").await;
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;

    give_password(&screen, &person).await;
    give_code(&screen, &codes[0]).await;
    screen.wait_text("problem", "or was used already").await;
    screen.wait_text("problem", "another recovery code").await;
    screen.picture("recovery-code-desktop").await;
    give_code(&screen, &codes[1]).await;
    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    let left = "select count(*) from recovery_codes where used_at is null";
    assert_eq!(stack.number(left).await, 8);
}

/// From the screen that waits for the browser to a code for one elsewhere, which is told.
async fn ask_for_code(screen: &Screen, seat: &Seat, stack: &Stack) -> String {
    leave_by(screen, seat, "provider-browser").await;
    screen.click("to-device-code").await;
    screen.wait("waiting-elsewhere").await;
    let address = screen.wait_text("device-code-address", "http").await;
    assert_eq!(address.trim(), format!("{}{}", stack.url(), page::DEVICE_CODE));
    assert_eq!(screen.count(".qr").await, 1);
    let code = screen.wait_text("device-code", "-").await.trim().to_owned();
    keep_code(&code);
    code
}

/// In a browser elsewhere, which is signed in.
async fn answer_code(browser: &Client, code: &str, answer: &str) -> Answer {
    let form = browser.visit(page::DEVICE_CODE).await;
    let found = browser.submit(&form, page::DEVICE_CODE, &[("code", code)]).await;
    browser
        .submit(&found, page::DEVICE_CODE, &[("answer", answer)])
        .await
}

/// How often the app asked a server that was not there.
fn times_away(seat: &Seat) -> usize {
    seat.log().matches("the server could not be asked").count()
}

#[tokio::test]
async fn a_code_typed_elsewhere_lets_the_app_in_though_the_network_was_away_meanwhile() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    let code = ask_for_code(&screen, &seat, &stack).await;
    screen.picture("device-code-desktop").await;
    let before = times_away(&seat);
    stack.server.gate().shut();
    until("the app to ask in vain", async || {
        (times_away(&seat) > before).then_some(())
    })
    .await;
    stack.server.gate().open();
    assert!(screen.is_seen("[data-testid=\"waiting-elsewhere\"]").await);

    let done = answer_code(&browser, &code, "yes").await;
    assert!(done.text().contains("data-testid=\"allowed\""), "{}", done.text());
    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    screen.click("settings").await;
    screen.wait_text("account", person.email.as_str()).await;
    // kept as every sign-in is, with the key that it is bound to
    let kept = seat.kept_secret("credential").await;
    assert!(kept["key"].is_string());
    screen.close().await;
    let screen = seat.launch().await;
    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    assert_eq!(browser.devices().await.len(), 2);
}

#[tokio::test]
async fn a_code_that_was_given_up_or_is_refused_lets_nobody_in_and_the_app_says_so() {
    let stack = Stack::start().await;
    let (_, browser) = Person::join(&stack).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    let given_up = ask_for_code(&screen, &seat, &stack).await;
    screen.click("cancel-device-code").await;
    screen.wait_text_in(".flash", "signs nobody in any more").await;
    screen.wait("sign-in-form").await;

    let refused = ask_for_code(&screen, &seat, &stack).await;
    assert_ne!(given_up, refused);
    answer_code(&browser, &given_up, "yes").await;
    let done = answer_code(&browser, &refused, "no").await;
    assert!(done.text().contains("data-testid=\"refused\""), "{}", done.text());
    // told at the first question about the second code; about the first one there would have been one before
    screen.wait_text("problem", "refused in the browser").await;
    screen.wait("sign-in-form").await;
    screen.picture("device-code-refused-desktop").await;
    assert_eq!(browser.devices().await.len(), 1, "nobody else is signed in");
}
