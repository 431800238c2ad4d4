//! What processes hold and what they have worked, as the kernel says it.

use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// In which `/proc/PID/stat` counts: a hundredth of a second on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Memory that they hold now, in bytes; what several of them share is counted once, in parts (PSS).
pub fn held(processes: &[u32]) -> anyhow::Result<u64> {
    let mut sum = 0;
    for process in processes {
        // One may have ended since it was found.
        let Ok(rollup) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
            continue;
        };
        sum += proportional(&rollup).with_context(|| format!("the memory of process {process}"))?;
    }
    Ok(sum)
}

/// How long each has worked so far, in its own code and in the kernel's.
pub fn worked(processes: &[u32]) -> BTreeMap<u32, Duration> {
    let read = |process: &u32| Some((*process, worked_by(*process)?));
    processes.iter().filter_map(read).collect()
}

/// How long one has worked so far.
pub fn worked_by(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    busy(&stat)
}

/// What was worked between two looks; one that is new since then began at nothing.
pub fn between(before: &BTreeMap<u32, Duration>, after: &BTreeMap<u32, Duration>) -> Duration {
    let each = after
        .iter()
        .map(|(process, worked)| worked.saturating_sub(before.get(process).copied().unwrap_or_default()));
    each.sum()
}

/// Of `smaps_rollup`, in bytes.
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Of `stat`: its 14th and 15th field. The second is the program's name, which may hold anything.
fn busy(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let own: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (own + kernel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_share_is_read_and_no_other() {
        let rollup =
            "55d0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Dirty:  7 kB\n";
        assert_eq!(proportional(rollup), Some(1234 * 1024));
        assert_eq!(proportional("Rss: 1 kB\nPss_Dirty: 7 kB\n"), None);
    }

    #[test]
    fn work_is_read_past_any_name() {
        let stat = "42 (WebKit ) S 1 2) S 1 42 42 0 -1 4194304 900 0 3 0 150 25 7 8 20 0 9 0 1234 5 6";
        assert_eq!(busy(stat), Some(Duration::from_millis(1750)));
        assert_eq!(busy("42 (a) S 1"), None);
    }

    #[test]
    fn what_began_meanwhile_is_counted_from_its_beginning() {
        let millis = Duration::from_millis;
        let before = BTreeMap::from([(1, millis(500)), (2, millis(70))]);
        let after = BTreeMap::from([(1, millis(520)), (3, millis(30))]);
        assert_eq!(between(&before, &after), millis(50));
    }

    #[test]
    fn this_process_can_be_weighed() {
        let own = [std::process::id()];
        assert!(held(&own).unwrap() > 100_000);
        assert_eq!(worked(&own).len(), 1);
        assert_eq!(held(&[u32::MAX]).unwrap(), 0, "one that has ended weighs nothing");
    }
}
