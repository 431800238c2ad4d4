//! The threads that hash: as many as there are cores, behind a short queue, and stepping back for whoever reads meanwhile.

use crate::error::Result;
use anyhow::Context as _;
use protocol::{Code, Problem};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// How long somebody waits for a free thread before being told that we are busy.
const QUEUE: Duration = Duration::from_secs(2);

/// How far a hashing thread steps back, as `nice` counts. A hash keeps a core for a tenth of a second; beside a crowd that signs in,
/// those who are in should go on reading. No more than this: whoever waits at the door must come in before the queue ends.
const STEP_BACK: i32 = 3;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    pool: Arc<rayon::ThreadPool>,
    free: Arc<Semaphore>,
}

impl Threads {
    pub(super) fn start(count: usize) -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|number| format!("hash-{number}"))
            .start_handler(|_number| step_back())
            // whoever waits for the work sees its end; without this the whole server would end with it
            .panic_handler(|_panic| tracing::error!("hashing panicked"))
            .build()
            .context("starting the threads that hash")?;
        Ok(Self {
            pool: Arc::new(pool),
            free: Arc::new(Semaphore::new(count)),
        })
    }

    /// Does the work on a thread of its own. Whoever waits for one longer than [`QUEUE`] is told that we are busy.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let waiting = Instant::now();
        let permit = tokio::time::timeout(QUEUE, Arc::clone(&self.free).acquire_owned())
            .await
            .map_err(|_elapsed| Problem::new(Code::Busy).retry_after(2))?
            .context("the hashing threads are gone")?;
        metrics::histogram!("hash_queue_seconds").record(waiting.elapsed().as_secs_f64());
        let (done, result) = oneshot::channel();
        self.pool.spawn(move || {
            let _held = permit;
            // whoever asked may have left
            let _ = done.send(work());
        });
        result.await.context("hashing a password")?
    }
}

/// Whether it succeeds changes who waits for whom, not what is answered.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        // on Linux a priority is a thread's own
        let thread = Some(rustix::thread::gettid());
        // from where the server stands, who may have been told to step back as a whole
        let stepped = rustix::process::getpriority_process(thread)
            .and_then(|own| rustix::process::setpriority_process(thread, own + STEP_BACK));
        if let Err(error) = stepped {
            tracing::debug!(%error, "a hashing thread keeps its priority");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_is_told_that_we_are_busy() {
        let threads = Threads::start(1).unwrap();
        let _held = threads.free.acquire().await.unwrap();
        let refusal = threads.run(|| Ok(())).await.unwrap_err();
        assert_eq!(refusal.into_problem().code, Code::Busy);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_the_next_is_done() {
        let threads = Threads::start(1).unwrap();
        let broken = threads.run(|| -> Result<u8> { panic!("on purpose") }).await;
        assert!(broken.is_err());
        assert_eq!(threads.run(|| Ok(7)).await.unwrap(), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_thread_that_hashes_steps_back_and_no_other_does() {
        let own = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = own();
        let threads = Threads::start(1).unwrap();
        assert_eq!(threads.run(move || Ok(own())).await.unwrap(), before + STEP_BACK);
        assert_eq!(own(), before);
    }
}
