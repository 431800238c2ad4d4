//! How it looks and feels: by the keyboard alone, in light and dark, and without a jump when the app wakes.

use crate::{COMPLETE, MINE, Scene, sign_in};
use harness::{Body, Person, Screen, Stack, until};
use std::collections::BTreeSet;

in_both_bodies! {
    everything_is_reached_by_the_keyboard,
    light_and_dark_are_worn_at_once_and_kept,
    the_list_is_made_wider_and_shut_and_opened,
    a_page_that_broke_says_so_and_comes_again,
    a_page_that_breaks_while_it_begins_is_loaded_again_once_by_itself,
}

const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";
const RIGHT: &str = "\u{E014}";
const CONTROL: &str = "\u{E009}";

async fn everything_is_reached_by_the_keyboard(body: Body) {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let screen = Screen::fresh(body, &stack).await;
    screen.wait("sign-in-form").await;
    screen.tab_to("email").await;
    screen.keys(person.email.as_str()).await;
    screen.tab_to("password").await;
    screen.keys(&person.password).await;
    screen.keys(ENTER).await;
    screen.wait("new-session").await;
    screen.wait_connection("online").await;
    screen.tab_to("new-session").await;
    screen.keys(ENTER).await;
    screen.wait("transcript").await;
    until("the caret in the composer", async || {
        (screen.focus().await.as_deref() == Some("composer-input")).then_some(())
    })
    .await;
    screen.keys("/slow 200ms a b c d e f g h i j k l m n o p q").await;
    screen.keys(ENTER).await;
    screen.wait_text_in(MINE, "/slow").await;
    screen.wait("stop").await;
    screen.keys(ESCAPE).await;
    screen
        .wait_for("[data-testid=\"message\"][data-status=\"cancelled\"]")
        .await;
    let session = elsewhere.newest_session().await;
    screen.tab_to("archive").await;
    screen.keys(ENTER).await;
    until("the session archived", async || {
        elsewhere.session(session).await.archived.then_some(())
    })
    .await;
}

async fn light_and_dark_are_worn_at_once_and_kept(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.wait_connection("online").await;
    let ground = async || {
        let script = "return getComputedStyle(document.querySelector('main')).backgroundColor \
                      + getComputedStyle(document.body).color";
        scene.screen.evaluate(script).await.to_string()
    };
    let mut worn = Vec::new();
    for theme in ["light", "dark", "high-contrast"] {
        scene.screen.click("settings").await;
        scene.screen.click(&format!("theme-{theme}")).await;
        until("the theme to be worn", async || {
            let now = scene
                .screen
                .evaluate("return document.documentElement.dataset.theme")
                .await;
            (now == theme).then_some(())
        })
        .await;
        worn.push(ground().await);
        scene
            .screen
            .picture(&format!("settings-{theme}-{body:?}").to_lowercase())
            .await;
    }
    let different: BTreeSet<_> = worn.iter().collect();
    assert_eq!(
        different.len(),
        worn.len(),
        "each theme is one of its own: {worn:?}"
    );
    assert!(!scene.person.email.as_str().is_empty());
    if body == Body::Browser {
        scene.screen.reload().await;
        scene.screen.wait("devices").await;
        assert_eq!(Some(&ground().await), worn.last(), "kept over a new start");
    }
}

async fn the_list_is_made_wider_and_shut_and_opened(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    scene.elsewhere.create_session("Listed").await;
    screen.wait("session-row").await;
    let page_begins_at = async |wanted: i64| {
        until("the page to begin there", async || {
            let [left, ..] = screen.place_of("#main").await;
            (left == wanted).then_some(())
        })
        .await;
    };
    page_begins_at(280).await;
    screen.press("splitter", RIGHT).await;
    page_begins_at(296).await;
    screen.press("splitter", ENTER).await;
    page_begins_at(0).await;
    screen
        .picture(&format!("list-shut-{body:?}").to_lowercase())
        .await;
    screen.keys(&format!("{CONTROL}b")).await;
    page_begins_at(296).await;
    if body == Body::Browser {
        screen.reload().await;
        screen.wait_connection("online").await;
        page_begins_at(296).await;
    }
}

