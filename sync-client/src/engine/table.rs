//! Every phase answers every event: the whole table, and the laws that hold in any run.
//!
//! The table is `table/cells.txt`: where each event leads from each phase, and what it has done.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::unnecessary_box_returns,
    reason = "a test names the cells it means; the events take their pages boxed"
)]

pub mod kinds;

use super::*;
use proptest::prelude::*;
use protocol::frame::{LiveRun, ServerFrame, close};
use protocol::run::{At, Status};
use protocol::sync::{Bootstrap, Epoch, SyncPage};
use protocol::view::Obstacle;
use protocol::{Code, DeviceId, MessageId, Problem, RunId, SessionId};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const NOW: Moment = Moment {
    at: 1_000_000,
    chance: 0.5,
};

fn cursor(seq: i64) -> Cursor {
    Cursor {
        epoch: Epoch::from_u128(1),
        seq,
    }
}

fn page(from: i64, to: i64, head: i64) -> Box<SyncPage> {
    Box::new(SyncPage {
        from: cursor(from),
        to: cursor(to),
        head,
        more: to < head,
        changes: Vec::new(),
    })
}

fn welcome(head: i64) -> ServerFrame {
    ServerFrame::Welcome {
        device: DeviceId(Epoch::nil()),
        head: cursor(head),
        ping: 25_000,
        live: Vec::new(),
    }
}

fn frame(frame: ServerFrame) -> Event {
    Event::Frame {
        ticket: 5,
        frame: Box::new(frame),
    }
}

fn live_run() -> LiveRun {
    LiveRun {
        run: RunId(Epoch::nil()),
        message: MessageId(Epoch::nil()),
        session: SessionId(Epoch::nil()),
    }
}

const PHASES: [Phase; 11] = [
    Phase::Idle,
    Phase::Bootstrapping,
    Phase::CatchingUp,
    Phase::Live,
    Phase::Polling,
    Phase::Offline { until: 999_000 },
    Phase::AuthRequired { renewing: true },
    Phase::AuthRequired { renewing: false },
    Phase::ResetRequired {
        reason: ResetReason::Epoch,
    },
    Phase::Draining { until: 999_000 },
    Phase::Faulted(Fault::DiskFull),
];

/// A state such as a run leaves it in this phase: at change 10, request 7 in flight where one is, socket 5.
fn state(phase: Phase) -> State {
    let is_linked = matches!(phase, Phase::CatchingUp | Phase::Live | Phase::Draining { .. });
    let is_asking = matches!(phase, Phase::Bootstrapping | Phase::CatchingUp | Phase::Polling);
    let has_cursor = !matches!(
        phase,
        Phase::Idle | Phase::Bootstrapping | Phase::ResetRequired { .. }
    );
    State {
        cursor: has_cursor.then(|| cursor(10)),
        head: if has_cursor { 10 } else { 0 },
        link: if is_linked { Link::Open(5) } else { Link::Shut },
        request: is_asking.then_some(7),
        ticket: 9,
        deadline: 999_500,
        phase,
        ..State::new()
    }
}

/// The columns: every phase, and those that a socket is tried in also while it is opening.
fn columns() -> Vec<(&'static str, State)> {
    let opening = |phase| State {
        link: Link::Opening(5),
        request: None,
        ..state(phase)
    };
    let names = [
        "idle", "first", "behind", "live", "polling", "offline", "renewing", "no auth", "reset", "draining",
        "faulted",
    ];
    let columns = names.into_iter().zip(PHASES.map(state));
    let opening = [
        ("behind+", opening(Phase::CatchingUp)),
        ("polling+", opening(Phase::Polling)),
    ];
    columns
        .chain(opening)
        .map(|(name, state)| (name, settled(state)))
        .collect()
}

/// As after a turn: the page has been told, and the timer is set.
fn settled(mut state: State) -> State {
    if matches!(state.phase, Phase::Offline { .. }) {
        state.attempt = 1;
    }
    let mut told = Vec::new();
    state.settle_connection(NOW, &mut told);
    state.arm(&mut told);
    state
}

