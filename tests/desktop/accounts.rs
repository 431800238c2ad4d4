//! Several accounts on one computer: one is on the screen, and none sees, sends or loses what is another's.

use crate::{Scene, sign_in};
use harness::{Client, Person, Screen, Stack, until};
use protocol::SessionId;
use std::path::Path;

const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
const WAITING: &str = "[data-testid=\"message\"][data-delivery=\"waiting\"]";
const ROW: &str = "[data-testid=\"account-row\"]";
const ACCOUNT_WAITS: &str = "[data-testid=\"account-waits\"]";
const ADD: &str = "[data-testid=\"add-account\"]";

/// What the core knows of the accounts of this computer that are not on the screen, as text.
pub async fn listed(screen: &Screen) -> Vec<String> {
    let ask = "window.__TAURI_INTERNALS__.invoke('accounts', {ask: {go: null}, page: Math.random() * 2 ** 32 >>> 0, number: 0})
                   .then((all) => done(all.others.map((one) => JSON.stringify(one))), () => done(['\"refused\"']));";
    let answer = screen.evaluate_later(ask).await;
    let rows = answer.as_array().cloned().unwrap_or_default();
    rows.iter()
        .filter_map(|row| row.as_str().map(str::to_owned))
        .collect()
}

/// From settings to the door for another account, at the same server or at this one.
async fn add(screen: &Screen, server: Option<&str>) {
    screen.click("settings").await;
    if let Some(server) = server {
        screen.fill("server", server).await;
    }
    screen.click("add-account").await;
    screen.wait("sign-in-form").await;
}

/// Goes to the one other account.
async fn switch(screen: &Screen) {
    screen.click("settings").await;
    screen.click("account-row").await;
    screen.wait_gone(ADD).await;
    screen.wait("new-session").await;
}

/// Whose account is on the screen.
async fn is(screen: &Screen, person: &Person) {
    screen.click("settings").await;
    screen.wait_text("account", person.email.as_str()).await;
    screen.click("home-link").await;
    screen.wait_gone(ADD).await;
}

/// A second person at the app, and their program on another computer.
pub async fn joined_by(scene: &Scene, stack: &Stack) -> (Person, Client) {
    let (person, elsewhere) = Person::join_natively(stack).await;
    let server = stack.url();
    add(&scene.screen, Some(&server)).await;
    sign_in(&scene.screen, &person).await;
    scene.screen.wait_connection("online").await;
    (person, elsewhere)
}

async fn with_a_read_session(scene: &Scene, title: &str) -> SessionId {
    let id = scene.elsewhere.create_session(title).await;
    scene.elsewhere.note(id, "Calm sea, light wind").await;
    open(&scene.screen, id).await;
    scene.screen.wait_text_in(MINE, "Calm sea").await;
    id
}

async fn open(screen: &Screen, session: SessionId) {
    screen.click_on(&format!("[data-session=\"{session}\"] a")).await;
}

#[tokio::test]
async fn what_one_account_wrote_offline_waits_for_it_and_is_never_anothers() {
    let scene = Scene::signed_in().await;
    let id = with_a_read_session(&scene, "Log book").await;
    let (_, of_other) = joined_by(&scene, &scene.stack).await;
    of_other.create_session("Other things").await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Other things").await;
    assert_eq!(screen.count(&format!("[data-session=\"{id}\"]")).await, 0);
    switch(screen).await;
    screen.wait_text("session-list", "Log book").await;
    scene.stack.server.gate().shut();
    screen.wait_connection("offline").await;
    open(screen, id).await;
    screen.fill("composer-input", "Written before the night").await;
    screen.click("send").await;
    screen.wait_text_in(WAITING, "Written before the night").await;
    screen.click("settings").await;
    screen
        .wait_text(
            "account-waits",
            "1 message waits here to be sent when you come back.",
        )
        .await;
    screen.click("home-link").await;

    switch(screen).await;
    screen.wait_text("session-list", "Other things").await;
    assert_eq!(screen.count(&format!("[data-session=\"{id}\"]")).await, 0);
    screen.click("settings").await;
    screen
        .wait_text("settings-accounts", "1 message waits here to be sent")
        .await;
    assert_eq!(
        screen.count(ACCOUNT_WAITS).await,
        0,
        "nothing of what is left here"
    );
    screen.picture("accounts-desktop").await;
    screen.click("home-link").await;
    scene.stack.server.gate().open();
    screen.wait_connection("online").await;
    assert_eq!(
        scene.elsewhere.times_kept(id, "Written before the night").await,
        0,
        "sent while another account was on the screen"
    );
    assert_eq!(of_other.sessions().await.len(), 1);

    switch(screen).await;
    until("the message at the server", async || {
        (scene.elsewhere.times_kept(id, "Written before the night").await == 1).then_some(())
    })
    .await;
    open(screen, id).await;
    screen.wait_text_in(MINE, "Written before the night").await;
    screen.wait_gone(WAITING).await;
}

