//! `cargo xtask setup`: finds what is missing and installs it; where it may not, prints the exact command.

mod packages;
mod tools;
pub mod webassembly;

use crate::place::Place;
use crate::supervisor::Supervisor;
use anyhow::bail;
use std::path::PathBuf;

/// What the machine must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Build the server and the page, and run them. All others need this too.
    Dev,
    /// Test the server.
    Server,
    /// Build and open the desktop app too.
    Desktop,
    /// Run the guards and every test.
    Test,
    /// Pack the desktop app.
    Dist,
}

impl Need {
    pub fn parse(word: &str) -> anyhow::Result<Self> {
        Ok(match word {
            "dev" => Self::Dev,
            "server" => Self::Server,
            "desktop" => Self::Desktop,
            "test" => Self::Test,
            other => bail!("`setup --for {other}`: say dev, server, desktop or test"),
        })
    }

    /// Whether what `other` needs is needed for this.
    pub fn covers(self, other: Self) -> bool {
        match self {
            Self::Test => other != Self::Dist,
            Self::Dist => matches!(other, Self::Dev | Self::Desktop | Self::Dist),
            Self::Dev | Self::Server | Self::Desktop => other == Self::Dev || other == self,
        }
    }
}

/// Installs what is missing for a need. Costs a look at some files when nothing is.
pub fn ensure(place: &Place, supervisor: &mut Supervisor, need: Need) -> anyhow::Result<()> {
    packages::ensure(supervisor, need)?;
    webassembly::ensure(place, supervisor)
}

/// What only `cargo xtask fuzz` needs.
pub fn ensure_fuzzer(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    tools::install(place, supervisor, "cargo-fuzz")
}

/// What only `cargo xtask fuzz api` needs: the program that makes requests up. A program of Python's, so it has a folder of its own.
pub fn ensure_api_fuzzer(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<PathBuf> {
    ensure(place, supervisor, Need::Dev)?;
    tools::install_from_python(place, supervisor, "schemathesis", "4.32.5")
}

/// What only the tests of the server and the journeys need: a certified OpenID provider to sign in by. A program of Node.js's, so it has a folder
/// of its own; gives that of its modules.
pub fn ensure_certified_provider(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<PathBuf> {
    tools::install_from_npm(place, supervisor, "tests/certified_provider")
}

/// What only `cargo xtask dist` needs.
pub fn ensure_packers(place: &Place, supervisor: &mut Supervisor) -> anyhow::Result<()> {
    ensure(place, supervisor, Need::Dist)?;
    for name in ["cargo-deb", "cargo-generate-rpm", "cargo-cyclonedx"] {
        tools::install(place, supervisor, name)?;
    }
    Ok(())
}

/// What the guards and the tests are run with, besides.
pub fn ensure_tools(place: &Place, supervisor: &mut Supervisor, need: Need) -> anyhow::Result<()> {
    ensure(place, supervisor, need)?;
    tools::ensure(place, supervisor, need)
}
