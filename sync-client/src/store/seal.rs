//! Whether a device's files can be read without a key, and bringing them from the one to the other.
//!
//! A file's first sixteen bytes say what it is: SQLite's own words, or ours, which stand where SQLCipher keeps a salt (a key that
//! is 32 bytes by chance needs none). A file is brought over by a copy beside it, which takes its place once it is on the
//! disk: wherever that is cut short, one whole file is there under its name.
//! **Invariant:** nothing is replaced before its copy was looked through and is on the disk.

use super::{Result, StoreFault, files, search};
use crate::credentials::{FileKey, Sealing};
use rusqlite::{Connection, ErrorCode};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const PLAIN: &[u8; 16] = b"SQLite format 3\0";
const SEALED: &[u8; 16] = b"CompyMac sealed\0";

/// What a file is, by its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is in it yet.
    New,
    Plain,
    Sealed,
    Noise,
}

pub fn kind(file: &Path) -> Result<Kind> {
    let mut head = Vec::new();
    match File::open(file) {
        Ok(opened) => {
            opened.take(16).read_to_end(&mut head)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(match head.as_slice() {
        [] => Kind::New,
        head if head == PLAIN => Kind::Plain,
        head if head == SEALED => Kind::Sealed,
        _other => Kind::Noise,
    })
}

/// The key to open such a file with, if it is to have one.
pub fn key_for(sealing: &Sealing, kind: Kind) -> Result<Option<&FileKey>> {
    match (kind, sealing) {
        (Kind::Plain | Kind::Noise, _) | (Kind::New, Sealing::Open | Sealing::Until(_)) => Ok(None),
        (Kind::New, Sealing::With(key)) | (Kind::Sealed, Sealing::With(key) | Sealing::Until(key)) => {
            Ok(Some(key))
        }
        (Kind::Sealed, Sealing::Open) => Err(StoreFault::Locked),
    }
}

/// A file's name, which its own key follows from: a page of one file is none of the other.
pub fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A key as SQLCipher takes it: key and salt, with nothing to be derived for long.
pub fn words(key: &FileKey, name: &str) -> String {
    let own = Sha256::new()
        .chain_update(key.as_bytes())
        .chain_update(name)
        .finalize();
    let mut words = String::from("x'");
    for byte in own.iter().chain(SEALED) {
        // Writing to a text cannot fail.
        let _ = write!(words, "{byte:02x}");
    }
    words.push('\'');
    words
}

/// Gives a connection its key, before it reads anything.
pub fn unlock(connection: &Connection, key: Option<&FileKey>, name: &str) -> Result<()> {
    match key {
        Some(key) => Ok(connection.execute_batch(&format!("pragma key = \"{}\";", words(key, name)))?),
        None => Ok(()),
    }
}

/// Reads the first page. SQLCipher has no word of its own for a key that does not fit.
pub fn prove(connection: &Connection) -> Result<()> {
    let read = connection.query_row("select count(*) from sqlite_schema", [], |row| {
        row.get::<_, i64>(0)
    });
    match read {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            Err(StoreFault::Damaged(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether what this connection writes is sealed.
pub fn is_sealed(connection: &Connection) -> bool {
    // Nothing is answered where there is no key.
    connection
        .query_row("pragma cipher_use_hmac", [], |_| Ok(()))
        .is_ok()
}

/// Whether a file that was put aside opens with this key. It has no companions afterwards.
pub fn opens(file: &Path, key: &FileKey, name: &str) -> bool {
    let opened = Connection::open(file).map_err(StoreFault::from);
    let alone = opened.and_then(|connection| {
        unlock(&connection, Some(key), name)?;
        prove(&connection)?;
        make_single(&connection)
    });
    alone.is_ok()
}

/// What was written last is in the file itself from here on. Refused where somebody else has it open.
fn make_single(connection: &Connection) -> Result<()> {
    let mode: String = connection.query_row("pragma journal_mode = delete", [], |row| row.get(0))?;
    if mode == "delete" {
        Ok(())
    } else {
        Err(StoreFault::File(io::ErrorKind::ResourceBusy.into()))
    }
}

/// The steps of bringing a file over: what a test looks at the disk after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begun,
    Single,
    Copied,
    OnDisk,
    InPlace,
}

/// A folder in use. Many may use it at once; files are brought over while nobody else does.
#[derive(Debug)]
pub struct Held {
    /// None where the disk has no room for it, or knows no locks: nothing is brought over there.
    _lock: Option<File>,
    /// All files are as they are wanted.
    pub is_settled: bool,
}

/// Brings the files over, if nobody else has them open, and holds the folder. Waits while another start brings them over.
pub fn hold(folder: &Path, sealing: &Sealing, after: &mut dyn FnMut(Step)) -> Held {
    let mut is_settled = false;
    let locked = files::secure_file(&folder.join("store.lock")).and_then(|lock| {
        if lock.try_lock().is_ok() {
            is_settled = settle(folder, sealing, after);
            lock.unlock()?;
        }
        lock.lock_shared()?;
        Ok(lock)
    });
    let lock = locked.map_err(|fault| {
        tracing::warn!(error = ?fault, "the folder cannot be locked; nothing more is sealed or opened in it");
    });
    Held {
        _lock: lock.ok(),
        is_settled,
    }
}

/// Whether both files are as wanted. One that cannot be brought over stays what it is.
fn settle(folder: &Path, sealing: &Sealing, after: &mut dyn FnMut(Step)) -> bool {
    let mut all = true;
    for file in [files::outbox_file(folder), files::cache_file(folder)] {
        if let Err(fault) = bring_over(&file, sealing, after) {
            let name = name(&file);
            tracing::warn!(name, error = ?fault, "the file stays as it is for now: it could not be sealed or opened");
            all = false;
            // Half a copy is of no use, and may lie open.
            let _ = files::remove_family(&beside(&file));
        }
    }
    let damaged = files::damaged_cache(folder);
    if matches!(sealing, Sealing::With(_)) && matches!(kind(&damaged), Ok(Kind::Plain)) {
        all &= files::remove_family(&damaged).is_ok();
    }
    all
}

fn bring_over(file: &Path, sealing: &Sealing, after: &mut dyn FnMut(Step)) -> Result<()> {
    let coming = beside(file);
    // Of a start that was cut short.
    files::remove_family(&coming)?;
    let (from, to) = match (kind(file)?, sealing) {
        (Kind::Plain, Sealing::With(key)) => (None, Some(key)),
        (Kind::Sealed, Sealing::Until(key)) => (Some(key), None),
        (Kind::New | Kind::Noise | Kind::Plain | Kind::Sealed, _) => return Ok(()),
    };
    after(Step::Begun);
    let rows = copy(file, &coming, from, to, after)?;
    after(Step::Copied);
    look_through(&coming, &name(file), to, rows)?;
    fs::OpenOptions::new().write(true).open(&coming)?.sync_all()?;
    sync_folder(file)?;
    after(Step::OnDisk);
    fs::rename(&coming, file)?;
    sync_folder(file)?;
    after(Step::InPlace);
    tracing::info!(
        name = name(file),
        is_sealed = to.is_some(),
        "the file was brought over"
    );
    Ok(())
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".coming");
    PathBuf::from(name)
}

/// How many rows there are, and a sum over their numbers: an index goes by those of its table.
type Counted = (i64, i64);

/// Says what it copied.
fn copy(
    file: &Path,
    coming: &Path,
    from: Option<&FileKey>,
    to: Option<&FileKey>,
    after: &mut dyn FnMut(Step),
) -> Result<Counted> {
    let connection = Connection::open(file)?;
    unlock(&connection, from, &name(file))?;
    prove(&connection)?;
    search::teach(&connection)?;
    make_single(&connection)?;
    // Its `-wal` is gone from the disk before another file has the name: it would be read as that one's.
    sync_folder(file)?;
    after(Step::Single);
    files::secure_file(coming)?;
    let place = coming
        .to_str()
        .ok_or_else(|| StoreFault::File(io::ErrorKind::InvalidFilename.into()))?;
    let key = to.map(|key| words(key, &name(file))).unwrap_or_default();
    connection.execute("attach database ?1 as coming key ?2", [place, key.as_str()])?;
    // What is cut short is begun anew: only the whole has to be on the disk.
    connection.execute_batch("pragma coming.journal_mode = off; pragma coming.synchronous = off;")?;
    connection.query_row("select sqlcipher_export('coming')", [], |_| Ok(()))?;
    let version: i64 = connection.query_row("pragma main.user_version", [], |row| row.get(0))?;
    connection.execute_batch(&format!("pragma coming.user_version = {version};"))?;
    let rows = rows(&connection)?;
    connection.execute_batch("detach database coming;")?;
    Ok(rows)
}

/// The rows of every table, those of the indexes by words among them.
fn rows(connection: &Connection) -> Result<Counted> {
    let mut tables = connection.prepare(
        "select name, wr from pragma_table_list
         where schema = 'main' and type in ('table', 'shadow') and name not glob 'sqlite_*' order by name",
    )?;
    let tables = tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let (mut rows, mut sum) = (0, 0);
    for table in tables {
        let (name, is_without_numbers) = table?;
        let number = if is_without_numbers {
            "0"
        } else {
            "rowid % 1000003"
        };
        let sql = format!("select count(*), coalesce(sum({number}), 0) from main.\"{name}\"");
        let (more, further): Counted =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows += more;
        sum += further;
    }
    Ok((rows, sum))
}

/// Whether the copy opens, is whole, and holds as much.
fn look_through(coming: &Path, name: &str, key: Option<&FileKey>, wanted: Counted) -> Result<()> {
    let connection = Connection::open(coming)?;
    unlock(&connection, key, name)?;
    prove(&connection)?;
    search::teach(&connection)?;
    let word: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    let held = rows(&connection)?;
    if word == "ok" && held == wanted {
        Ok(())
    } else {
        Err(StoreFault::Damaged(format!(
            "the copy has {held:?} of {wanted:?} rows: {word}"
        )))
    }
}

/// What was named and unnamed in the file's folder is so after a power cut too.
#[cfg(unix)]
fn sync_folder(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) => Ok(File::open(folder)?.sync_all()?),
        None => Ok(()),
    }
}

/// Elsewhere a folder cannot be asked to; renaming is in the file system's own log there.
#[cfg(not(unix))]
fn sync_folder(_file: &Path) -> Result<()> {
    Ok(())
}
