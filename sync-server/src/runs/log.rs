//! A run's log: one Redis Stream with the entry ids `attempt-idx`, so that Redis itself refuses an entry twice and a
//! worker that was replaced. Written in the background, many runs in one round trip; read by whoever must catch up.
//!
//! **Invariant:** a worker never waits for this. While Redis is away the text stays in memory and in checkpoints.

use super::live::{Entry, Live, What};
use crate::hints::Hints;
use crate::keyspace::Partition;
use futures_util::future::join_all;
use protocol::RunId;
use protocol::run::At;
use redis::streams::StreamRangeReply;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Entries waiting to be written. Beyond it Redis is too slow or away; the next entry heals the log with the whole text.
const WAITING: usize = 16_384;
/// Bytes of text that they may hold together; whole texts are large.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Entries in one round trip.
const TOGETHER: usize = 256;
/// A stop for a run that never ends; far above what a reply's bound allows.
const MOST_ENTRIES: usize = 20_000;
/// How long a log is kept while its run is being made, and after its end, in seconds.
const KEPT_LIVE: i64 = 24 * 3600;
const KEPT_ENDED: i64 = 900;

/// The writing end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    lines: mpsc::Sender<Line>,
    room: Arc<Semaphore>,
    /// Every worker has ended: what waits is written, and no more comes.
    closed: CancellationToken,
}

#[derive(Debug)]
struct Line {
    writer: Arc<Writer>,
    entry: Entry,
    /// What its text takes of the room for all.
    _room: OwnedSemaphorePermit,
}

/// One run's way into the log.
#[derive(Debug)]
pub struct Writer {
    live: Arc<Live>,
    /// An entry was lost: the next one carries the whole text.
    has_gap: AtomicBool,
}

impl Writer {
    pub fn new(live: Arc<Live>) -> Arc<Self> {
        Arc::new(Self {
            live,
            has_gap: AtomicBool::new(false),
        })
    }

    /// An entry did not get into the log. Viewers here see it nevertheless.
    fn miss(&self) {
        self.has_gap.store(true, Ordering::Relaxed);
        self.live.reveal_all();
    }
}

impl Log {
    pub fn start(hints: &Hints) -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        let closed = CancellationToken::new();
        hints.tasks.spawn(write(hints.clone(), waiting, closed.clone()));
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Self { lines, room, closed }
    }

    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Puts an entry on its way.
    pub fn say(&self, writer: &Arc<Writer>, entry: Entry) {
        let healed = writer.has_gap.load(Ordering::Relaxed) && !matches!(entry.what, What::End { .. });
        let entry = if healed { writer.live.whole() } else { entry };
        match self.put(writer, entry) {
            Some(()) if healed => writer.has_gap.store(false, Ordering::Relaxed),
            Some(()) => {}
            None => writer.miss(),
        }
    }

    /// `None`: there is no room.
    fn put(&self, writer: &Arc<Writer>, entry: Entry) -> Option<()> {
        let bytes = match &entry.what {
            What::More { text, .. } | What::Whole { text } => u32::try_from(text.len()).ok()?,
            What::Begun | What::End { .. } => 0,
        };
        let line = Line {
            writer: writer.clone(),
            entry,
            _room: self.room.clone().try_acquire_many_owned(bytes).ok()?,
        };
        self.lines.try_send(line).ok()
    }
}

fn key(hints: &Hints, run: RunId) -> String {
    hints.key_in(Partition::of(run.0), format_args!("run:{run}:log"))
}

/// Where a run's entries are said as they are written.
pub fn channel(hints: &Hints, run: RunId) -> String {
    hints.key_in(Partition::of(run.0), format_args!("run:{run}:said"))
}

/// Reads the log from a place on; `None` is the beginning.
pub async fn read(hints: &Hints, run: RunId, after: Option<At>) -> redis::RedisResult<Vec<Entry>> {
    let from = after.map_or("-".to_owned(), |at| format!("({at}"));
    let reply: StreamRangeReply = hints
        .redis
        .ask(redis::cmd("XRANGE").arg(key(hints, run)).arg(from).arg("+"))
        .await?;
    let entries = reply.ids.into_iter().filter_map(|id| {
        let text: Vec<u8> = id.get("e")?;
        serde_json::from_slice(&text).ok()
    });
    Ok(entries.collect())
}

/// Removes a log before its time.
pub async fn forget(hints: &Hints, run: RunId) -> redis::RedisResult<()> {
    hints.redis.ask(redis::cmd("DEL").arg(key(hints, run))).await
}

/// Says the end of a run that has no writer any more, in the name of the next attempt, which shuts the log for the last one.
pub async fn close(hints: &Hints, run: RunId, entry: &Entry) -> redis::RedisResult<()> {
    let mut pipeline = redis::pipe();
    add(&mut pipeline, &key(hints, run), entry);
    hints.redis.ask_all(&pipeline).await?;
    let payload = serde_json::to_vec(entry).unwrap_or_default();
    hints.wire().publish(channel(hints, run), payload);
    Ok(())
}

/// Two commands an entry: the entry, and how long its stream is kept.
fn add(pipeline: &mut redis::Pipeline, key: &str, entry: &Entry) {
    let kept = match entry.what {
        What::End { .. } => KEPT_ENDED,
        What::Begun | What::More { .. } | What::Whole { .. } => KEPT_LIVE,
    };
    pipeline
        .cmd("XADD")
        .arg(key)
        .arg("MAXLEN")
        .arg("~")
        .arg(MOST_ENTRIES)
        .arg(entry.at.to_string())
        .arg("e")
        .arg(serde_json::to_vec(entry).unwrap_or_default());
    pipeline.cmd("EXPIRE").arg(key).arg(kept);
}

