//! How large and how dark the app is.

use crate::Scene;
use harness::{Looks, Screen, Seat, Stack, until};
use serde_json::json;

const CONTROL: &str = "\u{E009}";

pub async fn is_as_wide_as(screen: &Screen, wanted: u64) {
    until(&format!("the page to be {wanted} wide"), async || {
        let width = screen.evaluate("return window.innerWidth").await.as_u64()?;
        (width.abs_diff(wanted) <= 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_page_grows_by_the_keys_and_is_as_large_at_the_next_start() {
    let scene = Scene::signed_in().await;
    let screen = &scene.screen;
    is_as_wide_as(screen, 1280).await;
    screen.keys(&format!("{CONTROL}=")).await;
    is_as_wide_as(screen, 1280 * 100 / 110).await;
    screen.keys(&format!("{CONTROL}=")).await;
    is_as_wide_as(screen, 1280 * 100 / 125).await;
    screen.picture("zoomed-desktop").await;
    let scene = scene.started_again().await;
    let screen = &scene.screen;
    screen.wait("new-session").await;
    is_as_wide_as(screen, 1280 * 100 / 125).await;
    screen.keys(&format!("{CONTROL}-")).await;
    is_as_wide_as(screen, 1280 * 100 / 110).await;
    screen.keys(&format!("{CONTROL}0")).await;
    is_as_wide_as(screen, 1280).await;
}

async fn is_dark(screen: &Screen, wanted: bool) {
    until(&format!("the page to be dark: {wanted}"), async || {
        let ground = "return [matchMedia('(prefers-color-scheme: dark)').matches, \
                      getComputedStyle(document.documentElement).backgroundColor]";
        let wanted = if wanted {
            json!([true, "rgb(23, 23, 22)"])
        } else {
            json!([false, "rgb(255, 255, 255)"])
        };
        (screen.evaluate(ground).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_app_is_as_dark_as_its_desktop_and_follows_it() {
    let stack = Stack::start().await;
    let seat = Seat::fresh(&stack).await;
    let looks = Looks::at(&seat, true).await;
    let screen = seat.launch().await;
    screen.wait("sign-in-form").await;
    is_dark(&screen, true).await;
    looks.become_dark(false).await;
    is_dark(&screen, false).await;
    looks.become_dark(true).await;
    is_dark(&screen, true).await;
}
