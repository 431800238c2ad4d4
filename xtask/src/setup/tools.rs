//! Programs that cargo or Python install, into the cache and nowhere else.

use super::{Need, packages};
use crate::place::Place;
use crate::supervisor::Supervisor;
use crate::terminal::say;
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
            install(place, supervisor, name, &[])?;
        }
    }
    Ok(())
}

/// Unless it is here already.
pub fn install(
    place: &Place,
    supervisor: &mut Supervisor,
    name: &str,
    features: &[&str],
) -> anyhow::Result<()> {
    if place.tool(name).is_some() {
        return Ok(());
    }
    say(&format!("installing {name}"));
    let mut command = place.cargo(&["install", "--locked", "--root"]);
    command
        .arg(place.tools())
        .arg(name)
        .args(["--features", &features.join(",")])
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

fn has_venv() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
