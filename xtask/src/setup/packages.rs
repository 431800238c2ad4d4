//! Packages of the system: how each is recognised, and its name in Debian and Ubuntu.

use super::Need;
use crate::place::which;
use crate::services::postgres_programs;
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::bail;
use nix::unistd::Uid;
use std::path::Path;
use std::process::{Command, Stdio};

/// How to tell that a package is there, without asking the package manager.
enum Sign {
    Program(&'static str),
    File(&'static str),
    Library(&'static str),
    Postgres,
}

/// A package, what it is needed for first, and its sign.
const PACKAGES: &[(&str, Need, Sign)] = &[
    ("build-essential", Need::Dev, Sign::Program("cc")),
    (
        "ca-certificates",
        Need::Dev,
        Sign::File("/etc/ssl/certs/ca-certificates.crt"),
    ),
    // seals a device's files, in the app and wherever devices are tried
    ("libssl-dev", Need::Dev, Sign::File("/usr/include/openssl/evp.h")),
    ("postgresql", Need::Dev, Sign::Postgres),
    ("redis-server", Need::Dev, Sign::Program("redis-server")),
    // installing it starts one of the system's own, which the tests leave alone
    ("pgbouncer", Need::Server, Sign::Program("pgbouncer")),
    // runs the provider that the sign-in is tested with, and fetches what that consists of
    ("nodejs", Need::Server, Sign::Program("node")),
    ("npm", Need::Server, Sign::Program("npm")),
    ("pkg-config", Need::Desktop, Sign::Program("pkg-config")),
    (
        "libwebkit2gtk-4.1-dev",
        Need::Desktop,
        Sign::Library("webkit2gtk-4.1"),
    ),
    ("librsvg2-dev", Need::Desktop, Sign::Library("librsvg-2.0")),
    ("libdbus-1-dev", Need::Desktop, Sign::Library("dbus-1")),
    ("xdg-utils", Need::Desktop, Sign::Program("xdg-mime")),
    (
        "desktop-file-utils",
        Need::Desktop,
        Sign::Program("update-desktop-database"),
    ),
    ("chromium", Need::Test, Sign::Program("chromium")),
    ("chromium-driver", Need::Test, Sign::Program("chromedriver")),
    ("webkit2gtk-driver", Need::Test, Sign::Program("WebKitWebDriver")),
    ("xvfb", Need::Test, Sign::Program("Xvfb")),
    ("xauth", Need::Test, Sign::Program("xauth")),
    ("dbus", Need::Test, Sign::Program("dbus-daemon")),
    ("dbus-x11", Need::Test, Sign::Program("dbus-launch")),
    ("gnome-keyring", Need::Test, Sign::Program("gnome-keyring-daemon")),
    // puts the clock of a program wrong
    ("faketime", Need::Test, Sign::Program("faketime")),
    // presses the buttons of dialogs
    ("xdotool", Need::Test, Sign::Program("xdotool")),
    // say which packages and libraries a program needs
    ("dpkg-dev", Need::Dist, Sign::Program("dpkg-shlibdeps")),
    ("rpm", Need::Dist, Sign::File("/usr/lib/rpm/find-requires")),
    ("appstream", Need::Dist, Sign::Program("appstreamcli")),
];

impl Sign {
    fn is_there(&self) -> bool {
        match self {
            Self::Program(name) => which(name).is_some(),
            Self::File(path) => Path::new(path).is_file(),
            Self::Library(name) => Command::new("pkg-config")
                .args(["--exists", name])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Self::Postgres => postgres_programs().is_some(),
        }
    }
}

pub fn ensure(supervisor: &mut Supervisor, need: Need) -> anyhow::Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, first, sign)| need.covers(*first) && !sign.is_there())
        .map(|(package, ..)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(supervisor, &missing)
}

/// Installs packages by apt. Elsewhere, or without the right to, says what to do.
pub fn install(supervisor: &mut Supervisor, packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" ");
    if which("apt-get").is_none() {
        bail!(
            "missing on this machine: {names} (as Debian names them). Please install them with your package manager and run this again.{}",
            advice()
        );
    }
    let Some(prefix) = administrator() else {
        bail!(
            "missing on this machine. Please run:\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}\nand run this again."
        );
    };
    say(&format!("installing {names}"));
    supervisor.run(&mut apt(prefix, &["update"]))?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    supervisor.run(&mut apt(prefix, &arguments))
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let words = [
        prefix,
        // A machine that was just started often installs its own updates; they are waited for.
        &[
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-q",
            "-o",
            "DPkg::Lock::Timeout=300",
        ],
        arguments,
    ]
    .concat();
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or("apt-get"));
    command.args(words).stdin(Stdio::null());
    command
}

/// What makes a command run as root; `None`: this user may not without a password.
fn administrator() -> Option<&'static [&'static str]> {
    if Uid::effective().is_root() {
        return Some(&[]);
    }
    let is_free_to = Command::new("sudo")
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    is_free_to.then_some(&["sudo", "-n"])
}

fn advice() -> &'static str {
    if which("brew").is_some() {
        "\nWith Homebrew: brew install postgresql@16 redis pgbouncer node"
    } else if which("dnf").is_some() {
        "\nWith dnf: sudo dnf install gcc postgresql-server redis pgbouncer nodejs npm webkit2gtk4.1-devel librsvg2-devel dbus-devel chromium chromedriver webkit2gtk4.1 xorg-x11-server-Xvfb"
    } else if which("pacman").is_some() {
        "\nWith pacman: sudo pacman -S base-devel postgresql redis pgbouncer nodejs npm webkit2gtk-4.1 librsvg dbus chromium xorg-server-xvfb"
    } else {
        ""
    }
}
