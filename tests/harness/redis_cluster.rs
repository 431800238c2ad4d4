//! A Redis Cluster of one's own: three servers on loopback without replicas, each of which can be killed.

use crate::offspring::system_program;
use crate::programs::{child, free_port};
use crate::wait::until;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

const SERVERS: usize = 3;

/// Dropped: the servers are ended and their folder is gone.
#[derive(Debug)]
pub struct RedisCluster {
    shards: Vec<Shard>,
    password: String,
    _folder: TempDir,
}

#[derive(Debug)]
struct Shard {
    port: u16,
    folder: PathBuf,
    running: Mutex<Option<Child>>,
}

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-test-cluster-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let password = format!("{:032x}", rand::random::<u128>());
        let shards = (0..SERVERS).map(|number| {
            let shard = Shard {
                port: free_port(),
                folder: folder.path().join(number.to_string()),
                running: Mutex::new(None),
            };
            shard.write_settings(&password);
            shard.start();
            shard
        });
        let cluster = Self {
            shards: shards.collect(),
            password,
            _folder: folder,
        };
        for shard in &cluster.shards {
            until("a Redis to answer", async || {
                cluster.ask::<String>(shard, command(&["PING"])).await
            })
            .await;
        }
        cluster.join().await;
        cluster
    }

    /// All of its addresses, as a server is told them.
    pub(crate) fn urls(&self) -> String {
        let urls: Vec<String> = self.shards.iter().map(|shard| self.url(shard)).collect();
        urls.join(",")
    }

    fn url(&self, shard: &Shard) -> String {
        format!("redis://:{}@127.0.0.1:{}/", self.password, shard.port)
    }

    /// Makes one cluster of the servers, and waits until all of them say that it is whole.
    async fn join(&self) {
        let mut create = child(&system_program("redis-cli"), &self.first().folder);
        create
            .env("REDISCLI_AUTH", &self.password)
            .args(["--cluster", "create"])
            .args(
                self.shards
                    .iter()
                    .map(|shard| format!("127.0.0.1:{}", shard.port)),
            )
            .args(["--cluster-replicas", "0", "--cluster-yes"]);
        let created = tokio::task::spawn_blocking(move || create.output()).await;
        match created {
            Ok(Ok(output)) if output.status.success() => {}
            other => panic!("making a Redis Cluster: {other:?}"),
        }
        self.is_whole().await;
    }

    /// Until every server says that the cluster is whole.
    pub async fn is_whole(&self) {
        for shard in &self.shards {
            until("the cluster to be whole", async || {
                let state: String = self.ask(shard, command(&["CLUSTER", "INFO"])).await?;
                state.contains("cluster_state:ok").then_some(())
            })
            .await;
        }
    }

    /// Which server holds a key, or hears a channel, with this in its name.
    pub async fn holder_of(&self, part: &str) -> usize {
        self.find(part).await.0
    }

    async fn find(&self, part: &str) -> (usize, String) {
        until("a key or a channel", async || {
            for (number, shard) in self.shards.iter().enumerate() {
                let keys = command(&["KEYS", &format!("*{part}*")]);
                let channels = command(&["PUBSUB", "SHARDCHANNELS", &format!("*{part}*")]);
                for names in [keys, channels] {
                    let found: Vec<String> = self.ask(shard, names).await.unwrap_or_default();
                    if let Some(name) = found.into_iter().next() {
                        return Some((number, name));
                    }
                }
            }
            None
        })
        .await
    }

    /// Waits until so many nodes hear the channel with this in its name.
    pub async fn is_heard_by(&self, count: usize, part: &str) {
        until("the nodes to hear a channel", async || {
            let (number, name) = self.find(part).await;
            let ask = command(&["PUBSUB", "SHARDNUMSUB", &name]);
            let (_, heard_by): (String, usize) = self.ask(self.shard(number), ask).await?;
            (heard_by == count).then_some(())
        })
        .await;
    }

    /// Gives the slot of such a key or channel to the next server, with all that lies in it, as resharding does.
    pub async fn move_away(&self, part: &str) {
        let (number, name) = self.find(part).await;
        let (from, to) = (self.shard(number), self.shard((number + 1) % SERVERS));
        let slot: u16 = self.tell(from, &["CLUSTER", "KEYSLOT", &name]).await;
        let slot = slot.to_string();
        let from_id: String = self.tell(from, &["CLUSTER", "MYID"]).await;
        let to_id: String = self.tell(to, &["CLUSTER", "MYID"]).await;
        let () = self
            .tell(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])
            .await;
        let () = self
            .tell(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])
            .await;
        let keys: Vec<String> = self.tell(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
        if !keys.is_empty() {
            let port = to.port.to_string();
            let mut words = vec![
                "MIGRATE",
                "127.0.0.1",
                &port,
                "",
                "0",
                "5000",
                "AUTH",
                &self.password,
                "KEYS",
            ];
            words.extend(keys.iter().map(String::as_str));
            let () = self.tell(from, &words).await;
        }
        for shard in [to, from].into_iter().chain(&self.shards) {
            let () = self
                .tell(shard, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id])
                .await;
        }
    }

    async fn tell<T: redis::FromRedisValue>(&self, shard: &Shard, words: &[&str]) -> T {
        let answer = self.ask(shard, command(words)).await;
        answer.unwrap_or_else(|| panic!("Redis refused {words:?}"))
    }

    /// Ends a server at once, and all that it kept.
    pub fn kill(&self, number: usize) {
        self.shard(number).kill();
    }

    /// Starts it again: the same server of the cluster, with nothing in it.
    pub fn start_again(&self, number: usize) {
        self.shard(number).start();
    }

    async fn ask<T: redis::FromRedisValue>(&self, shard: &Shard, command: redis::Cmd) -> Option<T> {
        let client = redis::Client::open(self.url(shard)).ok()?;
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        command.query_async(&mut connection).await.ok()
    }

    fn shard(&self, number: usize) -> &Shard {
        self.shards
            .get(number)
            .unwrap_or_else(|| panic!("the cluster has {SERVERS} servers"))
    }

    fn first(&self) -> &Shard {
        self.shard(0)
    }
}

impl Shard {
    fn write_settings(&self, password: &str) {
        let settings = [
            format!("bind 127.0.0.1\nport {}\ncluster-port {}", self.port, free_port()),
            format!("requirepass {password}\nmasterauth {password}"),
            "cluster-enabled yes\ncluster-node-timeout 1000\nsave \"\"\nappendonly no\n".to_owned(),
        ];
        std::fs::create_dir(&self.folder)
            .and_then(|()| std::fs::write(self.folder.join("redis.conf"), settings.join("\n")))
            .unwrap_or_else(|error| panic!("settling a Redis: {error}"));
    }

    fn start(&self) {
        let log = std::fs::File::create(self.folder.join("log"))
            .unwrap_or_else(|error| panic!("making a log: {error}"));
        let started = child(&system_program("redis-server"), &self.folder)
            .arg(self.folder.join("redis.conf"))
            .current_dir(&self.folder)
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("starting redis-server: {error}"));
        *self.running() = Some(started);
    }

    fn kill(&self) {
        if let Some(mut child) = self.running().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command
}
