//! Filling the cache in the background: the rest of both lists, then the newest sessions' last messages. One request at
//! a time, beside the one that the opened session may need.

use super::core::Core;
use crate::http::Call;
use crate::replica::Verdict;
use protocol::sync::{SessionsBefore, SessionsPage};
use protocol::{Problem, limits, routes};
use std::sync::Arc;
use std::time::Duration;

/// Sessions whose last messages are kept ready.
const NEWEST: usize = 20;
/// Until the next try after a failure.
const AGAIN: Duration = Duration::from_secs(30);

/// Works whenever it is woken and the server answers.
pub async fn run(core: Arc<Core>) {
    let mut again = false;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.hydrate.notified() => {}
            () = tokio::time::sleep(AGAIN), if again => {}
        }
        if !core.is_online() {
            again = false;
            continue;
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            filled = fill(&core) => again = filled.is_err(),
        }
    }
}

async fn fill(core: &Arc<Core>) -> Result<(), Problem> {
    for session in core.store.to_hydrate(NEWEST).await? {
        core.load(session, None).await?;
    }
    if let Some(more) = core.store.list_more().await? {
        read_list(core, false, more).await?;
        read_list(core, true, more).await?;
        core.store.finish_list(more).await?;
    }
    Ok(())
}

async fn read_list(core: &Arc<Core>, archived: bool, more: SessionsBefore) -> Result<(), Problem> {
    let mut before = Some(more);
    while let Some(key) = before {
        let user = core.person()?;
        let call = Call::get(routes::SESSIONS)
            .query("archived", archived)
            .query("before", key)
            .query("limit", limits::SESSION_PAGE);
        let page: SessionsPage = core.ask(user, call).await?;
        let next = page.more;
        let applied = core.store.apply_sessions(page).await?;
        core.announce(&applied);
        if applied.verdict == Verdict::Applied {
            before = next;
        }
    }
    Ok(())
}
