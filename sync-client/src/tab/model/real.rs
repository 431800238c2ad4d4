//! A real server in the place of the model's: it is asked what the model would be asked, by the same script, and the same
//! laws hold of its rows.

use super::laws::Broken;
use super::rules::Rules;
use super::script::{Deed, Script};
use super::server::Server;
use super::world::World;
use crate::engine::{Event, Failure};
use crate::tab::{Input, Want};
use protocol::frame::ServerFrame;
use protocol::mutation::{Batch, BatchAnswer, Op, OpResult};
use protocol::sync::{Change, Cursor, SyncPage};
use std::fmt::Debug;

/// A server, its database, and one person's account on it. The calls wait.
pub trait Real: Debug {
    /// What the server makes of a request. A socket is greeted; what it would tell is pulled by [`Real::pull`].
    fn answer(&mut self, want: &Want) -> Input;
    /// A page of what changed since.
    fn pull(&mut self, from: Cursor) -> Result<SyncPage, Failure>;
    /// Everything that the person has, of one moment, and where the head stands then. `None`: as at the last look.
    fn look(&mut self) -> Option<(Cursor, Vec<Change>)>;
    /// Comes back when every reply has ended.
    fn rest(&mut self);
    /// Whoever stands below the head begins afresh from now on.
    fn compact(&mut self);
    fn back_up(&mut self);
    /// Puts everything back to the last backup, in another history.
    fn restore(&mut self);
}

impl World {
    /// Plays the script on a real server. Its replies come when they come; sessions whose writes fail are the model's own.
    pub fn play_on(mut real: Box<dyn Real>, script: &Script) -> Result<Self, Broken> {
        let mut server = Server::new(Rules::default());
        server.see(real.look());
        real.back_up();
        let mut world = Self::over(server, Rules::default(), &script.devices, [0, 0]);
        world.real = Some(real);
        world.live_through(&script.deeds)?;
        Ok(world)
    }

    /// The real server's answer, which the auditor sees the outcome of. `None`: there is no real server.
    pub(super) fn ask(&mut self, index: usize, want: &Want) -> Option<Input> {
        let input = self.real.as_mut()?.answer(want);
        match (want, &input) {
            (
                Want::Upload { batch, .. },
                Input::Uploaded {
                    result: Ok(answer), ..
                },
            ) => {
                self.server.note(batch, answer);
            }
            (Want::Bootstrap { .. }, _) => self.phones[index].bootstraps += 1,
            (Want::OpenSocket { .. }, Input::Engine(Event::Frame { frame, .. })) => {
                if let ServerFrame::Welcome { head, .. } = &**frame {
                    self.phones[index].told = Some(*head);
                }
            }
            _other => {}
        }
        self.look();
        Some(input)
    }

    /// The auditor looks at the real server's rows.
    pub(super) fn look(&mut self) {
        if let Some(real) = &mut self.real {
            self.server.see(real.look());
        }
    }

    /// A real server's replies have ended, and the auditor has seen them.
    pub(super) fn rest(&mut self) {
        if let Some(real) = &mut self.real {
            real.rest();
            self.look();
        }
    }

    /// What befalls a real server. Whether there is one.
    pub(super) fn befall_real(&mut self, deed: &Deed) -> bool {
        let Some(real) = &mut self.real else {
            return false;
        };
        match deed {
            Deed::Finish(_) => real.rest(),
            Deed::Compact => real.compact(),
            Deed::Backup => {
                real.back_up();
                self.look();
                self.backup = self.server.clone();
                return true;
            }
            Deed::Restore => real.restore(),
            _other => {}
        }
        self.look();
        true
    }
}

impl Server {
    /// The rows as an auditor finds them at the real server.
    fn see(&mut self, look: Option<(Cursor, Vec<Change>)>) {
        let Some((place, changes)) = look else { return };
        self.epoch = place.epoch;
        self.head = place.seq;
        self.sessions.clear();
        self.messages.clear();
        self.gone.clear();
        for change in changes {
            match change {
                Change::Session(session) => {
                    self.sessions.insert(session.id, session);
                }
                Change::Message(message) => self.messages.entry(message.session).or_default().push(message),
                Change::SessionGone { id, seq } => {
                    self.gone.insert(id, seq);
                }
            }
        }
        for rows in self.messages.values_mut() {
            rows.sort_by_key(|row| row.ord);
        }
        let rows: Vec<_> = self.messages.values().flatten().collect();
        for row in &rows {
            if let Some(count) = self.effects.get_mut(&row.id) {
                // every text is written once
                *count = rows.iter().filter(|other| other.content == row.content).count();
            }
        }
    }

    /// What was accepted, by the real server's own words.
    fn note(&mut self, batch: &Batch, answer: &BatchAnswer) {
        for (mutation, outcome) in batch.ops.iter().zip(&answer.results) {
            let is_applied = matches!(outcome.result, OpResult::Applied { .. });
            if !is_applied || self.ledger.insert(mutation.id, outcome.result.clone()).is_some() {
                continue;
            }
            match &mutation.op {
                Op::MessageCreate { id, .. } => {
                    self.effects.insert(*id, 1);
                }
                Op::SessionRename { title, .. } => {
                    self.human_titles.insert(mutation.op.session(), title.clone());
                }
                Op::SessionCreate { .. }
                | Op::SessionArchive { .. }
                | Op::SessionDelete { .. }
                | Op::MessageAnswer { .. } => {}
            }
        }
    }
}
