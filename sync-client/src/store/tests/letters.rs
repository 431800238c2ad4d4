//! The outbox, its file and its lanes beside a model of them, whatever becomes of what is written.
//!
//! The model ([`Expected`]) has no plans and no rows: letters that wait, are on their way, were accepted or refused, and
//! lanes that may send or not. After every turn the outbox in memory, the rows in SQLite and the lanes have to say the same.

use crate::engine::{Failure, Moment, backoff};
use crate::lanes::Lanes;
use crate::outbox::{Outbox, Plan, Standing};
use crate::store::Letters;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use protocol::mutation::{Batch, BatchAnswer, Op, OpResult, Outcome, RunMode};
use protocol::sync::{Epoch, Seq};
use protocol::{Code, MessageId, MutationId, Problem, SessionId};
use std::collections::BTreeMap;

const LANES: usize = 3;
/// The longest wait between two tries of one lane.
const CAP: i64 = 60_000;
const CHANCE: f32 = 0.5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Text,
    Title,
    Archived,
}

/// What the server says of the first op that it does not accept.
#[derive(Clone, Copy, Debug)]
enum Word {
    Refused,
    Busy,
    NotThere,
}

#[derive(Clone, Debug)]
enum Turn {
    Write(usize, What),
    Send(usize),
    /// The batch is marked on the disk, and the device dies before it is sent.
    MarkAndCrash(usize),
    /// So many are accepted, and this is said of the next; those after it are passed over.
    Answer(usize, usize, Word),
    Fail(usize, Failure),
    TakeBack(usize, u128),
    Crash,
    Resume,
    Pass(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Waiting,
    OnItsWay,
    Accepted,
    Refused,
}

#[derive(Clone, Debug)]
struct Letter {
    id: u128,
    what: What,
    stands: Stands,
    /// How often it may have reached the server.
    tries: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    Nothing,
    Answer,
    Until(i64),
    Credential,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    letters: Vec<Letter>,
    wait: Wait,
    failures: u32,
    is_careful: bool,
}

/// What whoever writes, and whoever looks at the network, expects.
#[derive(Clone, Debug, Default)]
struct Expected {
    lanes: [Lane; LANES],
    now: i64,
    last: u128,
}

impl Lane {
    fn standing(&mut self, stands: Stands) -> impl Iterator<Item = &mut Letter> {
        self.letters
            .iter_mut()
            .filter(move |letter| letter.stands == stands)
    }

    fn has(&self, stands: Stands) -> bool {
        self.letters.iter().any(|letter| letter.stands == stands)
    }

    /// How many ops it may send now, at most.
    fn may_send(&self, now: i64) -> Option<usize> {
        let is_free = match self.wait {
            Wait::Nothing => true,
            Wait::Until(at) => at <= now,
            Wait::Answer | Wait::Credential => false,
        };
        let most = if self.is_careful { 1 } else { usize::MAX };
        (is_free && self.has(Stands::Waiting)).then_some(most)
    }

    fn write(&mut self, id: u128, what: What) {
        let is_replaced = |letter: &Letter| {
            what != What::Text && letter.what == what && letter.stands == Stands::Waiting && letter.tries == 0
        };
        self.letters.retain(|letter| !is_replaced(letter));
        self.letters.push(Letter {
            id,
            what,
            stands: Stands::Waiting,
            tries: 0,
        });
    }

    /// Never two titles: the second is based on what becomes of the first.
    fn send(&mut self, now: i64) {
        let most = self.may_send(now).unwrap_or(0);
        let mut titles = 0;
        for letter in self.standing(Stands::Waiting).take(most) {
            titles += usize::from(letter.what == What::Title);
            if titles > 1 {
                break;
            }
            letter.stands = Stands::OnItsWay;
            letter.tries += 1;
        }
        self.wait = Wait::Answer;
    }

    fn answer(&mut self, accepted: usize, word: Word) {
        for letter in self.standing(Stands::OnItsWay).take(accepted) {
            letter.stands = Stands::Accepted;
        }
        // the first that is still on its way is the one that something is said of
        if matches!(word, Word::Refused)
            && let Some(letter) = self.standing(Stands::OnItsWay).next()
        {
            letter.stands = Stands::Refused;
        }
    }

    fn come_back(&mut self, was_sent: bool) {
        for letter in self.standing(Stands::OnItsWay) {
            letter.stands = Stands::Waiting;
            letter.tries -= u32::from(!was_sent);
        }
        // Only texts are kept where they were refused.
        self.letters
            .retain(|letter| letter.stands != Stands::Refused || letter.what == What::Text);
    }

