//! A whole device on disk: executes the engine's effects with the store, HTTP and the socket.
//!
//! Headless: `src-tauri` wraps it in commands, a test uses it as "a device". Cheap to clone; every clone is the same
//! device. Reads never wait for the network.
//! **Invariant:** what a person wrote is in `outbox.db` before a method returns and before a byte of it is sent.

use crate::credentials::CredentialStore;
use protocol::auth::{Device as SignedInDevice, Email, Me, Password, Provider};
use protocol::oauth::PushedAnswer;
use protocol::oauth::PushedRequest;
use protocol::sync::Cursor;
use protocol::view::{Connection, Push, SessionRow, Transcript};
use protocol::{Code, DeviceId, MessageId, MutationId, Problem, RunId, SessionId};
use std::path::Path;
use tokio::sync::broadcast;
use url::Url;

/// What this computer is called at the server.
#[derive(Clone, Debug)]
pub struct Computer {
    /// What the person calls it.
    pub name: String,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// The app's version.
    pub version: String,
}

/// What this computer holds, in numbers ([`protocol::ipc::Storage`] without the place of the secrets).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageNumbers {
    pub cache_bytes: u64,
    pub sessions: u64,
    pub messages: u64,
    pub waiting: u64,
}

#[derive(Clone, Debug)]
pub struct Device {}

impl Device {
    /// Opens the device kept in `folder` (made if needed, 0700) and goes to work. Needs a tokio runtime.
    pub async fn open(
        folder: &Path,
        server: Url,
        computer: Computer,
        credentials: impl CredentialStore,
    ) -> Result<Self, Problem> {
        let _ = (folder, server, computer, credentials);
        Err(Problem::new(Code::Unavailable))
    }

    /// Hears every push from now on. A receiver that lags asks for everything anew.
    pub fn watch(&self) -> broadcast::Receiver<Push> {
        broadcast::channel(1).1
    }

    pub fn server(&self) -> Url {
        unreachable!()
    }
    /// Who is signed in here, also while the server wants a new sign-in.
    pub fn me(&self) -> Option<Me> {
        None
    }
    pub fn connection(&self) -> Connection {
        Connection::SignedOut
    }
    pub async fn cursor(&self) -> Option<Cursor> {
        None
    }

    pub async fn list(&self, archived: bool) -> Result<Vec<SessionRow>, Problem> {
        let _ = archived;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn transcript(&self, session: SessionId) -> Result<Transcript, Problem> {
        let _ = session;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn show(&self, session: SessionId) -> Result<Transcript, Problem> {
        let _ = session;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn earlier(&self, session: SessionId) -> Result<Transcript, Problem> {
        let _ = session;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn search(&self, words: &str) -> Result<Vec<SessionId>, Problem> {
        let _ = words;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn create(&self) -> Result<SessionId, Problem> {
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn send(&self, session: SessionId, text: &str) -> Result<MessageId, Problem> {
        let _ = (session, text);
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn rename(&self, session: SessionId, title: &str) -> Result<(), Problem> {
        let _ = (session, title);
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn archive(&self, session: SessionId, archived: bool) -> Result<(), Problem> {
        let _ = (session, archived);
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn delete(&self, session: SessionId) -> Result<MutationId, Problem> {
        let _ = session;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn undo(&self, mutation: MutationId) -> Result<(), Problem> {
        let _ = mutation;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn retry(&self, mutation: MutationId) -> Result<(), Problem> {
        let _ = mutation;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn stop(&self, run: RunId) -> Result<(), Problem> {
        let _ = run;
        Err(Problem::new(Code::Unavailable))
    }

    pub async fn providers(&self) -> Result<Vec<Provider>, Problem> {
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn sign_up(&self, email: Email, password: Password) -> Result<(), Problem> {
        let _ = (email, password);
        Err(Problem::new(Code::Unavailable))
    }
    /// With the mailed code, for the sign-up begun on this device.
    pub async fn verify(&self, email: Email, code: String) -> Result<Me, Problem> {
        let _ = (email, code);
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn resend(&self, email: Email) -> Result<(), Problem> {
        let _ = email;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn sign_in(&self, email: Email, password: Password) -> Result<Me, Problem> {
        let _ = (email, password);
        Err(Problem::new(Code::Unavailable))
    }
    /// `POST /oauth/par`: begins a sign-in in the system browser.
    pub async fn push_request(&self, request: &PushedRequest) -> Result<PushedAnswer, Problem> {
        let _ = request;
        Err(Problem::new(Code::Unavailable))
    }
    /// The code that came home, with the verifier it is bound to.
    pub async fn redeem(&self, code: String, verifier: String, redirect_uri: String) -> Result<Me, Problem> {
        let _ = (code, verifier, redirect_uri);
        Err(Problem::new(Code::Unavailable))
    }
    /// Wipes cache, outbox and credential. Refuses with `outbox_not_empty` while messages wait, unless told.
    pub async fn sign_out(&self, even_if_waiting: bool) -> Result<(), Problem> {
        let _ = even_if_waiting;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn devices(&self) -> Result<Vec<SignedInDevice>, Problem> {
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn revoke(&self, device: DeviceId) -> Result<(), Problem> {
        let _ = device;
        Err(Problem::new(Code::Unavailable))
    }
    pub async fn storage(&self) -> Result<StorageNumbers, Problem> {
        Err(Problem::new(Code::Unavailable))
    }
    /// The computer woke or the network changed: looks at once.
    pub fn wake(&self) {}
    /// Ends the tasks and closes the files.
    pub async fn close(&self) {}
}
