//! How many of something each may hold at once on this node. What is taken is given back when it is dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Slots<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One of somebody's.
#[derive(Debug)]
pub struct Slot<K: Clone + Eq + Hash> {
    slots: Slots<K>,
    of: K,
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Slots<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Slots<K> {
    /// `None`: they have `most` already.
    pub fn take(&self, of: K, most: usize) -> Option<Slot<K>> {
        let mut taken = self.lock();
        let count = taken.entry(of.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        let slots = self.clone();
        Some(Slot { slots, of })
    }
}

impl<K: Clone + Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_as_many_as_may_be_and_one_that_is_dropped_makes_room() {
        let slots = Slots::default();
        let held = [slots.take("ana", 2).unwrap(), slots.take("ana", 2).unwrap()];
        assert!(slots.take("ana", 2).is_none(), "two is enough");
        assert!(slots.take("ben", 2).is_some(), "of somebody else's there is none");
        drop(held);
        assert!(slots.lock().is_empty(), "nobody is remembered");
        assert!(slots.take("ana", 1).is_some());
    }
}
