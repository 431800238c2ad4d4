//! The turns of the sync loop, one function for each kind of event. Every phase answers every event.

use super::{
    BRIEF, Effect, Event, Failure, Fault, Link, Moment, POLL_WAIT, PROBE, Phase, REFUSALS, RESET_WINDOW,
    RESETS, SILENCE, SOCKET_AGAIN, State, Ticket, backoff, scale,
};
use protocol::UnixMillis;
use protocol::frame::{ClientFrame, ServerFrame, close};
use protocol::sync::{Bootstrap, Cursor, Epoch, ResetReason, Seq, SyncPage};
use protocol::view::Connection;

/// The longest wait between two tries to reach the server.
const CAP: i64 = 30_000;

type Effects = Vec<Effect>;

/// The wait that a server asks for, in milliseconds: an hour at most, whatever it says.
fn asked(retry_after: Option<u32>) -> UnixMillis {
    UnixMillis::from(retry_after.unwrap_or(0).min(3_600)) * 1_000
}

impl State {
    pub(super) fn turn(&mut self, event: Event, now: Moment, effects: &mut Effects) {
        match event {
            Event::SignedIn { cursor } => self.sign_in(cursor, now, effects),
            Event::SignedOut => self.sign_out(effects),
            Event::Bootstrapped { ticket, bootstrap } => self.bootstrapped(ticket, bootstrap, now, effects),
            Event::Pulled { ticket, page } => self.pulled(ticket, page, now, effects),
            Event::Failed { ticket, failure } => {
                if self.request == Some(ticket) {
                    self.request = None;
                    self.failed(failure, now, effects);
                }
            }
            Event::SocketRefused { ticket, failure } => self.socket_refused(ticket, failure, now, effects),
            Event::SocketClosed { ticket, code } => self.socket_closed(ticket, code, now, effects),
            Event::Frame { ticket, frame } => self.framed(ticket, *frame, now, effects),
            Event::Alive { ticket } => {
                if self.link == Link::Open(ticket) {
                    self.heard(now);
                }
            }
            Event::Tick => self.tick(now, effects),
            Event::Wake => self.wake(now, effects),
            Event::Renewed => self.renewed(now, effects),
            Event::RenewalRefused => self.renewal_refused(effects),
            Event::RenewalFailed => {
                if matches!(self.phase, Phase::AuthRequired { renewing: true }) {
                    self.go_offline(None, now, effects);
                }
            }
            Event::ResetReady => {
                if matches!(self.phase, Phase::ResetRequired { .. }) {
                    self.bootstrap(effects);
                }
            }
            Event::CacheLost => {
                if self.is_at_work() {
                    self.reset(ResetReason::TooFar, now, effects);
                } else {
                    self.cursor = None;
                }
            }
            Event::DiskFull { cursor } => {
                self.cursor = cursor;
                if self.is_at_work() {
                    self.fault(Fault::DiskFull, effects);
                }
            }
        }
    }