fn failed(failure: Failure) -> Event {
    Event::Failed { ticket: 7, failure }
}

fn closed(code: u16) -> Event {
    Event::SocketClosed { ticket: 5, code }
}

fn events() -> Vec<(&'static str, Event)> {
    let as_of = Bootstrap {
        as_of: cursor(20),
        sessions: Vec::new(),
        histories: Vec::new(),
        more: None,
    };
    let pulled = |ticket, page| Event::Pulled { ticket, page };
    let head = ServerFrame::Head {
        epoch: Epoch::from_u128(1),
        seq: 12,
    };
    let refused = Failure::Refused(Problem::new(Code::BadRequest));
    vec![
        (
            "signed in",
            Event::SignedIn {
                cursor: Some(cursor(10)),
            },
        ),
        ("signed in, no cursor", Event::SignedIn { cursor: None }),
        ("signed out", Event::SignedOut),
        (
            "bootstrapped",
            Event::Bootstrapped {
                ticket: 7,
                bootstrap: Box::new(as_of),
            },
        ),
        ("pulled to the head", pulled(7, page(10, 11, 11))),
        ("pulled, more", pulled(7, page(10, 11, 15))),
        ("pulled, not from here", pulled(7, page(3, 11, 11))),
        ("pulled, stale ticket", pulled(6, page(10, 11, 11))),
        ("not sent", failed(Failure::NotSent)),
        ("cut", failed(Failure::Cut)),
        ("later", failed(Failure::Later { retry_after: Some(3) })),
        ("refused", failed(refused)),
        ("unauthorized", failed(Failure::Unauthorized)),
        ("reset", failed(Failure::Reset(ResetReason::TooFar))),
        (
            "socket refused",
            Event::SocketRefused {
                ticket: 5,
                failure: Failure::NotSent,
            },
        ),
        ("socket cut", closed(1006)),
        ("socket slow", closed(close::SLOW_CONSUMER)),
        ("socket limited", closed(close::RATE_LIMITED)),
        ("socket expired", closed(close::TOKEN_EXPIRED)),
        ("socket revoked", closed(close::REVOKED)),
        ("socket unwanted", closed(close::VERSION)),
        ("welcome", frame(welcome(10))),
        ("push", frame(ServerFrame::Sync(*page(10, 11, 11)))),
        ("push with a gap", frame(ServerFrame::Sync(*page(11, 12, 12)))),
        ("push, old", frame(ServerFrame::Sync(*page(8, 9, 9)))),
        ("head", frame(head)),
        ("ping", frame(ServerFrame::Ping { n: 1, head: 10 })),
        ("run begins", frame(ServerFrame::Start(live_run()))),
        (
            "whole text",
            frame(ServerFrame::Snap {
                run: live_run().run,
                at: At { attempt: 1, idx: 1 },
                text: "so far".to_owned(),
                rewind: false,
            }),
        ),
        (
            "more text",
            frame(ServerFrame::Delta {
                run: live_run().run,
                at: At { attempt: 1, idx: 2 },
                offset: 6,
                text: "more".to_owned(),
            }),
        ),
        (
            "run ends",
            frame(ServerFrame::End {
                run: live_run().run,
                status: Status::Complete,
                seq: 12,
            }),
        ),
        ("expiring", frame(ServerFrame::AuthExpiring { within: 60 })),
        ("renewal taken", frame(ServerFrame::AuthOk { expires_in: 600 })),
        (
            "frame refused",
            frame(ServerFrame::Refused {
                code: Code::NotFound,
                detail: String::new(),
            }),
        ),
        ("drain", frame(ServerFrame::Drain { within_ms: 20_000 })),
        ("alive", Event::Alive { ticket: 5 }),
        ("tick", Event::Tick),
        ("wake", Event::Wake),
        ("renewed", Event::Renewed),
        ("renewal refused", Event::RenewalRefused),
        ("renewal failed", Event::RenewalFailed),
        ("reset ready", Event::ResetReady),
        ("cache lost", Event::CacheLost),
        (
            "disk full",
            Event::DiskFull {
                cursor: Some(cursor(10)),
            },
        ),
    ]
}

