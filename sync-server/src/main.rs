//! The server's start and end: settings, stores, tasks, listener; then, on a signal, everything in the reverse order.

mod app;
mod auth;
mod body;
mod config;
mod error;
mod hints;
mod limits;
mod mail;
mod sessions;
mod sync;

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = config::Config::parse().check()?;
    let app = app::App::open(config).await?;
    drop(app);
    Ok(())
}
