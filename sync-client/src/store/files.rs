//! Opening, moving aside and migrating the files.
//!
//! Migrations are numbered by `user_version`; each runs in a transaction together with its number.

use super::{Result, StoreFault, seal, search};
use crate::credentials::{FileKey, Sealing};
use migrations::{CACHE, Migration, OUTBOX};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What an outbox that could not be read is called from then on, with a number.
const DAMAGED_OUTBOX: &str = "outbox.db.damaged-";

/// And one that is whole, and does not open with the key that is there.
const LOCKED_OUTBOX: &str = "outbox.db.locked-";

pub fn cache_file(folder: &Path) -> PathBuf {
    folder.join("cache.db")
}

pub fn outbox_file(folder: &Path) -> PathBuf {
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
pub fn secure_file(file: &Path) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(0o600);
        let opened = options.open(file)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        Ok(opened)
    }
    #[cfg(not(unix))]
    Ok(options.open(file)?)
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

pub fn open_cache(folder: &Path, sealing: &Sealing, hold: Hold) -> Result<Connection> {
    let file = cache_file(folder);
    let mut connection = open_by_key(&file, sealing, hold)?;
    connection.execute_batch(
        "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = normal;
         pragma foreign_keys = on; pragma journal_size_limit = 16777216;",
    )?;
    search::teach(&connection)?;
    migrate(&mut connection, CACHE)?;
    Ok(connection)
}

