//! A whole device in memory: engine, rows, outbox, lanes and tails in one machine without I/O.
//!
//! A browser's page and the models in tests are its bodies. A body hands in an [`Input`] and carries out the [`Want`]s
//! that come back, in order; it reads [`Tab::list`] and [`Tab::transcript`] whenever a [`Push`] says so.
//!
//! ```
//! use sync_client::engine::{Event, Moment};
//! use sync_client::tab::{Input, Tab, Want};
//!
//! let now = |at| Moment { at, chance: 0.5 }; // a body gives the time and a random number
//! let mut tab = Tab::new();
//! // Somebody is signed in: the first want is the first page.
//! let wants = tab.turn(Input::Engine(Event::SignedIn { cursor: None }), now(0));
//! assert!(wants.iter().any(|want| matches!(want, Want::Bootstrap { .. })));
//! for want in wants {
//!     match want {
//!         Want::Bootstrap { ticket } => { /* fetch routes::BOOTSTRAP, then Event::Bootstrapped or Event::Failed */ }
//!         Want::Pull { ticket, from, wait } => { /* fetch routes::SYNC?cursor=…&wait=…, then Event::Pulled */ }
//!         Want::OpenSocket { ticket, cursor } => { /* ticket of routes::SOCKET_TICKET, WebSocket, hello; Event::Frame … */ }
//!         Want::CloseSocket | Want::Probe { .. } => { /* close it; after Probe also Event::SocketClosed */ }
//!         Want::Send(frame) => { /* over the socket, if it is open */ }
//!         Want::Upload { lane, batch } => { /* POST routes::MUTATIONS, then Input::Uploaded */ }
//!         Want::Load { session, before } => { /* GET routes::messages(session)?before_ord=…&limit=100, then Input::Loaded */ }
//!         Want::LoadList { archived, before } => { /* GET routes::SESSIONS?archived=…&before=…&limit=200, then Input::ListLoaded */ }
//!         Want::Renew => { /* GET routes::ME: 200 Event::Renewed, 401 Event::RenewalRefused, else RenewalFailed */ }
//!         Want::Timer { at } => { /* hand in Event::Tick then; replaces the earlier timer */ }
//!         Want::Push(push) => { /* tell the page */ }
//!     }
//! }
//! // A person writes: it is in the view at once, and goes out by itself.
//! let (session, _) = tab.create(now(1)).unwrap();
//! let (_, wants) = tab.send(session, "hello", now(2)).unwrap();
//! assert!(wants.iter().any(|want| matches!(want, Want::Push(_))));
//! assert_eq!(tab.transcript(session).unwrap().messages.len(), 1);
//! ```
//! **Invariant:** nothing is kept when it is dropped; what a page writes offline is gone with the page.

mod turns;
mod writes;

#[cfg(any(test, feature = "model"))]
pub mod model;

use crate::engine::{Event, Failure, Phase, State, Ticket};
use crate::lanes::Lanes;
use crate::order;
use crate::outbox::Outbox;
use crate::replica::Replica;
use crate::search::{self, Candidates, Query, hit_in};
use crate::tails::{Stream, Tails};
use crate::view::WINDOW;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::mutation::{Batch, BatchAnswer};
use protocol::search::Found;
use protocol::sync::{Cursor, History, Ord, SessionsBefore, SessionsPage};
use protocol::view::{Connection, Push, SessionRow, Transcript, TranscriptState};
use protocol::{RunId, SessionId, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

/// Newest messages of a session that a page loads when it opens it.
pub(crate) const FIRST_LOAD: Ord = 50;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Engine(Event),
    /// The answer to [`Want::Upload`].
    Uploaded {
        lane: SessionId,
        result: Result<BatchAnswer, Failure>,
    },
    /// The answer to [`Want::Load`].
    Loaded {
        session: SessionId,
        result: Result<History, Failure>,
    },
    /// The answer to [`Want::LoadList`].
    ListLoaded {
        result: Result<SessionsPage, Failure>,
    },
    /// Of a reply that is read by server-sent events ([`Tab::streamed`]).
    Streamed(Box<ServerFrame>),
}

/// Replies that a page reads by server-sent events at once: all tabs of a browser share six connections, and what is written
/// must find one.
const STREAMED_AT_ONCE: usize = 2;

