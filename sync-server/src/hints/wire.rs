//! This node's one pub/sub connection to Redis, and the queue of what it has to say.
//!
//! **Invariant:** nobody waits for Redis here longer than a second, and nobody is refused anything because it is away.

use crate::app::App;
use futures_util::StreamExt as _;
use redis::aio::{ConnectionManager, PubSubSink, PubSubStream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
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

enum Ask {
    Subscribe(String, oneshot::Sender<()>),
    Unsubscribe(String),
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
        app.tasks.spawn(
            wire.clone()
                .hear(app.redis_client.clone(), asked, app.shutdown.clone()),
        );
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

    /// Resolves after the connection was lost and made again: what was said between was not heard.
    pub async fn gap(&self) {
        self.0.gaps.notified().await;
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hear(
        self,
        client: redis::Client,
        mut asked: mpsc::UnboundedReceiver<Ask>,
        shutdown: CancellationToken,
    ) {
        let mut pause = Duration::from_millis(100);
        let mut is_first = true;
        while !shutdown.is_cancelled() {
            let connect = tokio::time::timeout(Duration::from_secs(2), client.get_async_pubsub()).await;
            if let Ok(Ok(connection)) = connect {
                let (mut sink, stream) = connection.split();
                if self.subscribe_again(&mut sink).await.is_ok() {
                    if !is_first {
                        tracing::info!("hearing hints from Redis again");
                        self.0.gaps.notify_one();
                    }
                    (is_first, pause) = (false, Duration::from_millis(100));
                    self.attend(sink, stream, &mut asked, &shutdown).await;
                    continue;
                }
            }
            metrics::counter!("redis_reconnect_failed_total").increment(1);
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// All channels, on a fresh connection. Asks that waited meanwhile are in the routes already.
    async fn subscribe_again(&self, sink: &mut PubSubSink) -> redis::RedisResult<()> {
        let channels: Vec<String> = self.routes().keys().cloned().collect();
        for some in channels.chunks(500) {
            sink.subscribe(some).await?;
        }
        Ok(())
    }

    /// Until the connection ends.
    async fn attend(
        &self,
        mut sink: PubSubSink,
        mut stream: PubSubStream,
        asked: &mut mpsc::UnboundedReceiver<Ask>,
        shutdown: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                message = stream.next() => match message {
                    Some(message) => self.tell(message.get_channel_name(), message.get_payload_bytes()),
                    None => return,
                },
                ask = asked.recv() => {
                    let is_fine = match ask {
                        Some(Ask::Subscribe(channel, confirm)) => {
                            let done = sink.subscribe(channel).await;
                            let _ = confirm.send(());
                            done.is_ok()
                        }
                        // somebody may have come back to it meanwhile
                        Some(Ask::Unsubscribe(channel)) => {
                            let is_wanted = self.routes().contains_key(&channel);
                            is_wanted || sink.unsubscribe(channel).await.is_ok()
                        }
                        None => return,
                    };
                    if !is_fine {
                        return;
                    }
                }
            }
        }
    }

    fn tell(&self, channel: &str, payload: &[u8]) {
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

/// Publishes what waits, many in one round trip.
async fn speak(mut redis: ConnectionManager, mut noted: mpsc::Receiver<Note>) {
    let mut notes = Vec::with_capacity(TOGETHER);
    let mut is_away = false;
    while noted.recv_many(&mut notes, TOGETHER).await > 0 {
        let mut pipeline = redis::pipe();
        let mut flushed = Vec::new();
        for note in notes.drain(..) {
            match note {
                Note::Say { channel, payload } => {
                    pipeline.cmd("PUBLISH").arg(channel).arg(payload).ignore();
                }
                Note::Flush(said) => flushed.push(said),
            }
        }
        if !pipeline.is_empty() {
            let count = pipeline.len() as u64;
            let said: redis::RedisResult<()> = pipeline.query_async(&mut redis).await;
            if let Err(error) = &said {
                metrics::counter!("hint_dropped_total").increment(count);
                if !is_away {
                    tracing::warn!(error = %error, "hints cannot leave this node while Redis is away");
                }
            }
            is_away = said.is_err();
        }
        for said in flushed {
            let _ = said.send(());
        }
    }
}
