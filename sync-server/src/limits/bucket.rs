//! One bucket's arithmetic: GCRA (ITU-T I.371), which keeps a single time for each key.

/// So many tries in so many seconds, a full burst at once allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub tries: u32,
    pub seconds: u32,
}

impl Rate {
    pub const fn new(tries: u32, seconds: u32) -> Self {
        Self { tries, seconds }
    }

    pub const fn times(self, factor: u32) -> Self {
        Self::new(self.tries.saturating_mul(factor), self.seconds)
    }

    /// One of so many shares, at least one try.
    pub const fn share(self, of: u32) -> Self {
        let tries = self.tries / of;
        Self::new(if tries == 0 { 1 } else { tries }, self.seconds)
    }

    /// Milliseconds that one try costs.
    pub fn interval_ms(self) -> u64 {
        (u64::from(self.seconds) * 1000 / u64::from(self.tries.max(1))).max(1)
    }

    /// How far ahead of now a key may be: the burst less one.
    pub fn tolerance_ms(self) -> u64 {
        self.interval_ms() * u64::from(self.tries.saturating_sub(1))
    }

    /// Given the key's time, the new one, or how many milliseconds too early this try is.
    pub fn take(self, now_ms: u64, theoretical: Option<u64>) -> Result<u64, u64> {
        let theoretical = theoretical.unwrap_or(now_ms).max(now_ms);
        let ahead = theoretical - now_ms;
        if ahead > self.tolerance_ms() {
            return Err(ahead - self.tolerance_ms());
        }
        Ok(theoretical + self.interval_ms())
    }
}

/// One key that is counted.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub key: String,
    pub rate: Rate,
    /// Whose it is, among those who are counted together.
    pub place: usize,
    /// Milliseconds for which a refusal is no news once it was told.
    pub news_ms: u64,
}

/// The same as [`Rate::take`] for several keys, all or none. Answers the milliseconds to wait, 0 being a yes, and the last
/// of the keys (from 1) whose refusal is news. The keys of the counts come first, then those of the news.
pub const SCRIPT_TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = #KEYS / 2
local wait, news, next_times = 0, 0, {}
for i = 1, count do
  local interval, tolerance = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local theoretical = math.max(tonumber(redis.call('GET', KEYS[i]) or now), now)
  local early = theoretical - now - tolerance
  if early > wait then wait = early end
  if early > 0 and redis.call('SET', KEYS[count + i], '1', 'NX', 'PX', ARGV[3 * i]) then news = i end
  next_times[i] = theoretical + interval
end
if wait == 0 then
  for i = 1, count do
    redis.call('SET', KEYS[i], string.format('%d', next_times[i]), 'PX', string.format('%d', next_times[i] - now + 1000))
  end
end
return {wait, news}
";

/// Undoes one take of each key.
pub const SCRIPT_GIVE_BACK: &str = r"
for i, key in ipairs(KEYS) do
  local theoretical = redis.call('GET', key)
  if theoretical then
    redis.call('SET', key, string.format('%d', tonumber(theoretical) - tonumber(ARGV[i])), 'KEEPTTL')
  end
end
";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_and_the_next_try_waits() {
        let rate = Rate::new(3, 60);
        let mut time = None;
        for _ in 0..3 {
            time = Some(rate.take(1000, time).unwrap());
        }
        assert_eq!(rate.take(1000, time), Err(20_000));
        assert!(rate.take(21_000, time).is_ok());
    }

    proptest! {
        #[test]
        fn no_pattern_of_tries_beats_a_burst_and_the_rate(
            tries in 1u32..50, seconds in 1u32..600, gaps in prop::collection::vec(0u64..5_000, 1..200)
        ) {
            let rate = Rate::new(tries, seconds);
            let (mut now, mut time, mut passed) = (0u64, None, 0u64);
            for gap in gaps {
                now += gap;
                if let Ok(next) = rate.take(now, time) {
                    time = Some(next);
                    passed += 1;
                }
            }
            prop_assert!(passed <= u64::from(tries) + now / rate.interval_ms());
        }

        #[test]
        fn who_waits_as_told_gets_through(tries in 1u32..50, seconds in 1u32..600) {
            let rate = Rate::new(tries, seconds);
            let mut time = None;
            for _ in 0..tries {
                time = Some(rate.take(0, time).unwrap());
            }
            let wait = rate.take(0, time).unwrap_err();
            prop_assert!(rate.take(wait, time).is_ok());
        }
    }
}
