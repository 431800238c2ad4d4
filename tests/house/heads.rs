//! Every file says what it is in its first line.

use crate::tree::{self, Source};

fn faults(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| {
            let first = source.text.lines().next().unwrap_or_default();
            first
                .strip_prefix("//!")
                .is_none_or(|said| said.trim().len() < 10)
        })
        .map(|source| format!("{}: begins without `//!` and a sentence", source.path))
        .collect()
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    tree::assert_none("each file begins with //! and what it is", &faults(&tree::rust()));
}

#[test]
fn a_file_without_a_head_is_seen() {
    let silent = Source::sample("a/b.rs", "use std::fmt;\n//! Late words are no head.");
    let curt = Source::sample("a/c.rs", "//! x");
    assert_eq!(faults(&[silent, curt]).len(), 2);
    assert!(faults(&[Source::sample("a.rs", "//! What keeps the letters.")]).is_empty());
}
