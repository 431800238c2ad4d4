//! The app as its package leaves it: `installed PACKAGE`, started by `cargo xtask dist`. Installs a Debian package on this
//! computer, starts the app as a person does, hands it links, takes the package away, and wants nothing left.
#![expect(clippy::print_stdout, reason = "a check reports to the terminal")]

use anyhow::{Context as _, bail, ensure};
use harness::{Seat, until};
use nix::unistd::Uid;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::signal::unix::{SignalKind, signal};

const PACKAGE: &str = "compymac";
const PROGRAM: &str = "/usr/bin/compymac";
const ENTRY: &str = "compymac.desktop";
const SCHEMES: [&str; 2] = ["compymac", "app.compymac.desktop"];
/// One that the app knows for its own and drops: it shows that links arrive, and asks for no server.
const LINK: &str = "compymac://nothing";
const UPDATES: &str = "CompyMac updates";

/// Where desktops look for an icon, in the sizes that they draw.
const ICONS: &str = "/usr/share/icons/hicolor";
const SIZES: [u32; 8] = [16, 24, 32, 48, 64, 128, 256, 512];
/// What the system gathers from all packages, for whoever has to find an icon or an entry quickly.
const GATHERED: [&str; 2] = [
    "/usr/share/icons/hicolor/icon-theme.cache",
    "/usr/share/applications/mimeinfo.cache",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("installed PACKAGE")?;
    if is_installed()? {
        bail!("{PACKAGE} is installed on this computer; it is left alone, and the package was not tried");
    }
    let brought = brought_by(Path::new(&file))?;
    let installed = Installed::from(Path::new(&file))?;
    for path in &brought {
        ensure!(path.is_file(), "{} was not installed", path.display());
    }
    let seat = Seat::with_installed(Path::new(PROGRAM)).await;
    tokio::select! {
        tried = use_it(&seat) => tried?,
        asked = asked_to_end() => asked?,
    }
    seat.end_app();
    installed.remove()?;
    opened_by(&seat, "")?;
    for path in &brought {
        ensure!(!path.exists(), "{} is still there", path.display());
    }
    are_forgotten()?;
    println!(
        "removed with its {} files, and its links lead nowhere",
        brought.len()
    );
    Ok(())
}

async fn use_it(seat: &Seat) -> anyhow::Result<()> {
    opened_by(seat, ENTRY)?;
    seat.start(&[]);
    has_said(seat, "the page is drawn", 1).await;
    // it leaves the registration to the package, which takes it back when it goes
    opened_by(seat, ENTRY)?;
    seat.hand_over(LINK);
    has_said(seat, "not one of ours was dropped", 1).await;
    println!("installed, started, and given a link");
    // the entry's own act, as the system's menu starts it
    seat.start(&["--check-for-updates"]);
    seat.answer(UPDATES, "l").await;
    has_said(seat, "asked for a newer version", 1).await;
    println!("asked for updates");

    seat.end_app();
    seat.hand_over(LINK);
    has_said(seat, "the page is drawn", 2).await;
    has_said(seat, "not one of ours was dropped", 2).await;
    println!("started by a link");
    Ok(())
}

/// Ctrl-C leaves no package behind.
async fn asked_to_end() -> anyhow::Result<()> {
    let mut asked = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = asked.recv() => {}
        heard = tokio::signal::ctrl_c() => heard?,
    }
    bail!("stopped")
}

/// The files in a package; fails where one that desktops want is not among them.
fn brought_by(package: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let said = Command::new("dpkg-deb").arg("--contents").arg(package).output();
    let said = said.context("reading the package")?;
    ensure!(said.status.success(), "{} is no package", package.display());
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let files: Vec<PathBuf> = text
        .lines()
        .filter(|line| !line.starts_with('d'))
        .filter_map(|line| Some(PathBuf::from(line.split(" ./").nth(1)?)))
        .map(|path| Path::new("/").join(path))
        .collect();
    let icon = |folder: String, kind: &str| format!("{ICONS}/{folder}/apps/{PACKAGE}.{kind}");
    let mut wanted: Vec<String> = SIZES
        .iter()
        .map(|size| icon(format!("{size}x{size}"), "png"))
        .collect();
    wanted.push(icon("scalable".to_owned(), "svg"));
    wanted.push(PROGRAM.to_owned());
    wanted.push(format!("/usr/share/applications/{ENTRY}"));
    for name in wanted {
        ensure!(
            files.iter().any(|file| file == Path::new(&name)),
            "{name} is not in the package"
        );
    }
    Ok(files)
}

fn are_forgotten() -> anyhow::Result<()> {
    for path in GATHERED {
        // not every system gathers
        let kept = std::fs::read(path).unwrap_or_default();
        let names = kept
            .windows(PACKAGE.len())
            .any(|window| window == PACKAGE.as_bytes());
        ensure!(!names, "{path} still names {PACKAGE}");
    }
    Ok(())
}

fn opened_by(seat: &Seat, wanted: &str) -> anyhow::Result<()> {
    for scheme in SCHEMES {
        let entry = seat.opens(scheme);
        ensure!(
            entry == wanted,
            "{scheme}: is opened by {entry:?}, not by {wanted:?}"
        );
    }
    Ok(())
}

async fn has_said(seat: &Seat, words: &str, times: usize) {
    until(&format!("the app to say {times} times: {words}"), async || {
        (seat.log().matches(words).count() == times).then_some(())
    })
    .await;
}

/// The package on this computer. Dropped: it is taken away, whatever happened.
struct Installed {
    is_there: bool,
}

impl Installed {
    fn from(package: &Path) -> anyhow::Result<Self> {
        // Before, so that what is half installed is taken away too.
        let installed = Self { is_there: true };
        administer(Command::new("dpkg").arg("--install").arg(package))?;
        Ok(installed)
    }

    fn remove(mut self) -> anyhow::Result<()> {
        self.is_there = false;
        administer(Command::new("dpkg").args(["--purge", PACKAGE]))?;
        ensure!(!is_installed()?, "dpkg still has {PACKAGE}");
        Ok(())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if self.is_there
            && let Err(error) = administer(Command::new("dpkg").args(["--purge", PACKAGE]))
        {
            eprintln!("{PACKAGE} is left on this computer: {error:#}");
        }
    }
}

fn is_installed() -> anyhow::Result<bool> {
    let known = Command::new("dpkg-query")
        .args(["--status", PACKAGE])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("asking dpkg-query")?;
    Ok(known.success())
}

/// As root.
fn administer(command: &mut Command) -> anyhow::Result<()> {
    let status = if Uid::effective().is_root() {
        command.status()
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(command.get_program()).args(command.get_args());
        sudo.status()
    };
    let status = status.context("installing a package takes an administrator")?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
