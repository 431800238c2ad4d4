//! One run by server-sent events, for whoever gets no socket: the same frames, from the same views. A task for each
//! stream holds a place in the text and reads what is new once the reader has taken the last.
//!
//! **Invariant:** at most one event waits for a reader; a reader that does not read is let go of.

use super::due::{Deed, Due};
use super::slots::{Slot, Slots};
use super::viewing::{Attempt, Viewing, ended};
use super::{Gateway, PER_NODE};
use crate::asked::Asked;
use crate::auth::Caller;
use crate::error::Result;
use crate::hints::{LISTENERS, Subscription};
use crate::limits::one_too_many;
use crate::runs::{End, Place};
use crate::sessions::Id;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocol::frame::ServerFrame;
use protocol::limits::STREAMED_RUNS;
use protocol::run::Stand;
use protocol::{Code, DeviceId, Problem, RunId, routes};
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// An event that was not taken for so long has a reader that is not reading.
const TAKEN: Duration = Duration::from_secs(15);
/// The id of the last event: who comes back with it has all of it (HTML, server-sent events: 204 ends the coming back).
const END: &str = "end";
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies of the nginx kind would keep a small event back until more has come.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunAsk {
    /// Where the viewer stands: a place, and the bytes of text that it has there. From the start, if left out.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "1-118:5120")]
    from: Option<Stand>,
}

/// The text of a reply as it is made, until it is over. `Last-Event-ID` goes before `from`.
#[utoipa::path(get, path = routes::RUN, params(("id" = RunId, Path), RunAsk), tag = "runs",
    responses((status = 200, content_type = "text/event-stream", body = String,
               description = "`run.snap`, `run.d` and `run.end` of the sockets, each with where the viewer then stands as its id"),
              (status = 204, description = "the viewer has all of it"),
              (status = 404, body = Problem), (status = 429, description = "too many at once", body = Problem)))]
