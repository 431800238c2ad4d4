//! What is written down when the app itself breaks: the newest few times, each in a file of its own beside the logs.
//!
//! **Invariant:** it stays on this computer. Who wants somebody else to read it has to hand it over.

use crate::folder::write_private;
use std::backtrace::Backtrace;
use std::fmt::Display;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// So many times are kept.
const KEPT: usize = 5;
/// More than a page's starter says.
const PAGE_CHARS: usize = 10_000;

/// Writes down every panic from here on, and does what was done for it before.
pub fn write_down_in(folder: PathBuf) {
    let before = panic::take_hook();
    // Two threads may break at once.
    let folder = Mutex::new(folder);
    panic::set_hook(Box::new(move |broken| {
        tracing::error!(%broken, "the app broke");
        // What broke inside this very hook is lost, rather than waited for.
        if let Ok(folder) = folder.try_lock()
            && let Err(error) = write_down(&folder, &with_surroundings(broken))
        {
            tracing::error!(%error, "what broke could not be written down");
        }
        before(broken);
    }));
}

/// Of the page's program, as the page's starter tells it.
pub fn page_broke(folder: &Path, what: &str) -> crate::error::Result<()> {
    let what: String = what.chars().take(PAGE_CHARS).collect();
    write_down(folder, &format!("{}the page\n{what}\n", version()))
}

fn with_surroundings(broken: &impl Display) -> String {
    let thread = std::thread::current();
    format!(
        "{}thread {}\n{broken}\n\n{}\n",
        version(),
        thread.name().unwrap_or("without a name"),
        Backtrace::force_capture(),
    )
}

fn version() -> String {
    format!(
        "CompyMac {} on {} {}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

fn write_down(folder: &Path, report: &str) -> crate::error::Result<()> {
    let file = |number: usize| folder.join(format!("crash-{number}.txt"));
    for number in (1..KEPT).rev() {
        // Missing at first.
        let _ = std::fs::rename(file(number), file(number + 1));
    }
    write_private(&file(1), report.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_is_written_down_and_the_newest_times_are_kept() {
        let home = tempfile::tempdir().unwrap();
        write_down_in(home.path().to_owned());
        for time in 1..=KEPT + 2 {
            let broke = std::thread::spawn(move || panic!("for the time {time}")).join();
            assert!(broke.is_err());
        }
        let read = |number: usize| std::fs::read_to_string(home.path().join(format!("crash-{number}.txt")));
        assert!(read(1).unwrap().contains(&format!("for the time {}\n", KEPT + 2)));
        assert!(read(KEPT).unwrap().contains("for the time 3\n"));
        assert!(read(KEPT + 1).is_err());
        assert!(read(1).unwrap().contains("src/crash.rs"), "it says where");
    }
}
