//! The kinds of what the loop takes and wants, each with the name or letter that the table has for it.
//!
//! A kind that is new does not compile here, and then is missed in the table.

use crate::engine::{Effect, Event, Failure, Phase};
use protocol::frame::ServerFrame;

/// A list of names, and a match that has to know every kind.
macro_rules! kinds {
    ($all:ident, $name_of:ident: $kind:ty { $($pattern:pat => $name:literal,)+ }) => {
        pub const $all: &[&str] = &[$($name),+];

        pub const fn $name_of(kind: &$kind) -> &'static str {
            match kind { $($pattern => $name),+ }
        }
    };
}

kinds!(EVENTS, event: Event {
    Event::SignedIn { .. } => "signed in",
    Event::SignedOut => "signed out",
    Event::Bootstrapped { .. } => "bootstrapped",
    Event::Pulled { .. } => "pulled",
    Event::Failed { .. } => "failed",
    Event::SocketRefused { .. } => "socket refused",
    Event::SocketClosed { .. } => "socket closed",
    Event::Frame { .. } => "frame",
    Event::Alive { .. } => "alive",
    Event::Tick => "tick",
    Event::Wake => "wake",
    Event::Renewed => "renewed",
    Event::RenewalRefused => "renewal refused",
    Event::RenewalFailed => "renewal failed",
    Event::ResetReady => "reset ready",
    Event::CacheLost => "cache lost",
    Event::DiskFull { .. } => "disk full",
});

kinds!(FRAMES, frame: ServerFrame {
    ServerFrame::Welcome { .. } => "welcome",
    ServerFrame::Sync(_) => "sync",
    ServerFrame::Head { .. } => "head",
    ServerFrame::Start(_) => "run.start",
    ServerFrame::Snap { .. } => "run.snap",
    ServerFrame::Delta { .. } => "run.d",
    ServerFrame::End { .. } => "run.end",
    ServerFrame::AuthExpiring { .. } => "auth.expiring",
    ServerFrame::AuthOk { .. } => "auth.ok",
    ServerFrame::Ping { .. } => "ping",
    ServerFrame::Drain { .. } => "drain",
    ServerFrame::Refused { .. } => "err",
});

kinds!(FAILURES, failure: Failure {
    Failure::NotSent => "not sent",
    Failure::Cut => "cut",
    Failure::Later { .. } => "later",
    Failure::Unauthorized => "unauthorized",
    Failure::Reset(_) => "reset",
    Failure::Refused(_) => "refused",
});

kinds!(PHASES, phase: Phase {
    Phase::Idle => "I",
    Phase::Bootstrapping => "B",
    Phase::CatchingUp => "C",
    Phase::Live => "L",
    Phase::Polling => "P",
    Phase::Offline { .. } => "O",
    Phase::AuthRequired { renewing: true } => "R",
    Phase::AuthRequired { renewing: false } => "A",
    Phase::ResetRequired { .. } => "Q",
    Phase::Draining { .. } => "D",
    Phase::Faulted(_) => "F",
});

kinds!(EFFECTS, effect: Effect {
    Effect::Bootstrap { .. } => "b",
    Effect::Pull { .. } => "p",
    Effect::ApplyBootstrap(_) => "f",
    Effect::ApplyPage(_) => "a",
    Effect::OpenSocket { .. } => "o",
    Effect::CloseSocket => "c",
    Effect::Send(_) => "s",
    Effect::Probe { .. } => "q",
    Effect::Authenticate => "k",
    Effect::Renew => "r",
    Effect::Timer { .. } => "t",
    Effect::Reset { .. } => "j",
    Effect::Live(_) => "v",
    Effect::Run(_) => "w",
    Effect::Show(_) => "h",
    Effect::Upload => "u",
    Effect::Fault(_) => "x",
});
