//! One generation of a reply: where a viewer stands in it, and how it can end.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place in a run's log: `attempt-idx`, also the entry id of its Redis Stream. Ordered by attempt, then index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct At {
    pub attempt: u32,
    pub idx: u64,
}

impl At {
    /// Whether `self` may be delivered right after `last`: the next index, or the first entry of a later attempt.
    pub const fn follows(self, last: Self) -> bool {
        (self.attempt == last.attempt && self.idx == last.idx + 1)
            || (self.attempt > last.attempt && self.idx == 0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.idx)
    }
}

impl From<At> for String {
    fn from(at: At) -> Self {
        at.to_string()
    }
}

impl FromStr for At {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = "a place in a run is written attempt-index, like 1-118";
        let (attempt, idx) = text.split_once('-').ok_or(refuse)?;
        match (attempt.parse(), idx.parse()) {
            (Ok(attempt), Ok(idx)) => Ok(Self { attempt, idx }),
            _ => Err(refuse),
        }
    }
}

impl TryFrom<String> for At {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Where a viewer of a run stands: the place, and the bytes of text that the viewer has there. `1-118:5120`; without the
/// bytes (`1-118`) the text is wanted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stand {
    pub at: At,
    pub bytes: u64,
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.at, self.bytes)
    }
}

impl From<Stand> for String {
    fn from(stand: Stand) -> Self {
        stand.to_string()
    }
}

impl FromStr for Stand {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, bytes) = text.split_once(':').unwrap_or((text, "0"));
        let bytes = bytes
            .parse()
            .map_err(|_no_number| "the bytes after a place are a number, like 1-118:5120")?;
        Ok(Self {
            at: at.parse()?,
            bytes,
        })
    }
}

impl TryFrom<String> for Stand {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// How far a message is. `queued` and `streaming` are the two that will still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; its generation has not begun.
    Queued,
    Streaming,
    Complete,
    /// Stopped by a person; what was said so far is kept.
    Cancelled,
    /// The agent failed; what was said so far is kept and `metadata.error` says why.
    Failed,
    /// The worker was lost; what was said so far is kept.
    Interrupted,
}

impl Status {
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Streaming)
    }

    /// The number in the database.
    pub const fn number(self) -> i16 {
        match self {
            Self::Queued => 0,
            Self::Streaming => 1,
            Self::Complete => 2,
            Self::Cancelled => 3,
            Self::Failed => 4,
            Self::Interrupted => 5,
        }
    }

    pub const fn from_number(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::Queued,
            1 => Self::Streaming,
            2 => Self::Complete,
            3 => Self::Cancelled,
            4 => Self::Failed,
            5 => Self::Interrupted,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_entry_or_a_new_attempt_follows() {
        let at = |attempt, idx| At { attempt, idx };
        assert!(at(1, 3).follows(at(1, 2)));
        assert!(at(2, 0).follows(at(1, 9)));
        for wrong in [at(1, 2), at(1, 4), at(2, 1), at(0, 0)] {
            assert!(!wrong.follows(at(1, 2)), "{wrong}");
        }
    }

    #[test]
    fn a_place_reads_back_as_written() {
        assert_eq!("1-118".parse::<At>().unwrap().to_string(), "1-118");
        assert!("1".parse::<At>().is_err() && "a-b".parse::<At>().is_err() && "-1-1".parse::<At>().is_err());
    }

    #[test]
    fn where_a_viewer_stands_reads_back_as_written() {
        let stand: Stand = "1-118:5120".parse().unwrap();
        assert_eq!((stand.bytes, stand.to_string().as_str()), (5120, "1-118:5120"));
        assert_eq!("1-118".parse::<Stand>().unwrap().bytes, 0);
        for wrong in ["", ":", "1-118:", "1-118:x", "1-118:-1", "5120", "1:1-118"] {
            assert!(wrong.parse::<Stand>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_status_has_its_own_number() {
        for number in 0..=5 {
            assert_eq!(Status::from_number(number).unwrap().number(), number);
        }
        assert_eq!(Status::from_number(6), None);
    }
}
