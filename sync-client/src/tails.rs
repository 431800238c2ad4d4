//! The text of replies being made right now: one tail for each run, fed by the socket's frames.
//!
//! A tail always shows a prefix of some attempt's text. After a rewind the longer, older text stays on the page until
//! the new one has caught up with it.

use crate::order;
use protocol::frame::{ClientFrame, LiveRun, ServerFrame};
use protocol::run::{At, Stand, Status};
use protocol::sync::{Message, Role, Seq};
use protocol::{MessageId, RunId, SessionId, routes};
use std::collections::{BTreeMap, BTreeSet};

/// One run as its viewer has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tail {
    pub run: RunId,
    pub message: MessageId,
    pub session: SessionId,
    /// The place of `text`; `None`: nothing yet.
    pub at: Option<At>,
    /// The present attempt's text so far.
    pub text: String,
    /// An earlier attempt's text, still longer than `text`.
    pub older: Option<String>,
    /// How it ended, and the change that brings the committed message.
    pub ended: Option<(Status, Seq)>,
}

impl Tail {
    /// What the page shows.
    pub fn shown(&self) -> &str {
        self.older.as_deref().unwrap_or(&self.text)
    }
}

/// What a frame did to a tail.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `text` was added at byte `offset` of what is shown.
    Grew {
        session: SessionId,
        message: MessageId,
        offset: u64,
        text: String,
    },
    /// The text is another one, or the run ended: the page asks for the transcript.
    Changed {
        session: SessionId,
    },
    /// What came does not continue what is here: send this.
    Again(ClientFrame),
    Nothing,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tails(BTreeMap<RunId, Tail>);

/// What is asked for to read a reply by server-sent events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub path: String,
    /// What is here already; `None`: nothing.
    pub from: Option<Stand>,
}

impl Tails {
    pub fn tail(&self, run: RunId) -> Option<&Tail> {
        self.0.get(&run)
    }

    pub fn all(&self) -> impl Iterator<Item = &Tail> {
        self.0.values()
    }

    /// The replies to be read by server-sent events where there is no socket, at most so many: those of sessions that somebody
    /// looks at first.
    pub fn to_stream(&self, most: usize, is_looked_at: impl Fn(SessionId) -> bool) -> BTreeSet<RunId> {
        let unfinished = self.all().filter(|tail| tail.ended.is_none());
        let runs: Vec<(bool, RunId)> = unfinished
            .map(|tail| (!is_looked_at(tail.session), tail.run))
            .collect();
        let runs = order::by(runs, |(is_behind, run)| (i64::from(*is_behind), run.0.as_u128()));
        let mut first = BTreeSet::new();
        first.extend(runs.into_iter().take(most).map(|(_, run)| run));
        first
    }

    /// The path of a reply's events, from where its tail stands; `None`: it needs no more.
    pub fn stream(&self, run: RunId) -> Option<Stream> {
        let tail = self.tail(run).filter(|tail| tail.ended.is_none())?;
        let from = tail.at.map(|at| Stand {
            at,
            bytes: tail.text.len() as u64,
        });
        Some(Stream {
            path: routes::run(run),
            from,
        })
    }

    /// Those of one session.
    #[must_use]
    pub fn of(&self, session: SessionId) -> Self {
        let tails = self.0.iter().filter(|(_, tail)| tail.session == session);
        Self(tails.map(|(run, tail)| (*run, tail.clone())).collect())
    }

    /// Puts back what was kept on disk.
    pub fn restore(&mut self, tail: Tail) {
        self.0.entry(tail.run).or_insert(tail);
    }

    /// A run is being made: returns the frame that watches it from where this tail stands.
    pub fn begin(&mut self, live: LiveRun) -> ClientFrame {
        let tail = self.0.entry(live.run).or_insert_with(|| Tail {
            run: live.run,
            message: live.message,
            session: live.session,
            at: None,
            text: String::new(),
            older: None,
            ended: None,
        });
        attach(tail)
    }

    /// The frames that watch every unfinished run again, for a fresh socket.
    pub fn attach_all(&self) -> Vec<ClientFrame> {
        self.0
            .values()
            .filter(|tail| tail.ended.is_none())
            .map(attach)
            .collect()
    }

