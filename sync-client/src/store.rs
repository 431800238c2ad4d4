//! The two files of a device: `cache.db`, the server's rows, disposable; `outbox.db`, what people wrote, precious.
//!
//! Where its keeper has a key for them, both are sealed (SQLCipher). One thread writes each file and two read the cache; jobs reach them through bounded channels.
//! **Invariant:** rows and the cursor that vouches for them are written in one transaction; nothing that happens to
//! the cache ever touches the outbox.

mod cache;
mod drafts;
mod eviction;
mod fault;
mod files;
mod kept;
mod letters;
mod quota;
mod reads;
mod rows;
mod seal;
mod search;
#[cfg(any(test, feature = "model"))]
mod twin;
mod worker;

#[cfg(test)]
mod tests;

pub use drafts::Draft;
pub use eviction::GivenUp;
pub use fault::StoreFault;
pub use letters::Kept;
pub use quota::{Quota, Reason, Reasons};
pub use reads::{Due, Gap, Page, Stretch};
#[cfg(any(test, feature = "model"))]
pub use twin::{Letters, Twin};

use crate::credentials::{FileKey, Sealing};
use crate::outbox::{Entry, Plan};
use crate::replica::{Applied, Verdict};
use crate::search::{Candidates, Query};
use crate::tails::Tail;
use files::Hold;
use protocol::auth::Me;
use protocol::sync::{
    Bootstrap, Cursor, Digest, Epoch, Histories, History, Message, Ord, Seq, Session, SessionsBefore,
    SessionsPage, SyncPage,
};
use protocol::{MessageId, SessionId, UnixMillis, UserId};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use worker::Worker;

type Result<T> = std::result::Result<T, StoreFault>;

/// Reads do not wait for each other until there are more than this.
const READERS: usize = 2;

#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    quota: Mutex<Quota>,
    sealing: Sealing,
    /// No file is other than the keeper wants it.
    is_settled: bool,
    /// An outbox was put aside at this start, and is there still.
    has_put_aside: bool,
    cache: Worker,
    /// None where the disk had no room for sharing the file: then the writer reads.
    readers: Vec<Worker>,
    outbox: Worker,
    turn: AtomicUsize,
}

impl Store {
    /// Opens both files, and makes what is missing. A cache that cannot be read is moved aside and begun afresh. A full
    /// disk keeps nobody from reading. Files that are sealed, or not, against the keeper's will are brought over first.
    #[cfg(test)]
    pub fn open(folder: &Path, quota: Quota, sealing: Sealing) -> Result<Self> {
        Self::open_with(folder, quota, sealing, Vec::new)
    }

    /// The same; `keys` is asked for others where an outbox waits aside for its own.
    pub fn open_with(
        folder: &Path,
        quota: Quota,
        sealing: Sealing,
        keys: impl FnOnce() -> Vec<FileKey>,
    ) -> Result<Self> {
        files::secure_folder(folder)?;
        let held = seal::hold(folder, &sealing, &mut |_| {});
        let is_settled = held.is_settled;
        let held = Arc::new(held);
        // Neither is touched while one of them waits for its key.
        for file in [files::outbox_file(folder), files::cache_file(folder)] {
            seal::key_for(&sealing, seal::kind(&file)?)?;
        }
        let (mut outbox, aside) = files::open_outbox(folder, &sealing)?;
        if let Some(key) = sealing.key()
            && let Err(fault) = files::take_all_back(folder, key, keys, &mut outbox)
        {
            tracing::warn!(error = ?fault, "an outbox that was put aside stays there");
        }
        let outbox = Worker::start("outbox", outbox, Arc::clone(&held))?;
        let (cache, hold) = files::open_cache_or_begin(folder, &sealing)?;
        let key = sealing.key().filter(|_| seal::is_sealed(&cache));
        let cache = Worker::start("cache", cache, Arc::clone(&held))?;
        let mut readers = Vec::new();
        let many = if hold == Hold::Shared { READERS } else { 0 };
        for _ in 0..many {
            let reader = files::open_reader(folder, key)?;
            readers.push(Worker::start("cache-read", reader, Arc::clone(&held))?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            quota: Mutex::new(quota),
            is_settled,
            has_put_aside: aside.is_some_and(|place| place.exists()),
            cache,
            readers,
            outbox,
            turn: AtomicUsize::new(0),
            sealing,
        })
    }

    /// Whether the files are as their keeper wants them.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether an outbox was put aside at this start, because it did not open.
    pub const fn has_put_aside(&self) -> bool {
        self.has_put_aside
    }

    /// Whether an outbox waits aside for its key.
    pub fn has_locked(&self) -> Result<bool> {
        Ok(!files::locked_outboxes(&self.folder)?.is_empty())
    }

