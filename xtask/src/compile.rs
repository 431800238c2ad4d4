//! Builds: the programs, and the page.

use crate::place::Place;
use crate::setup::webassembly;
use crate::supervisor::Supervisor;
use std::process::Command;

/// How small the page is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// As shipped: the smallest module, compressed as hard as it goes.
    Release,
    /// The same code; quicker to compress.
    Quick,
}

// Always the whole workspace with some of its programs picked: cargo unifies features over the packages that one call
// selects, and another selection would build the dependencies again.

/// What every run of the product needs.
pub fn programs(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(
        place,
        supervisor,
        &["--bin", "sync-server", "--bin", "mailbox", "--bin", "bundle"],
    )
}

/// What lays out the page.
pub fn bundler(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, &["--bin", "bundle"])
}

pub fn desktop(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, &["--bin", "desktop"])
}

/// What the bench measures, and itself.
pub fn measured(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(
        place,
        supervisor,
        &["--release", "--bin", "sync-server", "--bin", "bench"],
    )
}

fn build(place: &Place, supervisor: &mut Supervisor, what: &[&str]) -> anyhow::Result<()> {
    supervisor.run(place.cargo(&["build", "--workspace"]).args(what))
}

/// Compiles the page and lays out what a browser loads. The bundler must be built.
pub fn page(place: &Place, supervisor: &mut Supervisor, page: Page) -> anyhow::Result<()> {
    supervisor.run(&mut page_cargo(place, "build")?)?;
    let mut bundle = Command::new(place.debug_program("bundle"));
    bundle
        .arg("--wasm")
        .arg(place.target_wasm().join(webassembly::TARGET).join("wasm/ui.wasm"))
        .arg("--css")
        .arg(place.root.join("ui/style"))
        .arg("--out")
        .arg(place.page());
    if let Some(wasm_opt) = place.tool("wasm-opt") {
        bundle.arg("--wasm-opt").arg(wasm_opt);
    }
    if page == Page::Release {
        bundle.arg("--release-size");
    }
    supervisor.run(&mut bundle)
}

/// Cargo over the page's crate as a browser runs it.
pub fn page_cargo(place: &Place, verb: &str) -> anyhow::Result<Command> {
    let mut command = webassembly::cargo(
        place,
        &[
            verb,
            "-p",
            "ui",
            "--lib",
            "--features",
            "hydration",
            "--profile",
            "wasm",
        ],
    )?;
    // One set of names for one page, wherever the repository lies.
    command.env("CARGO_INCREMENTAL", "0");
    Ok(command)
}
