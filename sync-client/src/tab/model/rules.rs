//! The rules of the protocol that a run can do without, to show that the laws see it.
//!
//! **Invariant:** no product code can be told to break a rule. The server here is the model's own; a device without a
//! check is one that is handed what the check would have let pass, or whose disk takes a page in two steps.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The server looks a mutation's id up before it applies it.
    Ledger,
    /// A page is applied only where it begins at the cursor.
    From,
    /// Rows and cursor are committed together.
    OneCommit,
    /// A read is applied only if it is no older than the cursor.
    AsOf,
    /// The outcome of a write is believed only in the history that it was reached in.
    Answer,
}

/// All of them, or all but one.
#[derive(Clone, Copy, Debug, Default)]
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
