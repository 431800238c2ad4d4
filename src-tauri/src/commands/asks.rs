//! Each ask of a page is done once, though the web view may bring it twice: where a page goes away before its answer is there, the
//! script that calls the core takes that for a broken way and sends the same ask by another.
//!
//! **Invariant:** a number of a page is let in once; what is kept is bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Pages that may still have an ask on its way: the one that is shown, and the ones that were left a moment ago.
const PAGES: usize = 16;

/// The numbers of each page that were let in.
#[derive(Debug, Default)]
pub struct Asks {
    pages: Mutex<VecDeque<(u64, Window)>>,
}

/// The newest number, and which of the ones before it were there (RFC 4303 §3.4.3). One that is older than it can tell counts as one
/// that was.
#[derive(Debug, Default)]
struct Window {
    newest: u64,
    /// The lowest bit is the newest one's.
    seen: u128,
}

impl Asks {
    /// Whether the ask of this number was not there before.
    pub fn is_new(&self, page: u64, number: u64) -> bool {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, window)) = pages.iter_mut().find(|(name, _)| *name == page) {
            return window.take(number);
        }
        if pages.len() == PAGES {
            pages.pop_front();
        }
        let mut window = Window::default();
        let is_new = window.take(number);
        pages.push_back((page, window));
        is_new
    }
}

impl Window {
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

    #[test]
    fn what_a_page_asks_is_let_in_once_in_whatever_order_it_comes() {
        let asks = Asks::default();
        for number in [0, 2, 1, 200, 100] {
            assert!(asks.is_new(7, number), "{number}");
            assert!(!asks.is_new(7, number), "{number} again");
        }
        assert!(!asks.is_new(7, 3), "too old to be told");
        assert!(asks.is_new(8, 3), "another page counts for itself");
        assert!(asks.is_new(7, u64::MAX));
        assert!(!asks.is_new(7, 201));
    }

    #[test]
    fn a_page_that_was_left_is_still_known_and_no_more_are_than_may_be() {
        let asks = Asks::default();
        for page in 0..16 {
            assert!(asks.is_new(page, 1));
        }
        assert!((0..16).all(|page| !asks.is_new(page, 1)));
        assert!(asks.is_new(16, 1));
        assert_eq!(asks.pages.lock().unwrap().len(), PAGES);
    }

    proptest! {
        #[test]
        fn nothing_is_let_in_twice_and_nothing_near_the_newest_is_kept_out(
            numbers in prop::collection::vec(0_u64..400, 1..200),
        ) {
            let (mut window, mut seen) = (Window::default(), BTreeSet::new());
            for number in numbers {
                let newest = seen.last().copied().unwrap_or(0);
                let is_new = window.take(number);
                let is_near = number + 127 >= newest;
                prop_assert_eq!(is_new, is_near && seen.insert(number));
                seen.insert(number);
            }
        }
    }
}