    fn back_off(&mut self, now: i64, least: i64) {
        self.wait = Wait::Until(now + backoff(self.failures, CAP, CHANCE) + least);
        self.failures += 1;
    }

    fn fail(&mut self, failure: &Failure, now: i64) {
        match failure {
            Failure::NotSent | Failure::Cut | Failure::Reset(_) => self.back_off(now, 0),
            Failure::Later { retry_after } => self.back_off(now, i64::from(retry_after.unwrap_or(0)) * 1_000),
            Failure::Unauthorized => self.wait = Wait::Credential,
            Failure::Refused(_) => {
                (self.wait, self.is_careful) = (Wait::Nothing, true);
                let mut sent = self.standing(Stands::OnItsWay);
                if let (Some(alone), None) = (sent.next(), sent.next()) {
                    alone.stands = Stands::Refused;
                }
            }
        }
        self.come_back(!matches!(failure, Failure::NotSent | Failure::Unauthorized));
    }

    fn crash(&mut self) {
        self.come_back(true);
        *self = Self {
            letters: std::mem::take(&mut self.letters),
            ..Self::default()
        };
    }

    fn take_back(&mut self, id: u128) {
        self.letters.retain(|letter| {
            let is_free = match letter.stands {
                Stands::Refused => true,
                Stands::Waiting => letter.tries == 0 || letter.what == What::Text,
                Stands::OnItsWay | Stands::Accepted => false,
            };
            letter.id != id || !is_free
        });
    }
}

fn failures() -> impl Strategy<Value = Failure> {
    prop::sample::select(vec![
        Failure::NotSent,
        Failure::Cut,
        Failure::Later { retry_after: Some(9) },
        Failure::Unauthorized,
        Failure::Refused(Problem::new(Code::TooLarge)),
    ])
}

impl ReferenceStateMachine for Expected {
    type State = Self;
    type Transition = Turn;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Turn> {
        let what = prop::sample::select(vec![What::Text, What::Text, What::Title, What::Archived]);
        let word = prop::sample::select(vec![Word::Refused, Word::Busy, Word::NotThere]);
        let mut turns = vec![
            (
                4,
                (0..LANES, what)
                    .prop_map(|(lane, what)| Turn::Write(lane, what))
                    .boxed(),
            ),
            (1, Just(Turn::Crash).boxed()),
            (1, Just(Turn::Resume).boxed()),
            (3, (1_i64..40_000).prop_map(Turn::Pass).boxed()),
        ];
        for (index, lane) in state.lanes.iter().enumerate() {
            if lane.may_send(state.now).is_some() {
                turns.push((6, Just(Turn::Send(index)).boxed()));
                turns.push((1, Just(Turn::MarkAndCrash(index)).boxed()));
            }
            if lane.wait == Wait::Answer {
                let answer = (0_usize..4, word.clone());
                let answer = answer.prop_map(move |(many, word)| Turn::Answer(index, many, word));
                let fail = failures().prop_map(move |failure| Turn::Fail(index, failure));
                turns.extend([(5, answer.boxed()), (3, fail.boxed())]);
            }
            let ids: Vec<u128> = lane.letters.iter().map(|letter| letter.id).collect();
            if !ids.is_empty() {
                let back = prop::sample::select(ids).prop_map(move |id| Turn::TakeBack(index, id));
                turns.push((1, back.boxed()));
            }
        }
        Union::new_weighted(turns).boxed()
    }

    fn preconditions(state: &Self, turn: &Turn) -> bool {
        match turn {
            Turn::Send(lane) | Turn::MarkAndCrash(lane) => state.lanes[*lane].may_send(state.now).is_some(),
            Turn::Answer(lane, ..) | Turn::Fail(lane, _) => state.lanes[*lane].wait == Wait::Answer,
            Turn::TakeBack(lane, id) => state.lanes[*lane].letters.iter().any(|letter| letter.id == *id),
            Turn::Write(..) | Turn::Crash | Turn::Resume | Turn::Pass(_) => true,
        }
    }

