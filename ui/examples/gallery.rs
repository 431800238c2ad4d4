//! Writes every screen as a file to be looked at: `cargo run -p ui --features ssr --example gallery -- FOLDER`.
#![expect(clippy::print_stdout, reason = "a tool reports to the terminal")]

#[path = "../tests/pages/fixture.rs"]
mod fixture;
#[path = "../tests/pages/notices.rs"]
mod notices;

use std::fs;
use std::path::PathBuf;
use ui::page::{Shell, Theme, render, render_notice, shell};

const STYLES: [&str; 9] = [
    "tokens", "base", "controls", "frame", "gate", "markdown", "search", "session", "settings",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "gallery".to_owned()));
    fs::create_dir_all(&folder)?;
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("style");
    let mut style = String::new();
    for name in STYLES {
        style.push_str(&fs::read_to_string(source.join(name).with_extension("css"))?);
    }
    fs::write(folder.join("style.css"), style)?;
    let mut pages = Vec::new();
    for screen in fixture::screens() {
        pages.push((screen.name, render(screen.boot, &screen.path).await));
    }
    for (name, notice) in notices::notices() {
        pages.push((name, render_notice(notice).await));
    }
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
