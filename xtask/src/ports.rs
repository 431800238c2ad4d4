//! Ports of loopback: the ones of the last run where they are free, so that bookmarks and cookies stay good.

use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

/// A port that nobody listens at now.
pub fn free() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.port())
}

pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The ports of one data folder, by the name of what listens there.
#[derive(Debug, Default)]
pub struct Ports {
    remembered: BTreeMap<String, u16>,
}

impl Ports {
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let remembered = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, port)| Some((name.to_owned(), port.parse().ok()?)))
            .collect();
        Self { remembered }
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut lines = String::new();
        for (name, port) in &self.remembered {
            let _ = writeln!(lines, "{name} {port}");
        }
        fs::write(file, lines).with_context(|| format!("writing {}", file.display()))
    }

    /// The port of the last run if it is free, else the usual one, else any.
    pub fn choose(&mut self, name: &str, usual: Option<u16>) -> anyhow::Result<u16> {
        let kept = self.remembered.get(name).copied();
        let port = match kept.into_iter().chain(usual).find(|port| is_free(*port)) {
            Some(port) => port,
            None => free()?,
        };
        self.remembered.insert(name.to_owned(), port);
        Ok(port)
    }

    /// The port that was asked for, or a clear refusal.
    pub fn demand(&mut self, name: &str, port: u16) -> anyhow::Result<u16> {
        if !is_free(port) {
            bail!(
                "port {port} is taken by another program; choose another with --port, or leave it out for a free one"
            );
        }
        self.remembered.insert(name.to_owned(), port);
        Ok(port)
    }
}
