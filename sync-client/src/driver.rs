//! A whole device on disk: executes the engine's effects with the store, HTTP and the socket.
//!
//! Headless: `src-tauri` wraps it in commands, a test uses it as "a device". Cheap to clone; every clone is the same
//! device, and the last one dropped ends its tasks. Reads never wait for the network.
//! **Invariant:** what a person wrote is in `outbox.db` before a method returns and before a byte of it is sent.

mod core;
mod device_code;
mod drafts;
mod hydrate;
mod kept;
mod loads;
mod room;
mod sign_in;
mod slumber;
mod streams;
mod upload;
mod verify;
mod work;
mod writes;

#[cfg(test)]
mod tests;

pub use crate::clock::Clock;
pub use crate::store::Quota;
pub use device_code::{Admission, DeviceCode};

use crate::credentials::{CredentialStore, Sealing};
use crate::outbox::{JOURNAL_MILLIS, Unsent};
use crate::search::{self, Query};
use crate::store::Store;
use crate::view::{self, CONTEXT, Rows, WINDOW};
use core::Core;
use protocol::auth::Me;
use protocol::search::Found;
use protocol::sync::{Cursor, Message, Ord};
use protocol::view::{Connection, Push, SessionRow, Transcript, TranscriptState};
use protocol::{Code, MessageId, Problem, SessionId, UnixMillis};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::DropGuard;
use url::Url;

/// What this computer is called at the server.
#[derive(Clone, Debug)]
pub struct Computer {
    /// What the person calls it.
    pub name: String,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// The app's version.
    pub version: String,
}

/// What this computer holds, in numbers ([`protocol::ipc::Storage`] without the place of the secrets).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageNumbers {
    pub cache_bytes: u64,
    pub sessions: u64,
    pub messages: u64,
    /// How much the cache may hold: whichever is met first.
    pub most_bytes: u64,
    pub most_messages: u64,
    /// Sessions that stay here whatever room there is.
    pub kept: u64,
    pub waiting: u64,
    /// The background loads nothing at the moment.
    pub is_paused: bool,
    /// The files are sealed with a key.
    pub is_sealed: bool,
    /// Outboxes that wait aside, since they did not open.
    pub aside: u64,
    pub aside_bytes: u64,
    /// Those of them that open once their key is there again.
    pub locked: usize,
}

/// See the module. Made by [`Device::open`].
#[derive(Clone, Debug)]
pub struct Device {
    core: Arc<Core>,
    /// Ends the tasks when the last clone is dropped.
    _end: Arc<DropGuard>,
}

/// For a device whose key is not to be had any more: what waits to be sent is put aside, sealed as it is, and comes back should its key
/// come back. The rest is begun afresh.
pub fn begin_without_key(folder: &Path) -> Result<(), Problem> {
    Ok(Store::put_sealed_aside(folder)?)
}

/// Whether the cache of a device that nobody has open has this session. May block; no key is made for it.
pub fn has_session(folder: &Path, credentials: &dyn CredentialStore, session: SessionId) -> bool {
    let keys = credentials.keys().into_iter().map(Sealing::With);
    std::iter::once(Sealing::Open)
        .chain(keys)
        .any(|sealing| Store::has_session(folder, &sealing, session).unwrap_or(false))
}

/// Whether a device that nobody has open holds nothing of a person's that is not at the server too, so that its folder may go: what the
/// server accepted within the journal's days before `now` counts, as it is sent again where that is restored. May block; no key is
/// made for it. No, where it cannot be told.
pub fn holds_nothing_own(folder: &Path, credentials: &dyn CredentialStore, now: UnixMillis) -> bool {
    let keys = credentials.keys().into_iter().map(Sealing::With);
    let since = now - JOURNAL_MILLIS;
    std::iter::once(Sealing::Open)
        .chain(keys)
        .any(|sealing| Store::holds_nothing_own(folder, &sealing, since).unwrap_or(false))
}

/// Whether what a device keeps in this folder opens with its key alone: then no other is made for it.
pub fn needs_key(folder: &Path) -> bool {
    Store::needs_key(folder)
}

impl Device {
    /// Opens the device kept in `folder` (made if needed, 0700) and goes to work. Needs a tokio runtime. Where its files are sealed
    /// and their key cannot be had at the moment, it is refused by [`Code::KeychainUnavailable`], and nothing is touched.
    pub async fn open(
        folder: &Path,
        server: Url,
        computer: Computer,
        credentials: impl CredentialStore,
    ) -> Result<Self, Problem> {
        Self::open_within(Quota::default(), folder, server, computer, credentials).await
    }

