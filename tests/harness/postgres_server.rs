//! A PostgreSQL of a test's own, which can be killed with all that it has in memory.

use crate::database::run;
use crate::offspring::system_program;
use crate::programs::{free_port, unprivileged};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// Where Debian keeps what only a server needs, a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Quick to begin and small. A commit is handed to the system before anybody hears of it, as ever; that the system may go down as
/// well is no part of any test.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=60",
    "lc_messages=C",
];

/// Dropped: it is ended and its folder is gone.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    folder: TempDir,
    running: Mutex<Option<Child>>,
}

impl PostgresServer {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-test-postgres-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let server = Self {
            port: free_port(),
            folder,
            running: Mutex::default(),
        };
        let mut initdb = unprivileged(&server_program("initdb"), server.folder.path());
        initdb
            .arg("-D")
            .arg(server.data())
            .args([
                "-U",
                "compymac",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .current_dir(server.folder.path());
        run(initdb).await;
        server.start_again().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://compymac@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ends it at once (SIGKILL), as a lack of memory does. Its own processes end by themselves once they notice.
    pub fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it over what is on its disk, if it does not run, and waits until it can be asked.
    pub async fn start_again(&self) {
        until("PostgreSQL to answer", async || {
            self.must_run();
            PgConnection::connect(&self.url()).await.ok()
        })
        .await;
    }

    /// It refuses to begin as long as a process of its last life is there.
    fn must_run(&self) {
        let mut running = self.lock();
        let is_running = running
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if !is_running {
            *running = Some(self.spawn());
        }
    }

    fn spawn(&self) -> Child {
        let folder = self.folder.path();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap_or_else(|error| panic!("making a log: {error}"));
        let mut command = unprivileged(&server_program("postgres"), folder);
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(folder)
            .args(["-p", &self.port.to_string()])
            .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(log);
        command
            .spawn()
            .unwrap_or_else(|error| panic!("starting PostgreSQL: {error}"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // at once too, and with all of its own processes: nothing may write into a folder that is being removed
        let mut running = self.lock();
        if let Some(child) = running.as_mut()
            && let Ok(pid) = i32::try_from(child.id())
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}

fn server_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name));
    found
        .filter(|program| program.is_file())
        .max()
        .unwrap_or_else(|| system_program(name))
}