    fn apply(mut state: Self, turn: &Turn) -> Self {
        let now = state.now;
        match turn {
            Turn::Write(lane, what) => {
                state.last += 1;
                state.lanes[*lane].write(state.last, *what);
            }
            Turn::Send(lane) => state.lanes[*lane].send(now),
            Turn::MarkAndCrash(lane) => {
                state.lanes[*lane].send(now);
                state.lanes.iter_mut().for_each(Lane::crash);
            }
            Turn::Answer(lane, accepted, word) => {
                let lane = &mut state.lanes[*lane];
                let sent = lane.standing(Stands::OnItsWay).count();
                lane.answer(*accepted, *word);
                if sent > *accepted && !matches!(word, Word::Refused) {
                    lane.back_off(now, 0);
                } else {
                    (lane.wait, lane.failures, lane.is_careful) = (Wait::Nothing, 0, false);
                }
                lane.come_back(true);
            }
            Turn::Fail(lane, failure) => state.lanes[*lane].fail(failure, now),
            Turn::TakeBack(lane, id) => state.lanes[*lane].take_back(*id),
            Turn::Crash => state.lanes.iter_mut().for_each(Lane::crash),
            Turn::Resume => {
                for lane in &mut state.lanes {
                    lane.failures = 0;
                    if lane.wait != Wait::Answer {
                        lane.wait = Wait::Nothing;
                    }
                }
            }
            Turn::Pass(millis) => state.now += millis,
        }
        state
    }
}

fn session(lane: usize) -> SessionId {
    SessionId(Epoch::from_u128(1_000_000 + lane as u128))
}

fn op(lane: usize, id: u128, what: What) -> Op {
    let session = session(lane);
    match what {
        What::Text => Op::MessageCreate {
            id: MessageId(Epoch::from_u128(id)),
            session,
            parent: None,
            content: format!("text {id}"),
            run: RunMode::Auto,
        },
        What::Title => Op::SessionRename {
            session,
            title: format!("title {id}"),
            base: 0,
        },
        What::Archived => Op::SessionArchive {
            session,
            archived: id.is_multiple_of(2),
        },
    }
}

/// The real ones, with what was sent of each lane, and what was accepted there.
#[derive(Debug)]
struct Device {
    outbox: Outbox,
    lanes: Lanes,
    letters: Letters,
    sent: BTreeMap<usize, Batch>,
    bodies: BTreeMap<MutationId, Op>,
    accepted: BTreeMap<usize, MutationId>,
    head: Seq,
    /// The greatest number that a row ever had.
    last: i64,
}

impl Device {
    fn keep(&mut self, plan: &Plan) {
        self.letters.keep(plan).unwrap();
        self.outbox.apply(plan);
        let numbers = plan.put.iter().map(|entry| entry.n);
        self.last = numbers.chain([self.last]).max().unwrap();
    }

    /// What may go out of a lane, in order, and never in another shape than before.
    fn batch(&mut self, lane: usize, now: i64) -> (Batch, Plan) {
        let ready = self.lanes.ready(&self.outbox, now);
        let (_, most) = ready
            .into_iter()
            .find(|(ready, _)| *ready == session(lane))
            .unwrap();
        let (batch, plan) = self.outbox.dispatch(session(lane), most, now).unwrap();
        let ids: Vec<MutationId> = batch.ops.iter().map(|mutation| mutation.id).collect();
        assert!(
            ids.is_sorted() && ids.first() > self.accepted.get(&lane),
            "{ids:?}"
        );
        for mutation in &batch.ops {
            let before = self
                .bodies
                .entry(mutation.id)
                .or_insert_with(|| mutation.op.clone());
            assert_eq!(*before, mutation.op);
        }
        (batch, plan)
    }

    fn crash(&mut self) {
        let kept = self.letters.load(Seq::MIN).unwrap();
        self.outbox = Outbox::load_after(kept.entries, kept.last);
        self.lanes = Lanes::default();
        self.sent.clear();
    }

    fn answer(&mut self, lane: usize, accepted: usize, word: Word, now: Moment) {
        let batch = self.sent.remove(&lane).unwrap();
        let result = |place: usize| match (place.cmp(&accepted), word) {
            (std::cmp::Ordering::Less, _) => OpResult::applied(self.head + 1),
            (std::cmp::Ordering::Greater, _) => OpResult::Skipped,
            (_, Word::Refused) => OpResult::refused(Code::Invalid),
            (_, Word::Busy) => OpResult::refused(Code::Busy),
            (_, Word::NotThere) => OpResult::refused(Code::NotFound),
        };
        let ids = batch.ops.iter().map(|mutation| mutation.id);
        let results: Vec<Outcome> = ids
            .enumerate()
            .map(|(place, id)| Outcome {
                id,
                result: result(place),
            })
            .collect();
        let last = results
            .iter()
            .take(accepted)
            .next_back()
            .map(|outcome| outcome.id);
        self.accepted.extend(last.map(|id| (lane, id)));
        self.head += 1;
        let said = BatchAnswer {
            results,
            head: self.head,
            epoch: Epoch::nil(),
        };
        let plan = self.outbox.answered(&batch, &said, false);
        self.keep(&plan);
        self.lanes.answered(session(lane), plan.again, now);
    }
}

impl StateMachineTest for Device {
    type SystemUnderTest = Self;
    type Reference = Expected;

