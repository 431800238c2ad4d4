//! The rules of the protocol that a run can do without, to show that the laws see it.
//!
//! **Invariant:** no product code can be told to break a rule. The server here is the model's own; a device without a
//! check is one that is handed what the check would have let pass, whose disk takes things in another order, or whose
//! network treats it so.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The server looks a mutation's id up before it applies it.
    Ledger,
    /// Every change has a number of its own.
    Counter,
    /// Messages of a session are counted without a hole.
    Places,
    /// What was deleted is told like any other change.
    Tombstone,
    /// A title made from a message never takes the place of a person's.
    HumanTitle,
    /// A page is applied only where it begins at the cursor.
    From,
    /// Rows and cursor are committed together.
    OneCommit,
    /// A read is applied only if it is no older than the cursor.
    AsOf,
    /// That, and a row gives way to a newer one only.
    Newer,
    /// The outcome of a write is believed only in the history that it was reached in.
    Answer,
    /// What is written is on the disk before anybody is told, and before it is sent.
    Written,
    /// What was accepted is kept, to be sent again to a server that lost it.
    Journal,
    /// Each session's writes wait for themselves alone.
    Lanes,
    /// What failed is tried again when its time has come.
    Timer,
}

/// All of them, or all but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    off: Option<Rule>,
}

impl Rules {
    pub const fn without(rule: Rule) -> Self {
        Self { off: Some(rule) }
    }

    pub const fn keep_all(self) -> bool {
        self.off.is_none()
    }

    pub fn keep(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }
}
