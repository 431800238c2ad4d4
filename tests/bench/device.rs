//! W9 and W10: a device's first sync of a large account, and what it then does by itself, beside raw rusqlite.

use crate::stage::{Member, PASSWORD, Stage};
use crate::table::{Row, Tally};
use anyhow::{Context as _, bail};
use protocol::auth::{Email, Password};
use protocol::view::LIST_ROWS;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use sync_client::Device;
use sync_client::credentials::InMemory;
use sync_client::driver::Computer;
use sync_client::search::segmented;

/// Words that messages are made of, so that a search finds some and not all.
const WORDS: &str =
    "array['harbor','lantern','meadow','copper','thicket','violet','summit','ember','willow','anchor']";

/// What a row of the list is made of, read by whoever does nothing else.
const LIST: &str =
    "select id, title, preview, last_active, last_ord, seq, title_seq, archived, running, created_at
    from sessions where gone = 0 and archived = 0 order by last_active desc, id desc";

const PATIENCE: Duration = Duration::from_mins(5);

/// A computer that has just signed in.
pub struct Laptop {
    pub device: Device,
    folder: tempfile::TempDir,
}

impl Laptop {
    /// `address`: the node's, as [`Process`](crate::process::Process) has it.
    pub async fn new(address: &str, member: &Member) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("compymac-bench-")
            .tempdir_in("/var/tmp")?;
        let computer = Computer {
            name: "Bench".to_owned(),
            os: "linux".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let server = format!("http://{address}").parse()?;
        let credentials = Arc::new(InMemory::default());
        let device = Device::open(folder.path(), server, computer, credentials).await?;
        let email = Email::parse(&member.email)?;
        device.sign_in(email, Password::typed(PASSWORD)).await?;
        Ok(Self { device, folder })
    }

    pub async fn until_it_has(&self, messages: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.device.storage().await?.messages < messages {
            if begun.elapsed() > PATIENCE {
                bail!("the first sync did not end");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub fn cache(&self) -> anyhow::Result<PathBuf> {
        find(self.folder.path(), "cache.db").context("finding the cache")
    }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return Some(path);
        }
    }
    None
}

/// Gives a person so many sessions of so many messages each, in place of what they have.
pub async fn fill(stage: &Stage, member: &Member, sessions: i64, messages: i64) -> anyhow::Result<()> {
    let user = member.user;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "delete from agent_sessions where user_id = '{user}';
         insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path, last_ord, preview, last_active)
             select '{user}', gen_random_uuid(), n, n, 'A session about matter number ' || n, '/nowhere', {messages},
                    'The last thing that was said here, cut to one line of a list', now() - n * interval '1 minute'
             from generate_series(1, {sessions}) n;
         insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
             select s.user_id, gen_random_uuid(), s.id, {sessions} + (s.seq - 1) * {messages} + n,
                    {sessions} + (s.seq - 1) * {messages} + n, n,
                    case n % 2 when 1 then 'user' else 'assistant' end,
                    'Message ' || n || ' of matter ' || s.seq || ': ' || repeat('Words of a message. ', 18)
                        || ({WORDS})[1 + (s.seq * 7 + n) % 10]
             from agent_sessions s, generate_series(1, {messages}) n where s.user_id = '{user}';
         update sync_heads set head_seq = {sessions} * ({messages} + 1) where user_id = '{user}';",
    )))
    .execute(&stage.pool)
    .await?;
    sqlx::raw_sql("analyze").execute(&stage.pool).await?;
    Ok(())
}

/// The newest session gets 5,000 messages.
async fn lengthen(stage: &Stage, member: &Member) -> anyhow::Result<()> {
    let user = member.user;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
             select s.user_id, gen_random_uuid(), s.id, h.head_seq + n, h.head_seq + n, 20 + n, 'user',
                    'Message ' || n || ' of a long matter'
             from agent_sessions s join sync_heads h using (user_id), generate_series(1, 4980) n
             where s.user_id = '{user}' and s.seq = 1;
         update agent_sessions set last_ord = 5000 where user_id = '{user}' and seq = 1;
         update sync_heads set head_seq = head_seq + 4980 where user_id = '{user}';",
    )))
    .execute(&stage.pool)
    .await?;
    Ok(())
}

