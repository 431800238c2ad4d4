//! One subscribing connection to each of Redis's shards, for the channels that lie there (sharded pub/sub: a cluster
//! passes such a message to nobody but those who listen at its shard).
//!
//! A connection that is lost, or whose shard has other partitions now, is made again with all its channels.

use super::wire::Wire;
use crate::keyspace::{Keyspace, Shard, slot};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a connection on which nothing is said is tried: a shard that vanished without a word is missed by then.
const PING: Duration = Duration::from_secs(10);
/// Between two tries to reach a shard, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// Channels that a fresh connection subscribes to in one round trip.
const TOGETHER: usize = 500;

/// What the wire asks of its ears.
pub enum Ask {
    Subscribe(String, oneshot::Sender<()>),
    Unsubscribe(String),
}

impl Ask {
    fn channel(&self) -> &str {
        match self {
            Self::Subscribe(channel, _) | Self::Unsubscribe(channel) => channel,
        }
    }
}

/// Keeps an ear at each shard, and leads what is asked to the one whose shard has the channel.
pub async fn listen(
    wire: Wire,
    redis: Keyspace,
    mut asked: mpsc::UnboundedReceiver<Ask>,
    shutdown: CancellationToken,
) {
    let mut changes = redis.watch();
    let mut asks: HashMap<String, mpsc::UnboundedSender<Ask>> = HashMap::new();
    let ears = TaskTracker::new();
    loop {
        // looked at before each ask: an ask that waited is led by what is known now
        let shards = redis.shards();
        asks.retain(|address, _| shards.all().any(|shard| shard.address() == address));
        for shard in shards.all() {
            asks.entry(shard.address().to_owned()).or_insert_with(|| {
                let (asks, asked) = mpsc::unbounded_channel();
                let ear = Ear {
                    wire: wire.clone(),
                    redis: redis.clone(),
                    shard: shard.clone(),
                    leaving: HashSet::new(),
                };
                ears.spawn(ear.attend(asked, shutdown.clone()));
                asks
            });
        }
        tokio::select! {
            Some(ask) = asked.recv() => {
                let owner = shards.owner(slot(ask.channel().as_bytes()));
                if let Some(asks) = owner.and_then(|shard| asks.get(shard.address())) {
                    // an ear ends only with the process, or when its shard has nothing more to say
                    let _ = asks.send(ask);
                }
            }
            Ok(()) = changes.changed() => {}
            () = shutdown.cancelled() => break,
        }
    }
    ears.close();
    ears.wait().await;
}

/// One shard's.
struct Ear {
    wire: Wire,
    redis: Keyspace,
    shard: Arc<Shard>,
    /// Channels that this ear has left and Redis has not yet confirmed.
    leaving: HashSet<String>,
}

impl Ear {
    /// Until the process ends, or nobody asks any more since the shard has no keys left.
    async fn attend(mut self, mut asked: mpsc::UnboundedReceiver<Ask>, shutdown: CancellationToken) {
        let mut changes = self.redis.watch();
        let shard = self.shard.clone();
        let mut pause = PAUSE;
        let mut was_lost = false;
        while !shutdown.is_cancelled() && !asked.is_closed() {
            changes.mark_unchanged();
            let partitions = self.redis.shards().partitions(shard.address());
            if let Ok((connection, pushes)) = self.begin().await {
                if was_lost {
                    tracing::info!(shard = shard.address(), "hearing hints from Redis again");
                }
                self.wire.note_gap();
                (was_lost, pause) = (true, PAUSE);
                tokio::select! {
                    () = self.hear(connection, pushes, &mut asked) => self.redis.doubt(),
                    _ = changes.wait_for(|shards| shards.partitions(shard.address()) != partitions) => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            metrics::counter!("redis_reconnect_failed_total").increment(1);
            was_lost = true;
            self.redis.doubt();
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONG_PAUSE),
                _ = changes.changed() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// A fresh connection with all channels that lie here. Asks that waited meanwhile are among them already.
    async fn begin(
        &mut self,
    ) -> redis::RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
        let (mut connection, pushes) = self.shard.connect().await?;
        self.leaving.clear();
        let shards = self.redis.shards();
        let is_here = |channel: &String| {
            shards
                .owner(slot(channel.as_bytes()))
                .is_some_and(|owner| **owner == *self.shard)
        };
        let channels: Vec<String> = self.wire.channels().into_iter().filter(is_here).collect();
        for some in channels.chunks(TOGETHER) {
            let mut pipeline = redis::pipe();
            for channel in some {
                pipeline.cmd("SSUBSCRIBE").arg(channel);
            }
            pipeline.exec_async(&mut connection).await?;
        }
        Ok((connection, pushes))
    }

    /// Until the connection is lost or does not do what it is asked.
    async fn hear(
        &mut self,
        mut connection: MultiplexedConnection,
        mut pushes: mpsc::UnboundedReceiver<PushInfo>,
        asked: &mut mpsc::UnboundedReceiver<Ask>,
    ) {
        let mut ping = tokio::time::interval(PING);
        loop {
            let is_fine = tokio::select! {
                push = pushes.recv() => push.is_some_and(|push| self.take(&push)),
                ask = asked.recv() => match ask {
                    Some(ask) => self.follow(&mut connection, ask).await,
                    None => false,
                },
                _ = ping.tick() => redis::cmd("PING").exec_async(&mut connection).await.is_ok(),
            };
            if !is_fine {
                return;
            }
        }
    }

    async fn follow(&mut self, connection: &mut MultiplexedConnection, ask: Ask) -> bool {
        match ask {
            Ask::Subscribe(channel, confirm) => {
                let done = redis::cmd("SSUBSCRIBE").arg(channel).exec_async(connection).await;
                let _ = confirm.send(());
                done.is_ok()
            }
            // somebody may have come back to it meanwhile
            Ask::Unsubscribe(channel) if self.wire.hears(&channel) => true,
            Ask::Unsubscribe(channel) => {
                self.leaving.insert(channel.clone());
                redis::cmd("SUNSUBSCRIBE")
                    .arg(channel)
                    .exec_async(connection)
                    .await
                    .is_ok()
            }
        }
    }

    /// False: the connection is of no more use.
    fn take(&mut self, push: &PushInfo) -> bool {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::SMessage, [Value::BulkString(channel), Value::BulkString(payload)]) => {
                if let Ok(channel) = std::str::from_utf8(channel) {
                    self.wire.tell(channel, payload);
                }
                true
            }
            // unasked, Redis takes back a subscription whose slot goes to another shard
            (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) => {
                std::str::from_utf8(channel).is_ok_and(|channel| self.leaving.remove(channel))
            }
            (PushKind::Disconnection, _) => false,
            _ => true,
        }
    }
}
