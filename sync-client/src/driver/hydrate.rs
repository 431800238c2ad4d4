//! Filling the cache in the background, until everything is here: the rest of both lists, all of the sessions that are to
//! stay, the newest sessions' last messages, then all the rest, newest session first, as far as the cache has room.
//!
//! **Invariant:** at most two requests are in flight, none is begun while a person waits for a load of their own, and
//! what is held in memory does not grow with the account.

use super::core::Core;
use super::loads::TRIES;
use super::{room, verify};
use crate::http::Call;
use crate::replica::Verdict;
use crate::store::Gap;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use protocol::sync::{Cursor, Ord, SessionsBefore, SessionsPage};
use protocol::{Code, Problem, SessionId, limits, routes};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Sessions whose last messages are kept ready.
const NEWEST: usize = 20;
/// Requests in flight.
const AT_ONCE: usize = 2;
/// Sessions looked up at once: as many as may be asked about at once, so that two requests of them are in flight even
/// where they are the smallest.
const LOOKED_UP: usize = 2 * limits::SESSION_PAGE;
/// Until the next try after a failure.
const AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked whether a comparison with the server is due.
const COMPARE: Duration = Duration::from_hours(1);

/// Works whenever it is woken and the server answers.
pub async fn run(core: Arc<Core>) {
    let mut again = false;
    let mut compare_at = Instant::now();
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.hydrate.notified() => {}
            () = tokio::time::sleep(AGAIN), if again => {}
            () = tokio::time::sleep_until(compare_at + COMPARE) => core.verify.store(true, Ordering::Release),
        }
        compare_at = Instant::now();
        if let Err(problem) = room::make(&core).await {
            tracing::debug!(code = %problem.code, "no room could be made");
        }
        if !core.is_online() {
            again = false;
            continue;
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            filled = fill_and_compare(&core) => again = filled.is_err(),
        }
    }
}

async fn fill_and_compare(core: &Arc<Core>) -> Result<(), Problem> {
    fill(core).await?;
    if core.verify.swap(false, Ordering::AcqRel) {
        let compared = verify::compare(core, verify::weekly(core.clock.now())).await;
        if compared.is_err() {
            core.verify.store(true, Ordering::Release);
        }
        if compared? > 0 {
            core.load_shown();
            fill(core).await?;
        }
    }
    room::make(core).await
}

async fn fill(core: &Arc<Core>) -> Result<(), Problem> {
    if let Some(more) = core.store.list_more().await? {
        read_list(core, false, more).await?;
        let as_of = read_list(core, true, more).await?;
        core.store.finish_list(more, as_of).await?;
        core.settle().await;
    }
    fill_kept(core).await?;
    let newest = core.store.to_hydrate(NEWEST).await?;
    if !newest.is_empty() && core.store.has_room().await? {
        core.calm().await;
        core.load_many(&newest).await?;
    }
    fill_gaps(core).await
}

/// Whatever room there is. Whose session is gone has no wish any more.
async fn fill_kept(core: &Arc<Core>) -> Result<(), Problem> {
    for session in core.kept() {
        if core.store.is_gone(session).await? {
            core.mark_kept(session, false).await?;
        } else {
            complete(core, session).await?;
        }
    }
    Ok(())
}

/// From the newest session to the oldest. What comes meanwhile wakes another round.
async fn fill_gaps(core: &Arc<Core>) -> Result<(), Problem> {
    let mut after: Option<Gap> = None;
    while core.store.has_room().await? {
        let gaps = core.store.gaps(after, LOOKED_UP).await?;
        let Some(last) = gaps.last().copied() else {
            return Ok(());
        };
        stream::iter(errands(&gaps))
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, async |errand| run_errand(core, errand).await)
            .await?;
        after = Some(last);
    }
    Ok(())
}

/// What is asked for by itself.
#[derive(Debug, PartialEq, Eq)]
enum Errand {
    /// Sessions that one answer brings whole.
    Many(Vec<SessionId>),
    /// One that takes several pages.
    One(SessionId),
}

/// Small sessions together, as many as fit in an answer; each errand where the newest of its sessions is in the list.
fn errands(gaps: &[Gap]) -> Vec<Errand> {
    let page = Ord::try_from(limits::MESSAGE_PAGE).unwrap_or(Ord::MAX);
    let most = Ord::try_from(limits::HISTORIES_MESSAGES).unwrap_or(Ord::MAX);
    let mut errands: Vec<Errand> = Vec::new();
    let mut open: Option<(usize, Ord)> = None;
    for gap in gaps {
        if gap.last_ord > page {
            errands.push(Errand::One(gap.session));
            continue;
        }
        let room = open.filter(|(_, held)| held + gap.last_ord <= most);
        match room.and_then(|(place, held)| Some((errands.get_mut(place)?, place, held))) {
            Some((Errand::Many(sessions), place, held)) if sessions.len() < limits::SESSION_PAGE => {
                sessions.push(gap.session);
                open = Some((place, held + gap.last_ord));
            }
            Some(_) | None => {
                open = Some((errands.len(), gap.last_ord));
                errands.push(Errand::Many(vec![gap.session]));
            }
        }
    }
    errands
}

