//! Redis: one server, or the shards of a cluster, behind the same words. A command goes to the shard that has its key.
//!
//! Which shard has what is asked at start, and again whenever a shard refuses a key or does not answer.
//! **Invariant:** a command is sent a second time only where the first was refused unread: nothing is ever done twice.

mod partitions;
mod shards;

pub use partitions::{Partition, slot};
pub use shards::{Shard, Shards};

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use futures_util::future::select_ok;
use redis::{Arg, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use shards::Known;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Between two looks at who has what; a cluster settles in seconds.
const PAUSE: Duration = Duration::from_millis(250);

/// Cheap to clone.
#[derive(Clone)]
pub struct Keyspace(Arc<Parts>);

struct Parts {
    known: Known,
    shards: watch::Sender<Arc<Shards>>,
    /// Something speaks for a look at who has what.
    doubted: Notify,
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyspace").finish_non_exhaustive()
    }
}

impl Keyspace {
    /// Reaches Redis at one of the addresses, which are separated by commas, and finds the rest of its cluster.
    pub async fn open(addresses: &str) -> anyhow::Result<Self> {
        let known = Known::parse(addresses)?;
        let shards = known.look().await.context("reaching Redis at REDIS_URL")?;
        if shards.is_one() && known.seeds() > 1 {
            bail!("REDIS_URL names several addresses, but the Redis that answered belongs to no cluster");
        }
        for shard in shards.all() {
            must_be_new_enough(shard).await?;
        }
        Ok(Self::of(known, shards))
    }

