//! What happens to the sync loop, and what it wants done.

use protocol::frame::{ClientFrame, LiveRun, ServerFrame};
use protocol::sync::{Bootstrap, Cursor, ResetReason, SyncPage};
use protocol::view::{Connection, Obstacle};
use protocol::{Problem, UnixMillis};

/// Names one request or one socket; an answer bears the ticket of what it answers.
pub type Ticket = u32;

/// The time and the luck of one turn, given by the body. The time should not run backwards (a wall clock read once,
/// plus a monotonic one); it decides waits only, never an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    pub at: UnixMillis,
    /// Fresh, uniform in 0 to 1.
    pub chance: f32,
}

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It never reached the server: no name, no route, connection refused.
    NotSent,
    /// It may have reached the server: cut off, timed out, or an answer that cannot be read.
    Cut,
    /// 5xx, 408, 429: the same again later.
    Later { retry_after: Option<u32> },
    /// 401: the credential is not accepted.
    Unauthorized,
    /// 409 with `reset`: this cursor cannot be continued from.
    Reset(ResetReason),
    /// Any other 4xx: the same again will be refused again.
    Refused(Problem),
}

/// Why a device stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server closed with a 43xx code: this build, or this device, is not wanted.
    Stopped(u16),
    TooManyResets,
    /// The cache cannot be written. Reading goes on.
    DiskFull,
}

impl Fault {
    /// As a person is told.
    pub const fn obstacle(self) -> Obstacle {
        match self {
            Self::Stopped(_) => Obstacle::Unwanted,
            Self::TooManyResets => Obstacle::Resets,
            Self::DiskFull => Obstacle::Disk,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody is signed in (again), with the cursor that the cache has.
    SignedIn {
        cursor: Option<Cursor>,
    },
    SignedOut,
    Bootstrapped {
        ticket: Ticket,
        bootstrap: Box<Bootstrap>,
    },
    /// The answer to a pull.
    Pulled {
        ticket: Ticket,
        page: Box<SyncPage>,
    },
    /// A pull or a bootstrap failed.
    Failed {
        ticket: Ticket,
        failure: Failure,
    },
    /// The socket could not be opened, or closed before its welcome without a code of its own.
    SocketRefused {
        ticket: Ticket,
        failure: Failure,
    },
    SocketClosed {
        ticket: Ticket,
        code: u16,
    },
    Frame {
        ticket: Ticket,
        frame: Box<ServerFrame>,
    },
    /// Something that is no frame of ours came over the socket (a transport pong): it lives.
    Alive {
        ticket: Ticket,
    },
    /// The time of the last [`Effect::Timer`] has come.
    Tick,
    /// The computer woke, the network changed, or a person wants it tried now.
    Wake,
    /// [`Effect::Renew`] worked.
    Renewed,
    /// [`Effect::Renew`] was refused for good: a person has to sign in.
    RenewalRefused,
    /// [`Effect::Renew`] could not be answered.
    RenewalFailed,
    /// The journal is queued again ([`Effect::Reset`]): start afresh.
    ResetReady,
    /// The cache was damaged and is empty now.
    CacheLost,
    /// The cache could not be written; `cursor` is where it really stands.
    DiskFull {
        cursor: Option<Cursor>,
    },
}

/// What is to be done, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// `GET /api/v1/bootstrap`; answer with [`Event::Bootstrapped`] or [`Event::Failed`].
    Bootstrap {
        ticket: Ticket,
    },
    /// `GET /api/v1/sync?cursor=…`, with `wait` seconds of patience at the server if not 0; answer with
    /// [`Event::Pulled`] or [`Event::Failed`]. Replaces the request in flight.
    Pull {
        ticket: Ticket,
        from: Cursor,
        wait: u16,
    },
    /// Replace every row by these and set the cursor to `as_of`, in one transaction.
    ApplyBootstrap(Box<Bootstrap>),
    /// Apply the changes and set the cursor to `to`, in one transaction.
    ApplyPage(Box<SyncPage>),
    /// Open `/ws` and say `hello` with the cursor, in the request where a header can be set; report with [`Event::Frame`], [`Event::SocketRefused`],
    /// [`Event::SocketClosed`]. Replaces the present socket.
    OpenSocket {
        ticket: Ticket,
        cursor: Option<Cursor>,
    },
    CloseSocket,
    Send(ClientFrame),
    /// Make the socket show that it lives: a transport ping answered by [`Event::Alive`]. A body that cannot ping
    /// closes it and reports [`Event::SocketClosed`].
    Probe {
        ticket: Ticket,
    },
    /// Send [`ClientFrame::Auth`] with the present access token; a browser, which has none, does nothing.
    Authenticate,
    /// Renew the credential (a browser: ask `GET /api/v1/me`); report `Renewed`, `RenewalRefused` or `RenewalFailed`.
    Renew,
    /// Hand in [`Event::Tick`] at this time. Replaces the earlier timer.
    Timer {
        at: UnixMillis,
    },
    /// Make ready for a fresh start: after a rollback of the server ([`super::is_rollback`]), queue the acked journal again. Then [`Event::ResetReady`].
    Reset {
        reason: ResetReason,
    },
    /// The runs being made right now: viewers attach.
    Live(Vec<LiveRun>),
    /// A frame about a run, for the tails.
    Run(Box<ServerFrame>),
    /// Tell the page.
    Show(Connection),
    /// The server answers again: lanes that wait may try at once.
    Upload,
    /// Stopped: [`Effect::Show`] tells the person. What may be gone by itself is tried again later, by [`Event::Wake`].
    Fault(Fault),
}
