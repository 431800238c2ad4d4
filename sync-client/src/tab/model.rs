//! Devices in memory against a model server, over a network that loses requests, answers and sockets.
//!
//! Each run is a script of what people and the network do; afterwards the network is fair and everybody must agree.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    reason = "a test names the arms it means"
)]

use super::{Input, Tab, Want};
use crate::engine::{Event, Failure, Moment};
use proptest::prelude::*;
use protocol::frame::{ServerFrame, close};
use protocol::mutation::{Batch, BatchAnswer, Mutation, Op, OpResult, Outcome};
use protocol::run::Status;
use protocol::sync::{
    Bootstrap, Change, Cursor, Epoch, History, Message, ResetReason, Role, Seq, Session, SessionsBefore,
    SessionsPage, SyncPage,
};
use protocol::view::Delivery;
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, SessionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const PAGE: usize = 3;
const LISTED: usize = 2;

/// The server: rows with their seq, a ledger of outcomes, and how often each message was really written.
struct Server {
    head: Seq,
    floor: Seq,
    sessions: BTreeMap<SessionId, Session>,
    gone: BTreeMap<SessionId, Seq>,
    messages: BTreeMap<SessionId, Vec<Message>>,
    ledger: BTreeMap<MutationId, OpResult>,
    effects: BTreeMap<MessageId, usize>,
}

impl Server {
    fn new() -> Self {
        Self {
            head: 0,
            floor: 0,
            sessions: BTreeMap::new(),
            gone: BTreeMap::new(),
            messages: BTreeMap::new(),
            ledger: BTreeMap::new(),
            effects: BTreeMap::new(),
        }
    }

    fn at(seq: Seq) -> Cursor {
        Cursor {
            epoch: Epoch::from_u128(7),
            seq,
        }
    }

    fn next(&mut self) -> Seq {
        self.head += 1;
        self.head
    }

    fn push(&mut self, batch: &Batch) -> BatchAnswer {
        let mut failed = false;
        let mut results = Vec::new();
        for mutation in &batch.ops {
            let result = if failed {
                OpResult::Skipped
            } else {
                self.write(mutation)
            };
            failed |= !matches!(result, OpResult::Applied { .. });
            results.push(Outcome {
                id: mutation.id,
                result,
            });
        }
        BatchAnswer {
            results,
            head: self.head,
        }
    }

    fn write(&mut self, mutation: &Mutation) -> OpResult {
        if let Some(outcome) = self.ledger.get(&mutation.id) {
            return outcome.clone();
        }
        let outcome = self.apply(&mutation.op);
        self.ledger.insert(mutation.id, outcome.clone());
        outcome
    }

    fn apply(&mut self, op: &Op) -> OpResult {
        let id = op.session();
        if self.gone.contains_key(&id) {
            return refused(Code::SessionDeleted);
        }
        if let Op::SessionCreate { id, title } = op {
            let seq = self.next();
            let session = Session {
                id: *id,
                seq,
                title: title.clone(),
                title_seq: 0,
                archived: false,
                last_ord: 0,
                preview: String::new(),
                running: false,
                last_active: seq,
                created_at: seq,
            };
            self.sessions.insert(*id, session);
            return applied(seq);
        }
        let Some(mut session) = self.sessions.remove(&id) else {
            return refused(Code::NotFound);
        };
        match op {
            Op::SessionRename { title, base, .. } => {
                if session.title_seq > *base {
                    self.sessions.insert(id, session);
                    return refused(Code::Superseded);
                }
                session.title.clone_from(title);
                session.title_seq = self.head + 1;
            }
            Op::SessionArchive { archived, .. } => session.archived = *archived,
            Op::SessionDelete { .. } => {
                let seq = self.next();
                self.gone.insert(id, seq);
                self.messages.remove(&id);
                return applied(seq);
            }
            Op::MessageCreate {
                id: message, content, ..
            } => {
                *self.effects.entry(*message).or_default() += 1;
                for (id, role) in [(*message, Role::User), (MessageId::fresh(), Role::Assistant)] {
                    session.last_ord += 1;
                    let row = Message {
                        id,
                        session: session.id,
                        seq: self.next(),
                        ord: session.last_ord,
                        parent: None,
                        role,
                        status: Status::Complete,
                        run: None,
                        content: content.clone(),
                        metadata: serde_json::Value::Null,
                        created_at: 0,
                        deleted: false,
                    };
                    self.messages.entry(session.id).or_default().push(row);
                }
            }
            Op::SessionCreate { .. } | Op::MessageAnswer { .. } => {}
        }
        session.seq = self.next();
        session.last_active = session.seq;
        let seq = session.seq;
        self.sessions.insert(id, session);
        applied(seq)
    }

