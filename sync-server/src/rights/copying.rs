//! Makes the copies of everything that people asked for: a page in memory at a time, into an archive on disk.

use super::archive::Archive;
use super::exports::{self, Claim, TRIES};
use super::{POLL, Rights, files};
use crate::error::{Error, Result};
use crate::mail::{self, Letter};
use crate::sessions::{messages_after, sessions_after};
use crate::{auth, sync};
use anyhow::{Context as _, anyhow};
use protocol::routes::page;
use protocol::sync::{Message, Role, Session};
use protocol::{SessionId, UserId};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use uuid::Uuid;

/// How long an archive is kept.
const KEPT_HOURS: i32 = 24;
/// How often files are looked for that nobody wants.
const SWEPT: Duration = Duration::from_mins(10);
/// How often a worker gives a sign of life.
const RENEWED: Duration = Duration::from_secs(15);
const SESSIONS: i64 = 100;
const MESSAGES: i64 = 500;
/// Of all workspaces together, in bytes: an archive that nobody can download helps nobody.
const FILES_BYTES: u64 = 256 * 1024 * 1024;
const FILES: usize = 10_000;

const README: &str = "\
Everything that you have at CompyMac.

account.json      who you are here, and how you sign in
devices.json      where you are or were signed in
events.json       what happened at your account's door
sessions/         one folder for each session:
  messages.md     its messages, for people
  messages.json   its messages, for programs (as docs/protocol.md describes them)
  files/          the files of its workspace
left-out.txt      files that were too much, if there are any
";

pub async fn watch(rights: Rights) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut swept: Option<Instant> = None;
    loop {
        tokio::select! {
            () = rights.shutdown.cancelled() => return,
            _ = tick.tick() => {}
            () = rights.0.wanted.notified() => {}
        }
        if let Err(error) = make_wanted(&rights).await {
            tracing::warn!(error = %error.into_problem(), "copies that people asked for could not be made");
        }
        if swept.is_none_or(|at| at.elapsed() > SWEPT) {
            swept = Some(Instant::now());
            if let Err(error) = files::sweep(&rights).await {
                tracing::warn!(error = %error.into_problem(), "archives could not be swept up");
            }
        }
    }
}

async fn make_wanted(rights: &Rights) -> Result<()> {
    while let Some(claim) = exports::claim(&rights.pool).await? {
        if claim.attempt > TRIES {
            give_up(rights, &claim).await?;
            continue;
        }
        let path = files::path(&rights.folder(), claim.id, claim.attempt);
        if let Err(error) = make(rights, &claim, &path).await {
            files::remove(&path).await;
            tracing::warn!(error = %error.into_problem(), "a copy could not be made; it is tried again");
            let pause = if rights.shutdown.is_cancelled() { 0.0 } else { 10.0 };
            exports::let_go(&rights.pool, &claim, pause).await?;
        }
        rights.must_go_on()?;
    }
    Ok(())
}

async fn make(rights: &Rights, claim: &Claim, path: &Path) -> Result<()> {
    files::make_folder(rights.folder())
        .await
        .context("making the archives' folder")?;
    let archive = Archive::begin(path.to_owned());
    let mut copy = Copy {
        rights,
        claim,
        archive: &archive,
        renewed: Instant::now(),
        room: FILES_BYTES,
        files: FILES,
        left_out: Vec::new(),
    };
    let filled = copy.fill().await;
    // the thread says best why it took no more
    let bytes = archive.finish().await?;
    filled?;
    let mut tx = rights.pool.begin().await?;
    let address = auth::address_of(&mut tx, claim.user).await?;
    let (Some(address), true) = (address, exports::ready(&mut tx, claim, bytes, KEPT_HOURS).await?) else {
        return Err(Error::Kept(anyhow!(
            "somebody else makes it now, or it is not wanted any more"
        )));
    };
    let expires = OffsetDateTime::now_utc() + time::Duration::hours(KEPT_HOURS.into());
    let letter = Letter::ExportReady {
        until: auth::in_words(expires)?,
        link: rights.config.link(&page::with_id(page::EXPORT, claim.id)),
    };
    mail::put(&mut tx, Some(claim.user), &address, &letter).await?;
    tx.commit().await?;
    rights.letters_wait();
    metrics::counter!("exports_total", "result" => "ready").increment(1);
    Ok(())
}

