//! The guards: what is true of the code before it runs. Cheapest first.

use crate::compile;
use crate::place::Place;
use crate::prepare;
use crate::setup::webassembly::{self, Compiler};
use crate::supervisor::Supervisor;
use crate::terminal::{Steps, say};
use anyhow::Context as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the list of known weaknesses may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

pub fn run(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    text(place, supervisor, &mut steps)?;
    prepare::with_own_database(supervisor, |supervisor, postgres| {
        code(place, supervisor, postgres, &mut steps)
    })?;
    steps.report();
    Ok(())
}

/// What is read from the text alone.
pub fn text(place: &Place, supervisor: &mut Supervisor, steps: &mut Steps) -> anyhow::Result<()> {
    steps.take("formatting", || {
        supervisor.run(&mut place.cargo(&["fmt", "--all", "--check"]))
    })?;
    steps.take("unused dependencies", || {
        supervisor.run(tool(place, "cargo-machete").arg("--skip-target-dir"))
    })?;
    steps.take("licences, bans and sources", || {
        supervisor.run(tool(place, "cargo-deny").args([
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ]))
    })?;
    steps.take("known weaknesses", || advisories(place, supervisor))
}

/// What the compiler says, and the database of the queries that it finds.
pub fn code(
    place: &Place,
    supervisor: &mut Supervisor,
    postgres: &str,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    steps.take("lints, and the queries' types", || {
        let clippy = refusing(
            place,
            place.cargo(&["clippy", "--workspace", "--all-targets", "--keep-going"]),
        )?;
        prepare::check(place, supervisor, postgres, clippy)
    })?;
    steps.take("lints of the engine alone", || {
        let clippy = place.cargo(&["clippy", "-p", "sync-client", "--no-default-features", "--lib"]);
        supervisor.run(&mut refusing(place, clippy)?)
    })?;
    steps.take("lints of the page", || page(place, supervisor))?;
    steps.take("documents of the code", || {
        let mut doc = place.cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        supervisor.run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })
}

/// The lints are said as warnings while one works, and refuse here. What they are set to is read beside the builds: lints that
/// were read in one clone would be read again in the next, whose file has another path.
fn refusing(place: &Place, mut clippy: Command) -> anyhow::Result<Command> {
    let (own, kept) = (place.root.join("clippy.toml"), place.cache.join("lints"));
    let settings = fs::read(&own).with_context(|| format!("reading {}", own.display()))?;
    let file = kept.join("clippy.toml");
    if fs::read(&file).ok().as_ref() != Some(&settings) {
        fs::create_dir_all(&kept)
            .and_then(|()| fs::write(&file, &settings))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    clippy.env("CLIPPY_CONF_DIR", kept).args(["--", "-D", "warnings"]);
    Ok(clippy)
}

/// Clippy for WebAssembly where the toolchain has the target. The distribution's compiler brings no clippy: there the
/// lints of the host, which read the same code but for the two backends, have to do.
fn page(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    match webassembly::chosen(place) {
        Some(Compiler::Rustup) => {
            let clippy = compile::page_cargo(place, "clippy")?;
            supervisor.run(&mut refusing(place, clippy)?)
        }
        Some(Compiler::Distribution) | None => {
            say("no clippy for WebAssembly with this compiler; the page is compiled");
            supervisor.run(&mut compile::page_cargo(place, "build")?)
        }
    }
}

/// The list comes from the network. Without it, this guard says so and the others stand.
fn advisories(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let mut fetch = tool(place, "cargo-deny");
    fetch
        .args(["--log-level", "off", "fetch", "db"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let fetched = supervisor.status_within(&mut fetch, Some(PATIENCE))?;
    if !fetched.is_some_and(|status| status.success()) {
        say("not checked: the list of known weaknesses could not be fetched");
        return Ok(());
    }
    supervisor.run(tool(place, "cargo-deny").args([
        "--log-level",
        "error",
        "check",
        "--disable-fetch",
        "advisories",
    ]))
}

/// A program that set-up installed, started in the repository.
fn tool(place: &Place, program: &str) -> Command {
    let mut command = Command::new(place.tool(program).unwrap_or_else(|| program.into()));
    command.current_dir(&place.root).env_remove("CARGO_MANIFEST_DIR");
    command
}
