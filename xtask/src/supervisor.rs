//! Everything that xtask starts, so that all of it ends: builds, services, programs.
//!
//! **Invariant:** each child leads a process group of its own and is ended with it, on Ctrl-C, SIGTERM, failure and
//! success alike; where the kernel can, also when xtask itself is killed.

use crate::place::which;
use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long a service may take until it is ready: a first start on a slow disk.
const START: Duration = Duration::from_mins(1);
/// How long a program may take to end when asked; then it is killed. The server drains for some seconds.
const GRACE: Duration = Duration::from_secs(25);

/// Somebody asked to end: whatever goes on after other failures does not after this one.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

#[derive(Debug)]
enum Event {
    Asked,
    Said(i32, String),
    Ended(i32, ExitStatus),
}

#[derive(Debug)]
struct Running {
    name: String,
    group: i32,
    /// What asks it to end.
    signal: Signal,
}

/// Why waiting was over.
#[derive(Debug)]
pub enum Over {
    /// Ctrl-C or SIGTERM.
    Asked,
    /// One of the programs ended by itself.
    Ended(String),
}

/// A program that runs beside others until it is ended.
#[derive(Debug)]
pub struct Service {
    pub name: String,
    pub command: Command,
    /// A line that holds this says that it is ready.
    pub ready: String,
    pub log: PathBuf,
    pub signal: Signal,
}

#[derive(Debug)]
pub struct Supervisor {
    sender: Sender<Event>,
    events: Receiver<Event>,
    running: Vec<Running>,
    /// Where the running programs are noted, for a next start to find what a kill left behind.
    notes: Option<PathBuf>,
}

impl Supervisor {
    pub fn new() -> anyhow::Result<Self> {
        let (sender, events) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for signals")?;
        let asked = sender.clone();
        std::thread::spawn(move || {
            signals.forever().all(|_| asked.send(Event::Asked).is_ok());
        });
        Ok(Self {
            sender,
            events,
            running: Vec::new(),
            notes: None,
        })
    }

    /// Notes the running programs in this file from here on, after ending those of an earlier, killed run.
    pub fn note_in(&mut self, file: PathBuf) -> anyhow::Result<()> {
        crate::leftovers::end(&file)?;
        self.notes = Some(file);
        Ok(())
    }

    /// Runs a command to its end, its output on the terminal.
    pub fn run(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let shown = show(command);
        let status = self.status(command)?;
        if !status.success() {
            bail!("`{shown}` failed ({status})");
        }
        Ok(())
    }

    pub fn status(&mut self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        self.status_within(command, None)?.context("no limit was set")
    }

    /// `None`: it took longer than the limit and was ended.
    pub fn status_within(
        &mut self,
        command: &mut Command,
        limit: Option<Duration>,
    ) -> anyhow::Result<Option<ExitStatus>> {
        let shown = show(command);
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting `{shown}`"))?;
        let group = self.watch(child, &shown, Signal::SIGTERM)?;
        loop {
            match self.next(limit) {
                Some(Event::Ended(ended, status)) if ended == group => return Ok(Some(status)),
                Some(Event::Asked) => return Err(Stopped.into()),
                Some(Event::Said(..) | Event::Ended(..)) => {}
                None => {
                    self.stop(group);
                    return Ok(None);
                }
            }
        }
    }

