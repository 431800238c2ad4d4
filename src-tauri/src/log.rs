//! The log: to the terminal and to one file of bounded size in the data folder.
//!
//! **Invariant:** no secret, no message text and no link's content is ever passed to it.

use crate::error::Result;
use crate::folder::read_if_there;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A few days of ordinary use; small enough to be mailed.
const FILE_BYTES: u64 = 1024 * 1024;

/// Begins to log. A folder that cannot be written to leaves the terminal. `filter` is a level, and others for parts of the program:
/// `info,sync_client=debug`.
pub fn begin(folder: &Path, filter: &str) {
    let filter = filter
        .parse::<Targets>()
        .unwrap_or_else(|_unreadable| Targets::new().with_default(LevelFilter::INFO));
    let file = Rotated::open(folder.join("desktop.log"), FILE_BYTES);
    let failure = file.as_ref().err().map(ToString::to_string);
    let to_file = file.ok().map(|file| {
        fmt::layer()
            .with_ansi(false)
            .with_writer(Shared(Arc::new(Mutex::new(file))))
    });
    let began = tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().with_writer(io::stderr))
        .with(to_file)
        .try_init();
    if began.is_ok()
        && let Some(error) = failure
    {
        tracing::warn!(error, "the log goes to the terminal only");
    }
}

/// The newest lines, of this file and the one before it.
pub fn last_lines(folder: &Path, most: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in ["desktop.log.1", "desktop.log"] {
        let text = read_if_there(&folder.join(name))?.unwrap_or_default();
        lines.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    Ok(lines.split_off(lines.len().saturating_sub(most)))
}

/// A file, and the one before it.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    file: File,
    written: u64,
    limit: u64,
}

impl Rotated {
    fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            written,
            limit,
        })
    }

    fn turn_over(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= self.limit {
            self.turn_over()?;
        }
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Rotated>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_one_file_before_the_current_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("desktop.log");
        let mut log = Rotated::open(path.clone(), 10).unwrap();
        for line in ["first line\n", "second line\n", "third line\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third line\n");
        assert_eq!(
            std::fs::read_to_string(home.path().join("desktop.log.1")).unwrap(),
            "second line\n"
        );
    }
}
