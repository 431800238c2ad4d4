//! The buckets of this process alone.

use super::Verdict;
use super::bucket::Bucket;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys held at most. A flood of addresses pushes out what would be over soonest, it neither fills the memory nor makes this
/// process forget what it counted.
const KEYS: usize = 50_000;

#[derive(Debug)]
pub struct Buckets {
    kept: Mutex<HashMap<String, Kept>>,
    /// Of how many shares of every rate one is allowed here.
    shares: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    time: u64,
    /// Until when a refusal is no news.
    told_until: u64,
}

impl Kept {
    /// From when on it says nothing any more.
    fn end(&self) -> u64 {
        self.time.max(self.told_until)
    }
}

/// What is over goes; where that is not enough, a tenth of what is held, that which would be over first.
fn make_room(kept: &mut HashMap<String, Kept>, now: u64) {
    kept.retain(|_, kept| kept.end() > now);
    let mut goes = (KEYS / 10).saturating_sub(KEYS.saturating_sub(kept.len()));
    if goes == 0 {
        return;
    }
    let mut ends: Vec<u64> = kept.values().map(Kept::end).collect();
    let (_, last, _) = ends.select_nth_unstable(goes - 1);
    let last = *last;
    // many may end together, and no more of them go than have to
    kept.retain(|_, kept| {
        let is_first = kept.end() <= last && goes > 0;
        goes -= usize::from(is_first);
        !is_first
    });
}

impl Buckets {
    pub fn new(shares: u32) -> Self {
        Self {
            kept: Mutex::default(),
            shares,
        }
    }

    /// `now` is the time since the process began to count.
    pub fn take(&self, buckets: &[Bucket], now: Duration) -> Verdict {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next_times = Vec::with_capacity(buckets.len());
        let mut verdict = Verdict::default();
        for bucket in buckets {
            let before = kept.get(&bucket.key).copied();
            match bucket
                .rate
                .share(self.shares)
                .take(now, before.map(|kept| kept.time))
            {
                Ok(next) => next_times.push((bucket, next)),
                Err(early) => {
                    verdict.wait = verdict.wait.max(Duration::from_millis(early));
                    if let Some(kept) = kept.get_mut(&bucket.key)
                        && kept.told_until <= now
                    {
                        kept.told_until = now + bucket.news_ms;
                        verdict.is_news_of = Some(bucket.place);
                    }
                }
            }
        }
        if !verdict.wait.is_zero() {
            return verdict;
        }
        if kept.len() + next_times.len() > KEYS {
            make_room(&mut kept, now);
        }
        for (bucket, next) in next_times {
            kept.entry(bucket.key.clone()).or_default().time = next;
        }
        verdict
    }

    /// Undoes one take of each.
    pub fn give_back(&self, buckets: &[Bucket]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for bucket in buckets {
            if let Some(kept) = kept.get_mut(&bucket.key) {
                kept.time = kept
                    .time
                    .saturating_sub(bucket.rate.share(self.shares).interval_ms());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::*;

    fn bucket(key: &str, tries: u32, seconds: u32) -> Vec<Bucket> {
        vec![Bucket {
            key: key.to_owned(),
            rate: Rate::new(tries, seconds),
            place: 0,
            news_ms: 900_000,
        }]
    }

    #[test]
    fn without_redis_tries_are_fewer_and_never_none() {
        let buckets = Buckets::new(4);
        let key = bucket("a", 20, 300);
        let passes = |key: &[Bucket], at| buckets.take(key, at).wait.is_zero();
        let passed = (0..20).filter(|_| passes(&key, Duration::ZERO)).count();
        assert_eq!(passed, 5);
        let other = bucket("b", 3, 3600);
        assert!(passes(&other, Duration::ZERO));
        assert!(!passes(&other, Duration::ZERO));
        assert!(passes(&key, Duration::from_mins(5)));
    }

    #[test]
    fn what_is_only_counted_here_has_the_whole_of_its_rate() {
        let buckets = Buckets::new(1);
        let (key, other) = (bucket("a", 20, 60), bucket("b", 20, 60));
        let passes = |key: &[Bucket], at| buckets.take(key, at).wait.is_zero();
        assert_eq!((0..30).filter(|_| passes(&key, Duration::ZERO)).count(), 20);
        assert!(passes(&other, Duration::ZERO));
        assert_eq!(
            (0..30).filter(|_| passes(&key, Duration::from_secs(6))).count(),
            2
        );
    }

    #[test]
    fn a_refusal_is_news_once_in_a_while() {
        let buckets = Buckets::new(4);
        let key = bucket("a", 1, 3600);
        let news = |at| buckets.take(&key, at).is_news_of;
        assert_eq!(news(Duration::ZERO), None, "it passes");
        assert_eq!(news(Duration::ZERO), Some(0));
        assert_eq!(news(Duration::from_mins(14)), None);
        assert_eq!(news(Duration::from_mins(15)), Some(0));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let buckets = Buckets::new(4);
        let key = bucket("a", 4, 60);
        for _ in 0..10 {
            assert!(buckets.take(&key, Duration::ZERO).wait.is_zero());
            buckets.give_back(&key);
        }
    }

    #[test]
    fn a_flood_of_others_makes_nobodys_count_forgotten() {
        let buckets = Buckets::new(4);
        let guessed = bucket("guessed", 4, 3600);
        assert!(buckets.take(&guessed, Duration::ZERO).wait.is_zero());
        for n in 0..3 * KEYS {
            buckets.take(&bucket(&n.to_string(), 3, 60), Duration::ZERO);
        }
        assert!(!buckets.take(&guessed, Duration::ZERO).wait.is_zero());
    }

    #[test]
    fn the_memory_is_bounded() {
        let buckets = Buckets::new(4);
        for n in 0..KEYS + 10 {
            buckets.take(&bucket(&n.to_string(), 3, 3600), Duration::ZERO);
        }
        assert!(buckets.kept.lock().unwrap().len() <= KEYS);
    }
}
