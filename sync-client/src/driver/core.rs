//! What the tasks of a device share, and how they begin and end.

use super::drafts::{self, Drafts};
use super::loads::Calm;
use super::{Computer, hydrate, slumber, upload, work};
use crate::clock::Clock;
use crate::credentials::{CredentialStore, Sealing};
use crate::engine::{Event, Failure};
use crate::http::{Call, Http, Trouble};
use crate::outbox::{JOURNAL_MILLIS, Outbox, Plan};
use crate::proof::ProofKey;
use crate::replica::Applied;
use crate::socket::{Outgoing, Socket};
use crate::store::{Quota, Store, StoreFault};
use crate::tails::Tails;
use crate::tokens::{Keeper, Renewal};
use protocol::auth::Me;
use protocol::frame::ClientFrame;
use protocol::mutation::Batch;
use protocol::sync::{Cursor, Epoch, Message};
use protocol::view::{Connection, Push};
use protocol::{Code, Problem, SessionId, UserId};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

/// Pushes that a slow watcher may be behind before it has to ask for everything anew.
const PUSHES: usize = 1_024;
/// Ends of replies that a slow listener may be behind before it misses some.
const ENDINGS: usize = 64;
/// Frames and answers that may wait for the loop; the socket waits when it is full.
const EVENTS: usize = 256;

/// How far this clock may be from the server's, in milliseconds, before it says nothing about days: one day.
const CLOCKS_AGREE: u64 = 86_400_000;

/// An event whose handling somebody waits for.
pub type Told = (Event, oneshot::Sender<()>);

/// A sign-in whose first step is proven.
#[derive(Clone)]
pub struct HalfWay {
    /// What the second step is for.
    pub challenge: String,
    /// What both steps are proven with.
    pub key: ProofKey,
}

impl fmt::Debug for HalfWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HalfWay(…)")
    }
}

#[derive(Debug)]
pub struct Shared {
    pub me: Option<Me>,
    pub outbox: Arc<Outbox>,
    pub drafts: Drafts,
    /// Sessions that are to stay here whole.
    pub kept: BTreeSet<SessionId>,
    pub tails: Tails,
    /// How many messages of a session are shown; a session in here has been opened.
    pub windows: BTreeMap<SessionId, usize>,
    /// The session opened last.
    pub shown: Option<SessionId>,
    pub loading: BTreeSet<SessionId>,
    /// Sessions that could not be loaded a moment ago.
    pub missed: BTreeSet<SessionId>,
    pub connection: Connection,
    pub socket: Option<Socket>,
    /// A sign-in between its two steps.
    pub half_way: Option<HalfWay>,
}

/// Opens the files by the key that is kept for them.
fn open_store(folder: &Path, quota: Quota, keeper: &dyn CredentialStore) -> Result<Store, StoreFault> {
    let sealing = keeper.sealing().unwrap_or_else(|problem| {
        tracing::warn!(code = %problem.code, "whether there is a key for the files could not be told");
        Sealing::Open
    });
    let was_sealed = matches!(sealing, Sealing::Until(_));
    let store = Store::open_with(folder, quota, sealing, || keeper.keys())?;
    if was_sealed
        && store.is_settled()
        // What waits aside may need it yet.
        && matches!(store.has_locked(), Ok(false))
        && let Err(problem) = keeper.unsealed()
    {
        tracing::warn!(code = %problem.code, "a key that nothing needs any more could not be removed");
    }
    Ok(store)
}

