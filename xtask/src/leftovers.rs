//! What a killed run left behind: noted while it runs, ended by the next start.

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long a left-over may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Writes one line for each running process group: its leader, when that was born, and the signal that ends it.
pub fn note(file: &Path, groups: impl Iterator<Item = (i32, Signal)>) {
    let mut text = String::new();
    for (group, signal) in groups {
        if let Some(born) = born(group) {
            let _ = writeln!(text, "{group} {born} {}", signal as i32);
        }
    }
    // Without the note only the cleaning after a kill is lost.
    let _ = std::fs::write(file, text);
}

/// Ends what the file names and is still the same process: a number may have been given to another since.
pub fn end(file: &Path) -> anyhow::Result<()> {
    let Ok(text) = std::fs::read_to_string(file) else {
        return Ok(());
    };
    let mut left: Vec<(i32, u64, Signal)> = text.lines().filter_map(read).collect();
    left.retain(|(group, born_at, _)| born(*group) == Some(*born_at));
    for signals in [false, true] {
        for (group, _, signal) in &left {
            let signal = if signals { Signal::SIGKILL } else { *signal };
            let _ = killpg(Pid::from_raw(*group), signal);
        }
        wait_until_gone(&mut left);
        if left.is_empty() {
            break;
        }
    }
    std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))
}

fn read(line: &str) -> Option<(i32, u64, Signal)> {
    let mut words = line.split(' ');
    let group = words.next()?.parse().ok()?;
    let born = words.next()?.parse().ok()?;
    let signal = words.next()?.parse::<i32>().ok()?.try_into().ok()?;
    Some((group, born, signal))
}

/// They are not our children any more, so that nothing tells of their end: look, some times a second.
fn wait_until_gone(left: &mut Vec<(i32, u64, Signal)>) {
    let (_silent, never) = channel::<()>();
    let begun = Instant::now();
    while !left.is_empty() && begun.elapsed() < GRACE {
        let _ = never.recv_timeout(Duration::from_millis(30));
        left.retain(|(group, born_at, _)| born(*group) == Some(*born_at));
    }
}

/// When a process was born, in ticks since the machine started (`/proc/…/stat`, field 22); `None` if it is gone.
fn born(process: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_was_born_and_number_zero_was_not() {
        assert!(super::born(i32::try_from(std::process::id()).unwrap()).is_some());
        assert!(super::born(0).is_none());
    }
}