    fn pull(&self, from: Cursor) -> Result<SyncPage, Failure> {
        if from.seq < self.floor {
            return Err(Failure::Reset(ResetReason::Floor));
        }
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(self.sessions.values().cloned().map(Change::Session));
        changes.extend(self.messages.values().flatten().cloned().map(Change::Message));
        changes.extend(
            self.gone
                .iter()
                .map(|(id, seq)| Change::SessionGone { id: *id, seq: *seq }),
        );
        changes.retain(|change| change.seq() > from.seq);
        changes.sort_by_key(Change::seq);
        let more = changes.len() > PAGE;
        changes.truncate(PAGE);
        let to = if more {
            changes.last().map_or(from.seq, Change::seq)
        } else {
            self.head
        };
        Ok(SyncPage {
            from,
            to: Self::at(to),
            head: self.head,
            more,
            changes,
        })
    }

    fn newest(
        &self,
        archived: Option<bool>,
        before: Option<SessionsBefore>,
    ) -> (Vec<Session>, Option<SessionsBefore>) {
        let mut rows: Vec<Session> = self.sessions.values().cloned().collect();
        rows.retain(|row| archived.is_none_or(|archived| row.archived == archived));
        rows.retain(|row| before.is_none_or(|key| (row.last_active, row.id) < (key.last_active, key.id)));
        rows.sort_by_key(|row| std::cmp::Reverse((row.last_active, row.id)));
        let more = rows.len() > LISTED;
        rows.truncate(LISTED);
        let last = rows.last().filter(|_| more);
        let key = last.map(|row| SessionsBefore {
            last_active: row.last_active,
            id: row.id,
        });
        (rows, key)
    }

    fn bootstrap(&self) -> Bootstrap {
        let (sessions, more) = self.newest(None, None);
        let newest = sessions.first().map(|session| session.id);
        let histories = newest
            .map(|id| self.history(id, None, 2))
            .into_iter()
            .flatten()
            .collect();
        Bootstrap {
            as_of: Self::at(self.head),
            sessions,
            histories,
            more,
        }
    }

    fn history(&self, session: SessionId, before: Option<i64>, limit: usize) -> Option<History> {
        self.sessions.get(&session)?;
        let rows = self.messages.get(&session).map_or(&[][..], Vec::as_slice);
        let kept: Vec<Message> = rows
            .iter()
            .filter(|row| before.is_none_or(|ord| row.ord < ord))
            .cloned()
            .collect();
        let messages = kept[kept.len().saturating_sub(limit)..].to_vec();
        let lo = messages.first().map_or(1, |row| row.ord);
        let hi = messages.last().map_or(0, |row| row.ord);
        Some(History {
            session,
            as_of: Self::at(self.head),
            lo,
            hi,
            messages,
        })
    }
}

fn applied(seq: Seq) -> OpResult {
    OpResult::Applied {
        seq,
        ord: None,
        run: None,
        reply: None,
    }
}

fn refused(code: Code) -> OpResult {
    OpResult::Refused {
        problem: Problem::new(code),
        current: None,
    }
}

/// One device: its machine, what it asked for, and an answer that is still on its way.
struct Phone {
    tab: Tab,
    asked: VecDeque<Want>,
    /// Answers read at the server and not yet arrived.
    late: VecDeque<Input>,
    socket: Option<u32>,
    timer: Option<i64>,
    written: BTreeSet<(SessionId, MessageId)>,
}

#[derive(Clone, Debug)]
enum Deed {
    Create,
    Send(usize),
    Rename(usize),
    Archive(usize),
    Delete(usize),
    /// The oldest request is made and answered.
    Serve,
    /// It never arrives.
    Lose,
    /// It arrives; its answer does not.
    LoseAnswer,
    /// It arrives; its answer takes long.
    Delay,
    /// A late answer comes.
    Arrive,
    /// The socket pushes what is new, or hints at it.
    Push,
    Hint,
    CutSocket,
    Pass(i64),
    /// The server forgets what lies behind.
    Compact,
    Open(usize),
}

