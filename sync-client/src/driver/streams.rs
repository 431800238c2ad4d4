//! Replies being made, read by server-sent events while the socket is refused: what comes goes the way of its frames.
//!
//! **Invariant:** there is none of it while there is a socket, and never more than a device may have.

use super::core::Core;
use crate::engine::Failure;
use crate::http::{Call, Events, Trouble};
use protocol::RunId;
use protocol::frame::ServerFrame;
use protocol::limits::STREAMED_RUNS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// After a stream that broke, or was refused for now.
const AGAIN: Duration = Duration::from_secs(5);
/// Frames that may wait for the loop; the streams wait when it is full.
const FRAMES: usize = 16;

#[derive(Debug)]
pub struct Streams {
    frames: mpsc::Sender<ServerFrame>,
    open: BTreeMap<RunId, AbortOnDropHandle<()>>,
}

impl Streams {
    /// With where its frames arrive.
    pub fn new() -> (Self, mpsc::Receiver<ServerFrame>) {
        let (frames, arriving) = mpsc::channel(FRAMES);
        let open = BTreeMap::new();
        (Self { frames, open }, arriving)
    }

    /// Watches what is being made, that of the shown session first; nothing where changes are not polled for.
    pub fn tend(&mut self, core: &Arc<Core>, is_polling: bool) {
        let wanted = if is_polling { wanted(core) } else { BTreeSet::new() };
        self.open.retain(|run, _| wanted.contains(run));
        for run in wanted {
            self.open.entry(run).or_insert_with(|| {
                let watching = watch(Arc::clone(core), run, self.frames.clone());
                AbortOnDropHandle::new(core.tasks.spawn(watching))
            });
        }
    }

    /// What came does not continue what is here: it is asked for anew from there.
    pub fn again(&mut self, run: RunId) {
        self.open.remove(&run);
    }
}

fn wanted(core: &Core) -> BTreeSet<RunId> {
    let shared = core.shared();
    shared
        .tails
        .to_stream(STREAMED_RUNS, |session| Some(session) == shared.shown)
}

/// Until it is over, is not there, or nobody wants it any more.
async fn watch(core: Arc<Core>, run: RunId, frames: mpsc::Sender<ServerFrame>) {
    loop {
        match read(&core, run, &frames).await {
            Ok(()) => return,
            Err(trouble) => match trouble.failure {
                Failure::Refused(_) => return,
                Failure::Unauthorized => core.keeper.distrust(),
                Failure::NotSent | Failure::Cut | Failure::Later { .. } | Failure::Reset(_) => {}
            },
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn read(core: &Core, run: RunId, frames: &mpsc::Sender<ServerFrame>) -> Result<(), Trouble> {
    let stream = core.shared().tails.stream(run);
    let (Some(user), Some(stream)) = (core.user(), stream) else {
        return Ok(());
    };
    let token = core.token(user).await?;
    let mut call = Call::get(&stream.path).token(&token);
    if let Some(from) = stream.from {
        call = call.query("from", from);
    }
    let mut events: Events = core.http.events(call).await?;
    loop {
        let frame: Option<ServerFrame> = tokio::select! {
            () = core.stop.cancelled() => return Ok(()),
            event = events.next() => event?,
        };
        // one of a kind from the future
        let Some(frame) = frame else { continue };
        let is_end = matches!(frame, ServerFrame::End { .. });
        if frames.send(frame).await.is_err() || is_end {
            return Ok(());
        }
    }
}
