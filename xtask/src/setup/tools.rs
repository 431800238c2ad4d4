//! Programs that cargo and npm install, into the cache and nowhere else.

use super::Need;
use crate::place::Place;
use crate::supervisor::Supervisor;
use crate::terminal::say;
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
        if *first <= need && place.tool(name).is_none() {
            say(&format!("installing {name}"));
            let mut command = place.cargo(&["install", "--locked", "--root"]);
            command
                .arg(place.tools())
                .arg(name)
                .env("CARGO_TARGET_DIR", place.cache.join("tools-build"))
                .current_dir(&place.cache);
            supervisor.run(&mut command)?;
        }
    }
    if need == Need::Test && !has_optimizer(place) {
        say("installing wasm-opt");
        let folder = place.tools().join("npm");
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new("npm");
        command
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--prefix",
            ])
            .arg(&folder)
            .arg("binaryen@132")
            .stdin(Stdio::null());
        supervisor.run(&mut command)?;
    }
    Ok(())
}

/// Not any `wasm-opt` on the search path: a distribution's is often too old for today's modules.
fn has_optimizer(place: &Place) -> bool {
    place.tools().join("npm/node_modules/.bin/wasm-opt").exists()
}
