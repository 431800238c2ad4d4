//! `cargo xtask dist`: the desktop app as packages for Debian and for Fedora, and beside them what is built in and under
//! which licences, and checksums. The same commit gives the same packages.
//!
//! What goes into a package, and where to, is written in `src-tauri/Cargo.toml`.

mod licences;
mod parts;

use crate::compile::{self, Page};
use crate::place::{Place, setting};
use crate::setup::{self, Need};
use crate::supervisor::Supervisor;
use crate::terminal::{Steps, print, say};
use anyhow::{Context as _, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1024 * 1024;

/// A program that grew past this has taken in something large by mistake.
const PROGRAM_LIMIT: u64 = 15 * MIB;
/// What a person waits for.
const PACKAGE_LIMIT: u64 = 10 * MIB;

pub fn run(place: &Place, supervisor: &mut Supervisor, words: &[String]) -> anyhow::Result<()> {
    match words {
        [] => {
            pack(place, supervisor)?;
            check(place, supervisor)
        }
        [word] if word == "--check" => check(place, supervisor),
        _ => bail!("dist [--check]"),
    }
}

fn pack(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let out = place.root.join("dist");
    let packer = Packer::new(place)?;
    steps.take("set-up", || setup::ensure_packers(place, supervisor))?;
    steps.take("the entries of the desktop", || entries(place, supervisor))?;
    steps.take("building the page", || {
        compile::bundler(place, supervisor)?;
        compile::page(place, supervisor, Page::Plain, &place.page())
    })?;
    let program = steps.take("building the app", || compile::shipped(place, supervisor))?;
    clear(&out)?;
    steps.take("the licences of the parts", || {
        parts::licences(&packer, supervisor, &out)
    })?;
    steps.take("the lists of the parts", || {
        parts::lists(&packer, supervisor, &out)
    })?;
    let packages = steps.take("the packages", || packer.packages(supervisor, &out))?;
    steps.take("the packages once more", || {
        let again = place.cache.join("packed-again");
        clear(&again)?;
        let others = packer.packages(supervisor, &again)?;
        are_equal(&packages, &others)?;
        fs::remove_dir_all(&again).context("clearing the second packages")
    })?;
    sums(&out)?;
    steps.report();
    list(&out)?;
    within(&program, PROGRAM_LIMIT)?;
    for package in &packages {
        within(package, PACKAGE_LIMIT)?;
    }
    print(&format!("packed into {}", out.display()));
    Ok(())
}

/// What the desktop's own tools say of our entries.
fn entries(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let folder = place.root.join("src-tauri/linux");
    supervisor.run(Command::new("desktop-file-validate").arg(folder.join("compymac.desktop")))?;
    supervisor.run(
        Command::new("appstreamcli")
            .args(["validate", "--no-net"])
            .arg(folder.join("dev.compymac.desktop.metainfo.xml")),
    )
}

/// Cargo's own words, with the tools that pack and with the one time that goes into all they make.
#[derive(Debug)]
pub struct Packer<'a> {
    pub place: &'a Place,
    path: String,
    time: String,
}

impl<'a> Packer<'a> {
    fn new(place: &'a Place) -> anyhow::Result<Self> {
        let tools = place.tools().join("bin");
        Ok(Self {
            place,
            path: format!("{}:{}", tools.display(), setting("PATH").unwrap_or_default()),
            time: match setting("SOURCE_DATE_EPOCH") {
                Some(time) => time,
                None => time_of_commit(place)?,
            },
        })
    }

    pub fn cargo(&self, words: &[&str]) -> Command {
        let mut command = self.place.cargo(words);
        command
            .env("PATH", &self.path)
            .env("SOURCE_DATE_EPOCH", &self.time);
        command
    }

    /// Packs what is built, and gives the packages.
    fn packages(&self, supervisor: &mut Supervisor, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let deb = [
            "deb",
            "-p",
            "desktop",
            "--profile",
            compile::SHIPPED,
            "--no-build",
            "--no-strip",
            "--locked",
            "--output",
        ];
        supervisor.run(self.cargo(&deb).arg(out.join("")))?;
        let rpm = [
            "generate-rpm",
            "-p",
            "src-tauri",
            "--profile",
            compile::SHIPPED,
            "--auto-req",
            "find-requires",
            "--output",
        ];
        supervisor.run(self.cargo(&rpm).arg(out.join("")))?;
        let mut packages = Vec::new();
        for kind in ["deb", "rpm"] {
            packages.push(only(out, kind)?);
        }
        Ok(packages)
    }
}

/// The newest commit's: what is packed from it is the same whenever it is packed.
fn time_of_commit(place: &Place) -> anyhow::Result<String> {
    let said = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(&place.root)
        .output()
        .context("asking git for the commit's time; outside a clone, set SOURCE_DATE_EPOCH")?;
    let time = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    ensure!(
        !time.is_empty(),
        "this is no clone with a commit; set SOURCE_DATE_EPOCH"
    );
    Ok(time)
}

/// The one package of this kind in a folder.
fn only(folder: &Path, kind: &str) -> anyhow::Result<PathBuf> {
    let mut found = fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == kind));
    match (found.next(), found.next()) {
        (Some(package), None) => Ok(package),
        _ => bail!(
            "{} should hold one .{kind}; `cargo xtask dist` makes it",
            folder.display()
        ),
    }
}

fn are_equal(packages: &[PathBuf], others: &[PathBuf]) -> anyhow::Result<()> {
    for (one, other) in packages.iter().zip(others) {
        ensure!(
            fs::read(one)? == fs::read(other)?,
            "packed twice, {} is not the same",
            one.display()
        );
    }
    Ok(())
}

fn sums(out: &Path) -> anyhow::Result<()> {
    let mut names: Vec<_> = fs::read_dir(out)?
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    names.sort();
    let said = Command::new("sha256sum").args(names).current_dir(out).output()?;
    ensure!(
        said.status.success(),
        "sha256sum: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    fs::write(out.join("SHA256SUMS"), said.stdout).context("writing the checksums")
}

/// What there is now, for whoever looks.
fn list(out: &Path) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        let (name, size) = (entry.file_name(), entry.metadata()?.len());
        lines.push(format!(
            "{:<44}{:>9} KiB",
            name.to_string_lossy(),
            size.div_ceil(1024)
        ));
    }
    lines.sort();
    print(&lines.join("\n"));
    Ok(())
}

fn within(file: &Path, limit: u64) -> anyhow::Result<()> {
    let size = fs::metadata(file)?.len();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    print(&format!(
        "{name}: {}.{} MiB of {} at most",
        size / MIB,
        size % MIB * 10 / MIB,
        limit / MIB
    ));
    ensure!(size <= limit, "{name} is larger than it may be");
    Ok(())
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

/// Installs the package, tries it, and takes it away.
fn check(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let package = only(&place.root.join("dist"), "deb")?;
    setup::ensure(place, supervisor, Need::Test)?;
    say("trying the package");
    compile::installed(place, supervisor)?;
    supervisor.run(Command::new(place.program("installed")).arg(package))
}