    /// A message row names its run before any frame does.
    pub fn begin_from(&mut self, message: &Message) -> Option<ClientFrame> {
        let run = message.run?;
        if message.role != Role::Assistant || message.status.is_terminal() || self.0.contains_key(&run) {
            return None;
        }
        Some(self.begin(LiveRun {
            run,
            message: message.id,
            session: message.session,
        }))
    }

    /// Feeds one frame. Frames that are not about runs do nothing.
    pub fn feed(&mut self, frame: &ServerFrame) -> Step {
        match frame {
            // A tail that already has text is being watched: asking again would only send it twice.
            ServerFrame::Start(live) => match self.0.get(&live.run) {
                Some(tail) if tail.at.is_some() => Step::Nothing,
                Some(_) | None => Step::Again(self.begin(*live)),
            },
            ServerFrame::Snap {
                run,
                at,
                text,
                rewind,
            } => self.snap(*run, *at, text, *rewind),
            ServerFrame::Delta {
                run,
                at,
                offset,
                text,
            } => self.delta(*run, *at, *offset, text),
            ServerFrame::End { run, status, seq } => match self.0.get_mut(run) {
                Some(tail) => {
                    tail.ended = Some((*status, *seq));
                    Step::Changed {
                        session: tail.session,
                    }
                }
                None => Step::Nothing,
            },
            ServerFrame::Welcome { .. }
            | ServerFrame::Sync(_)
            | ServerFrame::Head { .. }
            | ServerFrame::AuthExpiring { .. }
            | ServerFrame::AuthOk { .. }
            | ServerFrame::Ping { .. }
            | ServerFrame::Drain { .. }
            | ServerFrame::Refused { .. } => Step::Nothing,
        }
    }

    fn snap(&mut self, run: RunId, at: At, text: &str, rewind: bool) -> Step {
        let Some(tail) = self.0.get_mut(&run) else {
            return Step::Nothing;
        };
        let before = tail.shown().to_owned();
        text.clone_into(&mut tail.text);
        tail.at = Some(at);
        if text.len() < before.len() && (rewind || before.starts_with(text)) {
            tail.older = Some(before);
            return Step::Nothing;
        }
        tail.older = None;
        changed(tail, &before)
    }

    fn delta(&mut self, run: RunId, at: At, offset: u64, text: &str) -> Step {
        let Some(tail) = self.0.get_mut(&run) else {
            return Step::Nothing;
        };
        if tail.at.is_some_and(|last| at <= last) {
            return Step::Nothing;
        }
        let have = tail.text.len();
        let is_new_attempt = tail.at.is_some_and(|last| at.attempt > last.attempt);
        let before = tail.shown().to_owned();
        match usize::try_from(offset) {
            Ok(offset) if offset == have => {}
            // A new attempt keeps a prefix of what was there and goes on from it.
            Ok(offset) if is_new_attempt && offset < have && tail.text.is_char_boundary(offset) => {
                tail.text.truncate(offset);
            }
            Ok(_) | Err(_) => return Step::Again(attach(tail)),
        }
        tail.at = Some(at);
        tail.text.push_str(text);
        if tail.text.len() < before.len() {
            tail.older = Some(before);
            return Step::Nothing;
        }
        tail.older = None;
        changed(tail, &before)
    }

    /// The committed message is here: its text takes the tail's place. Whether there was one.
    pub fn settle(&mut self, message: &Message) -> bool {
        match message.run {
            Some(run) if message.status.is_terminal() || message.deleted => self.0.remove(&run).is_some(),
            Some(_) | None => false,
        }
    }

