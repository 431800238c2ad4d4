//! Searching what is on this device: what was typed becomes a [`Query`]; what fits it becomes what the page shows.
//!
//! The cache on disk finds candidates by its index, a page in memory by reading everything; [`gather`] makes the same
//! answer of both, with the outbox laid over it.
//! **Invariant:** nothing typed is ever a query language, and what is deleted here is never found.

mod query;
pub(crate) mod snippet;
mod text;

pub use query::Query;
pub use text::{folded, segmented};

use crate::outbox::Outbox;
use crate::view;
use protocol::SessionId;
use protocol::mutation::Op;
use protocol::search::{Found, FoundSession, Hit};
use protocol::sync::{Message, Role, Session};
use std::collections::{BTreeMap, BTreeSet};

/// Messages that one answer tells of.
pub const HITS: usize = 50;
/// The same of one session by itself, where one goes from each to the next.
pub const HITS_WITHIN: usize = 500;
/// Sessions that one answer tells of for their titles alone.
pub const TITLES: usize = 10;

/// What the rows have, before the outbox is laid over them.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The rows of every session named below, and of those that the outbox writes to.
    pub sessions: BTreeMap<SessionId, Session>,
    /// Sessions whose kept titles fit, newest first.
    pub titled: Vec<SessionId>,
    /// The best first.
    pub hits: Vec<(SessionId, Hit)>,
}

/// One message's hit, where it fits by this module's own reading.
pub fn hit_in(query: &Query, message: &Message) -> Option<Hit> {
    if message.deleted || !message.status.is_terminal() {
        return None;
    }
    Some(Hit {
        message: message.id,
        ord: Some(message.ord),
        role: message.role,
        snippet: query.snippet(&message.content)?,
        created_at: message.created_at,
    })
}

/// Groups by session, in the order of the best hit; what waits here is found as well, before all that was sent.
pub fn gather(query: &Query, outbox: &Outbox, candidates: Candidates) -> Found {
    let mut hits = waiting(query, outbox, &candidates);
    hits.extend(candidates.hits);
    let has_more = hits.len() > query.most() || candidates.titled.len() > TITLES;
    hits.truncate(query.most());
    let written = outbox.entries().map(|entry| entry.mutation.op.session());
    let titled = candidates.titled.into_iter().take(TITLES).chain(written);
    let mut groups = Groups {
        query,
        outbox,
        rows: candidates.sessions,
        seen: BTreeMap::new(),
        sessions: Vec::new(),
    };
    if query.session().is_none() {
        for id in titled {
            groups.add_titled(id);
        }
    }
    for (id, hit) in hits {
        groups.add(id, hit);
    }
    Found {
        sessions: groups.sessions,
        has_more,
    }
}

/// Messages written here whose rows are not among the candidates, the newest first.
fn waiting(query: &Query, outbox: &Outbox, candidates: &Candidates) -> Vec<(SessionId, Hit)> {
    let mut here = BTreeSet::new();
    here.extend(candidates.hits.iter().map(|(_, hit)| hit.message));
    let mut hits: Vec<_> = outbox
        .entries()
        .filter_map(|entry| match &entry.mutation.op {
            Op::MessageCreate {
                id, session, content, ..
            } if !here.contains(id) && query.looks_into(*session) => {
                let hit = Hit {
                    message: *id,
                    ord: None,
                    role: Role::User,
                    snippet: query.snippet(content)?,
                    created_at: entry.created_at,
                };
                Some((*session, hit))
            }
            Op::MessageCreate { .. }
            | Op::SessionCreate { .. }
            | Op::SessionRename { .. }
            | Op::SessionArchive { .. }
            | Op::SessionDelete { .. }
            | Op::MessageAnswer { .. } => None,
        })
        .collect();
    hits.reverse();
    hits
}

struct Groups<'a> {
    query: &'a Query,
    outbox: &'a Outbox,
    rows: BTreeMap<SessionId, Session>,
    /// Where a session stands in `sessions`; `None`: it is being deleted.
    seen: BTreeMap<SessionId, Option<usize>>,
    sessions: Vec<FoundSession>,
}