/// 1,000 sessions of 100 messages. p50 and p99 are those of reading the list here meanwhile.
pub async fn first_sync(stage: &Stage) -> anyhow::Result<Row> {
    const SESSIONS: u32 = 1_000;
    const MESSAGES: u32 = 100;
    let member = stage.members.last().context("a person")?;
    fill(stage, member, SESSIONS.into(), MESSAGES.into()).await?;
    let all = SESSIONS * MESSAGES;
    let laptop = Laptop::new(&stage.server.address, member).await?;
    let begun = Instant::now();
    while laptop.device.list(false, LIST_ROWS).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let usable = begun.elapsed();
    let mut reading = Tally::default();
    let whole = laptop.until_it_has(all.into());
    tokio::pin!(whole);
    loop {
        tokio::select! {
            done = &mut whole => break done?,
            () = tokio::time::sleep(Duration::from_millis(25)) => {
                let asked = Instant::now();
                laptop.device.list(false, LIST_ROWS).await?;
                reading.add(vec![asked.elapsed()], 0.0);
            }
        }
    }
    let took = begun.elapsed();
    let cache = laptop.cache()?;
    laptop.device.close().await;
    let raw = raw_insert(&cache, usize::MAX)?;
    Ok(Row {
        work: format!(
            "W9 first sync of {all} messages, list after {} ms",
            usable.as_millis()
        ),
        ours: f64::from(all) / took.as_secs_f64(),
        limit: f64::from(all) / raw.as_secs_f64(),
        unit: "/s",
        less_is_better: false,
        p50: reading.percentile(0.5),
        p99: reading.percentile(0.99),
        memory: stage.server.memory()?,
    })
}

/// A message's columns, in the order of the queries below.
type Line = (String, String, i64, i64, String, i64, String, i64);

