//! What produces a reply. One kind so far: the echo agent, which is also the instrument that tests and screenshots play.

mod echo;

pub use echo::Echo;

/// What an agent says next. After `Done` or `Failed` it says nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Text(String),
    Done,
    /// In plain words, for `metadata.error`.
    Failed(String),
}
