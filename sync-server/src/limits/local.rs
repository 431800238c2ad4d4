//! The buckets of this process alone, for while Redis is away: a quarter of every rate, since other nodes count too.

use super::bucket::Rate;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys held at most. A flood of addresses empties the oldest out, it does not fill the memory.
const KEYS: usize = 50_000;

#[derive(Debug, Default)]
pub struct Buckets(Mutex<HashMap<String, u64>>);

impl Buckets {
    /// Zero, or how long to wait. `now` is the time since the process began to count.
    pub fn take(&self, buckets: &[(String, Rate)], now: Duration) -> Duration {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next_times = Vec::with_capacity(buckets.len());
        let mut wait = 0;
        for (key, rate) in buckets {
            match rate.quarter().take(now, times.get(key).copied()) {
                Ok(next) => next_times.push((key.clone(), next)),
                Err(early) => wait = wait.max(early),
            }
        }
        if wait > 0 {
            return Duration::from_millis(wait);
        }
        if times.len() + next_times.len() > KEYS {
            times.retain(|_, time| *time > now);
        }
        if times.len() + next_times.len() > KEYS {
            times.clear();
        }
        times.extend(next_times);
        Duration::ZERO
    }

    /// Undoes one take of each.
    pub fn give_back(&self, buckets: &[(String, Rate)]) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, rate) in buckets {
            if let Some(time) = times.get_mut(key) {
                *time = time.saturating_sub(rate.quarter().interval_ms());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_redis_tries_are_fewer_and_never_none() {
        let buckets = Buckets::default();
        let key = vec![("a".to_owned(), Rate::new(20, 300))];
        let passed = (0..20)
            .filter(|_| buckets.take(&key, Duration::ZERO).is_zero())
            .count();
        assert_eq!(passed, 5);
        let other = vec![("b".to_owned(), Rate::new(3, 3600))];
        assert!(buckets.take(&other, Duration::ZERO).is_zero());
        assert!(!buckets.take(&other, Duration::ZERO).is_zero());
        assert!(buckets.take(&key, Duration::from_mins(5)).is_zero());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let buckets = Buckets::default();
        let key = vec![("a".to_owned(), Rate::new(4, 60))];
        for _ in 0..10 {
            assert!(buckets.take(&key, Duration::ZERO).is_zero());
            buckets.give_back(&key);
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let buckets = Buckets::default();
        for n in 0..KEYS + 10 {
            buckets.take(&[(n.to_string(), Rate::new(3, 3600))], Duration::ZERO);
        }
        assert!(buckets.0.lock().unwrap().len() <= KEYS);
    }
}
