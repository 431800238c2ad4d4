//! Replies being made, read by server-sent events while the page has no socket.
//!
//! A broken stream is the browser's to open again, with the place that it had come to; it gives up where the server says
//! that the reply is over.

use js_sys::Date;
use protocol::RunId;
use protocol::frame::ServerFrame;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use sync_client::tails::Stream;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::Closure;
use web_sys::{EventSource, MessageEvent};

/// How long a stream that was refused is left alone.
const AGAIN_MILLIS: f64 = 5000.0;

type Report = Rc<dyn Fn(Box<ServerFrame>)>;

#[derive(Default)]
pub struct Streams(RefCell<BTreeMap<RunId, Open>>);

struct Open {
    source: EventSource,
    /// By this computer's clock.
    since: f64,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.close();
    }
}

impl Streams {
    /// Reads these replies and no others.
    pub fn tend(&self, wanted: Vec<(RunId, Stream)>, report: impl Fn() -> Report) {
        let mut open = self.0.borrow_mut();
        // One that was refused is shut for good, and is asked for again after a while.
        let now = Date::now();
        let is_over =
            |open: &Open| open.source.ready_state() == EventSource::CLOSED && now - open.since > AGAIN_MILLIS;
        open.retain(|run, opened| !is_over(opened) && wanted.iter().any(|(wanted, _)| wanted == run));
        for (run, stream) in wanted {
            if !open.contains_key(&run)
                && let Some(opened) = listen(&stream, report())
            {
                open.insert(run, opened);
            }
        }
    }

    /// What came does not continue what is here: the reply is read anew from there.
    pub fn again(&self, run: RunId) {
        drop(self.0.borrow_mut().remove(&run));
    }
}

fn listen(stream: &Stream, report: Report) -> Option<Open> {
    let from = stream
        .from
        .map(|from| format!("?from={from}"))
        .unwrap_or_default();
    let source = EventSource::new(&format!("{}{from}", stream.path)).ok()?;
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let text = event.data().as_string().unwrap_or_default();
        // A kind from a later server is no frame of ours.
        if let Ok(frame) = serde_json::from_str(&text) {
            report(Box::new(frame));
        }
    });
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    Some(Open {
        source,
        since: Date::now(),
        _on_message: on_message,
    })
}
