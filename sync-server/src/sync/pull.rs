//! Reading the feed: the next page after a cursor, waited for if asked, and where a device without one begins.

use super::Sync;
use super::heads::{self, Since, Standing};
use crate::auth::Caller;
use crate::error::Result;
use crate::hints::LISTENERS;
use crate::limits::one_too_many;
use crate::sessions::{self, Asked};
use axum::Json;
use axum::extract::State;
use http::{HeaderName, HeaderValue, header};
use protocol::sync::{Bootstrap, Cursor, ResetReason, Seq, SyncPage};
use protocol::{Code, Problem, SessionId, UserId, limits};
use serde::Deserialize;
use std::time::Duration;

/// The longest that a request may wait for news: below what proxies cut at.
const WAIT: Duration = Duration::from_secs(25);
/// Sessions whose last messages come with the first page, and how many of each.
const OPENED: usize = 20;
const LAST: usize = 50;

const NO_STORE: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

type Fresh<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChangesAsk {
    /// Where the device stands; from the beginning without it.
    #[serde(default)]
    cursor: Option<String>,
    /// At most 500.
    #[serde(default)]
    limit: Option<usize>,
    /// Seconds to wait for news, at most 25.
    #[serde(default)]
    wait: Option<u64>,
}

/// The changes after a cursor, by number.
#[utoipa::path(get, path = protocol::routes::SYNC, params(ChangesAsk), tag = "sync",
    responses((status = 200, body = SyncPage), (status = 409, description = "`reset`: start afresh", body = Problem)))]
pub async fn read_changes(
    State(sync): State<Sync>,
    caller: Caller,
    Asked(ask): Asked<ChangesAsk>,
) -> Result<Fresh<SyncPage>> {
    let cursor = ask.cursor.as_deref().map(cursor).transpose()?;
    let limit = ask.limit.unwrap_or(limits::SYNC_PAGE).clamp(1, limits::SYNC_PAGE);
    let wait = Duration::from_secs(ask.wait.unwrap_or(0)).min(WAIT);
    let page = match wait {
        Duration::ZERO => page_since(&sync, caller.user, cursor, limit).await?,
        wait => awaited(&sync, &caller, cursor, limit, wait).await?,
    };
    Ok((NO_STORE, Json(page)))
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|why: &str| {
        Problem::new(Code::BadRequest)
            .field("cursor")
            .detail(format!("Bad cursor: {why}."))
    })
}

/// The page, or the first that is not empty within the time. Listens before it looks, so that nothing falls between. A device that
/// is signed out meanwhile is told so, and gets nothing of what comes after.
async fn awaited(
    sync: &Sync,
    caller: &Caller,
    cursor: Option<Cursor>,
    limit: usize,
    wait: Duration,
) -> Result<SyncPage> {
    let mut news = sync.hints().subscribe(caller.user).await;
    if news.is_one_too_many() {
        return Err(too_many().into());
    }
    // a sign-out between the request and the subscription was not heard
    sync.credential_of(caller).await?.must_hold()?;
    let until = tokio::time::Instant::now() + wait;
    loop {
        let page = page_since(sync, caller.user, cursor, limit).await?;
        caller.heard(&news).must_hold()?;
        if !page.changes.is_empty() {
            return Ok(page);
        }
        tokio::select! {
            _ = news.next() => {}
            () = tokio::time::sleep_until(until) => return Ok(page),
            () = sync.shutdown.cancelled() => return Ok(page),
        }
    }
}

fn too_many() -> Problem {
    one_too_many(
        LISTENERS,
        "sockets and long polls can be open at once. Please end one, or ask without `wait`.",
    )
}

/// The changes after a cursor: one snapshot, one query.
pub async fn page_since(sync: &Sync, user: UserId, cursor: Option<Cursor>, limit: usize) -> Result<SyncPage> {
    let since = cursor.map_or(0, |cursor| cursor.seq);
    let found = heads::since(&sync.pool, user, since, limit).await?;
    let found = found.ok_or(Code::NotFound)?;
    let from = cursor.unwrap_or(Cursor {
        epoch: found.standing.head.epoch,
        seq: 0,
    });
    if let Some(reason) = reset(from, found.standing) {
        metrics::counter!("reset_total", "reason" => format!("{reason:?}")).increment(1);
        return Err(Problem::reset(reason).into());
    }
    Ok(cut(from, found))
}

