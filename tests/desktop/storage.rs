//! What the app leaves on the disk and in the keychain, and what it takes away again.

use crate::{Away, Scene, give_password, leave_by, sign_in, sign_in_by_a_file};
use harness::mailbox::path_of;
use harness::{Client, Network, Person, Seat, Stack, until};
use protocol::{ipc, routes};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[tokio::test]
async fn signing_out_wipes_the_cache_and_signs_the_device_out() {
    let scene = Scene::signed_in_by_a_file().await;
    let id = scene.elsewhere.create_session("Sealed orders").await;
    scene.elsewhere.note(id, "The lighthouse keeper knows").await;
    scene.screen.wait_text("session-list", "Sealed orders").await;
    until("the cache to hold it", async || {
        scene.seat.keeps("lighthouse keeper").then_some(())
    })
    .await;
    let before = scene.elsewhere.devices().await.len();
    scene.screen.click("settings").await;
    scene.screen.click("sign-out").await;
    scene.screen.wait("sign-in-form").await;
    until("the cache to be wiped", async || {
        (!scene.seat.keeps("lighthouse keeper") && !scene.seat.keeps("Sealed orders")).then_some(())
    })
    .await;
    until("the device to be gone", async || {
        (scene.elsewhere.devices().await.len() == before - 1).then_some(())
    })
    .await;
    let scene = scene.started_again().await;
    scene.screen.wait("sign-in-form").await;
}

#[tokio::test]
async fn the_app_started_again_is_still_signed_in() {
    let scene = Scene::signed_in().await;
    scene.elsewhere.create_session("Still here").await;
    scene.screen.wait_text("session-list", "Still here").await;
    let scene = scene.started_again().await;
    scene.screen.wait_text("session-list", "Still here").await;
    scene.screen.wait_connection("online").await;
}

#[tokio::test]
async fn without_a_keychain_the_person_chooses_what_keeps_them_signed_in() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let seat = Seat::without_keychain(&stack).await;
    let screen = seat.launch().await;
    screen.fill("email", person.email.as_str()).await;
    screen.fill("password", &person.password).await;
    screen.click("sign-in").await;
    screen.wait_text("problem", "no place for secrets").await;
    assert_eq!(
        elsewhere.devices().await.len(),
        1,
        "nobody is signed in before there is a place for it"
    );
    screen.picture("no-keychain-desktop").await;
    screen.click("consent-file").await;
    screen.wait_gone("[data-testid=\"consent-file\"]").await;
    screen.click("sign-in").await;
    screen.wait("new-session").await;
    screen.click("settings").await;
    screen.wait_text("secret-store", "in a file").await;
    screen.wait_text("protection", "not encrypted yet").await;
    screen.close().await;
    let screen = seat.launch().await;
    screen.wait("new-session").await;
    screen.click("settings").await;
    screen
        .wait_text("protection", "encrypted, with a key in a file")
        .await;
}

#[tokio::test]
async fn no_secret_lies_in_a_file_or_a_log() {
    let scene = Scene::signed_in().await;
    scene.elsewhere.create_session("Ordinary").await;
    scene.screen.wait_text("session-list", "Ordinary").await;
    for secret in ["cmr_", "eyJ"] {
        assert!(!scene.seat.keeps(secret), "{secret} lies in the app's folder");
        assert!(!scene.seat.log().contains(secret), "{secret} is in the log");
    }
    // It is there, or the list would not show it without asking the server.
    assert!(
        !scene.seat.keeps("Ordinary"),
        "a title can be read in the app's folder"
    );
    scene.screen.click("settings").await;
    scene
        .screen
        .wait_text("protection", "with a key in this computer’s keychain")
        .await;
    assert!(!scene.screen.source().await.contains("eyJ"));
}

