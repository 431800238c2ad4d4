//! Which stretches of a session's messages are here. Everything outside them is a known gap.

use protocol::sync::Ord;

/// Disjoint intervals `lo..=hi`, ascending, never touching: neighbours are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(Ord, Ord)>);

impl Ranges {
    /// Takes intervals in any order; empty ones (`lo > hi`) say nothing.
    pub fn from_stretches(stretches: impl IntoIterator<Item = (Ord, Ord)>) -> Self {
        let mut ranges = Self::default();
        for (lo, hi) in stretches {
            ranges.add(lo, hi);
        }
        ranges
    }

    pub fn add(&mut self, lo: Ord, hi: Ord) {
        if lo > hi {
            return;
        }
        let (mut low, mut high) = (lo, hi);
        self.0.retain(|&(from, to)| {
            let touches = from <= high.saturating_add(1) && to >= low.saturating_sub(1);
            if touches {
                low = low.min(from);
                high = high.max(to);
            }
            !touches
        });
        let place = self.0.partition_point(|&(from, _)| from < low);
        self.0.insert(place, (low, high));
    }

    /// The newest stretch.
    pub fn newest(&self) -> Option<(Ord, Ord)> {
        self.0.last().copied()
    }

    pub fn stretches(&self) -> &[(Ord, Ord)] {
        &self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What has to be loaded so that a session's newest `want` messages are here: `None` if they are, else the ord before
/// which to load (`Some(None)`: from the newest).
pub fn missing(newest: Option<(Ord, Ord)>, last_ord: Ord, want: Ord) -> Option<Option<Ord>> {
    match newest {
        None if last_ord == 0 => None,
        None => Some(None),
        Some((_, hi)) if hi < last_ord => Some(None),
        Some((lo, hi)) if lo > 1 && hi - lo + 1 < want => Some(Some(lo)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_ranges_hold_exactly_what_was_added(adds in prop::collection::vec((1_i64..60, 0_i64..8), 0..20)) {
            let mut ranges = Ranges::default();
            let mut all = BTreeSet::new();
            for (lo, len) in adds {
                ranges.add(lo, lo + len - 1);
                all.extend(lo..lo + len);
            }
            let held: BTreeSet<i64> = ranges.stretches().iter().flat_map(|&(lo, hi)| lo..=hi).collect();
            prop_assert_eq!(held, all);
            for pair in ranges.stretches().windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0, "merged and ascending: {:?}", ranges);
            }
        }
    }

    #[test]
    fn a_session_whose_end_is_unknown_is_loaded_from_its_end() {
        assert_eq!(missing(None, 0, 50), None);
        assert_eq!(missing(None, 3, 50), Some(None));
        assert_eq!(missing(Some((1, 3)), 3, 50), None);
        assert_eq!(missing(Some((1, 3)), 5, 50), Some(None));
        assert_eq!(missing(Some((57, 57)), 57, 50), Some(Some(57)));
        assert_eq!(missing(Some((8, 57)), 57, 50), None);
    }
}
