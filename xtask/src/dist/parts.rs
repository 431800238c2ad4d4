//! What the app is made of besides our own: under which licences, and as lists for who looks for a weakness (CycloneDX). The
//! program and the page in it are two, built for two machines.

use super::Packer;
use crate::compile::SHIPPED;
use crate::setup::webassembly;
use crate::supervisor::Supervisor;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;

/// In the package, and beside it.
const LICENCES: &str = "third-party-licences.txt";

/// Of a library in C that a crate brings along under another licence than its own.
const SQLCIPHER: &str = "xtask/licences/sqlcipher.txt";

/// As the tool names it, which lays one beside the manifest of every crate of the workspace.
const LIST: &str = "parts-of-compymac";

pub struct Part {
    name: &'static str,
    pub package: &'static str,
    folder: &'static str,
    pub target: &'static str,
    pub features: &'static str,
}

pub const PARTS: [Part; 2] = [
    Part {
        name: "app",
        package: "desktop",
        folder: "src-tauri",
        target: HOST,
        features: "default",
    },
    Part {
        name: "page",
        package: "ui",
        folder: "ui",
        target: webassembly::TARGET,
        features: "hydration",
    },
];

#[cfg(target_arch = "x86_64")]
const HOST: &str = "x86_64-unknown-linux-gnu";
#[cfg(not(target_arch = "x86_64"))]
const HOST: &str = "aarch64-unknown-linux-gnu";

pub fn licences(packer: &Packer<'_>, supervisor: &mut Supervisor, out: &Path) -> anyhow::Result<()> {
    supervisor.run(&mut packer.cargo(&["fetch", "--locked"]))?;
    let mut texts = super::licences::texts(packer)?;
    let sqlcipher =
        fs::read_to_string(packer.place.root.join(SQLCIPHER)).context("reading SQLCipher's licence")?;
    texts.push_str(&sqlcipher);
    fs::write(out.join(LICENCES), &texts).context("writing the licences")?;
    // Packages take from there what is made and not written.
    fs::write(packer.place.target().join(SHIPPED).join(LICENCES), &texts)
        .context("writing the licences for the packages")
}

pub fn lists(packer: &Packer<'_>, supervisor: &mut Supervisor, out: &Path) -> anyhow::Result<()> {
    for part in &PARTS {
        let manifest = format!("{}/Cargo.toml", part.folder);
        let words = [
            "cyclonedx",
            "--manifest-path",
            &manifest,
            "--format",
            "json",
            "--spec-version",
            "1.5",
            "--features",
            part.features,
            "--target",
            part.target,
            "--override-filename",
            LIST,
            "-qq",
        ];
        let made = supervisor.run(&mut packer.cargo(&words));
        let found = packer.place.root.join(part.folder).join(format!("{LIST}.json"));
        let kept = out.join(format!(
            "compymac-{}.{}.cdx.json",
            env!("CARGO_PKG_VERSION"),
            part.name
        ));
        let copied = made.and_then(|()| keep(&packer.place.root, &found, &kept));
        sweep(&packer.place.root, 2)?;
        copied?;
    }
    Ok(())
}

/// Without the place where it was made.
fn keep(root: &Path, found: &Path, kept: &Path) -> anyhow::Result<()> {
    let list = fs::read_to_string(found).context("reading the list of parts")?;
    let list = list.replace(&root.display().to_string(), "/compymac");
    fs::write(kept, list).context("keeping the list of parts")
}

/// Takes away the lists of all crates.
fn sweep(folder: &Path, deeper: u8) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            bail!("a folder's entry has a name")
        };
        if name == format!("{LIST}.json").as_str() {
            fs::remove_file(&path)?;
        } else if deeper > 0 && path.is_dir() && !path.is_symlink() {
            sweep(&path, deeper - 1)?;
        }
    }
    Ok(())
}
