//! The limit of a turn: pgbench with the writes of one, each commit a single statement.

use crate::stage::{PEOPLE, Stage, setting};
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// As many as the server keeps.
const CONNECTIONS: u32 = 16;
/// People of pgbench's own have ids that end in a number of twelve digits.
const FIRST: u64 = 100_000_000_000;

/// A turn: the person's message with the reply's place, then the reply.
const SCRIPT: &str = "\
\\set n random(FIRST, LAST)
with h as (
    update sync_heads set head_seq = head_seq + 3
    where user_id = ('00000000-0000-4000-8000-' || :n::text)::uuid returning user_id, head_seq
), s as (
    update agent_sessions a set last_ord = last_ord + 2, seq = h.head_seq, live_runs = live_runs + 1,
        preview = 'Good morning', last_active = now()
    from h where a.user_id = h.user_id and a.id = h.user_id returning a.last_ord
), m as (
    insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
    select user_id, gen_random_uuid(), user_id, head_seq - 2, head_seq - 2, last_ord - 1, 'user', 'Good morning'
    from h, s returning id
), r as (
    insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, status)
    select user_id, gen_random_uuid(), user_id, head_seq - 1, head_seq - 1, last_ord, 'assistant', 0
    from h, s returning id
), q as (
    insert into runs (user_id, run_id, session_id, message_id, prompt_id, status)
    select user_id, gen_random_uuid(), user_id, r.id, m.id, 1 from h, r, m
)
insert into mutations (user_id, mutation_id, request, outcome, seq)
select user_id, gen_random_uuid(), sha256('x'), '{}', head_seq from h
returning (select id from r) as reply \\gset
with h as (
    update sync_heads set head_seq = head_seq + 2
    where user_id = ('00000000-0000-4000-8000-' || :n::text)::uuid returning user_id, head_seq
), c as (
    update conversations m set content = 'You said: Good morning', status = 2, seq = h.head_seq - 1
    from h where m.user_id = h.user_id and m.id = :reply::uuid
), q as (
    update runs r set status = 2 from h where r.user_id = h.user_id and r.message_id = :reply::uuid
)
update agent_sessions a set seq = h.head_seq, live_runs = live_runs - 1, preview = 'You said: Good morning',
    last_active = now()
from h where a.user_id = h.user_id and a.id = h.user_id;
";

#[derive(Debug)]
pub struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    database: String,
    password: String,
}

impl Pgbench {
    pub async fn prepare(stage: &Stage) -> anyhow::Result<Self> {
        let last = FIRST + u64::try_from(PEOPLE)?;
        let fill = format!(
            "insert into users (id, email, email_key)
                 select ('00000000-0000-4000-8000-' || n)::uuid, n || '@example.org', n || '@example.org'
                 from generate_series({}, {last}) n
             on conflict do nothing;
             insert into sync_heads (user_id) select id from users on conflict do nothing;
             insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path)
                 select id, id, 0, 0, 'Bench', '/nowhere' from users where id::text like '00000000-0000-4000-8000-%'
             on conflict do nothing;",
            FIRST + 1
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(fill))
            .execute(&stage.pool)
            .await?;
        sqlx::raw_sql("vacuum analyze").execute(&stage.pool).await?;
        let script = std::env::temp_dir().join(format!("compymac-turn-{}.sql", std::process::id()));
        let text = SCRIPT
            .replace("FIRST", &(FIRST + 1).to_string())
            .replace("LAST", &last.to_string());
        std::fs::write(&script, text)?;
        let (database, password) = without_password(&stage.database)?;
        Ok(Self {
            program: PathBuf::from(setting("COMPYMAC_PGBENCH")?),
            script,
            database,
            password,
        })
    }

    /// Turns a second.
    pub async fn rate(&self, time: Duration) -> anyhow::Result<f64> {
        let output = Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-j", "2", "-c", &CONNECTIONS.to_string()])
            .args(["-T", &time.as_secs().to_string(), "-f"])
            .arg(&self.script)
            .arg(&self.database)
            .env("PGPASSWORD", &self.password)
            .output()
            .await
            .with_context(|| format!("starting {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
        }
        said.lines()
            .find_map(|line| {
                line.strip_prefix("tps = ")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .with_context(|| format!("reading what pgbench said: {said}"))
    }
}

impl Drop for Pgbench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.script);
    }
}

/// Arguments can be read by every user of the machine; the password goes by the environment.
fn without_password(url: &str) -> anyhow::Result<(String, String)> {
    let (head, host) = url.split_once('@').context("DATABASE_URL names no user")?;
    let (scheme, user) = head.split_once("://").context("DATABASE_URL names no scheme")?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    Ok((format!("{scheme}://{user}@{host}"), password.to_owned()))
}
