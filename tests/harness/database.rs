//! A database and a Redis prefix for each stack: cloned from a migrated template, and gone afterwards.

use crate::offspring::system_program;
use crate::programs::{child, root, setting};
use redis::AsyncCommands as _;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _, Row as _};
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const POSTGRES: &str = "postgres://postgres@127.0.0.1:55432/postgres";
const REDIS: &str = "redis://127.0.0.1:56379/";
/// How long PostgreSQL may take to be back after a crash.
const RECOVERY: Duration = Duration::from_secs(90);

/// The lock under which the template is made: any number that nothing else here uses.
const TEMPLATE_LOCK: i64 = 0x0c0d_e1a7;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One stack's stores. Dropped: the database and every key under the prefix are removed.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    /// Where databases are made and removed.
    admin_url: String,
    pub url: String,
    pub redis_url: String,
    pub redis_prefix: String,
}

impl Database {
    /// `own`: in this cluster, and not in the one that all tests share.
    pub async fn fresh(own: Option<String>) -> Self {
        let admin_url = own
            .or_else(|| setting("COMPYMAC_TEST_PG"))
            .unwrap_or_else(|| POSTGRES.to_owned());
        let redis_url = setting("COMPYMAC_TEST_REDIS").unwrap_or_else(|| REDIS.to_owned());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cm_test_{}_{number}", std::process::id());
        create(&admin_url, &name)
            .await
            .unwrap_or_else(|error| panic!("making the database {name}: {error}"));
        let mut url = url::Url::parse(&admin_url).unwrap_or_else(|error| panic!("COMPYMAC_TEST_PG: {error}"));
        url.set_path(&name);
        Self {
            redis_prefix: format!("{name}:"),
            url: url.to_string(),
            redis_url,
            name,
            admin_url,
        }
    }

