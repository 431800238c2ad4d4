//! A real SMTP listener on loopback that keeps every letter, and a page to read them.
//!
//! Tests run it in their own process ([`Mailbox::start`]); `cargo xtask dev` runs the program of the same name.
//! **Invariant:** nothing is sent on; a letter ends here.

mod letter;
mod page;
mod smtp;

pub use letter::Letter;

use anyhow::{Context as _, bail};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long [`Mailbox::wait_for`] waits: a letter on loopback that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every letter that came, in order of arrival. `changed` carries their number, so that no arrival is missed.
#[derive(Debug)]
pub(crate) struct Shelf {
    letters: Mutex<Vec<Letter>>,
    /// Who takes no letters, and what is said to whoever brings one.
    refusing: Mutex<HashMap<String, String>>,
    changed: watch::Sender<usize>,
}

impl Shelf {
    pub(crate) fn put(&self, raw: &[u8], from: &str, to: Vec<String>) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let id = letters.len() + 1;
        letters.push(Letter::read(id, raw, from, to));
        self.changed.send_replace(id);
    }

    /// What a letter to this address is refused with.
    pub(crate) fn refusal(&self, address: &str) -> Option<String> {
        self.refusing().get(&address.to_lowercase()).cloned()
    }

    fn refusing(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.refusing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Letter> {
        self.letters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn to(&self, address: &str) -> Vec<Letter> {
        let mut letters = self.all();
        letters.retain(|letter| letter.is_to(address));
        letters
    }

    pub(crate) async fn wait_for(&self, address: &str, count: usize) -> anyhow::Result<Vec<Letter>> {
        let mut changed = self.changed.subscribe();
        let arrived = changed.wait_for(|_| self.to(address).len() >= count);
        let waited = tokio::time::timeout(PATIENCE, arrived)
            .await
            .map(|seen| seen.is_ok());
        let letters = self.to(address);
        if waited.is_err() {
            bail!(
                "waiting for {count} letters to {address}: {} came in {} s",
                letters.len(),
                PATIENCE.as_secs()
            );
        }
        Ok(letters)
    }
}

/// A running mailbox. It ends when this is dropped.
#[derive(Debug)]
pub struct Mailbox {
    shelf: Arc<Shelf>,
    smtp: SocketAddr,
    http: SocketAddr,
    tasks: Vec<AbortHandle>,
}

impl Mailbox {
    /// Listens on two free ports of 127.0.0.1.
    pub async fn start() -> anyhow::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(free, free).await
    }

    pub async fn start_at(smtp: SocketAddr, http: SocketAddr) -> anyhow::Result<Self> {
        let shelf = Arc::new(Shelf {
            letters: Mutex::new(Vec::new()),
            refusing: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let smtp = TcpListener::bind(smtp)
            .await
            .with_context(|| format!("listening for letters at {smtp}"))?;
        let http = TcpListener::bind(http)
            .await
            .with_context(|| format!("serving the mailbox page at {http}"))?;
        let (smtp_address, http_address) = (smtp.local_addr()?, http.local_addr()?);
        let page = page::router(Arc::clone(&shelf));
        let tasks = vec![
            tokio::spawn(smtp::listen(smtp, Arc::clone(&shelf))).abort_handle(),
            tokio::spawn(async move { axum::serve(http, page).await }).abort_handle(),
        ];
        Ok(Self {
            shelf,
            smtp: smtp_address,
            http: http_address,
            tasks,
        })
    }

    /// For the server's `SMTP_URL`.
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp)
    }

    /// From now on this address is refused with this reply, such as `550 5.1.1 no such user`.
    pub fn refuse(&self, address: &str, reply: &str) {
        self.shelf
            .refusing()
            .insert(address.to_lowercase(), reply.to_owned());
    }

    /// And takes letters again.
    pub fn take_again(&self, address: &str) {
        self.shelf.refusing().remove(&address.to_lowercase());
    }

    /// The page, for a person.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.shelf.all()
    }

    /// The letters to an address, oldest first; case does not matter.
    pub fn letters_to(&self, address: &str) -> Vec<Letter> {
        self.shelf.to(address)
    }

    /// Waits until an address has at least `count` letters, then gives them all.
    pub async fn wait_for(&self, address: &str, count: usize) -> anyhow::Result<Vec<Letter>> {
        self.shelf.wait_for(address, count).await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
