//! `cargo xtask test`: the guards, then one build, then every test, once; the runner's summary is the last line.

use crate::compile::{self, Page};
use crate::guards;
use crate::place::Place;
use crate::services::Passing;
use crate::setup::{self, Need};
use crate::supervisor::Supervisor;
use crate::terminal::{Steps, say};
use anyhow::{Context as _, bail};
use std::process::Command;

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    All,
    /// The guards, and the claims about the code itself.
    House,
    Unit,
    Server,
    Journeys,
    Desktop,
}

#[derive(Debug)]
pub struct Options {
    part: Part,
    filter: Option<String>,
}

impl Options {
    pub fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            part: Part::All,
            filter: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--only" => {
                    let part = words
                        .next()
                        .context("--only needs house, unit, server, journeys or desktop")?;
                    options.part = Part::parse(part)?;
                }
                flag if flag.starts_with('-') => {
                    bail!(
                        "`test` does not know {flag}: test [--only house|unit|server|journeys|desktop] [FILTER]"
                    )
                }
                filter => options.filter = Some(filter.to_owned()),
            }
        }
        Ok(options)
    }
}

impl Part {
    fn parse(word: &str) -> anyhow::Result<Self> {
        Ok(match word {
            "house" => Self::House,
            "unit" => Self::Unit,
            "server" => Self::Server,
            "journeys" => Self::Journeys,
            "desktop" => Self::Desktop,
            other => bail!("--only {other}: say house, unit, server, journeys or desktop"),
        })
    }

    const fn need(self) -> Need {
        match self {
            Self::All | Self::Journeys | Self::Desktop => Need::Test,
            Self::House | Self::Unit => Need::Desktop,
            Self::Server => Need::Server,
        }
    }

    const fn has_guards(self) -> bool {
        matches!(self, Self::All | Self::House)
    }

    /// Whether its tests start the built programs.
    const fn has_programs(self) -> bool {
        matches!(self, Self::All | Self::Server | Self::Journeys | Self::Desktop)
    }

    const fn has_desktop(self) -> bool {
        matches!(self, Self::All | Self::Journeys | Self::Desktop)
    }

    const fn has_journeys(self) -> bool {
        matches!(self, Self::All | Self::Journeys)
    }

    const fn has_server(self) -> bool {
        matches!(self, Self::All | Self::Server)
    }

    /// Whether its tests sign in at a certified provider.
    const fn signs_in_elsewhere(self) -> bool {
        matches!(self, Self::All | Self::Server | Self::Journeys)
    }

    /// What the runner builds and runs. Always of the whole workspace, see `compile`.
    const fn selection(self) -> &'static [&'static str] {
        match self {
            Self::All => &[],
            Self::House => &["--test", "house"],
            Self::Unit => &["--lib", "--bins"],
            Self::Server => &["--test", "server"],
            Self::Journeys => &["--test", "journeys"],
            Self::Desktop => &["--test", "desktop"],
        }
    }
}

pub fn run(place: &Place, supervisor: &mut Supervisor, options: &Options) -> anyhow::Result<()> {
    let part = options.part;
    let mut steps = Steps::default();
    steps.take("set-up", || setup::ensure_tools(place, supervisor, part.need()))?;
    if part.has_guards() {
        guards::text(place, supervisor, &mut steps)?;
        let mut house = runner(place, Part::House.selection());
        steps.take("the house", || supervisor.run(&mut house))?;
    }
    if part.has_programs() {
        steps.take("building the server", || compile::programs(place, supervisor))?;
        if part.has_server() {
            steps.take("building a device", || compile::device(place, supervisor))?;
        }
        steps.take("building the page", || {
            compile::page(place, supervisor, Page::Release, &place.page())
        })?;
    }
    if part.has_desktop() {
        steps.take("building the desktop app", || compile::desktop(place, supervisor))?;
    }
    if matches!(part, Part::All | Part::Unit) {
        steps.take("examples in the documents", || {
            supervisor.run(&mut place.cargo(&["test", "--quiet", "--workspace", "--doc"]))
        })?;
    }
    let services = Passing::start(supervisor)?;
    let outcome = with_services(place, supervisor, &services, &mut steps, options);
    supervisor.stop_all();
    services.clear()?;
    if !outcome? {
        // The runner has said what failed; its summary stays the last line.
        std::process::exit(1);
    }
    Ok(())
}

fn with_services(
    place: &Place,
    supervisor: &mut Supervisor,
    services: &Passing,
    steps: &mut Steps,
    options: &Options,
) -> anyhow::Result<bool> {
    let part = options.part;
    if part.has_guards() {
        guards::code(place, supervisor, &services.postgres, steps)?;
    }
    steps.take("building the tests", || {
        supervisor.run(runner(place, part.selection()).arg("--no-run"))
    })?;
    if part.has_journeys() {
        steps.take("building the gallery", || compile::gallery(place, supervisor))?;
    }
    let mut tests = runner(place, part.selection());
    if part.signs_in_elsewhere() {
        let modules = steps.take("a provider to sign in by", || {
            setup::ensure_certified_provider(place, supervisor)
        })?;
        tests.env("COMPYMAC_NODE_MODULES", modules);
    }
    steps.report();
    say("the tests");
    tests
        .args(["--retries", "0", "--no-fail-fast", "--test-threads"])
        .arg(at_once().to_string())
        .args(options.filter.as_slice())
        .env("COMPYMAC_BIN_DIR", place.programs())
        .env("COMPYMAC_UI_DIST", place.page())
        .env("COMPYMAC_TOOLS", place.tools())
        .env("COMPYMAC_XTASK", std::env::current_exe()?)
        .env("COMPYMAC_TEST_PG", &services.postgres)
        .env("COMPYMAC_TEST_REDIS", &services.redis);
    Ok(supervisor.status(&mut tests)?.success())
}

/// How many tests run at once: most of each one's time goes by in waiting for what it started. One more, so that two screens,
/// which take all the others, do not leave a core to itself while both wait.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) * 2 + 1
}

/// Nextest over the workspace. A test that fails once has failed.
fn runner(place: &Place, selection: &[&str]) -> Command {
    let mut command = place.cargo(&[]);
    if let Some(program) = place.tool("cargo-nextest") {
        let mut direct = Command::new(program);
        direct.arg("nextest").current_dir(&place.root);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => direct.env(name, value),
                None => direct.env_remove(name),
            };
        }
        command = direct;
    }
    command.args(["run", "--workspace"]).args(selection);
    command
}