    /// Whether what is in this folder opens with a key alone; so it may be where that cannot be told.
    pub fn needs_key(folder: &Path) -> bool {
        let files = [files::outbox_file(folder), files::cache_file(folder)];
        files
            .iter()
            .any(|file| matches!(seal::kind(file), Ok(seal::Kind::Sealed) | Err(_)))
    }

    /// Whether both files are sealed, and how many outboxes wait aside for their keys.
    pub async fn seals(&self) -> Result<(bool, usize)> {
        let folder = self.folder.clone();
        let outbox = self.outbox.run(move |connection| {
            Ok((
                seal::is_sealed(connection),
                files::locked_outboxes(&folder)?.len(),
            ))
        });
        let (is_outbox_sealed, locked) = outbox.await?;
        let is_cache_sealed = self.read(|connection| Ok(seal::is_sealed(connection))).await?;
        Ok((is_outbox_sealed && is_cache_sealed, locked))
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % READERS;
        let reader = self.readers.get(turn).unwrap_or(&self.cache);
        reader.run(|connection| job(connection)).await
    }

    pub async fn cursor(&self) -> Result<Option<Cursor>> {
        self.read(reads::cursor).await
    }

    /// Up to where nothing is missing; see [`crate::replica::Whole`].
    pub async fn whole(&self) -> Result<Seq> {
        Ok(self.read(reads::whole).await?.seq)
    }

    /// Whose rows the cache holds.
    pub async fn cache_owner(&self) -> Result<Option<UserId>> {
        self.read(reads::owner).await
    }

    pub async fn list_more(&self) -> Result<Option<SessionsBefore>> {
        self.read(reads::list_more).await
    }

