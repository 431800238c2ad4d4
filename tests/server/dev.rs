//! `cargo xtask dev`: the whole product from one command, and nothing left behind.

use harness::{Client, Stack, free_port, xtask};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::auth::{Client as Kind, Email, Password, SignIn};
use protocol::routes;
use protocol::sync::{Change, Cursor};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What it says once it runs.
struct Dev {
    child: Child,
    output: BufReader<ChildStdout>,
    url: String,
    mailbox: String,
    account: String,
}

impl Dev {
    fn start(data: &Path, port: u16, more: &[&str]) -> Self {
        Self::start_with(data, port, more, &[])
    }

    fn start_with(data: &Path, port: u16, more: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(xtask())
            .envs(settings.iter().copied())
            .args(["dev", "--no-open", "--port", &port.to_string(), "--data"])
            .arg(data)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting cargo xtask dev");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut said = |begins: &str| {
            let mut line = String::new();
            while !line.starts_with(begins) {
                line.clear();
                let length = output.read_line(&mut line).expect("a line");
                assert_ne!(length, 0, "it ended before it said {begins:?}");
            }
            line.trim_start_matches(begins).trim().to_owned()
        };
        let (url, mailbox) = (said("ready "), said("mailbox "));
        let account = said("demo account: ");
        said("data and logs: ");
        Self {
            child,
            output,
            url,
            mailbox,
            account,
        }
    }

    async fn sign_in(&self) -> Client {
        let (email, password) = self.account.split_once(" / ").expect("an address and a password");
        let client = Client::browser(&self.url, &self.url);
        let ask = SignIn {
            email: Email::parse(email).expect("an address"),
            password: Password::typed(password),
            binding: None,
            client: Kind::Browser,
            stay: false,
        };
        client.post(routes::SIGN_IN, &ask).await.succeeds();
        client
    }

    fn stop(mut self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("asking it to end");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
        drop(self.output);
    }
}

/// The process groups that it notes in its folder while it runs: `leader born signal` in each line.
fn groups(data: &Path) -> Vec<i32> {
    let noted = std::fs::read_to_string(data.join("running")).expect("its note of what runs");
    noted
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect()
}

/// Processes of these groups.
fn left(groups: &[i32]) -> Vec<String> {
    let of_one = |stat: &String| {
        // pid (name) state parent group …
        let (_, fields) = stat.rsplit_once(')')?;
        let group: i32 = fields.split_whitespace().nth(2)?.parse().ok()?;
        groups.contains(&group).then_some(())
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| of_one(stat).is_some())
        .collect()
}

/// Where root's PostgreSQL keeps what belongs to a folder that it may not enter.
fn away(data: &Path) -> Option<PathBuf> {
    std::fs::read_link(data.join("postgres")).ok()
}

#[tokio::test]
async fn one_command_runs_the_product_and_leaves_nothing_behind() {
    let folder = tempfile::Builder::new()
        .prefix("compymac-dev-test-")
        .tempdir()
        .expect("a folder");
    let data = folder.path().join("data");
    let port = free_port();
    let dev = Dev::start(&data, port, &[]);
    assert_eq!(dev.url, format!("http://127.0.0.1:{port}"));
    let client = dev.sign_in().await;
    client.get(routes::page::HOME).await.succeeds();
    let session = client.create_session("Kept over night").await;
    let letters = Client::browser(&dev.mailbox, &dev.mailbox).get("/").await;
    letters.succeeds();
    let taken = Command::new(xtask())
        .args(["dev", "--no-open", "--port", &port.to_string(), "--data"])
        .arg(folder.path().join("other"))
        .output()
        .expect("a second one");
    assert!(!taken.status.success());
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(
        said.contains(&port.to_string()),
        "the taken port is named: {said}"
    );
    let started = groups(&data);
    assert!(
        started.len() >= 4,
        "PostgreSQL, Redis, mailbox and server: {started:?}"
    );
    assert!(left(&started).len() >= 4, "they are seen while they run");
    dev.stop(Signal::SIGTERM);
    assert_eq!(left(&started), Vec::<String>::new());

    let dev = Dev::start(&data, port, &["--messages", "250"]);
    let client = dev.sign_in().await;
    assert_eq!(client.session(session).await.title, "Kept over night");
    let listed = client.sessions().await;
    let given: Vec<_> = listed.iter().filter(|row| row.id != session).collect();
    assert_eq!(given.len(), 3, "{listed:?}");
    for row in given {
        assert_eq!(client.history(row.id).await.messages.len(), 100);
    }
    let start = Cursor {
        seq: 0,
        ..client.bootstrap().await.as_of
    };
    let pages = client.pull_all(start, 500).await;
    let seqs = pages.iter().flat_map(|page| &page.changes).map(Change::seq);
    let seqs: Vec<_> = seqs.collect();
    assert_eq!(
        seqs,
        (1..=304).collect::<Vec<_>>(),
        "each number is given to one row"
    );
    let started = groups(&data);
    // as Ctrl-C does
    dev.stop(Signal::SIGINT);
    assert_eq!(left(&started), Vec::<String>::new());
    if let Some(away) = away(&data) {
        std::fs::remove_dir_all(away).expect("taking PostgreSQL's folder away");
    }
}

#[tokio::test]
async fn stores_that_are_there_already_are_used_and_none_is_started() {
    let stack = Stack::start().await;
    let settings = stack.settings();
    let stores: Vec<_> = settings
        .into_iter()
        .filter(|(name, _)| ["DATABASE_URL", "REDIS_URL"].contains(name))
        .collect();
    assert_eq!(stores.len(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let dev = Dev::start_with(&data, free_port(), &[], &stores);
    let client = dev.sign_in().await;
    client.create_session("In the stack's own database").await;
    let kept = "select count(*) from agent_sessions where title = 'In the stack''s own database'";
    assert_eq!(stack.number(kept).await, 1);
    assert!(!data.join("postgres").exists() && !data.join("redis").exists());
    let started = groups(&data);
    dev.stop(Signal::SIGTERM);
    assert_eq!(left(&started), Vec::<String>::new());
}
