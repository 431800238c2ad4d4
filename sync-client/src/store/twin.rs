//! Both files in memory, for models: the cache is handed what a device's rows are handed, the outbox every plan, and each
//! has to say the same.

use super::letters::{self, Kept};
use super::reads::{self, Stretch};
use super::{Result, cache, files};
use crate::outbox::{Entry, Plan};
use crate::replica::Replica;
use protocol::sync::{Bootstrap, Epoch, History, Ord, Seq, SessionsPage, SyncPage};
use protocol::{SessionId, UserId};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Who writes.
const WRITER: UserId = UserId(Epoch::nil());

/// The outbox.
#[derive(Debug)]
pub struct Letters(Connection);

impl Letters {
    pub fn new() -> Result<Self> {
        Ok(Self(files::outbox_in_memory()?))
    }

    pub fn keep(&mut self, plan: &Plan) -> Result<()> {
        letters::keep(&mut self.0, WRITER, plan, 0)
    }

    /// What a device finds that begins again.
    pub fn load(&self, whole: Seq) -> Result<Kept> {
        letters::load(&self.0, WRITER, whole)
    }

    /// Where it has other rows than these.
    pub fn differs_from(&self, rows: &BTreeMap<i64, Entry>) -> Result<Option<String>> {
        let kept = self.load(Seq::MIN)?.entries;
        let is_same = kept.iter().eq(rows.values());
        Ok((!is_same).then(|| format!("{kept:?} on disk, {rows:?} in memory")))
    }
}

#[derive(Debug)]
pub struct Twin(Connection);

impl Twin {
    pub fn new() -> Result<Self> {
        Ok(Self(files::cache_in_memory()?))
    }

    pub fn bootstrap(&mut self, bootstrap: &Bootstrap) -> Result<()> {
        cache::bootstrap(&mut self.0, UserId(bootstrap.as_of.epoch), bootstrap)
    }

    pub fn page(&mut self, page: &SyncPage) -> Result<()> {
        cache::page(&mut self.0, page).map(drop)
    }

    pub fn history(&mut self, history: &History) -> Result<()> {
        cache::history(&mut self.0, history).map(drop)
    }

    /// `ends_list`: with it the list has been read to its end.
    pub fn sessions(&mut self, page: &SessionsPage, ends_list: bool) -> Result<()> {
        cache::sessions_page(&mut self.0, page)?;
        match reads::list_more(&self.0)?.filter(|_| ends_list) {
            Some(from) => cache::finish_list(&mut self.0, from, page.as_of),
            None => Ok(()),
        }
    }

    /// All messages of a session go, as where there is no room for them.
    pub fn give_up(&mut self, session: SessionId) -> Result<()> {
        while let Some((lo, hi)) = reads::page(&self.0, session, 1)?.newest {
            cache::drop_stretch(&mut self.0, Stretch { session, lo, hi })?;
        }
        Ok(())
    }

    /// Where the two tell different things.
    pub fn differs_from(&self, rows: &Replica) -> Result<Option<String>> {
        let reading = &self.0;
        let stands = (reads::cursor(reading)?, reads::whole(reading)?.seq);
        if stands != (rows.cursor(), rows.whole()) {
            return Ok(Some(format!("{stands:?} on disk, {:?} in memory", rows.cursor())));
        }
        let mut sessions = reads::sessions(reading, false, &BTreeSet::new(), usize::MAX)?;
        sessions.extend(reads::sessions(reading, true, &BTreeSet::new(), usize::MAX)?);
        sessions.sort_by_key(|session| session.id);
        if !sessions.iter().eq(rows.sessions()) {
            return Ok(Some(format!("{sessions:?} on disk")));
        }
        for session in &sessions {
            let newest: Option<(Ord, Ord)> = rows.stretches(session.id).last().copied();
            let page = reads::page(reading, session.id, usize::MAX)?;
            let lo = newest.map_or(Ord::MAX, |(lo, _)| lo);
            let messages = rows.messages(session.id).filter(|message| message.ord >= lo);
            if page.newest != newest || !page.messages.iter().eq(messages) {
                return Ok(Some(format!("{page:?} on disk, {newest:?} in memory")));
            }
        }
        // the rows themselves, whatever the stretches say
        let messages = reads::number(reading, "select count(*) from messages")?;
        let kept = rows.held();
        Ok((messages != kept as u64).then(|| format!("{messages} messages on disk, {kept} in memory")))
    }
}