    /// As [`Keyspace::open`], but where Redis is away it goes on without: for who only has something to tell through it.
    pub async fn open_if_there(addresses: &str) -> anyhow::Result<Self> {
        let known = Known::parse(addresses)?;
        let shards = known.look().await.unwrap_or_else(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "Redis is away: nodes find out by themselves"
            );
            Shards::none()
        });
        Ok(Self::of(known, shards))
    }

    fn of(known: Known, shards: Shards) -> Self {
        Self(Arc::new(Parts {
            known,
            shards: watch::Sender::new(Arc::new(shards)),
            doubted: Notify::new(),
        }))
    }

    /// Who has what, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Shards>> {
        self.0.shards.subscribe()
    }

    pub fn shards(&self) -> Arc<Shards> {
        self.0.shards.borrow().clone()
    }

    /// A shard did not do what was expected: perhaps another has its keys now.
    pub fn doubt(&self) {
        self.0.doubted.notify_one();
    }

    /// Looks again at who has what whenever it was doubted, until the process ends.
    pub async fn keep_up(self, shutdown: CancellationToken) {
        if self.shards().is_one() {
            return;
        }
        loop {
            tokio::select! {
                () = self.0.doubted.notified() => {}
                () = shutdown.cancelled() => return,
            }
            // one that is not found now is looked for at the next doubt
            if let Ok(shards) = self.0.known.look().await {
                let is_news = self.0.shards.send_if_modified(|known| {
                    let is_news = **known != shards;
                    *known = Arc::new(shards);
                    is_news
                });
                if is_news {
                    tracing::info!(shards = %self.shards(), "Redis's keys have moved");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether any of Redis can be reached.
    pub async fn answers(&self) -> bool {
        let shards = self.shards();
        let pings = shards.all().map(|shard| {
            let mut commands = shard.commands();
            async move { redis::cmd("PING").query_async::<Value>(&mut commands).await }.boxed()
        });
        let pings: Vec<_> = pings.collect();
        !pings.is_empty() && select_ok(pings).await.is_ok()
    }

    /// Sorts what belongs to keys by shard, in order, so that one round trip to each serves all.
    pub fn by_shard<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Vec<Vec<(String, T)>> {
        let shards = self.shards();
        let mut sorted: BTreeMap<Option<&str>, Vec<(String, T)>> = BTreeMap::new();
        for (key, item) in items {
            let owner = shards.owner(slot(key.as_bytes()));
            let group = sorted.entry(owner.map(|shard| shard.address())).or_default();
            group.push((key, item));
        }
        sorted.into_values().collect()
    }

    fn shard_of(&self, command: Option<&Cmd>) -> RedisResult<Arc<Shard>> {
        let shards = self.shards();
        let slot = command.and_then(key).map_or(0, slot);
        let owner = shards.owner(slot).cloned();
        owner.ok_or_else(|| {
            self.doubt();
            RedisError::from((
                ErrorKind::Server(ServerErrorKind::ClusterDown),
                "no shard has the key",
            ))
        })
    }

    /// Asks the shard that has the command's key.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let shard = self.shard_of(Some(command))?;
        let mut answer = self.hear(shard.commands().send_packed_command(command).await)?;
        if let Some(redirect) = redirect(&answer) {
            answer = self.follow(&redirect, &shard, command).await?;
        }
        Ok(redis::from_redis_value(answer.extract_error()?)?)
    }

    /// Asks for many things in one round trip to the shard of the first, see [`Keyspace::by_shard`]; what has moved from
    /// there is asked again one by one. Each has an answer of its own.
    pub async fn ask_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        let shard = self.shard_of(pipeline.cmd_iter().next())?;
        let answers = shard
            .commands()
            .send_packed_commands(pipeline, 0, pipeline.len())
            .await;
        let mut answers = self.hear(answers)?;
        for (command, answer) in pipeline.cmd_iter().zip(&mut answers) {
            if let Some(redirect) = redirect(answer)
                && let Ok(moved) = self.follow(&redirect, &shard, command).await
            {
                *answer = moved;
            }
        }
        Ok(answers.into_iter().map(Value::extract_error).collect())
    }

    /// Sends what was refused unread to the shard that was named instead, once.
    async fn follow(&self, redirect: &RedisError, shard: &Shard, command: &Cmd) -> RedisResult<Value> {
        self.doubt();
        let (address, _) = redirect.redirect_node().unwrap_or_default();
        let mut elsewhere = self.0.known.at(address, shard)?.commands();
        if redirect.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
            return elsewhere.send_packed_command(command).await;
        }
        // on its way between two shards: the new one gives it only to who was sent there
        let mut asking = redis::pipe();
        asking.cmd("ASKING").add_command(command.clone());
        let answers = elsewhere.send_packed_commands(&asking, 1, 1).await?;
        Ok(answers.into_iter().next().unwrap_or(Value::Nil))
    }

    /// A shard that does not answer may have lost its keys to another.
    fn hear<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        answer.inspect_err(|error| {
            if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
                self.doubt();
            }
        })
    }
}

/// A refusal that names the shard which has the key.
fn redirect(answer: &Value) -> Option<RedisError> {
    let Value::ServerError(error) = answer else {
        return None;
    };
    let error = RedisError::from(error.clone());
    error.redirect_node().is_some().then_some(error)
}

/// Sharded pub/sub came with Redis 7. One that is away now was asked by another node, or will be missed anyway.
async fn must_be_new_enough(shard: &Shard) -> anyhow::Result<()> {
    let Ok(info) = redis::cmd("INFO")
        .arg("server")
        .query_async::<String>(&mut shard.commands())
        .await
    else {
        return Ok(());
    };
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or("7");
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or(7);
    if major < 7 {
        bail!(
            "REDIS_URL: Redis 7 or newer is needed, but {} is {version}",
            shard.address()
        );
    }
    Ok(())
}

/// The key that a command is about: after its name, in a script's call after the script and the count of keys.
fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(bytes) => Some(bytes),
        Arg::Cursor | _ => None,
    });
    match words.next()? {
        b"EVAL" => words.nth(2),
        _ => words.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_goes_where_its_key_lies() {
        assert_eq!(key(redis::cmd("GETDEL").arg("a")), Some(&b"a"[..]));
        assert_eq!(
            key(redis::cmd("EVAL").arg("return 1").arg(2).arg("a").arg("b")),
            Some(&b"a"[..])
        );
        assert_eq!(key(&redis::cmd("PING")), None);
    }
}