    /// Somebody is signed in, and nothing has stopped the loop.
    const fn is_at_work(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Idle | Phase::AuthRequired { .. } | Phase::Faulted(_)
        )
    }

    fn sign_in(&mut self, cursor: Option<Cursor>, now: Moment, effects: &mut Effects) {
        self.cursor = cursor;
        self.head = cursor.map_or(0, |cursor| cursor.seq);
        // What has nothing is in step with nothing.
        self.in_step_at = self.in_step_at.filter(|_| cursor.is_some());
        self.attempt = 0;
        self.refusals = 0;
        self.resets.clear();
        self.shut_link(effects);
        self.catch_up(now, effects);
    }

    fn sign_out(&mut self, effects: &mut Effects) {
        self.shut_link(effects);
        let ticket = self.ticket;
        let (armed, shown) = (self.armed, self.shown);
        *self = Self {
            ticket,
            armed,
            shown,
            ..Self::new()
        };
    }

    fn fresh_ticket(&mut self) -> Ticket {
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }

    fn shut_link(&mut self, effects: &mut Effects) {
        if self.link != Link::Shut {
            self.link = Link::Shut;
            effects.push(Effect::CloseSocket);
        }
    }

    fn open_link(&mut self, now: Moment, effects: &mut Effects) {
        let ticket = self.fresh_ticket();
        self.link = Link::Opening(ticket);
        self.heard(now);
        effects.push(Effect::OpenSocket {
            ticket,
            cursor: self.cursor,
        });
    }

    fn pull(&mut self, from: Cursor, wait: u16, now: Moment, effects: &mut Effects) {
        let ticket = self.fresh_ticket();
        self.request = Some(ticket);
        self.polled_at = now.at;
        effects.push(Effect::Pull { ticket, from, wait });
    }

    fn bootstrap(&mut self, effects: &mut Effects) {
        let ticket = self.fresh_ticket();
        self.phase = Phase::Bootstrapping;
        self.request = Some(ticket);
        effects.push(Effect::Bootstrap { ticket });
    }

    /// From wherever the device stands to the head. A socket that is open stays open.
    fn catch_up(&mut self, now: Moment, effects: &mut Effects) {
        let Some(cursor) = self.cursor else {
            self.shut_link(effects);
            self.bootstrap(effects);
            return;
        };
        self.phase = Phase::CatchingUp;
        self.pull(cursor, 0, now, effects);
        if self.link == Link::Shut {
            self.open_link(now, effects);
        }
    }

    /// After a short absence the welcome alone says whether anything is new: most often nothing is. After a longer one
    /// something likely is, and is asked for at once.
    fn come_back(&mut self, now: Moment, effects: &mut Effects) {
        self.shut_link(effects);
        let was_in_step = self
            .in_step_at
            .is_some_and(|at| (0..BRIEF).contains(&(now.at - at)));
        if self.cursor.is_some() && was_in_step && self.refusals == 0 {
            self.phase = Phase::CatchingUp;
            self.open_link(now, effects);
        } else {
            self.catch_up(now, effects);
        }
    }

    fn bootstrapped(
        &mut self,
        ticket: Ticket,
        bootstrap: Box<Bootstrap>,
        now: Moment,
        effects: &mut Effects,
    ) {
        if self.request != Some(ticket) || self.phase != Phase::Bootstrapping {
            return;
        }
        self.request = None;
        self.attempt = 0;
        self.cursor = Some(bootstrap.as_of);
        self.head = bootstrap.as_of.seq;
        effects.push(Effect::ApplyBootstrap(bootstrap));
        self.catch_up(now, effects);
    }

    fn pulled(&mut self, ticket: Ticket, page: Box<SyncPage>, now: Moment, effects: &mut Effects) {
        if self.request != Some(ticket) || self.phase == Phase::Bootstrapping {
            return;
        }
        self.request = None;
        self.attempt = 0;
        let (head, more) = (page.head, page.more);
        let moved = self.apply(page, effects);
        self.empty_pulls = if moved {
            0
        } else {
            self.empty_pulls.saturating_add(1)
        };
        self.head = self.head.max(head);
        let Some(cursor) = self.cursor else { return };
        match self.phase {
            // A server that speaks of more and gives nothing is asked again later, not in circles.
            Phase::CatchingUp if self.empty_pulls > 3 && (more || cursor.seq < self.head) => {
                self.head = cursor.seq;
                self.empty_pulls = 0;
                self.go_offline(None, now, effects);
            }
            Phase::CatchingUp if more || cursor.seq < self.head => self.pull(cursor, 0, now, effects),
            Phase::CatchingUp => self.caught_up(now),
            Phase::Polling => self.poll_on(cursor, moved, now, effects),
            Phase::Idle
            | Phase::Bootstrapping
            | Phase::Live
            | Phase::Offline { .. }
            | Phase::AuthRequired { .. }
            | Phase::ResetRequired { .. }
            | Phase::Draining { .. }
            | Phase::Faulted(_) => {}
        }
    }

    /// A long poll that came back empty at once is asked again no sooner than 5 s later.
    fn poll_on(&mut self, cursor: Cursor, moved: bool, now: Moment, effects: &mut Effects) {
        self.in_step_at = Some(now.at);
        if moved || now.at - self.polled_at >= 1_000 {
            self.pull(cursor, POLL_WAIT, now, effects);
        } else {
            self.polled_at = now.at + 5_000;
        }
    }

    fn caught_up(&mut self, now: Moment) {
        self.in_step_at = Some(now.at);
        if matches!(self.link, Link::Open(_)) {
            self.phase = Phase::Live;
        }
    }

    /// Applies a page that begins at the cursor; any other leaves everything as it is. Says whether it did.
    fn apply(&mut self, page: Box<SyncPage>, effects: &mut Effects) -> bool {
        if self.cursor != Some(page.from) || page.to.epoch != page.from.epoch || page.to.seq <= page.from.seq
        {
            return false;
        }
        self.cursor = Some(page.to);
        effects.push(Effect::ApplyPage(page));
        true
    }

    fn failed(&mut self, failure: Failure, now: Moment, effects: &mut Effects) {
        match failure {
            // The same cursor would be refused again for ever: the guard against resets bounds this way out.
            Failure::Refused(_) if self.cursor.is_some() => self.reset(ResetReason::TooFar, now, effects),
            Failure::NotSent | Failure::Cut => {
                // Where requests do not get through either, nothing is known against sockets: coming back, one is tried first.
                if self.refusals < REFUSALS {
                    self.refusals = 0;
                }
                self.go_offline(None, now, effects);
            }
            Failure::Refused(_) => self.go_offline(None, now, effects),
            Failure::Later { retry_after } => self.go_offline(retry_after, now, effects),
            Failure::Unauthorized => self.renew(effects),
            Failure::Reset(reason) => self.reset(reason, now, effects),
        }
    }

    fn go_offline(&mut self, retry_after: Option<u32>, now: Moment, effects: &mut Effects) {
        self.shut_link(effects);
        self.request = None;
        let wait = backoff(self.attempt, CAP, now.chance) + asked(retry_after);
        self.attempt = self.attempt.saturating_add(1);
        self.phase = Phase::Offline { until: now.at + wait };
    }

    fn renew(&mut self, effects: &mut Effects) {
        self.shut_link(effects);
        self.request = None;
        self.phase = Phase::AuthRequired { renewing: true };
        effects.push(Effect::Renew);
    }

    fn renewed(&mut self, now: Moment, effects: &mut Effects) {
        match self.phase {
            Phase::AuthRequired { .. } => {
                // A server that renews and then refuses again must not be asked in a hot loop.
                self.attempt = self.attempt.saturating_add(1);
                if self.attempt > 2 {
                    self.go_offline(None, now, effects);
                } else {
                    self.catch_up(now, effects);
                }
            }
            Phase::CatchingUp | Phase::Live | Phase::Draining { .. } | Phase::Polling => {
                if matches!(self.link, Link::Open(_)) {
                    effects.push(Effect::Authenticate);
                }
            }
            Phase::Idle
            | Phase::Bootstrapping
            | Phase::Offline { .. }
            | Phase::ResetRequired { .. }
            | Phase::Faulted(_) => {}
        }
    }

    fn renewal_refused(&mut self, effects: &mut Effects) {
        if self.phase == Phase::Idle {
            return;
        }
        self.shut_link(effects);
        self.request = None;
        self.phase = Phase::AuthRequired { renewing: false };
    }

    fn reset(&mut self, reason: ResetReason, now: Moment, effects: &mut Effects) {
        self.shut_link(effects);
        self.request = None;
        self.cursor = None;
        self.resets.retain(|at| now.at - at < RESET_WINDOW);
        self.resets.push(now.at);
        if self.resets.len() > RESETS {
            self.fault(Fault::TooManyResets, effects);
        } else {
            self.phase = Phase::ResetRequired { reason };
            effects.push(Effect::Reset { reason });
        }
    }

    fn fault(&mut self, fault: Fault, effects: &mut Effects) {
        self.shut_link(effects);
        self.request = None;
        self.phase = Phase::Faulted(fault);
        effects.push(Effect::Fault(fault));
    }

    fn socket_refused(&mut self, ticket: Ticket, failure: Failure, now: Moment, effects: &mut Effects) {
        if self.link != Link::Opening(ticket) {
            return;
        }
        self.link = Link::Shut;
        if failure == Failure::Unauthorized {
            self.renew(effects);
            return;
        }
        let least = if let Failure::Later { retry_after } = failure {
            asked(retry_after)
        } else {
            0
        };
        self.refusals = self.refusals.saturating_add(1);
        if let (Phase::CatchingUp, None, Some(cursor)) = (&self.phase, self.request, self.cursor) {
            // No welcome says what is new, or that the server is away.
            let wait = if self.refusals < REFUSALS { 0 } else { POLL_WAIT };
            self.pull(cursor, wait, now, effects);
        }
        if self.refusals < REFUSALS && self.phase == Phase::CatchingUp {
            self.deadline = now.at + backoff(u32::from(self.refusals), CAP, now.chance) + least;
            return;
        }
        self.deadline = now.at + SOCKET_AGAIN.max(least);
        if self.phase == Phase::CatchingUp {
            self.phase = Phase::Polling;
        }
    }

    fn socket_closed(&mut self, ticket: Ticket, code: u16, now: Moment, effects: &mut Effects) {
        if self.link == Link::Opening(ticket) && close::class(code) == close::Class::Reconnect {
            self.socket_refused(ticket, Failure::Cut, now, effects);
            return;
        }
        if self.link != Link::Open(ticket) && self.link != Link::Opening(ticket) {
            return;
        }
        self.link = Link::Shut;
        match close::class(code) {
            _ if code == close::REVOKED => self.renew(effects),
            close::Class::Renew => self.renew(effects),
            close::Class::Stop => self.fault(Fault::Stopped(code), effects),
            close::Class::BackOff => {
                self.attempt = self.attempt.max(3);
                self.go_offline(None, now, effects);
            }
            // While draining, the time to come back is set.
            close::Class::Reconnect if matches!(self.phase, Phase::Draining { .. }) => {}
            close::Class::Reconnect => self.go_offline(None, now, effects),
        }
    }

    const fn heard(&mut self, now: Moment) {
        self.deadline = now.at + SILENCE;
    }

    fn framed(&mut self, ticket: Ticket, frame: ServerFrame, now: Moment, effects: &mut Effects) {
        if self.link != Link::Open(ticket) && self.link != Link::Opening(ticket) {
            return;
        }
        self.heard(now);
        match frame {
            ServerFrame::Welcome { head, live, .. } => {
                self.link = Link::Open(ticket);
                self.refusals = 0;
                effects.push(Effect::Live(live));
                self.welcomed(head, now, effects);
            }
            ServerFrame::Sync(page) => self.pushed(page, now, effects),
            ServerFrame::Head { epoch, seq } => self.head_seen(Some(epoch), seq, now, effects),
            ServerFrame::Ping { n, head } => {
                effects.push(Effect::Send(ClientFrame::Pong { n }));
                self.head_seen(None, head, now, effects);
            }
            ServerFrame::AuthExpiring { .. } => effects.push(Effect::Renew),
            ServerFrame::Drain { within_ms } => {
                if self.is_at_work() {
                    let until = now.at + scale(i64::from(within_ms), now.chance);
                    self.phase = Phase::Draining { until };
                }
            }
            ServerFrame::AuthOk { .. } | ServerFrame::Refused { .. } => {}
            run @ (ServerFrame::Start(_)
            | ServerFrame::Snap { .. }
            | ServerFrame::Delta { .. }
            | ServerFrame::End { .. }) => effects.push(Effect::Run(Box::new(run))),
        }
    }

    fn welcomed(&mut self, head: Cursor, now: Moment, effects: &mut Effects) {
        if self.phase == Phase::Polling {
            // The long poll is given up: from here on the socket tells.
            self.request = None;
            self.phase = Phase::CatchingUp;
        }
        if self.request.is_some() || self.phase != Phase::CatchingUp {
            self.head = self.head.max(head.seq);
        } else if self.cursor == Some(head) {
            self.attempt = 0;
            self.head = head.seq;
            self.caught_up(now);
        } else {
            self.head = head.seq;
            self.catch_up(now, effects);
        }
    }

    fn pushed(&mut self, page: SyncPage, now: Moment, effects: &mut Effects) {
        let (to, head) = (page.to, page.head.max(page.to.seq));
        self.apply(Box::new(page), effects);
        if self.phase == Phase::Live && self.cursor == Some(to) {
            self.in_step_at = Some(now.at);
        }
        self.head_seen(Some(to.epoch), head, now, effects);
    }

    /// Something newer than the cursor is known of: pull it, unless that is under way.
    fn head_seen(&mut self, epoch: Option<Epoch>, seq: Seq, now: Moment, effects: &mut Effects) {
        let Some(cursor) = self.cursor else { return };
        let is_other_epoch = epoch.is_some_and(|epoch| epoch != cursor.epoch);
        if seq <= cursor.seq && !is_other_epoch {
            return;
        }
        if !is_other_epoch {
            self.head = self.head.max(seq);
        }
        if self.request.is_none() && matches!(self.phase, Phase::Live | Phase::CatchingUp) {
            self.catch_up(now, effects);
        }
    }

    fn tick(&mut self, now: Moment, effects: &mut Effects) {
        self.armed = None;
        match self.due() {
            Some(due) if due <= now.at => {}
            Some(_) | None => return,
        }
        match self.phase {
            Phase::Offline { .. } | Phase::Draining { .. } => self.come_back(now, effects),
            Phase::Live => self.go_offline(None, now, effects),
            Phase::CatchingUp if self.link == Link::Shut => self.open_link(now, effects),
            Phase::CatchingUp => self.go_offline(None, now, effects),
            Phase::Polling => self.poll_tick(now, effects),
            Phase::Idle
            | Phase::Bootstrapping
            | Phase::AuthRequired { .. }
            | Phase::ResetRequired { .. }
            | Phase::Faulted(_) => {}
        }
    }

    fn poll_tick(&mut self, now: Moment, effects: &mut Effects) {
        if let (None, Some(cursor)) = (self.request, self.cursor)
            && self.polled_at <= now.at
        {
            self.pull(cursor, POLL_WAIT, now, effects);
        }
        if self.deadline <= now.at {
            if self.link == Link::Shut {
                self.open_link(now, effects);
            } else {
                self.shut_link(effects);
                self.deadline = now.at + SOCKET_AGAIN;
            }
        }
    }

    fn wake(&mut self, now: Moment, effects: &mut Effects) {
        match self.phase {
            Phase::Offline { .. } | Phase::Draining { .. } => {
                self.attempt = 0;
                self.come_back(now, effects);
            }
            Phase::Live | Phase::CatchingUp => {
                if let Link::Open(ticket) = self.link {
                    self.deadline = now.at + PROBE;
                    effects.push(Effect::Probe { ticket });
                } else if self.link == Link::Shut {
                    self.open_link(now, effects);
                }
            }
            Phase::Polling => {
                if self.link == Link::Shut {
                    self.open_link(now, effects);
                }
            }
            Phase::Faulted(_) => {
                self.attempt = 0;
                self.resets.clear();
                self.catch_up(now, effects);
            }
            Phase::AuthRequired { renewing: false } => self.renew(effects),
            Phase::Idle
            | Phase::Bootstrapping
            | Phase::AuthRequired { renewing: true }
            | Phase::ResetRequired { .. } => {}
        }
    }

    /// When the present phase wants to be woken.
    fn due(&self) -> Option<UnixMillis> {
        match self.phase {
            Phase::Offline { until } | Phase::Draining { until } => Some(until),
            Phase::Live | Phase::CatchingUp => Some(self.deadline),
            Phase::Polling if self.request.is_none() => Some(self.deadline.min(self.polled_at)),
            Phase::Polling => Some(self.deadline),
            Phase::Idle
            | Phase::Bootstrapping
            | Phase::AuthRequired { .. }
            | Phase::ResetRequired { .. }
            | Phase::Faulted(_) => None,
        }
    }

    /// Asks for a timer where the next wait ends before the one that is set. A wait that grew (each frame puts off
    /// the silence) is found when the earlier timer rings.
    pub(super) fn arm(&mut self, effects: &mut Effects) {
        if let Some(due) = self.due()
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.armed = Some(due);
            effects.push(Effect::Timer { at: due });
        }
    }

    pub(super) fn settle_connection(&mut self, now: Moment, effects: &mut Effects) {
        if self.phase == Phase::Live {
            self.in_step_at = Some(now.at);
        }
        let next = match self.phase {
            Phase::Idle | Phase::AuthRequired { renewing: false } => Connection::SignedOut,
            Phase::Live | Phase::Polling | Phase::Draining { .. } => Connection::Online,
            Phase::Faulted(fault) => Connection::Stopped { by: fault.obstacle() },
            // Whether what was in the way is gone shows once it is in step again.
            Phase::Bootstrapping
            | Phase::CatchingUp
            | Phase::AuthRequired { renewing: true }
            | Phase::ResetRequired { .. }
                if matches!(self.shown, Connection::Stopped { .. }) =>
            {
                self.shown
            }
            // Catching up with the socket open is a matter of one request: the page need not flicker.
            Phase::CatchingUp if matches!(self.link, Link::Open(_)) && self.shown == Connection::Online => {
                Connection::Online
            }
            Phase::Bootstrapping
            | Phase::CatchingUp
            | Phase::Offline { .. }
            | Phase::AuthRequired { renewing: true }
            | Phase::ResetRequired { .. }
                if self.attempt == 0 =>
            {
                Connection::Connecting
            }
            // One lost socket is not yet an absence: only a try that failed is.
            Phase::Offline { .. } if self.attempt == 1 && self.shown == Connection::Online => {
                Connection::Connecting
            }
            Phase::Bootstrapping
            | Phase::CatchingUp
            | Phase::AuthRequired { renewing: true }
            | Phase::ResetRequired { .. }
                if self.shown == Connection::Connecting =>
            {
                Connection::Connecting
            }
            Phase::Bootstrapping
            | Phase::CatchingUp
            | Phase::Offline { .. }
            | Phase::AuthRequired { renewing: true }
            | Phase::ResetRequired { .. } => self.offline(),
        };
        if next != self.shown {
            self.shown = next;
            effects.push(Effect::Show(next));
            if next == Connection::Online {
                effects.push(Effect::Upload);
            }
        }
    }

    const fn offline(&self) -> Connection {
        Connection::Offline {
            since: self.in_step_at,
        }
    }
}