#[tokio::test]
async fn a_cache_full_of_noise_is_built_anew() {
    let scene = Scene::signed_in().await;
    let id = scene.elsewhere.create_session("Survivor").await;
    scene.elsewhere.note(id, "Still afloat").await;
    scene.screen.wait_text("session-list", "Survivor").await;
    let away = scene.closed().await;
    let spoiled = spoil(&away.seat.app_home(), "cache.db");
    assert!(spoiled > 0, "a cache to spoil");
    let scene = away.started().await;
    scene.screen.wait_text("session-list", "Survivor").await;
    assert_eq!(scene.elsewhere.get(routes::ME).await.status, 200);
}

/// Shift and F10, as WebDriver spells them.
const MENU_KEYS: &str = "\u{E008}\u{E03A}";

#[tokio::test]
async fn a_session_that_is_to_stay_here_is_counted_and_still_is_one_after_a_start() {
    let scene = Scene::signed_in().await;
    scene.elsewhere.create_session("Log book").await;
    scene.screen.wait_text("session-list", "Log book").await;
    let row = "[data-testid=\"session-row\"] a";
    scene.screen.press_on(row, MENU_KEYS).await;
    scene.screen.picture("menu-desktop").await;
    scene.screen.click("menu-keep").await;
    scene
        .screen
        .wait_text_in(".flash", "stays on this computer")
        .await;
    let scene = scene.started_again().await;
    let screen = &scene.screen;
    screen.wait_text("session-list", "Log book").await;
    screen.press_on(row, MENU_KEYS).await;
    screen
        .wait_text("menu-keep", "Stop keeping on this computer")
        .await;
    screen.keys("\u{E00C}").await;
    screen.click("settings").await;
    screen.wait_text("kept", "1 session").await;
    screen.picture("kept-desktop").await;
}