    /// The same with another bound on what the cache holds.
    pub async fn open_within(
        quota: Quota,
        folder: &Path,
        server: Url,
        computer: Computer,
        credentials: impl CredentialStore,
    ) -> Result<Self, Problem> {
        Self::open_by(Clock::start(), quota, folder, server, computer, credentials).await
    }

    /// The same by another clock than this computer's.
    pub async fn open_by(
        clock: Clock,
        quota: Quota,
        folder: &Path,
        server: Url,
        computer: Computer,
        credentials: impl CredentialStore,
    ) -> Result<Self, Problem> {
        let credentials = Arc::new(credentials);
        let core = Core::open(clock, quota, folder, server, computer, credentials).await?;
        let end = Arc::new(core.stop.clone().drop_guard());
        Ok(Self { core, _end: end })
    }

    /// Hears every push from now on. A receiver that lags asks for everything anew.
    pub fn watch(&self) -> broadcast::Receiver<Push> {
        self.core.pushes.subscribe()
    }

    /// Hears from now on of replies that were seen here while they were made, when they have ended.
    pub fn endings(&self) -> broadcast::Receiver<Arc<Message>> {
        self.core.endings.subscribe()
    }

    pub fn server(&self) -> Url {
        self.core.http.base().clone()
    }

    /// Who is signed in here, also while the server wants a new sign-in.
    pub fn me(&self) -> Option<Me> {
        self.core.shared().me.clone()
    }

    pub fn connection(&self) -> Connection {
        self.core.shared().connection
    }

