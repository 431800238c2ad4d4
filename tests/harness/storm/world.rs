//! What a storm rages in: two servers on one database, a Redis of their own, and one person's three devices.

use super::plan::{DEVICES, NODES, Place, SESSIONS, Step, Trouble};
use crate::client::Client;
use crate::device::DeviceClient;
use crate::gate::Gate;
use crate::person::Person;
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::stack::Stack;
use protocol::SessionId;
use std::time::Duration;

/// A text that a device took, and so owes to the person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owed {
    pub session: SessionId,
    pub text: String,
    /// What the echo agent says to it, if it may say all of it.
    pub reply: String,
}

pub(super) struct World {
    pub stack: Stack,
    second: Server,
    redis: RedisServer,
    redis_gate: Gate,
    /// `None` only while one is started again.
    devices: Vec<Option<DeviceClient>>,
    pub client: Client,
    pub sessions: Vec<SessionId>,
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
        let mut devices = Vec::new();
        for number in 0..DEVICES {
            let server = if number % NODES == 0 {
                &stack.server
            } else {
                &second
            };
            devices.push(Some(DeviceClient::of(&person, &server.url()).await));
        }
        Self {
            stack,
            second,
            redis,
            redis_gate,
            devices,
            client,
            sessions,
            owed: Vec::new(),
            titles: 0,
        }
    }

    pub fn devices(&self) -> impl Iterator<Item = &DeviceClient> {
        self.devices.iter().flatten()
    }

    fn device(&self, number: usize) -> &DeviceClient {
        self.devices
            .get(number)
            .and_then(Option::as_ref)
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

    fn gate(&self, place: Place) -> &Gate {
        match place {
            Place::Node(number) => self.node(number).gate(),
            Place::Postgres => self.stack.postgres_gate(),
            Place::Redis => &self.redis_gate,
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
                let renamed = self.device(*device).rename(self.session(*session), &title).await;
                renamed.unwrap_or_else(|problem| panic!("renaming here: {problem}"));
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
                put.unwrap_or_else(|problem| panic!("archiving here: {problem}"));
            }
            Step::Stop { device } => self.stop(*device).await,
            Step::Begin(place, trouble) => self.trouble(*place, *trouble),
            Step::Mend(place) => self.mend_one(*place).await,
            Step::Cut(place) => self.gate(*place).cut(),
            Step::CrashDevice(number) => {
                if let Some(slot) = self.devices.get_mut(*number)
                    && let Some(device) = slot.take()
                {
                    *slot = Some(device.crash().await);
                }
            }
            Step::ForgetRedis => self.redis.forget().await,
            Step::CrashPostgres => self.stack.crash_postgres().await,
        }
    }

    async fn say(&mut self, device: usize, session: SessionId, pace: u64) {
        let number = self.owed.len();
        let said = format!("one two three four five six seven eight number {number}.");
        let text = format!("/slow {pace}ms {said}");
        // Accepted is owed, whatever happens next.
        let sent = self.device(device).send(session, &text).await;
        sent.unwrap_or_else(|problem| panic!("writing here: {problem}"));
        self.owed.push(Owed {
            session,
            text,
            reply: format!("Echo: {said}"),
        });
    }

    async fn stop(&self, device: usize) {
        let device = self.device(device);
        for session in &self.sessions {
            let messages = device.messages(*session).await.unwrap_or_default();
            if let Some(run) = messages.iter().find_map(|message| message.run) {
                // The server may be away: then nothing is stopped.
                let _ = tokio::time::timeout(Duration::from_millis(300), device.stop(run)).await;
                return;
            }
        }
    }

    fn trouble(&self, place: Place, trouble: Trouble) {
        match (trouble, place) {
            (Trouble::Gone, Place::Node(number)) => self.node(number).kill(),
            (Trouble::Still, Place::Node(number)) => self.node(number).freeze(),
            (Trouble::Gone, Place::Redis) => self.redis.kill(),
            (Trouble::Still, Place::Redis) => self.redis.freeze(),
            (Trouble::Slow(millis), _) => self.gate(place).slow(Duration::from_millis(millis)),
            (Trouble::Unreachable | Trouble::Gone | Trouble::Still, _) => self.gate(place).shut(),
        }
    }

    async fn mend_one(&self, place: Place) {
        self.gate(place).open();
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
        }
    }

    /// Everything works again.
    pub async fn mend(&self) {
        for place in [Place::Postgres, Place::Redis, Place::Node(0), Place::Node(1)] {
            self.mend_one(place).await;
        }
        for device in self.devices() {
            device.wake();
        }
    }
}
