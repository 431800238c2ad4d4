//! Keeping sessions in order: renaming, archiving, deleting and thinking better of it.

use crate::Scene;
use harness::{Body, until};

in_both_bodies! {
    a_session_is_renamed_here_and_there,
    a_session_is_archived_and_brought_back,
    a_deleted_session_can_be_brought_back_for_a_while,
    a_session_is_kept_in_order_from_its_row,
    many_sessions_are_listed_newest_first,
}

const ROWS: &str = "[data-testid=\"session-row\"]";

/// Opens the session by its row.
async fn open(scene: &Scene, title: &str) {
    scene.screen.wait_text("session-list", title).await;
    scene.screen.click_on(&format!("{ROWS} a")).await;
    scene.screen.wait_text("session-title", title).await;
}

async fn a_session_is_renamed_here_and_there(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Draft").await;
    open(&scene, "Draft").await;
    scene.screen.click("rename").await;
    scene.screen.fill("rename-input", "Chapter one").await;
    scene.screen.press("rename-input", "\u{E007}").await;
    scene.screen.wait_text("session-title", "Chapter one").await;
    scene.screen.wait_text("session-list", "Chapter one").await;
    until("the title at the server", async || {
        (scene.elsewhere.session(id).await.title == "Chapter one").then_some(())
    })
    .await;
    let base = scene.elsewhere.session(id).await.title_seq;
    let rename = protocol::mutation::Op::SessionRename {
        session: id,
        title: "Chapter two".to_owned(),
        base,
    };
    scene.elsewhere.write(rename).await;
    scene.screen.wait_text("session-title", "Chapter two").await;
}

async fn a_session_is_archived_and_brought_back(body: Body) {
    let scene = Scene::signed_in(body).await;
    let id = scene.elsewhere.create_session("Put away").await;
    open(&scene, "Put away").await;
    scene.screen.click("archive").await;
    scene.screen.wait_gone(ROWS).await;
    until("the archive at the server", async || {
        scene.elsewhere.session(id).await.archived.then_some(())
    })
    .await;
    scene.screen.click("archived-link").await;
    open(&scene, "Put away").await;
    scene.screen.click("unarchive").await;
    until("the session back", async || {
        (!scene.elsewhere.session(id).await.archived).then_some(())
    })
    .await;
    scene.screen.click("home-link").await;
    scene.screen.wait_text("session-list", "Put away").await;
}

async fn a_deleted_session_can_be_brought_back_for_a_while(body: Body) {
    let scene = Scene::signed_in(body).await;
    scene.screen.wait_connection("online").await;
    let id = scene.elsewhere.create_session("Second thoughts").await;
    open(&scene, "Second thoughts").await;
    scene.screen.click("delete").await;
    scene.screen.wait_gone(ROWS).await;
    scene.screen.click("undo").await;
    scene.screen.wait_text("session-list", "Second thoughts").await;
    open(&scene, "Second thoughts").await;
    scene.screen.click("delete").await;
    scene.screen.wait_gone(ROWS).await;
    until("the session gone from the server", async || {
        scene.elsewhere.sessions().await.is_empty().then_some(())
    })
    .await;
    assert_eq!(
        scene.elsewhere.get(&protocol::routes::session(id)).await.status,
        404
    );
}

async fn many_sessions_are_listed_newest_first(body: Body) {
    let scene = Scene::signed_in(body).await;
    for number in 1..=230 {
        scene
            .elsewhere
            .create_session(&format!("Session number {number}."))
            .await;
    }
    // more are asked for and drawn as their end comes near
    scene.screen.wait_text("session-list", "number 230.").await;
    until("every row", async || {
        scene
            .screen
            .evaluate("document.querySelector('[data-testid=session-list]').scrollTop = 1e6")
            .await;
        (scene.screen.count(ROWS).await == 230).then_some(())
    })
    .await;
    let rows = scene.screen.texts_in(ROWS).await;
    assert!(
        rows.first().is_some_and(|row| row.contains("number 230.")),
        "{rows:?}"
    );
    assert!(
        rows.last().is_some_and(|row| row.contains("number 1.")),
        "{rows:?}"
    );
}

/// Shift and F10, as WebDriver spells them.
const ROW_MENU_KEYS: &str = "\u{E008}\u{E03A}";

async fn a_session_is_kept_in_order_from_its_row(body: Body) {
    let scene = Scene::signed_in(body).await;
    let screen = &scene.screen;
    let first = scene.elsewhere.create_session("Left as it is").await;
    let second = scene.elsewhere.create_session("Draft").await;
    let row = format!("[data-session=\"{second}\"]");
    screen.click_on(&format!("[data-session=\"{first}\"] a")).await;
    screen.wait_text("session-title", "Left as it is").await;

    // with the pointer
    screen.point_at(&row).await;
    screen
        .click_on(&format!("{row} [data-testid=\"row-menu\"]"))
        .await;
    screen.wait("menu-rename").await;
    screen.picture(&format!("row-menu-{body:?}").to_lowercase()).await;
    screen.click("menu-rename").await;
    screen.wait("row-rename").await;
    screen.keys("By its row\u{E007}").await;
    screen.wait_text("session-list", "By its row").await;
    until("the title at the server", async || {
        (scene.elsewhere.session(second).await.title == "By its row").then_some(())
    })
    .await;

    // with the keyboard: Escape leads back to the row, and gives up a name
    screen.press_on(&format!("{row} a"), ROW_MENU_KEYS).await;
    screen.wait("menu-rename").await;
    screen.keys("\u{E00C}").await;
    screen.wait_gone("[role=\"menu\"]").await;
    screen.keys(ROW_MENU_KEYS).await;
    screen.wait("menu-rename").await;
    screen.keys("r\u{E007}").await;
    screen.wait("row-rename").await;
    screen.keys("Given up\u{E00C}").await;
    screen.wait_text_in(&row, "By its row").await;

    screen.press_on(&format!("{row} a"), ROW_MENU_KEYS).await;
    screen.click("menu-archive").await;
    screen.wait_gone(&row).await;
    until("the archive at the server", async || {
        scene.elsewhere.session(second).await.archived.then_some(())
    })
    .await;
    let open = screen.texts_in("[data-testid=\"session-title\"]").await;
    assert_eq!(open, ["Left as it is"], "what is open stays open");

    screen
        .press_on(&format!("[data-session=\"{first}\"] a"), ROW_MENU_KEYS)
        .await;
    screen.click("menu-delete").await;
    screen.wait_gone(ROWS).await;
    screen.wait_gone("[data-testid=\"session-title\"]").await;
    screen.click("undo").await;
    screen.wait_text("session-list", "Left as it is").await;
}
