//! Loading what is not here: stretches of sessions, and sessions that the list has not reached.

use super::core::Core;
use crate::http::{Call, Trouble};
use crate::replica::Verdict;
use crate::tab::FIRST_LOAD;
use protocol::sync::{Histories, HistoriesAsk, History, Ord, Session};
use protocol::view::{Connection, Push};
use protocol::{Code, Problem, SessionId, limits, routes};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// After a load of what the page shows that came to nothing.
const MISSED_AGAIN: Duration = Duration::from_secs(2);

/// A page read before the latest change is asked for again, so often at most.
pub const TRIES: usize = 3;

/// Whether the background may ask the server for something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calm {
    pub paused: bool,
    /// Loads that a person waits for.
    wanted: usize,
}

#[derive(Debug)]
pub struct Wanted<'a>(&'a Core);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0
            .calm
            .send_modify(|calm| calm.wanted = calm.wanted.saturating_sub(1));
        // What it brought may be more than there is room for.
        self.0.hydrate.notify_one();
    }
}

impl Core {
    /// One page of a session, before this ord or the newest. Does nothing while the same session is being loaded.
    pub async fn load(&self, session: SessionId, before: Option<Ord>) -> Result<(), Problem> {
        if !self.shared().loading.insert(session) {
            return Ok(());
        }
        let loaded = self.load_once(session, before).await;
        self.shared().loading.remove(&session);
        loaded
    }

    async fn load_once(&self, session: SessionId, before: Option<Ord>) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let history = Arc::new(self.read_page(session, before).await?);
            let applied = self.store.apply_history(Arc::clone(&history)).await?;
            if applied.verdict == Verdict::Applied {
                self.follow(&history.messages);
                self.announce(&applied);
                return Ok(());
            }
        }
        Ok(())
    }

    async fn read_page(&self, session: SessionId, before: Option<Ord>) -> Result<History, Problem> {
        let user = self.person()?;
        let path = routes::messages(session);
        let mut call = Call::get(&path).query("limit", limits::MESSAGE_PAGE);
        if let Some(before) = before {
            call = call.query("before_ord", before);
        }
        self.ask(user, call)
            .await
            .map_err(|trouble: Trouble| trouble.problem)
    }

    /// The newest messages of many sessions in one request. Says of those that came from which ord on they are here, in
    /// the order asked; the last may be cut, and those behind it are left out.
    pub async fn load_many(&self, sessions: &[SessionId]) -> Result<Vec<(SessionId, Ord)>, Problem> {
        let ask = HistoriesAsk {
            sessions: sessions.to_vec(),
        };
        for _ in 0..TRIES {
            let user = self.person()?;
            let call = Call::post(routes::HISTORIES).json(&ask);
            let answer: Result<Histories, Trouble> = self.ask(user, call).await;
            let read = Arc::new(answer.map_err(|trouble| trouble.problem)?);
            let mut applied = self.store.apply_histories(Arc::clone(&read)).await?;
            if applied.verdict == Verdict::Applied {
                self.follow(read.histories.iter().flat_map(|history| &history.messages));
                // Of all these the page can only be showing what was opened.
                let opened = self.opened();
                applied.sessions.retain(|session| opened.contains(session));
                self.announce(&applied);
                let came = read.histories.iter();
                return Ok(came.map(|history| (history.session, history.lo)).collect());
            }
        }
        Ok(Vec::new())
    }

    pub fn opened(&self) -> BTreeSet<SessionId> {
        self.shared().windows.keys().copied().collect()
    }

    /// Says, while it is held, that a person waits for a load: the background lets it go first.
    pub fn wanted(&self) -> Wanted<'_> {
        self.calm.send_modify(|calm| calm.wanted += 1);
        Wanted(self)
    }

    /// Waits until nobody waits for a load of their own, and nothing has paused the background.
    pub async fn calm(&self) {
        let mut calm = self.calm.subscribe();
        // The sender lives as long as the device.
        let _ = calm.wait_for(|calm| !calm.paused && calm.wanted == 0).await;
    }

    /// Remembers, without being waited for, that a person opened this.
    pub fn note_opened(self: &Arc<Self>, session: SessionId) {
        let core = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(fault) = core.store.mark_opened(session).await {
                tracing::debug!(error = ?fault, "that a session was opened could not be noted");
            }
        });
    }

    /// Loads what the session that the page shows is missing.
    pub fn load_shown(self: &Arc<Self>) {
        let core = Arc::clone(self);
        self.tasks.spawn(async move {
            let Some(session) = core.shown_and_due() else {
                return;
            };
            let Ok(page) = core.store.page(session, 1).await else {
                return;
            };
            let Some(before) = page.missing(FIRST_LOAD) else {
                return;
            };
            let loaded = {
                let _wanted = core.wanted();
                core.load(session, before).await
            };
            if let Err(problem) = loaded {
                core.missed(session, problem).await;
            }
        });
    }

    /// The session that the page shows, where there is use in asking for it: whoever is away asks once they are not.
    fn shown_and_due(&self) -> Option<SessionId> {
        let shared = self.shared();
        let is_reached = matches!(shared.connection, Connection::Online | Connection::Connecting);
        let shown = shared.shown.filter(|_| is_reached);
        shown.filter(|session| !shared.missed.contains(session))
    }

    /// The page looks again after a while: it shows that the session is not here instead of loading for ever, or asks for it once more.
    /// At once it would ask as fast as it is refused.
    async fn missed(&self, session: SessionId, problem: Problem) {
        if !self.shared().missed.insert(session) {
            return;
        }
        if problem.code == Code::DiskFull {
            self.push(Push::Refused { problem });
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(MISSED_AGAIN) => {}
        }
        self.shared().missed.remove(&session);
        self.push(Push::Transcript { session });
    }

    /// Loads until the newest `want` messages of a session are here, or no more can be had.
    pub async fn load_down_to(&self, session: SessionId, want: Ord) {
        let mut missing = self.missing(session, want).await;
        if missing.is_none() || !self.is_online() {
            return;
        }
        let _wanted = self.wanted();
        while let Some(before) = missing {
            if self.load(session, before).await.is_err() {
                return;
            }
            let next = self.missing(session, want).await;
            if next == missing {
                return;
            }
            missing = next;
        }
    }

    async fn missing(&self, session: SessionId, want: Ord) -> Option<Option<Ord>> {
        self.store.page(session, 1).await.ok()?.missing(want)
    }

    /// A session that is not here at all: its row and its newest messages.
    pub async fn fetch_session(&self, id: SessionId) -> Result<(), Problem> {
        let _wanted = self.wanted();
        for _ in 0..TRIES {
            let user = self.person()?;
            // The answer tells no place of its own; it was read no earlier than this.
            let Some(as_of) = self.store.cursor().await? else {
                return Err(Problem::new(Code::Unavailable));
            };
            let session: Session = self.ask(user, Call::get(&routes::session(id))).await?;
            if self.store.apply_session(user, as_of, session).await? == Verdict::Applied {
                self.push(Push::List);
                return self.load(id, None).await;
            }
        }
        Err(Problem::new(Code::Unavailable))
    }
}
