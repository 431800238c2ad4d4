//! The scripts of the client's model, played on the real server and PostgreSQL: the same laws hold of the same engine.

use harness::{Answer, Client, Person, Socket, Stack, Welcome, until};
use http::Method;
use protocol::frame::ServerFrame;
use protocol::mutation::{Batch, BatchAnswer};
use protocol::sync::{Bootstrap, Change, Cursor, SyncPage};
use protocol::{Problem, SessionId, routes};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use sync_client::engine::{Event, Failure};
use sync_client::tab::model::{Real, World, seeded};
use sync_client::tab::{Input, Want};
use tokio::runtime::Handle;

const DEEDS: usize = 120;
/// As small as the model's, so that a few rows are many pages.
const PAGE: usize = 3;
const LISTED: usize = 2;
const STRETCH: usize = 2;

#[derive(Debug)]
struct Installation {
    stack: Stack,
    client: Client,
    backup: PathBuf,
    floor: i64,
    /// Where the account stood at the last look, and whether a reply was being made then.
    seen: Option<(Cursor, bool)>,
    /// What the last look saw and nobody was told yet.
    news: Option<(Cursor, Vec<Change>)>,
    runtime: Handle,
}

impl Installation {
    /// One that has been used before: more sessions than a list's page, more messages than a stretch.
    async fn lived_in() -> Self {
        let stack = Stack::start().await;
        let (_, client) = Person::join_natively(&stack).await;
        for messages in 1..=4 {
            let session = client.create_session("").await;
            for n in 1..=messages {
                client.say(session, &format!("old words {messages} {n}")).await;
            }
        }
        let backup = stack.folder().join("backup");
        let runtime = Handle::current();
        Self {
            stack,
            client,
            backup,
            floor: 0,
            seen: None,
            news: None,
            runtime,
        }
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let sent = self.client.try_send(self.client.request(Method::GET, path)).await;
        read(sent)
    }

    async fn push(&self, batch: &Batch) -> Result<BatchAnswer, Failure> {
        let request = self.client.request(Method::POST, routes::MUTATIONS).json(batch);
        read(self.client.try_send(request).await)
    }

    async fn page(&self, from: Cursor, limit: usize) -> Result<SyncPage, Failure> {
        self.ask(&format!("{}?cursor={from}&limit={limit}", routes::SYNC))
            .await
    }

    async fn serve(&self, want: &Want) -> Input {
        match want {
            Want::Bootstrap { ticket } => {
                let answer = self
                    .ask(&format!("{}?sessions={LISTED}", routes::BOOTSTRAP))
                    .await;
                Input::Engine(match answer {
                    Ok(bootstrap) => Event::Bootstrapped {
                        ticket: *ticket,
                        bootstrap: Box::new(bootstrap),
                    },
                    Err(failure) => failed(*ticket, failure),
                })
            }
            Want::Pull { ticket, from, .. } => Input::Engine(match self.page(*from, PAGE).await {
                Ok(page) => Event::Pulled {
                    ticket: *ticket,
                    page: Box::new(page),
                },
                Err(failure) => failed(*ticket, failure),
            }),
            Want::OpenSocket { ticket, .. } => {
                let socket = Socket::open(&self.client).await;
                let Welcome { device, head, .. } = socket.welcome.expect("a welcome");
                let frame = ServerFrame::Welcome {
                    device,
                    head,
                    ping: 25_000,
                    // tails are not what is claimed here
                    live: Vec::new(),
                };
                Input::Engine(Event::Frame {
                    ticket: *ticket,
                    frame: Box::new(frame),
                })
            }
            Want::Upload { lane, batch } => Input::Uploaded {
                lane: *lane,
                result: self.push(batch).await,
            },
            Want::Load { session, before } => Input::Loaded {
                session: *session,
                result: self.ask(&stretch(*session, *before)).await,
            },
            Want::LoadList { archived, before } => {
                let path = format!(
                    "{}?archived={archived}&before={before}&limit={LISTED}",
                    routes::SESSIONS
                );
                Input::ListLoaded {
                    result: self.ask(&path).await,
                }
            }
            Want::CloseSocket
            | Want::Probe { .. }
            | Want::Send(_)
            | Want::Renew
            | Want::Timer { .. }
            | Want::Push(_) => panic!("{want:?} is not the server's to answer"),
        }
    }

