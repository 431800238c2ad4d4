//! A device without a window: the app's local half in a folder of its own, opened and closed as often as a test likes.

use crate::person::Person;
use crate::wait::until;
use protocol::auth::Password;
use protocol::sync::Role;
use protocol::view::{Connection, Delivery, MessageView};
use protocol::{Problem, SessionId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sync_client::Device;
use sync_client::credentials::{CredentialStore as _, InMemory};
use sync_client::driver::{Clock, Computer, Quota};
use tempfile::TempDir;

#[derive(Debug)]
pub struct DeviceClient {
    device: Device,
    server: String,
    credentials: Arc<InMemory>,
    folder: Arc<TempDir>,
    quota: Quota,
}

impl std::ops::Deref for DeviceClient {
    type Target = Device;
    fn deref(&self) -> &Device {
        &self.device
    }
}

impl DeviceClient {
    /// A new computer that knows nobody.
    pub async fn fresh(server: &str) -> Self {
        Self::fresh_within(Quota::default(), server).await
    }

    async fn fresh_within(quota: Quota, server: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-device-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        Self::over(
            server.to_owned(),
            Arc::default(),
            Arc::new(folder),
            quota,
            Clock::start(),
        )
        .await
    }

    /// A new computer by this clock, signed in and in step with the server.
    pub async fn of_by(clock: impl Fn() -> Clock, person: &Person, server: &str) -> Self {
        let device = Self::fresh(server).await.restart_by(clock).await;
        device.enter(person).await;
        device
    }

    async fn enter(&self, person: &Person) {
        self.sign_in(person.email.clone(), Password::typed(&person.password))
            .await
            .unwrap_or_else(|problem| panic!("signing in: {problem}"));
        self.wait_online().await;
    }

    /// A new computer, signed in and in step with the server.
    pub async fn of(person: &Person, server: &str) -> Self {
        Self::of_within(Quota::default(), person, server).await
    }

    /// The same with little room.
    pub async fn of_within(quota: Quota, person: &Person, server: &str) -> Self {
        let device = Self::fresh_within(quota, server).await;
        device.enter(person).await;
        device
    }

    async fn over(
        server: String,
        credentials: Arc<InMemory>,
        folder: Arc<TempDir>,
        quota: Quota,
        clock: Clock,
    ) -> Self {
        crate::stack::install_crypto();
        let computer = Computer {
            name: "Laptop".to_owned(),
            os: "linux".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let url = server.parse().unwrap_or_else(|error| panic!("{server}: {error}"));
        let kept = Arc::clone(&credentials);
        let device = Device::open_by(clock, quota, folder.path(), url, computer, kept)
            .await
            .unwrap_or_else(|problem| panic!("opening a device: {problem}"));
        Self {
            device,
            server,
            credentials,
            folder,
            quota,
        }
    }

    /// Closes it and opens it again over what it kept, after `meanwhile`.
    pub async fn restart(self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.opened_again(meanwhile, Clock::start()).await
    }

    /// The same by this clock.
    pub async fn restart_by(self, clock: impl Fn() -> Clock) -> Self {
        self.opened_again(|_| (), clock()).await
    }

    async fn opened_again(self, meanwhile: impl FnOnce(&Path), clock: Clock) -> Self {
        let Self {
            device,
            server,
            credentials,
            folder,
            quota,
        } = self;
        device.close().await;
        meanwhile(folder.path());
        Self::over(server, credentials, folder, quota, clock).await
    }

    /// What is kept of its sign-in beside the key.
    pub fn refresh_token(&self) -> String {
        let kept = self.credentials.load().ok().flatten();
        kept.unwrap_or_else(|| panic!("nobody is signed in"))
            .refresh_token
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub async fn wait_online(&self) {
        until("the device to be online", async || {
            (self.connection() == Connection::Online).then_some(())
        })
        .await;
    }

    pub async fn wait_offline(&self) {
        until("the device to notice", async || {
            matches!(self.connection(), Connection::Offline { .. }).then_some(())
        })
        .await;
    }

    pub async fn messages(&self, session: SessionId) -> Result<Vec<MessageView>, Problem> {
        self.transcript(session)
            .await
            .map(|transcript| transcript.messages)
    }

    /// What its owner wrote, in order.
    pub async fn own_texts(&self, session: SessionId) -> Vec<String> {
        let messages = self.messages(session).await.unwrap_or_default();
        messages
            .into_iter()
            .filter(|message| message.role == Role::User)
            .map(|message| message.content)
            .collect()
    }

    /// Waits until this text stands here as sent.
    pub async fn wait_sent(&self, session: SessionId, text: &str) {
        until(&format!("{text:?} to be sent"), async || {
            let messages = self.messages(session).await.ok()?;
            messages
                .iter()
                .any(|message| message.content == text && message.delivery == Delivery::Sent)
                .then_some(())
        })
        .await;
    }

    pub async fn is_waiting(&self, session: SessionId, text: &str) -> bool {
        let messages = self.messages(session).await.unwrap_or_default();
        messages
            .iter()
            .any(|message| message.content == text && matches!(message.delivery, Delivery::Waiting { .. }))
    }
}
