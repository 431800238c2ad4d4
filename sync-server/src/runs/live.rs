//! A run while it is being made, as this node sees it: the text so far and who watches. The worker's own node writes it
//! directly; any other follows the run's log in Redis. A viewer holds a place in it and reads what is new, so a slow
//! viewer gets one long piece instead of many short ones and costs no memory.
//!
//! **Invariant:** while there is a log, nothing is shown that is not in it, so that a killed worker takes back no word
//! that somebody has read.

use protocol::run::{At, Status};
use protocol::sync::Seq;
use protocol::{MessageId, RunId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a run counts as watched from another node after that node said so. It says so more often.
const FOLLOWED: Duration = Duration::from_secs(30);

/// One entry of a run's log, as Redis keeps it and says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: At,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k")]
pub enum What {
    /// An attempt begins: text of an earlier one is void.
    #[serde(rename = "r")]
    Begun,
    /// More text, after `offset` bytes.
    #[serde(rename = "d")]
    More { offset: u64, text: String },
    /// The whole text so far: heals what the log has lost.
    #[serde(rename = "s")]
    Whole { text: String },
    #[serde(rename = "e")]
    End { status: Status, seq: Seq },
}

/// How a run ended, and the change number of its committed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub status: Status,
    pub seq: Seq,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    New,
    /// Seen before.
    Old,
    /// Something is missing before it: read the log.
    Gap,
}

pub struct Live {
    pub user: UserId,
    pub run: RunId,
    pub session: SessionId,
    pub reply: MessageId,
    /// Somebody wants it to stop; its worker listens.
    pub cancel: CancellationToken,
    state: Mutex<State>,
}

struct State {
    at: At,
    text: String,
    /// How far of it viewers see.
    shown: Place,
    end: Option<End>,
    /// This node makes it.
    is_local: bool,
    /// Nobody here writes it any more: viewers look again.
    is_left: bool,
    viewers: Vec<Weak<Notify>>,
    /// When another node last said that somebody watches it from there.
    followed: Option<Instant>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("run", &self.run)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Where a viewer stands: what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: At,
    pub bytes: usize,
}

/// What a viewer gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The whole text; `rewind`: it replaces what the viewer has.
    Whole {
        at: At,
        text: String,
        rewind: bool,
    },
    More {
        at: At,
        offset: usize,
        text: String,
    },
}

/// All that is new for a viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub piece: Option<Piece>,
    pub end: Option<End>,
    pub is_left: bool,
}

