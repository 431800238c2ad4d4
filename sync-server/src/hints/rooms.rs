//! Who listens on this node, by user. A ring of the last hints is shared by all of a user's listeners, so that a slow
//! one costs no memory: it is told that it lagged and looks at `latest`.

use super::{Hint, Hints, Pushed};
use protocol::frame::{LiveRun, ServerFrame};
use protocol::sync::Cursor;
use protocol::{DeviceId, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::broadcast;

/// Hints kept for a listener that is busy. A person's burst (a batch) fits; more is a lag, which heals by itself.
const RING: usize = 32;
/// Sockets, streams and long polls that one user may hold open on one node.
pub const LISTENERS: usize = 64;

#[derive(Default)]
pub struct Rooms {
    by_user: Mutex<HashMap<UserId, Entry>>,
}

struct Entry {
    room: Arc<Room>,
    listeners: usize,
}

struct Room {
    ring: broadcast::Sender<Hint>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    head: Option<Cursor>,
    revoked: Vec<DeviceId>,
    /// The newest cookie of each browser that got another one.
    replaced: HashMap<DeviceId, i64>,
}

/// One listener. Leaves when dropped.
pub struct Subscription {
    hints: Hints,
    user: UserId,
    room: Arc<Room>,
    ring: broadcast::Receiver<Hint>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next hint; safe to drop while waiting. A listener that lagged hears the latest head instead of each.
    pub async fn next(&mut self) -> Hint {
        self.room.next(&mut self.ring).await
    }

    /// The newest head that anybody told this node.
    pub fn head(&self) -> Option<Cursor> {
        self.room.head()
    }

    /// Whether the device was signed out while somebody listened, whatever the ring has dropped since.
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        lock(&self.room.latest).revoked.contains(&device)
    }

    /// Whether the browser got another cookie than the one of this number while somebody listened.
    pub fn is_replaced(&self, device: DeviceId, cookie: Option<i64>) -> bool {
        let latest = lock(&self.room.latest);
        let newest = latest.replaced.get(&device);
        newest.zip(cookie).is_some_and(|(newest, own)| *newest > own)
    }

    /// Whether more listen to this user here than may, this one included.
    pub fn is_one_too_many(&self) -> bool {
        self.room.ring.receiver_count() > LISTENERS
    }

    /// What was read from the database counts as heard.
    pub fn note(&self, head: Cursor) {
        note(&mut lock(&self.room.latest), head);
    }
}

impl Room {
    fn empty() -> Self {
        Self {
            ring: broadcast::channel(RING).0,
            latest: Mutex::default(),
        }
    }

    fn head(&self) -> Option<Cursor> {
        lock(&self.latest).head
    }

