//! A device that is a process of its own, as the app is: it can be killed at any moment and started again over its disk.
//!
//! The program `device` reads an [`Ask`] a line and says an [`Said`] a line. What it has said is promised; what was
//! asked of it when it died may have been done or not.

use crate::person::Person;
use crate::programs::{binary, child};
use crate::wait::{soon, until};
use protocol::auth::Email;
use protocol::view::{Connection, MessageView};
use protocol::{Problem, RunId, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    SignIn {
        email: Email,
        password: String,
    },
    Send {
        session: SessionId,
        text: String,
    },
    Rename {
        session: SessionId,
        title: String,
    },
    Archive {
        session: SessionId,
        archived: bool,
    },
    Delete(SessionId),
    Stop(RunId),
    Wake,
    Connection,
    /// How many writes the server has not accepted yet.
    Waiting,
    Messages(SessionId),
    Compare,
    /// Its files cannot grow any more, as on a full disk; or they can again.
    FillDisk(bool),
}

/// The answer to one, or why not.
pub type Said = Result<serde_json::Value, Problem>;

#[derive(Debug)]
pub struct DeviceProgram {
    server: String,
    folder: TempDir,
    log: Log,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What all its lives have said aside.
type Log = Arc<std::sync::Mutex<Vec<String>>>;

async fn note(words: ChildStderr, log: Log) {
    let mut words = BufReader::new(words).lines();
    while let Ok(Some(line)) = words.next_line().await {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Running {
    fn start(server: &str, folder: &TempDir, log: &Log) -> Self {
        let mut command = child(Path::new("/bin/sh"), folder.path());
        command
            // a file that cannot grow is an error to be dealt with, as on a full disk, and not the end
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(binary("device"))
            .arg(folder.path().join("data"))
            .arg(server)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // through us into the log: a file of its own would be full with the others
            .stderr(Stdio::piped());
        let mut child = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("starting a device: {error}"));
        let (Some(asks), Some(answers), Some(words)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            panic!("a device has no ears or no mouth");
        };
        tokio::spawn(note(words, Arc::clone(log)));
        Self {
            child,
            asks,
            answers: BufReader::new(answers).lines(),
        }
    }

    async fn say(&mut self, ask: &Ask) {
        let mut line = serde_json::to_vec(ask).unwrap_or_else(|error| panic!("writing {ask:?}: {error}"));
        line.push(b'\n');
        // One that is gone hears nothing; whoever waits for the answer notices.
        let _ = self.asks.write_all(&line).await;
    }

    /// `None`: it died before the answer was said to its end.
    async fn hear(&mut self) -> Option<Said> {
        let line = self.answers.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

impl DeviceProgram {
    /// A computer that is signed in and in step with the server.
    pub async fn of(person: &Person, server: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("compymac-device-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let log = Log::default();
        let device = Self {
            running: Mutex::new(Running::start(server, &folder, &log)),
            log,
            server: server.to_owned(),
            folder,
        };
        device
            .sign_in(person)
            .await
            .unwrap_or_else(|problem| panic!("signing in: {problem}"));
        until("the device to be online", async || {
            (device.connection().await == Connection::Online).then_some(())
        })
        .await;
        device
    }

    /// Kills it (SIGKILL) `after` it was asked all this, and starts it again over its disk. Gives the answers that it
    /// said before it died, in order.
    pub async fn kill_while(&self, asks: &[Ask], after: Duration) -> Vec<Said> {
        let mut running = self.running.lock().await;
        for ask in asks {
            running.say(ask).await;
        }
        tokio::time::sleep(after).await;
        let killed = running.child.kill().await;
        killed.unwrap_or_else(|error| panic!("killing a device: {error}"));
        let mut said = Vec::new();
        while let Some(answer) = running.hear().await {
            said.push(answer);
        }
        *running = Running::start(&self.server, &self.folder, &self.log);
        said
    }

    pub async fn sign_in(&self, person: &Person) -> Result<(), Problem> {
        let ask = Ask::SignIn {
            email: person.email.clone(),
            password: person.password.clone(),
        };
        self.ask(&ask).await
    }

    pub async fn send(&self, session: SessionId, text: &str) -> Result<(), Problem> {
        let text = text.to_owned();
        self.ask(&Ask::Send { session, text }).await
    }

    pub async fn rename(&self, session: SessionId, title: String) -> Result<(), Problem> {
        self.ask(&Ask::Rename { session, title }).await
    }

    pub async fn archive(&self, session: SessionId, archived: bool) -> Result<(), Problem> {
        self.ask(&Ask::Archive { session, archived }).await
    }

    pub async fn delete(&self, session: SessionId) -> Result<(), Problem> {
        self.ask(&Ask::Delete(session)).await
    }

    pub async fn stop(&self, run: RunId) -> Result<(), Problem> {
        self.ask(&Ask::Stop(run)).await
    }

    pub async fn wake(&self) {
        let _ = self.ask::<()>(&Ask::Wake).await;
    }

    pub async fn connection(&self) -> Connection {
        let connection = self.ask(&Ask::Connection).await;
        connection.unwrap_or_else(|problem| panic!("asking a device where it stands: {problem}"))
    }

    pub async fn waiting(&self) -> Result<u64, Problem> {
        self.ask(&Ask::Waiting).await
    }

    pub async fn messages(&self, session: SessionId) -> Result<Vec<MessageView>, Problem> {
        self.ask(&Ask::Messages(session)).await
    }

    pub async fn compare(&self) -> Result<usize, Problem> {
        self.ask(&Ask::Compare).await
    }

    pub async fn fill_disk(&self, is_full: bool) {
        let filled = self.ask::<()>(&Ask::FillDisk(is_full)).await;
        filled.unwrap_or_else(|problem| panic!("filling a device's disk: {problem}"));
    }

    /// Whether these words are among what it has logged.
    pub fn has_said(&self, words: &str) -> bool {
        self.times_said(words) > 0
    }

    /// How many lines of what it has logged hold these words.
    pub fn times_said(&self, words: &str) -> usize {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|line| line.contains(words)).count()
    }

    fn last_words(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.get(log.len().saturating_sub(40)..)
            .unwrap_or_default()
            .join("\n")
    }

    async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, Problem> {
        let mut running = self.running.lock().await;
        running.say(ask).await;
        let answer = soon("a device to answer", running.hear()).await;
        let Some(answer) = answer else {
            panic!("a device ended by itself: {}", self.last_words());
        };
        answer.map(|value| {
            serde_json::from_value(value)
                .unwrap_or_else(|error| panic!("reading the answer to {ask:?}: {error}"))
        })
    }
}

impl Drop for DeviceProgram {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- a device's last words ---\n{}", self.last_words());
        }
    }
}