impl Live {
    pub fn new(user: UserId, run: RunId, session: SessionId, reply: MessageId) -> Self {
        Self {
            user,
            run,
            session,
            reply,
            cancel: CancellationToken::new(),
            state: Mutex::new(State {
                at: At { attempt: 0, idx: 0 },
                text: String::new(),
                shown: Place {
                    at: At { attempt: 0, idx: 0 },
                    bytes: 0,
                },
                end: None,
                is_local: false,
                is_left: false,
                viewers: Vec::new(),
                followed: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node makes it from now on, from its first byte.
    pub fn begin_here(&self, attempt: u32) {
        let mut state = self.state();
        state.is_local = true;
        state.at = At { attempt, idx: 0 };
        state.text.clear();
        state.show_all();
    }

    pub fn is_local(&self) -> bool {
        self.state().is_local
    }

    pub fn at(&self) -> At {
        self.state().at
    }

    pub fn text(&self) -> String {
        self.state().text.clone()
    }

    pub fn bytes(&self) -> usize {
        self.state().text.len()
    }

    pub fn is_ended(&self) -> bool {
        self.state().end.is_some()
    }

    /// The worker's own text: the entry that says it. Shown once `reveal` says that the log has it.
    pub fn append(&self, more: &str) -> Entry {
        let mut state = self.state();
        state.at.idx += 1;
        let offset = state.text.len() as u64;
        state.text.push_str(more);
        let entry = Entry {
            at: state.at,
            what: What::More {
                offset,
                text: more.to_owned(),
            },
        };
        drop(state);
        entry
    }

    /// The log has this entry: viewers see up to its end.
    pub fn reveal(&self, entry: &Entry) {
        let bytes = match &entry.what {
            What::More { offset, text } => usize::try_from(*offset).unwrap_or(usize::MAX) + text.len(),
            What::Whole { text } => text.len(),
            What::Begun | What::End { .. } => return,
        };
        let mut state = self.state();
        if entry.at > state.shown.at && entry.at <= state.at && state.text.is_char_boundary(bytes) {
            state.shown = Place { at: entry.at, bytes };
            state.wake();
        }
    }

    /// There is no log to wait for: viewers see all that was made.
    pub fn reveal_all(&self) {
        let mut state = self.state();
        state.show_all();
        state.wake();
    }

    /// The whole text as an entry, where the log has lost some.
    pub fn whole(&self) -> Entry {
        let state = self.state();
        Entry {
            at: state.at,
            what: What::Whole {
                text: state.text.clone(),
            },
        }
    }

    /// The end with the last of the text, in one step for the viewers.
    pub fn finish(&self, rest: &str, end: End) -> Entry {
        let mut state = self.state();
        if !rest.is_empty() {
            state.at.idx += 1;
            state.text.push_str(rest);
        }
        state.end = Some(end);
        state.show_all();
        state.wake();
        Entry {
            at: At {
                idx: state.at.idx + 1,
                ..state.at
            },
            what: What::End {
                status: end.status,
                seq: end.seq,
            },
        }
    }

    /// An end that was read from the database.
    pub fn end(&self, end: End) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        state.wake();
    }

    /// It is not this node's any more: the worker stops without finishing it.
    pub fn lose(&self) {
        self.leave();
        self.cancel.cancel();
    }

    pub fn is_left(&self) -> bool {
        self.state().is_left
    }

    /// Nobody writes or follows it here any more.
    pub fn leave(&self) {
        let mut state = self.state();
        state.is_left = true;
        state.wake();
    }

    /// An entry of the log, heard or read. What is made here is taken from nowhere: after a restore the log may hold another
    /// history's entries of the very attempt that is being made.
    pub fn take(&self, entry: &Entry) -> Taken {
        let mut state = self.state();
        if state.is_local {
            return Taken::Old;
        }
        let taken = state.take(entry);
        if taken == Taken::New {
            state.show_all();
            state.wake();
        }
        taken
    }

    /// A checkpoint or another whole text, where it is further than what is here.
    pub fn restore(&self, at: At, text: String) {
        let mut state = self.state();
        if state.is_local {
            return;
        }
        if at > state.at || (at == state.at && text.len() > state.text.len()) {
            state.at = at;
            state.text = text;
            state.show_all();
            state.wake();
        }
    }

    pub fn watch(&self, viewer: &Arc<Notify>) {
        let mut state = self.state();
        state.viewers.retain(|viewer| viewer.strong_count() > 0);
        state.viewers.push(Arc::downgrade(viewer));
    }

    pub fn unwatch(&self, viewer: &Arc<Notify>) {
        let viewer = Arc::downgrade(viewer);
        self.state()
            .viewers
            .retain(|known| !known.ptr_eq(&viewer) && known.strong_count() > 0);
    }

    pub fn is_watched(&self) -> bool {
        self.state()
            .viewers
            .iter()
            .any(|viewer| viewer.strong_count() > 0)
    }

    /// Somebody watches it from another node.
    pub fn follow(&self) {
        self.state().followed = Some(Instant::now());
    }

    /// Whether anybody watches it, here or elsewhere.
    pub fn is_seen(&self) -> bool {
        let followed = self.state().followed;
        followed.is_some_and(|followed| followed.elapsed() < FOLLOWED) || self.is_watched()
    }

    /// What is new after a place; `None` is the beginning.
    pub fn news(&self, place: Option<Place>) -> News {
        let state = self.state();
        News {
            piece: state.piece(place),
            end: state.end,
            is_left: state.is_left,
        }
    }
}

impl State {
    fn show_all(&mut self) {
        self.shown = Place {
            at: self.at,
            bytes: self.text.len(),
        };
    }

    fn wake(&mut self) {
        self.viewers.retain(|viewer| {
            let viewer = viewer.upgrade();
            if let Some(viewer) = &viewer {
                viewer.notify_one();
            }
            viewer.is_some()
        });
    }

    fn take(&mut self, entry: &Entry) -> Taken {
        if entry.at <= self.at && !matches!(entry.what, What::Whole { .. }) {
            return Taken::Old;
        }
        let follows = entry.at.follows(self.at);
        match &entry.what {
            What::End { status, seq } => {
                if !follows && entry.at.attempt == self.at.attempt {
                    return Taken::Gap;
                }
                self.end.get_or_insert(End {
                    status: *status,
                    seq: *seq,
                });
            }
            What::Begun if entry.at.attempt > self.at.attempt => self.text.clear(),
            What::Begun => return Taken::Old,
            What::Whole { text } => {
                if entry.at < self.at || (entry.at == self.at && text.len() <= self.text.len()) {
                    return Taken::Old;
                }
                self.text.clone_from(text);
            }
            What::More { offset, text } => {
                if !follows || *offset != self.text.len() as u64 {
                    return Taken::Gap;
                }
                self.text.push_str(text);
            }
        }
        self.at = entry.at;
        Taken::New
    }

    fn piece(&self, place: Option<Place>) -> Option<Piece> {
        let Place { at, bytes } = self.shown;
        let shown = self.text.get(..bytes).unwrap_or_default();
        let Some(place) = place else {
            return (!shown.is_empty()).then(|| Piece::More {
                at,
                offset: 0,
                text: shown.to_owned(),
            });
        };
        // a viewer that comes from a node with the log in hand may have read more than is shown here yet
        let continues = place.at.attempt == self.at.attempt
            && place.at <= self.at
            && self.text.is_char_boundary(place.bytes);
        if !continues {
            return Some(Piece::Whole {
                at,
                text: shown.to_owned(),
                rewind: true,
            });
        }
        let more = shown.get(place.bytes..).unwrap_or_default();
        (!more.is_empty()).then(|| Piece::More {
            at,
            offset: place.bytes,
            text: more.to_owned(),
        })
    }
}

impl Piece {
    /// Where the viewer stands once it has it.
    pub const fn place(&self) -> Place {
        match self {
            Self::Whole { at, text, .. } => Place {
                at: *at,
                bytes: text.len(),
            },
            Self::More { at, offset, text } => Place {
                at: *at,
                bytes: *offset + text.len(),
            },
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Whole { text, .. } | Self::More { text, .. } => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn live() -> Live {
        let live = Live::new(
            UserId::fresh(),
            RunId::fresh(),
            SessionId::fresh(),
            MessageId::fresh(),
        );
        live.begin_here(1);
        live
    }

    /// One that is made elsewhere, in its first attempt.
    fn followed() -> Live {
        let live = live();
        live.state().is_local = false;
        live
    }

    const fn at(attempt: u32, idx: u64) -> At {
        At { attempt, idx }
    }

    fn more(at: At, offset: u64, text: &str) -> Entry {
        Entry {
            at,
            what: What::More {
                offset,
                text: text.to_owned(),
            },
        }
    }

    #[test]
    fn an_entry_reads_back_as_written() {
        for what in [
            What::Begun,
            What::More {
                offset: 3,
                text: "ü".to_owned(),
            },
            What::End {
                status: Status::Complete,
                seq: 9,
            },
        ] {
            let entry = Entry { at: at(1, 4), what };
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        }
    }

    #[test]
    fn only_the_successor_is_taken() {
        let live = followed();
        assert_eq!(live.take(&more(at(1, 1), 0, "ab")), Taken::New);
        assert_eq!(live.take(&more(at(1, 1), 0, "ab")), Taken::Old);
        assert_eq!(live.take(&more(at(1, 3), 4, "ef")), Taken::Gap);
        assert_eq!(live.take(&more(at(1, 2), 2, "cd")), Taken::New);
        assert_eq!(live.text(), "abcd");
    }

    #[test]
    fn a_later_attempt_voids_the_text_and_an_earlier_one_is_ignored() {
        let live = followed();
        live.take(&more(at(1, 1), 0, "lost"));
        let begun = Entry {
            at: at(2, 0),
            what: What::Begun,
        };
        assert_eq!(live.take(&begun), Taken::New);
        assert_eq!(live.take(&more(at(1, 2), 4, "zombie")), Taken::Old);
        live.take(&more(at(2, 1), 0, "new"));
        let viewer = Place {
            at: at(1, 1),
            bytes: 4,
        };
        assert!(matches!(
            live.news(Some(viewer)).piece,
            Some(Piece::Whole { rewind: true, .. })
        ));
    }

    /// A node that followed a run takes it up after a restore, while it still reads what another history logged of the very
    /// same attempt.
    #[test]
    fn what_is_made_here_takes_nothing_from_a_log() {
        let live = live();
        assert_eq!(live.take(&more(at(1, 1), 0, "of another history")), Taken::Old);
        live.restore(at(1, 7), "of another history".to_owned());
        live.append("from the first byte");
        assert_eq!(live.text(), "from the first byte");
    }

    #[test]
    fn a_whole_text_heals_a_gap() {
        let live = followed();
        live.take(&more(at(1, 1), 0, "a"));
        assert_eq!(live.take(&more(at(1, 5), 9, "z")), Taken::Gap);
        let whole = Entry {
            at: at(1, 6),
            what: What::Whole {
                text: "a to z".to_owned(),
            },
        };
        assert_eq!(live.take(&whole), Taken::New);
        assert_eq!((live.text().as_str(), live.at()), ("a to z", at(1, 6)));
    }

    #[test]
    fn nothing_is_shown_before_the_log_has_it_unless_there_is_no_log() {
        let live = live();
        let (one, two) = (live.append("one "), live.append("two "));
        let three = live.append("three");
        let seen = |place| match live.news(place).piece {
            Some(Piece::More { text, .. } | Piece::Whole { text, .. }) => text,
            None => String::new(),
        };
        assert_eq!(seen(None), "");
        live.reveal(&one);
        assert_eq!(seen(None), "one ");
        live.reveal(&two);
        live.reveal(&one);
        assert_eq!(seen(None), "one two ");
        // who has read the log further is not sent back
        let ahead = Place {
            at: three.at,
            bytes: 13,
        };
        assert_eq!(live.news(Some(ahead)).piece, None);
        live.reveal_all();
        assert_eq!(seen(None), "one two three");
    }

    #[test]
    fn a_viewer_with_a_place_that_cannot_be_gets_the_whole() {
        let live = live();
        live.append("äö");
        live.reveal_all();
        for place in [
            Place {
                at: at(1, 1),
                bytes: 1,
            },
            Place {
                at: at(1, 1),
                bytes: 99,
            },
            Place {
                at: at(1, 7),
                bytes: 2,
            },
        ] {
            assert!(
                matches!(live.news(Some(place)).piece, Some(Piece::Whole { .. })),
                "{place:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_seen_by_a_viewer_here_or_for_a_while_by_one_elsewhere() {
        let live = live();
        assert!(!live.is_seen());
        let viewer = Arc::new(Notify::new());
        live.watch(&viewer);
        assert!(live.is_seen());
        live.unwatch(&viewer);
        assert!(!live.is_seen());
        live.follow();
        tokio::time::advance(FOLLOWED / 2).await;
        assert!(live.is_seen());
        tokio::time::advance(FOLLOWED).await;
        assert!(!live.is_seen());
    }

    proptest! {
        /// However slowly a viewer reads, its pieces joined are the text.
        #[test]
        fn pieces_merge_into_the_text(steps in prop::collection::vec(("[a-zü]{1,5}", any::<bool>()), 1..40)) {
            let live = live();
            let (mut seen, mut place) = (String::new(), None);
            let mut read = |live: &Live| {
                if let Some(piece) = live.news(place).piece {
                    place = Some(piece.place());
                    match piece {
                        Piece::Whole { text, .. } => seen = text,
                        Piece::More { offset, text, .. } => { assert_eq!(offset, seen.len()); seen.push_str(&text); }
                    }
                }
                seen.clone()
            };
            for (text, reads) in steps {
                let entry = live.append(&text);
                live.reveal(&entry);
                if reads { prop_assert_eq!(read(&live), live.text()); }
            }
            prop_assert_eq!(read(&live), live.text());
        }
    }
}