    /// From the beginning on, whatever the floor is, where anything is new.
    async fn see_everything(&mut self) {
        if let Some((at, _)) = self.seen
            && self.page(at, 1).await.is_ok_and(|page| page.to == at)
        {
            return;
        }
        if self.floor > 0 {
            self.stack.execute("update sync_heads set floor_seq = 0").await;
        }
        let found = until("the server to tell everything", async || {
            let first: Bootstrap = self
                .ask(&format!("{}?sessions=1", routes::BOOTSTRAP))
                .await
                .ok()?;
            let epoch = first.as_of.epoch;
            self.page(Cursor { epoch, seq: 0 }, 500).await.ok()
        })
        .await;
        assert!(!found.more, "more than one page is not of one moment");
        if self.floor > 0 {
            let floor = self.floor;
            let back = format!("update sync_heads set floor_seq = {floor} where head_seq >= {floor}");
            self.stack.execute(&back).await;
        }
        let is_running = |change: &Change| matches!(change, Change::Session(session) if session.running);
        self.seen = Some((found.to, found.changes.iter().any(is_running)));
        self.news = Some((found.to, found.changes));
    }

    async fn until_all_ended(&mut self) {
        until("every reply to have ended", async || {
            self.see_everything().await;
            self.seen.is_some_and(|(_, is_running)| !is_running).then_some(())
        })
        .await;
    }
}

fn stretch(session: SessionId, before: Option<i64>) -> String {
    let before = before.map_or_else(String::new, |ord| format!("&before_ord={ord}"));
    format!("{}?limit={STRETCH}{before}", routes::messages(session))
}

const fn failed(ticket: u32, failure: Failure) -> Event {
    Event::Failed { ticket, failure }
}

/// As the desktop's own client reads an answer.
fn read<T: DeserializeOwned>(sent: Result<Answer, reqwest::Error>) -> Result<T, Failure> {
    let answer = sent.map_err(|error| {
        if error.is_connect() {
            Failure::NotSent
        } else {
            Failure::Cut
        }
    })?;
    if answer.status == 200 {
        return Ok(answer.expect());
    }
    let problem: Problem = answer.problem();
    Err(match (answer.status, problem.reason) {
        (401, _) => Failure::Unauthorized,
        (409, Some(reason)) => Failure::Reset(reason),
        (429 | 500.., _) => Failure::Later { retry_after: None },
        _refused => Failure::Refused(problem),
    })
}

impl Real for Installation {
    fn answer(&mut self, want: &Want) -> Input {
        self.runtime.clone().block_on(self.serve(want))
    }

    fn pull(&mut self, from: Cursor) -> Result<SyncPage, Failure> {
        self.runtime.clone().block_on(self.page(from, PAGE))
    }

    fn look(&mut self) -> Option<(Cursor, Vec<Change>)> {
        self.runtime.clone().block_on(self.see_everything());
        self.news.take()
    }

    fn rest(&mut self) {
        self.runtime.clone().block_on(self.until_all_ended());
    }

    fn compact(&mut self) {
        let raised = async {
            let head = self.stack.number("select max(head_seq) from sync_heads").await;
            self.stack
                .execute("update sync_heads set floor_seq = head_seq")
                .await;
            head
        };
        self.floor = self.runtime.clone().block_on(raised);
    }

    fn back_up(&mut self) {
        self.runtime.clone().block_on(self.stack.back_up(&self.backup));
    }

    fn restore(&mut self) {
        self.runtime.clone().block_on(self.stack.restore(&self.backup));
        self.seen = None;
    }
}

async fn every_law_holds(seed: u64) {
    let installation = Box::new(Installation::lived_in().await);
    let script = seeded(seed, DEEDS);
    let played = tokio::task::spawn_blocking(move || World::play_on(installation, &script).map(drop));
    if let Err(broken) = played.await.expect("a world that ends") {
        panic!("seed {seed}: {broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_the_model_breaks_no_law_on_postgresql() {
    every_law_holds(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_script_of_the_model_breaks_no_law_on_postgresql() {
    every_law_holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_script_of_the_model_breaks_no_law_on_postgresql() {
    every_law_holds(2).await;
}
