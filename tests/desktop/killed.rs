//! The app is killed (SIGKILL) while somebody types, while it sends, and while it loads what another device writes, at moments drawn
//! from a seed. Nothing is lost that was seen, nothing is there twice, and in the end it has what the server has.
//!
//! `COMPYMAC_KILL_SEED=N` draws the same moments once more; how they meet the app's own timing is chance all the same.

use crate::{Away, Scene};
use harness::{Seat, mutation, seed, until};
use protocol::limits::BATCH_OPS;
use protocol::mutation::{Op, RunMode};
use protocol::view::Connection;
use protocol::{MessageId, Problem, SessionId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant};
use sync_client::Device;
use sync_client::credentials::{Credential, CredentialStore, FileKey, InMemory, Sealing};
use sync_client::driver::Computer;

const COMPOSER: &str = "composer-input";
const MINE: &str = "[data-testid=\"message\"][data-role=\"user\"]";
const WAITING: &str = "[data-testid=\"message\"][data-delivery=\"waiting\"]";

/// The latest moment of a deed's end.
const LATEST_MILLIS: u64 = 400;
/// How long is typed before that moment.
const TYPED_FOR: Duration = Duration::from_millis(900);
/// What was typed within so long may be lost.
const DRAFT_AGE: Duration = Duration::from_millis(500);
/// So many messages another device writes.
const ENTRIES: usize = 300;

#[derive(Clone, Copy, Debug)]
enum Deed {
    Type,
    Send { is_answered: bool },
    Load,
}

#[derive(Debug)]
struct Round {
    deed: Deed,
    killed_after: Duration,
}

/// Each deed twice, in an order by chance.
fn plan(seed: u64) -> Vec<Round> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut left = Vec::new();
    for is_answered in [true, false] {
        left.extend([Deed::Type, Deed::Send { is_answered }, Deed::Load]);
    }
    let mut rounds = Vec::new();
    while !left.is_empty() {
        rounds.push(Round {
            deed: left.swap_remove(dice.random_range(0..left.len())),
            killed_after: Duration::from_millis(dice.random_range(0..=LATEST_MILLIS)),
        });
    }
    rounds
}

/// What a person did, and what they saw of it.
#[derive(Default)]
struct Done {
    said: Vec<String>,
    /// Of these: what stood among the messages.
    seen: Vec<String>,
    /// What another device wrote, by session.
    elsewhere: Vec<(SessionId, Vec<String>)>,
}

async fn open(scene: &Scene, session: SessionId) {
    scene.screen.wait_text("session-list", "Log book").await;
    scene
        .screen
        .click_on(&format!("[data-session=\"{session}\"] a"))
        .await;
    scene.screen.wait_text("session-title", "Log book").await;
}

/// Types until the end; gives what stood in the composer, and since when.
async fn type_on(scene: &Scene, number: usize, killed_after: Duration) -> Vec<(Instant, String)> {
    scene.screen.fill(COMPOSER, "").await;
    let (begun, mut typed, mut stood) = (Instant::now(), String::new(), Vec::new());
    while begun.elapsed() < TYPED_FOR + killed_after {
        let word = format!("{number}.{} ", stood.len());
        scene.screen.press(COMPOSER, &word).await;
        typed.push_str(&word);
        stood.push((Instant::now(), typed.clone()));
    }
    stood
}

/// A machine that is slow to type is as slow to keep.
async fn stands_as_it_was(scene: &Scene, stood: &[(Instant, String)], killed: Instant) {
    let pairs = stood.iter().zip(stood.iter().skip(1));
    let slowest = pairs.map(|((before, _), (after, _))| *after - *before).max();
    let kept = |at: Instant| killed - at > DRAFT_AGE + slowest.unwrap_or_default();
    let old = stood.iter().take_while(|(at, _)| kept(*at)).last();
    let least = old.map_or("", |(_, text)| text.as_str());
    let whole = stood.last().map_or("", |(_, text)| text.as_str());
    until(&format!("a draft of {whole:?}, {least:?} at least"), async || {
        let value = "return document.getElementById('composer-input')?.value";
        let draft = scene.screen.evaluate(value).await;
        let draft = draft.as_str()?;
        (draft.starts_with(least) && whole.starts_with(draft)).then_some(())
    })
    .await;
}

