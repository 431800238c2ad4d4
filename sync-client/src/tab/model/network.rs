//! The network between a device and the server: what becomes of requests, answers and the frames of sockets.

use super::laws::Broken;
use super::rules::Rule;
use super::script::Deed;
use super::world::World;
use crate::engine::{Event, Failure};
use crate::tab::{Input, Want};
use protocol::frame::{ServerFrame, close};
use protocol::sync::{Epoch, SessionsPage};
use protocol::{Code, DeviceId, Problem, SessionId};

impl World {
    /// What the server makes of a request.
    fn answer(&mut self, index: usize, want: &Want) -> Option<Input> {
        let is_asked = !matches!(want, Want::Probe { .. } | Want::Renew);
        let real = is_asked.then(|| self.ask(index, want)).flatten();
        real.or_else(|| self.answer_of_the_model(index, want))
    }

    fn answer_of_the_model(&mut self, index: usize, want: &Want) -> Option<Input> {
        Some(match want {
            Want::Bootstrap { ticket } => {
                self.phones[index].bootstraps += 1;
                Input::Engine(Event::Bootstrapped {
                    ticket: *ticket,
                    bootstrap: Box::new(self.server.bootstrap()),
                })
            }
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
            Want::OpenSocket { ticket, .. } => {
                self.phones[index].told = Some(self.server.place());
                Input::Engine(Event::Frame {
                    ticket: *ticket,
                    frame: Box::new(ServerFrame::Welcome {
                        device: DeviceId(Epoch::nil()),
                        head: self.server.place(),
                        ping: 25_000,
                        live: Vec::new(),
                    }),
                })
            }
            Want::Upload { lane, .. } if self.is_held_up(index, *lane) => Input::Uploaded {
                lane: *lane,
                result: Err(Failure::Later { retry_after: None }),
            },
            Want::Upload { lane, batch } => Input::Uploaded {
                lane: *lane,
                result: Ok(self.server.push(batch)),
            },
            Want::Load { session, before } => {
                let history = self.server.history(*session, *before);
                Input::Loaded {
                    session: *session,
                    result: history.ok_or(Failure::Refused(Problem::new(Code::NotFound))),
                }
            }
            Want::LoadList { archived, before } => {
                let (sessions, more) = self.server.newest(Some(*archived), Some(*before));
                let as_of = self.server.place();
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

    /// A write fails where its session is cursed, and with one queue for all also behind one that is.
    fn is_held_up(&self, index: usize, lane: SessionId) -> bool {
        let cursed = &self.server.cursed;
        let mut waiting = self.phones[index].tab.outbox().entries();
        let is_behind = !self.rules.keep(Rule::Lanes)
            && waiting.any(|entry| entry.is_open() && cursed.contains(&entry.mutation.op.session()));
        is_behind || cursed.contains(&lane)
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

    pub(super) fn serve(&mut self, index: usize) -> bool {
        let Some(want) = self.phones[index].asked.pop_front() else {
            return false;
        };
        if let Some(input) = self.answer(index, &want) {
            self.arrive(index, &want, input);
        }
        true
    }

    pub(super) fn arrive(&mut self, index: usize, want: &Want, input: Input) {
        if let Want::OpenSocket { ticket, .. } = want {
            self.phones[index].socket = Some(*ticket);
        }
        self.hand(index, input);
    }

    pub(super) fn fail(&mut self, index: usize, want: &Want, failure: Failure) {
        if let Some(input) = Self::failure(want, failure) {
            self.hand(index, input);
        }
    }

    pub(super) fn network(&mut self, index: usize, deed: &Deed) {
        match deed {
            Deed::Serve => {
                self.serve(index);
            }
            Deed::Lose | Deed::LoseAnswer | Deed::Delay => self.request(index, deed),
            Deed::Arrive => {
                if let Some((want, input)) = self.phones[index].late.pop_front() {
                    self.arrive(index, &want, input);
                }
            }
            Deed::Push | Deed::Hint => self.tell(index, matches!(deed, Deed::Push)),
            Deed::Frame | Deed::LoseFrame | Deed::DoubleFrame | Deed::SwapFrames => self.frame(index, deed),
            Deed::CutSocket => self.cut_socket(index),
            Deed::Wake => self.hand(index, Input::Engine(Event::Wake)),
            Deed::Pass(millis) => self.pass(*millis),
            _other => {}
        }
    }

    fn request(&mut self, index: usize, deed: &Deed) {
        let Some(want) = self.phones[index].asked.pop_front() else {
            return;
        };
        if matches!(deed, Deed::Lose) {
            self.fail(index, &want, Failure::NotSent);
            return;
        }
        let answer = self.answer(index, &want);
        if matches!(deed, Deed::LoseAnswer) {
            self.fail(index, &want, Failure::Cut);
        } else if let Some(input) = answer {
            self.phones[index].late.push_back((want, input));
        }
    }

    fn frame(&mut self, index: usize, deed: &Deed) {
        let line = &mut self.phones[index].line;
        match deed {
            Deed::SwapFrames if !line.is_empty() => line.rotate_left(1),
            Deed::DoubleFrame => line.extend(line.front().cloned()),
            Deed::LoseFrame => {
                line.pop_front();
            }
            _arrives => {
                self.frame_arrives(index);
            }
        }
    }

    pub(super) fn frame_arrives(&mut self, index: usize) -> bool {
        let Some((ticket, frame)) = self.phones[index].line.pop_front() else {
            return false;
        };
        let frame = Box::new(frame);
        self.hand(index, Input::Engine(Event::Frame { ticket, frame }));
        true
    }

    pub(super) fn cut_socket(&mut self, index: usize) {
        if let Some(ticket) = self.phones[index].socket.take() {
            let code = close::NO_PONG;
            self.hand(index, Input::Engine(Event::SocketClosed { ticket, code }));
        }
    }

    /// The server says over the socket what is new since it last did.
    pub(super) fn tell(&mut self, index: usize, whole: bool) {
        let phone = &self.phones[index];
        let (Some(ticket), Some(told)) = (phone.socket, phone.told) else {
            return;
        };
        let page = match &mut self.real {
            Some(real) => real.pull(told),
            None => self.server.pull(told),
        };
        self.look();
        let place = self.server.place();
        let phone = &mut self.phones[index];
        let frame = match page {
            Ok(page) if whole => {
                phone.told = Some(page.to);
                ServerFrame::Sync(page)
            }
            Ok(_) | Err(_) => ServerFrame::Head {
                epoch: place.epoch,
                seq: place.seq,
            },
        };
        phone.line.push_back((ticket, frame));
    }

    /// All that is on its way to a device arrives, and all that it asks for is answered.
    pub(super) fn deliver(&mut self, index: usize) -> Result<bool, Broken> {
        while let Some((want, input)) = self.phones[index].late.pop_front() {
            self.arrive(index, &want, input);
        }
        for requests in 0..500 {
            if !self.serve(index) && !self.frame_arrives(index) {
                return Ok(requests > 0);
            }
        }
        Err(Broken::new("ResetTerminates", "requests in a circle".to_owned()))
    }
}
