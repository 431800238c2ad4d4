//! Builds: the programs, and the page.

use crate::place::{Place, cargo_home};
use crate::setup::webassembly;
use crate::supervisor::Supervisor;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How small the page is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// As shipped: the smallest module, compressed as hard as it goes.
    Release,
    /// The same code; quicker to compress.
    Quick,
    /// For the app that is shipped, which compresses what it carries.
    Plain,
}

// Always the whole workspace with some of its programs picked: cargo unifies features over the packages that one call
// selects, and another selection would build the dependencies again.

/// What every run of the product needs.
pub fn programs(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(
        place,
        supervisor,
        Profile::Debug,
        &["sync-server", "mailbox", "bundle"],
    )
}

/// What lays out the page.
pub fn bundler(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["bundle"])
}

pub fn desktop(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["desktop"])
}

/// The profile in `Cargo.toml` that the app is shipped by, and its folder among the builds.
pub const SHIPPED: &str = "app";

/// The app as it is shipped, of this package alone: what others ask of its libraries is no part of it.
pub fn shipped(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<PathBuf> {
    as_shipped(place, supervisor, &["desktop"])?;
    let program = place.target().join(SHIPPED).join("desktop");
    says_nothing_of(&program, &[&place.root, &place.target(), &cargo_home()?])?;
    Ok(program)
}

/// The app as it is shipped, and an empty one that asks of its libraries nothing that the app does not, for the bench.
pub fn measured_apps(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    let names = ["desktop", "empty"];
    as_shipped(place, supervisor, &names)?;
    keep_all(&place.target().join(SHIPPED), &measured_programs(place), &names)
}

fn as_shipped(place: &Place, supervisor: &mut Supervisor, packages: &[&str]) -> anyhow::Result<()> {
    let mut command = place.cargo(&["build", "--profile", SHIPPED, "--locked"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let forget = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    // Of its own code the compiler is told by paths within the repository: another clone has the same libraries.
    let mut flags = vec![
        forget(&place.target(), "/target"),
        forget(&cargo_home()?, "/cargo"),
    ];
    // Functions that came out the same are there once, where the toolchain's own linker is at work.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        flags.push("-Clink-arg=-Wl,--icf=all".to_owned());
    }
    // Told apart by a character that no path has.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    supervisor.run(&mut command)
}

/// Where it was built is nobody's business, and another place would make another program.
fn says_nothing_of(program: &Path, places: &[&Path]) -> anyhow::Result<()> {
    let content = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    for place in places {
        let name = format!("{}/", place.display());
        let names = content
            .windows(name.len())
            .any(|window| window == name.as_bytes());
        ensure!(!names, "{} names {name}, where it was built", program.display());
    }
    Ok(())
}

/// What tries an installed package.
pub fn installed(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["installed"])
}

/// The device that storms kill.
pub fn device(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["device"])
}

pub fn soak(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["soak", "device"])
}

/// What makes requests up.
pub fn api(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Debug, &["api"])
}

/// What the bench measures, and itself.
pub fn measured(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    build(place, supervisor, Profile::Release, &["sync-server", "bench"])
}

/// Where the programs of the bench are kept.
pub fn measured_programs(place: &Place) -> PathBuf {
    place.programs().join(Profile::Release.folder())
}

/// What writes every screen into a folder, for the journeys to look at. The tests' build has what it is made of.
pub fn gallery(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    supervisor.run(&mut place.cargo(&["build", "--workspace", "--example", "gallery"]))?;
    let built = place.target().join(Profile::Debug.folder()).join("examples");
    keep_all(&built, &place.programs(), &["gallery"])
}

#[derive(Clone, Copy)]
enum Profile {
    Debug,
    Release,
}

impl Profile {
    const fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

fn build(place: &Place, supervisor: &mut Supervisor, profile: Profile, names: &[&str]) -> anyhow::Result<()> {
    let mut command = place.cargo(&["build", "--workspace"]);
    let kept = match profile {
        Profile::Debug => place.programs(),
        Profile::Release => {
            command.arg("--release");
            measured_programs(place)
        }
    };
    for name in names {
        command.args(["--bin", name]);
    }
    supervisor.run(&mut command)?;
    keep_all(&place.target().join(profile.folder()), &kept, names)
}

fn keep_all(built: &Path, kept: &Path, names: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(kept)?;
    for name in names {
        keep(&built.join(name), &kept.join(name))?;
    }
    Ok(())
}

/// Puts a built program where nobody else changes it. By a new name first: the old one may be running.
fn keep(built: &Path, kept: &Path) -> anyhow::Result<()> {
    let coming = kept.with_extension("coming");
    if coming.exists() {
        fs::remove_file(&coming)?;
    }
    // Cargo never writes into a program that it has built; it makes a new file. A link is as good as a copy.
    fs::hard_link(built, &coming)
        .or_else(|_| fs::copy(built, &coming).map(drop))
        .and_then(|()| fs::rename(&coming, kept))
        .with_context(|| format!("keeping {}", built.display()))?;
    // Renaming one link of a file to another does nothing, where the same program is kept again.
    if coming.exists() {
        fs::remove_file(&coming)?;
    }
    Ok(())
}

/// Compiles the page and lays out in a folder what a browser loads. The bundler must be built.
pub fn page(place: &Place, supervisor: &mut Supervisor, page: Page, out: &Path) -> anyhow::Result<()> {
    supervisor.run(&mut page_cargo(place, "build")?)?;
    let mut bundle = Command::new(place.program("bundle"));
    bundle
        .arg("--wasm")
        .arg(place.target_wasm().join(webassembly::TARGET).join("wasm/ui.wasm"))
        .arg("--css")
        .arg(place.root.join("ui/style"))
        .arg("--icon")
        .arg(place.root.join("src-tauri/icons/icon.ico"))
        .arg("--out")
        .arg(out);
    match page {
        Page::Release => {
            bundle.arg("--release-size");
        }
        Page::Plain => {
            bundle.arg("--plain");
        }
        Page::Quick => {}
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