impl Groups<'_> {
    fn add(&mut self, id: SessionId, hit: Hit) {
        let place = match self.seen.get(&id) {
            Some(place) => *place,
            None => self.begin(id),
        };
        if let Some(group) = place.and_then(|place| self.sessions.get_mut(place)) {
            group.hits.push(hit);
        }
    }

    /// The title may have been changed here since: then it is judged as it is shown.
    fn add_titled(&mut self, id: SessionId) {
        if !self.seen.contains_key(&id)
            && let Some(place) = self.begin(id)
            && self.sessions.get(place).is_some_and(|group| !group.is_titled_so)
        {
            self.sessions.truncate(place);
            self.seen.remove(&id);
        }
    }

    fn begin(&mut self, id: SessionId) -> Option<usize> {
        let group = self.group(id);
        let place = group.map(|group| {
            self.sessions.push(group);
            self.sessions.len() - 1
        });
        self.seen.insert(id, place);
        place
    }

    fn group(&self, id: SessionId) -> Option<FoundSession> {
        let row = view::row(id, self.rows.get(&id), self.outbox)?;
        let whole = self.query.session().is_none();
        let marked = self.query.whole(&row.title).filter(|_| whole);
        Some(FoundSession {
            id,
            is_titled_so: marked.is_some(),
            title: marked.unwrap_or_else(|| snippet::plain(&row.title)),
            archived: row.archived,
            last_active: row.last_active,
            hits: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Moment;
    use crate::tab::Tab;

    fn at(at: i64) -> Moment {
        Moment { at, chance: 0.5 }
    }

    fn titles(found: &Found) -> Vec<String> {
        let text = |session: &FoundSession| session.title.iter().map(|piece| piece.text.as_str()).collect();
        found.sessions.iter().map(text).collect()
    }

    #[test]
    fn what_waits_here_is_found_as_it_is_shown_here() {
        let mut tab = Tab::new();
        let (session, _) = tab.create(at(1)).unwrap();
        let (message, _) = tab.send(session, "Storm over 京都 tonight", at(2)).unwrap();
        tab.rename(session, "Weather", at(3)).unwrap();
        let found = tab.search("京都", None);
        let hit = found.sessions.first().unwrap().hits.first().unwrap();
        assert_eq!((hit.message, hit.ord), (message, None));
        assert_eq!(titles(&tab.search("weath", None)), ["Weather"]);
        assert!(tab.search("weath", None).sessions.first().unwrap().is_titled_so);
        let archived = tab.archive(session, true, at(4));
        assert!(archived.is_ok() && tab.search("storm", None).sessions.first().unwrap().archived);
        assert_eq!(tab.search("", None).count() + tab.search("calm", None).count(), 0);
        let (deletion, _) = tab.delete(session, at(5)).unwrap();
        assert_eq!(
            tab.search("storm", None).count() + tab.search("weath", None).count(),
            0
        );
        tab.undo(deletion, at(6)).unwrap();
        assert_eq!(tab.search("storm", None).count(), 1);
    }

    #[test]
    fn one_session_is_looked_through_by_itself() {
        let mut tab = Tab::new();
        let (here, _) = tab.create(at(1)).unwrap();
        let (elsewhere, _) = tab.create(at(2)).unwrap();
        let (message, _) = tab.send(here, "a storm", at(3)).unwrap();
        tab.send(elsewhere, "another storm", at(4)).unwrap();
        tab.rename(here, "Storm", at(5)).unwrap();
        tab.rename(elsewhere, "Storms", at(6)).unwrap();
        assert_eq!(tab.search("storm", None).sessions.len(), 2);
        let found = tab.search("storm", Some(here));
        let [session] = found.sessions.as_slice() else {
            unreachable!("{found:?}");
        };
        let hits: Vec<_> = session.hits.iter().map(|hit| hit.message).collect();
        assert_eq!((session.id, hits, found.count()), (here, vec![message], 1));
    }

    #[test]
    fn a_title_that_was_changed_here_is_found_by_its_new_words_only() {
        let (one, other) = (SessionId::fresh(), SessionId::fresh());
        let row = |id, title: &str| Session {
            id,
            seq: 1,
            title: title.to_owned(),
            title_seq: 1,
            archived: false,
            last_ord: 0,
            preview: String::new(),
            running: false,
            last_active: 0,
            created_at: 0,
        };
        let candidates = |titled| Candidates {
            sessions: [
                (one, row(one, "old words")),
                (other, row(other, "more old words")),
            ]
            .into(),
            titled,
            hits: Vec::new(),
        };
        let mut outbox = Outbox::default();
        let rename = Op::SessionRename {
            session: one,
            title: "new words".to_owned(),
            base: 1,
        };
        let plan = outbox
            .enqueue(protocol::MutationId::fresh(), rename, 0, 5)
            .unwrap();
        outbox.apply(&plan);
        let look = |typed, titled| titles(&gather(&Query::parse(typed), &outbox, candidates(titled)));
        assert_eq!(look("old words", vec![one, other]), ["more old words"]);
        assert_eq!(look("new", vec![]), ["new words"]);
    }
}
