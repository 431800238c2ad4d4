//! The demo account, made through the product's own door: signed up, its letter read, its address confirmed.

use super::http::{ask, field};
use crate::services::{random, write_private};
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
    let lines: Vec<&str> = kept.lines().collect();
    let password = match lines.as_slice() {
        [password, made_in] if *made_in == database => return Ok(known(password)),
        [password, ..] => (*password).to_owned(),
        [] => chosen()?,
    };
    write_private(&file, format!("{password}\n").as_bytes())?;
    if !can_sign_in(server, &password)? {
        sign_up(server, mailbox, &password).context("making the demo account")?;
    }
    write_private(&file, format!("{password}\n{database}\n").as_bytes())?;
    Ok(known(&password))
}

fn known(password: &str) -> Account {
    Account {
        email: EMAIL.to_owned(),
        password: password.to_owned(),
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

fn can_sign_in(server: &str, password: &str) -> anyhow::Result<bool> {
    let body = format!("{{\"email\":\"{EMAIL}\",\"password\":\"{password}\"}}");
    Ok(ask("POST", server, "/api/v1/auth/sign-in", Some(&body))?.status == 200)
}

fn sign_up(server: &str, mailbox: &str, password: &str) -> anyhow::Result<()> {
    let body = format!("{{\"email\":\"{EMAIL}\",\"password\":\"{password}\",\"name\":\"Demo\"}}");
    let started = ask("POST", server, "/api/v1/auth/sign-up", Some(&body))?;
    if started.status >= 300 {
        bail!("signing up was refused ({}): {}", started.status, started.body);
    }
    let binding = field(&started.body, "binding").context("the answer to signing up has no binding")?;
    let letters = ask("GET", mailbox, &format!("/letters?to={EMAIL}&wait=1"), None)?;
    let code = field(&letters.body, "code").context("no letter with a code came to the mailbox")?;
    let body = format!("{{\"email\":\"{EMAIL}\",\"code\":\"{code}\",\"binding\":\"{binding}\"}}");
    let confirmed = ask("POST", server, "/api/v1/auth/verify", Some(&body))?;
    if confirmed.status >= 300 {
        bail!(
            "confirming the address was refused ({}): {}",
            confirmed.status,
            confirmed.body
        );
    }
    Ok(())
}