/// The same pages with the app asleep and awake: what a person looks at stays where it is.
#[tokio::test]
async fn the_app_wakes_without_a_visible_jump() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let session = elsewhere.create_session("Steady").await;
    let sent = elsewhere.say(session, "/markdown").await;
    elsewhere.committed(session, sent.reply()).await;
    let asleep = Screen::browser_without_script(&stack).await;
    let awake = Screen::browser(&stack).await;
    awake.wait_for(".is-awake").await;
    stays(
        &asleep,
        &awake,
        &[&css("email"), &css("password"), &css("sign-in"), ".gate-head"],
    )
    .await;
    for screen in [&asleep, &awake] {
        sign_in(screen, &person).await;
    }
    awake.wait_connection("online").await;
    let list = [css("session-row"), css("new-session"), css("settings")];
    stays(&asleep, &awake, &list.each_ref().map(String::as_str)).await;
    for screen in [&asleep, &awake] {
        screen.open(&protocol::routes::page::session(session)).await;
        screen.wait_for(COMPLETE).await;
    }
    awake.wait_connection("online").await;
    let (title, composer) = (css("session-title"), css("composer-input"));
    stays(
        &asleep,
        &awake,
        &[&css("session-row"), &title, &composer, MINE, COMPLETE],
    )
    .await;
}

fn css(test_id: &str) -> String {
    format!("[data-testid=\"{test_id}\"]")
}

/// These lie at the same place of both screens.
async fn stays(asleep: &Screen, awake: &Screen, selectors: &[&str]) {
    for selector in selectors {
        let places = (asleep.place_of(selector).await, awake.place_of(selector).await);
        assert_eq!(places.0, places.1, "{selector}");
    }
}

/// Nothing is wider than the smallest screen (WCAG 2.2, 1.4.10).
#[tokio::test]
async fn on_the_narrowest_screen_nothing_is_read_by_moving_it_sideways() {
    let stack = Stack::start().await;
    let (person, elsewhere) = Person::join_natively(&stack).await;
    let session = elsewhere
        .create_session("A title that is much longer than so small a screen is wide")
        .await;
    let sent = elsewhere.say(session, "/markdown").await;
    elsewhere.committed(session, sent.reply()).await;
    let screen = Screen::browser(&stack).await;
    screen.wear(320, "light").await;
    fits(&screen, "the door").await;
    sign_in(&screen, &person).await;
    fits(&screen, "the list").await;
    let conversation = protocol::routes::page::session(session);
    for path in [&conversation, "/settings", "/settings/security", "/archived"] {
        screen.open(path).await;
        screen.wait_for("body").await;
        if path == conversation {
            screen.wait_for(COMPLETE).await;
        }
        fits(&screen, path).await;
    }
    screen.open(&conversation).await;
    screen.wait_for(COMPLETE).await;
    screen.picture("narrowest-browser").await;
}

async fn fits(screen: &Screen, what: &str) {
    let script = "const { scrollWidth, clientWidth } = document.documentElement;
                  return [innerWidth, scrollWidth - clientWidth]";
    let seen = screen.evaluate(script).await;
    assert_eq!(seen.to_string(), "[320,0]", "{what}");
}

const SAID: &str = ".broken[role=alert]";
/// As the web view reports it when the app's program is lost, by a fault or for want of memory.
const TRAP: &str = "const error = new WebAssembly.RuntimeError('unreachable'); \
                    dispatchEvent(new ErrorEvent('error', { error }));";

async fn a_page_that_broke_says_so_and_comes_again(body: Body) {
    let scene = Scene::signed_in(body).await;
    // one that breaks while it begins is loaded again instead
    scene.screen.wait_for(".is-awake").await;
    scene.screen.evaluate("console.error('last words')").await;
    scene.screen.evaluate(TRAP).await;
    until("the page to say that it broke", async || {
        let said = scene.screen.texts_in(SAID).await.concat();
        said.contains("Your messages are safe.").then_some(())
    })
    .await;
    scene.screen.evaluate(TRAP).await;
    assert_eq!(scene.screen.texts_in(SAID).await.len(), 1, "once is enough");
    if body == Body::Desktop {
        until("it to be written down on this computer", async || {
            scene
                .screen
                .log()
                .contains("the page\nlast words\nunreachable\n")
                .then_some(())
        })
        .await;
    }
    scene.screen.click_on(".broken a").await;
    scene.screen.wait("new-session").await;
    assert!(scene.screen.texts_in(SAID).await.is_empty());
}

async fn a_page_that_breaks_while_it_begins_is_loaded_again_once_by_itself(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.wait_for(".is-awake").await;
    let as_it_begins = format!(
        "window.isOld = true; document.querySelector('.is-awake').classList.remove('is-awake'); {TRAP}"
    );
    scene.screen.evaluate(&as_it_begins).await;
    until("another page", async || {
        let is_old = scene.screen.evaluate("return window.isOld === true").await;
        (is_old.as_bool() == Some(false)).then_some(())
    })
    .await;
    scene.screen.wait("new-session").await;
    scene.screen.wait_for(".is-awake").await;
    assert!(scene.screen.texts_in(SAID).await.is_empty());
    scene.screen.evaluate(&as_it_begins).await;
    scene.screen.wait_text_in(SAID, "Your messages are safe.").await;
}
