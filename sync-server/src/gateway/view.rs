//! A viewer's sight of a run, as frames made when they are asked for: from where the viewer stands to the end.

use crate::error::Result;
use crate::runs::{Attached, End, Live, Piece, Place, Runs};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use protocol::frame::ServerFrame;
use protocol::run::At;
use protocol::{Code, RunId, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Text in one frame, in bytes; the rest follows in the next.
const FRAME_TEXT: usize = 48 * 1024;
/// Between two looks at a run that is changing hands.
const HANDOVER: Duration = Duration::from_millis(50);

struct View {
    runs: Runs,
    user: UserId,
    run: RunId,
    place: Option<Place>,
    source: Source,
    woken: Arc<Notify>,
}

enum Source {
    Live(Arc<Live>),
    Over(End),
    /// The end was shown.
    Done,
}

/// The frames of a run from `from` (its place and bytes) on; `not_found` where it is not this user's.
pub async fn view(runs: &Runs, user: UserId, run: RunId, from: Option<(At, u64)>) -> Result<BoxStream<'static, ServerFrame>> {
    let place = from.and_then(|(at, bytes)| Some(Place { at, bytes: usize::try_from(bytes).ok()? }));
    let attached = runs.attach(user, run).await?.ok_or(Code::NotFound)?;
    let mut view =
        View { runs: runs.clone(), user, run, place, source: Source::Done, woken: Arc::new(Notify::new()) };
    view.source = view.watch(attached);
    let frames = stream::unfold(view, async |mut view| view.next().await.map(|frame| (frame, view)));
    Ok(frames.boxed())
}

impl View {
    fn watch(&self, attached: Attached) -> Source {
        match attached {
            Attached::Live(live) => {
                live.watch(&self.woken);
                Source::Live(live)
            }
            Attached::Over(end) => Source::Over(end),
        }
    }

    async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            let live = match &self.source {
                Source::Live(live) => live,
                Source::Over(end) => return Some(self.end(*end)),
                Source::Done => return None,
            };
            let news = live.news(self.place);
            if let Some(piece) = news.piece {
                return Some(self.show(piece));
            }
            if let Some(end) = news.end {
                return Some(self.end(end));
            }
            if news.is_left {
                // Another node, or a later attempt here, takes it up; or it is over.
                tokio::time::sleep(HANDOVER).await;
                match self.runs.attach(self.user, self.run).await {
                    Ok(Some(attached)) => self.source = self.watch(attached),
                    Ok(None) => return None,
                    Err(error) => tracing::debug!(?error, "looking for a run again"),
                }
                continue;
            }
            self.woken.notified().await;
        }
    }

    fn end(&mut self, end: End) -> ServerFrame {
        self.source = Source::Done;
        ServerFrame::End { run: self.run, status: end.status, seq: end.seq }
    }

    fn show(&mut self, piece: Piece) -> ServerFrame {
        let run = self.run;
        match piece {
            Piece::Whole { at, text, rewind } => {
                self.place = Some(Place { at, bytes: text.len() });
                ServerFrame::Snap { run, at, text, rewind }
            }
            Piece::More { at, offset, mut text } => {
                text.truncate(text.floor_char_boundary(FRAME_TEXT));
                self.place = Some(Place { at, bytes: offset + text.len() });
                ServerFrame::Delta { run, at, offset: offset as u64, text }
            }
        }
    }
}
