//! The fuzzer's corpus, read by the same claims in every run of the suite: what once was found stays found, and the
//! targets go on compiling. `cargo xtask fuzz` makes up more.

#[path = "../fuzz/src/claims.rs"]
mod claims;

use crate::programs::root;

fn holds_of_each(target: &str, claim: fn(&str)) {
    let folder = root().join("tests/fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files.flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_else(|error| panic!("{:?}: {error}", file.path()));
        // what is no text never gets as far
        if let Ok(text) = std::str::from_utf8(&bytes) {
            println!("{}", file.path().display());
            claim(text);
            count += 1;
        }
    }
    assert!(count > 0, "nothing in {}", folder.display());
}

#[test]
fn every_frame_of_the_corpus_reads_back_or_is_refused() {
    holds_of_each("frames", claims::frames);
}

#[test]
fn every_cursor_of_the_corpus_comes_back_or_is_refused() {
    holds_of_each("cursors", claims::cursors);
}

#[test]
fn every_search_of_the_corpus_is_understood_by_the_index() {
    holds_of_each("searches", claims::searches);
}

#[test]
fn every_link_of_the_corpus_is_ours_or_dropped() {
    holds_of_each("links", claims::links);
}
