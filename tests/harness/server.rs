//! One running sync server, reached through a gate whose address stays when the server does not.

use crate::gate::Gate;
use crate::programs::{binary, child, resident};
use crate::wait::soon;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::oneshot;

/// How nodes are called in addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Called {
    #[default]
    ByNumber,
    /// `localhost`.
    ByName,
}

/// Everything a node is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub folder: PathBuf,
    pub environment: Vec<(String, String)>,
    pub called: Called,
}

/// A node of the installation.
#[derive(Debug)]
pub struct Server {
    gate: Gate,
    settings: Settings,
    running: Mutex<Option<Child>>,
    starts: AtomicU32,
    name: String,
    called: Called,
}

impl Server {
    /// `public_url`: what the installation calls itself; without it, this node's own address.
    pub(crate) async fn start(name: &str, mut settings: Settings, public_url: Option<String>) -> Self {
        // nobody listens there yet: the gate leads on once the server has said its port
        let gate = Gate::to(SocketAddr::from(([127, 0, 0, 1], 9))).await;
        let called = settings.called;
        let public_url = public_url.unwrap_or_else(|| url(&gate, called));
        // one that is told another address of its own says that
        if settings.environment.iter().all(|(name, _)| name != "PUBLIC_URL") {
            settings.environment.push(("PUBLIC_URL".to_owned(), public_url));
        }
        let server = Self {
            gate,
            settings,
            running: Mutex::new(None),
            starts: AtomicU32::new(0),
            name: name.to_owned(),
            called,
        };
        server.start_again().await;
        server
    }

    /// Its address, without a slash at the end. Stays the same over restarts.
    pub fn url(&self) -> String {
        url(&self.gate, self.called)
    }

    /// Its own address, past the gate; changes with every start.
    pub fn own_address(&self) -> SocketAddr {
        self.gate.upstream()
    }

    /// Memory that it holds now, in KiB.
    pub fn memory(&self) -> u64 {
        let id = self.lock().as_ref().map(Child::id);
        id.and_then(resident)
            .unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// The network before this node.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Starts the program again with the same settings, behind the same address.
    pub async fn start_again(&self) {
        let count = self.starts.fetch_add(1, Ordering::Relaxed);
        let log = self.settings.folder.join(format!("{}-{count}.log", self.name));
        let (child, address) = spawn(&self.settings, &log).await;
        *self.lock() = Some(child);
        self.gate.lead_to(address);
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.gate.cut();
    }

    /// Asks it to end and waits until it has; gives its exit code.
    pub async fn stop(&self) -> Option<i32> {
        let mut child = self.lock().take()?;
        signal(&child, Signal::SIGTERM);
        let ended = tokio::task::spawn_blocking(move || child.wait());
        soon("the server to end after SIGTERM", ended)
            .await
            .ok()?
            .ok()?
            .code()
    }

    /// Holds it still, as an overloaded machine would, until [`Server::thaw`].
    pub fn freeze(&self) {
        if let Some(child) = self.lock().as_ref() {
            signal(child, Signal::SIGSTOP);
        }
    }

    pub fn thaw(&self) {
        if let Some(child) = self.lock().as_ref() {
            signal(child, Signal::SIGCONT);
        }
    }

    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn url(gate: &Gate, called: Called) -> String {
    let address = gate.address();
    match called {
        Called::ByNumber => format!("http://{address}"),
        Called::ByName => format!("http://localhost:{}", address.port()),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Starts the program and waits for its `ready` line.
async fn spawn(settings: &Settings, log: &Path) -> (Child, SocketAddr) {
    let errors =
        std::fs::File::create(log).unwrap_or_else(|error| panic!("making {}: {error}", log.display()));
    let mut child = child(&binary("sync-server"), &settings.folder)
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&settings.folder)
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("starting sync-server: {error}"));
    let (say, ready) = oneshot::channel();
    let output = child.stdout.take();
    let aside = log.with_extension("out");
    std::thread::spawn(move || {
        let mut say = Some(say);
        let mut kept = std::fs::File::create(aside).ok();
        for line in output
            .into_iter()
            .flat_map(|output| BufReader::new(output).lines())
            .map_while(Result::ok)
        {
            if let Some(address) = line
                .strip_prefix("ready http://")
                .and_then(|rest| rest.trim_end_matches('/').parse().ok())
                && let Some(say) = say.take()
            {
                let _ = say.send(address);
            }
            if let Some(file) = &mut kept {
                let _ = std::io::Write::write_all(file, format!("{line}\n").as_bytes());
            }
        }
    });
    if let Ok(address) = soon("the server's ready line", ready).await {
        return (child, address);
    }
    let status = child.wait();
    panic!(
        "the server ended ({status:?}) before it was ready:\n{}",
        std::fs::read_to_string(log).unwrap_or_default()
    )
}