fn deed() -> impl Strategy<Value = (usize, Deed)> {
    let which = 0_usize..4;
    let deed = prop_oneof![
        1 => Just(Deed::Create),
        4 => which.clone().prop_map(Deed::Send),
        1 => which.clone().prop_map(Deed::Rename),
        1 => which.clone().prop_map(Deed::Archive),
        1 => which.clone().prop_map(Deed::Delete),
        8 => Just(Deed::Serve),
        2 => Just(Deed::Lose),
        2 => Just(Deed::LoseAnswer),
        2 => Just(Deed::Delay),
        2 => Just(Deed::Arrive),
        2 => Just(Deed::Push),
        1 => Just(Deed::Hint),
        1 => Just(Deed::CutSocket),
        2 => (1_i64..20_000).prop_map(Deed::Pass),
        1 => Just(Deed::Compact),
        1 => which.prop_map(Deed::Open),
    ];
    (0_usize..2, deed)
}

struct World {
    server: Server,
    phones: Vec<Phone>,
    now: i64,
}

impl World {
    fn new() -> Self {
        let phone = || Phone {
            tab: Tab::new(),
            asked: VecDeque::new(),
            late: VecDeque::new(),
            socket: None,
            timer: None,
            written: BTreeSet::new(),
        };
        let mut world = Self {
            server: Server::new(),
            phones: vec![phone(), phone()],
            now: 1_000,
        };
        for index in 0..2 {
            world.hand(index, Input::Engine(Event::SignedIn { cursor: None }));
        }
        world
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            chance: 0.5,
        }
    }

    fn hand(&mut self, index: usize, input: Input) {
        let now = self.moment();
        let wants = self.phones[index].tab.turn(input, now);
        self.take(index, wants);
    }

    fn take(&mut self, index: usize, wants: Vec<Want>) {
        let phone = &mut self.phones[index];
        for want in wants {
            match want {
                Want::Timer { at } => phone.timer = Some(at),
                Want::CloseSocket => phone.socket = None,
                Want::Push(_) | Want::Send(_) => {}
                other => phone.asked.push_back(other),
            }
        }
    }

    /// What the server makes of a request.
    fn answer(&mut self, want: &Want) -> Option<Input> {
        Some(match want {
            Want::Bootstrap { ticket } => Input::Engine(Event::Bootstrapped {
                ticket: *ticket,
                bootstrap: Box::new(self.server.bootstrap()),
            }),
            Want::Pull { ticket, from, .. } => Input::Engine(match self.server.pull(*from) {
                Ok(page) => Event::Pulled {
                    ticket: *ticket,
                    page: Box::new(page),
                },
                Err(failure) => Event::Failed {
                    ticket: *ticket,
                    failure,
                },
            }),
            Want::OpenSocket { ticket, .. } => Input::Engine(Event::Frame {
                ticket: *ticket,
                frame: Box::new(ServerFrame::Welcome {
                    device: DeviceId(Epoch::nil()),
                    head: Server::at(self.server.head),
                    ping: 25_000,
                    live: Vec::new(),
                }),
            }),
            Want::Upload { lane, batch } => Input::Uploaded {
                lane: *lane,
                result: Ok(self.server.push(batch)),
            },
            Want::Load { session, before } => Input::Loaded {
                session: *session,
                result: self
                    .server
                    .history(*session, *before, 2)
                    .ok_or(Failure::Refused(Problem::new(Code::NotFound))),
            },
            Want::LoadList { archived, before } => {
                let (sessions, more) = self.server.newest(Some(*archived), Some(*before));
                let as_of = Server::at(self.server.head);
                Input::ListLoaded {
                    result: Ok(SessionsPage {
                        as_of,
                        sessions,
                        more,
                    }),
                }
            }
            Want::Probe { ticket } => Input::Engine(Event::Alive { ticket: *ticket }),
            Want::Renew => Input::Engine(Event::Renewed),
            Want::CloseSocket | Want::Send(_) | Want::Timer { .. } | Want::Push(_) => return None,
        })
    }

    fn failure(want: &Want, failure: Failure) -> Option<Input> {
        Some(match want {
            Want::Bootstrap { ticket } | Want::Pull { ticket, .. } => Input::Engine(Event::Failed {
                ticket: *ticket,
                failure,
            }),
            Want::OpenSocket { ticket, .. } => Input::Engine(Event::SocketRefused {
                ticket: *ticket,
                failure,
            }),
            Want::Upload { lane, .. } => Input::Uploaded {
                lane: *lane,
                result: Err(failure),
            },
            Want::Load { session, .. } => Input::Loaded {
                session: *session,
                result: Err(failure),
            },
            Want::LoadList { .. } => Input::ListLoaded { result: Err(failure) },
            Want::Renew => Input::Engine(Event::RenewalFailed),
            Want::Probe { .. } | Want::CloseSocket | Want::Send(_) | Want::Timer { .. } | Want::Push(_) => {
                return None;
            }
        })
    }

    fn serve(&mut self, index: usize) -> bool {
        let Some(want) = self.phones[index].asked.pop_front() else {
            return false;
        };
        let input = self.answer(&want);
        if let Want::OpenSocket { ticket, .. } = &want {
            self.phones[index].socket = Some(*ticket);
        }
        if let Some(input) = input {
            self.hand(index, input);
        }
        true
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        for index in 0..self.phones.len() {
            if self.phones[index].timer.is_some_and(|at| at <= self.now) {
                self.phones[index].timer = None;
                self.hand(index, Input::Engine(Event::Tick));
            }
        }
    }

    fn session(&self, index: usize, which: usize) -> Option<SessionId> {
        let tab = &self.phones[index].tab;
        let rows: Vec<_> = tab.list(false).into_iter().chain(tab.list(true)).collect();
        (!rows.is_empty()).then(|| rows[which % rows.len()].id)
    }

    fn person(&mut self, index: usize, deed: &Deed) {
        let now = self.moment();
        let which = match deed {
            Deed::Send(which)
            | Deed::Rename(which)
            | Deed::Archive(which)
            | Deed::Delete(which)
            | Deed::Open(which) => *which,
            _other => 0,
        };
        let session = self.session(index, which);
        let tab = &mut self.phones[index].tab;
        // A session that is gone, and shown for the refused text in it, takes no more.
        let wants = match (deed, session) {
            (Deed::Create, _) => tab.create(now).map(|(_, wants)| wants),
            (Deed::Send(_), Some(session)) => tab.send(session, "words", now).map(|(id, wants)| {
                self.phones[index].written.insert((session, id));
                wants
            }),
            (Deed::Rename(_), Some(session)) => tab.rename(session, "title", now),
            (Deed::Archive(which), Some(session)) => tab.archive(session, which % 2 == 0, now),
            (Deed::Delete(_), Some(session)) => tab.delete(session, now).map(|(_, wants)| wants),
            (Deed::Open(_), Some(session)) => Ok(tab.open(session)),
            _other => Ok(Vec::new()),
        };
        let wants = wants.unwrap_or_default();
        self.take(index, wants);
    }

    fn network(&mut self, index: usize, deed: &Deed) {
        match deed {
            Deed::Serve => {
                self.serve(index);
            }
            Deed::Lose | Deed::LoseAnswer => {
                let Some(want) = self.phones[index].asked.pop_front() else {
                    return;
                };
                let mut failure = Failure::NotSent;
                if matches!(deed, Deed::LoseAnswer) {
                    self.answer(&want);
                    failure = Failure::Cut;
                }
                if let Some(input) = Self::failure(&want, failure) {
                    self.hand(index, input);
                }
            }
            Deed::Delay => {
                let Some(want) = self.phones[index].asked.pop_front() else {
                    return;
                };
                let answer = self.answer(&want);
                self.phones[index].late.extend(answer);
            }
            Deed::Arrive => {
                if let Some(input) = self.phones[index].late.pop_front() {
                    if let Input::Engine(Event::Frame { ticket, .. }) = &input {
                        self.phones[index].socket = Some(*ticket);
                    }
                    self.hand(index, input);
                }
            }
            Deed::Push | Deed::Hint => self.tell(index, matches!(deed, Deed::Push)),
            Deed::CutSocket => {
                if let Some(ticket) = self.phones[index].socket.take() {
                    self.hand(
                        index,
                        Input::Engine(Event::SocketClosed {
                            ticket,
                            code: close::NO_PONG,
                        }),
                    );
                }
            }
            Deed::Pass(millis) => self.pass(*millis),
            Deed::Compact => self.server.floor = self.server.head,
            _other => {}
        }
    }

    fn tell(&mut self, index: usize, whole: bool) {
        let (Some(ticket), Some(cursor)) =
            (self.phones[index].socket, self.phones[index].tab.state().cursor())
        else {
            return;
        };
        let epoch = cursor.epoch;
        let frame = match self.server.pull(cursor) {
            Ok(page) if whole => ServerFrame::Sync(page),
            Ok(_) | Err(_) => ServerFrame::Head {
                epoch,
                seq: self.server.head,
            },
        };
        self.hand(
            index,
            Input::Engine(Event::Frame {
                ticket,
                frame: Box::new(frame),
            }),
        );
    }

    /// OverlayMonotone: what was written here is here, from the moment it was written, in a session that is here.
    fn assert_nothing_vanished(&self) {
        for phone in &self.phones {
            for (session, message) in &phone.written {
                let Some(transcript) = phone.tab.transcript(*session) else {
                    continue;
                };
                let kept = phone.tab.replica().missing(*session, i64::MAX);
                let is_here = transcript.messages.iter().any(|view| view.id == *message);
                let went_with_it =
                    self.server.gone.contains_key(session) && self.server.effects.contains_key(message);
                let is_sound = is_here || kept.is_some() || went_with_it;
                assert!(is_sound, "{message} vanished from {session}");
            }
        }
    }

    /// A fair network, until nobody wants anything any more.
    fn settle(&mut self) {
        for round in 0..400 {
            let mut is_busy = false;
            for index in 0..self.phones.len() {
                while let Some(input) = self.phones[index].late.pop_front() {
                    self.hand(index, input);
                }
                while self.serve(index) {
                    is_busy = true;
                }
                if round % 5 == 4 {
                    self.tell(index, false);
                }
            }
            self.assert_nothing_vanished();
            if !is_busy && round > 100 && self.is_settled() {
                return;
            }
            self.pass(7_000);
        }
        panic!(
            "nobody settled: {:?}",
            self.phones
                .iter()
                .map(|phone| phone.tab.state())
                .collect::<Vec<_>>()
        );
    }

    fn is_settled(&self) -> bool {
        self.phones.iter().all(|phone| {
            let is_open = phone.tab.outbox().entries().any(crate::outbox::Entry::is_open);
            let is_in_step = phone.tab.state().cursor() == Some(Server::at(self.server.head));
            phone.asked.is_empty() && is_in_step && !is_open
        })
    }

    fn assert_agreement(&mut self) {
        for count in self.server.effects.values() {
            assert_eq!(*count, 1, "ExactlyOnceEffect");
        }
        let sessions: Vec<Session> = self.server.sessions.values().cloned().collect();
        for index in 0..self.phones.len() {
            for session in &sessions {
                for _ in 0..20 {
                    let wants = self.phones[index].tab.earlier(session.id);
                    self.take(index, wants);
                    while self.serve(index) {}
                }
                let tab = &self.phones[index].tab;
                assert_eq!(tab.replica().session(session.id), Some(session), "the row");
                let transcript = tab.transcript(session.id).unwrap();
                let sent = transcript
                    .messages
                    .iter()
                    .filter(|view| view.delivery == Delivery::Sent);
                let ids: Vec<MessageId> = sent.map(|view| view.id).collect();
                let there = self
                    .server
                    .messages
                    .get(&session.id)
                    .map_or(&[][..], Vec::as_slice);
                assert_eq!(
                    ids,
                    there.iter().map(|row| row.id).collect::<Vec<_>>(),
                    "the messages"
                );
            }
            let tab = &self.phones[index].tab;
            for (session, message) in &self.phones[index].written {
                // NoSilentLoss: on the server, refused and kept, or deleted with its session by a person.
                let is_there = self.server.effects.contains_key(message);
                let is_kept = tab
                    .outbox()
                    .entries()
                    .any(|entry| matches!(&entry.mutation.op, Op::MessageCreate { id, .. } if id == message));
                assert!(
                    is_there || is_kept || self.server.gone.contains_key(session),
                    "{message} is lost"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Convergence, ExactlyOnceEffect, OverlayMonotone, NoSilentLoss.
    #[test]
    fn whatever_the_network_does_everybody_agrees_in_the_end(script in prop::collection::vec(deed(), 1..120)) {
        let mut world = World::new();
        for (index, deed) in script {
            world.person(index, &deed);
            world.network(index, &deed);
            world.assert_nothing_vanished();
        }
        world.settle();
        world.assert_agreement();
    }
}
