//! Partitions: the parts that this product cuts Redis's keys into. What must lie together (a run's log and its channel)
//! lies in one, by a hash tag (Redis Cluster specification, "Hash tags").

use std::fmt;
use std::sync::LazyLock;

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;
/// Partitions. More than a cluster has shards, so that they can be spread evenly; few enough to be listed.
/// The same on every node and in every version, or nodes would not hear each other.
const PARTITIONS: u16 = 128;
/// Slots of a partition's range.
const WIDTH: u16 = SLOTS / PARTITIONS;

/// For each partition, in order, the smallest number whose slot lies in its range.
static TAGS: LazyLock<[u16; PARTITIONS as usize]> = LazyLock::new(|| {
    let range = |number: u16| crc16(number.to_string().as_bytes()) % SLOTS / WIDTH;
    std::array::from_fn(|partition| {
        let number = (0..SLOTS).find(|number| usize::from(range(*number)) == partition);
        number.unwrap_or_default()
    })
});

/// One of the partitions. Written as the hash tag that puts a key there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition(u16);

impl Partition {
    /// Where everything about this thing lies: the range of slots that its id itself would fall in.
    pub fn of(id: impl AsRef<[u8]>) -> Self {
        Self(crc16(id.as_ref()) % SLOTS / WIDTH)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// The slot of all its keys.
    pub fn slot(self) -> u16 {
        crc16(self.tag().to_string().as_bytes()) % SLOTS
    }

    fn tag(self) -> u16 {
        TAGS.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.tag())
    }
}

/// The slot of a key: of its hash tag where it has one.
pub fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What stands between the first `{` and the next `}`, unless that is nothing.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let (_, rest) = key.split_at_checked(key.iter().position(|byte| *byte == b'{')? + 1)?;
    let (tag, _) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'}')?)?;
    (!tag.is_empty()).then_some(tag)
}

/// CRC-16/XMODEM, as Redis hashes keys.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn slots_are_those_of_redis() {
        // as `CLUSTER KEYSLOT` answers
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{foo}bar"), slot(b"foo"));
        assert_eq!(slot(b"compymac:{foo}:x{bar}"), slot(b"foo"));
        assert_ne!(slot(b"{}foo"), slot(b"{}bar"));
    }

    #[test]
    fn every_range_of_slots_has_its_partition() {
        let ranges: Vec<u16> = Partition::all()
            .map(|partition| partition.slot() / WIDTH)
            .collect();
        assert_eq!(ranges, (0..PARTITIONS).collect::<Vec<_>>());
        let tags: HashSet<String> = Partition::all().map(|partition| partition.to_string()).collect();
        assert_eq!(tags.len(), usize::from(PARTITIONS));
    }

    #[test]
    fn partitions_stay_where_they_are() {
        // nodes of two versions talk through them
        let all: String = Partition::all().map(|partition| partition.to_string()).collect();
        assert_eq!(crc16(all.as_bytes()), 30864);
        assert_eq!(Partition::of("work").to_string(), "{127}");
        assert_eq!(Partition::of(uuid::Uuid::nil().as_bytes()).to_string(), "{14}");
    }

    proptest! {
        #[test]
        fn a_key_lies_in_the_slot_of_its_partition(id in any::<[u8; 16]>(), rest in "[ -~]{0,40}") {
            let partition = Partition::of(id);
            let key = format!("compymac:{partition}:{rest}");
            prop_assert_eq!(slot(key.as_bytes()), partition.slot());
            prop_assert_eq!(partition, Partition::of(id));
        }
    }

    #[test]
    fn ids_are_spread_over_the_partitions() {
        let mut counts = vec![0_u32; usize::from(PARTITIONS)];
        for _ in 0..12_800 {
            let partition = Partition::of(protocol::UserId::fresh().0.as_bytes());
            if let Some(count) = counts.get_mut(usize::from(partition.0)) {
                *count += 1;
            }
        }
        assert!(counts.iter().all(|count| (40..200).contains(count)), "{counts:?}");
    }
}
