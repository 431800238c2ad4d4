//! The table, and the numbers in it.

use std::fmt::Write as _;
use std::time::Duration;

#[derive(Debug)]
pub struct Row {
    pub work: String,
    pub ours: f64,
    pub limit: f64,
    pub unit: &'static str,
    /// Where less is better, the ratio is the other way round: above 1 is always past the limit.
    pub less_is_better: bool,
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    pub memory: u64,
}

pub fn head() -> String {
    format!(
        "\n{:<44} {:>13} {:>13} {:>6} {:>9} {:>9} {:>9}\n",
        "work", "this server", "limit", "ratio", "p50", "p99", "memory"
    )
}

pub fn draw(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let ratio = if row.less_is_better {
            row.limit / row.ours
        } else {
            row.ours / row.limit
        };
        let _ = writeln!(
            text,
            "{:<44} {:>13} {:>13} {ratio:>6.2} {:>9} {:>9} {:>5} MiB",
            row.work,
            amount(row.ours, row.unit),
            amount(row.limit, row.unit),
            time(row.p50),
            time(row.p99),
            row.memory / 1024
        );
    }
    text
}

fn amount(value: f64, unit: &str) -> String {
    if value < 100.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0),
    )
}

/// How often something was done, and how long each took.
#[derive(Debug, Default)]
pub struct Tally {
    took: Vec<Duration>,
    seconds: f64,
}

impl Tally {
    pub fn add(&mut self, took: Vec<Duration>, seconds: f64) {
        self.took.extend(took);
        self.seconds += seconds;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.seconds
    }

    /// How much of a time that was spent on all falls on each, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub fn each(&self, spent: Duration) -> f64 {
        spent.as_secs_f64() * 1e6 / self.took.len() as f64
    }

    /// `share` of all took at most this long.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    pub fn percentile(&mut self, share: f64) -> Option<Duration> {
        self.took.sort_unstable();
        let place = (self.took.len() as f64 * share) as usize;
        self.took
            .get(place.min(self.took.len().saturating_sub(1)))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_took_at_most_that_long() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentile(0.5), None);
        tally.add((1..=100).rev().map(Duration::from_millis).collect(), 4.0);
        assert_eq!(tally.percentile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(tally.percentile(0.99), Some(Duration::from_millis(100)));
        assert_eq!(tally.percentile(1.0), Some(Duration::from_millis(100)));
        assert!((tally.rate() - 25.0).abs() < f64::EPSILON);
        assert!((tally.each(Duration::from_millis(5)) - 50.0).abs() < 1e-9);
    }
}
