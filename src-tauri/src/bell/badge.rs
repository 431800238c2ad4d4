//! How many replies were told of and not looked at since. Pure: who looks, and where the number is shown, is told from outside.

use protocol::SessionId;
use std::collections::BTreeMap;

/// By their sessions, and the number that stands on the icon.
#[derive(Debug, Default)]
pub struct Badge {
    unseen: BTreeMap<SessionId, u32>,
    shown: u32,
}

impl Badge {
    /// Another reply of this session was told of.
    pub fn add(&mut self, session: SessionId) {
        *self.unseen.entry(session).or_default() += 1;
    }

    /// Somebody opened it.
    pub fn take(&mut self, session: SessionId) {
        self.unseen.remove(&session);
    }

    /// Somebody came back to the window, where the list says what is new; or it is another account's.
    pub fn clear(&mut self) {
        self.unseen.clear();
    }

    /// The number, where it is another than at the last time.
    pub fn news(&mut self) -> Option<u32> {
        let count: u32 = self.unseen.values().sum();
        (std::mem::replace(&mut self.shown, count) != count).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_until_their_session_or_the_window_is_looked_at() {
        let (one, other) = (SessionId::fresh(), SessionId::fresh());
        let mut badge = Badge::default();
        assert_eq!(badge.news(), None, "there is none to begin with");
        badge.add(one);
        badge.add(one);
        badge.add(other);
        assert_eq!(badge.news(), Some(3));
        assert_eq!(badge.news(), None, "it is shown already");
        badge.take(one);
        assert_eq!(badge.news(), Some(1));
        badge.take(one);
        assert_eq!(badge.news(), None);
        badge.clear();
        assert_eq!(badge.news(), Some(0));
        badge.add(other);
        badge.take(other);
        assert_eq!(badge.news(), None);
    }
}
