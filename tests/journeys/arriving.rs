//! Signing up, in and out.

use crate::{Scene, give_password, sign_in};
use harness::{
    Authenticator, Body, OpenIdProvider, Person, SESSION_COOKIE, Screen, Stack, Visitor, keep_code, within,
};
use protocol::routes::{self, page};
use std::time::Duration;

/// A server cuts a signed-out device off within two seconds; as long again for the device to ask why, and to say so.
const AT_ONCE: Duration = Duration::from_secs(4);

in_both_bodies! {
    somebody_signs_up_and_confirms_by_the_mailed_code,
    a_wrong_password_is_told_and_the_right_one_lets_in,
    who_has_a_second_step_is_asked_for_it_and_may_give_a_recovery_code,
    an_unconfirmed_address_is_led_to_its_letter,
    signing_out_leads_to_the_door_and_leaves_nothing_to_read,
    a_device_signed_out_from_elsewhere_is_told,
    devices_are_listed_and_can_be_signed_out,
}

async fn sign_up(screen: &Screen, person: &Person) {
    screen.click("to-sign-up").await;
    screen.wait("sign-up").await;
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-up").await;
    screen.wait("check-mail").await;
}

async fn somebody_signs_up_and_confirms_by_the_mailed_code(body: Body) {
    let stack = Stack::start().await;
    let screen = Screen::fresh(body, &stack).await;
    let person = Person::fresh();
    sign_up(&screen, &person).await;
    let letter = stack.letter_to(person.email.as_str(), 1).await;
    screen.fill("code", &letter.code.expect("a code")).await;
    screen.click("confirm").await;
    screen.wait("new-session").await;
    person.browser(&stack).await;
}

#[tokio::test]
async fn somebody_confirms_by_the_mailed_link_in_the_same_browser() {
    let stack = Stack::start().await;
    let screen = Screen::browser(&stack).await;
    let person = Person::fresh();
    sign_up(&screen, &person).await;
    let link = stack
        .letter_to(person.email.as_str(), 1)
        .await
        .link
        .expect("a link");
    screen.open(&link).await;
    screen.click("confirm").await;
    screen.wait("new-session").await;
}

/// Leaves for an Apple on another site, up to the button there.
async fn leave_for_apple(stack: &Stack) -> Screen {
    let screen = Screen::browser(stack).await;
    screen.click("provider-apple").await;
    screen.wait_text_in("form button", "Continue").await;
    screen
}

/// A browser keeps our cookies to itself when another site posts a form to us, and brings them where it is sent on to.
#[tokio::test]
async fn somebody_signs_in_by_a_form_that_another_site_posts_and_without_the_cookie_nobody_does() {
    let (provider, person) = (OpenIdProvider::start().await, Person::fresh());
    provider.seat(&Visitor::with_address(person.email.as_str()));
    // `localhost` and `127.0.0.1` are two sites
    let stack = Stack::builder()
        .with_name()
        .with("PROVIDERS", provider.settings_with_apple())
        .start()
        .await;
    let screen = leave_for_apple(&stack).await;
    screen.click_on("form button").await;
    screen.wait("new-session").await;

    let forgetful = leave_for_apple(&stack).await;
    forgetful.forget_cookies().await;
    forgetful.click_on("form button").await;
    let told = forgetful.wait_text("problem", "started").await;
    assert!(!told.is_empty());
    let cookies = forgetful.cookie_names().await;
    assert!(!cookies.iter().any(|name| name == SESSION_COOKIE), "{cookies:?}");
    assert_eq!(provider.asked().tokens, 1, "nothing is redeemed for it");
}

async fn a_wrong_password_is_told_and_the_right_one_lets_in(body: Body) {
    let stack = Stack::start().await;
    let (person, _) = Person::join_natively(&stack).await;
    let screen = Screen::fresh(body, &stack).await;
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", "not-the-right-password").await;
    screen.click("sign-in").await;
    screen.wait_text("problem", "do not match").await;
    sign_in(&screen, &person).await;
}

/// Turns the second step on by its pages, in a browser, and gives the phone that was told and the recovery codes.
async fn protect(stack: &Stack, person: &Person) -> (Authenticator, Vec<String>) {
    let screen = Screen::browser(stack).await;
    sign_in(&screen, person).await;
    screen.open(&format!("{}{}", stack.url(), page::SECURITY)).await;
    screen.click("second-step-begin").await;
    screen.wait("secret").await;
    let secret = screen.texts_in("[data-testid=\"secret\"]").await.concat();
    let phone = Authenticator::told(&secret);
    screen.picture("second-step-set-up").await;
    screen.fill("code", &phone.code()).await;
    screen.click("second-step-on").await;
    screen.wait("recovery-codes").await;
    let codes = screen.texts_in("[data-testid=\"recovery-codes\"] code").await;
    for code in &codes {
        keep_code(code);
    }
    screen.click("codes-kept").await;
    screen.wait_text("codes-left", "10").await;
    screen.picture("security").await;
    // a code works once: the same half minute again
    stack.execute("update second_factors set last_step = 0").await;
    (phone, codes)
}