    /// Where the cache stands.
    pub async fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        Ok(self.core.store.cursor().await?)
    }

    /// The newest rows of the list, at most so many.
    pub async fn list(&self, archived: bool, most: usize) -> Result<Vec<SessionRow>, Problem> {
        // The outbox is looked at first: what it lets go of afterwards is in the rows by then.
        let outbox = self.core.outbox();
        let written = outbox.entries().map(|entry| entry.mutation.op.session());
        let others: BTreeSet<SessionId> = written.collect();
        let listed = self.core.store.sessions(archived, others, most).await;
        let listed = self.core.readable(listed).await?;
        let mut rows = view::list(&listed, &outbox, archived, most);
        self.mark_rows(&mut rows);
        Ok(rows)
    }

    /// What a session is called; `None`: it is not here.
    pub async fn title(&self, session: SessionId) -> Option<String> {
        let kept = self.core.store.session(session).await.ok()?;
        Some(view::row(session, kept.as_ref(), &self.core.outbox())?.title)
    }

    /// All of a session, from its first message; what is missing is loaded if it can be had.
    pub async fn whole(&self, session: SessionId) -> Result<Transcript, Problem> {
        self.core.load_down_to(session, Ord::MAX).await;
        self.transcript_within(session, usize::MAX).await
    }

    /// What is here of a session, without asking the network.
    pub async fn transcript(&self, session: SessionId) -> Result<Transcript, Problem> {
        let window = self.core.shared().windows.get(&session).copied();
        self.transcript_within(session, window.unwrap_or(WINDOW)).await
    }

    /// At most so many messages of it.
    async fn transcript_within(&self, session: SessionId, window: usize) -> Result<Transcript, Problem> {
        let (outbox, tails, connection) = {
            let shared = self.core.shared();
            (
                Arc::clone(&shared.outbox),
                shared.tails.of(session),
                shared.connection,
            )
        };
        let page = self.core.store.page(session, window).await;
        let page = self.core.readable(page).await?;
        let absent = match connection {
            Connection::Online | Connection::Connecting => TranscriptState::Loading,
            Connection::Offline { .. } | Connection::SignedOut | Connection::Stopped { .. } => {
                TranscriptState::NotHere
            }
        };
        let is_here = page.missing(1).is_none() || !page.messages.is_empty();
        let rows = Rows {
            session: page.session.as_ref(),
            messages: &page.messages,
            has_earlier: page.messages.first().is_some_and(|message| message.ord > 1),
            state: if is_here { TranscriptState::Ready } else { absent },
        };
        let mut transcript =
            view::transcript(session, &rows, &tails, &outbox).ok_or_else(|| Problem::new(Code::NotFound))?;
        self.mark_rows([&mut transcript.session]);
        Ok(transcript)
    }

    /// Opens a session: what is here at once; what is missing is loaded, and a push tells when it came.
    pub async fn show(&self, session: SessionId) -> Result<Transcript, Problem> {
        {
            let mut shared = self.core.shared();
            shared.windows.entry(session).or_insert(WINDOW);
            let before = shared.shown.replace(session);
            if before != Some(session) {
                self.core.note_opened(session);
            }
        }
        match self.transcript(session).await {
            Ok(transcript) => {
                self.core.load_shown();
                Ok(transcript)
            }
            Err(problem) if problem.code == Code::NotFound => {
                self.core.fetch_session(session).await?;
                self.transcript(session).await
            }
            Err(problem) => Err(problem),
        }
    }

    /// Loads the page before what is loaded, then answers the whole.
    pub async fn earlier(&self, session: SessionId) -> Result<Transcript, Problem> {
        let window = {
            let mut shared = self.core.shared();
            let window = shared.windows.entry(session).or_insert(WINDOW);
            *window += WINDOW;
            *window
        };
        let page = self.core.store.page(session, window).await;
        let page = self.core.readable(page).await?;
        let want = i64::try_from(window).unwrap_or(i64::MAX);
        if let Some(before) = page.missing(want) {
            let _wanted = self.core.wanted();
            self.core.load(session, before).await?;
        }
        self.transcript(session).await
    }

    /// Opens a session with enough earlier messages that this one is among them, if it is here or can be had.
    pub async fn reach(&self, session: SessionId, message: MessageId) -> Result<Transcript, Problem> {
        let place = self.core.store.place(session, message).await;
        if let Some((ord, last)) = self.core.readable(place).await? {
            let window = usize::try_from(last - ord + 1).unwrap_or(WINDOW) + CONTEXT;
            {
                let mut shared = self.core.shared();
                let shown = shared.windows.entry(session).or_insert(WINDOW);
                *shown = (*shown).max(window);
            }
            self.core.load_down_to(session, last - ord + 1).await;
        }
        self.show(session).await
    }

    /// Finds what is on this computer, and what waits here to be sent, that holds all these words: everywhere, or among the
    /// messages of one session.
    pub async fn search(&self, typed: &str, within: Option<SessionId>) -> Result<Found, Problem> {
        let query = Query::parse(typed).within(within);
        let outbox = self.core.outbox();
        let written = outbox.entries().map(|entry| entry.mutation.op.session());
        let others: BTreeSet<SessionId> = written.collect();
        let asked = query.clone();
        let candidates = self.core.store.search(asked, others.into_iter().collect()).await;
        Ok(search::gather(
            &query,
            &outbox,
            self.core.readable(candidates).await?,
        ))
    }

    /// What waits here to be sent, and what was refused.
    pub fn unsent(&self) -> Unsent {
        self.core.outbox().unsent()
    }

    pub async fn storage(&self) -> Result<StorageNumbers, Problem> {
        let (sessions, messages, cache_bytes) = self.core.store.numbers().await?;
        let (is_sealed, locked) = self.core.store.seals().await?;
        let (aside, aside_bytes) = self.core.store.aside().await?;
        let quota = self.core.store.quota();
        Ok(StorageNumbers {
            cache_bytes,
            sessions,
            messages,
            most_bytes: quota.bytes(),
            most_messages: quota.messages(),
            kept: self.count_kept().await?,
            waiting: self.core.outbox().waiting() as u64,
            is_paused: self.core.calm.borrow().paused,
            is_sealed,
            aside,
            aside_bytes,
            locked,
        })
    }

    /// Deletes what waits aside, whether its key may come back or not.
    pub async fn remove_aside(&self) -> Result<(), Problem> {
        Ok(self.core.store.drop_aside().await?)
    }

    /// Whether what waited here to be sent did not open at this start, and was put aside: its key is another, or it is damaged.
    pub fn has_put_aside(&self) -> bool {
        self.core.store.has_put_aside()
    }

    /// Stops filling the cache in the background, or goes on (a metered network, a battery that runs low). What a
    /// person opens is loaded all the same.
    pub fn pause_hydration(&self, paused: bool) {
        self.core.calm.send_modify(|calm| calm.paused = paused);
    }

    /// Compares all that is here with the server's, and loads afresh what differs. Says how many stretches did.
    pub async fn compare(&self) -> Result<usize, Problem> {
        let differing = verify::compare(&self.core, verify::everything()).await?;
        self.core.load_shown();
        self.core.hydrate.notify_one();
        Ok(differing)
    }

    /// The network changed, or a person came back and wants it tried now: looks at once. A computer that slept is noticed by itself.
    pub fn wake(&self) {
        self.core.wake();
    }

    /// Ends the tasks and closes the files.
    pub async fn close(&self) {
        self.core.close().await;
    }
}
