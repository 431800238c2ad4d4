//! A compiler for the page: rustup's target, or, where rustup's server is out of reach, the distribution's compiler
//! with the standard library's source.

use super::packages;
use crate::place::{Place, which};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub const TARGET: &str = "wasm32-unknown-unknown";
/// Rustup retries for minutes where its server is out of reach; the target is 20 MB and comes in seconds where it is not.
const PATIENCE: Duration = Duration::from_secs(90);
/// The distribution's compiler, and its standard library's source.
const RUSTC: &str = "/usr/bin/rustc";

/// How the page is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// The same toolchain as everything else.
    Rustup,
    /// [`RUSTC`], building the standard library too.
    Distribution,
}

pub fn ensure(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    if chosen(place).is_some() {
        return Ok(());
    }
    let compiler = choose(supervisor)?;
    let word = match compiler {
        Compiler::Rustup => "rustup",
        Compiler::Distribution => "distribution",
    };
    fs::write(stamp(place), word).context("remembering the page's compiler")
}

/// What an earlier set-up chose, if it is still there.
pub fn chosen(place: &Place) -> Option<Compiler> {
    match fs::read_to_string(stamp(place)).ok()?.trim() {
        "rustup" if rustup_has_target() => Some(Compiler::Rustup),
        "distribution" if Path::new(RUSTC).is_file() && source().is_some() => Some(Compiler::Distribution),
        _ => None,
    }
}

fn choose(supervisor: &mut Supervisor) -> anyhow::Result<Compiler> {
    if rustup_has_target() {
        return Ok(Compiler::Rustup);
    }
    if which("rustup").is_some() {
        say("adding the WebAssembly target");
        let mut command = Command::new("rustup");
        command.args(["target", "add", TARGET]).stdin(Stdio::null());
        let status = supervisor.status_within(&mut command, Some(PATIENCE))?;
        if status.is_some_and(|status| status.success()) && rustup_has_target() {
            return Ok(Compiler::Rustup);
        }
    }
    if which("apt-get").is_none() {
        bail!(
            "the page needs the WebAssembly target. Please run:\n  rustup target add {TARGET}\nand run this again."
        );
    }
    say("rustup cannot give the target here; using the distribution's compiler with the library's source");
    if !Path::new(RUSTC).is_file() || source().is_none() {
        packages::install(supervisor, &["rustc-web", "rust-web-src"])
            .or_else(|_| packages::install(supervisor, &["rustc", "rust-src"]))?;
    }
    if source().is_none() {
        bail!("{RUSTC} has no library source beside it (package rust-web-src or rust-src)");
    }
    Ok(Compiler::Distribution)
}

/// Cargo set up to compile for the page.
pub fn cargo(place: &Place, arguments: &[&str]) -> anyhow::Result<Command> {
    let compiler = chosen(place).context("no compiler for the page yet; `cargo xtask setup` finds one")?;
    let mut command = place.cargo(arguments);
    command
        .args(["--target", TARGET])
        .env("CARGO_TARGET_DIR", place.target_wasm());
    if compiler == Compiler::Distribution {
        command
            .env("RUSTC", RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?);
    }
    Ok(command)
}

fn stamp(place: &Place) -> PathBuf {
    place.cache.join("page-compiler")
}

fn rustup_has_target() -> bool {
    rustc(&["--print", "target-libdir", "--target", TARGET])
        .and_then(|folder| fs::read_dir(folder).ok())
        .is_some_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
            })
        })
}

/// Where the distribution's compiler looks for the library's source.
fn source() -> Option<PathBuf> {
    let output = Command::new(RUSTC).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let library = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
    library.is_file().then_some(library)
}

/// LLVM's linker: rustup brings one along; else the system's.
fn linker() -> anyhow::Result<PathBuf> {
    let host = rustc(&["--print", "host-tuple"]).unwrap_or_else(|| "x86_64-unknown-linux-gnu".to_owned());
    rustc(&["--print", "sysroot"])
        .map(|sysroot| {
            Path::new(&sysroot)
                .join("lib/rustlib")
                .join(host)
                .join("bin/rust-lld")
        })
        .filter(|path| path.is_file())
        .or_else(|| which("rust-lld"))
        .or_else(|| which("wasm-ld"))
        .context("no linker for WebAssembly: neither rust-lld nor wasm-ld (package lld) is here")
}

fn rustc(arguments: &[&str]) -> Option<String> {
    let output = Command::new("rustc").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