#[tokio::test]
async fn what_is_cleared_is_gone_from_the_disk_and_what_was_written_stays() {
    let scene = Scene::signed_in_by_a_file().await;
    let Scene {
        screen,
        seat,
        elsewhere,
        stack,
    } = &scene;
    let id = elsewhere.create_session("Log book").await;
    elsewhere.note(id, "The lighthouse keeper knows").await;
    screen.wait_text("session-list", "Log book").await;
    let row = format!("[data-session=\"{id}\"] a");
    screen.click_on(&row).await;
    screen.wait_text("transcript", "lighthouse keeper").await;
    stack.server.gate().shut();
    screen.wait_connection("offline").await;
    screen.fill("composer-input", "Sent in the tunnel").await;
    screen.click("send").await;
    screen.wait_text("transcript", "Sent in the tunnel").await;
    screen.fill("composer-input", "Half a thought").await;
    until("all of it to be on the disk", async || {
        let kept = ["lighthouse keeper", "Sent in the tunnel", "Half a thought"];
        kept.iter().all(|text| seat.keeps(text)).then_some(())
    })
    .await;

    screen.click("settings").await;
    screen.wait_text("held", "of 1,000,000 messages").await;
    let question = "Clear what is kept here?";
    screen.click("clear-cache").await;
    seat.answer(question, "k").await;
    until("the question to be gone", async || {
        seat.window(question).is_none().then_some(())
    })
    .await;
    assert!(seat.keeps("lighthouse keeper"), "it is kept");
    screen.click("clear-cache").await;
    seat.answer(question, "c").await;
    screen.wait_text("flash", "come back once you are online").await;
    screen.wait_text("held", "0 sessions, 0 of").await;
    for gone in ["lighthouse keeper", "Log book"] {
        assert!(!seat.keeps(gone), "{gone} can be read on the disk");
    }
    for written in ["Sent in the tunnel", "Half a thought"] {
        assert!(seat.keeps(written), "{written} is gone");
    }
    screen.picture("cleared-desktop").await;

    stack.server.gate().open();
    screen.wait_text("session-list", "Log book").await;
    screen.click_on(&row).await;
    screen.wait_text("transcript", "lighthouse keeper").await;
    until("the draft to stand in its field", async || {
        let typed = screen
            .evaluate("return document.getElementById('composer-input').value")
            .await;
        (typed == "Half a thought").then_some(())
    })
    .await;
    until("the message at the server", async || {
        (elsewhere.times_kept(id, "Sent in the tunnel").await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn how_much_is_kept_at_most_is_chosen_and_still_is_so_after_a_start() {
    let scene = Scene::signed_in().await;
    scene.screen.click("settings").await;
    scene.screen.wait_text("held", "of 2 GB").await;
    scene.screen.click("limit-small").await;
    scene.screen.wait_text("held", "of 125,000 messages").await;
    scene.screen.wait_text("held", "of 256 MB").await;
    let scene = scene.started_again().await;
    scene.screen.wait("new-session").await;
    scene.screen.click("settings").await;
    scene.screen.wait_text("held", "of 256 MB").await;
}

/// The files below whose names begin so.
fn called(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(called(&path, beginning));
        } else if entry.file_name().to_string_lossy().starts_with(beginning) {
            found.push(path);
        }
    }
    found
}

/// Writes noise over every file below whose name begins so.
fn spoil(folder: &Path, beginning: &str) -> usize {
    let all = called(folder, beginning);
    for path in &all {
        let noise: Vec<u8> = (0..8192).map(|_| rand::random()).collect();
        std::fs::write(path, noise).expect("writing noise");
    }
    all.len()
}

#[tokio::test]
async fn an_outbox_that_cannot_be_read_is_told_until_it_is_removed() {
    let away = Scene::signed_in().await.closed().await;
    assert!(
        spoil(&away.seat.app_home(), "outbox.db") > 0,
        "an outbox to spoil"
    );
    let Scene { screen, seat, .. } = &away.started().await;
    seat.answer("Some messages could not be opened", "o").await;
    let aside = called(&seat.app_home(), "outbox.db.damaged-1").pop();
    let aside = aside.expect("an outbox that is aside");
    screen.wait("new-session").await;
    screen.click("settings").await;
    screen.wait_text("aside", "1 file with unsent messages").await;
    screen.wait_text("aside", " KB in ").await;
    screen.picture("aside-desktop").await;
    screen.click("show-aside").await;
    let folder = aside.parent().expect("its folder").display().to_string();
    until("the folder to be opened", async || {
        seat.opened().contains(&folder).then_some(())
    })
    .await;
    let question = "Remove what is kept aside?";
    screen.click("remove-aside").await;
    seat.answer(question, "k").await;
    until("the question to be gone", async || {
        seat.window(question).is_none().then_some(())
    })
    .await;
    assert!(aside.exists(), "it is kept");
    screen.click("remove-aside").await;
    seat.answer(question, "r").await;
    screen.wait_gone("[data-testid=\"aside\"]").await;
    assert!(!aside.exists());
}

#[tokio::test]
async fn where_the_file_with_the_key_is_gone_the_app_asks_and_what_is_sealed_waits_aside() {
    // what is kept is sealed from the second start on
    let scene = Scene::signed_in_by_a_file().await.started_again().await;
    scene.elsewhere.create_session("Log book").await;
    scene.screen.wait_text("session-list", "Log book").await;
    let away = scene.closed().await;
    let home = away.seat.app_home();
    for key in std::fs::read_dir(home.join("secrets"))
        .expect("secrets")
        .flatten()
    {
        if key.file_name().to_string_lossy().ends_with(".file-key") {
            std::fs::remove_file(key.path()).expect("a key to lose");
        }
    }
    away.seat.start(&[]);
    away.seat.answer(LOCKED, "b").await;
    until("the page to be drawn", async || {
        (times_drawn(&away.seat) == 3).then_some(())
    })
    .await;
    let locked = called(&home, "outbox.db.locked-");
    let is_one = |path: &&PathBuf| path.ends_with("outbox.db.locked-1");
    assert_eq!(locked.iter().filter(is_one).count(), 1, "nothing was deleted");
    away.seat.end_app();
    let scene = away.started().await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.click("settings").await;
    scene
        .screen
        .wait_text("aside", "1 file with unsent messages")
        .await;
}

/// What is asked where what is kept here is sealed and its key is not to be had.
const LOCKED: &str = "CompyMac cannot open what it keeps on this computer";

/// How often the page was drawn, by the app's log. It is not, before what is kept here is open.
fn times_drawn(seat: &Seat) -> usize {
    seat.log().matches("the page is drawn").count()
}

/// Somebody with a session, at an app that was closed, and whose keychain vanished before it is started again.
async fn whose_keychain_vanished() -> (Person, Away) {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let scene = Scene::of(stack, &person, elsewhere).await;
    scene.elsewhere.create_session("Log book").await;
    scene.screen.wait_text("session-list", "Log book").await;
    let away = scene.closed().await;
    away.seat.end_keychain().await;
    (person, away)
}

#[tokio::test]
async fn a_keychain_that_vanished_between_two_starts_is_waited_for_and_nothing_is_lost() {
    let (_, away) = whose_keychain_vanished().await;
    let devices = away.elsewhere.devices().await.len();
    away.seat.start(&[]);
    away.seat.answer(LOCKED, "q").await;
    until("the app to be ended", async || {
        (!away.seat.runs_app()).then_some(())
    })
    .await;
    let before = times_drawn(&away.seat);
    away.seat.start(&[]);
    until("the app to ask", async || away.seat.window(LOCKED)).await;
    // It comes up while the app runs, which looked for it in vain.
    away.seat.start_keychain().await;
    away.seat.answer(LOCKED, "t").await;
    until("what is kept here to be shown", async || {
        (times_drawn(&away.seat) > before).then_some(())
    })
    .await;
    away.seat.end_app();
    let Scene {
        screen,
        seat,
        elsewhere,
        ..
    } = &away.started().await;
    screen.wait_text("session-list", "Log book").await;
    screen.wait_connection("online").await;
    assert_eq!(elsewhere.devices().await.len(), devices, "nobody signed in anew");
    assert_eq!(called(&seat.app_home(), "outbox.db.locked-").len(), 0);
    assert_eq!(called(&seat.app_home(), "outbox.db.damaged-").len(), 0);
}

#[tokio::test]
async fn who_begins_anew_without_the_keychain_reads_that_it_is_gone_and_is_signed_in_again_once_it_is_back() {
    let (person, away) = whose_keychain_vanished().await;
    let devices = away.elsewhere.devices().await.len();
    away.seat.start(&[]);
    away.seat.answer(LOCKED, "b").await;
    until("what is sealed to be put aside, and a new outbox", async || {
        let outboxes = called(&away.seat.app_home(), "outbox.db");
        let has = |name: &str| outboxes.iter().any(|path| path.ends_with(name));
        (has("outbox.db.locked-1") && has("outbox.db")).then_some(())
    })
    .await;
    away.seat.end_app();
    let scene = away.started().await;
    give_password(&scene.screen, &person).await;
    scene
        .screen
        .wait_text("problem", "Your keychain is not there any more")
        .await;
    scene.screen.wait("consent-file").await;
    scene.screen.picture("keychain-gone-desktop").await;
    assert_eq!(scene.elsewhere.devices().await.len(), devices);
    let away = scene.closed().await;
    away.seat.start_keychain().await;
    let scene = away.started().await;
    scene.screen.wait_text("session-list", "Log book").await;
    scene.screen.wait_connection("online").await;
    assert_eq!(
        scene.elsewhere.devices().await.len(),
        devices,
        "nobody signed in anew"
    );
    until("what was put aside to be taken back", async || {
        called(&scene.seat.app_home(), "outbox.db.locked-")
            .is_empty()
            .then_some(())
    })
    .await;
}

/// More than a first load brings of one session.
const LONG: usize = 120;

#[tokio::test]
async fn on_a_metered_connection_the_rest_waits_until_it_is_metered_no_more() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let session = elsewhere.create_session("Old letters").await;
    elsewhere.note(session, "The lighthouse keeper knows").await;
    for number in 0..LONG {
        elsewhere.note(session, &format!("Letter {number}")).await;
    }
    let seat = Seat::without_keychain(&stack).await;
    let network = Network::at(&seat, true).await;
    let screen = seat.launch().await;
    sign_in_by_a_file(&screen, &person).await;
    screen.wait_connection("online").await;
    screen.click("settings").await;
    screen
        .wait_text("storage", "once the connection is not metered")
        .await;
    screen.picture("sparing-desktop").await;
    assert!(!seat.keeps("lighthouse keeper"), "loaded on a metered connection");
    network.become_metered(false).await;
    until("the rest to be loaded", async || {
        seat.keeps("lighthouse keeper").then_some(())
    })
    .await;
}

/// Keeps each answer and each push of the core, as the page is called with it.
const LISTEN: &str = "
    const callbacks = window.__TAURI_INTERNALS__.callbacks;
    window.heard = [];
    callbacks.get = (id) => {
        const callback = Map.prototype.get.call(callbacks, id);
        return callback && ((data) => {
            window.heard.push(JSON.stringify(data));
            return callback(data);
        });
    };";

/// Agrees to what the app asks, in a browser that is signed in; gives the link home.
async fn agree(browser: &Client, address: &str) -> String {
    let page = browser.visit(&path_of(address)).await;
    let agreed = browser.submit(&page, routes::AUTHORIZE, &[]).await;
    agreed.attribute_of("open-app", "href").expect("a link home")
}

/// The texts of these fields of what the keychain holds.
fn texts(kept: &Value, fields: &[&str]) -> Vec<String> {
    let texts = fields.iter().map(|field| {
        let text = kept.get(field).and_then(Value::as_str);
        text.filter(|text| text.len() > 20).expect(field).to_owned()
    });
    texts.collect()
}

/// By the browser, which has the most secrets on its way, and then by the password.
#[tokio::test]
async fn no_secret_crosses_to_the_page() {
    let stack = Stack::start().await;
    let (person, browser) = Person::join(&stack).await;
    let seat = Seat::fresh(&stack).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    screen.evaluate(LISTEN).await;
    let address = leave_by(&screen, &seat, "provider-browser").await;
    let pending = seat.kept_secret("pending-sign-in").await;
    let link = agree(&browser, &address).await;
    seat.hand_over(&link);
    screen.wait("new-session").await;
    let by_browser = seat.kept_secret("credential").await;
    assert_eq!(pending["key"], by_browser["key"], "one key from the beginning on");
    browser.create_session("Ordinary").await;
    screen.wait_text("session-list", "Ordinary").await;
    screen.click("settings").await;
    screen.click("sign-out").await;
    screen.wait("sign-in-form").await;
    sign_in(&screen, &person).await;
    screen.wait_text("session-list", "Ordinary").await;
    let by_password = seat.kept_secret("credential").await;

    let heard = screen.evaluate("return window.heard.join('\\n');").await;
    // the address that was opened is told, and has letters by chance
    let heard = heard.as_str().expect("what the page heard").replace(&address, "");
    assert!(heard.contains("Ordinary"), "it was listened: {heard}");
    let mut secrets = texts(&pending, &["verifier", "state", "key"]);
    secrets.extend(texts(&by_browser, &["refresh_token"]));
    secrets.extend(texts(&by_password, &["refresh_token", "key"]));
    let link = url::Url::parse(&link).expect("a link is a URL");
    let code = link.query_pairs().find(|(name, _)| name == "code");
    secrets.push(code.expect("a code").1.into_owned());
    // an access token is in memory alone, and looks like this
    secrets.push("eyJ".to_owned());
    secrets.extend(["cmr_", "access_token", "refresh_token"].map(str::to_owned));
    secrets.push(person.password);
    for secret in secrets {
        assert!(!heard.contains(&secret), "{secret} crossed to the page: {heard}");
    }
}

/// Every command, as a page may ask it; `ID` stands for a session, and whatever else has a number.
const ASKS: &[(&str, &str)] = &[
    ("boot", "{archived: false, open: 'ID'}"),
    ("list", "{archived: false, rows: 50}"),
    ("open", "{session: 'ID'}"),
    ("earlier", "{session: 'ID'}"),
    ("reach", "{session: 'ID', message: 'ID'}"),
    ("search", "{typed: 'ordinary', within: null}"),
    ("create", "{}"),
    ("draft", "{session: null}"),
    ("keep_draft", "{session: null, text: 'Half a thought'}"),
    ("send", "{session: 'ID', message: 'ID', text: 'Calm sea'}"),
    ("answer", "{session: 'ID', message: 'ID'}"),
    ("rename", "{session: 'ID', title: 'Calm'}"),
    ("archive", "{session: 'ID', archived: false}"),
    ("retry", "{mutation: 'ID'}"),
    ("stop", "{run: 'ID'}"),
    ("delete", "{session: 'ID'}"),
    ("undo", "{mutation: 'ID'}"),
    ("providers", "{}"),
    ("devices", "{}"),
    ("revoke", "{device: 'ID'}"),
    ("accounts", "{go: null}"),
    ("storage", "{}"),
    ("prefer", "{to: null}"),
    ("act", "{act: 'copy_diagnostics'}"),
    ("consent", "{to: 'keychain'}"),
    ("open_link", "{url: 'https://example.org/'}"),
    ("ui_ready", "{}"),
    ("page_broke", "{what: 'by a test'}"),
    (
        "sign_up",
        "{email: 'new@example.org', password: 'walnut-ferry-copper-drizzle'}",
    ),
    ("verify", "{email: 'new@example.org', code: '000000'}"),
    ("resend", "{email: 'new@example.org'}"),
    (
        "sign_in",
        "{email: 'new@example.org', password: 'nobody-has-such-a-password'}",
    ),
    ("second_step", "{code: '000000'}"),
    ("finish_sign_in", "{code: 'none'}"),
    ("device_code", "{}"),
    ("cancel_sign_in", "{}"),
    ("browser_sign_in", "{provider: null}"),
];

/// What the page asks by itself, and is heard above.
const ASKED_BY_THE_PAGE: [&str; 2] = ["sign_out", "watch"];

/// These have to answer, or nothing was heard of them.
const ANSWERED: [&str; 12] = [
    "boot",
    "list",
    "open",
    "search",
    "draft",
    "send",
    "devices",
    "accounts",
    "storage",
    "prefer",
    "device_code",
    "browser_sign_in",
];

#[tokio::test]
async fn no_command_answers_with_a_secret() {
    let asked = ASKS.iter().map(|(name, _)| *name).chain(ASKED_BY_THE_PAGE);
    let all: BTreeSet<_> = ipc::NAMES.iter().copied().collect();
    assert_eq!(asked.collect::<BTreeSet<_>>(), all, "each command is asked");

    let scene = Scene::signed_in().await;
    let session = scene.elsewhere.create_session("Ordinary").await.to_string();
    scene.screen.wait_text("session-list", "Ordinary").await;
    let mut heard = Vec::new();
    for (page, (name, ask)) in (1000..).zip(ASKS) {
        let ask = ask.replace("ID", &session);
        let script = format!(
            "window.__TAURI_INTERNALS__.invoke('{name}', {{ask: {ask}, page: {page}, number: 0}})
                 .then((answer) => done({{done: answer}}), (problem) => done({{refused: problem}}));"
        );
        let answer = scene.screen.evaluate_later(&script).await;
        let is_answered = answer.get("done").is_some();
        assert!(is_answered || !ANSWERED.contains(name), "{name}: {answer}");
        heard.push((name, answer.to_string()));
    }
    let credential = scene.seat.kept_secret("credential").await;
    let pending = scene.seat.kept_secret("pending-sign-in").await;
    let mut secrets = texts(&credential, &["refresh_token", "key"]);
    secrets.extend(texts(&pending, &["verifier", "state", "key"]));
    secrets.extend(["cmr_", "access_token", "refresh_token", "device_code"].map(str::to_owned));
    for (name, answer) in &heard {
        for secret in &secrets {
            assert!(!answer.contains(secret), "{name} tells {secret}: {answer}");
        }
    }
}
