//! The command that looks at the secrets in the settings. It says what is wrong with them, never what they are.

use super::Desk;
use super::said::{Said, counted};
use crate::auth::operator::Sealing;
use crate::config::Config;
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::HashSet;
use url::{Host, Url};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Whether the secrets are strong, kept from others' eyes, and those that the database was written with.
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    /// It works, and could be safer.
    Weak,
    /// Something does not work, or is not safe.
    Bad,
}

impl Grade {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "bad",
        }
    }
}

struct Found {
    setting: &'static str,
    grade: Grade,
    words: String,
}

pub async fn answer(desk: &Desk, command: Command) -> Result<Said> {
    let Command::Check = command;
    let config = &desk.app.config;
    let (secrets, sealing) = (config.secrets()?, desk.operator.sealing().await?);
    let found = [
        master(secrets.first().map_or(&[], Vec::as_slice)),
        sealed(&sealing),
        others(secrets.len() - 1, &sealing),
        metrics_token(config),
        on_the_way("DATABASE_URL", config.database_url.expose(), &[]),
        on_the_way("REDIS_URL", config.redis_url.expose(), &["rediss"]),
        on_the_way("SMTP_URL", config.smtp_url.expose(), &["smtps", "smtp+starttls"]),
    ];
    let rows = found.iter().map(|found| {
        vec![
            found.setting.to_owned(),
            found.grade.name().to_owned(),
            found.words.clone(),
        ]
    });
    let json = found
        .iter()
        .map(|found| json!({ "setting": found.setting, "grade": found.grade.name(), "words": found.words }));
    let is_bad = found.iter().any(|found| found.grade == Grade::Bad);
    let said = Said::table(
        &["SETTING", "GRADE", "WHY"],
        rows.collect(),
        Value::Array(json.collect()),
    );
    Ok(said.unwell_if(is_bad))
}

/// Bytes drawn by chance seldom repeat: of 32, some thirty differ. A sentence in base64, or a key pressed down, has few.
fn master(secret: &[u8]) -> Found {
    let different = secret.iter().collect::<HashSet<_>>().len();
    let is_drawn = different >= 24 && secret.iter().any(|byte| !byte.is_ascii());
    let (grade, words) = if is_drawn {
        (
            Grade::Good,
            format!("{} bytes, drawn by chance as far as one can see", secret.len()),
        )
    } else {
        let words = "it does not look drawn by chance; `openssl rand -base64 32` makes one";
        (Grade::Bad, words.to_owned())
    };
    Found {
        setting: "COMPYMAC_SECRET",
        grade,
        words,
    }
}

fn sealed(sealing: &Sealing) -> Found {
    let (grade, words) = if sealing.broken.is_empty() && sealing.lost == 0 {
        let words = format!(
            "it opens {} in the database, all that there are",
            counted(sealing.sound, "sealed secret")
        );
        (Grade::Good, words)
    } else if sealing.broken.is_empty() {
        let words = format!(
            "{} of sign-in providers cannot be opened: another secret sealed them. Put that one back, or nobody can take them back there",
            counted(sealing.lost, "token")
        );
        (Grade::Bad, words)
    } else {
        let whose: Vec<String> = sealing.broken.iter().take(10).map(ToString::to_string).collect();
        let words = format!(
            "{} in the database cannot be opened: another secret sealed them. Put that one back, or reset the second step of: {}",
            counted(sealing.broken.len(), "sealed secret"),
            whose.join(", ")
        );
        (Grade::Bad, words)
    };
    Found {
        setting: "COMPYMAC_SECRET",
        grade,
        words,
    }
}

