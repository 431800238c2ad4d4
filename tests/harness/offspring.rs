//! Programs that start programs of their own, and that all of them end with the test.
//!
//! Each carries a mark in its environment, which its children inherit: what carries it is ours to end.

use crate::programs::{child, setting};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

const MARK: &str = "COMPYMAC_TEST_MARK";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A family of programs. Dropped: all of them are ended.
#[derive(Debug)]
pub(crate) struct Offspring {
    mark: String,
    children: Mutex<Vec<Child>>,
}

impl Offspring {
    pub fn new() -> Self {
        sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            mark: format!("{}-{number}", std::process::id()),
            children: Mutex::default(),
        }
    }

    pub fn command(&self, program: &str, home: &Path) -> Command {
        let mut command = child(Path::new(program), home);
        command.env(MARK, &self.mark);
        command
    }

    /// Starts it and goes on.
    pub fn start(&self, command: &mut Command, log: &Path) {
        let file = log_file(log);
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        self.keep(child);
    }

    /// Starts it with something to read on its standard input.
    pub fn start_telling(&self, command: &mut Command, log: &Path, tell: &str) {
        let file = log_file(log);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(tell.as_bytes());
        }
        self.keep(child);
    }

    /// Starts it and waits for the first line of its output that `read` understands.
    pub async fn start_reading<T: Send + 'static>(
        &self,
        command: &mut Command,
        log: &Path,
        read: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> T {
        let file = log_file(log);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let (say, heard) = oneshot::channel();
        let output = child.stdout.take();
        std::thread::spawn(move || {
            let lines = output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines());
            let mut lines = lines.map_while(Result::ok);
            if let Some(found) = lines.find_map(|line| read(&line)) {
                let _ = say.send(found);
            }
            // the rest is read too, so that the program never waits for a reader
            lines.for_each(drop);
        });
        self.keep(child);
        crate::wait::soon("a program's first words", heard)
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "{command:?} ended: {}",
                    std::fs::read_to_string(log).unwrap_or_default()
                )
            })
    }

    /// Ends what the family runs of this program, however it was started, and nothing else; a name stands for a program
    /// anywhere.
    pub fn end_program(&self, program: &Path) {
        end_marked(|mark, process| mark == self.mark && runs(process, program));
    }

    /// Whether the family runs this program, however it was started.
    pub fn runs(&self, program: &Path) -> bool {
        !self.running(&[program]).is_empty()
    }

    /// The processes of the family that run one of these programs, by their ids.
    pub fn running(&self, programs: &[&Path]) -> Vec<u32> {
        marked(|mark, process| mark == self.mark && programs.iter().any(|program| runs(process, program)))
    }

    fn keep(&self, child: Child) {
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
    }
}

impl Drop for Offspring {
    fn drop(&mut self) {
        let marked = |mark: &str, _: &Path| mark == self.mark;
        // twice: one that was being started while the first round ran
        end_marked(marked);
        for child in self
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter_mut()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
        end_marked(marked);
    }
}

/// Whether a folder of `/proc` is of a process that runs this program.
fn runs(process: &Path, program: &Path) -> bool {
    std::fs::read_link(process.join("exe")).is_ok_and(|runs| runs.ends_with(program))
}

fn log_file(path: &Path) -> std::fs::File {
    std::fs::File::create(path).unwrap_or_else(|error| panic!("making {}: {error}", path.display()))
}

/// Programs of tests that were killed before they could clean up.
fn sweep() {
    end_marked(|mark, _| {
        let owner = mark.split('-').next().unwrap_or_default();
        !Path::new(&format!("/proc/{owner}")).exists()
    });
}

/// Ends what is wanted by its mark and its folder in `/proc`.
fn end_marked(is_wanted: impl Fn(&str, &Path) -> bool) {
    for process in marked(is_wanted) {
        end_process(process);
    }
}

/// For one of a family that shows its mark to nobody, as a program with rights of its own does.
pub(crate) fn end_process(process: u32) {
    if let Ok(process) = i32::try_from(process) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
}

/// What is wanted by its mark and its folder in `/proc`; never this process itself.
fn marked(is_wanted: impl Fn(&str, &Path) -> bool) -> Vec<u32> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else {
            continue;
        };
        let mut marks = environment.split(|byte| *byte == 0).filter_map(|pair| {
            std::str::from_utf8(pair)
                .ok()?
                .strip_prefix(MARK)?
                .strip_prefix('=')
        });
        if pid != own && marks.any(|mark| is_wanted(mark, &entry.path())) {
            found.push(pid);
        }
    }
    found
}

/// Where a program lies that the system has.
pub(crate) fn system_program(name: &str) -> std::path::PathBuf {
    setting("PATH")
        .unwrap_or_default()
        .split(':')
        // where Debian puts some that not everybody's search path has
        .chain(["/usr/sbin"])
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; `cargo xtask setup` installs it"))
}