async fn run_errand(core: &Arc<Core>, errand: Errand) -> Result<(), Problem> {
    match errand {
        Errand::Many(sessions) => complete_many(core, sessions).await,
        Errand::One(session) => complete(core, session).await,
    }
}

/// Answer by answer, each going on behind the last session that came; what is cut is completed by itself.
async fn complete_many(core: &Arc<Core>, mut sessions: Vec<SessionId>) -> Result<(), Problem> {
    while !sessions.is_empty() && core.store.has_room().await? {
        core.calm().await;
        let came = core.load_many(&sessions).await?;
        let Some((last, _)) = came.last() else {
            return Ok(());
        };
        let behind = sessions.iter().position(|session| session == last);
        sessions.drain(..=behind.unwrap_or(sessions.len() - 1));
        for (session, lo) in came {
            if lo > 1 {
                complete(core, session).await?;
            }
        }
    }
    Ok(())
}

/// Page by page to the session's beginning; left for another round where a page brings nothing.
async fn complete(core: &Arc<Core>, session: SessionId) -> Result<(), Problem> {
    let mut missing = core.store.page(session, 1).await?.missing(Ord::MAX);
    while let Some(before) = missing
        && (core.kept().contains(&session) || core.store.has_room().await?)
    {
        load(core, session, before).await?;
        let next = core.store.page(session, 1).await?.missing(Ord::MAX);
        if next == missing {
            break;
        }
        missing = next;
    }
    Ok(())
}

/// A session that is gone by now holds up no other.
async fn load(core: &Arc<Core>, session: SessionId, before: Option<Ord>) -> Result<(), Problem> {
    core.calm().await;
    match core.load(session, before).await {
        Err(problem) if matches!(problem.code, Code::NotFound | Code::Gone | Code::SessionDeleted) => Ok(()),
        other => other,
    }
}

/// To the list's end; says what the last page was read at.
async fn read_list(core: &Arc<Core>, archived: bool, more: SessionsBefore) -> Result<Cursor, Problem> {
    let (mut key, mut tries) = (more, 0);
    loop {
        core.calm().await;
        let user = core.person()?;
        let call = Call::get(routes::SESSIONS)
            .query("archived", archived)
            .query("before", key)
            .query("limit", limits::SESSION_PAGE);
        let page: SessionsPage = core.ask(user, call).await?;
        let (next, as_of) = (page.more, page.as_of);
        let applied = core.store.apply_sessions(page).await?;
        core.announce(&applied);
        tries += 1;
        if applied.verdict == Verdict::Applied {
            let Some(next) = next else { return Ok(as_of) };
            (key, tries) = (next, 0);
        } else if tries == TRIES {
            // Read before the latest change each time: there is more to do than this.
            return Err(Problem::new(Code::Unavailable));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(sizes: &[Ord]) -> Vec<Gap> {
        let gap = |&last_ord| Gap {
            session: SessionId::fresh(),
            last_active: 0,
            last_ord,
        };
        sizes.iter().map(gap).collect()
    }

    fn sizes(errands: &[Errand]) -> Vec<usize> {
        let size = |errand: &Errand| match errand {
            Errand::Many(sessions) => sessions.len(),
            Errand::One(_) => 0,
        };
        errands.iter().map(size).collect()
    }

    #[test]
    fn small_sessions_go_together_past_the_large_ones_between_them() {
        let found = gaps(&[3, 101, 100, 5_000, 7]);
        let errands = errands(&found);
        assert_eq!(sizes(&errands), [3, 0, 0]);
        let together = Errand::Many(vec![found[0].session, found[2].session, found[4].session]);
        assert_eq!(errands[0], together, "newest first");
    }

    #[test]
    fn no_errand_is_larger_than_an_answer() {
        assert_eq!(sizes(&errands(&gaps(&[1; 401]))), [200, 200, 1]);
        assert_eq!(sizes(&errands(&gaps(&[100; 41]))), [20, 20, 1]);
        assert_eq!(sizes(&errands(&[])), [0_usize; 0]);
    }
}