/// Whether the other secrets have anything left to open.
fn others(count: usize, sealing: &Sealing) -> Found {
    let left = counted(sealing.by_others, "sealed secret");
    let (grade, words) = match (count, sealing.by_others) {
        (0, _) => (Grade::Good, "none are set".to_owned()),
        (_, 0) => (
            Grade::Good,
            "nothing is sealed by them any more; see docs/operations.md for when to take them away"
                .to_owned(),
        ),
        (_, _) => (
            Grade::Weak,
            format!(
                "{left} are not yet sealed by COMPYMAC_SECRET; a running server does that within the hour"
            ),
        ),
    };
    Found {
        setting: "COMPYMAC_OTHER_SECRETS",
        grade,
        words,
    }
}

fn metrics_token(config: &Config) -> Found {
    let token = config.metrics_token.as_ref().map(|token| token.expose().len());
    let (grade, words) = match token {
        None => (Grade::Good, "not set: only this machine reads the metrics"),
        Some(16..) => (Grade::Good, "long enough"),
        Some(_) => (
            Grade::Weak,
            "short enough to guess; `openssl rand -hex 16` makes one",
        ),
    };
    Found {
        setting: "METRICS_TOKEN",
        grade,
        words: words.to_owned(),
    }
}

/// Whether an address beyond this machine is kept by a password, which is not told on the way. `hidden`: schemes that
/// speak TLS.
fn on_the_way(setting: &'static str, addresses: &str, hidden: &[&str]) -> Found {
    let urls = addresses
        .split(',')
        .filter_map(|text| Url::parse(text.trim()).ok());
    let away: Vec<Url> = urls.filter(|url| !is_here(url)).collect();
    let has_password = away.iter().all(|url| url.password().is_some());
    let is_hidden = away.iter().all(|url| hidden.contains(&url.scheme()));
    let (grade, words) = if away.is_empty() {
        (Grade::Good, "on this machine")
    } else if !has_password && setting != "SMTP_URL" {
        (Grade::Weak, "no password: whoever reaches that machine is let in")
    } else if has_password && !hidden.is_empty() && !is_hidden {
        (Grade::Weak, "the password crosses the network in the clear")
    } else {
        (Grade::Good, "nothing to say against it")
    };
    Found {
        setting,
        grade,
        words: words.to_owned(),
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => matches!(name, "localhost" | "127.0.0.1" | "[::1]" | ""),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_somebody_thought_up_is_told_from_one_that_was_drawn() {
        let drawn: Vec<u8> = (0..32)
            .map(|n: u8| n.wrapping_mul(37).wrapping_add(201))
            .collect();
        assert_eq!(master(&drawn).grade, Grade::Good);
        assert_eq!(master(&[7; 32]).grade, Grade::Bad);
        assert_eq!(
            master(b"correct horse battery staple and more words").grade,
            Grade::Bad
        );
    }

    #[test]
    fn what_leaves_the_machine_is_looked_at_closer() {
        let grade = |setting, url: &str, hidden: &[&str]| on_the_way(setting, url, hidden).grade;
        let redis = |url: &str| grade("REDIS_URL", url, &["rediss"]);
        assert_eq!(redis("redis://127.0.0.1:6379/"), Grade::Good);
        assert_eq!(redis("redis://cache:6379/"), Grade::Weak);
        assert_eq!(
            redis("redis://:word@cache-1/,redis://:word@cache-2/"),
            Grade::Weak
        );
        assert_eq!(
            redis("rediss://:word@cache-1/,rediss://:word@cache-2/"),
            Grade::Good
        );
        let smtp = |url: &str| grade("SMTP_URL", url, &["smtps", "smtp+starttls"]);
        assert_eq!(smtp("smtp://relay:25"), Grade::Good);
        assert_eq!(smtp("smtp://me:word@relay:25"), Grade::Weak);
        assert_eq!(smtp("smtp+starttls://me:word@relay:587"), Grade::Good);
        assert_eq!(grade("DATABASE_URL", "postgres://me@db/x", &[]), Grade::Weak);
        assert_eq!(grade("DATABASE_URL", "postgres://me:word@db/x", &[]), Grade::Good);
    }
}
