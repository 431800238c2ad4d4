//! Connections that are lent to one statement after the other.
//!
//! sqlx asks each connection that comes back whether it lives, a round trip of its own, since it cannot know in which state
//! it was let go. Here that is known: a statement that was read to its end leaves nothing behind, so its connection rests and
//! is lent again as it is.
//! **Invariant:** what is let go in the middle of anything goes back to sqlx, which cleans up after it.

use sqlx::postgres::{PgPool, Postgres};
use sqlx::{PgConnection, pool::PoolConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who waits for a connection for longer is told that there is none.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// A connection in steady use is alive. One that rested for longer is asked before it is used.
pub const FRESH: Duration = Duration::from_secs(1);
/// From hand to hand for so long at most: then sqlx sees it again, and ends it when it is old.
const AWAY: Duration = Duration::from_mins(1);

/// All of a node's connections. As many are lent at a time as sqlx may open, so that nobody who has a turn waits for another
/// one's connection.
#[derive(Debug)]
pub struct Connections {
    pool: PgPool,
    turns: Arc<Semaphore>,
    /// Newest last.
    resting: Mutex<Vec<Resting>>,
}

#[derive(Debug)]
struct Resting {
    connection: PoolConnection<Postgres>,
    since: Instant,
    away_since: Instant,
}

/// A connection in somebody's hands. Dropped, it goes back to sqlx.
#[derive(Debug)]
pub struct Lent {
    connection: PoolConnection<Postgres>,
    away_since: Instant,
    home: Arc<Connections>,
    turn: OwnedSemaphorePermit,
}

impl Connections {
    /// `most` is how many the pool may open.
    pub fn new(pool: PgPool, most: u32) -> Arc<Self> {
        Arc::new(Self {
            pool,
            turns: Arc::new(Semaphore::new(most as usize)),
            resting: Mutex::default(),
        })
    }

    pub async fn lend(self: &Arc<Self>) -> sqlx::Result<Lent> {
        tokio::time::timeout(PATIENCE, self.lend_in_turn())
            .await
            .map_err(|_elapsed| sqlx::Error::PoolTimedOut)?
    }

    async fn lend_in_turn(self: &Arc<Self>) -> sqlx::Result<Lent> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_closed| sqlx::Error::PoolClosed)?;
        let (connection, away_since) = match self.newest() {
            Some(resting) => (resting.connection, resting.away_since),
            None => (self.pool.acquire().await?, Instant::now()),
        };
        Ok(Lent {
            connection,
            away_since,
            home: Arc::clone(self),
            turn,
        })
    }

    /// The one that was used last, if that was a moment ago. If not, all go back: the others rest for longer still.
    fn newest(&self) -> Option<Resting> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = resting.pop()?;
        if newest.since.elapsed() >= FRESH {
            resting.clear();
            return None;
        }
        (newest.away_since.elapsed() < AWAY).then_some(newest)
    }

    fn rest(&self, connection: PoolConnection<Postgres>, away_since: Instant) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.push(Resting {
            connection,
            since: Instant::now(),
            away_since,
        });
    }
}

impl Lent {
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// What was asked was read to its end, without an error: the next one may have it as it is.
    pub fn give_back(self) {
        let Self {
            connection,
            away_since,
            home,
            turn,
        } = self;
        home.rest(connection, away_since);
        // not before: whoever gets the turn finds it there
        drop(turn);
    }

    /// For a transaction, whose end is sqlx's matter; the turn is kept beside it until then.
    pub fn into_parts(self) -> (PoolConnection<Postgres>, OwnedSemaphorePermit) {
        (self.connection, self.turn)
    }
}

impl Drop for Connections {
    /// Whoever is the last may stand outside of the runtime, where sqlx has nobody to take them back.
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_err() {
            let resting = self.resting.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(resting).into_iter().for_each(std::mem::forget);
        }
    }
}