#[tokio::test]
async fn what_waits_is_told_beside_the_way_to_another_account_until_it_is_sent() {
    let scene = Scene::signed_in().await;
    let id = with_a_read_session(&scene, "Log book").await;
    let screen = &scene.screen;
    scene.stack.server.gate().shut();
    screen.wait_connection("offline").await;
    for text in ["Written before the night", "And before the morning"] {
        screen.fill("composer-input", text).await;
        screen.click("send").await;
        screen.wait_text_in(WAITING, text).await;
    }
    screen.click("settings").await;
    screen
        .wait_text(
            "account-waits",
            "2 messages wait here to be sent when you come back.",
        )
        .await;
    screen.fill("server", "https://example.org").await;
    scene.stack.server.gate().open();
    screen.wait_gone(ACCOUNT_WAITS).await;
    let typed = "return document.querySelector('[data-testid=\"server\"]').value";
    assert_eq!(
        screen.evaluate(typed).await,
        "https://example.org",
        "what is being typed stays"
    );
    assert_eq!(scene.elsewhere.times_kept(id, "And before the morning").await, 1);
}

#[tokio::test]
async fn signing_out_of_one_account_leaves_the_other() {
    let scene = Scene::signed_in().await;
    let id = with_a_read_session(&scene, "Log book").await;
    let (_, of_other) = joined_by(&scene, &scene.stack).await;
    let screen = &scene.screen;
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
    until("the device to be gone", async || {
        (of_other.devices().await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(
        scene.elsewhere.devices().await.len(),
        2,
        "the other stays signed in"
    );
    // the door leads back to it
    screen.click_on(ROW).await;
    screen.wait_text("session-list", "Log book").await;
    open(screen, id).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    let others = listed(screen).await;
    assert!(others.is_empty(), "who signed out is listed no more: {others:?}");
}

#[tokio::test]
async fn signing_in_twice_is_one_account_and_one_device() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    elsewhere.create_session("Log book").await;
    let seat = harness::Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    sign_in(&screen, &person).await;
    screen.wait_text("session-list", "Log book").await;
    add(&screen, None).await;
    sign_in(&screen, &person).await;
    screen.wait_text("session-list", "Log book").await;
    is(&screen, &person).await;
    let others = listed(&screen).await;
    assert!(others.is_empty(), "{others:?}");
    until("the earlier sign-in to be gone", async || {
        (elsewhere.devices().await.len() == 2).then_some(())
    })
    .await;
    screen.wait_connection("online").await;
}

#[tokio::test]
async fn accounts_of_two_servers_are_there_side_by_side_and_after_a_start() {
    let scene = Scene::signed_in().await;
    scene.elsewhere.create_session("Here").await;
    scene.screen.wait_text("session-list", "Here").await;
    let other = Stack::start().await;
    let (_, of_other) = joined_by(&scene, &other).await;
    of_other.create_session("There").await;
    scene.screen.wait_text("session-list", "There").await;
    let Scene {
        screen, seat, stack, ..
    } = scene;
    screen.close().await;
    // what was on the screen last is there again, whichever server is the one of the settings
    let screen = seat.launch().await;
    screen.wait_text("session-list", "There").await;
    switch(&screen).await;
    screen.wait_text("session-list", "Here").await;
    screen.wait_connection("online").await;
    assert_eq!(listed(&screen).await.len(), 1, "the other one");
    drop(stack);
}

#[tokio::test]
async fn an_address_that_is_no_server_leads_to_no_door() {
    let scene = Scene::signed_in().await;
    scene.screen.click("settings").await;
    scene.screen.fill("server", "http://example.org").await;
    scene.screen.click("add-account").await;
    scene.screen.wait_text_in(".flash", "cannot be used").await;
    let others = listed(&scene.screen).await;
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn a_link_to_a_session_of_another_account_brings_that_account() {
    let scene = Scene::signed_in().await;
    let id = with_a_read_session(&scene, "Log book").await;
    joined_by(&scene, &scene.stack).await;
    scene.seat.start_with(&format!("compymac://session/{id}"));
    scene.screen.wait_text_in(MINE, "Calm sea").await;
    scene.screen.wait_text("session-list", "Log book").await;
}

/// Writes noise over every record of an account below, and over which one was on the screen.
fn spoil(folder: &Path) -> usize {
    let mut spoiled = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            spoiled += spoil(&path);
        } else if ["account.json", "accounts.json"].contains(&&*entry.file_name().to_string_lossy()) {
            std::fs::write(&path, b"\0 noise {").expect("writing noise");
            spoiled += 1;
        }
    }
    spoiled
}

#[tokio::test]
async fn noise_in_the_records_of_accounts_loses_none_of_them() {
    let scene = Scene::signed_in().await;
    with_a_read_session(&scene, "Log book").await;
    let (other, of_other) = joined_by(&scene, &scene.stack).await;
    of_other.create_session("Other things").await;
    scene.screen.wait_text("session-list", "Other things").await;
    let Scene {
        screen, seat, stack, ..
    } = scene;
    screen.close().await;
    assert_eq!(spoil(&seat.app_home()), 3);
    let screen = seat.launch().await;
    screen.wait_text("session-list", "Log book").await;
    switch(&screen).await;
    screen.wait_text("session-list", "Other things").await;
    is(&screen, &other).await;
    let all = listed(&screen).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all.iter().all(|one| one.contains('@')), "{all:?}");
    drop(stack);
}

