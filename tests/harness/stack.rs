//! A whole installation for one test: stores of its own, a mailbox, one server or more. Gone when it is dropped.

use crate::database::Database;
use crate::gate::Gate;
use crate::hush;
use crate::mailbox::{Letter, Mailbox};
use crate::pooler::Pooler;
use crate::postgres_server::PostgresServer;
use crate::programs::{Ended, run, ui_dist};
use crate::redis_cluster::RedisCluster;
use crate::server::{Called, Server, Settings};
use base64::Engine as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[derive(Debug)]
pub struct Stack {
    // dropped in this order: programs before the stores that they use
    pub server: Server,
    pub mailbox: Mailbox,
    postgres_gate: Option<Gate>,
    redis_gate: Option<Gate>,
    settings: Settings,
    _pooler: Option<Pooler>,
    redis_cluster: Option<RedisCluster>,
    database: Database,
    own_postgres: Option<PostgresServer>,
    folder: TempDir,
}

/// What a test wants otherwise than usual.
#[derive(Debug, Default)]
pub struct StackBuilder {
    environment: Vec<(String, String)>,
    has_gates: bool,
    has_pooler: bool,
    has_redis_cluster: bool,
    own_postgres: Option<PostgresServer>,
    called: Called,
}

/// Settings that no stack needs otherwise without saying so.
const USUAL: [(&str, &str); 9] = [
    ("LISTEN", "127.0.0.1:0"),
    ("DATABASE_CONNECTIONS", "8"),
    // tests sign in thousands of times: the least that is safe
    ("ARGON2_MEMORY_KIB", "19456"),
    ("ARGON2_PASSES", "2"),
    // nothing of a test leaves this machine
    ("BREACHED_PASSWORDS", "off"),
    // nobody stands before the server who had to notice, and no test waits for others to leave
    ("DRAIN_AFTER", "0"),
    ("DRAIN_WITHIN", "0"),
    // people in tests are quicker than people
    ("RATE_LIMIT_FACTOR", "1000"),
    ("LOG", "info,sync_server=debug,sqlx=warn"),
];

impl StackBuilder {
    /// A setting of the server.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Puts a gate before PostgreSQL and one before Redis.
    #[must_use]
    pub fn with_gates(mut self) -> Self {
        self.has_gates = true;
        self
    }

    /// Puts a PgBouncer before PostgreSQL, which lends a connection for one transaction.
    #[must_use]
    pub fn with_pooler(mut self) -> Self {
        self.has_pooler = true;
        self
    }

    /// Keeps the database in a PostgreSQL of the stack's own, which may be killed.
    #[must_use]
    pub fn with_postgres(mut self, own: PostgresServer) -> Self {
        self.own_postgres = Some(own);
        self
    }

    /// Keeps what Redis keeps in a Redis Cluster of the stack's own.
    #[must_use]
    pub fn with_redis_cluster(mut self) -> Self {
        self.has_redis_cluster = true;
        self
    }

    /// Lets the public address be a name, which browsers want for passkeys.
    #[must_use]
    pub fn with_name(mut self) -> Self {
        self.called = Called::ByName;
        self
    }