/// Why a cursor cannot be continued from.
fn reset(cursor: Cursor, standing: Standing) -> Option<ResetReason> {
    let Standing { head, floor } = standing;
    if cursor.epoch != head.epoch {
        Some(ResetReason::Epoch)
    } else if cursor.seq > head.seq {
        Some(ResetReason::Ahead)
    } else if cursor.seq < floor {
        Some(ResetReason::Floor)
    } else if head.seq - cursor.seq > limits::SYNC_TOO_FAR {
        Some(ResetReason::TooFar)
    } else {
        None
    }
}

/// A full page ends at its last row; any other reaches the head.
fn cut(from: Cursor, found: Since) -> SyncPage {
    let head = found.standing.head.seq;
    let last: Option<Seq> = found.changes.last().map(protocol::sync::Change::seq);
    let to = last.filter(|_| found.is_cut).unwrap_or(head);
    SyncPage {
        from,
        to: Cursor {
            epoch: from.epoch,
            seq: to,
        },
        head,
        more: to < head,
        changes: found.changes,
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BootstrapAsk {
    /// The newest sessions, at most 200.
    #[serde(default)]
    sessions: Option<usize>,
}

/// Where a device begins: the newest sessions, the last messages of the newest of them, and the cursor that goes with it.
#[utoipa::path(get, path = protocol::routes::BOOTSTRAP, params(BootstrapAsk), tag = "sync",
    responses((status = 200, body = Bootstrap), (status = "4XX", body = Problem)))]
pub async fn read_bootstrap(
    State(sync): State<Sync>,
    caller: Caller,
    Asked(ask): Asked<BootstrapAsk>,
) -> Result<Fresh<Bootstrap>> {
    let limit = ask
        .sessions
        .unwrap_or(limits::SESSION_PAGE)
        .clamp(1, limits::SESSION_PAGE);
    let mut snapshot = sync.pool.snapshot().await?;
    let standing = heads::standing(&mut snapshot, caller.user).await?;
    let as_of = standing.ok_or(Code::NotFound)?.head;
    let (sessions, more) = sessions::newest(&mut snapshot, caller.user, limit).await?;
    let opened: Vec<SessionId> = sessions.iter().take(OPENED).map(|session| session.id).collect();
    let histories = sessions::newest_of(&mut snapshot, caller.user, &opened, LAST, as_of).await?;
    snapshot.commit().await?;
    let bootstrap = Bootstrap {
        as_of,
        sessions,
        histories,
        more,
    };
    Ok((NO_STORE, Json(bootstrap)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::sync::Change;
    use uuid::Uuid;

    fn standing(head: Seq, floor: Seq) -> Standing {
        Standing {
            head: Cursor {
                epoch: Uuid::nil(),
                seq: head,
            },
            floor,
        }
    }

    fn gone(seq: Seq) -> Change {
        Change::SessionGone {
            id: SessionId::fresh(),
            seq,
        }
    }

    fn at(seq: Seq) -> Cursor {
        Cursor {
            epoch: Uuid::nil(),
            seq,
        }
    }

    #[test]
    fn a_cursor_that_cannot_be_continued_from_is_told_why() {
        let foreign = Cursor {
            epoch: Uuid::max(),
            seq: 1,
        };
        assert_eq!(reset(foreign, standing(9, 0)), Some(ResetReason::Epoch));
        assert_eq!(reset(at(10), standing(9, 0)), Some(ResetReason::Ahead));
        assert_eq!(reset(at(3), standing(9, 4)), Some(ResetReason::Floor));
        assert_eq!(reset(at(0), standing(20_001, 0)), Some(ResetReason::TooFar));
        assert_eq!(reset(at(9), standing(9, 9)), None);
    }

    #[test]
    fn a_full_page_ends_at_its_last_row_and_any_other_at_the_head() {
        let found = |is_cut| Since {
            standing: standing(9, 0),
            changes: vec![gone(2), gone(5)],
            is_cut,
        };
        let full = cut(at(1), found(true));
        assert_eq!((full.to.seq, full.head, full.more), (5, 9, true));
        let rest = cut(at(1), found(false));
        assert_eq!((rest.to.seq, rest.more), (9, false));
    }

    #[test]
    fn a_bad_cursor_is_a_bad_request() {
        assert_eq!(cursor("no cursor").unwrap_err().code, Code::BadRequest);
    }
}