#[derive(Debug)]
pub struct Core {
    pub computer: Computer,
    pub clock: Arc<Clock>,
    pub http: Http,
    pub keeper: Keeper,
    pub store: Store,
    pub pushes: broadcast::Sender<Push>,
    /// Replies that were seen to be made, as they ended.
    pub endings: broadcast::Sender<Arc<Message>>,
    pub events: mpsc::Sender<Event>,
    told: mpsc::Sender<Told>,
    shared: Mutex<Shared>,
    /// Plans for the outbox are made one after the other.
    pub writing: tokio::sync::Mutex<()>,
    pub upload: Notify,
    pub may_upload: AtomicBool,
    pub resume: AtomicBool,
    pub hydrate: Notify,
    /// Whether the background may ask the server for something.
    pub calm: watch::Sender<Calm>,
    /// A fresh start was made: what is here is compared with the server's once it is whole.
    pub verify: AtomicBool,
    pub tokens_changed: Notify,
    pub drafts_changed: Notify,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

impl Core {
    pub async fn open(
        clock: Clock,
        quota: Quota,
        folder: &Path,
        server: Url,
        computer: Computer,
        credentials: Arc<dyn CredentialStore>,
    ) -> Result<Arc<Self>, Problem> {
        let (path, keeper) = (folder.to_owned(), Arc::clone(&credentials));
        let opened = tokio::task::spawn_blocking(move || open_store(&path, quota, &*keeper)).await;
        let store = opened.map_err(|_ended| Problem::new(Code::Internal))??;
        let clock = Arc::new(clock);
        let http = Http::new(server, Arc::clone(&clock))?;
        let keeper = Keeper::new(credentials, http.clone(), folder);
        let (events, inbox) = mpsc::channel(EVENTS);
        let (told, told_inbox) = mpsc::channel(4);
        let core = Arc::new(Self {
            computer,
            clock,
            http,
            keeper,
            store,
            pushes: broadcast::channel(PUSHES).0,
            endings: broadcast::channel(ENDINGS).0,
            events,
            told,
            shared: Mutex::new(Shared {
                me: None,
                outbox: Arc::default(),
                drafts: Drafts::default(),
                kept: BTreeSet::new(),
                tails: Tails::default(),
                windows: BTreeMap::new(),
                shown: None,
                loading: BTreeSet::new(),
                missed: BTreeSet::new(),
                connection: Connection::SignedOut,
                socket: None,
                half_way: None,
            }),
            writing: tokio::sync::Mutex::new(()),
            upload: Notify::new(),
            may_upload: AtomicBool::new(false),
            resume: AtomicBool::new(false),
            hydrate: Notify::new(),
            calm: watch::Sender::default(),
            verify: AtomicBool::new(true),
            tokens_changed: Notify::new(),
            drafts_changed: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        core.recall().await?;
        core.tasks.spawn(work::run(Arc::clone(&core), inbox, told_inbox));
        core.tasks.spawn(upload::run(Arc::clone(&core)));
        core.tasks.spawn(hydrate::run(Arc::clone(&core)));
        core.tasks.spawn(work::renew_in_time(Arc::clone(&core)));
        core.tasks.spawn(drafts::run(Arc::clone(&core)));
        core.tasks.spawn(slumber::run(Arc::clone(&core)));
        if core.shared().me.is_some() {
            core.begin().await?;
        }
        Ok(core)
    }

    /// Puts together what was here when the program ended.
    async fn recall(&self) -> Result<(), Problem> {
        let kept = match self.keeper.load().await {
            Ok(kept) => kept,
            Err(problem) => {
                // Reading and writing here need no credential; signing in will tell the person.
                tracing::warn!(code = %problem.code, "the credential could not be read");
                None
            }
        };
        let me = match kept {
            Some(credential) => Some(credential.me),
            None => self.store.me().await?,
        };
        if let Some(me) = me {
            self.take_person(me).await?;
        }
        Ok(())
    }

    /// Lets go of what was accepted long ago, where this clock and the server's agree on what that is.
    pub async fn prune_journal(&self) {
        let now = self.clock.now();
        let there = self.http.server_time();
        if there.is_none_or(|there| there.abs_diff(now) > CLOCKS_AGREE) {
            tracing::debug!(now, ?there, "the journal is kept: the clocks do not agree");
            return;
        }
        if let Err(fault) = self.store.prune_journal(now - JOURNAL_MILLIS).await {
            tracing::warn!(error = ?fault, "the journal could not be pruned");
        }
    }

    /// Makes this person's rows the device's. Another's cache goes; another's outbox stays, unseen.
    pub async fn take_person(&self, me: Me) -> Result<(), Problem> {
        // what is being written by whoever was here is theirs
        let _one = self.writing.lock().await;
        let owner = self.store.cache_owner().await;
        if self.readable(owner).await?.is_some_and(|owner| owner != me.user) {
            self.store.rebuild_cache(false).await?;
        }
        let cursor = self.store.cursor().await?;
        let kept = self.store.load_outbox(me.user, self.store.whole().await?).await?;
        self.note_epoch(me.user, cursor).await;
        let mut outbox = Outbox::load_after(kept.entries, kept.last);
        if let Some(epoch) = self.store.epoch(me.user).await? {
            outbox.enter(epoch);
        }
        let drafts = Drafts::new(self.store.drafts(me.user).await?);
        let to_stay = self.store.kept(me.user).await?;
        let mut tails = Tails::default();
        for tail in self.store.tails().await? {
            tails.restore(tail);
        }
        let mut shared = self.shared();
        shared.me = Some(me);
        shared.outbox = Arc::new(outbox);
        shared.drafts = drafts;
        shared.kept = to_stay;
        shared.tails = tails;
        shared.connection = Connection::Connecting;
        Ok(())
    }

    /// What the cache knows of the server's history outlives it.
    async fn note_epoch(&self, user: UserId, cursor: Option<Cursor>) {
        let Some(cursor) = cursor else { return };
        let noted = match self.store.epoch(user).await {
            Ok(None) => self.store.remember_epoch(user, cursor.epoch).await,
            Ok(Some(_)) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = noted {
            tracing::warn!(error = ?fault, "the server's epoch could not be noted");
        }
    }

    /// Tells the loop that somebody is signed in.
    pub async fn begin(&self) -> Result<(), Problem> {
        let cursor = self.store.cursor().await?;
        self.tell(Event::SignedIn { cursor }).await;
        Ok(())
    }

    /// Hands the loop an event and waits until it is dealt with.
    pub async fn tell(&self, event: Event) {
        let (done, is_done) = oneshot::channel();
        if self.told.send((event, done)).await.is_ok() {
            let _ = is_done.await;
        }
    }

    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.shared().outbox)
    }

    pub fn user(&self) -> Option<UserId> {
        self.shared().me.as_ref().map(|me| me.user)
    }

    pub fn is_online(&self) -> bool {
        self.shared().connection == Connection::Online
    }

    pub fn push(&self, push: Push) {
        // Nobody may be watching.
        let _ = self.pushes.send(push);
    }

    /// Makes a plan for the outbox, writes it to disk, then makes it real. Goes on even if the asker is gone.
    pub async fn plan<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&Outbox) -> Result<(T, Plan), Problem> + Send + 'static,
    ) -> Result<(T, Plan), Problem> {
        let core = Arc::clone(self);
        let task = self.tasks.spawn(async move {
            let _one = core.writing.lock().await;
            let user = core.user().ok_or_else(|| Problem::new(Code::SignInRequired))?;
            let (value, plan) = make(&core.outbox())?;
            if !plan.is_empty() {
                core.store.keep(user, plan.clone(), core.clock.now()).await?;
                let mut shared = core.shared();
                Arc::make_mut(&mut shared.outbox).apply(&plan);
                shared.drafts.settle(&plan);
            }
            Ok((value, plan))
        });
        task.await.map_err(|_ended| Problem::new(Code::Internal))?
    }