/// The record of the first account is lost, and no other.
fn lose_the_first_record(folder: &Path) {
    let entries = std::fs::read_dir(folder.join("servers")).expect("folders of accounts");
    let first = entries
        .flatten()
        .find(|entry| !entry.file_name().to_string_lossy().contains('~'))
        .expect("a first account");
    std::fs::remove_file(first.path().join("account.json")).expect("a record to lose");
}

/// Goes to the account in this row of the list, from 1.
async fn switch_to(screen: &Screen, row: usize) {
    screen.click("settings").await;
    let row = format!("[data-testid=\"settings-accounts\"] div:nth-of-type({row}) button");
    screen.click_on(&row).await;
    screen.wait_gone(ADD).await;
    screen.wait("new-session").await;
}

/// A person with a read session, whose record is lost, and who has signed in at another place since; somebody else is here too.
async fn twice_here() -> (Scene, SessionId) {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let scene = Scene::of(stack, &person, elsewhere).await;
    let id = with_a_read_session(&scene, "Log book").await;
    joined_by(&scene, &scene.stack).await;
    let away = scene.closed().await;
    lose_the_first_record(&away.seat.app_home());
    let scene = away.started().await;
    scene.screen.wait("new-session").await;
    add(&scene.screen, None).await;
    sign_in(&scene.screen, &person).await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.wait_connection("online").await;
    (scene, id)
}

#[tokio::test]
async fn two_places_of_one_person_become_one_once_nothing_is_in_the_other_alone() {
    let (scene, id) = twice_here().await;
    let screen = &scene.screen;
    assert_eq!(
        listed(screen).await.len(),
        2,
        "whose the first one is cannot be known"
    );
    assert_eq!(
        scene.elsewhere.devices().await.len(),
        3,
        "it is signed in twice here"
    );
    open(screen, id).await;
    screen.wait_text_in(MINE, "Calm sea").await;
    scene.stack.server.gate().shut();
    screen.wait_connection("offline").await;
    screen.fill("composer-input", "Written at the second place").await;
    screen.click("send").await;
    screen.wait_text_in(WAITING, "Written at the second place").await;

    // the first one, and what waits in the second is nowhere else
    switch_to(screen, 1).await;
    scene.stack.server.gate().open();
    screen.wait_connection("online").await;
    let others = listed(screen).await;
    assert_eq!(others.len(), 2, "{others:?}");
    let twin = others.iter().find(|one| one.contains("once more"));
    assert!(
        twin.is_some_and(|one| one.contains("1 message waits")),
        "{others:?}"
    );

    switch_to(screen, 2).await;
    screen.wait_connection("online").await;
    until("the message at the server", async || {
        (scene
            .elsewhere
            .times_kept(id, "Written at the second place")
            .await
            == 1)
            .then_some(())
    })
    .await;
    until("the first place to go, which holds nothing", async || {
        (listed(screen).await.len() == 1).then_some(())
    })
    .await;
    until("its sign-in to be gone", async || {
        (scene.elsewhere.devices().await.len() == 2).then_some(())
    })
    .await;
    screen.wait_text("session-list", "Log book").await;
    let scene = scene.started_again().await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.wait_connection("online").await;
    let others = listed(&scene.screen).await;
    assert_eq!(others.len(), 1, "somebody else’s stays: {others:?}");
    assert!(others.iter().all(|one| !one.contains("once more")), "{others:?}");
}