    /// Statements of the harness's own, for states that no client can reach: an expired token, a restored backup.
    pub async fn execute(&self, sql: &str) -> u64 {
        let options =
            PgConnectOptions::from_str(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url));
        let mut connection = PgConnection::connect_with(&options)
            .await
            .unwrap_or_else(|error| panic!("reaching the test's database: {error}"));
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("running {sql}: {error}"))
            .rows_affected()
    }

    /// How each of these would be carried out whatever its parameters are: lines of the plan.
    pub async fn plans(&self, statements: &[(String, usize)]) -> Vec<Vec<String>> {
        let mut connection = self.connect().await;
        let mut plans = Vec::new();
        for (statement, parameters) in statements {
            let nulls = vec!["null"; *parameters].join(", ");
            plans.push(plan(&mut connection, "force_generic_plan", statement, &nulls).await);
        }
        plans
    }

    /// How one would be carried out with these parameters, as SQL has them.
    pub async fn plan(&self, statement: &str, parameters: &[&str]) -> Vec<String> {
        let mut connection = self.connect().await;
        plan(
            &mut connection,
            "force_custom_plan",
            statement,
            &parameters.join(", "),
        )
        .await
    }

    async fn connect(&self) -> PgConnection {
        let options =
            PgConnectOptions::from_str(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url));
        PgConnection::connect_with(&options)
            .await
            .unwrap_or_else(|error| panic!("reaching the test's database: {error}"))
    }

    /// One number from the database.
    pub async fn number(&self, sql: &str) -> i64 {
        let options =
            PgConnectOptions::from_str(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url));
        let mut connection = PgConnection::connect_with(&options)
            .await
            .unwrap_or_else(|error| panic!("reaching the test's database: {error}"));
        let row = connection
            .fetch_one(sqlx::AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("asking {sql}: {error}"));
        row.get(0)
    }

    /// See [`crate::Stack::back_up`].
    pub async fn dump(&self, file: &Path) {
        let mut dump = self.program("pg_dump");
        dump.args(["--format=custom", "--file"]).arg(file).arg(&self.name);
        run(dump).await;
    }

    /// See [`crate::Stack::dump`].
    pub async fn text(&self) -> String {
        let mut dump = self.program("pg_dump");
        dump.arg(&self.name);
        let output = tokio::process::Command::from(dump).output().await;
        let output = output.unwrap_or_else(|error| panic!("starting pg_dump: {error}"));
        assert!(output.status.success(), "pg_dump has failed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// See [`crate::Stack::redis_dump`].
    pub async fn redis_text(&self) -> String {
        read_all(&self.redis_url, &self.redis_prefix)
            .await
            .unwrap_or_else(|error| panic!("reading Redis: {error:#}"))
    }

    /// See [`crate::Stack::restore`]. Into a database of its own first, which then takes the place of the other: the
    /// servers find none for a moment, and the old one afterwards.
    pub async fn restore(&self, file: &Path) {
        let (name, coming) = (&self.name, format!("{}_coming", self.name));
        let admin = async |statements: &[String]| {
            let mut admin = PgConnection::connect(&self.admin_url).await?;
            for statement in statements {
                admin.execute(sqlx::AssertSqlSafe(statement.clone())).await?;
            }
            admin.close().await
        };
        let told = |outcome: sqlx::Result<()>| {
            outcome.unwrap_or_else(|error| panic!("restoring {name}: {error}"));
        };
        told(admin(&[format!("create database {coming}")]).await);
        let mut restore = self.program("pg_restore");
        restore.arg("--dbname").arg(&coming).arg(file);
        run(restore).await;
        let mut other_epoch = self.program("psql");
        let statement = "update sync_heads set epoch = gen_random_uuid()";
        other_epoch.args(["-X", "-q", "-c", statement, &coming]);
        run(other_epoch).await;
        let swap = [
            format!("drop database {name} with (force)"),
            format!("alter database {coming} rename to {name}"),
        ];
        told(admin(&swap).await);
    }

    /// One of PostgreSQL's own programs, led to the cluster.
    fn program(&self, name: &str) -> std::process::Command {
        let url = url::Url::parse(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url));
        let mut command = child(&system_program(name), Path::new("/"));
        command
            .env("PGHOST", url.host_str().unwrap_or_default())
            .env("PGPORT", url.port().unwrap_or(5432).to_string())
            .env("PGUSER", url.username())
            .env("PGPASSWORD", url.password().unwrap_or_default());
        command
    }

    /// See [`crate::Stack::crash_postgres`]. Comes back when it can be asked again.
    pub async fn crash(&self) {
        // a process that is there whoever is connected
        let writer = self
            .number("select pid::bigint from pg_stat_activity where backend_type = 'walwriter'")
            .await;
        if let Ok(pid) = i32::try_from(writer) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        // it reads its log again first, which takes as long as the machine is busy
        crate::wait::within(RECOVERY, "PostgreSQL to be back", async || {
            let options = PgConnectOptions::from_str(&self.url).ok()?;
            PgConnection::connect_with(&options).await.ok()
        })
        .await;
    }

    /// Every key under the prefix.
    pub async fn forget_redis(&self) {
        clear(&self.redis_url, &self.redis_prefix)
            .await
            .unwrap_or_else(|error| panic!("clearing Redis: {error:#}"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, admin_url) = (self.name.clone(), self.admin_url.clone());
        let (redis_url, prefix) = (self.redis_url.clone(), self.redis_prefix.clone());
        let cleared = outside(async move {
            let mut admin = PgConnection::connect(&admin_url).await?;
            let drop = format!("drop database if exists {name} with (force)");
            admin.execute(sqlx::AssertSqlSafe(drop)).await?;
            clear(&redis_url, &prefix).await
        });
        if let Err(error) = cleared
            && !std::thread::panicking()
        {
            panic!("left behind {}: {error:#}", self.name);
        }
    }
}

pub(crate) async fn run(command: std::process::Command) {
    let output = tokio::process::Command::from(command).output().await;
    let output = output.unwrap_or_else(|error| panic!("starting a program of PostgreSQL: {error}"));
    assert!(
        output.status.success(),
        "a program of PostgreSQL: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a future to its end from a place that cannot wait, as `drop`.
pub(crate) fn outside<T: Send + 'static>(
    future: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let alone = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(future)
    });
    alone
        .join()
        .unwrap_or_else(|_| anyhow::bail!("the thread that cleans up has ended badly"))
}

async fn create(admin_url: &str, name: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(admin_url).await?;
    sweep(&mut admin).await?;
    let template = template(&mut admin, admin_url).await?;
    let create = format!("create database {name} template {template}");
    admin.execute(sqlx::AssertSqlSafe(create)).await?;
    Ok(())
}