async fn give_up(rights: &Rights, claim: &Claim) -> Result<()> {
    let mut tx = rights.pool.begin().await?;
    let address = auth::address_of(&mut tx, claim.user).await?;
    if let (Some(address), true) = (address, exports::fail(&mut tx, claim).await?) {
        let link = rights.config.link(page::SECURITY);
        mail::put(
            &mut tx,
            Some(claim.user),
            &address,
            &Letter::ExportFailed { link },
        )
        .await?;
    }
    tx.commit().await?;
    rights.letters_wait();
    metrics::counter!("exports_total", "result" => "failed").increment(1);
    Ok(())
}

/// One copy being made.
struct Copy<'a> {
    rights: &'a Rights,
    claim: &'a Claim,
    archive: &'a Archive,
    renewed: Instant,
    /// Bytes and number of files that are still taken.
    room: u64,
    files: usize,
    left_out: Vec<String>,
}

impl<'a> Copy<'a> {
    fn user(&self) -> UserId {
        self.claim.user
    }

    /// Asked between pages: is it still ours to make?
    async fn keep_on(&mut self) -> Result<()> {
        self.rights.must_go_on()?;
        if self.renewed.elapsed() > RENEWED {
            if !exports::renew(&self.rights.pool, self.claim).await? {
                return Err(Error::Kept(anyhow!("somebody else makes it now")));
            }
            self.renewed = Instant::now();
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        self.archive.file("README.txt").await?;
        self.archive.text(README).await?;
        let account = auth::account_of(self.rights, self.user()).await?;
        self.archive.file("account.json").await?;
        self.archive
            .text(pretty(&account.context("the account is gone")?)?)
            .await?;
        self.fill_devices().await?;
        self.fill_events().await?;
        let mut last = SessionId(Uuid::nil());
        loop {
            self.keep_on().await?;
            let sessions = sessions_after(&self.rights.pool, self.user(), last, SESSIONS).await?;
            let Some(end) = sessions.last() else { break };
            last = end.id;
            for session in sessions {
                self.fill_session(&session).await?;
            }
        }
        if !self.left_out.is_empty() {
            self.archive.file("left-out.txt").await?;
            self.archive.text(self.left_out.join("\n")).await?;
        }
        Ok(())
    }

    async fn fill_devices(&mut self) -> Result<()> {
        let mut list = self.list("devices.json").await?;
        let mut last = Uuid::nil();
        while let Some((end, page)) = auth::devices_after(self.rights, self.user(), last).await? {
            last = end;
            list.add(&page).await?;
            self.keep_on().await?;
        }
        list.end("\n]\n").await
    }

    async fn fill_events(&mut self) -> Result<()> {
        let mut list = self.list("events.json").await?;
        let mut last = 0;
        while let Some((end, page)) = auth::events_after(self.rights, self.user(), last).await? {
            last = end;
            list.add(&page).await?;
            self.keep_on().await?;
        }
        list.end("\n]\n").await
    }

    async fn list(&self, name: &str) -> Result<List<'a>> {
        self.archive.file(name).await?;
        self.archive.text("[").await?;
        Ok(List {
            archive: self.archive,
            is_first: true,
        })
    }

    async fn fill_session(&mut self, session: &Session) -> Result<()> {
        let folder = format!("sessions/{}", folder_of(session)?);
        self.archive.file(format!("{folder}/messages.md")).await?;
        self.archive.text(heading(session)?).await?;
        let mut last = 0;
        while let Some(page) = self.page(session, &mut last).await? {
            let mut text = String::new();
            for message in page.iter().filter(|message| !message.deleted) {
                text.push_str(&in_markdown(message)?);
            }
            self.archive.text(text).await?;
        }
        self.archive.file(format!("{folder}/messages.json")).await?;
        let opening = format!("{{\"session\": {},\n\"messages\": [", pretty(session)?);
        self.archive.text(opening).await?;
        let mut list = List {
            archive: self.archive,
            is_first: true,
        };
        let mut last = 0;
        while let Some(page) = self.page(session, &mut last).await? {
            list.add(&page).await?;
        }
        list.end("\n]}\n").await?;
        self.fill_files(session, &folder).await
    }