async fn who_has_a_second_step_is_asked_for_it_and_may_give_a_recovery_code(body: Body) {
    let stack = Stack::start().await;
    let (person, _) = Person::join_natively(&stack).await;
    let (phone, codes) = protect(&stack, &person).await;
    let screen = Screen::fresh(body, &stack).await;
    give_password(&screen, &person).await;
    screen.wait("code").await;
    screen.fill("code", &phone.wrong_code()).await;
    screen.click("second-step").await;
    screen.wait_text("problem", "not right").await;
    screen
        .picture(&format!("second-step-{body:?}").to_lowercase())
        .await;
    screen.fill("code", &phone.code()).await;
    screen.click("second-step").await;
    screen.wait("new-session").await;

    // and again, without the phone
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
    give_password(&screen, &person).await;
    screen.fill("code", codes.first().expect("a recovery code")).await;
    screen.click("second-step").await;
    screen.wait("new-session").await;
    let told = stack
        .letter_about(person.email.as_str(), "A recovery code of")
        .await;
    assert!(told.text.contains("9 of them are left"), "{}", told.text);
}

async fn an_unconfirmed_address_is_led_to_its_letter(body: Body) {
    let stack = Stack::start().await;
    let person = Person::fresh();
    let screen = Screen::fresh(body, &stack).await;
    sign_up(&screen, &person).await;
    // the way back to the door, and in by the password before the letter was opened
    screen.click_on("a[href='/sign-up']").await;
    screen.wait("to-sign-in").await;
    screen.click("to-sign-in").await;
    screen.wait("sign-in-form").await;
    give_password(&screen, &person).await;
    screen.wait("check-mail").await;
}

async fn signing_out_leads_to_the_door_and_leaves_nothing_to_read(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Sealed orders").await;
    scene.elsewhere.note(id, "The lighthouse keeper knows").await;
    scene.screen.wait_text("session-list", "Sealed orders").await;
    scene.screen.click("settings").await;
    scene.screen.click("sign-out").await;
    scene.screen.wait("sign-in-form").await;
    assert!(!scene.screen.source().await.contains("Sealed orders"));
    if body == Body::Browser {
        scene.screen.open(&page::session(id)).await;
        scene.screen.wait("sign-in-form").await;
        assert!(!scene.screen.source().await.contains("lighthouse"));
        let kept = scene
            .screen
            .evaluate("return JSON.stringify([localStorage, sessionStorage])")
            .await;
        assert!(!kept.to_string().contains("lighthouse"), "{kept}");
    }
}

async fn a_device_signed_out_from_elsewhere_is_told(body: Body) {
    const SIGNED_OUT: &str = "[data-testid=\"connection\"][data-state=\"signed_out\"]";
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    scene.elsewhere.create_session("Still to be read").await;
    screen.wait_text("session-list", "Still to be read").await;
    screen.wait_connection("online").await;
    let own = scene.elsewhere.me().await.device;
    let devices = scene.elsewhere.devices().await;
    let this = devices.iter().find(|device| device.id != own).expect("a device");
    scene.elsewhere.revoke(this.id).await.succeeds();
    within(
        AT_ONCE,
        "to be told that this device was signed out",
        async || (screen.count(SIGNED_OUT).await == 1).then_some(()),
    )
    .await;
    screen
        .wait_text_in(".bar-warn", "asks you to sign in again")
        .await;
    // nothing is taken away, and the way to the door is there
    assert_eq!(screen.count("[data-testid=\"sign-in-form\"]").await, 0);
    screen.wait_text("session-list", "Still to be read").await;
    screen.click_on(".bar-warn a").await;
    sign_in(screen, &scene.person).await;
    screen.wait_text("session-list", "Still to be read").await;
}

async fn devices_are_listed_and_can_be_signed_out(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.click("settings").await;
    scene.screen.wait_text("devices", "Laptop").await;
    assert_eq!(scene.screen.count("[data-testid=\"device-row\"]").await, 2);
    scene.screen.click("revoke").await;
    harness::until("the other device to be out", async || {
        (scene.elsewhere.get(routes::ME).await.status == 401).then_some(())
    })
    .await;
    assert!(scene.stack.url().starts_with("http"));
}