/// Databases of tests that were killed before they could clean up.
async fn sweep(admin: &mut PgConnection) -> anyhow::Result<()> {
    let rows = admin
        .fetch_all("select datname from pg_database where datname like 'cm\\_test\\_%'")
        .await?;
    for row in rows {
        let name: String = row.get(0);
        let owner: Option<u32> = name.split('_').nth(2).and_then(|pid| pid.parse().ok());
        let is_alive = owner.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if !is_alive {
            let drop = format!("drop database if exists {name} with (force)");
            // another test may be sweeping the same
            let _ = admin.execute(sqlx::AssertSqlSafe(drop)).await;
        }
    }
    Ok(())
}

/// The migrated database that stacks are cloned from, made once for each state of the migrations.
async fn template(admin: &mut PgConnection, admin_url: &str) -> anyhow::Result<String> {
    let folder = root().join("migrations/postgres");
    let template = format!("cm_template_{}", fingerprint(&folder)?);
    admin
        .execute(sqlx::AssertSqlSafe(format!(
            "select pg_advisory_lock({TEMPLATE_LOCK})"
        )))
        .await?;
    let exists = format!("select 1 from pg_database where datname = '{template}'");
    if admin.fetch_optional(sqlx::AssertSqlSafe(exists)).await?.is_none() {
        let making = format!("{template}_making");
        for statement in [
            format!("drop database if exists {making} with (force)"),
            format!("create database {making}"),
        ] {
            admin.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
        let mut url = url::Url::parse(admin_url)?;
        url.set_path(&making);
        let mut connection = PgConnection::connect(url.as_str()).await?;
        sqlx::migrate::Migrator::new(folder)
            .await?
            .run(&mut connection)
            .await?;
        connection.close().await?;
        let rename = format!("alter database {making} rename to {template}");
        admin.execute(sqlx::AssertSqlSafe(rename)).await?;
    }
    admin
        .execute(sqlx::AssertSqlSafe(format!(
            "select pg_advisory_unlock({TEMPLATE_LOCK})"
        )))
        .await?;
    Ok(template)
}

fn fingerprint(folder: &Path) -> anyhow::Result<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(std::fs::read(file)?);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(8) {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

async fn clear(redis_url: &str, prefix: &str) -> anyhow::Result<()> {
    let mut redis = redis::Client::open(redis_url)?
        .get_multiplexed_async_connection()
        .await?;
    let keys: Vec<String> = {
        let mut keys = Vec::new();
        let mut found = redis.scan_match::<_, String>(format!("{prefix}*")).await?;
        while let Some(key) = found.next_item().await {
            keys.push(key?);
        }
        keys
    };
    if !keys.is_empty() {
        let _: () = redis.del(keys).await?;
    }
    Ok(())
}

/// Keys under a prefix, each with its value as Redis prints it.
async fn read_all(redis_url: &str, prefix: &str) -> anyhow::Result<String> {
    let mut redis = redis::Client::open(redis_url)?
        .get_multiplexed_async_connection()
        .await?;
    let mut keys: Vec<String> = Vec::new();
    {
        let mut found = redis.scan_match::<_, String>(format!("{prefix}*")).await?;
        while let Some(key) = found.next_item().await {
            keys.push(key?);
        }
    }
    let mut text = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await?;
        let read = match kind.as_str() {
            "stream" => redis::cmd("XRANGE").arg(&key).arg("-").arg("+").clone(),
            "hash" => redis::cmd("HGETALL").arg(&key).clone(),
            "none" => continue,
            _ => redis::cmd("GET").arg(&key).clone(),
        };
        let value: redis::Value = read.query_async(&mut redis).await?;
        let _ = writeln!(text, "{key} {}", spelled(&value));
    }
    Ok(text)
}

/// A value's texts, one after the other.
fn spelled(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(values) => values.iter().map(spelled).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

async fn plan(connection: &mut PgConnection, mode: &str, statement: &str, parameters: &str) -> Vec<String> {
    let given = if parameters.is_empty() {
        String::new()
    } else {
        format!("({parameters})")
    };
    let prepare = format!("set plan_cache_mode = {mode}; prepare asked as {statement}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("preparing {statement}: {error}"));
    let explain = format!("explain (costs off) execute asked{given}");
    let lines = sqlx::raw_sql(sqlx::AssertSqlSafe(explain))
        .fetch_all(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("explaining {statement}: {error}"));
    sqlx::raw_sql("deallocate asked")
        .execute(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("forgetting {statement}: {error}"));
    lines.iter().map(|line| line.get(0)).collect()
}
