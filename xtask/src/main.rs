//! `cargo xtask`: set up, run, test and measure, by the same words on every machine.
//!
//! Small on purpose: it is compiled before anything else. What is heavy is a program of its own that this starts.

mod bench;
mod compile;
mod dev;
mod dist;
mod fuzz;
mod guards;
mod leftovers;
mod place;
mod ports;
mod prepare;
mod services;
mod setup;
mod soak;
mod suite;
mod supervisor;
mod terminal;
mod times;

use anyhow::{Context as _, bail};
use place::Place;
use prepare::Purpose;
use setup::Need;
use std::process::ExitCode;
use supervisor::Supervisor;

const HELP: &str = "\
cargo xtask <command>

  dev [--port N] [--data DIR] [--desktop] [--no-open] [--messages N]
      Runs the whole product on this computer: its own PostgreSQL and Redis, a mailbox, the server and the page.
      DIR keeps everything between runs (~/.local/share/compymac-dev). DATABASE_URL and REDIS_URL take the place
      of its own. --desktop opens the desktop app too; --no-open leaves the browser closed. --messages gives the demo account
      so many messages more, in whole sessions of a hundred. Ctrl-C ends it all.
  test [--only house|unit|server|journeys|desktop] [FILTER]
      Guards, then every test. FILTER is a part of a test's name.
  check
      The guards alone: formatting, lints, documents, licences, the queries' types.
  bench [WORK]
      Measures the server beside its limits. WORK: W1 to W11; several are taken in turn; without any, all.
      `growth` measures W1, W2, W6 and W10 over once, ten and a hundred times as much.
  bench desktop [size] [hands] [start] [use] [--minutes N]
      Measures the desktop app as it is shipped beside an empty one: how large it is, how soon it answers a hand, how soon it
      shows its list, and what it holds after N minutes of use (five) and works at rest. Without any, all.
  soak [--minutes N] [--storms N] [--seed S]
      Lets servers, stores, networks, disks and devices fail by plans drawn from seeds, and checks after each that nothing was
      lost or doubled. So many minutes and so many storms at least, whichever takes longer; without both, ten minutes. A tenth of
      the minutes goes to the fuzzers. Seeds that once found something come first, then S; without it, another each time.
  fuzz [TARGET] [--seconds N]
      Lets fuzzers make up what strangers may send: frames, packed or not, cursors, searches and links to the code that reads
      them, and requests (api) to a server. A minute each.
  dist [--check]
      Packs the desktop app for Debian and for Fedora into dist, with licences, lists of parts and checksums; then installs the
      Debian package, tries it and takes it away again. --check only tries the package that is there.
  prepare [--check]
      Writes .sqlx, the types of the server's queries. --check only says whether it is fresh.
  bundle
      Builds the page into ui/dist, as shipped.
  setup [--for dev|server|desktop|test]
      Installs what is missing on this machine. The others call it by themselves.
  help
      This.

Builds and tools lie in ~/.cache/compymac; COMPYMAC_CACHE names another folder.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match words.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    if matches!(command, "help" | "--help" | "-h") || rest.iter().any(|word| word == "--help") {
        terminal::print(HELP);
        return Ok(());
    }
    let place = Place::find()?;
    times::settle(&place.root, &place.cache.join("times")).context("settling the files' times")?;
    let mut supervisor = Supervisor::new()?;
    match command {
        "dev" => dev::run(&place, &mut supervisor, &dev::Options::parse(rest)?),
        "test" => suite::run(&place, &mut supervisor, &suite::Options::parse(rest)?),
        "check" => {
            setup::ensure_tools(&place, &mut supervisor, Need::Desktop)?;
            guards::run(&place, &mut supervisor)
        }
        "bench" => bench::run(&place, &mut supervisor, rest),
        "soak" => soak::run(&place, &mut supervisor, rest),
        "fuzz" => fuzz::run(&place, &mut supervisor, rest),
        "dist" => dist::run(&place, &mut supervisor, rest),
        "prepare" => {
            setup::ensure(&place, &mut supervisor, Need::Dev)?;
            let purpose = match rest {
                [] => Purpose::Write,
                [flag] if flag == "--check" => Purpose::Check,
                _ => bail!("prepare [--check]"),
            };
            prepare::run(&place, &mut supervisor, purpose)
        }
        "bundle" => {
            setup::ensure(&place, &mut supervisor, Need::Dev)?;
            compile::bundler(&place, &mut supervisor)?;
            compile::page(&place, &mut supervisor, compile::Page::Release, &place.page())
        }
        "setup" => {
            let need = match rest {
                [] => Need::Test,
                [flag, word] if flag == "--for" => Need::parse(word)?,
                _ => bail!("setup [--for dev|server|desktop|test]"),
            };
            if need == Need::Test {
                setup::ensure_tools(&place, &mut supervisor, need)?;
            } else {
                setup::ensure(&place, &mut supervisor, need)?;
            }
            terminal::say("everything is here");
            Ok(())
        }
        other => bail!("there is no command {other}; `cargo xtask help` lists them"),
    }
}