/// How long rusqlite takes for the same rows (the newest, at most so many) and their index, and nothing else: 500 to a
/// transaction.
pub fn raw_insert(cache: &Path, most: usize) -> anyhow::Result<Duration> {
    let source = Connection::open_with_flags(cache, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut select =
        source.prepare("select id, session_id, ord, seq, role, status, content, created_at from messages order by seq desc limit ?1")?;
    let lines: Vec<Line> = select
        .query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    let folder = tempfile::Builder::new()
        .prefix("compymac-bench-")
        .tempdir_in("/var/tmp")?;
    let mut raw = Connection::open(folder.path().join("raw.db"))?;
    teach(&raw)?;
    raw.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = normal;
         create table messages (rowid integer primary key, id text not null unique, session_id text not null,
             ord integer not null, seq integer not null, role text not null, status integer not null,
             content text not null, created_at integer not null, unique (session_id, ord)) strict;
         create virtual table messages_fts using fts5 (content, content = 'messages', content_rowid = 'rowid',
             tokenize = \"unicode61 remove_diacritics 2\");
         create trigger messages_fts_insert after insert on messages begin
             insert into messages_fts (rowid, content) values (new.rowid, segmented(new.content));
         end;",
    )?;
    let begun = Instant::now();
    for chunk in lines.chunks(500) {
        let transaction = raw.transaction()?;
        let mut insert = transaction.prepare_cached(
            "insert into messages (id, session_id, ord, seq, role, status, content, created_at)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (id, session, ord, seq, role, status, content, created_at) in chunk {
            insert.execute((id, session, ord, seq, role, status, content, created_at))?;
        }
        drop(insert);
        transaction.commit()?;
    }
    Ok(begun.elapsed())
}

/// What the index is read and written with, so that scripts without spaces are found.
fn teach(raw: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    raw.create_scalar_function("segmented", 1, flags, |context| {
        Ok(segmented(context.get_raw(0).as_str()?).into_owned())
    })
}

/// Reads on the device alone, of so many sessions with twenty messages each.
pub async fn local(stage: &Stage, sessions: u32) -> anyhow::Result<Vec<Row>> {
    let member = stage.members.last().context("a person")?;
    fill(stage, member, sessions.into(), 20).await?;
    lengthen(stage, member).await?;
    let laptop = Laptop::new(&stage.server.address, member).await?;
    laptop.until_it_has(u64::from(sessions) * 20 + 4_980).await?;
    let raw = Connection::open_with_flags(laptop.cache()?, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    teach(&raw)?;
    let listed = laptop.device.list(false, usize::MAX).await?;
    let opened = listed.first().context("a session")?.id;
    let device = &laptop.device;
    let rows = vec![
        repeat(
            &format!("W10 first page of a list of {sessions} sessions"),
            stage,
            async || Ok(device.list(false, LIST_ROWS).await.map(drop)?),
            || count(&raw, &format!("{LIST} limit {LIST_ROWS}"), []),
        )
        .await?,
        repeat(
            "W10 the whole list, as a filter asks for it",
            stage,
            async || Ok(device.list(false, usize::MAX).await.map(drop)?),
            || count(&raw, LIST, []),
        )
        .await?,
        search(&laptop, &raw, stage, "in every tenth message", "matter lantern").await?,
        search(&laptop, &raw, stage, "in every message", "matter").await?,
        search(
            &laptop,
            &raw,
            stage,
            "in some, with one that is in all",
            "matter 4321",
        )
        .await?,
        repeat(
            "W10 open a session of 5,000 messages",
            stage,
            async || Ok(device.transcript(opened).await.map(drop)?),
            || {
                count(
                    &raw,
                    "select * from messages where session_id = ?1 order by ord desc limit 100",
                    [opened.to_string()],
                )
            },
        )
        .await?,
    ];
    laptop.device.close().await;
    Ok(rows)
}

/// What is looked for, and in how many it is.
async fn search(
    laptop: &Laptop,
    raw: &Connection,
    stage: &Stage,
    frequency: &str,
    words: &str,
) -> anyhow::Result<Row> {
    const RANKED: &str = "select rowid, snippet(messages_fts, 0, '', '', '…', 12) from messages_fts
        where messages_fts match ?1 order by rank limit 50";
    let messages = laptop.device.storage().await?.messages;
    repeat(
        &format!("W10 search of {messages} messages, words {frequency}"),
        stage,
        async || Ok(laptop.device.search(words, None).await.map(drop)?),
        || count(raw, RANKED, [words]),
    )
    .await
}

fn count(raw: &Connection, sql: &str, parameters: impl rusqlite::Params) -> anyhow::Result<usize> {
    let mut statement = raw.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(parameters)?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            // as a program would: each value is taken
            read += row.get::<_, rusqlite::types::Value>(column).map(|_| 1)?;
        }
    }
    Ok(read)
}

/// Each side fifty times, in turns; in milliseconds.
async fn repeat(
    work: &str,
    stage: &Stage,
    ours: impl AsyncFn() -> anyhow::Result<()>,
    raw: impl Fn() -> anyhow::Result<usize>,
) -> anyhow::Result<Row> {
    let (mut own, mut limit) = (Tally::default(), Tally::default());
    for turn in 0..=50 {
        let begun = Instant::now();
        ours().await?;
        let took = begun.elapsed();
        let begun = Instant::now();
        std::hint::black_box(raw()?);
        // the first turn fills caches and is not counted
        if turn > 0 {
            own.add(vec![took], 0.0);
            limit.add(vec![begun.elapsed()], 0.0);
        }
    }
    let millis = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1000.0;
    Ok(Row {
        work: format!("{work}; p95 {:.1} ms", millis(own.percentile(0.95))),
        ours: millis(own.percentile(0.5)),
        limit: millis(limit.percentile(0.5)),
        unit: "ms",
        less_is_better: true,
        p50: own.percentile(0.5),
        p99: own.percentile(0.99),
        memory: stage.server.memory()?,
    })
}
