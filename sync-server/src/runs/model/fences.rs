//! The fences of a run that a story can do without, to show that the laws see it.
//!
//! **Invariant:** no product code can be told to leave a gate open. The log and the row here are the model's own.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// A run is finished only while it is being made, by the attempt that has it.
    Finish,
    /// What is made is kept only while it is being made, by the attempt that has it.
    Checkpoint,
    /// The log takes entries in ascending order only.
    Log,
    /// Somebody else finishes a run only while its lease is over.
    OnlyIfLost,
    /// What the log refused is said to nobody.
    RefusedUnsaid,
    /// What is made is shown once the log has it.
    ShownIsLogged,
    /// Who was told that a run stops finds it stopped, however it would have ended.
    CancelKept,
    /// What still waits to be said is said before the end.
    AllSaid,
    /// A run whose lease is over is ended by somebody else.
    Reaped,
    /// A node that follows looks at the row now and then, whatever it hears.
    LookedUp,
}

/// All of them, or all but one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fences {
    open: Option<Fence>,
}

impl Fences {
    pub const fn without(fence: Fence) -> Self {
        Self { open: Some(fence) }
    }

    pub fn has(self, fence: Fence) -> bool {
        self.open != Some(fence)
    }
}
