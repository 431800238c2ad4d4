//! Opening, moving aside and migrating the files.
//!
//! Migrations are numbered by `user_version`; each runs in a transaction together with its number.

use super::{Result, StoreFault, search};
use migrations::{CACHE, Migration, OUTBOX};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What an outbox that could not be read is called from then on, with a number.
const DAMAGED_OUTBOX: &str = "outbox.db.damaged-";

fn cache_file(folder: &Path) -> PathBuf {
    folder.join("cache.db")
}

fn outbox_file(folder: &Path) -> PathBuf {
    folder.join("outbox.db")
}

/// A database's file and its companions.
fn family(file: &Path) -> [PathBuf; 3] {
    let with = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    [file.to_owned(), with("-wal"), with("-shm")]
}

/// Only this user may look in.
pub fn secure_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Makes the file before SQLite does, so that it and its companions (which take its mode) are this user's alone.
fn secure_file(file: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(0o600).open(file)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    options.open(file)?;
    Ok(())
}

/// How a connection holds its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Beside others, through the shared index `-shm`.
    Shared,
    /// Alone, with the index in memory: a disk too full for `-shm` can still be read, and written once there is room
    /// (sqlite.org/wal.html §6).
    Alone,
}

impl Hold {
    const fn pragma(self) -> &'static str {
        match self {
            Self::Shared => "pragma locking_mode = normal;",
            Self::Alone => "pragma locking_mode = exclusive;",
        }
    }
}

pub fn open_cache(folder: &Path, hold: Hold) -> Result<Connection> {
    let file = cache_file(folder);
    secure_file(&file)?;
    let mut connection = Connection::open(&file)?;
    connection.execute_batch(hold.pragma())?;
    connection.execute_batch(
        "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = normal;
         pragma foreign_keys = on; pragma journal_size_limit = 16777216;",
    )?;
    search::teach(&connection)?;
    migrate(&mut connection, CACHE)?;
    Ok(connection)
}

/// A cache that is nowhere on disk.
#[cfg(any(test, feature = "model"))]
pub fn cache_in_memory() -> Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    connection.execute_batch("pragma foreign_keys = on;")?;
    search::teach(&connection)?;
    migrate(&mut connection, CACHE)?;
    Ok(connection)
}

/// An outbox that is nowhere on disk.
#[cfg(any(test, feature = "model"))]
pub fn outbox_in_memory() -> Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, OUTBOX)?;
    Ok(connection)
}

/// The cache, or a new one in the place of one that cannot be used.
pub fn open_cache_or_begin(folder: &Path) -> Result<(Connection, Hold)> {
    match with_or_without_room("cache", |hold| open_cache(folder, hold)) {
        Err(StoreFault::Full) => Err(StoreFault::Full),
        Err(fault) => {
            tracing::warn!(error = ?fault, "the cache cannot be used; it is begun afresh");
            clear_cache(folder, true)?;
            Ok((open_cache(folder, Hold::Shared)?, Hold::Shared))
        }
        Ok(opened) => Ok(opened),
    }
}

/// Opens a file for sharing; where there is no room for that, alone. Tells the first fault where neither works.
fn with_or_without_room(name: &str, open: impl Fn(Hold) -> Result<Connection>) -> Result<(Connection, Hold)> {
    match open(Hold::Shared) {
        Ok(connection) => Ok((connection, Hold::Shared)),
        Err(fault) if fault.is_want_of_room() => {
            tracing::warn!(name, error = ?fault, "there is no room beside the file; it is held alone");
            match open(Hold::Alone) {
                Ok(connection) => Ok((connection, Hold::Alone)),
                Err(_alone) => Err(fault),
            }
        }
        Err(fault) => Err(fault),
    }
}

pub fn open_reader(folder: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(cache_file(folder), flags)?;
    connection.execute_batch("pragma busy_timeout = 5000;")?;
    search::teach(&connection)?;
    Ok(connection)
}

/// Opens the outbox. One that cannot be read is kept beside a new one, never deleted: it holds what people wrote. One
/// from a newer build stays where it is, for the build that can read it.
pub fn open_outbox(folder: &Path) -> Result<Connection> {
    match outbox_with_or_without_room(folder) {
        Err(StoreFault::Damaged(why)) => {
            tracing::error!(why, "the outbox cannot be read; it is kept aside");
            let aside = (1_u32..1_000)
                .map(|n| folder.join(format!("{DAMAGED_OUTBOX}{n}")))
                .find(|path| !path.exists())
                .ok_or(StoreFault::Damaged(why))?;
            for (from, to) in family(&outbox_file(folder)).iter().zip(&family(&aside)) {
                move_if_there(from, to)?;
            }
            try_outbox(folder, Hold::Shared)
        }
        other => other,
    }
}

/// Deletes every outbox that was kept aside. Tries each; the first failure is told.
pub fn drop_damaged_outboxes(folder: &Path) -> Result<()> {
    let mut dropped = Ok(());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DAMAGED_OUTBOX) {
            dropped = dropped.and(remove_if_there(&entry.path()));
        }
    }
    dropped
}

fn outbox_with_or_without_room(folder: &Path) -> Result<Connection> {
    Ok(with_or_without_room("outbox", |hold| try_outbox(folder, hold))?.0)
}

fn try_outbox(folder: &Path, hold: Hold) -> Result<Connection> {
    let file = outbox_file(folder);
    secure_file(&file)?;
    let mut connection = Connection::open(&file)?;
    connection.execute_batch(hold.pragma())?;
    // FULL: in WAL mode anything less may lose the last commits with the power (sqlite.org/pragma.html#pragma_synchronous).
    connection.execute_batch(
        "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full;
         pragma fullfsync = on; pragma foreign_keys = on; pragma secure_delete = on;",
    )?;
    migrate(&mut connection, OUTBOX)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, history: &[Migration]) -> Result<()> {
    let version: i64 = connection.query_row("pragma user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > history.len() {
        return Err(StoreFault::Newer);
    }
    for (number, migration) in (1_i64..).zip(history).skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration.sql)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Leaves the file, so that it can be moved.
pub fn let_go(connection: &mut Connection) -> Result<()> {
    *connection = Connection::open_in_memory()?;
    Ok(())
}

/// Moves the cache out of the way, or deletes it and every earlier one.
pub fn clear_cache(folder: &Path, aside: bool) -> Result<()> {
    let damaged = family(&folder.join("cache.db.damaged"));
    for (file, place) in family(&cache_file(folder)).iter().zip(&damaged) {
        if aside {
            move_if_there(file, place)?;
        } else {
            remove_if_there(file)?;
            remove_if_there(place)?;
        }
    }
    Ok(())
}

fn move_if_there(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

fn remove_if_there(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

pub fn cache_bytes(folder: &Path) -> u64 {
    let files = family(&cache_file(folder));
    let sizes = files.iter().filter_map(|file| fs::metadata(file).ok());
    sizes.map(|metadata| metadata.len()).sum()
}
