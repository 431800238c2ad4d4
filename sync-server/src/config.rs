//! Every setting, once: flags and environment, checked before anything starts. `--help` is the manual.
//!
//! **Invariant:** nothing else in this crate reads the environment.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;

#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one and prints it.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The address that people and providers reach this server at, without a path. Links in letters use only this.
    #[arg(long, env = "PUBLIC_URL")]
    pub public_url: Url,

    /// PostgreSQL or a pooler before it, as `postgres://user:password@host/database`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Secret,

    /// What stands between this server and PostgreSQL.
    #[arg(long, env = "DATABASE_POOLER", value_enum, default_value_t = Pooler::None)]
    pub database_pooler: Pooler,

    /// PostgreSQL itself, for the migrations, where DATABASE_URL leads to a pooler.
    #[arg(long, env = "DATABASE_MIGRATION_URL", hide_env_values = true)]
    pub database_migration_url: Option<Secret>,

    /// Connections to PostgreSQL that this server keeps at most.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub database_connections: u32,

    /// Redis 7 or newer, as `redis://host:port/`. Of a cluster any of its servers, better several, separated by commas:
    /// the others are found through them. Hints, run logs, tickets and rate limits; nothing that must last.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,

    /// Put before every Redis key, so that several installations can share one.
    #[arg(long, env = "REDIS_PREFIX", default_value = "compymac:")]
    pub redis_prefix: String,

    /// At least 32 random bytes in base64 (`openssl rand -base64 32`). Signs tokens and forms; the same on every node.
    #[arg(
        long,
        env = "COMPYMAC_SECRET",
        value_name = "COMPYMAC_SECRET",
        hide_env_values = true
    )]
    pub secret: Secret,

    /// Other secrets of that kind, separated by commas, which still open what they sealed and seal nothing: those that
    /// COMPYMAC_SECRET was before, or is to be next; see docs/operations.md.
    #[arg(long, env = "COMPYMAC_OTHER_SECRETS", hide_env_values = true)]
    pub other_secrets: Option<Secret>,

    /// Folder for the sessions' workspaces. Made if missing, mode 0700.
    #[arg(long, env = "WORKSPACES", default_value = "workspaces")]
    pub workspaces: PathBuf,

    /// Folder with the built page (`cargo xtask bundle` makes it).
    #[arg(long, env = "UI_DIST", default_value = "ui/dist")]
    pub ui_dist: PathBuf,

    /// Where letters leave, as `smtp://host:port`, `smtp+starttls://user:password@host:587` or `smtps://user:password@host`.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Secret,

    /// The sender of letters, as `Name <address>`.
    #[arg(long, env = "MAIL_FROM", default_value = "CompyMac <noreply@compymac.dev>")]
    pub mail_from: String,

    /// Signs letters (DKIM): a file with a private key in PEM, RSA or Ed25519; see docs/letters.md. Without it they leave
    /// unsigned.
    #[arg(long, env = "DKIM_KEY_FILE")]
    pub dkim_key_file: Option<PathBuf>,

    /// Under which name the DNS has the public half of that key: `SELECTOR._domainkey.DOMAIN`.
    #[arg(long, env = "DKIM_SELECTOR", default_value = "compymac")]
    pub dkim_selector: String,

    /// Who signs. Without it, the domain of MAIL_FROM.
    #[arg(long, env = "DKIM_DOMAIN")]
    pub dkim_domain: Option<String>,

    /// Tell whoever has not begun a day after they joined, once, how to; they can turn such letters off.
    #[arg(long, env = "TIPS", default_value_t = true, action = clap::ArgAction::Set)]
    pub tips: bool,

    /// Sign-in providers as a JSON list; see docs/providers.md.
    #[arg(long, env = "PROVIDERS", default_value = "[]", hide_env_values = true)]
    pub providers: Secret,

    /// Where a chosen password is looked up among stolen ones, without being told: an address that takes the first five
    /// characters of a SHA-1 hash, or `off`.
    #[arg(
        long,
        env = "BREACHED_PASSWORDS",
        default_value = "https://api.pwnedpasswords.com/range/"
    )]
    pub breached_passwords: BreachList,

    /// argon2id memory in KiB. Not below 19456 (OWASP); the default is what RFC 9106 gives to busy servers, and
    /// `admin argon2-bench` says what suits a machine.
    #[arg(long, env = "ARGON2_MEMORY_KIB", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(19_456..=1_048_576))]
    pub argon2_memory_kib: u32,

    /// argon2id passes over it. Not below 2.
    #[arg(long, env = "ARGON2_PASSES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub argon2_passes: u32,

    /// Proxies whose `X-Forwarded-For` is believed, as networks (`10.0.0.0/8`), separated by commas. Others are ignored.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,

    /// Says roughly where a network is: a file with a database of cities or of countries in MaxMind's format (.mmdb). With it, people
    /// see where each of their devices signed in, and letters about an account say from where; see docs/operations.md.
    #[arg(long, env = "COMPYMAC_PLACES", value_name = "COMPYMAC_PLACES")]
    pub places: Option<PathBuf>,

    /// Multiplies every rate limit; for load tests on loopback. 1 is production.
    #[arg(long, env = "RATE_LIMIT_FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate_limit_factor: u32,

    /// Letters that anybody can cause (to confirm, to sign in, for a new password) that this installation sends in an hour at most.
    #[arg(long, env = "LETTERS_AN_HOUR", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub letters_an_hour: u32,

    /// Sign-ups in an hour, from all networks together, that need no work. Beyond them each does some (SIGN_UP_WORK).
    #[arg(long, env = "SIGN_UPS_AN_HOUR", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub sign_ups_an_hour: u32,

    /// How hard that work is: zero bits of a hash. Each bit more doubles it; 18 take a browser a second or two.
    #[arg(long, env = "SIGN_UP_WORK", default_value_t = 18, value_parser = clap::value_parser!(u8).range(8..=24))]
    pub sign_up_work: u8,

    /// Bearer token for `/metrics`. Without it, only direct requests from this machine may read them.
    #[arg(long, env = "METRICS_TOKEN", hide_env_values = true)]
    pub metrics_token: Option<Secret>,

    /// Who gives `admin` commands, for the audit. Without it, the name that this machine knows them by.
    #[arg(long, env = "COMPYMAC_OPERATOR", value_name = "NAME", global = true)]
    pub operator: Option<String>,

    /// What this process does.
    #[arg(long, env = "ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,

    /// Seconds that a balancer has to see that this server is not ready any more, once it is asked to end. Its sockets are
    /// let go only then.
    #[arg(long, env = "DRAIN_AFTER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub drain_after: u32,

    /// Seconds in which devices then leave by themselves, each at its own time. Those that stay are closed over half as
    /// long again.
    #[arg(long, env = "DRAIN_WITHIN", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub drain_within: u32,

    /// Apply the migrations at start.
    #[arg(long, env = "MIGRATE", default_value_t = true, action = clap::ArgAction::Set)]
    pub migrate: bool,

    /// Logs for people or for machines.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which logs, as in `info,sync_server=debug`.
    #[arg(long, env = "LOG", default_value = "info,sqlx=warn")]
    pub log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pooler {
    /// Nothing: a connection is PostgreSQL's own.
    None,
    /// A pooler that lends a connection for one transaction (PgBouncer with `pool_mode = transaction`).
    Transaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Pages, API, sockets and runs.
    All,
    /// Pages, API and sockets.
    Gateway,
    /// Runs and letters; it answers only `/healthz`, `/readyz` and `/metrics`.
    Worker,
}