/// What a reader of the table has to know.
const LEGEND: &str = "\
Rows: what happened. Columns: the phase that the loop was in; with a plus, while its socket was opening.
A cell: the phase after it, then what is to be done, in this order.

I nobody is signed in    B the first page is awaited    C behind the head       L live
P long polls             O offline                      R renewing              A a sign-in is needed
Q begins afresh          D the server goes down         F stopped

b ask for the first page    f apply the first page    p pull                     a apply a page
o open the socket           c close the socket        s send a frame             q probe the socket
r renew the credential      k send the new one        j ready the journal        t set the timer
v watch the live runs       w a frame about a run     h show the connection      u lanes may try
x tell the person
";

fn cells() -> String {
    let mut table = format!("{LEGEND}\n{:22}", "");
    for (name, _) in columns() {
        write!(table, " {name:8}").unwrap();
    }
    for (name, event) in events() {
        write!(table, "\n{name:22}").unwrap();
        for (_, state) in columns() {
            let (next, effects) = step(state, event.clone(), NOW);
            let mut cell = kinds::phase(next.phase()).to_owned();
            cell.extend(effects.iter().map(kinds::effect));
            write!(table, " {cell:8}").unwrap();
        }
    }
    let lines = table.lines().map(str::trim_end);
    lines.fold(String::new(), |told, line| told + line + "\n")
}

#[test]
fn every_phase_answers_every_event() {
    let table = cells();
    assert_eq!(table, include_str!("table/cells.txt"), "it is now:\n{table}");
}