    /// The next messages of a session; `None`: there are no more.
    async fn page(&mut self, session: &Session, last: &mut i64) -> Result<Option<Vec<Message>>> {
        self.keep_on().await?;
        let page = messages_after(&self.rights.pool, self.user(), session.id, *last, MESSAGES).await?;
        let Some(end) = page.last() else {
            return Ok(None);
        };
        *last = end.ord;
        Ok(Some(page))
    }

    /// The workspace, as far as there is room.
    async fn fill_files(&mut self, session: &Session, folder: &str) -> Result<()> {
        let root = sync::workspace_of(self.rights, self.user(), session.id);
        let (from, most) = (root.clone(), self.files + 1);
        let found = tokio::task::spawn_blocking(move || look_through(&from, most))
            .await
            .context("looking through a workspace")?;
        for file in found {
            let name = format!("{folder}/files/{}", file.name);
            if self.files == 0 || file.bytes > self.room {
                self.left_out.push(name);
                continue;
            }
            self.files -= 1;
            self.room -= file.bytes;
            self.archive.copy(name, root.clone(), file.path).await?;
            self.keep_on().await?;
        }
        Ok(())
    }
}

/// A list of JSON values, one a line.
struct List<'a> {
    archive: &'a Archive,
    is_first: bool,
}

impl List<'_> {
    async fn add(&mut self, page: &[impl Serialize]) -> Result<()> {
        let mut text = Vec::new();
        for value in page {
            text.extend_from_slice(if self.is_first { b"\n" } else { b",\n" });
            self.is_first = false;
            serde_json::to_writer(&mut text, value).context("writing JSON")?;
        }
        Ok(self.archive.text(text).await?)
    }

    async fn end(self, text: &'static str) -> Result<()> {
        Ok(self.archive.text(text).await?)
    }
}

fn pretty(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("writing JSON")?)
}

fn moment(millis: i64) -> Result<OffsetDateTime> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    Ok(at.context("reading a time")?)
}

/// By its day, so that they lie in order, and its id, so that each has its own.
fn folder_of(session: &Session) -> Result<String> {
    Ok(format!("{}-{}", moment(session.created_at)?.date(), session.id))
}

fn heading(session: &Session) -> Result<String> {
    let title = if session.title.is_empty() {
        "Untitled"
    } else {
        &session.title
    };
    let begun = auth::in_words(moment(session.created_at)?)?;
    Ok(format!("# {title}\n\nBegun {begun}\n"))
}

fn in_markdown(message: &Message) -> Result<String> {
    let who = match message.role {
        Role::User => "You",
        Role::Assistant => "Agent",
        Role::System => "CompyMac",
    };
    let mut text = format!(
        "\n## {who}, {}\n\n{}\n",
        auth::in_words(moment(message.created_at)?)?,
        message.content
    );
    if !message.status.is_terminal() {
        writeln!(text, "\n(not finished)").context("writing Markdown")?;
    }
    Ok(text)
}

/// A file of a workspace.
struct Found {
    path: PathBuf,
    /// Under the workspace, with slashes.
    name: String,
    bytes: u64,
}

/// Plain files under a folder, at most so many; links are not followed, and names that are no text are passed over.
fn look_through(root: &Path, most: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (Ok(kind), Ok(about)) = (entry.file_type(), entry.metadata()) else {
                continue;
            };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && let Some(name) = name_under(root, &entry.path())
            {
                found.push(Found {
                    path: entry.path(),
                    name,
                    bytes: about.len(),
                });
                if found.len() >= most {
                    return found;
                }
            }
        }
    }
    found
}

fn name_under(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .strip_prefix(root)
        .ok()?
        .iter()
        .map(std::ffi::OsStr::to_str)
        .collect();
    Some(parts?.join("/"))
}
