//! `cargo xtask prepare`: writes `.sqlx/`, the types of every query, so that builds need no database.
//!
//! The query macros describe each query against a live database and write what they learn to `SQLX_OFFLINE_DIR`. They
//! run only when the server's crate is compiled, so clippy compiles it, and is told something new, as it would take an
//! earlier outcome for this one otherwise. What was found fresh once, and is the same still, is not described again.

use crate::place::Place;
use crate::ports;
use crate::services::{Lasting, make_private, postgres, psql};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

pub fn run(place: &Place, supervisor: &mut Supervisor, purpose: Purpose) -> anyhow::Result<()> {
    with_own_database(supervisor, |supervisor, server| {
        let clippy = place.cargo(&["clippy", "-p", "sync-server", "--bins"]);
        with_database(place, supervisor, server, purpose, clippy).map(drop)
    })
}

/// What the types are found out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Write,
    Check,
}

/// Lends a PostgreSQL server, which is thrown away afterwards.
pub fn with_own_database(
    supervisor: &mut Supervisor,
    then: impl FnOnce(&mut Supervisor, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("compymac-prepare-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    let url = postgres(
        supervisor,
        &folder.join("postgres"),
        ports::free()?,
        Lasting::Passing,
    )?;
    let outcome = then(supervisor, &url);
    supervisor.stop_all();
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    outcome
}

/// Runs clippy, which must go through the server's crate, and sees that the types of its queries are those that a database of the
/// newest shape on this server gives them.
pub fn check(
    place: &Place,
    supervisor: &mut Supervisor,
    server: &str,
    mut clippy: Command,
) -> anyhow::Result<()> {
    let note = place.cache.join("described");
    let inputs = inputs(place)?;
    let last = fs::read_to_string(&note).unwrap_or_default();
    if let Some((seen, once)) = last.split_once(' ')
        && seen == inputs
    {
        supervisor.run(as_described(&mut clippy, once))?;
        say(".sqlx is fresh, and so it was");
        return Ok(());
    }
    let once = with_database(place, supervisor, server, Purpose::Check, clippy)?;
    fs::write(&note, format!("{inputs} {once}")).with_context(|| format!("writing {}", note.display()))
}

/// A digest of all that decides how a query is described.
fn inputs(place: &Place) -> anyhow::Result<String> {
    let mut hash = DefaultHasher::new();
    for name in ["sync-server", "migrations", ".sqlx", "Cargo.toml", "Cargo.lock"] {
        content(&place.root.join(name), &mut hash).with_context(|| format!("reading {name}"))?;
    }
    Ok(format!("{:016x}", hash.finish()))
}

fn content(path: &Path, hash: &mut DefaultHasher) -> anyhow::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        entries.len().hash(hash);
        for entry in entries {
            entry.file_name().hash(hash);
            content(&entry.path(), hash)?;
        }
    } else {
        fs::read(path)?.hash(hash);
    }
    Ok(())
}

/// Runs clippy beside a database of the newest shape; answers with what it was told.
fn with_database(
    place: &Place,
    supervisor: &mut Supervisor,
    server: &str,
    purpose: Purpose,
    clippy: Command,
) -> anyhow::Result<String> {
    let database = format!("prepare_{}", std::process::id());
    psql(server, &["-c", &format!("create database {database}")])?;
    let url = match server.rsplit_once('/') {
        Some((host, _)) => format!("{host}/{database}"),
        None => bail!("{server} names no database"),
    };
    migrate(place, &url)?;
    let written = place.root.join(".sqlx-tmp");
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    make_private(&written)?;
    let outcome = describe(supervisor, clippy, &url, &written)
        .and_then(|once| settle(place, &written, purpose).map(|()| once));
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    psql(server, &["-c", &format!("drop database {database} with (force)")])?;
    outcome
}

fn migrate(place: &Place, url: &str) -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(place.root.join("migrations/postgres"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "sql"))
        .collect();
    files.sort();
    for file in files {
        let name = file.display().to_string();
        psql(url, &["-1", "-f", &name]).with_context(|| format!("applying {name}"))?;
    }
    Ok(())
}

/// Compiles against the live database; answers with what clippy was told, which is new each time.
fn describe(
    supervisor: &mut Supervisor,
    mut clippy: Command,
    url: &str,
    into: &Path,
) -> anyhow::Result<String> {
    let made = fs::metadata(into)?.modified()?.duration_since(UNIX_EPOCH)?;
    let once = made.as_nanos().to_string();
    as_described(&mut clippy, &once)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", into)
        .env("DATABASE_URL", url);
    supervisor.run(&mut clippy)?;
    Ok(once)
}

/// Cargo takes the outcome of another telling for another outcome.
fn as_described<'a>(clippy: &'a mut Command, once: &str) -> &'a mut Command {
    if !clippy.get_args().any(|word| word == "--") {
        clippy.arg("--");
    }
    clippy
        .args(["--cfg", &format!("described=\"{once}\"")])
        .stdin(Stdio::null())
}

/// Puts the new folder in place of the old, or says how they differ.
fn settle(place: &Place, written: &Path, purpose: Purpose) -> anyhow::Result<()> {
    let kept = place.root.join(".sqlx");
    let (old, new) = (contents(&kept)?, contents(written)?);
    if new.is_empty() {
        bail!("no query was described; was the server not compiled?");
    }
    if old == new {
        say(&format!(".sqlx is fresh: {} queries", new.len()));
        return Ok(());
    }
    if purpose == Purpose::Check {
        let missing = new.keys().filter(|name| !old.contains_key(*name)).count();
        let stale = old.keys().filter(|name| !new.contains_key(*name)).count();
        let changed = new
            .iter()
            .filter(|(name, text)| old.get(*name).is_some_and(|old| old != *text))
            .count();
        bail!(
            ".sqlx is not fresh ({missing} queries missing, {stale} stale, {changed} changed): run `cargo xtask prepare` and commit it"
        );
    }
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::rename(written, &kept).context("putting .sqlx in its place")?;
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o755))?;
    say(&format!(".sqlx holds {} queries", new.len()));
    Ok(())
}

fn contents(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}
