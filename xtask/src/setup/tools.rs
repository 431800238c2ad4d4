//! Programs that cargo, Python or Node.js install, into the cache and nowhere else.

use super::{Need, packages};
use crate::place::Place;
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Crates with a program of the same name, and what they are needed for first.
const CRATES: &[(&str, Need)] = &[
    ("cargo-nextest", Need::Dev),
    ("cargo-deny", Need::Desktop),
    ("cargo-machete", Need::Desktop),
    ("tauri-driver", Need::Test),
];

pub fn ensure(place: &Place, supervisor: &mut Supervisor, need: Need) -> anyhow::Result<()> {
    for (name, first) in CRATES {
        if need.covers(*first) {
            install(place, supervisor, name)?;
        }
    }
    Ok(())
}

/// Unless it is here already.
pub fn install(place: &Place, supervisor: &mut Supervisor, name: &str) -> anyhow::Result<()> {
    if place.tool(name).is_some() {
        return Ok(());
    }
    say(&format!("installing {name}"));
    let mut command = place.cargo(&["install", "--locked", "--root"]);
    command
        .arg(place.tools())
        .arg(name)
        .env("CARGO_TARGET_DIR", place.cache.join("tools-build"))
        .current_dir(&place.cache);
    supervisor.run(&mut command)
}

/// From the Python Package Index, in this version, with what it needs in a folder of its own; gives the program.
pub fn install_from_python(
    place: &Place,
    supervisor: &mut Supervisor,
    name: &str,
    version: &str,
) -> anyhow::Result<PathBuf> {
    let folder = place.tools().join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    if !has_venv() {
        packages::install(supervisor, &["python3-venv"])?;
    }
    say(&format!("installing {name} {version}"));
    supervisor.run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    supervisor.run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("{name}=={version}")),
    )?;
    Ok(program)
}

/// The oldest Node.js that runs what is installed.
const NODE: u32 = 18;

/// From npm, exactly what the lock file in this folder of the repository says, once; gives the folder of the modules.
pub fn install_from_npm(place: &Place, supervisor: &mut Supervisor, folder: &str) -> anyhow::Result<PathBuf> {
    let said = ["package.json", "package-lock.json"].map(|name| place.root.join(folder).join(name));
    let mut hash = DefaultHasher::new();
    for path in &said {
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        text.hash(&mut hash);
    }
    let home = place.tools().join(format!("npm-{:016x}", hash.finish()));
    let modules = home.join("node_modules");
    if modules.is_dir() {
        return Ok(modules);
    }
    must_have_node()?;
    say(&format!("installing what {folder} needs"));
    // what was not finished is not taken for the whole
    let unfinished = place.tools().join(format!("npm-{}", std::process::id()));
    fs::create_dir_all(&unfinished).with_context(|| format!("making {}", unfinished.display()))?;
    for path in &said {
        fs::copy(path, unfinished.join(path.file_name().unwrap_or_default()))
            .with_context(|| format!("copying {}", path.display()))?;
    }
    let mut npm = Command::new("npm");
    npm.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ])
    .current_dir(&unfinished)
    .stdin(Stdio::null());
    supervisor
        .run(&mut npm)
        .with_context(|| format!("fetching from npm what {folder} needs"))?;
    if fs::rename(&unfinished, &home).is_err() {
        // another one was quicker
        fs::remove_dir_all(&unfinished).context("tidying up after npm")?;
    }
    Ok(modules)
}

fn must_have_node() -> anyhow::Result<()> {
    let asked = Command::new("node").arg("--version").output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let said = said.context("starting node: please install Node.js and npm, and run this again")?;
    let major = said.trim_start_matches('v').split('.').next().unwrap_or_default();
    if major.parse::<u32>().is_ok_and(|major| major >= NODE) {
        return Ok(());
    }
    bail!(
        "the tests need Node.js {NODE} or newer, and here is {said}. Please install it and run this again."
    );
}

fn has_venv() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
