//! The app as its package leaves it: `installed PACKAGE`, started by `cargo xtask dist`. Installs a Debian package on this
//! computer, starts the app as a person does, hands it links, takes the package away, and wants nothing left.
#![expect(clippy::print_stdout, reason = "a check reports to the terminal")]

use anyhow::{Context as _, bail, ensure};
use harness::{Seat, until};
use nix::unistd::Uid;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::signal::unix::{SignalKind, signal};

const PACKAGE: &str = "compymac";
const PROGRAM: &str = "/usr/bin/compymac";
const ENTRY: &str = "compymac.desktop";
const SCHEMES: [&str; 2] = ["compymac", "app.compymac.desktop"];
/// One that the app knows for its own and drops: it shows that links arrive, and asks for no server.
const LINK: &str = "compymac://nothing";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("installed PACKAGE")?;
    if is_installed()? {
        bail!("{PACKAGE} is installed on this computer; it is left alone, and the package was not tried");
    }
    let installed = Installed::from(Path::new(&file))?;
    let seat = Seat::with_installed(Path::new(PROGRAM)).await;
    tokio::select! {
        tried = use_it(&seat) => tried?,
        asked = asked_to_end() => asked?,
    }
    seat.end_app();
    installed.remove()?;
    opened_by(&seat, "")?;
    ensure!(!Path::new(PROGRAM).exists(), "{PROGRAM} is still there");
    println!("removed, and its links lead nowhere");
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
