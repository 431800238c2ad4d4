//! Turns at writing: a user's writes wait for each other anyway, for their head, so only a few at once may hold a
//! connection while they do. The rest wait here, where they keep nobody else from the database.

use crate::error::Result;
use protocol::{Code, Problem, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One that writes, and one that has its connection ready when the head is free.
const AT_ONCE: usize = 2;
/// As long as a free connection is waited for, and the head twice over.
const PATIENCE: Duration = Duration::from_secs(7);

#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<UserId, Arc<Semaphore>>>);

/// A turn, or the wait for one. Dropped, it is the next one's; the last one's user is forgotten.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub async fn take(&self, user: UserId) -> Result<Turn<'_>> {
        let seats = self.users().entry(user).or_insert_with(seats).clone();
        let mut turn = Turn {
            turns: self,
            user,
            permit: None,
        };
        let permit = tokio::time::timeout(PATIENCE, seats.acquire_owned()).await;
        turn.permit = permit.ok().and_then(std::result::Result::ok);
        if turn.permit.is_none() {
            return Err(Problem::new(Code::Unavailable).retry_after(2).into());
        }
        Ok(turn)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seats() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut users = self.turns.users();
        // whoever has a turn or waits for one holds it too, and nobody begins to while the map is locked
        if users
            .get(&self.user)
            .is_some_and(|seats| Arc::strong_count(seats) == 1)
        {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn a_users_turns_are_few_and_another_users_are_their_own() {
        let (turns, busy, other) = (Turns::default(), UserId::fresh(), UserId::fresh());
        let first = turns.take(busy).await.unwrap();
        let _second = turns.take(busy).await.unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut third = pin!(turns.take(busy));
        assert!(third.as_mut().poll(&mut context).is_pending());
        turns.take(other).await.unwrap();
        drop(first);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }

    #[tokio::test]
    async fn who_writes_no_more_is_forgotten_even_if_they_gave_up_waiting() {
        let (turns, user) = (Turns::default(), UserId::fresh());
        let first = turns.take(user).await.unwrap();
        let second = turns.take(user).await.unwrap();
        {
            let mut context = Context::from_waker(Waker::noop());
            let mut third = pin!(turns.take(user));
            assert!(third.as_mut().poll(&mut context).is_pending());
        }
        drop(first);
        assert_eq!(turns.users().len(), 1);
        drop(second);
        assert!(turns.users().is_empty());
    }
}
