//! `cargo xtask prepare`: writes `.sqlx/`, the types of every query, so that builds need no database.
//!
//! The query macros describe each query against a live database and write what they learn to `SQLX_OFFLINE_DIR`. They
//! run only when the server's crate is compiled, so this compiles it anew, under a wrapper that gives it artifacts of
//! its own: no other build is disturbed.

use crate::place::Place;
use crate::ports;
use crate::services::{Lasting, make_private, postgres, psql};
use crate::supervisor::Supervisor;
use crate::terminal::say;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

pub fn run(place: &Place, supervisor: &mut Supervisor, is_check: bool) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("compymac-prepare-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    let url = postgres(
        supervisor,
        &folder.join("postgres"),
        ports::free()?,
        Lasting::Passing,
    )?;
    let outcome = with_database(place, supervisor, &url, is_check);
    supervisor.stop_all();
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    outcome
}

/// The same with a server that runs already.
pub fn with_database(
    place: &Place,
    supervisor: &mut Supervisor,
    server: &str,
    is_check: bool,
) -> anyhow::Result<()> {
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
    let outcome =
        describe(place, supervisor, &url, &written).and_then(|()| settle(place, &written, is_check));
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

/// Compiles the server against the live database.
fn describe(place: &Place, supervisor: &mut Supervisor, url: &str, into: &Path) -> anyhow::Result<()> {
    let wrapper = place.cache.join("prepare-wrapper");
    fs::write(&wrapper, "#!/bin/sh\nexec \"$@\"\n")?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    forget_last(place)?;
    let mut command = place.cargo(&["check", "-p", "sync-server", "--bins"]);
    command
        .env("RUSTC_WORKSPACE_WRAPPER", &wrapper)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", into)
        .env("DATABASE_URL", url)
        .stdin(Stdio::null());
    let begun = fingerprints(place);
    supervisor.run(&mut command)?;
    // Those that appeared or changed are this compilation's own.
    let own: Vec<String> = fingerprints(place)
        .into_iter()
        .filter(|(name, changed)| begun.get(name) != Some(changed))
        .map(|(name, _)| name)
        .collect();
    fs::write(memory(place), own.join("\n")).context("remembering this compilation")
}

/// Takes away cargo's note that the last such compilation is fresh.
fn forget_last(place: &Place) -> anyhow::Result<()> {
    let names = fs::read_to_string(memory(place)).unwrap_or_default();
    for name in names.lines().filter(|name| name.starts_with("sync-server-")) {
        let folder = fingerprint_folder(place).join(name);
        if folder.is_dir() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    Ok(())
}

fn memory(place: &Place) -> PathBuf {
    place.cache.join("prepare-compilation")
}

fn fingerprint_folder(place: &Place) -> PathBuf {
    place.target().join("debug/.fingerprint")
}

fn fingerprints(place: &Place) -> BTreeMap<String, Option<std::time::SystemTime>> {
    fs::read_dir(fingerprint_folder(place))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let changed = fs::metadata(entry.path().join("invoked.timestamp"))
                .and_then(|file| file.modified())
                .ok();
            name.starts_with("sync-server-").then_some((name, changed))
        })
        .collect()
}

/// Puts the new folder in place of the old, or says how they differ.
fn settle(place: &Place, written: &Path, is_check: bool) -> anyhow::Result<()> {
    let kept = place.root.join(".sqlx");
    let (old, new) = (contents(&kept)?, contents(written)?);
    if new.is_empty() {
        bail!("no query was described; was the server not compiled?");
    }
    if old == new {
        say(&format!(".sqlx is fresh: {} queries", new.len()));
        return Ok(());
    }
    if is_check {
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