async fn write(hints: Hints, mut waiting: mpsc::Receiver<Line>, closed: CancellationToken) {
    let mut lines: Vec<Line> = Vec::with_capacity(TOGETHER);
    loop {
        let count = tokio::select! {
            count = waiting.recv_many(&mut lines, TOGETHER) => count,
            () = closed.cancelled(), if waiting.is_empty() => return,
        };
        if count == 0 {
            return;
        }
        let lines = lines
            .drain(..)
            .map(|line| (key(&hints, line.writer.live.run), line));
        let shards = hints.redis.by_shard(lines);
        join_all(shards.into_iter().map(|lines| put(&hints, lines))).await;
    }
}

/// Writes what belongs to one shard in one round trip, and says it.
async fn put(hints: &Hints, lines: Vec<(String, Line)>) {
    let mut pipeline = redis::pipe();
    for (key, line) in &lines {
        add(&mut pipeline, key, &line.entry);
    }
    let begun = std::time::Instant::now();
    let answered = hints.redis.ask_all(&pipeline).await;
    metrics::histogram!("run_log_flush_seconds").record(begun.elapsed().as_secs_f64());
    let may_be_said: Vec<bool> = if let Ok(values) = answered {
        let added = values.iter().step_by(2);
        let noted = lines.iter().zip(added);
        noted
            .map(|((_, line), value)| note(&line.writer, &line.entry, value))
            .collect()
    } else {
        metrics::counter!("run_log_lost_total").increment(lines.len() as u64);
        for (_, line) in &lines {
            line.writer.miss();
        }
        vec![true; lines.len()]
    };
    let said = lines.iter().zip(may_be_said).filter(|(_, may)| *may);
    for ((_, line), _) in said {
        let payload = serde_json::to_vec(&line.entry).unwrap_or_default();
        hints
            .wire()
            .publish(channel(hints, line.writer.live.run), payload);
    }
}

/// Redis takes ids in ascending order only. An entry that is too old says that somebody else has the run now: its worker
/// stops at once, and not only when its agent has said everything. False: nobody else may hear of it.
pub fn note(writer: &Writer, entry: &Entry, answer: &redis::RedisResult<redis::Value>) -> bool {
    match answer {
        Ok(_) => writer.live.reveal(entry),
        Err(error) if error.to_string().contains("equal or smaller") => {
            writer.live.lose();
            return false;
        }
        Err(_) => writer.miss(),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{MessageId, SessionId, UserId};

    fn line() -> Line {
        let live = Live::new(
            UserId::fresh(),
            RunId::fresh(),
            SessionId::fresh(),
            MessageId::fresh(),
        );
        live.begin_here(1);
        let entry = live.append("text");
        let writer = Writer::new(Arc::new(live));
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned();
        Line {
            writer,
            entry,
            _room: room.unwrap(),
        }
    }

    #[test]
    fn texts_that_wait_for_redis_take_a_bounded_room_and_leave_it_when_they_are_written() {
        let (lines, mut waiting) = mpsc::channel(WAITING);
        let log = Log {
            lines,
            room: Arc::new(Semaphore::new(1_000)),
            closed: CancellationToken::new(),
        };
        let Line { writer, .. } = line();
        let text = "x".repeat(400);
        for _ in 0..4 {
            let entry = writer.live.append(&text);
            log.say(&writer, entry);
        }
        assert!(writer.has_gap.load(Ordering::Relaxed));
        assert_eq!(waiting.len(), 2, "two of these find room, and no whole text does");
        while waiting.try_recv().is_ok() {}
        log.room.add_permits(2_000);
        log.say(&writer, writer.live.append("end"));
        let healing = waiting.try_recv().expect("an entry");
        assert!(matches!(healing.entry.what, What::Whole { .. }));
        assert!(!writer.has_gap.load(Ordering::Relaxed));
    }

    fn refusal(why: &'static str) -> redis::RedisResult<redis::Value> {
        Err(redis::RedisError::from((
            redis::ErrorKind::Extension,
            "ERR",
            why.to_owned(),
        )))
    }

    #[test]
    fn an_entry_is_named_by_its_attempt_and_place_so_that_redis_refuses_an_older_one() {
        let entry = line().entry;
        let mut pipeline = redis::pipe();
        add(&mut pipeline, "log", &entry);
        let words: Vec<Vec<u8>> = pipeline
            .cmd_iter()
            .flat_map(redis::Cmd::args_iter)
            .filter_map(|arg| match arg {
                redis::Arg::Simple(bytes) => Some(bytes.to_vec()),
                redis::Arg::Cursor | _ => None,
            })
            .collect();
        assert!(words.contains(&b"1-1".to_vec()), "{words:?}");
    }

    #[test]
    fn a_worker_whose_run_somebody_else_has_is_stopped_while_its_agent_talks() {
        let fenced = line();
        let is_said = note(
            &fenced.writer,
            &fenced.entry,
            &refusal("The ID specified in XADD is equal or smaller than the target stream top item"),
        );
        assert!(!is_said, "the followers hear nothing that the log has not");
        let live = &fenced.writer.live;
        assert!(live.is_left() && live.cancel.is_cancelled());
        let unheard = line();
        let is_said = note(
            &unheard.writer,
            &unheard.entry,
            &refusal("OOM command not allowed"),
        );
        assert!(is_said);
        let live = &unheard.writer.live;
        assert!(!live.is_left() && !live.cancel.is_cancelled());
        assert!(unheard.writer.has_gap.load(Ordering::Relaxed));
    }
}