    /// Drops the tails of a session that is gone.
    pub fn forget(&mut self, session: SessionId) {
        self.0.retain(|_, tail| tail.session != session);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

fn attach(tail: &Tail) -> ClientFrame {
    ClientFrame::Attach {
        run: tail.run,
        at: tail.at,
        bytes: tail.text.len() as u64,
    }
}

/// What the page has to be told, given what it showed before.
fn changed(tail: &Tail, before: &str) -> Step {
    match tail.text.strip_prefix(before) {
        Some("") => Step::Nothing,
        Some(more) => Step::Grew {
            session: tail.session,
            message: tail.message,
            offset: before.len() as u64,
            text: more.to_owned(),
        },
        None => Step::Changed {
            session: tail.session,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::sync::Epoch;
    use std::fmt::Write as _;

    fn live() -> LiveRun {
        LiveRun {
            run: RunId::fresh(),
            message: MessageId::fresh(),
            session: SessionId::fresh(),
        }
    }

    fn delta(run: RunId, attempt: u32, idx: u64, offset: u64, text: &str) -> ServerFrame {
        ServerFrame::Delta {
            run,
            at: At { attempt, idx },
            offset,
            text: text.to_owned(),
        }
    }

    fn snap(run: RunId, attempt: u32, text: &str) -> ServerFrame {
        ServerFrame::Snap {
            run,
            at: At { attempt, idx: 0 },
            text: text.to_owned(),
            rewind: true,
        }
    }

    #[test]
    fn text_grows_only_where_it_continues() {
        let (mut tails, live) = (Tails::default(), live());
        tails.begin(live);
        let step = tails.feed(&delta(live.run, 1, 1, 0, "hel"));
        assert!(matches!(step, Step::Grew { offset: 0, .. }));
        assert_eq!(
            tails.feed(&delta(live.run, 1, 1, 0, "hel")),
            Step::Nothing,
            "twice is once"
        );
        let step = tails.feed(&delta(live.run, 1, 3, 9, "lost"));
        assert!(
            matches!(step, Step::Again(ClientFrame::Attach { bytes: 3, .. })),
            "{step:?}"
        );
        assert!(matches!(
            tails.feed(&delta(live.run, 1, 2, 3, "lo")),
            Step::Grew { offset: 3, .. }
        ));
        assert_eq!(tails.tail(live.run).unwrap().shown(), "hello");
    }

    #[test]
    fn a_longer_older_text_stays_until_the_new_attempt_has_caught_up() {
        let (mut tails, live) = (Tails::default(), live());
        tails.begin(live);
        tails.feed(&delta(live.run, 1, 1, 0, "a long beginning"));
        assert_eq!(tails.feed(&snap(live.run, 2, "a long")), Step::Nothing);
        assert_eq!(tails.tail(live.run).unwrap().shown(), "a long beginning");
        assert_eq!(tails.feed(&delta(live.run, 2, 1, 6, " way")), Step::Nothing);
        let step = tails.feed(&delta(live.run, 2, 2, 10, " to another end"));
        assert_eq!(
            step,
            Step::Changed {
                session: live.session
            }
        );
        assert_eq!(tails.tail(live.run).unwrap().shown(), "a long way to another end");
    }

    #[test]
    fn a_run_that_is_watched_is_not_asked_for_again() {
        let (mut tails, live) = (Tails::default(), live());
        assert!(matches!(tails.feed(&ServerFrame::Start(live)), Step::Again(_)));
        assert!(
            matches!(tails.feed(&ServerFrame::Start(live)), Step::Again(_)),
            "nothing came yet"
        );
        tails.feed(&delta(live.run, 1, 1, 0, "x"));
        assert_eq!(tails.feed(&ServerFrame::Start(live)), Step::Nothing);
        let end = ServerFrame::End {
            run: live.run,
            status: Status::Complete,
            seq: 4,
        };
        assert_eq!(
            tails.feed(&end),
            Step::Changed {
                session: live.session
            }
        );
        assert!(tails.attach_all().is_empty());
    }

    const LIVE: LiveRun = LiveRun {
        run: RunId(Epoch::from_u128(1)),
        message: MessageId(Epoch::from_u128(2)),
        session: SessionId(Epoch::from_u128(3)),
    };

    fn end() -> ServerFrame {
        ServerFrame::End {
            run: LIVE.run,
            status: Status::Complete,
            seq: 4,
        }
    }

    fn with_text() -> Tails {
        let mut tails = Tails::default();
        tails.begin(LIVE);
        tails.feed(&delta(LIVE.run, 1, 1, 0, "abcdef"));
        tails
    }

    /// How a view of a run may stand.
    fn views() -> [(&'static str, Tails); 5] {
        let mut asked = Tails::default();
        asked.begin(LIVE);
        let (mut rewound, mut ended) = (with_text(), with_text());
        rewound.feed(&snap(LIVE.run, 2, "abc"));
        ended.feed(&end());
        [
            ("none", Tails::default()),
            ("asked", asked),
            ("live", with_text()),
            ("rewound", rewound),
            ("ended", ended),
        ]
    }

    fn committed() -> Message {
        Message {
            id: LIVE.message,
            session: LIVE.session,
            seq: 4,
            ord: 2,
            parent: None,
            role: Role::Assistant,
            status: Status::Complete,
            run: Some(LIVE.run),
            content: "abcdef".to_owned(),
            metadata: serde_json::Value::Null,
            created_at: 0,
            deleted: false,
        }
    }

    type Turn = fn(&mut Tails) -> Step;

    const TURNS: [(&str, Turn); 13] = [
        ("begins", |tails| tails.feed(&ServerFrame::Start(LIVE))),
        ("whole, longer", |tails| {
            tails.feed(&snap(LIVE.run, 2, "abcdefgh"))
        }),
        ("whole, shorter", |tails| tails.feed(&snap(LIVE.run, 2, "ab"))),
        ("more", |tails| tails.feed(&delta(LIVE.run, 1, 2, 6, "gh"))),
        ("more, the first", |tails| {
            tails.feed(&delta(LIVE.run, 1, 1, 0, "abcdef"))
        }),
        ("more, past a hole", |tails| {
            tails.feed(&delta(LIVE.run, 1, 3, 8, "ij"))
        }),
        ("another attempt", |tails| {
            tails.feed(&delta(LIVE.run, 3, 1, 3, "xyz"))
        }),
        ("ends", |tails| tails.feed(&end())),
        ("of another run", |tails| {
            tails.feed(&delta(RunId(Epoch::from_u128(9)), 1, 2, 6, "gh"))
        }),
        ("of no run", |tails| {
            tails.feed(&ServerFrame::Ping { n: 1, head: 1 })
        }),
        ("committed", |tails| {
            tails.settle(&committed());
            Step::Nothing
        }),
        ("session gone", |tails| {
            tails.forget(LIVE.session);
            Step::Nothing
        }),
        ("fresh start", |tails| {
            tails.clear();
            Step::Nothing
        }),
    ];

    /// Rows: what came. Columns: how the view stood. A cell: how it stands then (none, asked, live, rewound, ended), and what
    /// the page or the server is told: nothing, that the text grew, that it is another, that it is asked for again.
    const TABLE: &str = "
                  none        asked       live        rewound     ended
begins            A again     A again     L           R           E
whole, longer     N           L grew      L grew      L grew      E grew
whole, shorter    N           L grew      R           R           E
more              N           A again     L grew      R           E grew
more, the first   N           L grew      L           R           E
more, past a hole N           A again     L again     R           E again
another attempt   N           A again     L changed   L changed   E changed
ends              N           E changed   E changed   E changed   E changed
of another run    N           A           L           R           E
of no run         N           A           L           R           E
committed         N           N           N           N           N
session gone      N           N           N           N           N
fresh start       N           N           N           N           N
";

    fn told(tails: &Tails, step: &Step) -> String {
        let letter = match tails.tail(LIVE.run) {
            None => 'N',
            Some(tail) if tail.ended.is_some() => 'E',
            Some(tail) if tail.older.is_some() => 'R',
            Some(tail) if tail.at.is_some() => 'L',
            Some(_) => 'A',
        };
        let step = match step {
            Step::Nothing => "",
            Step::Grew { .. } => " grew",
            Step::Changed { .. } => " changed",
            Step::Again(_) => " again",
        };
        format!("{letter}{step}")
    }

    #[test]
    fn every_view_of_a_run_answers_whatever_comes() {
        let mut table = format!("\n{:17}", "");
        for (name, _) in views() {
            write!(table, " {name:11}").unwrap();
        }
        for (name, turn) in TURNS {
            write!(table, "\n{name:17}").unwrap();
            for (_, mut tails) in views() {
                let step = turn(&mut tails);
                write!(table, " {:11}", told(&tails, &step)).unwrap();
            }
        }
        let lines = table.lines().map(str::trim_end);
        let table = lines.fold(String::new(), |told, line| told + line + "\n");
        assert_eq!(table, TABLE, "it is now:{table}");
    }
}
