//! The schema's history as sqlx applies it.

use anyhow::{Context as _, bail};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

pub fn all() -> anyhow::Result<Migrator> {
    migrations::POSTGRES
        .iter()
        .map(migration)
        .collect::<anyhow::Result<_>>()
        .map(Migrator::with_migrations)
}

/// As sqlx reads a file of this name.
fn migration(&migrations::Migration { name, sql }: &migrations::Migration) -> anyhow::Result<Migration> {
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
        SqlStr::from_static(sql),
        sql.starts_with("-- no-transaction"),
    ))
}
