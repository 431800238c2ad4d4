//! What every work needs: a database of its own with people and their sessions, the server, and everybody signed in.

use crate::process::Process;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use mailbox::Mailbox;
use protocol::auth::{Client, Email, Password, SignIn, SignUp, SignUpStarted, SignedIn, Verify};
use protocol::routes;
use serde::Serialize;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::path::PathBuf;

/// People, each with 50 sessions, the newest of which has 20 messages.
pub const PEOPLE: usize = 200;
/// What the server believes to be its address; nobody goes there.
const PUBLIC_URL: &str = "http://127.0.0.1:9";
const EMAIL: &str = "bench@example.org";
pub const PASSWORD: &str = "timber-lagoon-quartz-sparrow";

/// One of the people, signed in twice.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: uuid::Uuid,
    pub email: String,
    /// The session with messages.
    pub session: uuid::Uuid,
    pub access_token: String,
    pub cookie: String,
}

#[derive(Debug)]
pub struct Stage {
    pub server: Process,
    pub members: Vec<Member>,
    pub pool: PgPool,
    pub database: String,
    settings: Vec<(&'static str, String)>,
    binaries: PathBuf,
    folder: PathBuf,
    admin: String,
    _mailbox: Mailbox,
}

impl Stage {
    pub async fn set() -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let admin = setting("COMPYMAC_TEST_PG")?;
        let name = format!("bench_{}", std::process::id());
        run(&admin, &format!("create database {name}")).await?;
        let (host, _) = admin
            .rsplit_once('/')
            .context("COMPYMAC_TEST_PG names no database")?;
        let database = format!("{host}/{name}");
        let mailbox = Mailbox::start().await?;
        let folder = std::env::temp_dir().join(&name);
        let settings = settings(&database, &name, &mailbox, &folder)?;
        let binaries = PathBuf::from(setting("COMPYMAC_BIN_DIR")?);
        let server = Process::start(&binaries.join("sync-server"), &[], &settings).await?;
        let pool = PgPoolOptions::new().max_connections(2).connect(&database).await?;
        sign_up(&server.address, &mailbox).await?;
        fill(&pool).await.context("filling the database")?;
        let members = sign_in(&server.address, &pool).await?;
        Ok(Self {
            server,
            members,
            pool,
            database,
            settings,
            binaries,
            folder,
            admin,
            _mailbox: mailbox,
        })
    }

    /// Another server on the same stores, with nothing behind it yet.
    pub async fn fresh_server(&self) -> anyhow::Result<Process> {
        Process::start(&self.binaries.join("sync-server"), &[], &self.settings).await
    }

    /// One of the limits.
    pub async fn limit(&self, word: &str) -> anyhow::Result<Process> {
        let settings = [("DATABASE_URL", self.database.clone())];
        Process::start(&std::env::current_exe()?, &[word], &settings).await
    }

    /// Until there are so many times as many people, each with as much as the first ones have.
    pub async fn grow(&self, times: usize) -> anyhow::Result<()> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "insert into users (email, email_key)
                 select 'more' || n || '@example.org', 'more' || n || '@example.org'
                 from generate_series(1, {}) n on conflict do nothing;",
            PEOPLE * (times - 1)
        )))
        .execute(&self.pool)
        .await?;
        belongings(&self.pool).await
    }

    pub async fn clear(self) -> anyhow::Result<()> {
        drop(self.server);
        self.pool.close().await;
        let name = self.database.rsplit('/').next().unwrap_or_default();
        run(&self.admin, &format!("drop database {name} with (force)")).await?;
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bench's one place that reads the environment"
)]
pub fn setting(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; `cargo xtask bench` sets it"))
}

fn settings(
    database: &str,
    name: &str,
    mailbox: &Mailbox,
    folder: &std::path::Path,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let secret = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>());
    Ok(vec![
        ("LISTEN", "127.0.0.1:0".to_owned()),
        ("PUBLIC_URL", PUBLIC_URL.to_owned()),
        ("DATABASE_URL", database.to_owned()),
        ("REDIS_URL", setting("COMPYMAC_TEST_REDIS")?),
        ("REDIS_PREFIX", format!("{name}:")),
        ("COMPYMAC_SECRET", secret),
        ("WORKSPACES", folder.join("workspaces").display().to_string()),
        ("BREACHED_PASSWORDS", "off".to_owned()),
        ("UI_DIST", setting("COMPYMAC_UI_DIST")?),
        ("SMTP_URL", mailbox.smtp_url()),
        ("DRAIN_AFTER", "0".to_owned()),
        ("DRAIN_WITHIN", "0".to_owned()),
        ("RATE_LIMIT_FACTOR", "100000".to_owned()),
        ("LOG", "warn".to_owned()),
    ])
}

async fn run(url: &str, sql: &str) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&pool)
        .await?;
    pool.close().await;
    Ok(())
}

