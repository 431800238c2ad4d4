//! What a storm rages in: two servers on one database, a Redis of their own, and one person's three devices.

use super::plan::{DEVICES, NODES, Place, SESSIONS, Step, Trouble};
use crate::client::Client;
use crate::device_program::{Ask, DeviceProgram};
use crate::gate::Gate;
use crate::person::Person;
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::stack::Stack;
use protocol::{Code, Problem, SessionId};
use std::path::PathBuf;
use std::time::Duration;

/// A text that a device was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owed {
    pub session: SessionId,
    pub text: String,
    /// What the echo agent says to it, if it may say all of it.
    pub reply: String,
    /// The device said that it took it, and so owes it to the person. One that was killed may have done so unheard.
    pub is_taken: bool,
}

pub(super) struct World {
    pub stack: Stack,
    second: Server,
    redis: RedisServer,
    redis_gate: Gate,
    devices: Vec<DeviceProgram>,
    person: Person,
    backup: PathBuf,
    pub client: Client,
    /// Those that stay.
    pub sessions: Vec<SessionId>,
    /// The one that a device deletes.
    pub doomed: SessionId,
    /// A device said that it is deleted, and so owes that to the person.
    pub is_doomed: bool,
    pub was_restored: bool,
    pub owed: Vec<Owed>,
    titles: usize,
}