    /// The newest `most` sessions of one kind besides these others, which come whatever their kind and age.
    pub async fn sessions(
        &self,
        archived: bool,
        others: BTreeSet<SessionId>,
        most: usize,
    ) -> Result<Vec<Session>> {
        self.read(move |connection| reads::sessions(connection, archived, &others, most))
            .await
    }

    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        self.read(move |connection| reads::session(connection, id)).await
    }

    pub async fn is_gone(&self, id: SessionId) -> Result<bool> {
        self.read(move |connection| reads::is_gone(connection, id)).await
    }

    /// The newest messages of a session, without holes.
    pub async fn page(&self, id: SessionId, limit: usize) -> Result<Page> {
        self.read(move |connection| reads::page(connection, id, limit))
            .await
    }

    /// The newest sessions whose last messages are not here.
    pub async fn to_hydrate(&self, newest: usize) -> Result<Vec<SessionId>> {
        self.read(move |connection| reads::to_hydrate(connection, newest))
            .await
    }

    /// The next sessions, newest first, of which something is not here.
    pub async fn gaps(&self, after: Option<Gap>, limit: usize) -> Result<Vec<Gap>> {
        self.read(move |connection| reads::gaps(connection, after, limit))
            .await
    }

    /// What is here of the next sessions that are due to be compared, in digests; `None`: nothing was ever loaded.
    pub async fn digests(
        &self,
        due: Due,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Option<(Cursor, Vec<Digest>)>> {
        self.read(move |connection| reads::digests(connection, due, after, limit))
            .await
    }

    pub async fn drop_stretch(&self, stretch: Stretch) -> Result<()> {
        self.cache
            .run(move |connection| cache::drop_stretch(connection, stretch))
            .await
    }

    pub async fn mark_verified(&self, sessions: Vec<SessionId>, now: UnixMillis) -> Result<()> {
        self.cache
            .run(move |connection| cache::mark_verified(connection, &sessions, now))
            .await
    }

    pub async fn tails(&self) -> Result<Vec<Tail>> {
        self.read(reads::tails).await
    }

    /// What fits, with the rows of the sessions that it is in and of these others.
    pub async fn search(&self, query: Query, others: Vec<SessionId>) -> Result<Candidates> {
        self.read(move |connection| search::search(connection, &query, &others))
            .await
    }

    /// A message that is here.
    pub async fn message(&self, id: MessageId) -> Result<Option<Message>> {
        self.read(move |connection| reads::message(connection, id)).await
    }

    /// The ord of a message that is here, and of its session's newest.
    pub async fn place(&self, session: SessionId, message: MessageId) -> Result<Option<(Ord, Ord)>> {
        self.read(move |connection| reads::place(connection, session, message))
            .await
    }

    /// Sessions and messages in the cache, and its bytes on disk.
    pub async fn numbers(&self) -> Result<(u64, u64, u64)> {
        let sessions = self.read(reads::session_count).await?;
        let messages = self.read(reads::message_count).await?;
        Ok((sessions, messages, files::cache_bytes(&self.folder)))
    }

    pub async fn apply_bootstrap(&self, user: UserId, bootstrap: Box<Bootstrap>) -> Result<()> {
        self.cache
            .run(move |connection| cache::bootstrap(connection, user, &bootstrap))
            .await
    }

    pub async fn apply_page(&self, page: Arc<SyncPage>) -> Result<Applied> {
        self.cache
            .run(move |connection| cache::page(connection, &page))
            .await
    }

    pub async fn apply_history(&self, history: Arc<History>) -> Result<Applied> {
        self.cache
            .run(move |connection| cache::history(connection, &history))
            .await
    }

    /// Stretches of many sessions, all or none.
    pub async fn apply_histories(&self, histories: Arc<Histories>) -> Result<Applied> {
        self.cache
            .run(move |connection| cache::histories(connection, &histories))
            .await
    }

    pub async fn apply_sessions(&self, page: SessionsPage) -> Result<Applied> {
        self.cache
            .run(move |connection| cache::sessions_page(connection, &page))
            .await
    }

    /// Both lists have been read from this key to their ends, last at `as_of`.
    pub async fn finish_list(&self, from: SessionsBefore, as_of: Cursor) -> Result<()> {
        self.cache
            .run(move |connection| cache::finish_list(connection, from, as_of))
            .await
    }

    /// One session's row of this user, read by itself and no earlier than `as_of`.
    pub async fn apply_session(&self, user: UserId, as_of: Cursor, session: Session) -> Result<Verdict> {
        self.cache
            .run(move |connection| cache::one_session(connection, user, as_of, &session))
            .await
    }

    /// How much the cache may hold.
    pub fn quota(&self) -> Quota {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn limit(&self, quota: Quota) {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner) = quota;
    }

    /// Whether the background may load more.
    pub async fn has_room(&self) -> Result<bool> {
        Ok(self.quota().has_room(self.read(eviction::held).await?))
    }

    /// Whether something has to be given up.
    pub async fn is_over(&self) -> Result<bool> {
        Ok(self.quota().is_over(self.read(eviction::held).await?))
    }

    /// Whether enough was given up.
    pub async fn is_back(&self) -> Result<bool> {
        Ok(self.quota().is_back(self.read(eviction::held).await?))
    }

    /// Gives up a slice of the session that is wanted least. The reasons are asked for when it comes to it.
    pub async fn give_up(
        &self,
        reasons: impl FnOnce() -> Reasons + Send + 'static,
    ) -> Result<Option<GivenUp>> {
        self.cache
            .run(move |connection| eviction::give_up(connection, &reasons()))
            .await
    }

    pub async fn mark_opened(&self, session: SessionId) -> Result<()> {
        self.cache
            .run(move |connection| eviction::open(connection, session))
            .await
    }

    pub async fn save_tails(&self, tails: Vec<Tail>) -> Result<()> {
        self.cache
            .run(move |connection| cache::save_tails(connection, &tails))
            .await
    }

    /// Throws the cache away and begins an empty one. `aside`: keeps the old file for whoever wants to know why.
    pub async fn rebuild_cache(&self, aside: bool) -> Result<()> {
        for reader in &self.readers {
            reader.run(files::let_go).await?;
        }
        let (folder, sealing) = (self.folder.clone(), self.sealing.clone());
        let is_sealed = self
            .cache
            .run(move |connection| {
                files::let_go(connection)?;
                files::clear_cache(&folder, aside)?;
                *connection = files::open_cache(&folder, &sealing, Hold::Shared)?;
                Ok(seal::is_sealed(connection))
            })
            .await?;
        for reader in &self.readers {
            let folder = self.folder.clone();
            let key = self.sealing.key().filter(|_| is_sealed).cloned();
            reader
                .run(move |connection| {
                    *connection = files::open_reader(&folder, key.as_ref())?;
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// The user's rows, and the newest `n` of anybody.
    pub async fn load_outbox(&self, user: UserId, whole: Seq) -> Result<Kept> {
        self.outbox
            .run(move |connection| letters::load(connection, user, whole))
            .await
    }

    /// What was accepted in the last days.
    pub async fn journal(&self, user: UserId) -> Result<Vec<Entry>> {
        self.outbox
            .run(move |connection| letters::journal(connection, user))
            .await
    }

    /// Makes a plan last. What it accepts was accepted `now`.
    pub async fn keep(&self, user: UserId, plan: Plan, now: UnixMillis) -> Result<()> {
        self.outbox
            .run(move |connection| letters::keep(connection, user, &plan, now))
            .await
    }

    /// What this user was writing.
    pub async fn drafts(&self, user: UserId) -> Result<Vec<Draft>> {
        self.outbox
            .run(move |connection| drafts::load(connection, user))
            .await
    }

    /// Writes down what changed of it.
    pub async fn keep_drafts(&self, user: UserId, changed: Vec<Draft>) -> Result<()> {
        self.outbox
            .run(move |connection| drafts::keep(connection, user, &changed))
            .await
    }

    /// The sessions that this user wants to stay here.
    pub async fn kept(&self, user: UserId) -> Result<BTreeSet<SessionId>> {
        self.outbox
            .run(move |connection| kept::load(connection, user))
            .await
    }

    pub async fn mark_kept(&self, user: UserId, session: SessionId, is_kept: bool) -> Result<()> {
        self.outbox
            .run(move |connection| kept::mark(connection, user, session, is_kept))
            .await
    }

    /// Drops rows accepted before this, except the newest.
    pub async fn prune_journal(&self, before: UnixMillis) -> Result<()> {
        self.outbox
            .run(move |connection| letters::prune(connection, before))
            .await
    }

    pub async fn drop_outbox(&self, user: UserId) -> Result<()> {
        self.outbox
            .run(move |connection| letters::drop_all(connection, user))
            .await
    }

    /// How many outboxes wait aside, damaged or without their keys, and their bytes.
    pub async fn aside(&self) -> Result<(u64, u64)> {
        let folder = self.folder.clone();
        self.outbox.run(move |_| files::aside(&folder)).await
    }

    /// Deletes all of them.
    pub async fn drop_aside(&self) -> Result<()> {
        let folder = self.folder.clone();
        self.outbox.run(move |_| files::drop_aside(&folder)).await
    }

    /// Deletes the outboxes that could not be read and were kept aside.
    pub async fn drop_damaged_outboxes(&self) -> Result<()> {
        let folder = self.folder.clone();
        self.outbox
            .run(move |_| files::drop_damaged_outboxes(&folder))
            .await
    }

    /// The epoch of the server's history that this user's rows were last read in. Kept with the outbox: the cache may
    /// be gone when a restored server is met.
    pub async fn epoch(&self, user: UserId) -> Result<Option<Epoch>> {
        self.outbox
            .run(move |connection| letters::note(connection, &letters::epoch_key(user)))
            .await
    }

    pub async fn remember_epoch(&self, user: UserId, epoch: Epoch) -> Result<()> {
        self.outbox
            .run(move |connection| letters::write_note(connection, &letters::epoch_key(user), Some(&epoch)))
            .await
    }

    pub async fn me(&self) -> Result<Option<Me>> {
        self.outbox
            .run(|connection| letters::note(connection, "me"))
            .await
    }

    pub async fn remember_me(&self, me: Option<Me>) -> Result<()> {
        self.outbox
            .run(move |connection| letters::write_note(connection, "me", me.as_ref()))
            .await
    }

    /// The proof of a sign-up begun here, until its code is typed.
    pub async fn binding(&self) -> Result<Option<String>> {
        self.outbox
            .run(|connection| letters::note(connection, "binding"))
            .await
    }

    pub async fn remember_binding(&self, binding: Option<String>) -> Result<()> {
        self.outbox
            .run(move |connection| letters::write_note(connection, "binding", binding.as_ref()))
            .await
    }

    /// Whether the cache in a folder that nobody has open has this session.
    pub fn has_session(folder: &Path, sealing: &Sealing, session: SessionId) -> Result<bool> {
        let key = seal::key_for(sealing, seal::kind(&files::cache_file(folder))?)?;
        let cache = files::open_reader(folder, key)?;
        Ok(reads::session(&cache, session)?.is_some())
    }

    /// Whether a folder holds nothing that is a person's and nowhere else: nothing unsent, nothing accepted since, no draft, no
    /// session that is to stay, no outbox aside. No, where somebody has it open.
    pub fn holds_nothing_own(folder: &Path, sealing: &Sealing, since: UnixMillis) -> Result<bool> {
        let lock = files::secure_file(&folder.join("store.lock"))?;
        if lock.try_lock().is_err() || files::aside(folder)?.0 > 0 {
            return Ok(false);
        }
        let outbox = files::try_outbox(folder, sealing, Hold::Shared)?;
        letters::holds_nothing_own(&outbox, since)
    }

    /// For who has no hope for the key: what is sealed and precious waits aside, and the rest is begun afresh.
    pub fn put_sealed_aside(folder: &Path) -> Result<()> {
        files::put_sealed_aside(folder)
    }

    /// Ends the threads and closes the files.
    pub async fn close(&self) {
        for worker in self.readers.iter().chain([&self.cache, &self.outbox]) {
            worker.close().await;
        }
    }
}
