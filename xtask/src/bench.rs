//! `cargo xtask bench`: builds for release, starts stores whose commits are real, and lets the bench measure: the server, or the
//! desktop app.

use crate::compile::{self, Page};
use crate::place::Place;
use crate::ports;
use crate::services::{Lasting, postgres, postgres_programs, redis};
use crate::setup::{self, Need};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const WORKS: [&str; 12] = [
    "GROWTH", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11",
];

pub fn run(place: &Place, supervisor: &mut Supervisor, asked: &[String]) -> anyhow::Result<()> {
    if asked.first().is_some_and(|word| word == "desktop") {
        let page = build_desktop(place, supervisor)?;
        return with_folder(place, supervisor, &page, asked);
    }
    let works: Vec<String> = asked.iter().map(|word| word.to_uppercase()).collect();
    if let Some(unknown) = works.iter().find(|work| !WORKS.contains(&work.as_str())) {
        bail!("there is no work {unknown}: say one of {}", WORKS.join(", "));
    }
    setup::ensure(place, supervisor, Need::Dev)?;
    say("building for release");
    compile::programs(place, supervisor)?;
    compile::page(place, supervisor, Page::Quick, &place.page())?;
    compile::measured(place, supervisor)?;
    with_folder(place, supervisor, &place.page(), &works)
}

/// The app and the empty one as they are shipped, and all that either needs on a display. Gives the page that browsers get.
fn build_desktop(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<PathBuf> {
    setup::ensure_tools(place, supervisor, Need::Test)?;
    say("building as it is shipped");
    compile::bundler(place, supervisor)?;
    let page = compile::measured_programs(place).join("page");
    compile::page(place, supervisor, Page::Release, &page)?;
    compile::page(place, supervisor, Page::Plain, &place.page())?;
    compile::measured(place, supervisor)?;
    compile::measured_apps(place, supervisor)?;
    Ok(page)
}

fn with_folder(
    place: &Place,
    supervisor: &mut Supervisor,
    page: &Path,
    works: &[String],
) -> anyhow::Result<()> {
    // Not in /tmp: on some machines that lies in memory, where a commit costs nothing.
    let folder = Path::new("/var/tmp").join(format!("compymac-bench-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o711).create(&folder)?;
    let outcome = measure(place, supervisor, &folder, page, works);
    supervisor.stop_all();
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    outcome
}

fn measure(
    place: &Place,
    supervisor: &mut Supervisor,
    folder: &Path,
    page: &Path,
    works: &[String],
) -> anyhow::Result<()> {
    let postgres = postgres(
        supervisor,
        &folder.join("postgres"),
        ports::free()?,
        Lasting::Kept,
    )?;
    let redis = redis(supervisor, &folder.join("redis"), ports::free()?, Lasting::Kept)?;
    let release = compile::measured_programs(place);
    let pgbench = postgres_programs().map(|programs| programs.join("pgbench"));
    let mut command = Command::new(release.join("bench"));
    command
        .args(works)
        .current_dir(folder)
        .env("COMPYMAC_BIN_DIR", &release)
        .env("COMPYMAC_UI_DIST", page)
        .env("COMPYMAC_TOOLS", place.tools())
        // where the repository is, for who reads files of it
        .env("CARGO_MANIFEST_DIR", place.root.join("xtask"))
        .env("COMPYMAC_TEST_PG", postgres)
        .env("COMPYMAC_TEST_REDIS", redis)
        .env("COMPYMAC_PGBENCH", pgbench.unwrap_or_else(|| "pgbench".into()));
    supervisor.run(&mut command)
}