/// Says it until the end; whether it was seen among the messages.
async fn say(scene: &Scene, text: &str, is_answered: bool, killed_after: Duration) -> bool {
    if !is_answered {
        scene.stack.server.freeze();
    }
    scene.screen.fill(COMPOSER, text).await;
    scene.screen.click("send").await;
    let (begun, mut is_seen) = (Instant::now(), false);
    while begun.elapsed() < killed_after && !is_seen {
        let shown = scene.screen.texts_in(MINE).await;
        is_seen = shown.iter().any(|shown| shown.contains(text));
    }
    tokio::time::sleep(killed_after.saturating_sub(begun.elapsed())).await;
    is_seen
}

/// Another device begins a session and writes on, whatever becomes of the app.
async fn write_elsewhere(scene: &Scene, number: usize, killed_after: Duration) -> (SessionId, Vec<String>) {
    let session = scene.elsewhere.create_session(&format!("Voyage {number}")).await;
    let texts: Vec<String> = (0..ENTRIES)
        .map(|entry| format!("Entry {number}.{entry}"))
        .collect();
    let writing = async {
        for some in texts.chunks(BATCH_OPS) {
            let notes = some.iter().map(|text| {
                mutation(Op::MessageCreate {
                    id: MessageId::fresh(),
                    session,
                    parent: None,
                    content: text.clone(),
                    run: RunMode::Manual,
                })
            });
            scene.elsewhere.push(&notes.collect::<Vec<_>>()).await;
        }
    };
    let killing = async {
        tokio::time::sleep(killed_after).await;
        scene.seat.end_app();
    };
    tokio::join!(writing, killing);
    (session, texts)
}

async fn live_through(scene: Scene, book: SessionId, number: usize, round: &Round, done: &mut Done) -> Scene {
    let mut stood = Vec::new();
    match round.deed {
        Deed::Type => stood = type_on(&scene, number, round.killed_after).await,
        Deed::Send { is_answered } => {
            let text = format!("Said in round {number}");
            if say(&scene, &text, is_answered, round.killed_after).await {
                done.seen.push(text.clone());
            }
            done.said.push(text);
        }
        Deed::Load => done
            .elsewhere
            .push(write_elsewhere(&scene, number, round.killed_after).await),
    }
    let killed = Instant::now();
    let away = scene.killed();
    away.stack.server.thaw();
    let scene = away.started().await;
    open(&scene, book).await;
    if !stood.is_empty() {
        stands_as_it_was(&scene, &stood, killed).await;
    }
    scene
}

/// Once each at the server, as far as it was seen; at most once otherwise, and then here too.
async fn nothing_is_lost_or_doubled(scene: &Scene, book: SessionId, done: &Done) {
    scene.screen.wait_connection("online").await;
    scene.screen.wait_gone(WAITING).await;
    for text in &done.seen {
        until(&format!("{text:?} at the server"), async || {
            (scene.elsewhere.times_kept(book, text).await > 0).then_some(())
        })
        .await;
    }
    for text in &done.said {
        let times = scene.elsewhere.times_kept(book, text).await;
        assert!(times <= 1, "{text:?} is there {times} times");
        until(&format!("{text:?} to be seen {times} times"), async || {
            let shown = scene.screen.texts_in(MINE).await;
            let here = shown.iter().filter(|shown| shown.contains(text));
            (here.count() == times).then_some(())
        })
        .await;
    }
    for (session, texts) in &done.elsewhere {
        let messages = scene.elsewhere.history(*session).await.messages;
        let kept: Vec<String> = messages.into_iter().map(|message| message.content).collect();
        assert_eq!(kept, *texts);
    }
}