/// A connection that reads its file. Whether there is a key for it is looked at before SQLite has the file open, since whoever
/// closes a file takes all locks of this program off it.
fn open_by_key(file: &Path, sealing: &Sealing, hold: Hold) -> Result<Connection> {
    secure_file(file)?;
    let key = seal::key_for(sealing, seal::kind(file)?)?;
    let connection = Connection::open(file)?;
    seal::unlock(&connection, key, &seal::name(file))?;
    connection.execute_batch(hold.pragma())?;
    if key.is_some() {
        seal::prove(&connection)?;
    }
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
pub fn open_cache_or_begin(folder: &Path, sealing: &Sealing) -> Result<(Connection, Hold)> {
    match with_or_without_room("cache", |hold| open_cache(folder, sealing, hold)) {
        Err(fault @ (StoreFault::Full | StoreFault::Locked)) => Err(fault),
        Err(fault) => {
            tracing::warn!(error = ?fault, "the cache cannot be used; it is begun afresh");
            clear_cache(folder, true)?;
            Ok((open_cache(folder, sealing, Hold::Shared)?, Hold::Shared))
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

/// `key`: as the one that writes has it.
pub fn open_reader(folder: &Path, key: Option<&FileKey>) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = cache_file(folder);
    let connection = Connection::open_with_flags(&file, flags)?;
    seal::unlock(&connection, key, &seal::name(&file))?;
    connection.execute_batch("pragma busy_timeout = 5000;")?;
    search::teach(&connection)?;
    Ok(connection)
}

/// Opens the outbox. One that cannot be read is kept beside a new one, never deleted: it holds what people wrote. So is one that
/// does not open with this key, until its key is there again. One from a newer build stays where it is, for the build that can
/// read it. Tells where one was put aside.
pub fn open_outbox(folder: &Path, sealing: &Sealing) -> Result<(Connection, Option<PathBuf>)> {
    match outbox_with_or_without_room(folder, sealing) {
        Err(StoreFault::Damaged(why)) => {
            tracing::error!(why, "the outbox cannot be read; it is kept aside");
            let file = outbox_file(folder);
            let is_sealed = seal::kind(&file)? == seal::Kind::Sealed;
            let aside = place_aside(folder, if is_sealed { LOCKED_OUTBOX } else { DAMAGED_OUTBOX });
            let aside = aside.ok_or(StoreFault::Damaged(why))?;
            move_family(&file, &aside)?;
            Ok((outbox_with_or_without_room(folder, sealing)?, Some(aside)))
        }
        other => Ok((other?, None)),
    }
}

/// Takes over what waits in outboxes that were put aside, and opens with this key or with one of the others, which are asked for where
/// something still waits.
pub fn take_all_back(
    folder: &Path,
    key: &FileKey,
    others: impl FnOnce() -> Vec<FileKey>,
    outbox: &mut Connection,
) -> Result<()> {
    take_back(folder, key, outbox)?;
    if locked_outboxes(folder)?.is_empty() {
        return Ok(());
    }
    others()
        .iter()
        .try_for_each(|other| take_back(folder, other, outbox))
}

fn take_back(folder: &Path, key: &FileKey, outbox: &mut Connection) -> Result<()> {
    let name = seal::name(&outbox_file(folder));
    for path in locked_outboxes(folder)? {
        if !seal::opens(&path, key, &name) {
            continue;
        }
        let mut earlier = Connection::open(&path)?;
        seal::unlock(&earlier, Some(key), &name)?;
        migrate(&mut earlier, OUTBOX)?;
        drop(earlier);
        let place = path.to_string_lossy();
        outbox.execute(
            "attach database ?1 as earlier key ?2",
            [&*place, seal::words(key, &name).as_str()],
        )?;
        let taken = take_rows(outbox);
        outbox.execute_batch("detach database earlier;")?;
        taken?;
        remove_family(&path)?;
        tracing::info!("what waited for its key is in the outbox again");
    }
    Ok(())
}

/// What is here already stays as it is here.
fn take_rows(outbox: &mut Connection) -> Result<()> {
    let transaction = outbox.transaction()?;
    transaction.execute_batch(
        "insert or ignore into main.outbox (user_id, mutation_id, lane, kind, body, op_version, state, attempts, not_found,
                                            not_before, ack_seq, acked_at, error, created_at)
         select user_id, mutation_id, lane, kind, body, op_version, state, attempts, not_found, not_before, ack_seq, acked_at,
                error, created_at
         from earlier.outbox order by n;
         insert or ignore into main.drafts (user_id, session, text)
         select user_id, session, text from earlier.drafts order by n;
         insert or ignore into main.kept (user_id, session) select user_id, session from earlier.kept;",
    )?;
    Ok(transaction.commit()?)
}

fn place_aside(folder: &Path, beginning: &str) -> Option<PathBuf> {
    (1_u32..1_000)
        .map(|n| folder.join(format!("{beginning}{n}")))
        .find(|path| !path.exists())
}

/// The outboxes that wait for their keys.
pub fn locked_outboxes(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(LOCKED_OUTBOX);
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// For who has no hope for the key: the outbox waits aside, and what the server has anyway goes.
pub fn put_sealed_aside(folder: &Path) -> Result<()> {
    let file = outbox_file(folder);
    if seal::kind(&file)? == seal::Kind::Sealed {
        let aside = place_aside(folder, LOCKED_OUTBOX).ok_or(StoreFault::Locked)?;
        move_family(&file, &aside)?;
    }
    if seal::kind(&cache_file(folder))? == seal::Kind::Sealed {
        clear_cache(folder, false)?;
    }
    Ok(())
}

/// How many outboxes were put aside, damaged ones and ones that wait for their keys, and their bytes, with their companions'.
pub fn aside(folder: &Path) -> Result<(u64, u64)> {
    let (mut outboxes, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = [DAMAGED_OUTBOX, LOCKED_OUTBOX]
            .iter()
            .find_map(|beginning| name.strip_prefix(beginning));
        if let Some(number) = number {
            outboxes += u64::from(number.bytes().all(|byte| byte.is_ascii_digit()));
            bytes += entry.metadata()?.len();
        }
    }
    Ok((outboxes, bytes))
}

/// Deletes every outbox that was kept aside as damaged.
pub fn drop_damaged_outboxes(folder: &Path) -> Result<()> {
    drop_called(folder, &[DAMAGED_OUTBOX])
}

/// Deletes every outbox that was put aside, whyever.
pub fn drop_aside(folder: &Path) -> Result<()> {
    drop_called(folder, &[DAMAGED_OUTBOX, LOCKED_OUTBOX])
}

/// Tries each; the first failure is told.
fn drop_called(folder: &Path, beginnings: &[&str]) -> Result<()> {
    let mut dropped = Ok(());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if beginnings.iter().any(|beginning| name.starts_with(beginning)) {
            dropped = dropped.and(remove_if_there(&entry.path()));
        }
    }
    dropped
}

fn outbox_with_or_without_room(folder: &Path, sealing: &Sealing) -> Result<Connection> {
    Ok(with_or_without_room("outbox", |hold| try_outbox(folder, sealing, hold))?.0)
}

/// The outbox as it is: nothing is put aside for it.
pub fn try_outbox(folder: &Path, sealing: &Sealing, hold: Hold) -> Result<Connection> {
    let mut connection = open_by_key(&outbox_file(folder), sealing, hold)?;
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
    let damaged = family(&damaged_cache(folder));
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

/// The companions first: a file without its `-wal` would be whole without what was written last.
fn move_family(from: &Path, to: &Path) -> Result<()> {
    for (from, to) in family(from).iter().zip(&family(to)).rev() {
        move_if_there(from, to)?;
    }
    Ok(())
}

pub fn remove_family(file: &Path) -> Result<()> {
    family(file).iter().try_for_each(|file| remove_if_there(file))
}

/// What was written of a cache that could not be read, before there was a key.
pub fn damaged_cache(folder: &Path) -> PathBuf {
    folder.join("cache.db.damaged")
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
