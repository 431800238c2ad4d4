//! The schema's history, part of the program: what `migrations/postgres` held when it was compiled.
//!
//! Named one by one: `sqlx::migrate!` would note each file by its whole path, and every clone would compile the server anew.

use anyhow::{Context as _, bail};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../migrations/postgres/", $name, ".sql")))),*]
    };
}

/// Name and text of each. One that is applied to a database and is not here stops the server from starting.
const FILES: &[(&str, &str)] = files![
    "0001_identity",
    "0002_sync",
    "0003_sessions_of_user",
    "0004_purge",
    "0005_password_reset",
    "0006_second_step",
    "0007_letter_sign_in",
    "0008_operators",
    "0009_rights",
    "0010_device_codes",
    "0011_passkeys",
    "0012_long_sessions",
    "0013_vouched_codes",
    "0015_letters",
    "0016_audit_partitions",
    "0017_proofs_of_possession",
    "0018_places",
    "0019_wrong_codes",
    "0020_former_cookies",
    "0021_stays",
];

pub fn all() -> anyhow::Result<Migrator> {
    FILES
        .iter()
        .map(|(name, text)| migration(name, text))
        .collect::<anyhow::Result<_>>()
        .map(Migrator::with_migrations)
}

/// As sqlx reads a file of this name.
fn migration(name: &'static str, text: &'static str) -> anyhow::Result<Migration> {
    let Some((number, words)) = name.split_once('_') else {
        bail!("the migration {name} has no number");
    };
    let number = number
        .parse()
        .with_context(|| format!("the number of the migration {name}"))?;
    Ok(Migration::new(
        number,
        words.replace('_', " ").into(),
        MigrationType::Simple,
        SqlStr::from_static(text),
        text.starts_with("-- no-transaction"),
    ))
}
