//! Credential stuffing: somebody tries pairs of address and password that were stolen elsewhere, each once. No count of tries at
//! one account sees it, so pairs that failed are counted by network, and of IPv6 by the site's /48 too, for all of whose networks
//! together ten times as many are one too many.
//!
//! **Invariant:** nothing but a password is refused for it: whoever is in goes on, and no other way in is shut. No pair is kept.
//! Redis has a sketch (HyperLogLog) of keyed hashes, which tells how many and not which.

use super::{Limited, Limits, counted};
use crate::keyspace::Partition;
use protocol::{Code, Problem};
use std::time::Duration;

/// So many different pairs …
const PAIRS: u32 = 15;
/// … within so long …
const WITHIN: Duration = Duration::from_hours(3);
/// … shut the door with passwords for that network so long.
const SHUT: Duration = Duration::from_hours(24);

/// For each network its two keys, then how many pairs are one too many there; at the end the pair and the two times in seconds.
/// Answers how many of them were shut by it.
const SCRIPT: &str = r"
local networks, shut = #KEYS / 2, 0
local pair, within, closed = ARGV[networks + 1], ARGV[networks + 2], ARGV[networks + 3]
for i = 1, networks do
  local pairs, door = KEYS[2 * i - 1], KEYS[2 * i]
  redis.call('PFADD', pairs, pair)
  if redis.call('TTL', pairs) < 0 then redis.call('EXPIRE', pairs, within) end
  if redis.call('PFCOUNT', pairs) >= tonumber(ARGV[i]) then
    redis.call('DEL', pairs)
    redis.call('SET', door, '1', 'EX', closed)
    shut = shut + 1
  end
end
return shut
";

/// The seconds for which the longest shut of these doors stays so.
const SCRIPT_LOOK: &str = r"
local longest = 0
for _, door in ipairs(KEYS) do
  longest = math.max(longest, redis.call('TTL', door))
end
return longest
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
        let networks = counted(prefix);
        let mut call = redis::cmd("EVAL");
        call.arg(SCRIPT_LOOK).arg(networks.len());
        for (network, _) in &networks {
            call.arg(self.stuffing_key("shut", network));
        }
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
            problem: Box::new(problem),
            is_news_of: None,
        })
    }

    /// A pair did not match. True: it was one too many, and its network is shut out from now on, or the whole site.
    pub async fn note_failed_pair(&self, prefix: &str, pair: &[u8]) -> bool {
        if self.is_away() {
            return false;
        }
        let networks = counted(prefix);
        let mut call = redis::cmd("EVAL");
        call.arg(SCRIPT).arg(networks.len() * 2);
        for (network, _) in &networks {
            call.arg(self.stuffing_key("pairs", network))
                .arg(self.stuffing_key("shut", network));
        }
        for (_, times) in &networks {
            call.arg(PAIRS.saturating_mul(times.saturating_mul(self.app.config.rate_limit_factor)));
        }
        call.arg(pair).arg(WITHIN.as_secs()).arg(SHUT.as_secs());
        let outcome: redis::RedisResult<u32> = self.app.redis.ask(&call).await;
        match outcome {
            Ok(shut) => {
                metrics::counter!("stuffing_found_total").increment(u64::from(shut > 0));
                shut > 0
            }
            Err(error) => {
                self.note_away(&error);
                false
            }
        }
    }
}
