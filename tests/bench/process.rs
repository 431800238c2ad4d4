//! The programs that are measured: started, read until they are ready, weighed, and ended with the bench.

use crate::weight;
use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a start may take, migrations among it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Process {
    child: Child,
    /// `host:port`
    pub address: String,
}

impl Process {
    /// Starts a program that prints `ready http://host:port`.
    pub async fn start(
        program: &Path,
        arguments: &[&str],
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let output = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = tokio::time::timeout(PATIENCE, ready(&mut lines)).await;
        let address = ready
            .context("it was not ready in time")
            .flatten()
            .with_context(|| format!("starting {}", program.display()))?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address })
    }

    /// Memory that it holds now (VmRSS), in KiB.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("it has ended")?;
        harness::resident(id).context("reading its memory")
    }

    /// How long it has worked so far, in its own code and in the kernel's.
    pub fn worked(&self) -> anyhow::Result<Duration> {
        let id = self.child.id().context("it has ended")?;
        weight::worked_by(id).context("reading its work")
    }
}

/// The address in the line that says that it is ready.
async fn ready(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix("ready http://") {
            return Ok(address.trim_end_matches('/').to_owned());
        }
    }
    bail!("it ended before it was ready")
}
