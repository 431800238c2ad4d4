//! The table: each figure beside the empty app's and what it was meant to be.

use crate::table::Tally;
use std::fmt::Write as _;
use std::time::Duration;

const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug)]
pub struct Figure {
    pub what: &'static str,
    pub unit: &'static str,
    pub ours: f64,
    /// The empty app's, where it has one.
    pub empty: Option<f64>,
    /// What ours may be at most, where something is asked of it.
    pub goal: Option<f64>,
}

impl Figure {
    /// A time of which nothing is asked.
    pub fn time(what: &'static str, ours: Duration) -> Self {
        Self {
            what,
            unit: "ms",
            ours: millis(ours),
            empty: None,
            goal: None,
        }
    }

    pub fn bytes(what: &'static str, bytes: u64) -> Self {
        Self {
            what,
            unit: "MiB",
            ours: mebibytes(bytes),
            empty: None,
            goal: None,
        }
    }

    #[must_use]
    pub fn at_most(self, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    #[must_use]
    pub fn beside(self, empty: f64) -> Self {
        Self {
            empty: Some(empty),
            ..self
        }
    }

    fn is_met(&self) -> Option<bool> {
        Some(self.ours <= self.goal?)
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53 bytes")]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// What half of them, and what nearly all of them took at most.
pub fn spread(took: Vec<Duration>, nearly_all: f64) -> (Duration, Duration) {
    let mut tally = Tally::default();
    tally.add(took, 1.0);
    (
        tally.percentile(0.5).unwrap_or_default(),
        tally.percentile(nearly_all).unwrap_or_default(),
    )
}

pub fn head() -> String {
    format!(
        "\n{:<62} {:>12} {:>12} {:>14}\n",
        "the desktop app", "ours", "empty app", "goal, at most"
    )
}

pub fn draw(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let amount = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1} {}", figure.unit))
        };
        let met = match figure.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let _ = writeln!(
            text,
            "{:<62} {:>12} {:>12} {:>14} {met}",
            figure.what,
            amount(Some(figure.ours)),
            amount(figure.empty),
            amount(figure.goal),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_itself() {
        let took = |millis| Figure::time("a start", Duration::from_millis(millis));
        assert_eq!(took(400).at_most(400.0).is_met(), Some(true));
        assert_eq!(took(401).at_most(400.0).is_met(), Some(false));
        assert_eq!(took(401).is_met(), None);
    }

    #[test]
    fn a_line_names_the_goal_and_says_whether_it_is_met() {
        let line = |figure: Figure| draw(&[figure]);
        let missed = line(Figure::bytes("the program", 24 << 20).at_most(15.0));
        assert!(missed.contains("24.0 MiB") && missed.contains("15.0 MiB") && missed.ends_with("missed\n"));
        let met = line(
            Figure::time("a start", Duration::from_millis(3))
                .beside(2.0)
                .at_most(4.0),
        );
        assert!(met.contains("2.0 ms") && met.ends_with(" met\n"), "{met}");
    }

    #[test]
    fn the_middle_and_the_end_of_what_was_taken() {
        let took = (1..=20).rev().map(Duration::from_millis).collect();
        let (middle, most) = spread(took, 0.95);
        assert_eq!((middle.as_millis(), most.as_millis()), (11, 20));
        assert_eq!(spread(Vec::new(), 1.0), (Duration::ZERO, Duration::ZERO));
    }
}
