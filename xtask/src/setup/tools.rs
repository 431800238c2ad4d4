//! Programs that cargo installs, into the cache and nowhere else.

use super::Need;
use crate::place::Place;
use crate::supervisor::Supervisor;
use crate::terminal::say;

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
