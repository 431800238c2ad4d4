//! The one socket of the page: opened with a ticket, its frames handed on as they come.
//!
//! **Invariant:** after it was shut or replaced, a socket says nothing more.

use super::fetch;
use protocol::auth::Ticket as Pass;
use protocol::frame::{ClientFrame, SUBPROTOCOL, ServerFrame};
use protocol::routes;
use protocol::sync::Cursor;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use sync_client::engine::{Event, Ticket};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::{CloseEvent, MessageEvent, WebSocket};

/// The close code that a browser makes up where there was no closing handshake.
const ABNORMAL: u16 = 1006;

type Report = Rc<dyn Fn(Event)>;

/// Handed in by the page: hears of everything that the socket does.
#[derive(Default)]
pub struct Socket {
    /// The ticket of the socket that is wanted.
    wanted: Rc<Cell<Option<Ticket>>>,
    open: Rc<RefCell<Option<Open>>>,
    /// When something came in last, by this computer's clock.
    heard: Rc<Cell<f64>>,
}

struct Open {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing what is closed is nothing.
        let _ = self.socket.close();
    }
}

impl Socket {
    pub fn open(&self, ticket: Ticket, cursor: Option<Cursor>, report: Report) {
        self.shut();
        self.wanted.set(Some(ticket));
        let (wanted, open, heard) = (self.wanted.clone(), self.open.clone(), self.heard.clone());
        spawn_local(async move {
            let pass = fetch::write::<Pass>(routes::SOCKET_TICKET, &serde_json::json!({})).await;
            if wanted.get() != Some(ticket) {
                return;
            }
            let pass = match pass {
                Ok(pass) => pass.ticket,
                Err(refusal) => {
                    let failure = refusal.failure();
                    return report(Event::SocketRefused { ticket, failure });
                }
            };
            let hello = ClientFrame::Hello {
                ticket: Some(pass),
                cursor,
                enc: Vec::new(),
            };
            match connect(ticket, hello, &report, heard) {
                Some(connected) => drop(open.replace(Some(connected))),
                None => report(Event::SocketClosed {
                    ticket,
                    code: ABNORMAL,
                }),
            }
        });
    }

    pub fn shut(&self) {
        self.wanted.set(None);
        drop(self.open.take());
    }

    /// What cannot be sent now is asked for again after the next welcome.
    pub fn send(&self, frame: &ClientFrame) {
        if let Some(open) = &*self.open.borrow() {
            send(&open.socket, frame);
        }
    }

    /// Milliseconds since the server was heard; large if it never was.
    pub fn silence(&self) -> f64 {
        js_sys::Date::now() - self.heard.get()
    }
}

fn send(socket: &WebSocket, frame: &ClientFrame) {
    if socket.ready_state() != WebSocket::OPEN {
        return;
    }
    if let Ok(text) = serde_json::to_string(frame) {
        // It fails only where the socket closes just now, which is reported by itself.
        let _ = socket.send_with_str(&text);
    }
}

fn address() -> Option<String> {
    let location = web_sys::window()?.location();
    let scheme = match location.protocol().ok()?.as_str() {
        "https:" => "wss",
        _ => "ws",
    };
    Some(format!("{scheme}://{}{}", location.host().ok()?, routes::SOCKET))
}

fn connect(ticket: Ticket, hello: ClientFrame, report: &Report, heard: Rc<Cell<f64>>) -> Option<Open> {
    let socket = WebSocket::new_with_str(&address()?, SUBPROTOCOL).ok()?;
    let on_open = {
        let socket = socket.clone();
        Closure::<dyn FnMut()>::new(move || send(&socket, &hello))
    };
    let on_message = {
        let report = report.clone();
        Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            heard.set(js_sys::Date::now());
            let text = event.data().as_string().unwrap_or_default();
            // A kind from a later server is no frame of ours, but a sign of life.
            report(match serde_json::from_str::<ServerFrame>(&text) {
                Ok(frame) => Event::Frame {
                    ticket,
                    frame: Box::new(frame),
                },
                Err(_unknown) => Event::Alive { ticket },
            });
        })
    };
    let on_close = {
        let report = report.clone();
        Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            let code = event.code();
            report(Event::SocketClosed { ticket, code });
        })
    };
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    Some(Open {
        socket,
        _on_open: on_open,
        _on_message: on_message,
        _on_close: on_close,
    })
}