impl Role {
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    /// Whether people and their devices reach it.
    pub const fn serves(self) -> bool {
        matches!(self, Self::All | Self::Gateway)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// A setting that no log and no `--help` shows.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// `None`: none is asked.
#[derive(Clone, Debug)]
pub struct BreachList(pub Option<Url>);

impl std::str::FromStr for BreachList {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        Url::parse(text)
            .ok()
            .filter(|url| url.path().ends_with('/') && (url.scheme() == "https" || is_loopback(url)))
            .map(|url| Self(Some(url)))
            .ok_or("this must be `off`, or an https address that ends with a slash")
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Config {
    /// What clap cannot check alone. Names the setting that is wrong and how to mend it.
    pub fn check(self) -> anyhow::Result<Self> {
        if !matches!(self.public_url.scheme(), "http" | "https") || self.public_url.host_str().is_none() {
            bail!(
                "PUBLIC_URL must be an http or https address like https://compymac.example.org, but is {}",
                self.public_url
            );
        }
        if self.public_url.path() != "/"
            || self.public_url.query().is_some()
            || self.public_url.fragment().is_some()
        {
            bail!("PUBLIC_URL must have no path, but is {}", self.public_url);
        }
        if self.public_url.scheme() == "http" && !is_loopback(&self.public_url) {
            bail!(
                "PUBLIC_URL must be https, since sign-in cookies are only kept there; http works for 127.0.0.1 and localhost alone"
            );
        }
        if self.redis_prefix.contains(['{', '}']) {
            bail!(
                "REDIS_PREFIX must hold no braces, which say where in a Redis Cluster a key lies, but is {}",
                self.redis_prefix
            );
        }
        if self.migrate && self.database_pooler != Pooler::None && self.database_migration_url.is_none() {
            bail!(
                "DATABASE_POOLER=transaction needs DATABASE_MIGRATION_URL, which leads to PostgreSQL itself: migrations take a lock that a pooler cannot keep. Or set MIGRATE=false and apply them another way"
            );
        }
        self.secrets()?;
        Ok(self)
    }

    /// Who gives commands at this machine: as they say, else as they are signed in, under `sudo` too. `None`: nobody knows.
    #[expect(
        clippy::disallowed_methods,
        reason = "names that the system gives, and no settings of ours"
    )]
    pub fn operator_name(&self) -> Option<String> {
        let signed_in = ["SUDO_USER", "USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok());
        let name = self.operator.clone().or(signed_in)?;
        let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// The master secrets, that which seals first. Keys for each purpose are derived from them (HKDF, RFC 5869).
    pub fn secrets(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut secrets = vec![decoded("COMPYMAC_SECRET", self.secret.expose())?];
        let others = self.other_secrets.as_ref().map_or("", |others| others.expose());
        for other in others.split(',').filter(|other| !other.trim().is_empty()) {
            let other = decoded("COMPYMAC_OTHER_SECRETS", other)?;
            if !secrets.contains(&other) {
                secrets.push(other);
            }
        }
        Ok(secrets)
    }

    /// Scheme, host and port of `public_url`, as browsers write an `Origin` (RFC 6454 §6.2).
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// An absolute address here, for letters and redirects.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

fn decoded(name: &str, secret: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(secret.trim())
        .with_context(|| format!("{name} must be base64; `openssl rand -base64 32` makes one"))?;
    if bytes.len() < 32 {
        bail!(
            "{name} must hold at least 32 bytes, but holds {}; `openssl rand -base64 32` makes one",
            bytes.len()
        );
    }
    Ok(bytes)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