/// The first of the people, through the product's own door.
async fn sign_up(address: &str, mailbox: &Mailbox) -> anyhow::Result<()> {
    let email = Email::parse(EMAIL)?;
    let started: SignUpStarted = post(
        address,
        routes::SIGN_UP,
        &SignUp {
            email: email.clone(),
            password: Password::typed(PASSWORD),
            name: None,
            work: None,
        },
    )
    .await?;
    let letters = mailbox.wait_for(EMAIL, 1).await?;
    let code = letters
        .first()
        .and_then(|letter| letter.code.clone())
        .context("a code in the letter")?;
    let _: SignedIn = post(
        address,
        routes::VERIFY,
        &Verify {
            email,
            code,
            binding: Some(started.binding),
            client: native(),
            stay: false,
        },
    )
    .await?;
    Ok(())
}

/// The others have the first one's password.
async fn fill(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into users (email, email_key, email_verified, password_hash)
             select 'bench' || n || '@example.org', 'bench' || n || '@example.org', now(),
                    (select password_hash from users where email_key = '{EMAIL}')
             from generate_series(1, {}) n;",
        PEOPLE - 1
    )))
    .execute(pool)
    .await?;
    belongings(pool).await
}

/// What everybody gets who has nothing yet, written at once.
async fn belongings(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(
        "create table new as select id from users where id not in (select user_id from agent_sessions);
         insert into sync_heads (user_id) select id from new on conflict do nothing;
         insert into agent_sessions (user_id, id, seq, created_seq, title, workspace_path, last_ord, preview, last_active)
             select u.id, gen_random_uuid(), n, n, 'A session about matter number ' || n, '/nowhere',
                    case n when 1 then 20 else 0 end, 'The last thing that was said here, cut to one line of a list',
                    now() - n * interval '1 minute'
             from new u, generate_series(1, 50) n;
         insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content)
             select s.user_id, gen_random_uuid(), s.id, 50 + n, 50 + n, n,
                    case n % 2 when 1 then 'user' else 'assistant' end, repeat('Words of a message. ', 20)
             from new u join agent_sessions s on s.user_id = u.id, generate_series(1, 20) n where s.seq = 1;
         update sync_heads set head_seq = 70 where user_id in (select id from new);
         drop table new;",
    )
    .execute(pool)
    .await?;
    // by itself: it takes no part in a transaction
    sqlx::raw_sql("vacuum analyze").execute(pool).await?;
    Ok(())
}

async fn sign_in(address: &str, pool: &PgPool) -> anyhow::Result<Vec<Member>> {
    let people: Vec<(uuid::Uuid, uuid::Uuid, String)> = sqlx::query_as(
        "select u.id, s.id, u.email from users u join agent_sessions s on s.user_id = u.id and s.seq = 1 order by u.email",
    )
    .fetch_all(pool)
    .await?;
    futures_util::stream::iter(people)
        .map(|person| enter(address, person))
        // a hash takes a core for a tenth of a second
        .buffered(4)
        .try_collect()
        .await
}

/// Signs one of them in, as a program and as a browser.
async fn enter(
    address: &str,
    (user, session, email): (uuid::Uuid, uuid::Uuid, String),
) -> anyhow::Result<Member> {
    let ask = |client| -> anyhow::Result<SignIn> {
        Ok(SignIn {
            email: Email::parse(&email)?,
            password: Password::typed(PASSWORD),
            binding: None,
            client,
            stay: false,
        })
    };
    let signed_in: SignedIn = post(address, routes::SIGN_IN, &ask(native())?).await?;
    let answer = send(address, routes::SIGN_IN, &ask(Client::Browser)?).await?;
    let cookie = answer
        .headers()
        .get_all(reqwest::header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
        .collect::<Vec<_>>()
        .join("; ");
    Ok(Member {
        user,
        email: email.clone(),
        session,
        access_token: signed_in
            .tokens
            .context("a native client gets tokens")?
            .access_token,
        cookie,
    })
}

pub async fn post<T: serde::de::DeserializeOwned>(
    address: &str,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<T> {
    Ok(send(address, path, body).await?.json().await?)
}

async fn send(address: &str, path: &str, body: &impl Serialize) -> anyhow::Result<reqwest::Response> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client
        .post(format!("http://{address}{path}"))
        // as a page of the site would say it
        .header(reqwest::header::ORIGIN, PUBLIC_URL)
        .json(body)
        .send()
        .await?;
    if !answer.status().is_success() {
        bail!("{path} answered {}: {}", answer.status(), answer.text().await?);
    }
    Ok(answer)
}

pub fn native() -> Client {
    Client::Native {
        name: "Bench".to_owned(),
        os: "linux".to_owned(),
        version: "0.1.0".to_owned(),
    }
}