/// What opens the app's own files while it does not run: what it keeps in the keychain.
struct OfTheApp {
    signed_in: InMemory,
    key: FileKey,
}

impl OfTheApp {
    async fn at(seat: &Seat) -> Self {
        let kept = seat.kept_secret("credential").await;
        let credential: Credential = serde_json::from_value(kept).expect("a credential");
        let signed_in = InMemory::default();
        signed_in.save(&credential).expect("kept in memory");
        let key = seat.kept_bytes("file-key").await;
        let key: [u8; 32] = key.try_into().expect("a key of 32 bytes");
        Self {
            signed_in,
            key: FileKey::from_bytes(key),
        }
    }
}

impl CredentialStore for OfTheApp {
    fn load(&self) -> Result<Option<Credential>, Problem> {
        self.signed_in.load()
    }

    fn save(&self, credential: &Credential) -> Result<(), Problem> {
        self.signed_in.save(credential)
    }

    fn clear(&self) -> Result<(), Problem> {
        self.signed_in.clear()
    }

    fn sealing(&self) -> Result<Sealing, Problem> {
        Ok(Sealing::With(self.key.clone()))
    }

    fn keys(&self) -> Vec<FileKey> {
        vec![self.key.clone()]
    }
}

/// The device that the app is, over its own files, without its window.
async fn device_of(away: &Away) -> Device {
    let servers = away.seat.app_home().join("servers");
    let mut folders = std::fs::read_dir(servers).expect("the accounts").flatten();
    let folder = folders.next().expect("an account").path();
    assert!(folders.next().is_none(), "one account");
    let server = away.stack.url().parse().expect("an address");
    let computer = Computer {
        name: "Laptop".to_owned(),
        os: "linux".to_owned(),
        version: "0.1.0".to_owned(),
    };
    let opened = Device::open(&folder, server, computer, OfTheApp::at(&away.seat).await);
    opened.await.expect("the app's files")
}

/// By its own comparison, and message by message.
async fn it_has_what_the_server_has(away: &Away, book: SessionId, done: &Done) {
    let device = device_of(away).await;
    until("the device to be online", async || {
        (device.connection() == Connection::Online).then_some(())
    })
    .await;
    assert_eq!(device.compare().await, Ok(0), "stretches that differ");
    assert!(
        !away.seat.log().contains("stretches that differ"),
        "the app found a difference by itself"
    );
    let unsent = device.unsent();
    assert_eq!((unsent.messages, unsent.changes, unsent.refused), (0, 0, 0));
    let sessions = done.elsewhere.iter().map(|(session, _)| *session);
    for session in sessions.chain([book]) {
        until("all of a session", async || {
            let here = device.whole(session).await.ok()?.messages.into_iter();
            let there = away.elsewhere.history(session).await.messages.into_iter();
            let here: Vec<_> = here.map(|one| (one.id, one.role, one.content)).collect();
            let there: Vec<_> = there.map(|one| (one.id, one.role, one.content)).collect();
            (here == there).then_some(())
        })
        .await;
    }
    device.close().await;
}

#[tokio::test]
async fn an_app_that_is_killed_at_any_moment_loses_nothing_that_was_seen_and_doubles_nothing() {
    let seed = seed("COMPYMAC_KILL_SEED");
    let plan = plan(seed);
    eprintln!("COMPYMAC_KILL_SEED={seed}: {plan:?}");
    let mut scene = Scene::signed_in().await;
    let book = scene.elsewhere.create_session("Log book").await;
    open(&scene, book).await;
    let mut done = Done::default();
    for (number, round) in plan.iter().enumerate() {
        scene = live_through(scene, book, number, round, &mut done).await;
    }
    nothing_is_lost_or_doubled(&scene, book, &done).await;
    let away = scene.closed().await;
    until("the app to have ended", async || {
        (!away.seat.runs_app()).then_some(())
    })
    .await;
    it_has_what_the_server_has(&away, book, &done).await;
}
