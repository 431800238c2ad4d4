//! The server's start and end: settings, stores, tasks, listener; on a signal, everything in the reverse order. With the
//! word `admin`, an operator's command instead.

mod admin;
mod app;
mod asked;
mod auth;
mod body;
mod config;
mod database;
mod error;
mod gateway;
mod hints;
mod keyspace;
mod limits;
mod listen;
mod mail;
mod places;
mod rights;
mod router;
mod runs;
mod sessions;
mod sync;
mod web;

use crate::app::App;
use crate::config::{Config, LogFormat};
use anyhow::Context as _;
use clap::Parser as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// How long tasks may take to end after their sockets are let go.
const GRACE: Duration = Duration::from_secs(20);

/// The CompyMac server: accounts, sync, runs, sockets and the browser's pages.
#[derive(Debug, clap::Parser)]
#[command(version, about, disable_help_subcommand = true)]
struct Program {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Looks after this server's people, from its own machine and with its settings; see docs/operations.md.
    Admin(admin::Admin),
}

fn main() -> anyhow::Result<ExitCode> {
    let Program { config, command } = Program::parse();
    let config = config.check()?;
    // A second provider in the tree would make rustls ask which; a first one cannot be there yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    if let Some(Command::Admin(admin)) = command {
        // what a command says is its own; only what goes wrong is told beside it
        tell(&config, "warn")?;
        return Ok(runtime.block_on(admin::run(config, admin)));
    }
    tell(&config, &config.log)?;
    runtime.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error; standard output says only `ready`.
fn tell(config: &Config, which: &str) -> anyhow::Result<()> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(which).context("LOG must look like info,sync_server=debug")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .context("installing the metrics recorder")?;
    // what an alert waits for is there before it happens
    metrics::counter!("database_undone_total").increment(0);
    metrics::counter!("stuffing_found_total").increment(0);
    metrics::counter!("verify_mismatch_total").increment(0);
    for result in ["theft", "another_key", "from_the_future"] {
        metrics::counter!("refresh_total", "result" => result).increment(0);
    }
    let listener = listen::on(config.listen).with_context(|| {
        format!(
            "LISTEN: {} cannot be listened on; is another program using it?",
            config.listen
        )
    })?;
    app::must_be_writable(&config.workspaces)?;
    let app = App::open(config).await?;
    if app.config.migrate {
        database::migrate(&app.config).await?;
    }
    app.tasks
        .spawn(web::operations::keep_measures_small(app.clone(), metrics.clone()));
    let hints = hints::Hints::start(app.clone());
    let auth = auth::Auth::start(hints).await?;
    let sync = sync::Sync::start(auth);
    let runs = runs::Runs::start(sync);
    let rights = rights::Rights::start(runs.clone());
    let gateway = gateway::Gateway::start(runs);
    let routes = router::router(gateway.clone(), rights, metrics)?;

    say_ready(listener.local_addr().context("reading the listener's address")?)?;
    let ending = app.clone();
    let ended = async move {
        asked_to_end().await;
        ending.ending.cancel();
        tokio::select! {
            () = let_go(&ending, &gateway) => {}
            // asked again: at once
            () = asked_to_end() => {}
        }
        ending.shutdown.cancel();
    };
    listen::serve(listener, routes, ended).await;
    app.tasks.close();
    if tokio::time::timeout(GRACE, app.tasks.wait()).await.is_err() {
        tracing::warn!(
            "some tasks did not end in time; what they were doing is taken up by another node or the next start"
        );
    }
    Ok(())
}

/// Sockets leave once the balancer sends no more here; until then requests are served as ever.
async fn let_go(app: &App, gateway: &gateway::Gateway) {
    if app.config.role.serves() {
        tokio::time::sleep(Duration::from_secs(app.config.drain_after.into())).await;
    }
    gateway.drain().await;
}

/// The one line on standard output: whoever started this process waits for it.
fn say_ready(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready http://{address}")
        .and_then(|()| out.flush())
        .context("saying ready")
}

/// SIGTERM or Ctrl-C.
async fn asked_to_end() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
    tracing::info!("asked to end");
}
