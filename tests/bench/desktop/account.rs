//! The account that the app is measured with: a thousand sessions of a hundred messages, and one of two thousand.

use anyhow::{Context as _, ensure};
use harness::{Client, Person, Screen, Seat, Stack, root};
use protocol::SessionId;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::path::Path;
use std::time::{Duration, Instant};

/// What `cargo xtask dev --messages` gives.
const MANY: u32 = 100_000;
/// In the one session that is long.
const LONG: u32 = 2_000;
const LONG_TITLE: &str = "The long session";
/// The long session's last words.
pub const LAST_WORDS: &str = "That is the end of the long session.";

const PATIENCE: Duration = Duration::from_mins(5);
const PACE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Account {
    pub person: Person,
    /// Their program on another computer.
    pub elsewhere: Client,
    /// The long session.
    pub long: SessionId,
}

impl Account {
    pub async fn seed(stack: &Stack) -> anyhow::Result<Self> {
        let (person, elsewhere) = Person::join_natively(stack).await;
        let settings = stack.settings();
        let url = settings.iter().find(|(name, _)| *name == "DATABASE_URL");
        let (_, url) = url.context("the server has a database")?;
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        let email = person.email.as_str();
        let many = root().join("xtask/src/dev/many_messages.sql");
        let many = std::fs::read_to_string(&many).with_context(|| format!("reading {}", many.display()))?;
        // as psql fills in what it is told
        let many = many
            .replace(":messages", &MANY.to_string())
            .replace(":'email'", &format!("'{email}'"))
            .replace(":'workspaces'", &format!("'{}'", stack.workspaces().display()));
        run(&pool, many).await.context("the many sessions")?;
        run(&pool, long_session(email, &stack.workspaces()))
            .await
            .context("the long session")?;
        pool.close().await;
        let sessions = elsewhere.sessions().await;
        let long = sessions.iter().find(|session| session.title == LONG_TITLE);
        let long = long.context("the long session is not there")?.id;
        Ok(Self {
            person,
            elsewhere,
            long,
        })
    }

    /// Signs in at a seat, and waits until everything is there.
    pub async fn settle(&self, seat: &Seat) -> anyhow::Result<Screen> {
        let screen = seat.launch().await;
        screen.fill("email", self.person.email.as_str()).await;
        screen.fill("password", &self.person.password).await;
        screen.click("sign-in").await;
        screen.wait("new-session").await;
        screen.wait_connection("online").await;
        let begun = Instant::now();
        while kept(&screen).await < u64::from(MANY + LONG) {
            ensure!(
                begun.elapsed() < PATIENCE,
                "the first sync did not end in {PATIENCE:?}"
            );
            tokio::time::sleep(PACE).await;
        }
        Ok(screen)
    }
}

async fn run(pool: &PgPool, sql: String) -> anyhow::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
    Ok(())
}

/// Questions and answers as an agent gives them: paragraphs, now and then a list and code.
fn long_session(email: &str, workspaces: &Path) -> String {
    format!(
        "with head as (
             update sync_heads set head_seq = head_seq + {LONG} + 1
              where user_id = (select id from users where email_key = lower('{email}'))
          returning user_id, head_seq - {LONG} - 1 as start, gen_random_uuid() as id
         ), session as (
             insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path, last_ord, preview)
             select user_id, id, start + 1, start + 1, '{LONG_TITLE}',
                    '{}' || '/' || user_id || '/' || id, {LONG}, '{LAST_WORDS}'
               from head
         )
         insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
         select user_id, gen_random_uuid(), id, start + 1 + n, start + 1 + n, n,
                case n % 2 when 1 then 'user' else 'assistant' end,
                case when n = {LONG} then '{LAST_WORDS}'
                     when n % 2 = 1 then 'Question ' || n || ': what is to be done about the harbour?'
                     when n % 10 = 0 then 'Answer ' || n || E'. In this order:\n\n- look at it\n- measure **twice**\n\n'
                         || E'```rust\nfn measure(harbour: &Harbour) -> u32 {{\n    harbour.depth()\n}}\n```\n'
                     else 'Answer ' || n || '. ' || repeat('First look at the harbour, and at what lies beside it. ', n % 7 + 1)
                end
           from head, generate_series(1, {LONG}) n;
         analyze conversations;",
        workspaces.display()
    )
}

/// How many messages the app keeps on its disk, by its own word: its files are sealed.
async fn kept(screen: &Screen) -> u64 {
    let asked = "window.__TAURI_INTERNALS__.invoke('storage', {ask: {}, page: Math.random() * 2 ** 32 >>> 0, number: 0}).then((held) => done(held.messages), () => done(0));";
    screen.evaluate_later(asked).await.as_u64().unwrap_or_default()
}
