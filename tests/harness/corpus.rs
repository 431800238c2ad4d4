//! The fuzzer's corpus, read by the same claims in every run of the suite, with much that is like it: what once was found stays
//! found, and the targets go on compiling. `cargo xtask fuzz` makes up more.

#[path = "../fuzz/src/claims.rs"]
mod claims;

use crate::programs::root;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::mutation::{Batch, Op};
use protocol::session_socket::{Answer, Ask};
use protocol::sync::Change;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How often each file is changed and read again.
const CHANGED: u64 = 200;
/// What parsers stumble over.
const PIECES: [&[u8]; 10] = [
    b"\0", b"\"", b"\\u0000", b"\\ud83d", b"-", b"1e999", b"{\"t\":", b"[[[[", b"\xff", b"|",
];

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn files(target: &str) -> Vec<File> {
    let folder = root().join("tests/fuzz/corpus").join(target);
    let found = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |path: PathBuf| File {
        bytes: std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        path,
    };
    let mut files: Vec<File> = found.flatten().map(|file| read(file.path())).collect();
    assert!(!files.is_empty(), "nothing in {}", folder.display());
    // folders tell their files in any order
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// Chance that is the same on every machine (splitmix64).
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }
}

/// The bytes with one to three changes: a bit, a cut, a stretch twice, a piece put in, the end of another file.
fn changed(bytes: &[u8], others: &[File], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let (one, other) = (chance.below(bytes.len() + 1), chance.below(bytes.len() + 1));
        let (from, to) = (one.min(other), one.max(other));
        match chance.below(6) {
            0 => bytes.truncate(to),
            1 => drop(bytes.drain(from..to)),
            2 => bytes.extend_from_within(from..to),
            3 => drop(bytes.splice(from..from, PIECES[chance.below(PIECES.len())].iter().copied())),
            4 => {
                let end = &others[chance.below(others.len())].bytes;
                bytes.truncate(from);
                bytes.extend_from_slice(&end[chance.below(end.len())..]);
            }
            _bit => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        }
    }
    bytes
}

/// Says what was given where a claim does not hold.
struct Given<'a> {
    file: &'a File,
    seed: u64,
    bytes: &'a [u8],
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.bytes.escape_ascii();
            println!("{}, changed by {}: {text}", self.file.path.display(), self.seed);
        }
    }
}

/// Of each file as it is, and as it is changed.
fn holds_of_all(target: &str, claim: fn(&[u8])) {
    let files = files(target);
    for file in &files {
        for seed in 0..=CHANGED {
            let mut chance = Chance(seed);
            let bytes = if seed == 0 {
                file.bytes.clone()
            } else {
                changed(&file.bytes, &files, &mut chance)
            };
            let bytes = &bytes;
            let _given = Given { file, seed, bytes };
            claim(bytes);
        }
    }
}

#[test]
fn every_frame_of_the_corpus_reads_back_or_is_refused() {
    holds_of_all("frames", |bytes| claims::frames(&String::from_utf8_lossy(bytes)));
}

#[test]
fn every_packed_frame_of_the_corpus_unpacks_or_is_refused() {
    holds_of_all("packed", claims::packed);
}

#[test]
fn every_cursor_of_the_corpus_comes_back_or_is_refused() {
    holds_of_all("cursors", |bytes| {
        claims::cursors(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn every_search_of_the_corpus_is_understood_by_the_index() {
    holds_of_all("searches", |bytes| {
        claims::searches(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn every_link_of_the_corpus_is_ours_or_dropped() {
    holds_of_all("links", |bytes| claims::links(&String::from_utf8_lossy(bytes)));
}

/// Every kind that a reader of these takes, as it says itself when it is shown one of none.
fn kinds<T: DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let refused = serde_json::from_value::<T>(serde_json::json!({ tag: "of no kind" }));
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    // "unknown variant `of no kind`, expected one of `a`, `b`"
    said.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

fn kind_of(value: &Value, tag: &str) -> Option<String> {
    value.get(tag)?.as_str().map(str::to_owned)
}

/// What the corpus has of each list: only what really reads as one counts.
fn in_corpus() -> [BTreeSet<String>; 6] {
    let mut seen: [BTreeSet<String>; 6] = Default::default();
    for file in files("frames") {
        let text = String::from_utf8_lossy(&file.bytes);
        let Ok(value) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let each = |list: &str, tag: &str| -> Vec<String> {
            let list = value.get(list).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|item| kind_of(item, tag)).collect()
        };
        if serde_json::from_str::<ServerFrame>(&text).is_ok() {
            seen[0].extend(kind_of(&value, "t"));
            seen[1].extend(each("changes", "k"));
        }
        if serde_json::from_str::<ClientFrame>(&text).is_ok() {
            seen[2].extend(kind_of(&value, "t"));
        }
        if serde_json::from_str::<Ask>(&text).is_ok() {
            seen[3].extend(kind_of(&value, "type"));
        }
        if serde_json::from_str::<Answer>(&text).is_ok() {
            seen[4].extend(kind_of(&value, "type"));
        }
        if serde_json::from_str::<Batch>(&text).is_ok() {
            seen[5].extend(each("ops", "op"));
        }
    }
    seen
}

/// Whoever adds a kind adds a file.
#[test]
fn the_corpus_has_every_kind_of_frame_change_and_operation() {
    let known = [
        kinds::<ServerFrame>("t"),
        kinds::<Change>("k"),
        kinds::<ClientFrame>("t"),
        kinds::<Ask>("type"),
        kinds::<Answer>("type"),
        kinds::<Op>("op"),
    ];
    let counts: Vec<usize> = known.iter().map(BTreeSet::len).collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(in_corpus(), known);
}