    /// From here on only what is said of this history is believed; what was believed before is written down by now.
    pub async fn enter(&self, epoch: Epoch) {
        let _one = self.writing.lock().await;
        Arc::make_mut(&mut self.shared().outbox).enter(epoch);
    }

    /// Lets go of accepted rows whose effect is in the server's rows.
    pub async fn settle(&self) {
        if let Ok(whole) = self.store.whole().await {
            let _one = self.writing.lock().await;
            Arc::make_mut(&mut self.shared().outbox).settle(whole);
        }
    }

    /// What became of a batch could not be written down: it is sent again.
    pub async fn release(&self, batch: &Batch) {
        let _one = self.writing.lock().await;
        Arc::make_mut(&mut self.shared().outbox).release(batch);
    }

    /// Makes a call as the signed-in person. A refused token is renewed once.
    pub async fn ask<T: DeserializeOwned>(&self, user: UserId, call: Call<'_>) -> Result<T, Trouble> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Trouble::away(true)),
            answer = self.ask_as(user, call) => answer,
        }
    }

    async fn ask_as<T: DeserializeOwned>(&self, user: UserId, call: Call<'_>) -> Result<T, Trouble> {
        let again = call.again();
        let token = self.token(user).await?;
        match self.http.ask(call.token(&token)).await {
            Err(trouble) if trouble.failure == Failure::Unauthorized => {
                self.keeper.distrust();
                let token = self.token(user).await?;
                self.http.ask(again.token(&token)).await
            }
            other => other,
        }
    }

    pub async fn token(&self, user: UserId) -> Result<String, Trouble> {
        let token = self.keeper.token(user).await;
        token.map_err(|failure| {
            let code = if failure == Failure::Unauthorized {
                Code::SignInRequired
            } else {
                Code::Offline
            };
            Trouble::new(failure, Problem::new(code))
        })
    }

    /// The person signed in, or the problem that says that nobody is.
    pub fn person(&self) -> Result<UserId, Problem> {
        self.user().ok_or_else(|| Problem::new(Code::SignInRequired))
    }

    /// Renews the credential and tells the loop how it went.
    pub async fn renew(&self) {
        let event = match self.keeper.renew().await {
            Renewal::Renewed => Event::Renewed,
            Renewal::Refused => Event::RenewalRefused,
            Renewal::Failed => Event::RenewalFailed,
        };
        self.tokens_changed.notify_one();
        let _ = self.events.send(event).await;
    }

    /// The computer slept: what its clock says of the access token may be long past.
    pub fn awake(self: &Arc<Self>) {
        self.keeper.distrust();
        self.tokens_changed.notify_one();
        self.wake();
    }

    pub fn wake(self: &Arc<Self>) {
        let core = Arc::clone(self);
        self.tasks.spawn(async move {
            let _ = core.events.send(Event::Wake).await;
        });
    }

    pub fn send_frames(&self, frames: impl IntoIterator<Item = ClientFrame>) {
        let shared = self.shared();
        if let Some(socket) = &shared.socket {
            for frame in frames {
                socket.send(Outgoing::Frame(frame));
            }
        }
    }

    /// Looks for replies being made, or made, among messages that came.
    pub fn follow<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        let frames: Vec<ClientFrame> = {
            let mut shared = self.shared();
            let mut frames = Vec::new();
            for message in messages {
                if shared.tails.settle(message) && !message.deleted {
                    // Nobody may be interested.
                    let _ = self.endings.send(Arc::new(message.clone()));
                }
                frames.extend(shared.tails.begin_from(message));
            }
            frames
        };
        self.send_frames(frames);
    }

    /// Tells the page what changed.
    pub fn announce(&self, applied: &Applied) {
        if applied.list {
            self.push(Push::List);
        }
        for session in &applied.sessions {
            self.push(Push::Transcript { session: *session });
        }
    }

    /// A read's answer; where the cache turns out to be damaged, the loop is told and it is begun afresh.
    pub async fn readable<T>(&self, answer: Result<T, StoreFault>) -> Result<T, Problem> {
        if let Err(StoreFault::Damaged(why)) = &answer {
            tracing::warn!(why, "the cache is damaged; it is begun afresh");
            self.store.rebuild_cache(true).await?;
            let _ = self.events.send(Event::CacheLost).await;
        }
        Ok(answer?)
    }

    pub fn set_may_upload(&self, may: bool) {
        if self.may_upload.swap(may, Ordering::AcqRel) != may {
            self.upload.notify_one();
        }
    }

    /// Lanes that wait may try at once.
    pub fn resume_lanes(&self) {
        self.resume.store(true, Ordering::Release);
        self.upload.notify_one();
    }

    pub async fn close(&self) {
        self.stop.cancel();
        self.shared().socket = None;
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Credential, FileKey};

    struct Keeps {
        sealing: Sealing,
        /// It was told that the key may go.
        is_told: AtomicBool,
    }

    impl CredentialStore for Keeps {
        fn load(&self) -> Result<Option<Credential>, Problem> {
            Ok(None)
        }

        fn save(&self, _credential: &Credential) -> Result<(), Problem> {
            Ok(())
        }

        fn clear(&self) -> Result<(), Problem> {
            Ok(())
        }

        fn sealing(&self) -> Result<Sealing, Problem> {
            Ok(self.sealing.clone())
        }

        fn unsealed(&self) -> Result<(), Problem> {
            self.is_told.store(true, Ordering::Relaxed);
            Ok(())
        }
    }

    /// Opens a folder once; whether the key may go then.
    async fn may_go(folder: &Path, sealing: Sealing) -> bool {
        let keeper = Keeps {
            sealing,
            is_told: AtomicBool::new(false),
        };
        let store = open_store(folder, Quota::default(), &keeper).unwrap();
        store.close().await;
        keeper.is_told.into_inner()
    }

    #[tokio::test]
    async fn a_key_goes_only_once_no_outbox_waits_aside_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let key = |number| FileKey::from_bytes([number; 32]);
        assert!(!may_go(path, Sealing::With(key(1))).await);
        Store::put_sealed_aside(path).unwrap();
        assert!(!may_go(path, Sealing::With(key(2))).await);
        assert!(
            !may_go(path, Sealing::Until(key(2))).await,
            "one waits for another"
        );
        assert!(may_go(path, Sealing::Until(key(1))).await, "it is taken back");
    }
}