/// What is to be done, in the order given. See [`crate::engine::Effect`] for those of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    Bootstrap {
        ticket: Ticket,
    },
    Pull {
        ticket: Ticket,
        from: Cursor,
        wait: u16,
    },
    OpenSocket {
        ticket: Ticket,
        cursor: Option<Cursor>,
    },
    CloseSocket,
    Probe {
        ticket: Ticket,
    },
    Send(ClientFrame),
    Renew,
    Timer {
        at: UnixMillis,
    },
    /// `POST /api/v1/mutations`.
    Upload {
        lane: SessionId,
        batch: Batch,
    },
    /// `GET /api/v1/sessions/{id}/messages`, the page before this ord or the newest.
    Load {
        session: SessionId,
        before: Option<Ord>,
    },
    /// `GET /api/v1/sessions`, the page after this key.
    LoadList {
        archived: bool,
        before: SessionsBefore,
    },
    Push(Push),
}

/// The device. Everything it knows is gone with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tab {
    state: State,
    replica: Replica,
    outbox: Outbox,
    lanes: Lanes,
    tails: Tails,
    /// The batch in flight of each lane.
    sent: BTreeMap<SessionId, Batch>,
    /// How many messages of a session the page shows; a session in here has been opened.
    windows: BTreeMap<SessionId, usize>,
    loading: BTreeSet<SessionId>,
    /// The lists that go on at the server, not archived and archived, each with the key of its next page.
    lists: Vec<(bool, SessionsBefore)>,
    /// The page of a list in flight. A fresh start meanwhile makes its answer one of an old list.
    list_asked: Option<(bool, SessionsBefore)>,
    /// When the engine wants to be woken.
    engine_due: Option<UnixMillis>,
    armed: Option<UnixMillis>,
    /// What a body with a disk adds, in models.
    #[cfg(any(test, feature = "model"))]
    body: model::Body,
}

impl Tab {
    pub fn new() -> Self {
        Self::default()
    }

    /// A device that finds again what was written and not yet sent.
    pub fn with_outbox(outbox: Outbox) -> Self {
        Self {
            outbox,
            ..Self::default()
        }
    }

    pub const fn state(&self) -> &State {
        &self.state
    }

    pub const fn connection(&self) -> Connection {
        self.state.connection()
    }

    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub const fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Whether the server's rows are here: before that an empty list means nothing.
    pub const fn is_loaded(&self) -> bool {
        self.replica.cursor().is_some()
    }

    /// Whether every session is here: one that is not among them is nowhere.
    pub fn is_whole(&self) -> bool {
        self.is_loaded() && self.lists.is_empty()
    }

    /// The newest rows of the list.
    pub fn list(&self, archived: bool, most: usize) -> Vec<SessionRow> {
        self.replica.list(&self.outbox, archived, most)
    }

    /// Finds what is in memory, the newest first: without an index there is no better order.
    pub fn search(&self, typed: &str, within: Option<SessionId>) -> Found {
        let query = Query::parse(typed).within(within);
        let mut candidates = Candidates::default();
        for session in self.replica.sessions() {
            candidates.sessions.insert(session.id, session.clone());
            if query.session().is_none() && query.whole(&session.title).is_some() {
                candidates.titled.push(session.id);
            }
            if !query.looks_into(session.id) {
                continue;
            }
            let messages = self.replica.messages(session.id);
            let hits = messages.filter_map(|message| Some((session.id, hit_in(&query, message)?)));
            candidates.hits.extend(hits);
        }
        let age = |id: &SessionId| {
            let session = candidates.sessions.get(id);
            session.map_or(0, |session| session.last_active.saturating_neg())
        };
        candidates.titled = order::by(candidates.titled, |id| (age(id), 0));
        candidates.hits = order::by(candidates.hits, |(_, hit)| (hit.created_at.saturating_neg(), 0));
        search::gather(&query, &self.outbox, candidates)
    }

    /// The replies that are to be read by server-sent events, and from where on: none while there is a socket.
    pub fn streamed(&self) -> Vec<(RunId, Stream)> {
        if *self.state.phase() != Phase::Polling {
            return Vec::new();
        }
        let runs = self
            .tails
            .to_stream(STREAMED_AT_ONCE, |session| self.windows.contains_key(&session));
        runs.into_iter()
            .filter_map(|run| Some((run, self.tails.stream(run)?)))
            .collect()
    }

    /// The newest messages of a session; `None`: it is not here (deleted, somebody else's, or not loaded yet).
    pub fn transcript(&self, session: SessionId) -> Option<Transcript> {
        let window = self.windows.get(&session).copied().unwrap_or(WINDOW);
        let absent = match self.connection() {
            Connection::Online | Connection::Connecting => TranscriptState::Loading,
            Connection::Offline { .. } | Connection::SignedOut | Connection::Stopped { .. } => {
                TranscriptState::NotHere
            }
        };
        self.replica
            .transcript(session, window, absent, &self.tails, &self.outbox)
    }
}
