//! What every room stands on: settings, PostgreSQL, Redis, keys and the list of tasks to end. One for each process.

pub mod calls;

use crate::config::Config;
use crate::database::Pool;
use crate::keyspace::{Keyspace, Partition};
use crate::places::Places;
use anyhow::Context as _;
use hkdf::Hkdf;
use sha2::Sha256;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Cheap to clone; each room's state holds one.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub config: Config,
    pub pool: Pool,
    /// Reconnects by itself; a command fails within a second while the Redis that has its key is away.
    pub redis: Keyspace,
    pub keys: Keys,
    /// Roughly where networks are, where the settings name a file that says so.
    pub places: Places,
    /// This process among the nodes; new at each start.
    pub node: Uuid,
    /// Cancelled when the process is asked to end: it is not ready for more.
    pub ending: CancellationToken,
    /// Cancelled when it has let go of its sockets: what runs in the background ends too.
    pub shutdown: CancellationToken,
    /// Tasks that are waited for at the end.
    pub tasks: TaskTracker,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Connects to what must be there at start. Each failure names the setting.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let places = Places::open(config.places.as_deref())?;
        let pool = Pool::open(&config).await?;
        let redis = Keyspace::open(config.redis_url.expose()).await?;
        Self::of(config, pool, redis, places)
    }

    /// As [`App::open`], and without Redis where it is away: what a command changes is the database's.
    pub async fn open_for_a_command(config: Config) -> anyhow::Result<Self> {
        let pool = Pool::open(&config).await?;
        let redis = Keyspace::open_if_there(config.redis_url.expose()).await?;
        Self::of(config, pool, redis, Places::none())
    }

    fn of(config: Config, pool: Pool, redis: Keyspace, places: Places) -> anyhow::Result<Self> {
        let keys = Keys::from_masters(config.secrets()?);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(redis.clone().keep_up(shutdown.clone()));
        Ok(Self(Arc::new(Parts {
            config,
            pool,
            redis,
            keys,
            places,
            node: Uuid::now_v7(),
            ending: CancellationToken::new(),
            shutdown,
            tasks,
        })))
    }

    /// A Redis key under this installation's prefix, on whichever shard.
    pub fn key(&self, rest: impl std::fmt::Display) -> String {
        format!("{}{rest}", self.config.redis_prefix)
    }

    /// A Redis key or channel that lies together with all others of its partition.
    pub fn key_in(&self, partition: Partition, rest: impl std::fmt::Display) -> String {
        format!("{}{partition}:{rest}", self.config.redis_prefix)
    }
}

/// Makes the workspaces' folder and tries a write in it, rather than failing at somebody's first session.
pub fn must_be_writable(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .with_context(|| format!("WORKSPACES: the folder {} cannot be made", folder.display()))?;
    // a name of its own: several nodes may share the folder and start at once
    let trial = folder.join(format!(".trial-{}", Uuid::now_v7()));
    std::fs::write(&trial, [])
        .and_then(|()| std::fs::remove_file(&trial))
        .with_context(|| format!("WORKSPACES: the folder {} cannot be written to", folder.display()))
}

/// Keys by purpose, derived from the master secrets (HKDF-SHA-256, RFC 5869): one leaked key opens one door.
pub struct Keys {
    /// What everything is made with.
    newest: Vec<u8>,
    /// What was made with these is taken still.
    others: Vec<Vec<u8>>,
}

impl Keys {
    /// The first makes everything.
    pub fn from_masters(masters: Vec<Vec<u8>>) -> Self {
        let mut masters = masters.into_iter();
        Self {
            newest: masters.next().unwrap_or_default(),
            others: masters.collect(),
        }
    }

    pub fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// The 32-byte key for a purpose, mixed with a salt of the thing it is for.
    pub fn derive(&self, purpose: &str, salt: &[u8]) -> [u8; 32] {
        derived(&self.newest, purpose, salt)
    }

    /// As [`Keys::derive`], and after it what the other secrets give.
    pub fn derive_each(&self, purpose: &str, salt: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        let masters = std::iter::once(&self.newest).chain(&self.others);
        masters.map(move |master| derived(master, purpose, salt))
    }
}

fn derived(master: &[u8], purpose: &str, salt: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), master)
        .expand(purpose.as_bytes(), &mut key)
        .unwrap_or_else(|_| unreachable!("32 bytes is a valid HKDF length"));
    key
}
