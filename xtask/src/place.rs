//! Where everything lies: the repository, and the cache that outlives a clone.

use anyhow::Context as _;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Debug)]
pub struct Place {
    /// The repository.
    pub root: PathBuf,
    /// `$XDG_CACHE_HOME/compymac`, or as `COMPYMAC_CACHE` says.
    pub cache: PathBuf,
}

impl Place {
    pub fn find() -> anyhow::Result<Self> {
        let manifest = setting("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&manifest)
            .parent()
            .context("finding the repository above xtask")?
            .to_path_buf();
        let cache = match (setting("COMPYMAC_CACHE"), setting("XDG_CACHE_HOME")) {
            (Some(own), _) => PathBuf::from(own),
            (None, Some(caches)) => Path::new(&caches).join("compymac"),
            (None, None) => home()?.join(".cache/compymac"),
        };
        std::fs::create_dir_all(&cache).with_context(|| format!("making the cache {}", cache.display()))?;
        Ok(Self { root, cache })
    }

    /// Where the server, the desktop app and the tests are built.
    pub fn target(&self) -> PathBuf {
        self.cache.join("target")
    }

    /// Where the page is built; apart, since another compiler may be at work there.
    pub fn target_wasm(&self) -> PathBuf {
        self.cache.join("target-wasm")
    }

    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    pub fn page(&self) -> PathBuf {
        self.root.join("ui/dist")
    }

    /// Where this clone's programs are kept once they are built: in the target folder another clone, which shares it,
    /// may put its own in their place at any time.
    pub fn programs(&self) -> PathBuf {
        let mut hash = DefaultHasher::new();
        self.root.hash(&mut hash);
        self.cache
            .join("programs")
            .join(format!("{:016x}", hash.finish()))
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// A tool that set-up installed, or else one on the search path.
    pub fn tool(&self, name: &str) -> Option<PathBuf> {
        let own = self.tools().join("bin").join(name);
        own.is_file().then_some(own).or_else(|| which(name))
    }

    /// Cargo, in this repository, with the shared target folder and the queries' types from `.sqlx`.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.target())
            .env("SQLX_OFFLINE", "true")
            .env_remove("DATABASE_URL");
        // What a cargo told this program, or a test that starts it, is not meant for the next cargo: build scripts watch
        // some of it (ring: the package's name and version), and would build half of everything again.
        for name in told_by_cargo() {
            command.env_remove(name);
        }
        command
    }
}

fn told_by_cargo() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        let kinds = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "NEXTEST",
        ];
        kinds.iter().any(|kind| name.starts_with(kind))
            || matches!(&*name, "CARGO" | "CARGO_PRIMARY_PACKAGE" | "RUSTC" | "RUSTFLAGS")
    })
}

pub fn home() -> anyhow::Result<PathBuf> {
    setting("HOME").map(PathBuf::from).context("HOME is not set")
}

/// Where cargo keeps what it has downloaded.
pub fn cargo_home() -> anyhow::Result<PathBuf> {
    match setting("CARGO_HOME") {
        Some(own) => Ok(PathBuf::from(own)),
        None => Ok(home()?.join(".cargo")),
    }
}

/// An environment variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of xtask that reads the environment"
)]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A program on the search path, or where administrators' programs are.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
