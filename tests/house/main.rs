//! The invariants of the code itself, read from its text. Fast, and starts nothing.
//!
//! Each room here is one rule: `faults` lists where it is broken, and a test beside it shows the rule can be broken.

#![expect(
    clippy::panic,
    reason = "a claim that does not hold ends its test by panicking"
)]

mod arrows;
mod boundaries;
mod documents;
mod door;
mod gated;
mod heads;
mod manifests;
mod names;
mod rust_text;
mod tree;
