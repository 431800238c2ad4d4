//! What the page can ask for, whichever body it runs in: the desktop's core by IPC, or the server from a browser.
//!
//! The methods mirror [`protocol::ipc`] one to one. [`Handle`] travels in a Yew context; while a page is drawn on the
//! server there is none. Each body offers one door: `web::open(&Boot) -> Handle`, and `desktop::find() ->
//! Option<Handle>`, which is `Some` in the desktop's window only.
//! **Invariant:** a body never touches the page's nodes, and the page never calls anything but a body.

#[cfg(feature = "hydration")]
pub mod desktop;
#[cfg(any(feature = "hydration", test))]
mod unsent;
#[cfg(feature = "hydration")]
pub mod web;

use protocol::auth::{Device, Email, Password, Provider};
use protocol::ipc::{
    AppAct, BrowserSignInStarted, DeviceCodeShown, Going, KeptAccounts, Preferences, SecretStore, Storage,
};
use protocol::search::Found;
use protocol::view::{Body, Boot, Push, SessionRow, Transcript};
use protocol::{DeviceId, MessageId, MutationId, Problem, RunId, SessionId};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;

/// What a method gives back: owns all it needs, so that the page may let it run.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// What is told of everything that happens.
pub type Watcher = Rc<dyn Fn(Push)>;

/// See [`protocol::ipc`] for what each of these means.
pub trait Backend {
    fn body(&self) -> Body;

    fn boot(&self, archived: bool, open: Option<SessionId>) -> Answer<Boot>;
    /// The newest rows, at most so many.
    fn list(&self, archived: bool, rows: usize) -> Answer<Vec<SessionRow>>;
    fn open(&self, session: SessionId) -> Answer<Transcript>;
    fn earlier(&self, session: SessionId) -> Answer<Transcript>;
    fn reach(&self, session: SessionId, message: MessageId) -> Answer<Transcript>;
    /// In a browser: through what this page has loaded.
    fn search(&self, typed: String, within: Option<SessionId>) -> Answer<Found>;
    fn create(&self) -> Answer<SessionId>;
    fn draft(&self, session: Option<SessionId>) -> Answer<String>;
    fn keep_draft(&self, session: Option<SessionId>, text: String) -> Answer<()>;
    fn send(&self, session: SessionId, text: String) -> Answer<MessageId>;
    fn answer(&self, session: SessionId, message: MessageId) -> Answer<()>;
    fn rename(&self, session: SessionId, title: String) -> Answer<()>;
    fn archive(&self, session: SessionId, archived: bool) -> Answer<()>;
    fn delete(&self, session: SessionId) -> Answer<MutationId>;
    fn undo(&self, mutation: MutationId) -> Answer<()>;
    fn retry(&self, mutation: MutationId) -> Answer<()>;
    fn stop(&self, run: RunId) -> Answer<()>;

    fn providers(&self) -> Answer<Vec<Provider>>;
    fn sign_up(&self, email: Email, password: Password) -> Answer<()>;
    fn verify(&self, email: Email, code: String) -> Answer<()>;
    fn resend(&self, email: Email) -> Answer<()>;
    fn sign_in(&self, email: Email, password: Password) -> Answer<()>;
    /// The desktop only.
    fn second_step(&self, code: String) -> Answer<()>;
    /// The desktop only.
    fn browser_sign_in(&self, provider: Option<String>) -> Answer<BrowserSignInStarted>;
    /// The desktop only.
    fn cancel_sign_in(&self) -> Answer<()>;
    /// The desktop only.
    fn finish_sign_in(&self, code: String) -> Answer<()>;
    fn sign_out(&self, even_if_waiting: bool) -> Answer<()>;
    fn devices(&self) -> Answer<Vec<Device>>;
    fn revoke(&self, device: DeviceId) -> Answer<()>;

    /// The desktop only.
    fn accounts(&self, go: Option<Going>) -> Answer<KeptAccounts>;
    /// The desktop only.
    fn storage(&self) -> Answer<Storage>;
    /// The desktop only.
    fn prefer(&self, to: Option<Preferences>) -> Answer<Preferences>;
    /// The desktop only. What to tell the person of it, if anything.
    fn act(&self, act: AppAct) -> Answer<String>;
    /// The desktop only.
    fn consent(&self, to: SecretStore) -> Answer<()>;
    fn open_link(&self, url: String) -> Answer<()>;
    fn ui_ready(&self) -> Answer<()>;
    /// The desktop only.
    fn device_code(&self) -> Answer<DeviceCodeShown>;

    /// From now on `watcher` hears every push. Called once; a later call replaces the watcher.
    fn watch(&self, watcher: Watcher) -> Answer<()>;
}

/// The body that this page has, as components pass it on.
#[derive(Clone)]
pub struct Handle(pub Rc<dyn Backend>);

impl Deref for Handle {
    type Target = dyn Backend;
    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// The same body, not an equal one.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.0.body())
    }
}