    fn init_test(_: &Expected) -> Self {
        Self {
            outbox: Outbox::default(),
            lanes: Lanes::default(),
            letters: Letters::new().unwrap(),
            sent: BTreeMap::new(),
            bodies: BTreeMap::new(),
            accepted: BTreeMap::new(),
            head: 0,
            last: 0,
        }
    }

    fn apply(mut device: Self, expected: &Expected, turn: Turn) -> Self {
        let now = Moment {
            at: expected.now,
            chance: CHANCE,
        };
        match turn {
            Turn::Write(lane, what) => {
                let id = expected.last;
                let mutation = MutationId(Epoch::from_u128(id));
                let plan = device.outbox.enqueue(mutation, op(lane, id, what), 0, now.at);
                device.keep(&plan.unwrap());
            }
            Turn::Send(lane) => {
                let (batch, plan) = device.batch(lane, now.at);
                device.keep(&plan);
                device.lanes.sending(session(lane));
                device.sent.insert(lane, batch);
            }
            Turn::MarkAndCrash(lane) => {
                let (_, plan) = device.batch(lane, now.at);
                device.letters.keep(&plan).unwrap();
                device.crash();
            }
            Turn::Answer(lane, accepted, word) => device.answer(lane, accepted, word, now),
            Turn::Fail(lane, failure) => {
                let batch = device.sent.remove(&lane).unwrap();
                let plan = device.outbox.failed(&batch, &failure);
                device.keep(&plan);
                device.lanes.failed(session(lane), &failure, now);
                // what has reached nobody may still change
                let outbox = &device.outbox;
                let is_free = |id| outbox.entry(id).is_some_and(|entry| entry.attempts == 0);
                device.bodies.retain(|id, _| !is_free(*id));
            }
            Turn::TakeBack(lane, id) => {
                let is_gone = expected.lanes[lane].letters.iter().all(|letter| letter.id != id);
                let plan = device.outbox.undo(MutationId(Epoch::from_u128(id)));
                assert_eq!(plan.is_ok(), is_gone);
                if let Ok(plan) = plan {
                    device.keep(&plan);
                }
            }
            Turn::Crash => device.crash(),
            Turn::Resume => device.lanes.resume(),
            Turn::Pass(_) => {}
        }
        device
    }

    fn check_invariants(device: &Self, expected: &Expected) {
        let ready: BTreeMap<SessionId, usize> = device
            .lanes
            .ready(&device.outbox, expected.now)
            .into_iter()
            .collect();
        for (index, lane) in expected.lanes.iter().enumerate() {
            let here: Vec<_> = device
                .outbox
                .lane(session(index))
                .map(|entry| {
                    let stands = match entry.standing {
                        Standing::Queued => Stands::Waiting,
                        Standing::Inflight => Stands::OnItsWay,
                        Standing::Acked { .. } => Stands::Accepted,
                        Standing::Dead { .. } => Stands::Refused,
                    };
                    (entry.mutation.id.0.as_u128(), stands, entry.attempts)
                })
                .collect();
            let letters = lane.letters.iter();
            let there: Vec<_> = letters
                .map(|letter| (letter.id, letter.stands, letter.tries))
                .collect();
            assert_eq!(here, there, "lane {index}");
            let may_send = ready.get(&session(index)).copied();
            assert_eq!(may_send, lane.may_send(expected.now), "lane {index}");
        }
        // Whoever begins again now finds what is here, and gives no number twice.
        let found = device.letters.load(Seq::MIN).unwrap();
        assert_eq!(found.last, device.last);
        let found = Outbox::load(found.entries);
        let here = Outbox::load(device.outbox.entries().cloned());
        assert!(
            found.entries().eq(here.entries()),
            "{found:?} on disk, {here:?} in memory"
        );
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// NoSilentLoss, ExactlyOnceEffect, LaneIsolation, of the outbox and its lanes alone.
    #[test]
    fn the_outbox_its_file_and_its_lanes_say_what_whoever_writes_expects(sequential 1..60 => Device);
}
