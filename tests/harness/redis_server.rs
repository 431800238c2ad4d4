//! A Redis of a test's own, which can be killed, held still and emptied.

use crate::programs::{child, free_port};
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    folder: TempDir,
    running: Mutex<Option<Child>>,
}

impl RedisServer {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("making a folder: {error}"));
        let redis = Self {
            port: free_port(),
            folder,
            running: Mutex::default(),
        };
        redis.start_again().await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts it at its port with nothing in it, if it does not run.
    pub async fn start_again(&self) {
        if self.lock().is_none() {
            let mut command = child(Path::new("redis-server"), self.folder.path());
            command
                .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .current_dir(self.folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let started = command.spawn();
            *self.lock() = Some(started.unwrap_or_else(|error| panic!("starting redis-server: {error}")));
        }
        until("Redis to answer", async || self.ask("PING").await.ok()).await;
    }

    /// It loses everything that it keeps.
    pub async fn forget(&self) {
        // One that stands still or is gone forgets nothing.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), self.ask("FLUSHALL")).await;
    }

    async fn ask(&self, command: &str) -> redis::RedisResult<()> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(command).query_async(&mut connection).await
    }

    /// Ends it at once.
    pub fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Holds it still until [`RedisServer::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self
            .lock()
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
