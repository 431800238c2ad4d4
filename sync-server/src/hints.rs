//! Hints: "user U is at head N", told to whoever listens here and, through Redis, on every other node.
//!
//! `publish` never waits: this node's listeners hear at once, the rest goes out in the background. A lost hint costs
//! time, never data: positioning (`sync`) finds it within half a minute.
//! **Invariant:** nothing here is the truth; nothing here touches PostgreSQL.

mod ears;
mod rooms;
mod wire;

pub use rooms::{LISTENERS, Subscription};
pub use wire::Wire;

use crate::app::App;
use crate::keyspace::Partition;
use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use protocol::frame::{LiveRun, ServerFrame};
use protocol::limits::PUSH_BYTES;
use protocol::sync::{Change, Cursor, SyncPage};
use protocol::{DeviceId, UserId};
use rooms::Rooms;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// What a user's listeners are told. Cheap to clone: a page is shared by all of them.
#[derive(Clone, Debug)]
pub enum Hint {
    /// Changes small enough to push as they are.
    Changes(Arc<Pushed>),
    /// There is something to pull, up to here.
    Head(Cursor),
    /// A reply has begun to stream.
    Started(LiveRun),
    /// This device was signed out.
    Revoked(DeviceId),
    /// This browser has a cookie of this number now: those before open nothing.
    Replaced(DeviceId, i64),
}

/// A page of changes and the frame that carries it, written once for every socket.
#[derive(Debug)]
pub struct Pushed {
    pub page: SyncPage,
    pub frame: Utf8Bytes,
    /// The same packed, once somebody wanted it so.
    pub packed: OnceLock<Option<Bytes>>,
}

impl Hint {
    /// The changes themselves where they fit a push, else only where the head is.
    pub fn of_page(page: SyncPage) -> Self {
        let to = page.to;
        if text_bytes(&page) > PUSH_BYTES {
            return Self::Head(to);
        }
        match serde_json::to_string(&ServerFrame::Sync(page.clone())) {
            Ok(frame) if frame.len() <= PUSH_BYTES => Self::Changes(Arc::new(Pushed {
                page,
                frame: frame.into(),
                packed: OnceLock::new(),
            })),
            _ => Self::Head(to),
        }
    }
}

/// A lower bound of a page's size, cheap to know.
fn text_bytes(page: &SyncPage) -> usize {
    page.changes
        .iter()
        .map(|change| match change {
            Change::Message(message) => message.content.len(),
            Change::Session(_) | Change::SessionGone { .. } => 0,
        })
        .sum()
}

#[derive(Clone)]
pub struct Hints(Arc<Parts>);

struct Parts {
    app: App,
    wire: Wire,
    rooms: Rooms,
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

impl Deref for Hints {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0.app
    }
}

impl Hints {
    /// Starts to hear Redis, one connection to each shard; they reconnect by themselves for as long as the process lives.
    pub fn start(app: App) -> Self {
        let wire = Wire::start(&app);
        Self(Arc::new(Parts {
            app,
            wire,
            rooms: Rooms::default(),
        }))
    }

    /// Tells the user's listeners here at once, and those of other nodes soon.
    pub fn publish(&self, user: UserId, hint: Hint) {
        if let Some(payload) = rooms::write(&hint) {
            self.0.wire.publish(self.channel(user), payload);
        }
        self.0.rooms.deliver(user, hint);
    }

    /// The device was signed out: its sockets close on every node.
    pub fn revoke(&self, user: UserId, device: DeviceId) {
        self.publish(user, Hint::Revoked(device));
    }

    /// A look at the database found the device signed out: who listens here and was not told of it is.
    pub fn found_revoked(&self, user: UserId, device: DeviceId) {
        if self.0.rooms.is_untold(user, device) {
            self.0.rooms.deliver(user, Hint::Revoked(device));
        }
    }

    /// The browser has another cookie: what was opened by those before closes on every node.
    pub fn replace(&self, user: UserId, device: DeviceId, cookie: i64) {
        self.publish(user, Hint::Replaced(device, cookie));
    }

    /// Listens for a user's hints. What is published after this returns is heard; read the head after it.
    pub async fn subscribe(&self, user: UserId) -> Subscription {
        let open = || {
            let hints = Arc::downgrade(&self.0);
            let heard = move |payload: &[u8]| {
                if let (Some(parts), Some(hint)) = (hints.upgrade(), rooms::read(payload)) {
                    parts.rooms.deliver(user, hint);
                }
            };
            self.0.wire.route(self.channel(user), Arc::new(heard))
        };
        let (subscription, opened) = self.0.rooms.join(user, self.clone(), open);
        if let Some(confirmed) = opened {
            confirmed.wait().await;
        }
        subscription
    }

    /// Everybody who listens on this node.
    pub fn listeners(&self) -> Vec<UserId> {
        self.0.rooms.users()
    }

    /// What a look at the database found: listeners behind it are told, and it counts as a hint that was lost.
    pub fn position(&self, user: UserId, head: Cursor) {
        if self.0.rooms.is_behind(user, head) {
            metrics::counter!("hint_lost_total").increment(1);
            self.0.rooms.deliver(user, Hint::Head(head));
        }
    }

    /// Named channels, for what is not a user's: run logs, work.
    pub fn wire(&self) -> &Wire {
        &self.0.wire
    }

    fn channel(&self, user: UserId) -> String {
        self.key_in(Partition::of(user.0), format_args!("hint:{user}"))
    }

    fn leave(&self, user: UserId) {
        self.0
            .rooms
            .leave(user, || self.0.wire.forget(self.channel(user)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::run::Status;
    use protocol::sync::{Epoch, Message, Role};
    use protocol::{MessageId, SessionId};

    fn page(content: String) -> SyncPage {
        let from = Cursor {
            epoch: Epoch::nil(),
            seq: 1,
        };
        let message = Message {
            id: MessageId(Epoch::nil()),
            session: SessionId(Epoch::nil()),
            seq: 2,
            ord: 1,
            parent: None,
            role: Role::User,
            status: Status::Complete,
            run: None,
            content,
            metadata: serde_json::json!({}),
            created_at: 1_790_000_000_000,
            deleted: false,
        };
        SyncPage {
            from,
            to: Cursor { seq: 2, ..from },
            head: 2,
            more: false,
            changes: vec![Change::Message(message)],
        }
    }

    #[test]
    fn a_page_is_pushed_up_to_sixteen_kib_and_is_a_number_above() {
        let empty = serde_json::to_string(&ServerFrame::Sync(page(String::new()))).unwrap();
        let room = 16 * 1024 - empty.len();
        let is_pushed = |content: String| match Hint::of_page(page(content)) {
            Hint::Changes(pushed) => {
                assert!(pushed.frame.len() <= PUSH_BYTES);
                true
            }
            Hint::Head(head) => {
                assert_eq!(head.seq, 2, "the number to pull to");
                false
            }
            Hint::Started(_) | Hint::Revoked(_) | Hint::Replaced(..) => panic!("of a page"),
        };
        assert!(is_pushed("x".repeat(room)) && !is_pushed("x".repeat(room + 1)));
        // what counts is its length as JSON
        assert!(is_pushed("\"".repeat(room / 2)) && !is_pushed("\"".repeat(room / 2 + 1)));
    }
}
