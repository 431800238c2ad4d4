//! The pages that ask: whose account each is of, and what it asked already.
//!
//! A page is of the account that is on the screen when it first asks. What it asks is done once, though the web view may bring it
//! twice: where a page goes away before its answer is there, the script that calls the core takes that for a broken way and sends the
//! same ask by another.
//! **Invariant:** a page that is known becomes no other account's; a number of it is new once; what is kept is bounded.

use super::Turn;
use std::collections::VecDeque;

/// More than may still have an ask on its way: the one that is shown, the ones that were left a moment ago, and those that the web
/// view keeps alive behind it.
const PAGES: usize = 64;

/// The ones that asked last.
#[derive(Debug, Default)]
pub struct Pages(VecDeque<Page>);

#[derive(Debug)]
struct Page {
    /// What it calls itself, a number by chance.
    name: u64,
    /// The account's that it is of.
    turn: Turn,
    asked: Asked,
}

impl Pages {
    /// Whether a page asks this for the first time; `None`: it is of another account than the one whose turn it is.
    pub fn ask(&mut self, name: u64, number: u64, now: Turn) -> Option<bool> {
        if let Some(page) = self.0.iter_mut().find(|page| page.name == name) {
            return (page.turn == now).then(|| page.asked.take(number));
        }
        if self.0.len() == PAGES {
            self.0.pop_front();
        }
        let mut asked = Asked::default();
        let is_new = asked.take(number);
        let turn = now;
        self.0.push_back(Page { name, turn, asked });
        Some(is_new)
    }

    /// Whose a page is that has asked.
    pub fn turn_of(&self, name: u64) -> Option<Turn> {
        let page = self.0.iter().find(|page| page.name == name);
        page.map(|page| page.turn)
    }
}

/// The newest number, and which of the ones before it were there (RFC 4303 §3.4.3). One that is older than it can tell counts as one
/// that was.
#[derive(Debug, Default)]
struct Asked {
    newest: u64,
    /// The lowest bit is the newest one's.
    seen: u128,
}

impl Asked {
    /// Whether this number was not there before.
    fn take(&mut self, number: u64) -> bool {
        if number > self.newest {
            let ahead = u32::try_from(number - self.newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = number;
            return true;
        }
        let behind = u32::try_from(self.newest - number).unwrap_or(u32::MAX);
        let Some(bit) = 1_u128.checked_shl(behind) else {
            return false;
        };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const NOW: Turn = Turn(0);

    #[test]
    fn what_a_page_asks_is_let_in_once_in_whatever_order_it_comes() {
        let mut pages = Pages::default();
        for number in [0, 2, 1, 200, 100] {
            assert_eq!(pages.ask(7, number, NOW), Some(true), "{number}");
            assert_eq!(pages.ask(7, number, NOW), Some(false), "{number} again");
        }
        assert_eq!(pages.ask(7, 3, NOW), Some(false), "too old to be told");
        assert_eq!(pages.ask(8, 3, NOW), Some(true), "another page counts for itself");
        assert_eq!(pages.ask(7, u64::MAX, NOW), Some(true));
        assert_eq!(pages.ask(7, 201, NOW), Some(false));
    }

    #[test]
    fn a_page_stays_the_accounts_that_it_was_first() {
        let (mut pages, later) = (Pages::default(), Turn(1));
        assert_eq!(pages.turn_of(7), None, "it has not asked");
        assert_eq!(pages.ask(7, 0, NOW), Some(true));
        // one of its account that was left before, and asks late
        assert_eq!(pages.ask(6, 9, NOW), Some(true));
        for page in [6, 7] {
            assert_eq!(pages.ask(page, 10, later), None);
            assert_eq!(pages.turn_of(page), Some(NOW));
        }
        assert_eq!(pages.ask(8, 0, later), Some(true));
        assert_eq!(pages.turn_of(8), Some(later));
        assert_eq!(
            pages.ask(7, 10, NOW),
            Some(true),
            "what was refused does not count"
        );
    }

    #[test]
    fn a_page_that_was_left_is_still_known_and_no_more_are_than_may_be() {
        let mut pages = Pages::default();
        for page in 0..64 {
            assert_eq!(pages.ask(page, 1, NOW), Some(true));
        }
        assert!((0..64).all(|page| pages.ask(page, 1, NOW) == Some(false)));
        assert_eq!(pages.ask(64, 1, NOW), Some(true));
        assert_eq!(pages.0.len(), PAGES);
        assert_eq!((pages.turn_of(0), pages.turn_of(1)), (None, Some(NOW)));
    }

    proptest! {
        #[test]
        fn nothing_is_let_in_twice_and_nothing_near_the_newest_is_kept_out(
            numbers in prop::collection::vec(0_u64..400, 1..200),
        ) {
            let (mut asked, mut seen) = (Asked::default(), BTreeSet::new());
            for number in numbers {
                let newest = seen.last().copied().unwrap_or(0);
                let is_new = asked.take(number);
                let is_near = number + 127 >= newest;
                prop_assert_eq!(is_new, is_near && seen.insert(number));
                seen.insert(number);
            }
        }
    }
}