pub async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    Id(run): Id<RunId>,
    headers: HeaderMap,
    Asked(ask): Asked<RunAsk>,
) -> Result<Response> {
    let last = headers.get(LAST_EVENT).map(HeaderValue::as_bytes);
    if last == Some(END.as_bytes()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let from = last.map_or(Ok(ask.from), |last| stand(last).map(Some))?;
    if gateway.0.leaving.is_cancelled() || gateway.0.sockets.len() >= PER_NODE {
        return Err(Problem::new(Code::Unavailable).retry_after(2).into());
    }
    let slot = gateway.0.streams.take(caller.device)?;
    let news = gateway.hints().subscribe(caller.user).await;
    if news.is_one_too_many() {
        return Err(too_many(LISTENERS).into());
    }
    // a sign-out between the request and the subscription was not heard
    gateway.credential_of(&caller).await?.must_hold()?;
    let place = from.map(|stand| Place {
        at: stand.at,
        bytes: usize::try_from(stand.bytes).unwrap_or(usize::MAX),
    });
    let mut viewing = Viewing::new(caller.user);
    let over = match viewing.attach(gateway.runs(), run, place).await? {
        Attempt::Watching => None,
        Attempt::Over(end) => Some(end),
        Attempt::NotThere => return Err(Code::NotFound.into()),
    };
    let (reader, events) = mpsc::channel(1);
    let showing = Showing {
        due: Due::new(caller.expires_at),
        viewing,
        caller,
        news,
        reader,
        _slot: slot,
        gateway: gateway.clone(),
    };
    gateway.0.sockets.spawn(showing.until_over(run, over));
    Ok(answer(events))
}

fn stand(last: &[u8]) -> Result<Stand, Problem> {
    let text = std::str::from_utf8(last).unwrap_or_default();
    text.parse().map_err(|why: &str| {
        Problem::new(Code::BadRequest)
            .field("Last-Event-ID")
            .detail(format!("{why}."))
    })
}

fn too_many(limit: usize) -> Problem {
    one_too_many(
        limit,
        "replies can be watched at once this way. Please stop watching one, or use a socket.",
    )
}

fn answer(events: mpsc::Receiver<Event>) -> Response {
    let events = stream::unfold(events, async |mut events| {
        let event = events.recv().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let mut response = Sse::new(events).into_response();
    response
        .headers_mut()
        .insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// How many runs each device watches here by this way.
#[derive(Clone, Debug, Default)]
pub struct Streams(Slots<DeviceId>);

/// One of a device's.
struct Watched {
    _slot: Slot<DeviceId>,
}

impl Streams {
    fn take(&self, device: DeviceId) -> Result<Watched, Problem> {
        let slot = self.0.take(device, STREAMED_RUNS);
        let slot = slot.ok_or_else(|| too_many(STREAMED_RUNS))?;
        metrics::gauge!("run_streams_open").increment(1);
        Ok(Watched { _slot: slot })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        metrics::gauge!("run_streams_open").decrement(1);
    }
}

/// A stream that is open.
struct Showing {
    gateway: Gateway,
    caller: Caller,
    news: Subscription,
    viewing: Viewing,
    due: Due,
    reader: mpsc::Sender<Event>,
    _slot: Watched,
}

/// It ends: the reader left, or is to be let go of.
struct Ended;

impl Showing {
    async fn until_over(mut self, run: RunId, over: Option<End>) {
        if let Some(end) = over {
            let _ = self.tell(ended(run, end)).await;
            return;
        }
        while self.next().await.is_ok() {
            // whatever is always ready here, others have their turn too
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn next(&mut self) -> Result<(), Ended> {
        let leaving = &self.gateway.0.leaving;
        tokio::select! {
            () = self.reader.closed() => Err(Ended),
            _ = self.news.next() => {
                super::heard_of(&self.news, &self.caller).map_err(|_gone| Ended)
            }
            () = self.viewing.woken() => self.show().await,
            () = tokio::time::sleep_until(self.due.next()) => self.keep_time().await,
            // nobody here can be told to leave: it is ended at some time while others leave, and resumed elsewhere
            () = leaving.cancelled(), if !self.due.is_leaving() => {
                self.due.leaves(Duration::ZERO..=self.gateway.drains_within());
                Ok(())
            }
        }
    }

    async fn show(&mut self) -> Result<(), Ended> {
        for shown in self.viewing.news(self.gateway.runs()).await {
            let frame = shown.frame();
            let is_end = matches!(frame, ServerFrame::End { .. });
            self.tell(frame).await?;
            if is_end {
                return Err(Ended);
            }
        }
        // it went with its session
        if self.viewing.is_over() {
            Err(Ended)
        } else {
            Ok(())
        }
    }

    async fn tell(&self, frame: ServerFrame) -> Result<(), Ended> {
        let id = stands_after(&frame).map_or_else(|| END.to_owned(), |stand| stand.to_string());
        let event = Event::default().id(id).json_data(&frame);
        self.pass(event.map_err(|_unwritable| Ended)?).await
    }

    async fn pass(&self, event: Event) -> Result<(), Ended> {
        match tokio::time::timeout(TAKEN, self.reader.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ended),
        }
    }

    /// A comment now and then, so that nothing on the way takes the stream for dead; the token's end; and whether the
    /// device is still signed in.
    async fn keep_time(&mut self) -> Result<(), Ended> {
        while let Some(deed) = self.due.take(Instant::now()) {
            match deed {
                Deed::Close(_) => return Err(Ended),
                // who goes on longer comes again with another token
                Deed::Announce { .. } => {}
                Deed::Ping { .. } => {
                    self.due.heard();
                    self.pass(Event::default().comment("still here")).await?;
                }
                Deed::Check { counts_as_use } => {
                    super::must_be_signed_in(&self.gateway, &self.caller, counts_as_use)
                        .await
                        .map_err(|_signed_out| Ended)?;
                }
            }
        }
        Ok(())
    }
}

/// Where a viewer stands that has this frame. `None`: it has everything.
fn stands_after(frame: &ServerFrame) -> Option<Stand> {
    let (at, bytes) = if let ServerFrame::Snap { at, text, .. } = frame {
        (*at, text.len() as u64)
    } else if let ServerFrame::Delta { at, offset, text, .. } = frame {
        (*at, offset + text.len() as u64)
    } else {
        return None;
    };
    Some(Stand { at, bytes })
}