    /// Starts a service and waits until it says that it is ready; gives the line that says so.
    pub fn start(&mut self, service: Service) -> anyhow::Result<String> {
        let Service {
            name,
            mut command,
            ready,
            log,
            signal,
        } = service;
        let mut file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let group = i32::try_from(child.id()).context("a process id is a positive number")?;
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|output| Box::new(output) as _),
            child.stderr.take().map(|output| Box::new(output) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let (file, sender, ready) = (file.try_clone()?, self.sender.clone(), ready.clone());
            std::thread::spawn(move || listen(output, file, group, &ready, &sender));
        }
        self.watch(child, &name, signal)?;
        loop {
            match self.next(Some(START)) {
                Some(Event::Said(speaker, line)) if speaker == group => return Ok(line),
                Some(Event::Asked) => return Err(Stopped.into()),
                Some(Event::Ended(ended, status)) if ended == group => {
                    file.flush()?;
                    bail!("{name} ended ({status}) before it was ready:\n{}", tail(&log));
                }
                Some(Event::Said(..) | Event::Ended(..)) => {}
                None => bail!(
                    "{name} was not ready after {} s:\n{}",
                    START.as_secs(),
                    tail(&log)
                ),
            }
        }
    }

    /// Starts a program that others do not depend on, its output in a log.
    pub fn spawn(&mut self, name: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
        let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        self.watch(child, name, Signal::SIGTERM)?;
        Ok(())
    }

    /// Waits until somebody asks to end, or a program ends by itself.
    pub fn wait(&mut self) -> Over {
        loop {
            match self.events.recv() {
                Ok(Event::Said(..)) => {}
                Ok(Event::Ended(group, _)) => {
                    let name = self.forget(group);
                    return Over::Ended(name);
                }
                Ok(Event::Asked) | Err(_) => return Over::Asked,
            }
        }
    }

    /// Ends everything, what was started last first.
    pub fn stop_all(&mut self) {
        while let Some(last) = self.running.last() {
            self.stop(last.group);
        }
        if let Some(notes) = &self.notes {
            let _ = std::fs::remove_file(notes);
        }
    }

    fn stop(&mut self, group: i32) {
        let asking = self.running.iter().find(|running| running.group == group);
        let signal = asking.map_or(Signal::SIGTERM, |running| running.signal);
        for signal in [signal, Signal::SIGKILL] {
            let _ = killpg(Pid::from_raw(group), signal);
            if self.is_over_within(group, GRACE) {
                break;
            }
        }
        // What it started itself, if anything is left of it.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        self.forget(group);
    }

    fn is_over_within(&mut self, group: i32, limit: Duration) -> bool {
        let begun = Instant::now();
        while let Some(rest) = limit.checked_sub(begun.elapsed()) {
            if let Some(Event::Ended(ended, _)) = self.next(Some(rest))
                && ended == group
            {
                return true;
            }
        }
        false
    }

    fn watch(&mut self, mut child: Child, name: &str, signal: Signal) -> anyhow::Result<i32> {
        let group = i32::try_from(child.id()).context("a process id is a positive number")?;
        self.running.push(Running {
            name: name.to_owned(),
            group,
            signal,
        });
        self.note();
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                let _ = sender.send(Event::Ended(group, status));
            }
        });
        Ok(group)
    }

    /// The next event; a program that ended is no longer among the running. `None`: the limit passed.
    fn next(&mut self, limit: Option<Duration>) -> Option<Event> {
        let event = match limit {
            Some(limit) => self.events.recv_timeout(limit).ok(),
            None => self.events.recv().ok(),
        };
        if let Some(Event::Ended(group, _)) = event {
            self.forget(group);
        }
        event
    }

    fn forget(&mut self, group: i32) -> String {
        let place = self.running.iter().position(|running| running.group == group);
        let name = place.map(|place| self.running.remove(place).name);
        self.note();
        name.unwrap_or_default()
    }

    fn note(&self) {
        if let Some(notes) = &self.notes {
            let groups = self.running.iter().map(|running| (running.group, running.signal));
            crate::leftovers::note(notes, groups);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// A command that the kernel ends when this program dies, as another user if one is named.
pub fn bound(program: &Path, user: Option<&str>, at_death: &str) -> Command {
    let Some(setpriv) = which("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--pdeathsig", at_death, "--"]).arg(program);
    command
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}

fn listen(output: impl Read, mut file: File, group: i32, ready: &str, sender: &Sender<Event>) {
    let mut is_ready = false;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // A log that cannot be written must not stop the program that writes it.
        let _ = writeln!(file, "{line}");
        if !is_ready && line.contains(ready) {
            is_ready = true;
            let _ = sender.send(Event::Said(group, line));
        }
    }
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