impl World {
    pub async fn begin() -> Self {
        let redis = RedisServer::start().await;
        let (redis_gate, redis_url) = Gate::before(&redis.url()).await;
        let stack = Stack::builder()
            .with("REDIS_URL", redis_url)
            .with_gates()
            .start()
            .await;
        let second = stack.second_server().await;
        let (person, client) = Person::join_natively(&stack).await;
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(client.create_session(&format!("Session {number}")).await);
        }
        let doomed = client.create_session("Doomed").await;
        let mut devices = Vec::new();
        for number in 0..DEVICES {
            let server = if number % NODES == 0 {
                &stack.server
            } else {
                &second
            };
            devices.push(DeviceProgram::of(&person, &server.url()).await);
        }
        let backup = stack.folder().join("backup");
        Self {
            stack,
            second,
            redis,
            redis_gate,
            devices,
            person,
            backup,
            client,
            sessions,
            doomed,
            is_doomed: false,
            was_restored: false,
            owed: Vec::new(),
            titles: 0,
        }
    }

    pub fn devices(&self) -> impl Iterator<Item = &DeviceProgram> {
        self.devices.iter()
    }

    fn device(&self, number: usize) -> &DeviceProgram {
        self.devices
            .get(number)
            .unwrap_or_else(|| panic!("there is no device {number}"))
    }

    fn node(&self, number: usize) -> &Server {
        if number == 0 {
            &self.stack.server
        } else {
            &self.second
        }
    }

    fn session(&self, number: usize) -> SessionId {
        *self
            .sessions
            .get(number)
            .unwrap_or_else(|| panic!("there is no session {number}"))
    }

    /// A disk has none.
    fn gate(&self, place: Place) -> Option<&Gate> {
        match place {
            Place::Node(number) => Some(self.node(number).gate()),
            Place::Postgres => Some(self.stack.postgres_gate()),
            Place::Redis => Some(&self.redis_gate),
            Place::Disk(_) => None,
        }
    }

    pub async fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Say {
                device,
                session,
                pace,
            } => self.say(*device, self.session(*session), *pace).await,
            Step::Rename { device, session } => {
                self.titles += 1;
                let title = format!("Title {}", self.titles);
                let renamed = self.device(*device).rename(self.session(*session), title).await;
                may_want_room("renaming here", renamed);
            }
            Step::Archive {
                device,
                session,
                archived,
            } => {
                let put = self
                    .device(*device)
                    .archive(self.session(*session), *archived)
                    .await;
                may_want_room("archiving here", put);
            }
            Step::SayLast { device } => self.say_last(*device).await,
            Step::Delete { device } => {
                let deleted = self.device(*device).delete(self.doomed).await;
                self.is_doomed = may_want_room("deleting here", deleted);
            }
            Step::Stop { device } => self.stop(*device).await,
            Step::Begin(place, trouble) => self.trouble(*place, *trouble).await,
            Step::Mend(place) => self.mend_one(*place).await,
            Step::Cut(place) => {
                if let Some(gate) = self.gate(*place) {
                    gate.cut();
                }
            }
            Step::KillDevice {
                device,
                session,
                texts,
                after,
            } => {
                self.kill_device(*device, self.session(*session), *texts, *after)
                    .await;
            }
            Step::ForgetRedis => self.redis.forget().await,
            Step::CrashPostgres => self.stack.crash_postgres().await,
            Step::BackUp => self.stack.back_up(&self.backup).await,
            Step::Restore => {
                self.was_restored = true;
                self.stack.restore(&self.backup).await;
            }
        }
    }

    /// A text that no other is like, and what is to be answered.
    fn word(&self, session: SessionId, pace: u64) -> Owed {
        let said = format!(
            "one two three four five six seven eight number {}.",
            self.owed.len()
        );
        Owed {
            session,
            text: format!("/slow {pace}ms {said}"),
            reply: format!("Echo: {said}"),
            is_taken: false,
        }
    }

    async fn say(&mut self, device: usize, session: SessionId, pace: u64) {
        let mut owed = self.word(session, pace);
        // Accepted is owed, whatever happens next.
        let sent = self.device(device).send(session, &owed.text).await;
        owed.is_taken = may_want_room("writing here", sent);
        self.owed.push(owed);
    }

    /// A device that knows already that the session is gone refuses: then nothing is owed.
    async fn say_last(&mut self, device: usize) {
        let mut owed = self.word(self.doomed, 5);
        let sent = self.device(device).send(self.doomed, &owed.text).await;
        owed.is_taken = match sent {
            Err(problem) if matches!(problem.code, Code::Gone | Code::SessionDeleted) => false,
            sent => may_want_room("writing here", sent),
        };
        self.owed.push(owed);
    }

    async fn kill_device(&mut self, device: usize, session: SessionId, texts: usize, after: Duration) {
        let first = self.owed.len();
        let mut asks = Vec::new();
        for _ in 0..texts {
            let owed = self.word(session, 5);
            let text = owed.text.clone();
            asks.push(Ask::Send { session, text });
            self.owed.push(owed);
        }
        let said = self.device(device).kill_while(&asks, after).await;
        for (owed, answer) in self.owed.iter_mut().skip(first).zip(said) {
            owed.is_taken = may_want_room("writing before the end", answer);
        }
    }

    async fn stop(&self, device: usize) {
        let device = self.device(device);
        for session in &self.sessions {
            let messages = device.messages(*session).await.unwrap_or_default();
            if let Some(run) = messages.iter().find_map(|message| message.run) {
                // The server may be away: then nothing is stopped.
                let _ = device.stop(run).await;
                return;
            }
        }
    }

    async fn trouble(&self, place: Place, trouble: Trouble) {
        match (trouble, place) {
            (Trouble::Gone, Place::Node(number)) => self.node(number).kill(),
            (Trouble::Still, Place::Node(number)) => self.node(number).freeze(),
            (Trouble::Gone, Place::Redis) => self.redis.kill(),
            (Trouble::Still, Place::Redis) => self.redis.freeze(),
            (_, Place::Disk(number)) => self.device(number).fill_disk(true).await,
            (trouble, Place::Node(_) | Place::Postgres | Place::Redis) => {
                let Some(gate) = self.gate(place) else { return };
                match trouble {
                    Trouble::Slow(millis) => gate.slow(Duration::from_millis(millis)),
                    Trouble::Stalled | Trouble::Still => gate.stall(),
                    Trouble::Unreachable | Trouble::Gone | Trouble::Full => gate.shut(),
                }
            }
        }
    }

    async fn mend_one(&self, place: Place) {
        if let Some(gate) = self.gate(place) {
            gate.open();
        }
        match place {
            Place::Node(number) => {
                self.node(number).thaw();
                if !self.node(number).is_running() {
                    self.node(number).start_again().await;
                }
            }
            Place::Redis => {
                self.redis.thaw();
                self.redis.start_again().await;
            }
            Place::Postgres => {}
            // One that was started again has room already.
            Place::Disk(number) => self.device(number).fill_disk(false).await,
        }
    }

    /// Everything works again.
    pub async fn mend(&self) {
        for place in [Place::Postgres, Place::Redis, Place::Node(0), Place::Node(1)] {
            self.mend_one(place).await;
        }
        for number in 0..DEVICES {
            self.mend_one(Place::Disk(number)).await;
            self.device(number).wake().await;
        }
    }

    /// A restored server does not know a credential that was renewed after the backup: then the person signs in again.
    pub async fn sign_in_again(&self, device: &DeviceProgram) {
        let _ = device.sign_in(&self.person).await;
    }
}

/// Whether it was done. A full disk is the one reason for which it may not be.
fn may_want_room<T>(what: &str, outcome: Result<T, Problem>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(problem) if problem.code == Code::DiskFull => false,
        Err(problem) => panic!("{what}: {problem}"),
    }
}