    async fn pooler(&mut self, database: &Database) -> Option<Pooler> {
        if !self.has_pooler {
            return None;
        }
        let pooler = Pooler::before(&database.url).await;
        for (name, value) in [
            ("DATABASE_URL", pooler.url.as_str()),
            ("DATABASE_POOLER", "transaction"),
            ("DATABASE_MIGRATION_URL", database.url.as_str()),
        ] {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
        Some(pooler)
    }

    async fn redis_cluster(&mut self) -> Option<RedisCluster> {
        if !self.has_redis_cluster {
            return None;
        }
        let cluster = RedisCluster::start().await;
        self.environment.push(("REDIS_URL".to_owned(), cluster.urls()));
        Some(cluster)
    }

    pub async fn start(mut self) -> Stack {
        install_crypto();
        let folder = tempfile::Builder::new()
            .prefix("compymac-test-")
            .tempdir()
            .unwrap_or_else(|error| panic!("making a folder: {error}"));
        let own_postgres = self.own_postgres.take();
        let own = own_postgres.as_ref().map(PostgresServer::url);
        let (database, mailbox) = tokio::join!(Database::fresh(own), Mailbox::start());
        let mailbox = mailbox.unwrap_or_else(|error| panic!("starting a mailbox: {error:#}"));
        let (postgres_gate, database_url) = gate_before(&database.url, self.has_gates).await;
        let (redis_gate, redis_url) = gate_before(&database.redis_url, self.has_gates).await;
        let pooler = self.pooler(&database).await;
        let redis_cluster = self.redis_cluster().await;
        let mut environment: Vec<(String, String)> = [
            ("DATABASE_URL", database_url),
            ("REDIS_URL", redis_url),
            ("REDIS_PREFIX", database.redis_prefix.clone()),
            ("COMPYMAC_SECRET", secret()),
            (
                "WORKSPACES",
                folder.path().join("workspaces").display().to_string(),
            ),
            ("UI_DIST", ui_dist().display().to_string()),
            ("SMTP_URL", mailbox.smtp_url()),
        ]
        .into_iter()
        .chain(USUAL.map(|(name, value)| (name, value.to_owned())))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        environment.retain(|(name, _)| !self.environment.iter().any(|(own, _)| own == name));
        environment.extend(self.environment);
        for (name, value) in &environment {
            hush::keep_setting(name, value);
        }
        let settings = Settings {
            folder: folder.path().to_path_buf(),
            environment,
            called: self.called,
        };
        let server = Server::start("server", settings.clone(), None).await;
        Stack {
            server,
            mailbox,
            postgres_gate,
            redis_gate,
            settings,
            _pooler: pooler,
            redis_cluster,
            database,
            own_postgres,
            folder,
        }
    }
}

impl Stack {
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> StackBuilder {
        StackBuilder::default()
    }

    /// Another node on the same stores; the installation's public address stays the first one's.
    pub async fn second_server(&self) -> Server {
        Server::start("second", self.settings.clone(), Some(self.server.url())).await
    }

    /// As [`Stack::second_server`], with a setting of its own.
    pub async fn second_server_with(&self, name: &str, value: &str) -> Server {
        self.another_server("second", &[(name, value)]).await
    }

    /// One more node, called so, with settings of its own.
    pub async fn another_server(&self, called: &str, own: &[(&str, &str)]) -> Server {
        let mut settings = self.settings.clone();
        for (name, value) in own {
            settings.environment.retain(|(other, _)| other != name);
            settings
                .environment
                .push(((*name).to_owned(), (*value).to_owned()));
        }
        Server::start(called, settings, Some(self.server.url())).await
    }

    /// The installation's public address, without a slash at the end.
    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn workspaces(&self) -> PathBuf {
        self.folder.path().join("workspaces")
    }

    /// A folder that goes with the stack.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn postgres_gate(&self) -> &Gate {
        self.postgres_gate
            .as_ref()
            .unwrap_or_else(|| panic!("the stack was started without gates"))
    }

    pub fn redis_gate(&self) -> &Gate {
        self.redis_gate
            .as_ref()
            .unwrap_or_else(|| panic!("the stack was started without gates"))
    }

    pub fn own_postgres(&self) -> &PostgresServer {
        self.own_postgres
            .as_ref()
            .unwrap_or_else(|| panic!("the stack was started without a PostgreSQL of its own"))
    }

    pub fn redis_cluster(&self) -> &RedisCluster {
        self.redis_cluster
            .as_ref()
            .unwrap_or_else(|| panic!("the stack was started without a Redis Cluster"))
    }

    /// The settings that the first server was started with, `PUBLIC_URL` not among them.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// An operator's command at this stack's settings.
    pub async fn admin(&self, words: &[&str]) -> Ended {
        self.admin_with(&[], words, None).await
    }

    /// As [`Stack::admin`], answered for machines; it succeeds.
    pub async fn admin_json(&self, words: &[&str]) -> serde_json::Value {
        let words = [words, &["--json"]].concat();
        self.admin(&words).await.succeeds().json()
    }

