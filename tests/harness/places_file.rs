//! A small database that says where networks are, in MaxMind's format, version 2.0
//! (<https://maxmind.github.io/MaxMind-DB/>): a tree of the addresses' bits, sixteen zero bytes, the records, and what all of it is.

use serde_json::{Value, json};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use tempfile::NamedTempFile;

/// Begins the last part of the file.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Between the tree and the records.
const GAP: usize = 16;

/// Gone when it is dropped.
#[derive(Debug)]
pub struct PlacesFile(NamedTempFile);

/// One of the two ways on from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nowhere,
    Node(usize),
    /// To a record, by where it begins among the records.
    Record(usize),
}

impl PlacesFile {
    /// A database of this type, with a record for each network, as `203.0.113.0/24` or `2001:db8::/32`.
    pub fn new(kind: &str, networks: &[(&str, Value)]) -> Self {
        let mut tree = vec![[Way::Nowhere; 2]];
        let mut records = Vec::new();
        for (network, record) in networks {
            lead(&mut tree, &bits(network), records.len());
            put(&mut records, record);
        }
        let mut file = Vec::new();
        for way in tree.iter().flatten() {
            let number = match way {
                Way::Nowhere => tree.len(),
                Way::Node(number) => *number,
                Way::Record(at) => tree.len() + GAP + at,
            };
            // 24 bits a way
            file.extend(number.to_be_bytes().iter().skip(5));
        }
        file.extend([0; GAP]);
        file.extend(records);
        file.extend(MARK);
        describe(&mut file, kind, tree.len());
        let mut kept = NamedTempFile::new().unwrap_or_else(|error| panic!("making a file: {error}"));
        kept.write_all(&file)
            .unwrap_or_else(|error| panic!("writing a database of places: {error}"));
        Self(kept)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A record of a city, or of less where a name is empty.
pub fn place(city: &str, region: &str, country: &str) -> Value {
    let named = |name: &str| json!({"names": {"de": format!("{name} auf Deutsch"), "en": name}});
    let mut record = serde_json::Map::from_iter([("country".to_owned(), named(country))]);
    if !city.is_empty() {
        record.insert("city".to_owned(), named(city));
    }
    if !region.is_empty() {
        record.insert("subdivisions".to_owned(), json!([named(region)]));
    }
    Value::Object(record)
}

/// The bits that all addresses of a network begin with. Those of IPv4 lie at `::/96`.
fn bits(network: &str) -> Vec<usize> {
    let read = || {
        let (address, length) = network.split_once('/')?;
        let length: usize = length.parse().ok()?;
        Some(match address.parse().ok()? {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), length + 96),
            IpAddr::V6(v6) => (v6.to_bits(), length),
        })
    };
    let (address, length) = read().unwrap_or_else(|| panic!("{network} is no network"));
    let bit = |place: usize| usize::from(address >> (127 - place) & 1 == 1);
    (0..length).map(bit).collect()
}

fn lead(tree: &mut Vec<[Way; 2]>, bits: &[usize], record: usize) {
    let mut node = 0;
    for (place, bit) in bits.iter().enumerate() {
        let is_last = place + 1 == bits.len();
        let next = tree.len();
        let way = tree.get_mut(node).and_then(|ways| ways.get_mut(*bit));
        let way = way.unwrap_or_else(|| panic!("every node is there"));
        match (*way, is_last) {
            (Way::Nowhere, true) => *way = Way::Record(record),
            (Way::Nowhere, false) => {
                *way = Way::Node(next);
                tree.push([Way::Nowhere; 2]);
                node = next;
            }
            (Way::Node(number), false) => node = number,
            (Way::Node(_) | Way::Record(_), _) => panic!("one network lies in another"),
        }
    }
}

/// The map at the end, which says what the file is.
fn describe(file: &mut Vec<u8>, kind: &str, nodes: usize) {
    let (u16s, u32s, u64s) = (5, 6, 9);
    let numbers: [(&str, u8, usize); 6] = [
        ("node_count", u32s, nodes),
        ("record_size", u16s, 24),
        ("ip_version", u16s, 6),
        ("binary_format_major_version", u16s, 2),
        ("binary_format_minor_version", u16s, 0),
        ("build_epoch", u64s, 1_790_000_000),
    ];
    begin(file, MAP, numbers.len() + 3);
    for (name, kind, number) in numbers {
        put(file, &json!(name));
        let bytes: Vec<u8> = number
            .to_be_bytes()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect();
        begin(file, kind, bytes.len());
        file.extend(bytes);
    }
    let texts = [
        ("database_type", json!(kind)),
        ("description", json!({"en": "Places of tests"})),
        ("languages", json!(["de", "en"])),
    ];
    for (name, value) in texts {
        put(file, &json!(name));
        put(file, &value);
    }
}

const TEXT: u8 = 2;
const MAP: u8 = 7;
const LIST: u8 = 11;

fn put(file: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => {
            begin(file, TEXT, text.len());
            file.extend(text.as_bytes());
        }
        Value::Array(values) => {
            begin(file, LIST, values.len());
            for value in values {
                put(file, value);
            }
        }
        Value::Object(pairs) => {
            begin(file, MAP, pairs.len());
            for (name, value) in pairs {
                put(file, &json!(name));
                put(file, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => panic!("no record of ours holds {value}"),
    }
}

/// The type in the upper three bits, the length in the lower five. Types from 8 on follow in a byte of their own; a length from 29
/// on, less that, in another.
fn begin(file: &mut Vec<u8>, kind: u8, length: usize) {
    let (short, more) = match u8::try_from(length) {
        Ok(length) if length < 29 => (length, None),
        _ => (29, u8::try_from(length - 29).ok()),
    };
    match kind.checked_sub(7).filter(|beyond| *beyond > 0) {
        Some(beyond) => file.extend([short, beyond]),
        None => file.push(kind << 5 | short),
    }
    file.extend(more);
}
