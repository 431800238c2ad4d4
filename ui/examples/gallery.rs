//! Writes every screen as a file to be looked at: `cargo run -p ui --features ssr --example gallery -- FOLDER`. The journeys look at
//! each of them too.
#![expect(clippy::print_stdout, reason = "a tool reports to the terminal")]

#[path = "../tests/pages/fixture.rs"]
mod fixture;
#[path = "../tests/pages/notices.rs"]
mod notices;

use protocol::view::Body;
use std::fs;
use std::path::PathBuf;
use ui::auth::waiting::Waiting;
use ui::page::{Shell, Theme, render, render_notice, shell};
use ui::state::{Ahead, Scene, Stage};
use yew::ServerRenderer;
use yew::prelude::*;

/// As they are joined for a browser.
const STYLES: [&str; 9] = [
    include_str!("../style/tokens.css"),
    include_str!("../style/base.css"),
    include_str!("../style/controls.css"),
    include_str!("../style/frame.css"),
    include_str!("../style/gate.css"),
    include_str!("../style/markdown.css"),
    include_str!("../style/search.css"),
    include_str!("../style/session.css"),
    include_str!("../style/settings.css"),
];

/// No first paint shows it: the app comes to it by itself.
#[component]
fn WaitingForBrowser() -> Html {
    let scene = use_reducer(|| Scene::first(&fixture::boot(Body::Desktop), "/sign-in"));
    let stage = Stage {
        handle: None,
        body: Body::Desktop,
        csrf: AttrValue::default(),
        dispatch: scene.dispatcher(),
        ahead: Ahead::default(),
    };
    let link = "https://compymac.example/oauth/authorize?client_id=compymac-desktop";
    html! {
        <div class="app" data-place="outside">
            <Waiting {stage} {link} onleave={Callback::noop()} />
        </div>
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "gallery".to_owned()));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("style.css"), STYLES.concat())?;
    let mut pages = Vec::new();
    for screen in fixture::screens() {
        pages.push((screen.name, render(screen.boot, &screen.path).await));
    }
    for (name, notice) in notices::notices() {
        pages.push((name, render_notice(notice).await));
    }
    let waiting = ServerRenderer::<WaitingForBrowser>::new().hydratable(false);
    pages.push(("waiting", waiting.render().await));
    for (name, body) in pages {
        for theme in [Theme::Light, Theme::Dark, Theme::HighContrast] {
            let document = Shell {
                title: name,
                theme,
                body: &body,
                boot: None,
                style: "style.css",
                script: None,
                module: None,
                preload: None,
            };
            // As it looks once the app runs.
            let page = shell(&document).replacen("class=\"app\"", "class=\"app is-awake\"", 1);
            fs::write(folder.join(format!("{name}-{}.html", theme.word())), page)?;
        }
        println!("{name}");
    }
    Ok(())
}
