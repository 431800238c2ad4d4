//! The sync loop as a pure machine: `step(state, event, moment) -> (state, effects)`.
//!
//! A body (the native driver, a browser's page, a test) hands in what happened and carries out what comes back.
//! Answers bear the ticket of the effect they answer; an answer to a replaced effect changes nothing.
//! **Invariant:** no I/O, no clock, no chance of its own; knows neither store, HTTP nor socket. A page moves the
//! cursor only if its `from` is the cursor: nothing is buffered, nothing reordered.

mod effects;
mod turns;

#[cfg(test)]
pub(crate) mod table;

pub use effects::{Effect, Event, Failure, Fault, Moment, Ticket};

use protocol::UnixMillis;
use protocol::sync::{Cursor, ResetReason, Seq};
use protocol::view::Connection;

/// Silence after which a socket counts as dead: one ping (25 s), its grace (10 s), and a little.
pub const SILENCE: i64 = 40_000;
/// How long a probed socket has to show that it lives.
pub const PROBE: i64 = 5_000;
/// An absence after which little can be new.
pub const BRIEF: i64 = 60_000;
/// Refusals of the socket in a row after which changes are long-polled.
pub const REFUSALS: u8 = 3;
/// How often a polling device tries the socket again.
pub const SOCKET_AGAIN: i64 = 300_000;
/// Seconds that a long poll waits at the server.
pub const POLL_WAIT: u16 = 25;
/// More resets than this within [`RESET_WINDOW`] and the device stops instead of loading in circles.
pub const RESETS: usize = 3;
pub const RESET_WINDOW: i64 = 600_000;

/// Where the loop is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Nobody is signed in.
    Idle,
    /// Without a cursor: the first page is on its way.
    Bootstrapping,
    /// From the cursor to the head.
    CatchingUp,
    /// In step: the socket is welcome and the cursor is the head.
    Live,
    /// HTTPS works, the socket does not: long polls.
    Polling,
    /// Not reachable; tried again at `until`.
    Offline { until: UnixMillis },
    /// The credential was refused. Reading and writing go on here.
    AuthRequired { renewing: bool },
    /// The cursor cannot be continued from; the journal is being made ready for a fresh start.
    ResetRequired { reason: ResetReason },
    /// The server goes down; reconnects at `until`.
    Draining { until: UnixMillis },
    /// Stopped until a person, or a wake, tries again. The outbox is kept and reading goes on.
    Faulted(Fault),
}

/// The socket, as the loop sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Shut,
    Opening(Ticket),
    /// The server has said welcome.
    Open(Ticket),
}

/// The whole state of the loop. Made by [`State::new`], changed by [`step`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    phase: Phase,
    cursor: Option<Cursor>,
    head: Seq,
    link: Link,
    /// The pull or bootstrap in flight: at most one.
    request: Option<Ticket>,
    ticket: Ticket,
    /// Failures in a row, for the back-off.
    attempt: u32,
    refusals: u8,
    /// Pulls in a row that moved nothing.
    empty_pulls: u8,
    /// When the present wait ends: silence of an open socket, or the next try of a shut one.
    deadline: UnixMillis,
    /// When the last long poll was asked, so that a server that does not wait is not hammered.
    polled_at: UnixMillis,
    resets: Vec<UnixMillis>,
    in_step_at: Option<UnixMillis>,
    armed: Option<UnixMillis>,
    shown: Connection,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    pub const fn new() -> Self {
        Self {
            phase: Phase::Idle,
            cursor: None,
            head: 0,
            link: Link::Shut,
            request: None,
            ticket: 0,
            attempt: 0,
            refusals: 0,
            empty_pulls: 0,
            deadline: 0,
            polled_at: 0,
            resets: Vec::new(),
            in_step_at: None,
            armed: None,
            shown: Connection::SignedOut,
        }
    }

    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    pub const fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// What the page is told.
    pub const fn connection(&self) -> Connection {
        self.shown
    }

    /// Whether the outbox may send: there is somebody to send as, and nothing has stopped the device.
    pub const fn may_upload(&self) -> bool {
        match self.phase {
            Phase::Idle | Phase::AuthRequired { .. } | Phase::Faulted(_) => false,
            Phase::Bootstrapping
            | Phase::CatchingUp
            | Phase::Live
            | Phase::Polling
            | Phase::Offline { .. }
            | Phase::ResetRequired { .. }
            | Phase::Draining { .. } => true,
        }
    }

    /// Whether the server answers right now, as far as is known.
    pub const fn is_online(&self) -> bool {
        matches!(self.shown, Connection::Online)
    }
}

/// Whether a reset proves that the server lost what it had accepted: it was restored, or stands behind the cursor.
pub const fn is_rollback(reason: ResetReason) -> bool {
    match reason {
        ResetReason::Epoch | ResetReason::Ahead => true,
        ResetReason::Floor | ResetReason::TooFar => false,
    }
}

/// One turn of the loop.
pub fn step(mut state: State, event: Event, now: Moment) -> (State, Vec<Effect>) {
    let mut effects = Vec::new();
    state.turn(event, now, &mut effects);
    state.settle_connection(now, &mut effects);
    state.arm(&mut effects);
    (state, effects)
}

/// Full jitter (0 to the bound), so that many devices do not come back at once; never under 50 ms.
pub fn backoff(attempt: u32, cap_ms: i64, chance: f32) -> i64 {
    let bound = 250_i64.saturating_mul(1_i64 << attempt.min(20)).min(cap_ms);
    50 + scale(bound, chance)
}

/// `bound` times `chance`, which is taken as within 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a waiting time in milliseconds, far below the exact range"
)]
pub(crate) fn scale(bound: i64, chance: f32) -> i64 {
    (bound as f64 * f64::from(chance.clamp(0.0, 1.0))) as i64
}