    /// As [`Stack::admin`], with settings of its own and something on standard input. An empty setting is none.
    pub async fn admin_with(&self, own: &[(&str, &str)], words: &[&str], input: Option<&str>) -> Ended {
        let url = self.url();
        let mut settings = self.settings();
        settings.extend([("PUBLIC_URL", url.as_str()), ("COMPYMAC_OPERATOR", "olga")]);
        settings.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        settings.extend(own.iter().filter(|(_, value)| !value.is_empty()));
        run("sync-server", &settings, &[&["admin"], words].concat(), input).await
    }

    /// The `count`th letter to an address, once it came.
    pub async fn letter_to(&self, address: &str, count: usize) -> Letter {
        let letters = self.mailbox.wait_for(address, count).await;
        let letter = letters
            .unwrap_or_else(|error| panic!("{error:#}"))
            .into_iter()
            .nth(count - 1)
            .unwrap_or_else(|| panic!("letter {count} to {address}"));
        // a seat is gone before the stack, and its log is read by then
        hush::keep_letter(&letter);
        letter
    }

    /// The newest letter to an address whose subject has these words, once one came.
    pub async fn letter_about(&self, address: &str, subject: &str) -> Letter {
        let waited = format!("a letter to {address} about {subject}");
        let letter = crate::wait::until(&waited, async || {
            let letters = self.mailbox.letters_to(address);
            letters
                .into_iter()
                .rev()
                .find(|letter| letter.subject.contains(subject))
        })
        .await;
        hush::keep_letter(&letter);
        letter
    }

    /// Changes the database behind the server's back, for states that no client can reach.
    pub async fn execute(&self, sql: &str) -> u64 {
        self.database.execute(sql).await
    }

    /// How the database would carry out these statements with so many parameters each.
    pub async fn plans(&self, statements: &[(String, usize)]) -> Vec<Vec<String>> {
        self.database.plans(statements).await
    }

    /// How the database would carry out one statement with these parameters, as SQL has them.
    pub async fn plan(&self, statement: &str, parameters: &[&str]) -> Vec<String> {
        self.database.plan(statement, parameters).await
    }

    /// One number from the database, for what no client may see.
    pub async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql).await
    }

    /// Kills one of PostgreSQL's processes: it cuts everybody off and recovers from its log. For whoever has the cluster
    /// to themselves.
    pub async fn crash_postgres(&self) {
        self.database.crash().await;
    }

    /// Writes a dump of the database into a file, while everybody goes on.
    pub async fn back_up(&self, dump: &Path) {
        self.database.dump(dump).await;
    }

    /// The whole database as text: every table, every row.
    pub async fn dump(&self) -> String {
        self.database.text().await
    }

    /// All that Redis keeps for this stack, keys and values, as far as they are text.
    pub async fn redis_dump(&self) -> String {
        self.database.redis_text().await
    }

    /// Puts the database back to a dump, and does what is to be done after a restore: another epoch for everybody.
    pub async fn restore(&self, dump: &Path) {
        self.database.restore(dump).await;
    }

    /// Redis loses everything that it keeps for this stack, as after a restart without a disk.
    pub async fn forget_redis(&self) {
        self.database.forget_redis().await;
    }

    /// Everything that the servers have written so far.
    pub fn logs(&self) -> String {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|ending| ending == "log" || ending == "out")
            })
            .collect();
        files.sort();
        files
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.logs();
            let lines: Vec<&str> = logs.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(60)..).unwrap_or_default();
            eprintln!("--- the servers' last words ---\n{}", tail.join("\n"));
        } else if let Some((line, secret)) = hush::told(&self.logs(), &self.mailbox.letters()) {
            panic!("a log tells {secret}: {line}");
        }
    }
}

async fn gate_before(url: &str, is_wanted: bool) -> (Option<Gate>, String) {
    if !is_wanted {
        return (None, url.to_owned());
    }
    let (gate, url) = Gate::before(url).await;
    (Some(gate), url)
}

fn secret() -> String {
    base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>())
}

/// The HTTP client's TLS wants a provider even where no TLS is spoken.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