    async fn next(&self, ring: &mut broadcast::Receiver<Hint>) -> Hint {
        loop {
            match ring.recv().await {
                Ok(hint) => return hint,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    metrics::counter!("hint_lagged_total").increment(1);
                    if let Some(head) = self.head() {
                        return Hint::Head(head);
                    }
                }
                // the room holds the sender for as long as the subscription lives
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn deliver(&self, hint: Hint) {
        {
            let mut latest = lock(&self.latest);
            match &hint {
                Hint::Changes(pushed) => note(&mut latest, pushed.page.to),
                Hint::Head(head) => note(&mut latest, *head),
                Hint::Revoked(device) => latest.revoked.push(*device),
                Hint::Replaced(device, cookie) => {
                    let newest = latest.replaced.entry(*device).or_default();
                    *newest = (*newest).max(*cookie);
                }
                Hint::Started(_) => {}
            }
        }
        // nobody listening any more is no error
        let _ = self.ring.send(hint);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hints.leave(self.user);
    }
}

impl Rooms {
    /// The subscription; `open` runs for the user's first, under the lock, so that it never crosses a `close`.
    pub fn join<T>(&self, user: UserId, hints: Hints, open: impl FnOnce() -> T) -> (Subscription, Option<T>) {
        let mut by_user = lock(&self.by_user);
        let entry = by_user.entry(user).or_insert_with(|| Entry {
            room: Arc::new(Room::empty()),
            listeners: 0,
        });
        entry.listeners += 1;
        let opened = (entry.listeners == 1).then(open);
        let subscription = Subscription {
            hints,
            user,
            ring: entry.room.ring.subscribe(),
            room: entry.room.clone(),
        };
        (subscription, opened)
    }

    /// `close` runs when nobody is left.
    pub fn leave(&self, user: UserId, close: impl FnOnce()) {
        let mut by_user = lock(&self.by_user);
        let Some(entry) = by_user.get_mut(&user) else {
            return;
        };
        entry.listeners -= 1;
        if entry.listeners == 0 {
            by_user.remove(&user);
            close();
        }
    }

    fn room(&self, user: UserId) -> Option<Arc<Room>> {
        lock(&self.by_user).get(&user).map(|entry| entry.room.clone())
    }

    pub fn deliver(&self, user: UserId, hint: Hint) {
        if let Some(room) = self.room(user) {
            room.deliver(hint);
        }
    }

    /// Whether somebody listens to this user, and nobody told them that the device was signed out.
    pub fn is_untold(&self, user: UserId, device: DeviceId) -> bool {
        self.room(user)
            .is_some_and(|room| !lock(&room.latest).revoked.contains(&device))
    }

    pub fn users(&self) -> Vec<UserId> {
        lock(&self.by_user).keys().copied().collect()
    }

    pub fn is_behind(&self, user: UserId, head: Cursor) -> bool {
        self.room(user).is_some_and(|room| {
            room.head()
                .is_none_or(|known| known.epoch != head.epoch || known.seq < head.seq)
        })
    }
}

/// Heads only grow within an epoch; hints of two nodes may come in any order.
fn note(latest: &mut Latest, head: Cursor) {
    let is_older = latest
        .head
        .is_some_and(|known| known.epoch == head.epoch && known.seq > head.seq);
    if !is_older {
        latest.head = Some(head);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As it crosses Redis: one letter for the kind, then JSON.
pub fn write(hint: &Hint) -> Option<Vec<u8>> {
    let (kind, json) = match hint {
        Hint::Changes(pushed) => (b'c', pushed.frame.as_bytes().to_vec()),
        Hint::Head(head) => (b'h', head.to_string().into_bytes()),
        Hint::Started(run) => (b's', serde_json::to_vec(run).ok()?),
        Hint::Revoked(device) => (b'r', device.to_string().into_bytes()),
        Hint::Replaced(device, cookie) => (b'p', serde_json::to_vec(&(device, cookie)).ok()?),
    };
    let mut payload = Vec::with_capacity(json.len() + 1);
    payload.push(kind);
    payload.extend(json);
    Some(payload)
}

/// `None` for what another version wrote.
pub fn read(payload: &[u8]) -> Option<Hint> {
    let (kind, rest) = payload.split_first()?;
    let text = std::str::from_utf8(rest).ok()?;
    match kind {
        b'c' => {
            let ServerFrame::Sync(page) = serde_json::from_str(text).ok()? else {
                return None;
            };
            let frame = text.into();
            Some(Hint::Changes(Arc::new(Pushed {
                page,
                frame,
                packed: OnceLock::new(),
            })))
        }
        b'h' => text.parse().ok().map(Hint::Head),
        b's' => serde_json::from_str::<LiveRun>(text).ok().map(Hint::Started),
        b'r' => text.parse().ok().map(Hint::Revoked),
        b'p' => serde_json::from_str(text)
            .ok()
            .map(|(device, cookie)| Hint::Replaced(device, cookie)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::sync::Epoch;
    use protocol::sync::SyncPage;

    #[test]
    fn a_hint_reads_back_as_written() {
        let head = Cursor {
            epoch: Epoch::now_v7(),
            seq: 7,
        };
        let page = SyncPage {
            from: Cursor { seq: 5, ..head },
            to: head,
            head: 7,
            more: false,
            changes: Vec::new(),
        };
        let hint = Hint::of_page(page.clone());
        let again = read(&write(&hint).unwrap()).unwrap();
        assert!(matches!(again, Hint::Changes(pushed) if pushed.page == page));
        assert!(matches!(read(&write(&Hint::Head(head)).unwrap()), Some(Hint::Head(h)) if h == head));
        let device = DeviceId::fresh();
        assert!(
            matches!(read(&write(&Hint::Revoked(device)).unwrap()), Some(Hint::Revoked(d)) if d == device)
        );
        assert!(read(b"").is_none() && read(b"x{}").is_none() && read(b"h\xff").is_none());
    }

    #[test]
    fn an_older_head_is_not_noted() {
        let epoch = Epoch::now_v7();
        let mut latest = Latest::default();
        note(&mut latest, Cursor { epoch, seq: 9 });
        note(&mut latest, Cursor { epoch, seq: 4 });
        assert_eq!(latest.head.unwrap().seq, 9);
        let other = Epoch::now_v7();
        note(&mut latest, Cursor { epoch: other, seq: 1 });
        assert_eq!(latest.head.unwrap().seq, 1);
    }

    #[tokio::test]
    async fn who_lags_is_told_where_the_head_is_instead_of_what_was_dropped() {
        let room = Room::empty();
        let mut ring = room.ring.subscribe();
        let head = |seq| Cursor {
            epoch: Epoch::nil(),
            seq,
        };
        let most = i64::try_from(RING).unwrap();
        // one more than is kept
        for seq in 1..=most + 1 {
            room.deliver(Hint::of_page(SyncPage {
                from: head(seq - 1),
                to: head(seq),
                head: seq,
                more: false,
                changes: Vec::new(),
            }));
        }
        let told = room.next(&mut ring).await;
        assert!(
            matches!(told, Hint::Head(told) if told == head(most + 1)),
            "{told:?}"
        );
        // and goes on with what is kept
        let next = room.next(&mut ring).await;
        assert!(
            matches!(&next, Hint::Changes(pushed) if pushed.page.to == head(2)),
            "{next:?}"
        );
    }
}
