//! A copy of everything, and an account that is to go and is kept.

use crate::{Scene, give_password};
use harness::{Archive, Body};
use protocol::Code;
use protocol::routes::{self, page};

#[tokio::test]
async fn somebody_asks_for_a_copy_of_everything_and_finds_their_own_words_in_it() {
    let scene = Scene::signed_in(Body::Browser).await;
    let (screen, address) = (&scene.screen, scene.person.email.as_str());
    let session = scene.elsewhere.create_session("Greenhouse").await;
    scene.elsewhere.note(session, "Tomatoes by the window").await;
    // whoever comes back to a window that was left open shows first who they are
    scene
        .stack
        .execute("update sessions set proven_at = now() - interval '11 minutes'")
        .await;
    screen.click("settings").await;
    screen.click("to-security").await;
    screen.click("prove").await;
    screen.fill("password", &scene.person.password).await;
    screen.click("prove").await;
    screen.click("export").await;
    let letter = scene.stack.letter_about(address, "data is ready").await;
    screen.open(page::SECURITY).await;
    screen.wait_text("export-ready", "kept until").await;
    screen.picture("export-ready").await;
    let fetch = screen.attribute("[data-testid=\"export-fetch\"]", "href").await;
    let link = fetch.map(|path| format!("{}{path}", scene.stack.url()));
    assert_eq!(letter.link, link, "the letter leads to the same");
    let mut archive = Archive::of(screen.download("export-fetch", "compymac-data.zip").await);
    let messages = archive.text("messages.md");
    assert!(messages.starts_with("# Greenhouse"), "{messages}");
    assert!(messages.contains("Tomatoes by the window"), "{messages}");
    assert!(archive.text("account.json").contains(address));
}

#[tokio::test]
async fn somebody_asks_for_the_account_to_go_and_keeps_it_when_they_sign_in_again() {
    let scene = Scene::signed_in(Body::Browser).await;
    let (screen, address) = (&scene.screen, scene.person.email.as_str());
    scene.elsewhere.create_session("Worth keeping").await;
    screen.click("settings").await;
    screen.click("to-security").await;
    screen.fill("leave-email", "somebody.else@example.org").await;
    screen.click("leave").await;
    screen
        .wait_text("problem", "not the address of this account")
        .await;
    screen.fill("leave-email", address).await;
    screen.click("leave").await;
    screen.wait_text("told", "It goes for good on").await;
    screen.picture("leaving").await;
    let gone = scene.elsewhere.get(routes::ME).await;
    gone.refused(Code::SessionRevoked);

    let letter = scene.stack.letter_about(address, "will be deleted").await;
    screen.open(&letter.link.expect("a link")).await;
    give_password(screen, &scene.person).await;
    screen.wait_text("leaving-until", address).await;
    screen.picture("keep").await;
    // having been asked keeps nothing yet
    screen.click("keep-not").await;
    screen.wait("sign-in-form").await;
    give_password(screen, &scene.person).await;
    screen.click("keep").await;
    screen.wait("new-session").await;
    screen.wait_text("session-list", "Worth keeping").await;
    scene.stack.letter_about(address, "is kept").await;
}