fn all(kinds: &[&'static str]) -> BTreeSet<&'static str> {
    kinds.iter().copied().collect()
}

/// A kind that is new, and has no row or column, ends this.
#[test]
fn every_kind_of_event_frame_and_failure_has_a_row_and_every_phase_a_column() {
    let (mut frames, mut failures) = (BTreeSet::new(), BTreeSet::new());
    for (_, event) in events() {
        match event {
            Event::Frame { frame, .. } => frames.extend([kinds::frame(&frame)]),
            Event::Failed { failure, .. } => failures.extend([kinds::failure(&failure)]),
            _other => {}
        }
    }
    let seen: BTreeSet<_> = events().iter().map(|(_, event)| kinds::event(event)).collect();
    assert_eq!(seen, all(kinds::EVENTS));
    assert_eq!(frames, all(kinds::FRAMES));
    assert_eq!(failures, all(kinds::FAILURES));
    let phases: BTreeSet<_> = PHASES.iter().map(kinds::phase).collect();
    assert_eq!(phases, all(kinds::PHASES));
}

#[test]
fn every_kind_of_effect_comes_of_something() {
    let steps = columns().into_iter().flat_map(|(_, state)| {
        let effects = move |(_, event): (&str, Event)| step(state.clone(), event, NOW).1;
        events().into_iter().flat_map(effects)
    });
    let seen: BTreeSet<_> = steps.map(|effect| kinds::effect(&effect)).collect();
    assert_eq!(seen, all(kinds::EFFECTS));
}

/// Any event, with tickets that are often right.
fn any_event() -> impl Strategy<Value = Event> {
    let all = events();
    (0..all.len(), 0_u32..40).prop_map(move |(index, ticket)| match all[index].1.clone() {
        Event::Bootstrapped { bootstrap, .. } => Event::Bootstrapped { ticket, bootstrap },
        Event::Pulled { page, .. } => Event::Pulled { ticket, page },
        Event::Failed { failure, .. } => Event::Failed { ticket, failure },
        Event::SocketRefused { failure, .. } => Event::SocketRefused { ticket, failure },
        Event::SocketClosed { code, .. } => Event::SocketClosed { ticket, code },
        Event::Frame { frame, .. } => Event::Frame { ticket, frame },
        other => other,
    })
}

fn applies(effects: &[Effect]) -> usize {
    let is_apply = |effect: &&Effect| matches!(effect, Effect::ApplyPage(_) | Effect::ApplyBootstrap(_));
    effects.iter().filter(is_apply).count()
}

proptest! {
    /// NoGapApply: a page moves the cursor only from where it is, and by its own ends.
    #[test]
    fn the_cursor_moves_only_by_a_page_that_begins_at_it(
        events in prop::collection::vec(any_event(), 1..80),
        step_ms in 1_i64..5_000,
    ) {
        let mut state = State::new();
        let mut at = 0;
        for event in events {
            at += step_ms;
            let before = state.cursor();
            let (next, effects) = step(state, event.clone(), Moment { at, chance: 0.3 });
            for effect in &effects {
                match effect {
                    Effect::ApplyPage(page) => {
                        prop_assert_eq!(Some(page.from), before);
                        prop_assert_eq!(Some(page.to), next.cursor());
                    }
                    Effect::ApplyBootstrap(first) => prop_assert_eq!(Some(first.as_of), next.cursor()),
                    _other => {}
                }
            }
            prop_assert!(applies(&effects) <= 1);
            let is_told = matches!(event, Event::SignedIn { .. } | Event::SignedOut | Event::DiskFull { .. });
            if applies(&effects) == 0 && !is_told {
                prop_assert!(next.cursor() == before || next.cursor().is_none());
            }
            state = next;
        }
    }

    /// Wherever a run has led, a phase that waits has a way on: a timer, a request, a socket or a person.
    #[test]
    fn nothing_waits_for_ever(events in prop::collection::vec(any_event(), 1..80)) {
        let mut state = State::new();
        for (at, event) in (0..).step_by(700).zip(events) {
            state = step(state, event, Moment { at, chance: 0.9 }).0;
            let has_a_way_on = match state.phase() {
                Phase::Idle | Phase::AuthRequired { .. } | Phase::ResetRequired { .. } | Phase::Faulted(_) => true,
                Phase::Bootstrapping => state.request.is_some(),
                Phase::CatchingUp | Phase::Live | Phase::Polling | Phase::Offline { .. } | Phase::Draining { .. } => {
                    state.armed.is_some()
                }
            };
            prop_assert!(has_a_way_on, "{:?}", state);
        }
    }
}

/// A server that always resets, or always refuses, is not asked in circles.
#[test]
fn reset_terminates_where_resets_in_a_row_end_in_a_fault() {
    end_in_a_fault(&Failure::Reset(ResetReason::Ahead));
    end_in_a_fault(&Failure::Refused(Problem::new(Code::BadRequest)));
}

fn end_in_a_fault(failure: &Failure) {
    let (mut state, mut effects) = step(
        State::new(),
        Event::SignedIn {
            cursor: Some(cursor(1)),
        },
        NOW,
    );
    let mut resets = 0;
    for _ in 0..20 {
        let Some(ticket) = effects.iter().find_map(|effect| match effect {
            Effect::Pull { ticket, .. } => Some(*ticket),
            _other => None,
        }) else {
            break;
        };
        let failure = failure.clone();
        state = step(state, Event::Failed { ticket, failure }, NOW).0;
        resets += 1;
        let (next, asked) = step(state, Event::ResetReady, NOW);
        let ticket = next.request.unwrap_or_default();
        let bootstrap = Box::new(Bootstrap {
            as_of: cursor(1),
            sessions: Vec::new(),
            histories: Vec::new(),
            more: None,
        });
        drop(asked);
        (state, effects) = step(next, Event::Bootstrapped { ticket, bootstrap }, NOW);
    }
    assert_eq!(resets, RESETS + 1);
    assert_eq!(state.phase(), &Phase::Faulted(Fault::TooManyResets));
    let by = Obstacle::Resets;
    assert_eq!(state.connection(), Connection::Stopped { by });
}

/// A try that meets the same once more says nothing in between.
#[test]
fn what_stopped_a_device_is_shown_until_it_is_in_step_again() {
    let is_show = |effect: &Effect| matches!(effect, Effect::Show(_));
    let full = Event::DiskFull {
        cursor: Some(cursor(10)),
    };
    let by = Obstacle::Disk;
    let stopped = Connection::Stopped { by };
    let live = settled(state(Phase::Live));
    let (full_up, effects) = step(live, full.clone(), NOW);
    assert!(effects.contains(&Effect::Show(stopped)), "{effects:?}");
    assert!(!full_up.may_upload());
    let (trying, effects) = step(full_up, Event::Wake, NOW);
    assert_eq!(trying.phase(), &Phase::CatchingUp);
    assert!(!effects.iter().any(is_show), "{effects:?}");
    let (full_up, effects) = step(trying, full, NOW);
    assert!(!effects.iter().any(is_show), "{effects:?}");

    let (trying, _) = step(full_up, Event::Wake, NOW);
    let (ticket, Link::Opening(socket)) = (trying.request.unwrap(), trying.link) else {
        panic!("{trying:?}");
    };
    let failure = Failure::NotSent;
    let (away, _) = step(trying.clone(), Event::Failed { ticket, failure }, NOW);
    assert!(
        matches!(away.connection(), Connection::Offline { .. }),
        "{away:?}"
    );
    let page = page(10, 11, 11);
    let (written, _) = step(trying, Event::Pulled { ticket, page }, NOW);
    assert_eq!(written.connection(), stopped, "it may not have been written");
    let ticket = socket;
    let frame = Box::new(welcome(11));
    let (live, effects) = step(written, Event::Frame { ticket, frame }, NOW);
    assert_eq!(live.phase(), &Phase::Live);
    assert!(effects.contains(&Effect::Show(Connection::Online)), "{effects:?}");
}

#[test]
fn a_device_that_is_not_wanted_says_so() {
    let live = settled(state(Phase::Live));
    let (stopped, effects) = step(live, closed(close::VERSION), NOW);
    assert_eq!(stopped.phase(), &Phase::Faulted(Fault::Stopped(close::VERSION)));
    let by = Obstacle::Unwanted;
    assert!(
        effects.contains(&Effect::Show(Connection::Stopped { by })),
        "{effects:?}"
    );
}

#[test]
fn a_device_comes_to_life_and_follows() {
    let (state, effects) = step(
        State::new(),
        Event::SignedIn {
            cursor: Some(cursor(10)),
        },
        NOW,
    );
    assert!(matches!(effects[0], Effect::Pull { wait: 0, .. }), "{effects:?}");
    assert!(matches!(effects[1], Effect::OpenSocket { cursor: Some(at), .. } if at == cursor(10)));
    assert_eq!(state.connection(), Connection::Connecting);
    let (ticket, Link::Opening(socket)) = (state.request.unwrap(), state.link) else {
        panic!("{state:?}");
    };
    let (state, _) = step(
        state,
        Event::Pulled {
            ticket,
            page: page(10, 10, 10),
        },
        NOW,
    );
    let told = |frame| Event::Frame {
        ticket: socket,
        frame: Box::new(frame),
    };
    let (state, effects) = step(state, told(welcome(10)), NOW);
    assert_eq!(state.phase(), &Phase::Live);
    assert!(effects.contains(&Effect::Show(Connection::Online)) && effects.contains(&Effect::Upload));
    let (state, effects) = step(state, told(ServerFrame::Sync(*page(10, 12, 12))), NOW);
    assert_eq!((state.cursor(), applies(&effects)), (Some(cursor(12)), 1));
    let later = Moment {
        at: NOW.at + SILENCE + 1,
        ..NOW
    };
    let (state, _) = step(state, Event::Tick, later);
    assert!(matches!(state.phase(), Phase::Offline { .. }), "silence is death");
}

#[test]
fn a_refused_socket_leads_to_long_polls_and_a_welcome_back_to_life() {
    let (mut state, _) = step(
        State::new(),
        Event::SignedIn {
            cursor: Some(cursor(10)),
        },
        NOW,
    );
    let ticket = state.request.unwrap();
    state = step(
        state,
        Event::Pulled {
            ticket,
            page: page(10, 10, 10),
        },
        NOW,
    )
    .0;
    let mut at = NOW.at;
    for _ in 0..REFUSALS {
        let Link::Opening(ticket) = state.link else {
            panic!("{state:?}")
        };
        let failure = Failure::Later { retry_after: None };
        state = step(
            state,
            Event::SocketRefused { ticket, failure },
            Moment { at, ..NOW },
        )
        .0;
        at += 31_000;
        state = step(state, Event::Tick, Moment { at, ..NOW }).0;
    }
    assert_eq!(state.phase(), &Phase::Polling);
    assert_eq!(state.connection(), Connection::Online);
    at += SOCKET_AGAIN;
    state = step(state, Event::Tick, Moment { at, ..NOW }).0;
    let Link::Opening(ticket) = state.link else {
        panic!("{state:?}")
    };
    let event = Event::Frame {
        ticket,
        frame: Box::new(welcome(10)),
    };
    state = step(state, event, Moment { at, ..NOW }).0;
    assert_eq!(state.phase(), &Phase::Live);
}

/// A node that is full or going down says when: its devices come back together, and not before.
#[test]
fn a_refused_socket_is_tried_again_no_sooner_than_the_server_asks() {
    for (refusals, seconds, least) in [
        (0, 400, 400_000),
        (REFUSALS, 400, 400_000),
        // whatever it says
        (REFUSALS, u32::MAX, 3_600_000),
    ] {
        let (mut state, _) = back_after(BRIEF / 2);
        state.refusals = refusals;
        let Link::Opening(ticket) = state.link else {
            panic!("{state:?}")
        };
        let failure = Failure::Later {
            retry_after: Some(seconds),
        };
        let (refused, _) = step(state, Event::SocketRefused { ticket, failure }, NOW);
        let is_tried = |ms| {
            let at = NOW.at + ms;
            let (tried, _) = step(refused.clone(), Event::Tick, Moment { at, ..NOW });
            matches!(tried.link, Link::Opening(_))
        };
        assert!(!is_tried(least - 1), "{refused:?}");
        // a short wait of its own comes on top
        assert!(is_tried(least + 1_000), "{refused:?}");
    }
}

/// A device that was in step, and so much later.
fn back_after(absence: i64) -> (State, Vec<Effect>) {
    let live = step(state(Phase::Live), Event::Alive { ticket: 5 }, NOW).0;
    let (away, _) = step(live, closed(1006), NOW);
    let later = Moment {
        at: NOW.at + absence,
        ..NOW
    };
    step(away, Event::Tick, later)
}

fn pulls(effects: &[Effect]) -> usize {
    let is_pull = |effect: &&Effect| matches!(effect, Effect::Pull { .. });
    effects.iter().filter(is_pull).count()
}

#[test]
fn after_a_short_absence_the_welcome_alone_says_that_nothing_is_new() {
    let (back, effects) = back_after(BRIEF / 2);
    assert_eq!(pulls(&effects), 0, "{effects:?}");
    let says_where_it_stands =
        |effect: &Effect| matches!(effect, Effect::OpenSocket { cursor: Some(at), .. } if *at == cursor(10));
    assert!(effects.iter().any(says_where_it_stands), "{effects:?}");
    let Link::Opening(ticket) = back.link else {
        panic!("{back:?}")
    };
    let welcomed = |head| {
        let frame = Box::new(welcome(head));
        step(back.clone(), Event::Frame { ticket, frame }, NOW)
    };
    let (same, effects) = welcomed(10);
    assert_eq!((same.phase(), pulls(&effects)), (&Phase::Live, 0));
    let (behind, effects) = welcomed(12);
    assert_eq!((behind.phase(), pulls(&effects)), (&Phase::CatchingUp, 1));
    let failure = Failure::NotSent;
    let (refused, effects) = step(back.clone(), Event::SocketRefused { ticket, failure }, NOW);
    assert_eq!(pulls(&effects), 1, "whoever gets no socket asks the feed");
    assert_eq!(refused.phase(), &Phase::CatchingUp);
}

#[test]
fn a_network_that_was_away_is_not_held_against_sockets() {
    let (back, _) = back_after(BRIEF / 2);
    let Link::Opening(ticket) = back.link else {
        panic!("{back:?}")
    };
    let refusal = Event::SocketRefused {
        ticket,
        failure: Failure::NotSent,
    };
    let (refused, _) = step(back, refusal, NOW);
    let asked = refused.request.unwrap();
    let again = |failure| {
        let (away, _) = step(
            refused.clone(),
            Event::Failed {
                ticket: asked,
                failure,
            },
            NOW,
        );
        pulls(&step(away, Event::Wake, NOW).1)
    };
    assert_eq!(again(Failure::NotSent), 0, "the welcome says what is new");
    assert_eq!(again(Failure::Cut), 0);
    assert_eq!(
        again(Failure::Later { retry_after: None }),
        1,
        "only sockets were refused"
    );
}

#[test]
fn after_a_long_absence_what_is_new_is_asked_for_at_once() {
    let (_, effects) = back_after(BRIEF);
    let opens = effects
        .iter()
        .any(|effect| matches!(effect, Effect::OpenSocket { .. }));
    assert!(opens && pulls(&effects) == 1, "{effects:?}");
}

#[test]
fn a_failed_try_shows_as_offline_and_one_lost_socket_does_not() {
    let live = state(Phase::Live);
    let live = step(live, Event::Alive { ticket: 5 }, NOW).0;
    assert_eq!(live.connection(), Connection::Online);
    let (state, _) = step(live, closed(1006), NOW);
    assert_eq!(state.connection(), Connection::Connecting);
    let later = Moment {
        at: NOW.at + 60_000,
        ..NOW
    };
    let (state, _) = step(state, Event::Tick, later);
    let ticket = state.request.unwrap();
    let (state, _) = step(
        state,
        Event::Failed {
            ticket,
            failure: Failure::NotSent,
        },
        later,
    );
    assert_eq!(state.connection(), Connection::Offline { since: Some(NOW.at) });
}

/// After sleep a socket may be dead without a word: it has five seconds to show that it lives.
#[test]
fn a_socket_that_says_nothing_after_waking_is_given_up_and_one_that_answers_is_kept() {
    for phase in [Phase::Live, Phase::CatchingUp] {
        let asleep = State {
            // as a frame of long ago left them
            deadline: NOW.at + SILENCE,
            armed: Some(NOW.at + SILENCE),
            ..state(phase.clone())
        };
        let (woken, effects) = step(asleep, Event::Wake, NOW);
        assert!(effects.contains(&Effect::Probe { ticket: 5 }), "{effects:?}");
        assert!(
            effects.contains(&Effect::Timer { at: NOW.at + 5_000 }),
            "{effects:?}"
        );
        let after = |state: &State, event, ms| {
            let at = NOW.at + ms;
            step(state.clone(), event, Moment { at, ..NOW })
        };
        let (waiting, _) = after(&woken, Event::Tick, 4_999);
        assert_eq!(waiting.phase(), &phase, "it has its time");
        let (silent, effects) = after(&woken, Event::Tick, 5_000);
        assert!(matches!(silent.phase(), Phase::Offline { .. }), "{silent:?}");
        assert!(effects.contains(&Effect::CloseSocket), "{effects:?}");
        let (another, _) = after(&woken, Event::Alive { ticket: 4 }, 4_999);
        let (another, _) = after(&another, Event::Tick, 5_000);
        assert!(matches!(another.phase(), Phase::Offline { .. }), "not its answer");
        let ping = frame(ServerFrame::Ping { n: 1, head: 10 });
        for answer in [Event::Alive { ticket: 5 }, ping] {
            let (heard, _) = after(&woken, answer, 4_999);
            let (kept, effects) = after(&heard, Event::Tick, 5_000);
            assert_eq!(kept.phase(), &phase, "it lives");
            assert!(!effects.contains(&Effect::CloseSocket), "{effects:?}");
        }
    }
}
