//! A real PgBouncer before the test's database: it lends each connection for one transaction, and has few of them.

use crate::offspring::system_program;
use crate::programs::{free_port, unprivileged};
use crate::wait::until;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::path::Path;
use std::process::{Child, Stdio};
use std::str::FromStr as _;
use tempfile::TempDir;

/// Connections to PostgreSQL for each database: fewer than its clients', so that they pass from one to the other.
const LENT: usize = 3;

/// Dropped: it is ended and its folder is gone.
#[derive(Debug)]
pub(crate) struct Pooler {
    running: Child,
    pub url: String,
    _folder: TempDir,
}

impl Pooler {
    pub async fn before(url: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-test-pooler-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let port = free_port();
        let mut parsed = url::Url::parse(url).unwrap_or_else(|error| panic!("reading {url}: {error}"));
        write_settings(&folder.path().join("pgbouncer.ini"), &parsed, port);
        let _ = parsed.set_port(Some(port));
        let pooler = Self {
            running: spawn(folder.path()),
            url: parsed.to_string(),
            _folder: folder,
        };
        // it refuses what sqlx says about floats by default
        let options = PgConnectOptions::from_str(&pooler.url)
            .unwrap_or_else(|error| panic!("{error}"))
            .extra_float_digits(None);
        until("the pooler to answer", async || {
            PgConnection::connect_with(&options).await.ok()
        })
        .await;
        pooler
    }
}

fn write_settings(file: &Path, database: &url::Url, port: u16) {
    let password = database.password().unwrap_or_default();
    let settings = format!(
        "[databases]\n* = host={} port={} user={} password='{password}'\n\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = {LENT}\nmax_client_conn = 200\n",
        database.host_str().unwrap_or("127.0.0.1"),
        database.port().unwrap_or(5432),
        database.username(),
    );
    std::fs::write(file, settings).unwrap_or_else(|error| panic!("settling PgBouncer: {error}"));
}

fn spawn(folder: &Path) -> Child {
    let log =
        std::fs::File::create(folder.join("log")).unwrap_or_else(|error| panic!("making a log: {error}"));
    unprivileged(&system_program("pgbouncer"), folder)
        .arg(folder.join("pgbouncer.ini"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("starting pgbouncer: {error}"))
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
