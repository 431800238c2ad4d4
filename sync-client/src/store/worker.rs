//! A thread with a connection of its own, fed with jobs through a bounded channel.

use super::seal::Held;
use super::{Result, StoreFault};
use rusqlite::Connection;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Jobs that may wait; more make the asker wait.
const WAITING: usize = 256;

#[derive(Debug)]
pub struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// `held` is held for as long as the connection is open.
    pub fn start(name: &str, mut connection: Connection, held: Arc<Held>) -> Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(WAITING);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = jobs.blocking_recv() {
                job(&mut connection);
            }
            drop(connection);
            drop(held);
        })?;
        Ok(Self {
            jobs: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let sender = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or(StoreFault::Closed)?;
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more: the job was still done.
            let _ = answer.send(job(connection));
        });
        sender.send(job).await.map_err(|_closed| StoreFault::Closed)?;
        answered.await.map_err(|_closed| StoreFault::Closed)?
    }

    pub async fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a store thread ended badly");
            }
        }
    }
}

impl Drop for Worker {
    /// Whoever lets go of a store without closing it waits for its threads all the same: a program that ended while one of them still
    /// closed its file would take away the cipher that it works with.
    fn drop(&mut self) {
        drop(self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let own = std::thread::current().id();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != own)
            && thread.join().is_err()
        {
            tracing::error!("a store thread ended badly");
        }
    }
}
