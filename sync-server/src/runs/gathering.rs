//! What an agent has said and nobody was shown yet, and when it is due: a reply's many small pieces cost the stores few writes, and
//! whoever watches sees it grow all the same.

use std::time::Duration;
use tokio::time::Instant;

/// Text is shown this often, and where nobody watches it is logged this often; sooner where much has come.
const SEEN: Duration = Duration::from_millis(40);
const UNSEEN: Duration = Duration::from_millis(250);
const MUCH: usize = 4096;

#[derive(Debug)]
pub struct Gathering {
    text: String,
    has_begun: bool,
    taken: Instant,
}

impl Gathering {
    pub fn begin(now: Instant) -> Self {
        Self {
            text: String::new(),
            has_begun: false,
            taken: now,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_much(&self) -> bool {
        self.text.len() >= MUCH
    }

    /// Some of the reply was taken before.
    pub const fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub fn push(&mut self, c: char) {
        self.text.push(c);
    }

    /// When what is there is to be taken. The first text is due at once.
    pub fn due(&self, is_seen: bool) -> Instant {
        match (self.has_begun, is_seen) {
            (false, _) => self.taken,
            (true, true) => self.taken + SEEN,
            (true, false) => self.taken + UNSEEN,
        }
    }

    pub fn take(&mut self) -> String {
        self.has_begun = true;
        self.taken = Instant::now();
        std::mem::take(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When something was taken of a reply whose tokens come every five milliseconds for a second, as its worker takes it.
    async fn taken(is_seen: bool) -> Vec<u128> {
        let begun = Instant::now();
        let mut gathering = Gathering::begin(begun);
        let mut tokens = tokio::time::interval(Duration::from_millis(5));
        let (mut left, mut taken) = (200, Vec::new());
        while left > 0 || !gathering.text().is_empty() {
            let due = gathering.due(is_seen);
            tokio::select! {
                biased;
                _ = tokens.tick(), if left > 0 => {
                    gathering.push('x');
                    left -= 1;
                }
                () = tokio::time::sleep_until(due), if !gathering.text().is_empty() => {
                    gathering.take();
                    taken.push(begun.elapsed().as_millis());
                }
            }
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_text_is_shown_at_once_and_then_every_forty_milliseconds_where_somebody_watches() {
        let taken = taken(true).await;
        let expected: Vec<u128> = (0..=25).map(|count| count * 40).collect();
        assert_eq!(taken, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_watches_it_is_kept_every_quarter_of_a_second() {
        assert_eq!(taken(false).await, [0, 250, 500, 750, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_comes_to_watch_waits_no_longer_than_those_who_watch() {
        let mut gathering = Gathering::begin(Instant::now());
        gathering.take();
        gathering.push('x');
        tokio::time::advance(SEEN).await;
        assert!(gathering.due(false) > Instant::now());
        assert_eq!(gathering.due(true), Instant::now());
    }

    #[test]
    fn four_kib_are_much() {
        let mut gathering = Gathering::begin(Instant::now());
        (1..MUCH).for_each(|_| gathering.push('x'));
        assert!(!gathering.is_much());
        gathering.push('x');
        assert!(gathering.is_much());
    }
}
