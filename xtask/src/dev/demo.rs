//! The demo account, made through the product's own door: signed up, its letter read, its address confirmed.

use super::http::{ask, field};
use crate::services::{psql, random, write_private};
use anyhow::{Context as _, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

const EMAIL: &str = "demo@example.org";
/// Words for a password that is quickly typed. It opens nothing but this computer's own data.
const WORDS: [&str; 64] = [
    "amber", "anchor", "apple", "arrow", "autumn", "basket", "beacon", "birch", "bottle", "breeze", "bridge",
    "button", "candle", "canyon", "castle", "cedar", "cherry", "cloud", "copper", "coral", "cotton",
    "desert", "ember", "falcon", "feather", "fern", "forest", "garden", "ginger", "glacier", "harbor",
    "hazel", "island", "ivory", "jasmine", "kettle", "lagoon", "lantern", "lemon", "linen", "maple",
    "marble", "meadow", "mirror", "needle", "ocean", "olive", "orchard", "paper", "pebble", "pepper",
    "prairie", "quartz", "ribbon", "river", "saddle", "silver", "sparrow", "summit", "thunder", "timber",
    "velvet", "walnut", "willow",
];

#[derive(Debug)]
pub struct Account {
    pub email: String,
    pub password: String,
}

/// The account of this data folder, made at the first run and after the database was changed for another.
pub fn account(data: &Path, server: &str, mailbox: &str, database: &str) -> anyhow::Result<Account> {
    let file = data.join("demo");
    let database = mark(database);
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let mut lines = kept.lines().map(str::to_owned);
    let account = match (lines.next(), lines.next()) {
        (Some(email), Some(password)) => Account { email, password },
        _ => Account {
            email: EMAIL.to_owned(),
            password: chosen()?,
        },
    };
    if lines.next().is_some_and(|made_in| made_in == database) {
        return Ok(account);
    }
    let account = if account.can_sign_in(server)? {
        account
    } else {
        account
            .sign_up(server, mailbox)
            .context("making the demo account")?
    };
    let lines = format!("{}\n{}\n{database}\n", account.email, account.password);
    write_private(&file, lines.as_bytes())?;
    Ok(account)
}

/// Many messages at once, for trying what a large account is like.
pub fn fill(account: &Account, database: &str, data: &Path, messages: u32) -> anyhow::Result<()> {
    let script = data.join("many_messages.sql");
    write_private(&script, include_bytes!("many_messages.sql"))?;
    let given = psql(
        database,
        &[
            "-v",
            &format!("email={}", account.email),
            "-v",
            &format!("messages={messages}"),
            "-v",
            &format!("workspaces={}", data.join("workspaces").display()),
            "-f",
            &script.display().to_string(),
        ],
    );
    let removed = fs::remove_file(&script).with_context(|| format!("removing {}", script.display()));
    given?;
    removed
}

impl Account {
    fn can_sign_in(&self, server: &str) -> anyhow::Result<bool> {
        let Self { email, password } = self;
        let body = format!("{{\"email\":\"{email}\",\"password\":\"{password}\"}}");
        Ok(ask("POST", server, "/api/v1/auth/sign-in", Some(&body))?.status == 200)
    }

    /// Signs up; under another address where this one is taken, which only its letter says.
    fn sign_up(mut self, server: &str, mailbox: &str) -> anyhow::Result<Self> {
        if !self.confirm(server, mailbox)? {
            let number = random(2)?
                .iter()
                .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            self.email = format!("demo-{number}@example.org");
            if !self.confirm(server, mailbox)? {
                bail!("the letter to {} holds no code", self.email);
            }
        }
        Ok(self)
    }

    /// False: the letter has no code, since somebody else has this address.
    fn confirm(&self, server: &str, mailbox: &str) -> anyhow::Result<bool> {
        let Self { email, password } = self;
        let body = format!("{{\"email\":\"{email}\",\"password\":\"{password}\",\"name\":\"Demo\"}}");
        let started = ask("POST", server, "/api/v1/auth/sign-up", Some(&body))?;
        if started.status >= 300 {
            bail!("signing up was refused ({}): {}", started.status, started.body);
        }
        let binding = field(&started.body, "binding").context("the answer to signing up has no binding")?;
        let letters = ask("GET", mailbox, &format!("/letters?to={email}&wait=1"), None)?;
        let Some(code) = field(&letters.body, "code") else {
            return Ok(false);
        };
        let body = format!("{{\"email\":\"{email}\",\"code\":\"{code}\",\"binding\":\"{binding}\"}}");
        let confirmed = ask("POST", server, "/api/v1/auth/verify", Some(&body))?;
        if confirmed.status >= 300 {
            bail!(
                "confirming the address was refused ({}): {}",
                confirmed.status,
                confirmed.body
            );
        }
        Ok(true)
    }
}

fn chosen() -> anyhow::Result<String> {
    let words: Vec<&str> = random(5)?
        .iter()
        .filter_map(|byte| WORDS.get(usize::from(byte % 64)).copied())
        .collect();
    Ok(words.join("-"))
}

/// Tells databases apart, whatever port they are at in this run.
fn mark(database: &str) -> String {
    let is_own = database.starts_with("postgres://compymac:") && database.contains("@127.0.0.1:");
    let text = if is_own {
        database.split('@').next().unwrap_or_default()
    } else {
        database
    };
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    format!("{:016x}", hash.finish())
}
