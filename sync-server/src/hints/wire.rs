//! What this node says to the others through Redis, and what it listens to there (`ears`).
//!
//! **Invariant:** nobody waits for Redis here longer than a second, and nobody is refused anything because it is away.

use super::ears::{self, Ask};
use crate::app::App;
use crate::keyspace::Keyspace;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// Called with each payload of a channel. Must be quick and must not block: all channels wait for it.
pub type Heard = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Notes waiting to be published. Beyond it Redis is too slow or away, and notes are dropped: they are only hints.
const WAITING: usize = 8192;
/// Notes in one round trip.
const TOGETHER: usize = 256;

#[derive(Clone)]
pub struct Wire(Arc<Parts>);

struct Parts {
    node: Uuid,
    heard: Mutex<HashMap<String, Heard>>,
    asks: mpsc::UnboundedSender<Ask>,
    notes: mpsc::Sender<Note>,
    gaps: Notify,
}

/// That Redis knows of a subscription.
pub struct Confirmed(oneshot::Receiver<()>);

impl Confirmed {
    /// At most a second: without Redis there is nothing to hear anyway, and the subscription is made when it is back.
    pub async fn wait(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0).await;
    }
}

enum Note {
    Say { channel: String, payload: Vec<u8> },
    Flush(oneshot::Sender<()>),
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub fn start(app: &App) -> Self {
        let (asks, asked) = mpsc::unbounded_channel();
        let (notes, noted) = mpsc::channel(WAITING);
        let wire = Self(Arc::new(Parts {
            node: app.node,
            heard: Mutex::default(),
            asks,
            notes,
            gaps: Notify::new(),
        }));
        // ends with the process: what ends before it may still have something to say, see `flush`
        tokio::spawn(speak(app.redis.clone(), noted));
        app.tasks.spawn(ears::listen(
            wire.clone(),
            app.redis.clone(),
            asked,
            app.shutdown.clone(),
        ));
        wire
    }

    /// Says it on every other node that listens to the channel; this node does not hear itself.
    pub fn publish(&self, channel: String, payload: impl AsRef<[u8]>) {
        let payload = [self.0.node.as_bytes(), payload.as_ref()].concat();
        if self.0.notes.try_send(Note::Say { channel, payload }).is_err() {
            metrics::counter!("hint_dropped_total").increment(1);
        }
    }

    /// Waits until what was published is on its way, at most two seconds.
    pub async fn flush(&self) {
        let (said, is_said) = oneshot::channel();
        let flush = async {
            let _ = self.0.notes.send(Note::Flush(said)).await;
            let _ = is_said.await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), flush).await;
    }

    /// Hears a channel from now on; one listener a channel. What is said after the confirmation is heard.
    pub fn route(&self, channel: String, heard: Heard) -> Confirmed {
        self.routes().insert(channel.clone(), heard);
        let (confirm, confirmed) = oneshot::channel();
        // a closed queue drops the sender, which ends the wait
        let _ = self.0.asks.send(Ask::Subscribe(channel, confirm));
        Confirmed(confirmed)
    }

    pub fn forget(&self, channel: String) {
        self.routes().remove(&channel);
        let _ = self.0.asks.send(Ask::Unsubscribe(channel));
    }

    /// Resolves after a connection was made, perhaps again: what was said before it was not heard.
    pub async fn gap(&self) {
        self.0.gaps.notified().await;
    }

    pub(super) fn note_gap(&self) {
        self.0.gaps.notify_one();
    }

    /// Every channel that is heard, or should be.
    pub(super) fn channels(&self) -> Vec<String> {
        self.routes().keys().cloned().collect()
    }

    pub(super) fn hears(&self, channel: &str) -> bool {
        self.routes().contains_key(channel)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, channel: &str, payload: &[u8]) {
        let Some((node, payload)) = payload.split_at_checked(16) else {
            return;
        };
        if node == self.0.node.as_bytes() {
            return;
        }
        let heard = self.routes().get(channel).cloned();
        if let Some(heard) = heard {
            metrics::counter!("hint_heard_total").increment(1);
            heard(payload);
        }
    }
}

/// Publishes what waits, in one round trip to each shard.
async fn speak(redis: Keyspace, mut noted: mpsc::Receiver<Note>) {
    let mut notes = Vec::with_capacity(TOGETHER);
    let mut is_away = false;
    while noted.recv_many(&mut notes, TOGETHER).await > 0 {
        let mut said = Vec::new();
        let mut flushed = Vec::new();
        for note in notes.drain(..) {
            match note {
                Note::Say { channel, payload } => said.push((channel, payload)),
                Note::Flush(done) => flushed.push(done),
            }
        }
        let shards = redis.by_shard(said).into_iter().map(|said| say(&redis, said));
        let failures: Vec<redis::RedisError> = join_all(shards)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        if let (Some(error), false) = (failures.first(), is_away) {
            tracing::warn!(error = %error, "hints cannot leave this node while Redis is away");
        }
        is_away = !failures.is_empty();
        for done in flushed {
            let _ = done.send(());
        }
    }
}

async fn say(redis: &Keyspace, said: Vec<(String, Vec<u8>)>) -> redis::RedisResult<()> {
    let mut pipeline = redis::pipe();
    for (channel, payload) in &said {
        pipeline.cmd("SPUBLISH").arg(channel).arg(payload);
    }
    let outcome = redis.ask_all(&pipeline).await;
    let outcome = outcome.and_then(|answers| answers.into_iter().collect::<redis::RedisResult<Vec<_>>>());
    if outcome.is_err() {
        metrics::counter!("hint_dropped_total").increment(said.len() as u64);
    }
    outcome.map(drop)
}
