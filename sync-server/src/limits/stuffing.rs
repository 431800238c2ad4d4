//! Credential stuffing: somebody tries pairs of address and password that were stolen elsewhere, each once. No count of tries at
//! one account sees it, so pairs that failed are counted by network.
//!
//! **Invariant:** no pair is kept. Redis has a sketch (HyperLogLog) of keyed hashes, which tells how many and not which.

use super::{Limited, Limits};
use crate::keyspace::Partition;
use protocol::{Code, Problem};
use std::time::Duration;

/// So many different pairs …
const PAIRS: u32 = 15;
/// … within so long …
const WITHIN: Duration = Duration::from_hours(3);
/// … shut the door with passwords for that network so long.
const SHUT: Duration = Duration::from_hours(24);

/// Answers 1 for the pair that was one too many.
const SCRIPT: &str = r"
redis.call('PFADD', KEYS[1], ARGV[1])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
if redis.call('PFCOUNT', KEYS[1]) < tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[4])
return 1
";

impl Limits {
    fn stuffing_key(&self, what: &str, prefix: &str) -> String {
        let partition = Partition::of("stuffing");
        self.app
            .key_in(partition, format_args!("stuffing-{what}:{prefix}"))
    }

    /// Refuses a network that was seen at it. Without Redis nobody is: what is counted otherwise holds all the same.
    pub async fn must_not_stuff(&self, prefix: &str) -> Result<(), Limited> {
        if self.is_away() {
            return Ok(());
        }
        let mut call = redis::cmd("TTL");
        call.arg(self.stuffing_key("shut", prefix));
        let left: redis::RedisResult<i64> = self.app.redis.ask(&call).await;
        let seconds = match left {
            Ok(seconds) => u32::try_from(seconds).unwrap_or(0),
            Err(error) => {
                self.note_away(&error);
                0
            }
        };
        if seconds == 0 {
            return Ok(());
        }
        metrics::counter!("rate_limited_total", "class" => "stuffing").increment(1);
        let problem = Problem::new(Code::RateLimited).retry_after(seconds).detail(
            "Too many sign-ins failed from your network, so passwords are not taken from there for a day. Please sign in by a letter or another way.",
        );
        Err(Limited {
            problem,
            is_news_of: None,
        })
    }

    /// A pair did not match. True: it was one too many, and its network is shut out from now on.
    pub async fn note_failed_pair(&self, prefix: &str, pair: &[u8]) -> bool {
        if self.is_away() {
            return false;
        }
        let mut call = redis::cmd("EVAL");
        call.arg(SCRIPT)
            .arg(2)
            .arg(self.stuffing_key("pairs", prefix))
            .arg(self.stuffing_key("shut", prefix))
            .arg(pair)
            .arg(PAIRS.saturating_mul(self.app.config.rate_limit_factor))
            .arg(WITHIN.as_secs())
            .arg(SHUT.as_secs());
        let outcome: redis::RedisResult<bool> = self.app.redis.ask(&call).await;
        outcome.unwrap_or_else(|error| {
            self.note_away(&error);
            false
        })
    }
}
